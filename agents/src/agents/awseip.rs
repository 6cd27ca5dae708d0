//! awseip: the Elastic IP, associated with the virtual address on this instance's interface.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::aws::{
    AllocationId, AwsError, Ec2, ElasticIp, InterfaceId, Meaning, Metadata, Region, until_known,
};
use crate::ocf::params::parameters;
use crate::ocf::{Advice, Agent, Call, Deadline, Description, Failure, Health, StateFile};

parameters! {
    /// The parameters of awseip.
    struct AwsEipParameters {
        allocation_id: AllocationId = required, unique, "allocation id of the Elastic IP",
            "The allocation id of the Elastic IP, such as eipalloc-02c7cf64a5cd449cf.";
        elastic_ip: Ipv4Addr = optional, unique, "the Elastic IP",
            "The Elastic IP itself. If it is given, a start refuses an allocation that is another address, and the monitor asks for this address and not for any.";
        private_ip_address: Ipv4Addr = required, "private address to associate it with",
            "The private address that the Elastic IP is associated with: the virtual address, which another resource (ocf:heartbeat:awsvip) assigns to this instance's primary interface.";
        profile: String = optional, "profile of the AWS configuration",
            "A profile of root's AWS configuration. Without one, the instance role is used, else root's default profile, else the environment.";
        region: Region = optional, "AWS region",
            "The region. Without one, that of the AWS configuration, else the one that the instance runs in.";
        doubt_limit: Duration = default("3600"), "seconds without metadata before a monitor fails",
            "How many seconds the instance metadata may give no answer before a monitor fails. Until then it reports the resource as degraded if it was associated here when last seen.";
    }
}

/// A stop doesn't wait longer for EC2: the next start takes the address over anyway.
const STOP: Duration = Duration::from_secs(12);
/// How long a stop waits for the metadata to follow.
const FOLLOW: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(200);

/// The agent.
#[derive(Debug)]
pub struct AwsEip {
    parameters: AwsEipParameters,
    call: Call,
    /// Written while the association is seen here; what a monitor goes by if the metadata is silent.
    seen: StateFile,
}

#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    allocation: String,
    private: Ipv4Addr,
}

impl Agent for AwsEip {
    const DESCRIPTION: Description = Description {
        name: "awseip",
        short: "Elastic IP of a virtual address on EC2",
        long: "Associates an Elastic IP with a secondary private address of this EC2 instance's primary network interface. The address is taken over from whichever instance has it. The monitor asks the instance metadata, not EC2, so that throttling or an outage of EC2's API fails nothing; with OCF_CHECK_LEVEL=10 it asks EC2 too. Needs ec2:DescribeAddresses, ec2:AssociateAddress and ec2:DisassociateAddress.",
        actions: &[
            Advice::timeout("start", 60),
            Advice::timeout("stop", 60),
            Advice::monitor(0, 30, 10),
            Advice::monitor(10, 30, 60),
        ],
    };
    type Parameters = AwsEipParameters;

    fn new(parameters: AwsEipParameters, call: Call) -> Self {
        let seen = StateFile::of(Self::DESCRIPTION.name, &call.resource);
        Self {
            parameters,
            call,
            seen,
        }
    }

    async fn start(&self) -> Result<(), Failure> {
        if self.is_here().unwrap_or(false) {
            return self.note();
        }
        let deadline = self.call.deadline;
        let interface = self.interface(deadline).await.map_err(|e| e.failure())?;
        self.call.steps.doing("asking EC2 where the Elastic IP is");
        let ec2 = self.connect(deadline).await.map_err(|e| e.failure())?;
        let address = self.look_up(&ec2, deadline).await?;
        let private = self.parameters.private_ip_address;
        // The address that moved took the Elastic IP with it; the metadata may not know yet.
        if !address
            .association
            .is_some_and(|a| a.is(&interface, private))
        {
            self.associate(&ec2, &interface).await?;
        }
        self.call
            .steps
            .doing("waiting for the instance metadata to show the association");
        while !self.is_here().unwrap_or(false) {
            if !deadline.sleep(POLL).await {
                return Err(Failure::generic(format!(
                    "EC2 has associated {} with {private}, but the instance metadata did not show it within {} s",
                    self.parameters.allocation_id,
                    deadline.limit().as_secs()
                )));
            }
        }
        self.note()
    }

    async fn stop(&self) -> Result<(), Failure> {
        // What is not here needs no call. Without an answer EC2 is asked.
        if matches!(self.is_here(), Ok(false)) {
            self.seen.remove();
            return Ok(());
        }
        // Where it was never seen it is worth less of the time that a failover takes.
        let never_seen = self.seen.load::<Seen>().is_none();
        let patience = if never_seen { STOP / 4 } else { STOP };
        let deadline = self.call.deadline.at_most(patience);
        if let Err(error) = self.disassociate(deadline).await {
            tracing::warn!("{error}; the association is left, the next start takes it over");
        } else {
            let follow = self.call.deadline.at_most(FOLLOW);
            while matches!(self.is_here(), Ok(true)) && follow.sleep(POLL).await {}
        }
        self.seen.remove();
        Ok(())
    }

    async fn monitor(&self) -> Result<Health, Failure> {
        match self.is_here() {
            Ok(true) => {
                if let Err(failure) = self.note() {
                    tracing::warn!("{failure}");
                }
            }
            Ok(false) => {
                return Ok(Health::Stopped(format!(
                    "the instance metadata shows no Elastic IP for {} here",
                    self.parameters.private_ip_address
                )));
            }
            Err(error) => return self.in_doubt(&error),
        }
        if self.call.check_level >= 10 {
            return Ok(self.ask_ec2().await);
        }
        Ok(Health::Running)
    }

