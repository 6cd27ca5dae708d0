//! What the agents of an address have in common. The instance metadata says whether the address is here; when it
//! is silent, what counts is that it was here when it was last seen, and how long ago that
//! was. EC2 is asked to move it, and by a monitor in depth.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::aws::{AwsError, Ec2, InterfaceId, Metadata, Region, until_known};
use crate::ocf::{Call, Deadline, Failure, Health, StateFile};

/// How often the metadata is asked while it has to follow.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// A stop doesn't wait longer for EC2: the next start takes the address over anyway.
const STOP: Duration = Duration::from_secs(12);
/// How long a stop waits for the metadata to follow.
const FOLLOW: Duration = Duration::from_secs(5);

/// An address that EC2 moves between instances.
pub(super) trait Address {
    /// What tells it from what another configuration saw.
    type Seen: Serialize + DeserializeOwned + PartialEq;

    fn call(&self) -> &Call;
    fn seen(&self) -> &Sighting<Self::Seen>;
    /// How long the metadata may be silent.
    fn doubt_limit(&self) -> Duration;
    /// The region and the profile of the AWS configuration.
    fn account(&self) -> (Option<&Region>, Option<&str>);
    /// Whether the metadata shows it on this instance.
    fn is_here(&self) -> Result<bool, AwsError>;
    /// What the metadata shows when it does not.
    fn absence(&self) -> String;
    /// Has EC2 move it here; done when the metadata shows it.
    fn bring_here(&self) -> impl Future<Output = Result<(), Failure>>;
    /// Has EC2 take it from here, and from nowhere else.
    fn give_up(&self, deadline: Deadline) -> impl Future<Output = Result<(), AwsError>>;
    /// Where EC2 says that it is, after the metadata showed it here.
    fn ask_ec2(&self) -> impl Future<Output = Health>;
}

/// Start: nothing is done for what is here.
pub(super) fn start(address: &impl Address) -> Result<(), Failure> {
    if !address.is_here().unwrap_or(false) {
        address.call().wait(address.bring_here())?;
    }
    address.seen().note()
}

/// Stop: best effort, since the next start takes the address over. What is not here needs no call; without
/// an answer EC2 is asked.
pub(super) fn stop(address: &impl Address) -> Result<(), Failure> {
    let (call, seen) = (address.call(), address.seen());
    if !matches!(address.is_here(), Ok(false)) {
        // Where it was never seen it is worth less of the time that a failover takes.
        let patience = if seen.age().is_none() { STOP / 4 } else { STOP };
        call.wait(async {
            let given_up = address.give_up(call.deadline.at_most(patience)).await;
            if let Err(error) = given_up {
                tracing::warn!("{error}; it is left here, the next start takes it over");
                return Ok(());
            }
            let follow = call.deadline.at_most(FOLLOW);
            while matches!(address.is_here(), Ok(true)) && follow.sleep(POLL).await {}
            Ok(())
        })?;
    }
    seen.forget();
    Ok(())
}

/// Monitor: what the metadata shows, and in depth what EC2 says too.
pub(super) fn monitor(address: &impl Address) -> Result<Health, Failure> {
    let (call, seen) = (address.call(), address.seen());
    match address.is_here() {
        Ok(true) => seen.note_if_possible(),
        Ok(false) => return Ok(Health::Stopped(address.absence())),
        Err(error) => return seen.in_doubt(call, address.doubt_limit(), &error),
    }
    if !call.in_depth() {
        return Ok(Health::Running);
    }
    call.wait(async { Ok(address.ask_ec2().await) })
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
    let interface = until_known(deadline, async || {
        Metadata::connect_by(deadline)?.interface()?.id()
    })
    .await?;
    let (region, profile) = address.account();
    Ok((interface, Ec2::connect_by(deadline, region, profile).await?))
}

/// The record of one resource. `T` tells what was seen, so that what another configuration
/// saw is not taken for it.
#[derive(Debug)]
pub(super) struct Sighting<T> {
    file: StateFile,
    what: T,
}

impl<T: Serialize + DeserializeOwned + PartialEq> Sighting<T> {
    pub(super) fn of(agent: &str, resource: &str, what: T) -> Self {
        Self {
            file: StateFile::of(agent, resource),
            what,
        }
    }

    /// It is here now.
    fn note(&self) -> Result<(), Failure> {
        self.file.save(&self.what)
    }

    /// It is here now, which is no less true if that can't be kept.
    fn note_if_possible(&self) {
        if let Err(failure) = self.note() {
            tracing::warn!("{failure}");
        }
    }

    /// It has been given up.
    fn forget(&self) {
        self.file.remove();
    }

    /// How long ago it was seen here, if ever.
    fn age(&self) -> Option<Duration> {
        let same = self.file.load::<T>().is_some_and(|seen| seen == self.what);
        same.then(|| self.file.age()).flatten()
    }

    /// What a monitor answers that could not find out. A node that has never seen it says that it is not here: were
    /// that wrong, the start elsewhere would take the address over.
    fn in_doubt(&self, call: &Call, limit: Duration, error: &AwsError) -> Result<Health, Failure> {
        match self.age() {
            // What follows from it first: Pacemaker keeps no more than 127 characters.
            Some(age) if age <= limit => Ok(Health::Degraded(format!(
                "it was here {} s ago; now: {error}",
                age.as_secs()
            ))),
            Some(age) => Err(Failure::generic(format!(
                "it was here {} s ago, longer than doubt_limit allows; now: {error}",
                age.as_secs()
            ))),
            None => {
                let reason = format!("nothing says that it was started here: {error}");
                if call.probe {
                    Ok(Health::Stopped(reason))
                } else {
                    Err(Failure::generic(reason))
                }
            }
        }
    }
}
