//! A machine of the lab: one trait, two kinds.

pub mod kernel;

pub mod container;
mod device;
pub mod personal;
mod witness;

use std::path::Path;
use std::time::Duration;

use crate::watch::Presence;
use crate::world::{Detach, Error};

/// A machine that can be powered, and that volumes are plugged into.
pub trait Machine: Send + Sync {
    /// Boots; returns as soon as it boots. An error if it runs already.
    fn power_on(&self) -> Result<(), Error>;
    /// Asks the guest to shut down; returns when it is down, or with its power cut after `grace`.
    fn shut_down(&self, grace: Duration) -> Result<(), Error>;
    /// Cuts the power now. No error if it was off.
    fn power_off(&self) -> Result<(), Error>;
    /// Whether it has power.
    fn is_on(&self) -> bool;
    /// Stops the whole machine as it is, as a hypervisor that hangs does, or lets it go on.
    fn set_frozen(&self, frozen: bool) -> Result<(), Error>;
    /// Whether it was stopped.
    fn is_frozen(&self) -> bool;
    /// Plugs `file` in as the EBS volume `volume`.
    fn attach(&self, volume: &str, file: &Path) -> Result<(), Error>;
    /// Gives the next volume another kernel name than it would get. A kernel node names its devices itself.
    fn renumber(&self) {}
    /// Whether the volume in `file` is here, by what the machine itself has. Waits for nobody, so that
    /// it can be asked at any time. Nothing is at a machine without power.
    fn presence(&self, file: &Path) -> Result<Presence, Error>;
    /// Does something while nothing runs on the machine, and nothing else happens to it.
    fn while_still(&self, work: &mut dyn FnMut() -> Result<(), Error>) -> Result<(), Error>;
    /// The file of a volume has become larger.
    fn enlarged(&self, volume: &str) -> Result<(), Error>;
    /// Unplugs it.
    fn detach(&self, volume: &str, force: bool) -> Result<Detach, Error>;
}
