//! awseip: the Elastic IP, associated with the virtual address on this instance's interface.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::{self, Address, Sighting};
use crate::ocf::params::parameters;
use crate::ocf::{Advice, Agent, Call, Description, Failure, Health};
use ec2::Deadline;
use ec2::ErrorKind;
use ec2::{
    AllocationId, AwsError, Ec2, ElasticIp, InterfaceId, Metadata, Region, prepare_environment,
    retry_denied, retry_transient,
};

parameters! {
    /// The parameters of awseip.
    struct AwsEipParameters {
        allocation_id: AllocationId = required, unique, "allocation id of the Elastic IP",
            "The allocation id of the Elastic IP, such as eipalloc-02c7cf64a5cd449cf.";
        elastic_ip: Ipv4Addr = optional, unique, "the Elastic IP",
            "The Elastic IP itself. If it is given, a start refuses an allocation that is another address, and the monitor asks for this address and not for any.";
        private_ip_address: Ipv4Addr = required, "private address to associate it with",
            "The private address that the Elastic IP is associated with: the virtual address, which another resource (ocf:portsip:awsvip) assigns to this instance's primary interface.";
        profile: String = optional, reloadable, "profile of the AWS configuration",
            "A profile of root's AWS configuration. Without one, the environment is used, else root's default profile, else the instance role.";
        region: Region = optional, reloadable, "AWS region",
            "The region. Without one, that of the AWS configuration, else the one that the instance runs in.";
        doubt_limit: Duration = default("3600"), reloadable, "seconds without metadata before a monitor complains",
            "How many seconds the instance metadata may give no answer before the monitor's reason says that this lasts too long. However long it lasts, the monitor reports the resource as degraded (190) and never as failed.";
    }
}

/// How often EC2 is asked again while the private address is on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(400);

/// The agent.
#[derive(Debug)]
pub struct AwsEip {
    parameters: AwsEipParameters,
    call: Call,
    seen: Sighting<Seen>,
}

/// What tells its sighting from another's.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    allocation: String,
    private: Ipv4Addr,
}

impl Agent for AwsEip {
    const DESCRIPTION: Description = Description {
        name: "awseip",
        short: "Elastic IP of a virtual address on EC2",
        long: "Associates an Elastic IP with a secondary private address of this EC2 instance's primary network interface. The address is taken over from whichever instance has it. The monitor asks the instance metadata, and EC2 only when the metadata does not show the association, so that throttling or an outage of EC2's API fails nothing; with OCF_CHECK_LEVEL=10 it always asks EC2 too. Needs ec2:DescribeAddresses, ec2:AssociateAddress and ec2:DisassociateAddress.",
        actions: &[
            Advice::timeout("start", 60),
            Advice::timeout("stop", 60),
            Advice::monitor(0, 30, 10),
            Advice::monitor(10, 30, 60),
        ],
    };
    type Parameters = AwsEipParameters;

    fn new(parameters: AwsEipParameters, call: Call) -> Self {
        prepare_environment();
        let seen = Seen {
            allocation: parameters.allocation_id.to_string(),
            private: parameters.private_ip_address,
        };
        Self {
            seen: Sighting::of(Self::DESCRIPTION.name, &call.resource, seen),
            parameters,
            call,
        }
    }

    // An address that moved has taken the Elastic IP with it, so often nothing is to do.
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
        self.call.wait(async {
            let deadline = self.call.deadline;
            let connected = address::connect(self, deadline).await;
            let (interface, ec2) = connected.map_err(Failure::from)?;
            let address = self.look_up(&ec2, deadline).await?;
            let rehearsal = async {
                let (ec2, parameters) = (ec2.dry_run(), &self.parameters);
                let associated = retry_transient(deadline, async || {
                    let private = parameters.private_ip_address;
                    ec2.associate(&parameters.allocation_id, &interface, private)
                        .await
                });
                match AwsError::permits(associated.await) {
                    // The private address comes here with the resource before this one.
                    Err(error) if error.kind == ErrorKind::InvalidValue => {}
                    answer => answer?,
                }
                let Some(association) = address.association else {
                    return Ok(());
                };
                let ended = async || ec2.disassociate(&association.id).await;
                AwsError::permits(retry_transient(deadline, ended).await)
            };
            rehearsal.await.map_err(Failure::from)
        })
    }
}

