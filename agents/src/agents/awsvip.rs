//! awsvip: the secondary private address, assigned to this instance's interface.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::address::{self, Address, POLL, Sighting};
use crate::aws::{AwsError, Metadata, Region, trust_the_bundle, until_expected, until_known};
use crate::meaning::Meaning;
use crate::ocf::params::parameters;
use crate::ocf::{Advice, Agent, Call, Deadline, Description, Failure, Health};

parameters! {
    /// The parameters of awsvip. Those that ocf:heartbeat:awsvip has too have its names.
    struct AwsVipParameters {
        secondary_private_ip: Ipv4Addr = required, unique, "address to assign",
            "The virtual address: a free private address of the instances' subnet, which is assigned to the primary network interface of this instance.";
        profile: String = optional, reloadable, "profile of the AWS configuration",
            "A profile of root's AWS configuration. Without one, the instance role is used, else root's default profile, else the environment.";
        region: Region = optional, reloadable, "AWS region",
            "The region. Without one, that of the AWS configuration, else the one that the instance runs in.";
        doubt_limit: Duration = default("3600"), reloadable, "seconds without metadata before a monitor fails",
            "How many seconds the instance metadata may give no answer before a monitor fails. Until then it reports the resource as degraded if the address was here when last seen.";
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
        long: "Assigns a secondary private address to the primary network interface of this EC2 instance, and takes it over from whichever instance has it; an Elastic IP that is associated with it comes along. A start ends when the instance metadata shows the address here. The monitor asks the instance metadata, not EC2, so that throttling or an outage of EC2's API fails nothing; with OCF_CHECK_LEVEL=10 it asks EC2 too. Takes the place of ocf:heartbeat:awsvip and needs no AWS CLI. It does not configure the address on the node: that is ocf:heartbeat:IPaddr2. Needs ec2:AssignPrivateIpAddresses and ec2:UnassignPrivateIpAddresses, and at level 10 ec2:DescribeNetworkInterfaces.",
        actions: &[
            Advice::timeout("start", 60),
            Advice::timeout("stop", 60),
            Advice::monitor(0, 30, 10),
            Advice::monitor(10, 30, 60),
        ],
    };
    type Parameters = AwsVipParameters;

    fn new(parameters: AwsVipParameters, call: Call) -> Self {
        trust_the_bundle();
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
                until_known(deadline, has).await
            };
            asked.await.map(drop).map_err(|error| error.failure())
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

    fn is_here(&self) -> Result<bool, AwsError> {
        let metadata = Metadata::connect_by(self.call.deadline)?;
        metadata.interface()?.has(self.address())
    }

    fn absence(&self) -> String {
        format!(
            "the instance metadata does not show {} here",
            self.address()
        )
    }

    async fn bring_here(&self) -> Result<(), Failure> {
        let (address, deadline) = (self.address(), self.call.deadline);
        let connected = address::connect(self, deadline).await;
        let (interface, ec2) = connected.map_err(|error| error.failure())?;
        self.call.steps.acting(&format!(
            "assigning {address} to {interface}, wherever it is"
        ));
        until_known(deadline, async || ec2.assign(&interface, address).await)
            .await
            .map_err(|error| match error.meaning {
                Meaning::InvalidValue => Failure::configured(format!(
                    "{error}. It has to be a free address of the instance's subnet, and no instance's primary one"
                )),
                _ => error.failure(),
            })?;
        self.call
            .steps
            .doing("waiting for the instance metadata to show the address");
        while !self.is_here().unwrap_or(false) {
            if !deadline.sleep(POLL).await {
                return Err(Failure::generic(format!(
                    "EC2 has assigned {address} to {interface}, but the instance metadata did not show it within {} s",
                    deadline.limit().as_secs()
                )));
            }
        }
        tracing::info!("{address} is here, says the instance metadata");
        Ok(())
    }

    async fn give_up(&self, deadline: Deadline) -> Result<(), AwsError> {
        let address = self.address();
        let (interface, ec2) = address::connect(self, deadline).await?;
        self.call
            .steps
            .acting(&format!("taking {address} from {interface}"));
        until_known(deadline, async || ec2.unassign(&interface, address).await).await
    }

    async fn ask_ec2(&self) -> Health {
        let (address, deadline) = (self.address(), self.call.deadline);
        let asked = async {
            let (interface, ec2) = address::connect(self, deadline).await?;
            let has = async || ec2.has_address(&interface, address).await;
            until_expected(deadline, |has| *has, has).await
        };
        match asked.await {
            Ok(true) => Health::Running,
            Ok(false) => Health::Stopped(format!("EC2 has {address} elsewhere or nowhere")),
            // Also when asking is not allowed: the metadata has shown it here.
            Err(error) => Health::Degraded(format!(
                "{error}; but the instance metadata shows {address} here"
            )),
        }
    }
}

impl AwsVip {
    fn address(&self) -> Ipv4Addr {
        self.parameters.secondary_private_ip
    }

    /// That the address can be one of this instance's at all.
    fn fits_the_subnet(&self) -> Result<(), Failure> {
        let asked = || {
            let metadata = Metadata::connect_by(self.call.deadline)?;
            let interface = metadata.interface()?;
            Ok((interface.subnet()?, interface.primary()?))
        };
        let (subnet, primary) = asked().map_err(|error: AwsError| error.failure())?;
        let address = self.address();
        let wrong = |what: &str| {
            Err(Failure::configured(format!(
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
