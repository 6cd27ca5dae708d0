//! awsvip: the secondary private address, assigned to this instance's interface.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::address::{self, Address, Sighting};
use crate::ocf::params::parameters;
use crate::ocf::{Advice, Agent, Call, Description, Exit, Failure, Health};
use ec2::Deadline;
use ec2::ErrorKind;
use ec2::{
    AwsError, Ec2, InterfaceId, Metadata, Region, prepare_environment, retry_denied,
    retry_transient,
};

parameters! {
    /// The parameters of awsvip. Those that ocf:heartbeat:awsvip has too have its names.
    struct AwsVipParameters {
        secondary_private_ip: Ipv4Addr = required, unique, "address to assign",
            "The virtual address: a free private address of the instances' subnet, which is assigned to the primary network interface of this instance.";
        profile: String = optional, reloadable, "profile of the AWS configuration",
            "A profile of root's AWS configuration. Without one, the environment is used, else root's default profile, else the instance role.";
        region: Region = optional, reloadable, "AWS region",
            "The region. Without one, that of the AWS configuration, else the one that the instance runs in.";
        doubt_limit: Duration = default("3600"), reloadable, "seconds without metadata before a monitor complains",
            "How many seconds the instance metadata may give no answer before the monitor's reason says that this lasts too long. However long it lasts, the monitor reports the resource as degraded (190) and never as failed.";
    }
}

/// Subnets have these addresses for EC2 itself: the first four and the last.
/// <https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html>
const RESERVED_FIRST: u32 = 4;

/// The agent.
#[derive(Debug)]
pub struct AwsVip {
    parameters: AwsVipParameters,
    call: Call,
    seen: Sighting<Ipv4Addr>,
}

impl Agent for AwsVip {
    const DESCRIPTION: Description = Description {
        name: "awsvip",
        short: "Secondary private address on EC2",
        long: "Assigns a secondary private address to the primary network interface of this EC2 instance, and takes it over from whichever instance has it; an Elastic IP that is associated with it comes along. A start ends when the instance metadata shows the address here, or, where the metadata lags, when EC2 does. The monitor asks the instance metadata, and EC2 only when the metadata does not show the address, so that throttling or an outage of EC2's API fails nothing; with OCF_CHECK_LEVEL=10 it always asks EC2 too. Takes the place of ocf:heartbeat:awsvip and needs no AWS CLI. It does not configure the address on the node: that is ocf:heartbeat:IPaddr2. Needs ec2:AssignPrivateIpAddresses, ec2:UnassignPrivateIpAddresses and ec2:DescribeNetworkInterfaces.",
        actions: &[
            Advice::timeout("start", 60),
            Advice::timeout("stop", 60),
            Advice::monitor(0, 30, 10),
            Advice::monitor(10, 30, 60),
        ],
    };
    type Parameters = AwsVipParameters;

    fn new(parameters: AwsVipParameters, call: Call) -> Self {
        prepare_environment();
        let seen = Sighting::of(
            Self::DESCRIPTION.name,
            &call.resource,
            parameters.secondary_private_ip,
        );
        Self {
            parameters,
            call,
            seen,
        }
    }

    fn start(&self) -> Result<(), Failure> {
        address::start(self)
    }

    fn stop(&self) -> Result<(), Failure> {
        address::stop(self)
    }

    fn monitor(&self) -> Result<Health, Failure> {
        address::monitor(self)
    }

    fn validate(&self) -> Result<(), Failure> {
        self.fits_the_subnet()?;
        // Of the two calls that change something EC2 has no rehearsal.
        self.call.wait(async {
            let deadline = self.call.deadline;
            let asked = async {
                let (interface, ec2) = address::connect(self, deadline).await?;
                let has = async || ec2.has_address(&interface, self.address()).await;
                retry_transient(deadline, has).await
            };
            asked.await.map(drop).map_err(Failure::from)
        })
    }
}

impl Address for AwsVip {
    type Seen = Ipv4Addr;

    fn call(&self) -> &Call {
        &self.call
    }

    fn seen(&self) -> &Sighting<Ipv4Addr> {
        &self.seen
    }

    fn doubt_limit(&self) -> Duration {
        self.parameters.doubt_limit
    }

    fn account(&self) -> (Option<&Region>, Option<&str>) {
        let profile = self.parameters.profile.as_deref();
        (self.parameters.region.as_ref(), profile)
    }

    fn name(&self) -> String {
        self.address().to_string()
    }

    fn is_shown(&self) -> Result<bool, AwsError> {
        let metadata = Metadata::connect_by(self.call.deadline)?;
        metadata.interface()?.has(self.address())
    }

    fn absence(&self) -> String {
        format!(
            "the instance metadata does not show {} here",
            self.address()
        )
    }

    async fn is_at(&self, interface: &InterfaceId, ec2: &Ec2) -> Result<bool, AwsError> {
        ec2.has_address(interface, self.address()).await
    }

    async fn move_to(&self, interface: &InterfaceId, ec2: &Ec2) -> Result<(), Failure> {
        let (address, deadline) = (self.address(), self.call.deadline);
        self.call.steps.acting(&format!(
            "assigning {address} to {interface}, wherever it is"
        ));
        let assigned = retry_denied(deadline, async || ec2.assign(interface, address).await).await;
        assigned.map_err(|error| match error.kind {
            ErrorKind::InvalidValue => self.refused(&error),
            _ => error.into(),
        })
    }

    async fn take_from(
        &self,
        interface: &InterfaceId,
        ec2: &Ec2,
        deadline: Deadline,
    ) -> Result<(), AwsError> {
        let address = self.address();
        self.call
            .steps
            .acting(&format!("taking {address} from {interface}"));
        retry_transient(deadline, async || ec2.unassign(interface, address).await).await
    }
}

impl AwsVip {
    fn address(&self) -> Ipv4Addr {
        self.parameters.secondary_private_ip
    }

    /// The address may be wrong for this node, or taken at this moment.
    fn refused(&self, error: &AwsError) -> Failure {
        match self.fits_the_subnet() {
            Err(failure) if failure.exit == Exit::Installed => Failure {
                reason: format!("{}; {error}", failure.reason),
                ..failure
            },
            _ => Failure::generic(format!(
                "{error}; it has to be a free address of this instance's subnet, and no instance's primary one"
            )),
        }
    }

    /// That the address can be one of this instance's at all.
    fn fits_the_subnet(&self) -> Result<(), Failure> {
        let asked = || {
            let metadata = Metadata::connect_by(self.call.deadline)?;
            let interface = metadata.interface()?;
            Ok((interface.subnet()?, interface.primary()?))
        };
        let (subnet, primary) = asked().map_err(|error: AwsError| Failure::from(error))?;
        let address = self.address();
        let wrong = |what: &str| {
            Err(Failure::installed(format!(
                "secondary_private_ip {address} {what}: choose a free address of the subnet {subnet}"
            )))
        };
        if !subnet.contains(&address) {
            return wrong("is not in the subnet of this instance");
        }
        let place = address.to_bits() - subnet.network().to_bits();
        if place < RESERVED_FIRST || address == subnet.broadcast() {
            return wrong("is one that EC2 keeps for itself in every subnet");
        }
        if address == primary {
            return wrong("is this instance's own primary address");
        }
        Ok(())
    }
}
