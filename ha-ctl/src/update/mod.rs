//! A new version of the PBX, and the way back: what is found, what is on record of an update, and what is done on the
//! nodes. Nothing here asks a person or waits for the cluster; `verbs::update` does.

mod copy;
mod facts;
mod record;
mod snapshot;
mod steps;
mod version;

pub use copy::{
    CLONE, CopyFacts, become_source, down, follow, followed, forget_constraint, look_at_copy, meet,
};
pub use facts::{Facts, Image, look};
pub use record::{CopyAtRest, NOTE, NOTE_BEFORE, Record, Stage};
pub use snapshot::{Keeper, Snapshot};
pub use steps::{OLD_TAG, Project, bring_compose_file, keep, unwrite, with_image};
pub use version::is_older;
