//! A model of EC2 that keeps EC2's rules: one volume at one instance, one private address on
//! one interface, transitions that take time. What it decides is done to machines by a `World`.
//!
//! What a `World` can rely on:
//! - After `power_on` the model calls `attach` for every volume that the instance holds, so a
//!   machine need not remember volumes over a power cycle; if it does, `attach` of a volume that is there is no error.
//! - `detach` of a volume that is not there, or from a machine without power, is `Done`.
//! - `detach` may be called again and again while it answers `Busy`.
//! - `set_network` always gets the whole network; calls never overlap.

pub mod error;
pub mod events;
pub mod ids;
pub mod server;
pub mod timing;

mod state;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

pub use events::{Event, Happening};
pub use timing::Timing;

use crate::world::{Network, World};
use events::EventLog;
use state::State;

/// The model. Made inside a tokio runtime, which then carries its transitions.
pub struct Ec2 {
    timing: Timing,
    world: Arc<dyn World>,
    state: Mutex<State>,
    events: EventLog,
    runtime: tokio::runtime::Handle,
}

/// What `lab status` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The instances.
    pub instances: Vec<InstanceSnapshot>,
    /// The volumes.
    pub volumes: Vec<VolumeSnapshot>,
    /// The virtual address of the site: the instance that it is assigned to.
    pub vip: Option<String>,
    /// The Elastic IP of the site: the private address that it leads to.
    pub eip: Option<Ipv4Addr>,
    /// The instance with that private address.
    pub eip_instance: Option<String>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSnapshot {
    /// Its id.
    pub id: String,
    /// `running`, ...
    pub state: String,
    /// Its private addresses, primary first.
    pub private: Vec<Ipv4Addr>,
    /// Public addresses that lead to it.
    pub public: Vec<Ipv4Addr>,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSnapshot {
    /// Its id.
    pub id: String,
    /// `available` or `in-use`.
    pub state: String,
    /// Who holds it: instance id, device name asked for, and `attaching`, `attached`, `detaching` or `busy`.
    pub holder: Option<(String, String, String)>,
}

impl Ec2 {
    /// The site of `crate::site`: three running instances, the Elastic IP allocated and not
    /// associated, the volume available. Calls nothing of `world` yet: the caller boots the
    /// machines and delivers `network()` once.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(timing: Timing, world: Arc<dyn World>) -> Arc<Self> {
        Arc::new(Self {
            timing,
            world,
            state: Mutex::new(State::of_site()),
            events: EventLog::new(),
            runtime: tokio::runtime::Handle::current(),
        })
    }

    /// The API, as HTTP requests come in.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        axum::Router::new()
    }

    /// An access key of the site's own (a user's, or for the lab's checks) beside those that
    /// the metadata service issues.
    pub fn add_access_key(&self, _id: &str, _secret: &str) {}

    /// What the VPC has to deliver now.
    pub fn network(&self) -> Network {
        Network::default()
    }

    /// The volumes that an instance holds, with the device name asked for: what a machine
    /// that is powered on behind EC2's back has to be given.
    pub fn volumes_of(&self, _instance: &str) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The guest shut itself down (not: lost its power, which EC2 does not notice). EC2 stops
    /// the instance then. To be called from any thread; ignored while EC2 itself is
    /// stopping or rebooting the instance.
    pub fn guest_powered_off(self: &Arc<Self>, _instance: &str) {}

    /// What happened since the start.
    pub fn events(&self) -> Vec<Event> {
        self.events.all()
    }

    /// Where everything is.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            instances: Vec::new(),
            volumes: Vec::new(),
            vip: None,
            eip: None,
            eip_instance: None,
        }
    }
}

/// A poisoned lock is a panic elsewhere, which the panicking thread has reported already.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
