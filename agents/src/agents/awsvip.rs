//! awsvip: the secondary private address, assigned to an interface of this instance.

use std::net::Ipv4Addr;

use super::address::{ACTIONS, Address, AddressAgent, Location, address_parameters};
use super::call_ec2;
use crate::ocf::params::parameters;
use crate::ocf::{Description, Exit, Failure};
use ec2::{AwsError, ErrorKind, Interface, retry_transient};

pub(super) type AwsVip = AddressAgent<AwsVipParameters>;

address_parameters! {
    /// The parameters of awsvip. Those that ocf:heartbeat:awsvip has too have its names.
    struct AwsVipParameters {
        secondary_private_ip: Ipv4Addr = required, unique, "address to assign",
            "The virtual address: a free private address of the subnet, which is assigned to a network interface of this instance.";
    }
}

/// In each subnet EC2 reserves the first four addresses and the last.
/// <https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html>
const RESERVED_FIRST: u32 = 4;

impl Address for AwsVipParameters {
    const DESCRIPTION: Description = Description {
        name: "awsvip",
        short: "Secondary private address on EC2",
        long: "Assigns a secondary private address to a network interface of this EC2 instance: the primary one, or the one in the parameter interface. The address is taken over from whichever instance has it, and an Elastic IP that is associated with it moves along. A start ends when the instance metadata shows the address here or, where the metadata is late, when EC2 does. The monitor asks the instance metadata, and EC2 only when the metadata does not show the address, so that throttling or an outage of EC2's API fails nothing. With OCF_CHECK_LEVEL=10 it always asks EC2 too. The agent replaces ocf:heartbeat:awsvip and needs no AWS CLI. It does not configure the address on the node: that is ocf:heartbeat:IPaddr2. Needs ec2:AssignPrivateIpAddresses, ec2:UnassignPrivateIpAddresses and ec2:DescribeNetworkInterfaces.",
        actions: ACTIONS,
    };

    fn name(&self) -> String {
        self.secondary_private_ip.to_string()
    }

    fn is_shown(&self, interface: &Interface<'_>) -> Result<bool, AwsError> {
        interface.has(self.secondary_private_ip)
    }

    fn absence(&self) -> String {
        let address = self.secondary_private_ip;
        format!("the instance metadata does not show {address} here")
    }

    async fn is_at(&self, at: &Location<'_>) -> Result<bool, AwsError> {
        let address = self.secondary_private_ip;
        at.ec2.has_address(&at.interface, address).await
    }

    async fn move_to(&self, at: &Location<'_>) -> Result<(), Failure> {
        let (address, interface) = (self.secondary_private_ip, &at.interface);
        let step = format!("assigning {address} to {interface}, wherever it is");
        at.call.steps.acting(step);
        let assign = async || at.ec2.assign(interface, address).await;
        let assigned = call_ec2(at.deadline, assign).await;
        assigned.map_err(|error| match error.kind {
            ErrorKind::InvalidValue => self.refused(at, &error),
            _ => error.into(),
        })
    }

    async fn take_from(&self, at: &Location<'_>) -> Result<(), AwsError> {
        let (address, interface) = (self.secondary_private_ip, &at.interface);
        let step = format!("taking {address} from {interface}");
        at.call.steps.acting(step);
        let unassign = async || at.ec2.unassign(interface, address).await;
        retry_transient(at.deadline, unassign).await
    }

    /// EC2 has no dry run for the two calls that change something.
    async fn rehearse(&self, at: &Location<'_>) -> Result<(), Failure> {
        self.fits_the_subnet(at)?;
        retry_transient(at.deadline, async || self.is_at(at).await).await?;
        Ok(())
    }
}

impl AwsVipParameters {
    /// The address may be wrong for this node, or used by another instance at this moment.
    fn refused(&self, at: &Location<'_>, error: &AwsError) -> Failure {
        match self.fits_the_subnet(at) {
            Err(failure) if failure.exit == Exit::Installed => Failure {
                reason: format!("{}; {error}", failure.reason),
                ..failure
            },
            _ => Failure::generic(format!(
                "{error}; it has to be a free address of this instance's subnet, and no instance's primary one"
            )),
        }
    }

    /// That the address can be one of the interface's.
    fn fits_the_subnet(&self, at: &Location<'_>) -> Result<(), Failure> {
        let (subnet, primary) = at.in_metadata(|it| Ok((it.subnet()?, it.primary()?)))?;
        let address = self.secondary_private_ip;
        let wrong = |what: &str| {
            Err(Failure::installed(format!(
                "secondary_private_ip {address} {what}; help: choose a free address of the subnet {subnet}"
            )))
        };
        if !subnet.contains(&address) {
            return wrong("is not in the subnet of this instance");
        }
        let place = address.to_bits() - subnet.network().to_bits();
        if place < RESERVED_FIRST || address == subnet.broadcast() {
            return wrong("is one that EC2 reserves in every subnet");
        }
        if address == primary {
            return wrong("is this instance's own primary address");
        }
        Ok(())
    }
}
