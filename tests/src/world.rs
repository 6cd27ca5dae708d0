//! The interface between the EC2 model and machines: the model calls it, the lab implements it with real machines,
//! and the model's own tests with a record of calls.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The result of a request to detach a volume from a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detach {
    /// The device is gone from the machine.
    Done,
    /// The machine still has it open or mounted; nothing was changed.
    Busy,
}

/// All that the VPC has to deliver: it replaces what was delivered before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Private addresses (primary and secondary) by instance id, of instances that exist.
    pub private: BTreeMap<String, BTreeSet<Ipv4Addr>>,
    /// Public address to private address: Elastic IPs and the addresses given at launch.
    pub public: BTreeMap<Ipv4Addr, Ipv4Addr>,
}

/// An error of the world, in a sentence for the person who runs the lab.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What EC2's decisions do to machines. Calls block; the model makes them off its own thread,
/// one at a time for each instance.
pub trait World: Send + Sync {
    /// Boots the instance; returns once it is booting.
    fn power_on(&self, instance: &str) -> Result<(), Error>;
    /// Asks the guest to shut down and returns when it is down or `grace` is over.
    fn shut_down(&self, instance: &str, grace: std::time::Duration) -> Result<(), Error>;
    /// Cuts the power now. No error if it was off.
    fn power_off(&self, instance: &str) -> Result<(), Error>;
    /// Makes the volume appear as a block device with its EBS serial; `device` is the name asked for.
    fn attach(&self, instance: &str, volume: &str, device: &str) -> Result<(), Error>;
    /// The next device of the instance gets another kernel name than it would. A world whose devices
    /// have no names of their own has nothing to do.
    fn renumber(&self, instance: &str) -> Result<(), Error> {
        let _ = instance;
        Ok(())
    }
    /// Takes the device away; with `force`, also while it is mounted. Force is what a caller of EC2 may
    /// ask for, and what EC2 does to a mounted NVMe volume that vanishes from its guest.
    fn detach(&self, instance: &str, volume: &str, force: bool) -> Result<Detach, Error>;
    /// Makes the volume larger, also under a machine that has it. A world whose volumes have no size has nothing to do.
    fn enlarge(&self, volume: &str, bytes: u64) -> Result<(), Error> {
        let _ = (volume, bytes);
        Ok(())
    }
    /// Keeps what the volume has at one moment, also under a machine that writes to it. A world whose volumes have no
    /// content has nothing to do.
    fn snapshot(&self, volume: &str, snapshot: &str) -> Result<(), Error> {
        let _ = (volume, snapshot);
        Ok(())
    }
    /// Makes a volume of this size that begins with what a snapshot has. The same worlds have nothing to do.
    fn create_volume(&self, volume: &str, snapshot: &str, bytes: u64) -> Result<(), Error> {
        let _ = (volume, snapshot, bytes);
        Ok(())
    }
    /// Delivers packets as `network` says, from now on.
    fn set_network(&self, network: &Network) -> Result<(), Error>;
}
