//! The record of when an address was last seen on this node, and who showed it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ocf::{Failure, StateFile};

pub(super) struct LastSeen {
    file: StateFile,
    /// What was seen, so that the record of another configuration is not taken for this one's.
    what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Witness {
    /// The instance metadata, as usual.
    Metadata,
    /// Only EC2: the instance metadata did not show it.
    Ec2,
}

#[derive(Serialize, Deserialize)]
struct Note {
    what: String,
    witness: Witness,
}

impl LastSeen {
    pub(super) fn of(agent: &str, resource: &str, what: String) -> Self {
        let file = StateFile::of(agent, resource);
        Self { file, what }
    }

    /// Notes that the address is here now.
    pub(super) fn note(&self, witness: Witness) -> Result<(), Failure> {
        let what = self.what.clone();
        self.file.save(&Note { what, witness })
    }

    /// As `note`. The address is here also if that cannot be written.
    pub(super) fn note_if_possible(&self, witness: Witness) {
        let what = self.what.clone();
        self.file.save_if_possible(&Note { what, witness });
    }

    pub(super) fn remove(&self) {
        self.file.remove();
    }

    /// Who showed the address here last, if anybody did.
    pub(super) fn witness(&self) -> Option<Witness> {
        let note: Note = self.file.load()?;
        (note.what == self.what).then_some(note.witness)
    }

    pub(super) fn age(&self) -> Option<Duration> {
        self.witness().and_then(|_| self.file.age())
    }
}
