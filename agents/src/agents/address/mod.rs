//! What the agents of an address have in common. The instance metadata says whether the address is here. The
//! metadata can be silent, and it can be behind EC2, for minutes or for good: then EC2's own description decides.
//! When both are silent, what counts is that the address was here when it was last seen.

mod interface;
mod last_seen;

use std::time::Duration;

pub(super) use interface::InterfaceName;
use last_seen::{LastSeen, Witness};

use crate::ocf::params::Parameters;
use crate::ocf::{Advice, Agent, Call, Description, Failure, Health};
use ec2::{
    AwsError, Deadline, EVENTUAL_CONSISTENCY_WINDOW, Ec2, ErrorKind, Interface, InterfaceId,
    Metadata, Region, prepare_environment, retry_transient, retry_until,
};

/// How often the metadata is asked while it has to follow EC2.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long the metadata has at least to follow, each time.
const SHORTEST_METADATA_WAIT: Duration = Duration::from_millis(500);
/// How long a stop tries: the next start takes the address over anyway.
const STOP_TIMEOUT: Duration = Duration::from_secs(12);
/// How long a stop waits for the metadata to follow.
const STOP_METADATA_TIMEOUT: Duration = Duration::from_secs(5);
/// How long EC2 may take to answer what the metadata does not show.
const EC2_TIMEOUT: Duration = Duration::from_secs(8);
/// How long ago the metadata showed an address that it shows no more, until it is believed without EC2. It has been
/// seen to lose addresses for a moment.
const METADATA_DOUBT: Duration = Duration::from_secs(120);

pub(super) const ACTIONS: &[Advice] = &[
    Advice::timeout("start", 60),
    Advice::timeout("stop", 60),
    Advice::monitor(0, 30, 10),
    Advice::monitor(10, 30, 60),
];

/// Declares the parameters of an agent of an address: its own, then those that all of them have.
macro_rules! address_parameters {
    ($(#[$doc:meta])* struct $Name:ident {$($own:tt)*}) => {
        parameters! {
            $(#[$doc])*
            struct $Name {
                $($own)*
                interface: crate::agents::address::InterfaceName = optional, "network interface",
                    "The network interface of this instance that carries the private address, by the kernel's name (`ip link`), such as ens6. It has to be the same name on each node. Without one, the instance's primary interface (device index 0).";
                profile: String = optional, reloadable, "profile of the AWS configuration",
                    "A profile of root's AWS configuration. Without one, the environment is used, else root's default profile, else the instance role.";
                region: ec2::Region = optional, reloadable, "AWS region",
                    "The region. Without one, that of the AWS configuration, else the one that the instance runs in.";
                doubt_limit: std::time::Duration = default("3600"), reloadable, "seconds without metadata before a monitor complains",
                    "How many seconds the instance metadata may give no answer before the monitor's reason says that this lasts too long. However long it lasts, the monitor reports the resource as degraded (190) and never as failed.";
            }
        }

        impl crate::agents::address::SharedParameters for $Name {
            fn shared(&self) -> crate::agents::address::Shared<'_> {
                crate::agents::address::Shared {
                    interface: self.interface.as_ref(),
                    profile: self.profile.as_deref(),
                    region: self.region.as_ref(),
                    doubt_limit: self.doubt_limit,
                }
            }
        }
    };
}
pub(super) use address_parameters;

pub(super) struct Shared<'a> {
    pub(super) interface: Option<&'a InterfaceName>,
    pub(super) profile: Option<&'a str>,
    pub(super) region: Option<&'a Region>,
    pub(super) doubt_limit: Duration,
}

pub(super) trait SharedParameters {
    fn shared(&self) -> Shared<'_>;
}

/// An address that EC2 moves between instances, by its parameters.
pub(super) trait Address: Parameters + SharedParameters {
    const DESCRIPTION: Description;

