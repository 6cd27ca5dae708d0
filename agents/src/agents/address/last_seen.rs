//! The record of when an address was last seen on this node, and who showed it.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ocf::{Failure, StateFile};

/// The record of one resource. `T` is what was seen, so that the record of another configuration is not taken for
/// this one's.
#[derive(Debug)]
pub(crate) struct LastSeen<T> {
    file: StateFile,
    what: T,
}

/// Who showed the address here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Witness {
    /// The instance metadata, as usual.
    Metadata,
    /// Only EC2: the instance metadata did not show it.
    Ec2,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct Note<T> {
    what: T,
    witness: Witness,
}

impl<T: Serialize + DeserializeOwned + PartialEq> LastSeen<T> {
    pub(super) fn of(agent: &str, resource: &str, what: T) -> Self {
        Self {
            file: StateFile::of(agent, resource),
            what,
        }
    }

    /// Notes that the address is here now.
    pub(super) fn note(&self, witness: Witness) -> Result<(), Failure> {
        let what = &self.what;
        self.file.save(&Note { what, witness })
    }

    /// As `note`. The address is here also if that cannot be written.
    pub(super) fn note_if_possible(&self, witness: Witness) {
        if let Err(failure) = self.note(witness) {
            tracing::warn!("{failure}");
        }
    }

    /// Notes that a stop gave the address up.
    pub(super) fn remove(&self) {
        self.file.remove();
    }

    /// Who showed the address here last, if anybody did.
    pub(super) fn witness(&self) -> Option<Witness> {
        let note: Note<T> = self.file.load()?;
        (note.what == self.what).then_some(note.witness)
    }

    /// How long ago the address was seen here, if ever.
    pub(super) fn age(&self) -> Option<Duration> {
        self.witness().and_then(|_| self.file.age())
    }
}
