//! awseip: the Elastic IP, associated with the virtual address on an interface of this instance.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::address::{ACTIONS, Address, AddressAgent, Location, address_parameters};
use super::call_ec2;
use crate::ocf::params::parameters;
use crate::ocf::{Description, Failure};
use ec2::{AllocationId, Association, AwsError, ElasticIp, ErrorKind, Interface, retry_transient};

pub(super) type AwsEip = AddressAgent<AwsEipParameters>;

address_parameters! {
    struct AwsEipParameters {
        allocation_id: AllocationId = required, unique, "allocation id of the Elastic IP",
            "The allocation id of the Elastic IP, such as eipalloc-02c7cf64a5cd449cf.";
        elastic_ip: Ipv4Addr = optional, unique, "the Elastic IP",
            "The Elastic IP itself. If it is given, a start refuses an allocation of another address, and the monitor asks for this address and not for any.";
        private_ip_address: Ipv4Addr = required, "private address to associate it with",
            "The private address that the Elastic IP is associated with: the virtual address, which another resource (ocf:portsip:awsvip) assigns to this instance.";
    }
}

/// How often the association is retried while the private address is not on the interface yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(400);

impl Address for AwsEipParameters {
    const DESCRIPTION: Description = Description {
        name: "awseip",
        short: "Elastic IP of a virtual address on EC2",
        long: "Associates an Elastic IP with a secondary private address of this EC2 instance, on the primary network interface or the one in the parameter interface. The Elastic IP is taken over from whichever instance has it. The monitor asks the instance metadata, and EC2 only when the metadata does not show the association, so that throttling or an outage of EC2's API fails nothing. With OCF_CHECK_LEVEL=10 it always asks EC2 too. Needs ec2:DescribeAddresses, ec2:AssociateAddress and ec2:DisassociateAddress.",
        actions: ACTIONS,
    };

    fn name(&self) -> String {
        self.allocation_id.to_string()
    }

    fn identity(&self) -> String {
        format!("{} {}", self.allocation_id, self.private_ip_address)
    }

    fn is_shown(&self, interface: &Interface<'_>) -> Result<bool, AwsError> {
        let private = self.private_ip_address;
        Ok(interface.has(private)? && interface.associates(self.elastic_ip, private)?)
    }

    fn absence(&self) -> String {
        let private = self.private_ip_address;
        format!("the instance metadata shows no Elastic IP for {private} here")
    }

    async fn is_at(&self, at: &Location<'_>) -> Result<bool, AwsError> {
        let address = at.ec2.elastic_ip(&self.allocation_id).await?;
        Ok(self.association(address, at).is_some())
    }

    async fn move_to(&self, at: &Location<'_>) -> Result<(), Failure> {
        let address = self.look_up(at).await?;
        let allocation = &self.allocation_id;
        // The metadata may be behind EC2.
        if self.association(address, at).is_some() {
            tracing::info!("EC2 has {allocation} associated here already");
            return Ok(());
        }
        let (private, interface) = (self.private_ip_address, &at.interface);
        at.call.steps.acting(format!(
            "associating {allocation} with {private} on {interface}, wherever it is"
        ));
        let associate = async || at.ec2.associate(allocation, interface, private).await;
        loop {
            let Err(error) = call_ec2(at.deadline, associate).await else {
                return Ok(());
            };
            if error.kind != ErrorKind::InvalidValue {
                return Err(error.into());
            }
            // The private address may not be on this interface yet.
            tracing::info!("{error}; waiting for {private}");
            if !at.deadline.sleep(RETRY_INTERVAL).await {
                return Err(Failure::generic(format!(
                    "{error}; is {private} assigned to this instance? It has to be before this resource starts"
                )));
            }
        }
    }

    async fn take_from(&self, at: &Location<'_>) -> Result<(), AwsError> {
        at.call.steps.doing("asking EC2 where the Elastic IP is");
        let allocation = &self.allocation_id;
        let ask = async || at.ec2.elastic_ip(allocation).await;
        let address = retry_transient(at.deadline, ask).await?;
        let Some(association) = self.association(address, at) else {
            tracing::info!("EC2 does not have {allocation} associated here: nothing to end");
            return Ok(());
        };
        let step = format!("ending {} of {allocation}", association.id);
        at.call.steps.acting(step);
        let end = async || at.ec2.disassociate(&association.id).await;
        retry_transient(at.deadline, end).await
    }

    async fn rehearse(&self, at: &Location<'_>) -> Result<(), Failure> {
        let address = self.look_up(at).await?;
        let ec2 = at.ec2.dry_run();
        let (allocation, private) = (&self.allocation_id, self.private_ip_address);
        let associate = async || ec2.associate(allocation, &at.interface, private).await;
        match AwsError::from_dry_run(retry_transient(at.deadline, associate).await) {
            // The resource before this one brings the private address here.
            Err(error) if error.kind == ErrorKind::InvalidValue => {}
            answer => answer?,
        }
        if let Some(association) = address.association {
            let end = async || ec2.disassociate(&association.id).await;
            AwsError::from_dry_run(retry_transient(at.deadline, end).await)?;
        }
        Ok(())
    }
}

impl AwsEipParameters {
    /// The association with the private address on this interface, if it is that.
    fn association(&self, address: ElasticIp, at: &Location<'_>) -> Option<Association> {
        let association = address.association;
        association.filter(|it| it.is(&at.interface, self.private_ip_address))
    }

    /// The Elastic IP, if it is the one that the user meant.
    async fn look_up(&self, at: &Location<'_>) -> Result<ElasticIp, Failure> {
        at.call.steps.doing("asking EC2 where the Elastic IP is");
        let allocation = &self.allocation_id;
        let address = call_ec2(at.deadline, async || at.ec2.elastic_ip(allocation).await).await?;
        match (self.elastic_ip, address.public) {
            (Some(meant), Some(public)) if meant != public => Err(Failure::configured(format!(
                "{allocation} is {public}, not {meant}; help: correct allocation_id or elastic_ip"
            ))),
            _ => Ok(address),
        }
    }
}
