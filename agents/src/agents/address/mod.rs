//! What the agents of an address have in common. The instance metadata says whether the address is here. It can
//! be silent, and it can lag behind EC2, for minutes or for good: then EC2's own description decides. When both
//! are silent, what counts is that the address was here when it was last seen.

mod sighting;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) use sighting::Sighting;
use sighting::Witness;

use crate::ocf::{Call, Failure, Health};
use ec2::Deadline;
use ec2::ErrorKind;
use ec2::{
    AwsError, EVENTUAL_CONSISTENCY_WINDOW, Ec2, InterfaceId, Metadata, Region, retry_transient,
    retry_until,
};

/// How often the metadata is asked while it has to follow.
const POLL: Duration = Duration::from_millis(50);
/// How long it has at least, each time.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
/// A stop doesn't wait longer for EC2: the next start takes the address over anyway.
const STOP: Duration = Duration::from_secs(12);
/// How long a stop waits for the metadata to follow.
const FOLLOW: Duration = Duration::from_secs(5);
/// How long EC2 may take to say what the metadata does not know.
const SECOND_OPINION: Duration = Duration::from_secs(8);
/// How long the metadata has to say that an address which it showed before has gone until it is believed without
/// EC2. It has been seen to forget addresses for a moment.
const FORGETFUL: Duration = Duration::from_secs(120);

/// An address that EC2 moves between instances.
pub(super) trait Address {
    /// What tells it from what another configuration saw.
    type Seen: Serialize + DeserializeOwned + PartialEq;

    fn call(&self) -> &Call;
    fn seen(&self) -> &Sighting<Self::Seen>;
    /// How long the metadata may be silent before a monitor complains of it.
    fn doubt_limit(&self) -> Duration;
    /// The region and the profile of the AWS configuration.
    fn account(&self) -> (Option<&Region>, Option<&str>);
    /// What people call it.
    fn name(&self) -> String;
    /// Whether the metadata shows it on this instance.
    fn is_shown(&self) -> Result<bool, AwsError>;
    /// What the metadata shows when it does not.
    fn absence(&self) -> String;
    /// Whether EC2 has it on this interface.
    async fn is_at(&self, interface: &InterfaceId, ec2: &Ec2) -> Result<bool, AwsError>;
    /// Has EC2 move it to this interface.
    async fn move_to(&self, interface: &InterfaceId, ec2: &Ec2) -> Result<(), Failure>;
    /// Has EC2 take it from this interface, and from no other.
    async fn take_from(
        &self,
        interface: &InterfaceId,
        ec2: &Ec2,
        deadline: Deadline,
    ) -> Result<(), AwsError>;
}

/// Start: nothing is done for what is here.
pub(super) fn start(address: &impl Address) -> Result<(), Failure> {
    let (call, seen) = (address.call(), address.seen());
    let shown = address.is_shown().unwrap_or(false);
    if shown && seen.age().is_some() {
        return Ok(());
    }
    let witness = call.wait(async {
        // What was stopped here a moment ago may still be shown. Without EC2's word it is taken for true.
        if shown && !matches!(second_opinion(address).await, Ok(false)) {
            return Ok(Witness::Metadata);
        }
        bring_here(address).await
    })?;
    seen.note(witness)
}

async fn bring_here(address: &impl Address) -> Result<Witness, Failure> {
    let (call, deadline) = (address.call(), address.call().deadline);
    let connected = connect(address, deadline).await;
    let (interface, ec2) = connected.map_err(Failure::from)?;
    let is_here = async || address.is_at(&interface, &ec2).await;
    address.move_to(&interface, &ec2).await?;
    loop {
        call.steps
            .doing("waiting for the instance metadata to show the address");
        if is_shown_soon(address).await {
            tracing::info!("{} is here, says the instance metadata", address.name());
            return Ok(Witness::Metadata);
        }
        // https://github.com/aws/amazon-vpc-cni-k8s/issues/2497 and 3019: it lags, or never shows it.
        let asked = retry_transient(deadline.at_most(EVENTUAL_CONSISTENCY_WINDOW), is_here).await;
        if matches!(asked, Ok(true)) {
            warn_of_lag(address);
            return Ok(Witness::Ec2);
        }
        if deadline.is_over() {
            let ec2_says = match asked {
                Err(error) => error.to_string(),
                Ok(_) => "EC2 does not describe it here".to_owned(),
            };
            return Err(Failure::generic(format!(
                "{}, after EC2 was told to have it here; {ec2_says}",
                address.absence()
            )));
        }
        if matches!(asked, Ok(false)) {
            // What EC2 described before may have been of the past.
            address.move_to(&interface, &ec2).await?;
        }
    }
}

/// Whether the metadata shows it while it usually follows.
async fn is_shown_soon(address: &impl Address) -> bool {
    let deadline = address.call().deadline;
    // What is left has to do for EC2's word.
    let patience = EVENTUAL_CONSISTENCY_WINDOW
        .min(deadline.remaining() / 2)
        .max(SHORTEST_WAIT);
    let patience = deadline.at_most(patience);
    loop {
        if address.is_shown().unwrap_or(false) {
            return true;
        }
        if !patience.sleep(POLL).await {
            return false;
        }
    }
}

fn warn_of_lag(address: &impl Address) {
    tracing::warn!(
        "{}, but EC2 has it here, and that counts",
        address.absence()
    );
}