impl Address for AwsEip {
    type Seen = Seen;

    fn call(&self) -> &Call {
        &self.call
    }

    fn seen(&self) -> &Sighting<Seen> {
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
        self.parameters.allocation_id.to_string()
    }

    fn is_shown(&self) -> Result<bool, AwsError> {
        let metadata = Metadata::connect_by(self.call.deadline)?;
        let interface = metadata.interface()?;
        let private = self.parameters.private_ip_address;
        Ok(interface.has(private)? && interface.associates(self.parameters.elastic_ip, private)?)
    }

    fn absence(&self) -> String {
        format!(
            "the instance metadata shows no Elastic IP for {} here",
            self.parameters.private_ip_address
        )
    }

    async fn is_at(&self, interface: &InterfaceId, ec2: &Ec2) -> Result<bool, AwsError> {
        let address = ec2.elastic_ip(&self.parameters.allocation_id).await?;
        Ok(self.is_associated(&address, interface))
    }

    async fn move_to(&self, interface: &InterfaceId, ec2: &Ec2) -> Result<(), Failure> {
        self.call.steps.doing("asking EC2 where the Elastic IP is");
        let address = self.look_up(ec2, self.call.deadline).await?;
        // The metadata may not know yet what EC2 does.
        if self.is_associated(&address, interface) {
            let allocation = &self.parameters.allocation_id;
            tracing::info!("EC2 has {allocation} associated here already");
            return Ok(());
        }
        self.associate(ec2, interface).await
    }

    async fn take_from(
        &self,
        interface: &InterfaceId,
        ec2: &Ec2,
        deadline: Deadline,
    ) -> Result<(), AwsError> {
        self.call.steps.doing("asking EC2 where the Elastic IP is");
        let allocation = &self.parameters.allocation_id;
        let address = retry_transient(deadline, async || ec2.elastic_ip(allocation).await).await?;
        let Some(association) = address
            .association
            .filter(|a| a.is(interface, self.parameters.private_ip_address))
        else {
            tracing::info!("EC2 does not have {allocation} associated here: nothing to end");
            return Ok(());
        };
        let ending = format!("ending {} of {allocation}", association.id);
        self.call.steps.acting(&ending);
        retry_transient(deadline, async || ec2.disassociate(&association.id).await).await
    }
}

impl AwsEip {
    fn is_associated(&self, address: &ElasticIp, interface: &InterfaceId) -> bool {
        let private = self.parameters.private_ip_address;
        let association = address.association.as_ref();
        association.is_some_and(|a| a.is(interface, private))
    }

    /// The Elastic IP, if it is the one that was meant.
    async fn look_up(&self, ec2: &Ec2, deadline: Deadline) -> Result<ElasticIp, Failure> {
        let allocation = &self.parameters.allocation_id;
        let address = retry_denied(deadline, async || ec2.elastic_ip(allocation).await)
            .await
            .map_err(Failure::from)?;
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
        self.call.steps.acting(&format!(
            "associating {allocation} with {private} on {interface}, wherever it is"
        ));
        loop {
            let answer = retry_denied(deadline, async || {
                ec2.associate(allocation, interface, private).await
            })
            .await;
            match answer {
                Ok(()) => return Ok(()),
                // The private address may still be on its way to this interface.
                Err(error) if error.kind == ErrorKind::InvalidValue => {
                    tracing::info!("{error}; waiting for {private}");
                    if !deadline.sleep(ON_ITS_WAY).await {
                        return Err(Failure::generic(format!(
                            "{error}; is {private} assigned to this instance? It has to be before this resource starts"
                        )));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