    async fn validate(&self) -> Result<(), Failure> {
        let deadline = self.call.deadline;
        let ec2 = self.connect(deadline).await.map_err(|e| e.failure())?;
        self.look_up(&ec2, deadline).await.map(drop)
    }
}

impl AwsEip {
    /// Whether the metadata shows the association on this instance.
    fn is_here(&self) -> Result<bool, AwsError> {
        let metadata = Metadata::connect()?;
        let interface = metadata.interface()?;
        let private = self.parameters.private_ip_address;
        Ok(interface.has(private)? && interface.associates(self.parameters.elastic_ip, private)?)
    }

    async fn interface(&self, deadline: Deadline) -> Result<InterfaceId, AwsError> {
        self.call
            .steps
            .doing("asking the instance metadata for the interface");
        until_known(deadline, async || Metadata::connect()?.interface()?.id()).await
    }

    async fn connect(&self, deadline: Deadline) -> Result<Ec2, AwsError> {
        until_known(deadline, async || {
            Ec2::connect(
                self.parameters.region.as_ref().map(Region::as_str),
                self.parameters.profile.as_deref(),
            )
            .await
        })
        .await
    }

    /// The Elastic IP, if it is the one that was meant.
    async fn look_up(&self, ec2: &Ec2, deadline: Deadline) -> Result<ElasticIp, Failure> {
        let allocation = &self.parameters.allocation_id;
        let address = until_known(deadline, async || ec2.elastic_ip(allocation).await)
            .await
            .map_err(|error| error.failure())?;
        match (self.parameters.elastic_ip, address.public) {
            (Some(meant), Some(public)) if meant != public => Err(Failure::configured(format!(
                "{allocation} is {public}, not {meant}: correct allocation_id or elastic_ip"
            ))),
            _ => Ok(address),
        }
    }

    async fn associate(&self, ec2: &Ec2, interface: &InterfaceId) -> Result<(), Failure> {
        let private = self.parameters.private_ip_address;
        let allocation = &self.parameters.allocation_id;
        let deadline = self.call.deadline;
        self.call.steps.doing(&format!(
            "associating {allocation} with {private} on {interface}"
        ));
        loop {
            let answer = until_known(deadline, async || {
                ec2.associate(allocation, interface, private).await
            })
            .await;
            match answer {
                Ok(()) => return Ok(()),
                // The private address may still be on its way to this interface.
                Err(error) if error.meaning == Meaning::InvalidValue => {
                    tracing::info!("{error}; waiting for {private}");
                    if !deadline.sleep(POLL * 2).await {
                        return Err(Failure::generic(format!(
                            "{error}; is {private} assigned to this instance? It has to be before this resource starts"
                        )));
                    }
                }
                Err(error) => return Err(error.failure()),
            }
        }
    }

    /// Ends the association if it is this instance's, and no other.
    async fn disassociate(&self, deadline: Deadline) -> Result<(), AwsError> {
        let interface = self.interface(deadline).await?;
        self.call.steps.doing("asking EC2 where the Elastic IP is");
        let ec2 = self.connect(deadline).await?;
        let allocation = &self.parameters.allocation_id;
        let address = until_known(deadline, async || ec2.elastic_ip(allocation).await).await?;
        let Some(association) = address
            .association
            .filter(|a| a.is(&interface, self.parameters.private_ip_address))
        else {
            return Ok(());
        };
        self.call.steps.doing(&format!("ending {}", association.id));
        until_known(deadline, async || ec2.disassociate(&association.id).await).await
    }

    fn note(&self) -> Result<(), Failure> {
        self.seen.save(&Seen {
            allocation: self.parameters.allocation_id.to_string(),
            private: self.parameters.private_ip_address,
        })
    }

    /// The metadata is silent: what was last seen here decides. A node that has never seen
    /// it says that it is not here: were that wrong, the start elsewhere would take the address over.
    fn in_doubt(&self, error: &AwsError) -> Result<Health, Failure> {
        let Some(seen) = self.seen.load::<Seen>() else {
            return if self.call.probe {
                Ok(Health::Stopped(format!(
                    "{error}; nothing says that it was started here"
                )))
            } else {
                Err(Failure::generic(format!(
                    "{error}; nothing says that it was started here"
                )))
            };
        };
        let age = self.seen.age().unwrap_or_default();
        if seen.private != self.parameters.private_ip_address
            || seen.allocation != self.parameters.allocation_id.as_str()
            || age > self.parameters.doubt_limit
        {
            return Err(Failure::generic(format!(
                "{error}; last seen here {} s ago",
                age.as_secs()
            )));
        }
        Ok(Health::Degraded(format!(
            "{error}; it was here {} s ago",
            age.as_secs()
        )))
    }

    async fn ask_ec2(&self) -> Health {
        let deadline = self.call.deadline;
        let asked = async {
            let interface = self.interface(deadline).await?;
            let ec2 = self.connect(deadline).await?;
            let allocation = &self.parameters.allocation_id;
            let address = until_known(deadline, async || ec2.elastic_ip(allocation).await).await?;
            Ok::<_, AwsError>((interface, address.association))
        };
        match asked.await {
            Ok((interface, Some(association)))
                if association.is(&interface, self.parameters.private_ip_address) =>
            {
                Health::Running
            }
            Ok(_) => Health::Stopped(format!(
                "EC2 has {} associated elsewhere or not at all",
                self.parameters.allocation_id
            )),
            Err(error) if error.is_unknown() => Health::Degraded(error.to_string()),
            Err(error) => Health::Broken(error.to_string()),
        }
    }
}
