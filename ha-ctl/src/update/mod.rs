//! A new version of the PBX, and the way back: what is found, what is on record of an update, and what is done on the
//! nodes. Nothing here asks a person or waits for the cluster; `verbs::update` does.

mod facts;
mod record;
mod snapshot;
mod steps;
mod version;

pub use facts::{Facts, Image, look};
pub use record::{NOTE, Record, Stage};
pub use snapshot::Keeper;
pub(crate) use steps::handed_on;
pub use steps::{
    back, bring_compose_file, containers, fetch, fetch_same, keep, migrate, project, with_image,
};
pub use version::is_older;
