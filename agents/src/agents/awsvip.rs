//! awsvip: the secondary private address, assigned to this instance's interface.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::sighting::Sighting;
use crate::aws::{
    AwsError, Ec2, InterfaceId, Metadata, Region, trust_the_bundle, until_expected, until_known,
};
use crate::meaning::Meaning;
use crate::ocf::params::parameters;
use crate::ocf::{Advice, Agent, Call, Deadline, Description, Failure, Health};

parameters! {
    /// The parameters of awsvip. Those that ocf:heartbeat:awsvip has too have its names.
    struct AwsVipParameters {
        secondary_private_ip: Ipv4Addr = required, unique, "address to assign",
            "The virtual address: a free private address of the instances' subnet, which is assigned to the primary network interface of this instance.";
        profile: String = optional, "profile of the AWS configuration",
            "A profile of root's AWS configuration. Without one, the instance role is used, else root's default profile, else the environment.";
        region: Region = optional, "AWS region",
            "The region. Without one, that of the AWS configuration, else the one that the instance runs in.";
        doubt_limit: Duration = default("3600"), "seconds without metadata before a monitor fails",
            "How many seconds the instance metadata may give no answer before a monitor fails. Until then it reports the resource as degraded if the address was here when last seen.";
    }
}

/// A stop doesn't wait longer for EC2: the next start takes the address over anyway.
const STOP: Duration = Duration::from_secs(12);
/// How long a stop waits for the metadata to follow.
const FOLLOW: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
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
        if !self.is_here().unwrap_or(false) {
            self.call.wait(self.assign_here())?;
        }
        self.seen.note()
    }

    fn stop(&self) -> Result<(), Failure> {
        // What is not here needs no call. Without an answer EC2 is asked.
        if !matches!(self.is_here(), Ok(false)) {
            self.call.wait(async {
                self.give_up().await;
                Ok(())
            })?;
        }
        self.seen.forget();
        Ok(())
    }

    fn monitor(&self) -> Result<Health, Failure> {
        match self.is_here() {
            Ok(true) => self.seen.note_if_possible(),
            Ok(false) => {
                return Ok(Health::Stopped(format!(
                    "the instance metadata does not show {} here",
                    self.address()
                )));
            }
            Err(error) => {
                let limit = self.parameters.doubt_limit;
                return self.seen.in_doubt(&self.call, limit, &error);
            }
        }
        if !self.call.in_depth() {
            return Ok(Health::Running);
        }
        self.call.wait(async { Ok(self.ask_ec2().await) })
    }

    fn validate(&self) -> Result<(), Failure> {
        self.fits_the_subnet()?;
        // Of the two calls that change something EC2 has no rehearsal.
        self.call.wait(async {
            let deadline = self.call.deadline;
            let asked = async {
                let (interface, ec2) = self.connect(deadline).await?;
                let has = async || ec2.has_address(&interface, self.address()).await;
                until_known(deadline, has).await
            };
            asked.await.map(drop).map_err(|error| error.failure())
        })
    }
}

impl AwsVip {
    fn address(&self) -> Ipv4Addr {
        self.parameters.secondary_private_ip
    }

    /// Whether the metadata shows the address on this instance.
    fn is_here(&self) -> Result<bool, AwsError> {
        let metadata = Metadata::connect_by(self.call.deadline)?;
        metadata.interface()?.has(self.address())
    }

    async fn connect(&self, deadline: Deadline) -> Result<(InterfaceId, Ec2), AwsError> {
        self.call
            .steps
            .doing("asking the instance metadata for the interface");
        let interface = until_known(deadline, async || {
            Metadata::connect_by(deadline)?.interface()?.id()
        })
        .await?;
        let region = self.parameters.region.as_ref();
        let profile = self.parameters.profile.as_deref();
        Ok((interface, Ec2::connect_by(deadline, region, profile).await?))
    }

    async fn assign_here(&self) -> Result<(), Failure> {
        let (address, deadline) = (self.address(), self.call.deadline);
        let connected = self.connect(deadline).await;
        let (interface, ec2) = connected.map_err(|error| error.failure())?;
        self.call
            .steps
            .doing(&format!("assigning {address} to {interface}"));
        tracing::info!("assigning {address} to {interface}, wherever it is");
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

    /// Takes the address from this instance's interface. A failure is told and left: the next start takes
    /// the address over.
    async fn give_up(&self) {
        // Where it was never seen it is worth less of the time that a failover takes.
        let never_seen = self.seen.age().is_none();
        let patience = if never_seen { STOP / 4 } else { STOP };
        let (address, deadline) = (self.address(), self.call.deadline.at_most(patience));
        let unassigned = async {
            let (interface, ec2) = self.connect(deadline).await?;
            self.call
                .steps
                .doing(&format!("taking {address} from {interface}"));
            tracing::info!("taking {address} from {interface}");
            until_known(deadline, async || ec2.unassign(&interface, address).await).await
        };
        if let Err(error) = unassigned.await {
            tracing::warn!("{error}; {address} is left here, the next start takes it over");
            return;
        }
        let follow = self.call.deadline.at_most(FOLLOW);
        while matches!(self.is_here(), Ok(true)) && follow.sleep(POLL).await {}
    }

    async fn ask_ec2(&self) -> Health {
        let (address, deadline) = (self.address(), self.call.deadline);
        let asked = async {
            let (interface, ec2) = self.connect(deadline).await?;
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