    fn name(&self) -> String;
    /// What tells the address from that of another configuration.
    fn identity(&self) -> String {
        self.name()
    }
    /// Whether the metadata shows it on this interface.
    fn is_shown(&self, interface: &Interface<'_>) -> Result<bool, AwsError>;
    /// What the metadata shows when it does not.
    fn absence(&self) -> String;
    /// Whether EC2 has it on this interface.
    async fn is_at(&self, at: &Location<'_>) -> Result<bool, AwsError>;
    /// Has EC2 move it to this interface.
    async fn move_to(&self, at: &Location<'_>) -> Result<(), Failure>;
    /// Has EC2 take it from this interface, and from no other.
    async fn take_from(&self, at: &Location<'_>) -> Result<(), AwsError>;
    /// Checks that EC2 would move it to this interface, and changes nothing.
    async fn rehearse(&self, at: &Location<'_>) -> Result<(), Failure>;
}

/// An interface of this instance, EC2, and until when it is asked.
pub(super) struct Location<'a> {
    pub(super) interface: InterfaceId,
    pub(super) ec2: Ec2,
    pub(super) deadline: Deadline,
    pub(super) call: &'a Call,
    pub(super) name: Option<&'a InterfaceName>,
}

impl Location<'_> {
    /// What `read` gives of the interface in the instance metadata.
    pub(super) fn in_metadata<T>(
        &self,
        read: impl FnOnce(&Interface<'_>) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let metadata = Metadata::connect_by(self.deadline)?;
        read(&interface::in_metadata(&metadata, self.name)?)
    }
}

pub(super) struct AddressAgent<A: Address> {
    address: A,
    call: Call,
    last_seen: LastSeen,
}

impl<A: Address> Agent for AddressAgent<A> {
    const DESCRIPTION: Description = A::DESCRIPTION;
    type Parameters = A;

    fn new(address: A, call: Call) -> Self {
        prepare_environment();
        let agent = Self::DESCRIPTION.name;
        let last_seen = LastSeen::of(agent, &call.resource, address.identity());
        Self {
            address,
            call,
            last_seen,
        }
    }

    /// Nothing is done for an address that is here. An Elastic IP moves with its private address, so often it is.
    fn start(&self) -> Result<(), Failure> {
        let shown = self.is_shown().unwrap_or(false);
        if shown && self.last_seen.age().is_some() {
            return Ok(());
        }
        let witness = self.call.wait(async {
            // The metadata may still show what was stopped here a moment ago. If EC2 is silent, it is believed.
            if shown && !matches!(self.ask_ec2().await, Ok(false)) {
                return Ok(Witness::Metadata);
            }
            self.bring_here().await
        })?;
        self.last_seen.note(witness)
    }

    /// Best effort, since the next start takes the address over. An address that is not here needs no call.
    fn stop(&self) -> Result<(), Failure> {
        // The metadata may show later what it did not show before.
        let is_gone =
            matches!(self.is_shown(), Ok(false)) && self.last_seen.witness() != Some(Witness::Ec2);
        if !is_gone {
            self.call.wait(async {
                self.give_up().await;
                Ok(())
            })?;
        }
        self.last_seen.remove();
        Ok(())
    }

    /// What the metadata shows, and in depth what EC2 says too.
    fn monitor(&self) -> Result<Health, Failure> {
        let seen = &self.last_seen;
        match self.is_shown() {
            Ok(true) => {
                if seen.witness() == Some(Witness::Ec2) {
                    let name = self.address.name();
                    tracing::info!("the instance metadata shows {name} now");
                }
                seen.note_if_possible(Witness::Metadata);
                if !self.call.in_depth() {
                    return Ok(Health::Running);
                }
                self.call.wait(async { Ok(self.confirm().await) })
            }
            // A probe of what was never here needs no call.
            Ok(false) if self.call.probe && seen.age().is_none() => {
                Ok(Health::Stopped(self.address.absence()))
            }
            Ok(false) => self.call.wait(async { Ok(self.not_shown().await) }),
            Err(error) => Ok(self.metadata_is_silent(&error)),
        }
    }

    fn validate(&self) -> Result<(), Failure> {
        self.call.wait(async {
            let at = self.locate(self.call.deadline).await?;
            self.address.rehearse(&at).await
        })
    }
}

impl<A: Address> AddressAgent<A> {
    /// Whether the metadata shows the address on its interface. An interface that this node does not have has none.
    fn is_shown(&self) -> Result<bool, AwsError> {
        let metadata = Metadata::connect_by(self.call.deadline)?;
        match interface::in_metadata(&metadata, self.address.shared().interface) {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            interface => self.address.is_shown(&interface?),
        }
    }

    async fn locate(&self, deadline: Deadline) -> Result<Location<'_>, AwsError> {
        let step = "asking the instance metadata for the interface";
        self.call.steps.doing(step);
        let shared = self.address.shared();
        let interface = retry_transient(deadline, async || {
            let metadata = Metadata::connect_by(deadline)?;
            interface::in_metadata(&metadata, shared.interface)?.id()
        });
        Ok(Location {
            interface: interface.await?,
            ec2: Ec2::connect_by(deadline, shared.region, shared.profile).await?,
            deadline,
            call: &self.call,
            name: shared.interface,
        })
    }

    async fn bring_here(&self) -> Result<Witness, Failure> {
        let deadline = self.call.deadline;
        let at = self.locate(deadline).await?;
        self.address.move_to(&at).await?;
        loop {
            let step = "waiting for the instance metadata to show the address";
            self.call.steps.doing(step);
            // EC2 is asked in the other half of the time that is left.
            let patience = EVENTUAL_CONSISTENCY_WINDOW.min(deadline.remaining() / 2);
            let patience = deadline.at_most(patience.max(SHORTEST_METADATA_WAIT));
            if self.metadata_follows(true, patience).await {
                let name = self.address.name();
                tracing::info!("{name} is here, says the instance metadata");
                return Ok(Witness::Metadata);
            }
            // https://github.com/aws/amazon-vpc-cni-k8s/issues/2497 and 3019: the metadata is late, or never shows it.
            let patience = deadline.at_most(EVENTUAL_CONSISTENCY_WINDOW);
            let asked = retry_transient(patience, async || self.address.is_at(&at).await).await;
            let is_over = deadline.is_over();
            let ec2_says = match asked {
                Ok(true) => {
                    self.warn_of_late_metadata();
                    return Ok(Witness::Ec2);
                }
                Ok(false) if !is_over => {
                    // What EC2 described before the move may have been old.
                    self.address.move_to(&at).await?;
                    continue;
                }
                Err(_) if !is_over => continue,
                Ok(false) => "EC2 does not describe it here".to_owned(),
                Err(error) => error.to_string(),
            };
            let absence = self.address.absence();
            return Err(Failure::generic(format!(
                "{absence}, after EC2 was told to have it here; {ec2_says}"
            )));
        }
    }

    /// Has EC2 take the address from here, and waits until the metadata shows that.
    async fn give_up(&self) {
        let deadline = self.call.deadline;
        // A failover waits for the stop. An address that was never seen here is worth less of its time.
        let was_seen = self.last_seen.age().is_some();
        let patience = deadline.at_most(STOP_TIMEOUT / if was_seen { 1 } else { 4 });
        let given_up = async {
            let at = self.locate(patience).await?;
            self.address.take_from(&at).await
        };
        match given_up.await {
            Ok(()) => {
                let patience = deadline.at_most(STOP_METADATA_TIMEOUT);
                self.metadata_follows(false, patience).await;
            }
            Err(error) => {
                tracing::warn!("{error}; the next start takes the address over from here")
            }
        }
    }

    /// Waits until the metadata shows the address, or does not. False if that takes too long. Silence shows nothing.
    async fn metadata_follows(&self, shown: bool, patience: Deadline) -> bool {
        while self.is_shown().unwrap_or(false) != shown {
            if !patience.sleep(POLL_INTERVAL).await {
                return false;
            }
        }
        true
    }

    fn warn_of_late_metadata(&self) {
        let absence = self.address.absence();
        tracing::warn!("{absence}, but EC2 has it here, and that counts");
    }

    /// Where EC2 says that the address is, after the metadata showed it here.
    async fn confirm(&self) -> Health {
        let deadline = self.call.deadline;
        let name = self.address.name();
        let asked = async {
            let at = self.locate(deadline).await?;
            let ask = async || self.address.is_at(&at).await;
            retry_until(deadline, |here| *here, ask).await
        };
        match asked.await {
            Ok(true) => Health::Running,
            Ok(false) => Health::Stopped(format!("EC2 has {name} elsewhere or nowhere")),
            // Also when EC2 does not know the address or denies the call: a wrong region or wrong credentials are
            // no reason to stop what is here.
            Err(error) => Health::Degraded(format!(
                "{error}; but the instance metadata shows {name} here"
            )),
        }
    }

    /// What a monitor answers when the metadata does not show what was here.
    async fn not_shown(&self) -> Health {
        let (absence, seen) = (self.address.absence(), &self.last_seen);
        let (witness, age) = (seen.witness(), seen.age());
        match self.ask_ec2().await {
            Ok(true) => {
                if witness != Some(Witness::Ec2) {
                    self.warn_of_late_metadata();
                }
                seen.note_if_possible(Witness::Ec2);
                Health::Running
            }
            Ok(false) => Health::Stopped(format!("{absence}, nor has EC2 it here")),
            Err(error)
                if witness == Some(Witness::Metadata)
                    && age.is_some_and(|age| age > METADATA_DOUBT) =>
            {
                Health::Stopped(format!("{absence}; {error}"))
            }
            // Metadata that never showed the address is no evidence against it, and nobody else can be asked.
            Err(error) => Health::Degraded(format!("{absence}, but {}; {error}", last_seen(age))),
        }
    }

    /// Whether EC2 has the address here, asked once.
    async fn ask_ec2(&self) -> Result<bool, AwsError> {
        let deadline = self.call.deadline.at_most(EC2_TIMEOUT);
        self.call.steps.doing("asking EC2 for the address");
        let asked = async {
            let at = self.locate(deadline).await?;
            self.address.is_at(&at).await
        };
        let asked = tokio::time::timeout(deadline.remaining(), asked).await;
        asked.unwrap_or_else(|_| {
            let (doing, said) = ("find the address", "EC2 did not answer in time");
            Err(AwsError::new(ErrorKind::Unknown, doing, said))
        })
    }

    /// What a monitor answers when the metadata gives no answer. A recurring monitor looks at what was started here:
    /// that nobody can be asked is no reason to stop it. A probe of a node that has never seen the address says that
    /// it is not here: were that wrong, the start elsewhere would take the address over.
    fn metadata_is_silent(&self, error: &AwsError) -> Health {
        let age = self.last_seen.age();
        if age.is_none() && self.call.probe {
            return Health::Stopped(format!("nothing says that it was started here: {error}"));
        }
        let complaint = match age {
            Some(age) if age > self.address.shared().doubt_limit => ", longer than doubt_limit",
            _ => "",
        };
        // What follows from it first: Pacemaker keeps no more than 127 characters.
        Health::Degraded(format!("{}{complaint}; now: {error}", last_seen(age)))
    }
}

fn last_seen(age: Option<Duration>) -> String {
    match age {
        Some(age) => format!("it was here {} s ago", age.as_secs()),
        None => "nothing tells when it was last seen here".to_owned(),
    }
}
