//! What an agent of an address goes by when the instance metadata is silent: that the address was here when
//! it was last seen, and how long ago that was.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::aws::AwsError;
use crate::ocf::{Call, Failure, Health, StateFile};

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
    pub(super) fn note(&self) -> Result<(), Failure> {
        self.file.save(&self.what)
    }

    /// It is here now, which is no less true if that can't be kept.
    pub(super) fn note_if_possible(&self) {
        if let Err(failure) = self.note() {
            tracing::warn!("{failure}");
        }
    }

    /// It has been given up.
    pub(super) fn forget(&self) {
        self.file.remove();
    }

    /// How long ago it was seen here, if ever.
    pub(super) fn age(&self) -> Option<Duration> {
        let same = self.file.load::<T>().is_some_and(|seen| seen == self.what);
        same.then(|| self.file.age()).flatten()
    }

    /// What a monitor answers that could not find out. A node that has never seen it says that it is not here: were
    /// that wrong, the start elsewhere would take the address over.
    pub(super) fn in_doubt(
        &self,
        call: &Call,
        limit: Duration,
        error: &AwsError,
    ) -> Result<Health, Failure> {
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