/// Stop: best effort, since the next start takes the address over. What is not here needs no call; without
/// an answer EC2 is asked.
pub(super) fn stop(address: &impl Address) -> Result<(), Failure> {
    let (call, seen) = (address.call(), address.seen());
    // What the metadata did not show before, it may show later.
    let gone = matches!(address.is_shown(), Ok(false)) && seen.witness() != Some(Witness::Ec2);
    if !gone {
        // Where it was never seen it is worth less of the time that a failover takes.
        let patience = if seen.age().is_none() { STOP / 4 } else { STOP };
        call.wait(async {
            let deadline = call.deadline.at_most(patience);
            let given_up = async {
                let (interface, ec2) = connect(address, deadline).await?;
                address.take_from(&interface, &ec2, deadline).await
            };
            if let Err(error) = given_up.await {
                tracing::warn!("{error}; it is left here, the next start takes it over");
                return Ok(());
            }
            let follow = call.deadline.at_most(FOLLOW);
            while matches!(address.is_shown(), Ok(true)) && follow.sleep(POLL).await {}
            Ok(())
        })?;
    }
    seen.forget();
    Ok(())
}

/// Monitor: what the metadata shows, and in depth what EC2 says too.
pub(super) fn monitor(address: &impl Address) -> Result<Health, Failure> {
    let (call, seen) = (address.call(), address.seen());
    match address.is_shown() {
        Ok(true) => {
            if seen.witness() == Some(Witness::Ec2) {
                tracing::info!("the instance metadata shows {} now", address.name());
            }
            seen.note_if_possible(Witness::Metadata);
            if call.in_depth() {
                return call.wait(async { Ok(confirm(address).await) });
            }
            Ok(Health::Running)
        }
        // A probe of what was never here needs no call.
        Ok(false) if call.probe && seen.age().is_none() => Ok(Health::Stopped(address.absence())),
        Ok(false) => call.wait(async { Ok(not_shown(address).await) }),
        Err(error) => Ok(in_doubt(address, &error)),
    }
}

/// Where EC2 says that it is, after the metadata showed it here.
async fn confirm(address: &impl Address) -> Health {
    let deadline = address.call().deadline;
    let asked = async {
        let (interface, ec2) = connect(address, deadline).await?;
        let is_here = async || address.is_at(&interface, &ec2).await;
        retry_until(deadline, |here| *here, is_here).await
    };
    match asked.await {
        Ok(true) => Health::Running,
        Ok(false) => Health::Stopped(format!("EC2 has {} elsewhere or nowhere", address.name())),
        // Also when EC2 does not know it, or does not allow to ask: a wrong region or wrong credentials
        // are no reason to stop what is here.
        Err(error) => Health::Degraded(format!(
            "{error}; but the instance metadata shows {} here",
            address.name()
        )),
    }
}

/// What a monitor answers when the metadata does not show what was here.
async fn not_shown(address: &impl Address) -> Health {
    let seen = address.seen();
    match second_opinion(address).await {
        Ok(true) => {
            if seen.witness() != Some(Witness::Ec2) {
                warn_of_lag(address);
            }
            seen.note_if_possible(Witness::Ec2);
            Health::Running
        }
        Ok(false) => Health::Stopped(format!("{}, nor has EC2 it here", address.absence())),
        Err(error) => {
            let age = seen.age();
            let gone =
                seen.witness() == Some(Witness::Metadata) && age.is_some_and(|age| age > FORGETFUL);
            if gone {
                return Health::Stopped(format!("{}; {error}", address.absence()));
            }
            // Metadata that never showed the address is no evidence against it, and nobody else can be asked.
            let seen = match age {
                Some(age) => format!("it was here {} s ago", age.as_secs()),
                None => "nothing tells when it was last seen here".to_owned(),
            };
            Health::Degraded(format!("{}, but {seen}; {error}", address.absence()))
        }
    }
}

/// What EC2 says, asked once.
async fn second_opinion(address: &impl Address) -> Result<bool, AwsError> {
    let deadline = address.call().deadline.at_most(SECOND_OPINION);
    address.call().steps.doing("asking EC2 for the address");
    let asked = async {
        let (interface, ec2) = connect(address, deadline).await?;
        address.is_at(&interface, &ec2).await
    };
    let silence = || {
        AwsError::new(
            ErrorKind::Unknown,
            "find the address",
            "EC2 did not answer in time",
        )
    };
    tokio::time::timeout(deadline.remaining(), asked)
        .await
        .unwrap_or_else(|_| Err(silence()))
}

/// What a monitor answers when the metadata says nothing. A recurring one looks at what was started here: that
/// nobody can be asked is no reason to stop it. A probe of a node that has never seen it says that it is not
/// here: were that wrong, the start elsewhere would take the address over.
fn in_doubt(address: &impl Address, error: &AwsError) -> Health {
    // What follows from it first: Pacemaker keeps no more than 127 characters.
    let seen = match address.seen().age() {
        Some(age) if age <= address.doubt_limit() => format!("it was here {} s ago", age.as_secs()),
        Some(age) => format!(
            "it was here {} s ago, longer than doubt_limit",
            age.as_secs()
        ),
        None if address.call().probe => {
            return Health::Stopped(format!("nothing says that it was started here: {error}"));
        }
        None => "nothing tells when it was last seen here".to_owned(),
    };
    Health::Degraded(format!("{seen}; now: {error}"))
}

/// This instance's interface, and EC2.
pub(super) async fn connect(
    address: &impl Address,
    deadline: Deadline,
) -> Result<(InterfaceId, Ec2), AwsError> {
    address
        .call()
        .steps
        .doing("asking the instance metadata for the interface");
    let interface = retry_transient(deadline, async || {
        Metadata::connect_by(deadline)?.interface()?.id()
    })
    .await?;
    let (region, profile) = address.account();
    Ok((interface, Ec2::connect_by(deadline, region, profile).await?))
}
