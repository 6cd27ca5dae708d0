//! The record of when an address was last seen on this node, and by whom.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ocf::{Failure, StateFile};

/// The record of one resource. `T` tells what was seen, so that what another configuration
/// saw is not taken for it.
#[derive(Debug)]
pub(crate) struct Sighting<T> {
    file: StateFile,
    what: T,
}

/// Who has seen it here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Witness {
    /// The instance metadata, as usual.
    Metadata,
    /// Only EC2: the instance metadata did not show it.
    Ec2,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Note<T> {
    what: T,
    witness: Witness,
}

impl<T: Serialize + DeserializeOwned + PartialEq> Sighting<T> {
    pub(crate) fn of(agent: &str, resource: &str, what: T) -> Self {
        Self {
            file: StateFile::of(agent, resource),
            what,
        }
    }

    /// It is here now.
    pub(super) fn note(&self, witness: Witness) -> Result<(), Failure> {
        let what = &self.what;
        self.file.save(&Note { what, witness })
    }

    /// It is here now, which is no less true if that can't be kept.
    pub(super) fn note_if_possible(&self, witness: Witness) {
        if let Err(failure) = self.note(witness) {
            tracing::warn!("{failure}");
        }
    }

    /// It has been given up.
    pub(super) fn forget(&self) {
        self.file.remove();
    }

    /// Who saw it here last, if anybody did.
    pub(super) fn witness(&self) -> Option<Witness> {
        let note: Note<T> = self.file.load()?;
        (note.what == self.what).then_some(note.witness)
    }

    /// How long ago it was seen here, if ever.
    pub(super) fn age(&self) -> Option<Duration> {
        self.witness().and_then(|_| self.file.age())
    }
}
