//! A model of EC2 that enforces EC2's rules: one volume at one instance, one private address on one interface,
//! transitions that take time. A `World` does to machines what the model decides.
//!
//! What a `World` can rely on:
//! - After `power_on` the model calls `attach` for every volume that the instance holds, so a
//!   machine need not remember volumes over a power cycle; if it does, `attach` of a volume that is there is no error.
//! - `detach` of a volume that is not there, or from a machine without power, is `Done`.
//! - `detach` may be called again and again while it answers `Busy`.
//! - A machine whose instance has been terminated holds no volume, and is not powered on by the model again.
//! - `snapshot` is called while the volume may be at a machine; the answer of CreateSnapshot comes after it.
//! - `create_volume` is called once for a volume, before any other call with it.
//! - `set_network` always gets the whole network; calls never overlap.

mod action;
mod credentials;
mod ebs;
mod endpoint;
pub mod error;
pub mod events;
pub mod fault;
mod history;
pub mod ids;
mod permission;
mod public_address;
pub mod query;
pub mod server;
mod snapshot;
mod state;
mod states;
pub mod timing;
mod transition;
mod volume_type;
mod xml;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

pub(crate) use credentials::{RoleCredentials, random};
pub use events::{Event, Happening};
pub use fault::{
    ActiveFault, CallFault, Fault, Injection, Life, MetadataFault, SnapshotFault, VolumeFault,
};
pub use permission::Principal;
pub use snapshot::{HolderSnapshot, InstanceSnapshot, Snapshot, VolumeSnapshot};
pub(crate) use snapshot::{Identity, OwnInterface};
pub use states::{AttachmentState, InstanceState, VolumeState};
pub use timing::Timing;

use crate::site;
use crate::world::{Network, World};
use credentials::Keys;
use error::ApiError;
use events::EventLog;
use fault::{FaultHit, Faults};
use history::StateHistory;
use ids::{InstanceId, InterfaceId, VolumeId};
use permission::Policies;
use state::{Delivered, State};
use transition::StopMode;

/// The account that owns everything here.
pub(crate) const OWNER: &str = "123456789012";

/// The model. Made inside a tokio runtime, which then carries its transitions.
pub struct Ec2 {
    timing: Timing,
    world: Arc<dyn World>,
    state: Mutex<StateHistory>,
    keys: Mutex<Keys>,
    policies: Mutex<Policies>,
    faults: Faults,
    /// Requests to the metadata service, by instance.
    metadata_requests: Mutex<BTreeMap<String, u64>>,
    events: EventLog,
    runtime: tokio::runtime::Handle,
    /// One lock per instance: its calls to the world go one at a time.
    turns: Mutex<BTreeMap<InstanceId, Arc<tokio::sync::Mutex<()>>>>,
    network_state: Mutex<DeliveredNetwork>,
    /// The number of the last change of addresses that the world was given.
    delivering: tokio::sync::Mutex<u64>,
}

/// The addresses as of the last change, and its number.
struct DeliveredNetwork {
    delivered: Delivered,
    order: u64,
}

impl Ec2 {
    /// The site of `crate::site`: three running instances, the Elastic IP allocated and not
    /// associated, the volume available. Calls nothing of `world` yet: the caller boots the
    /// machines and delivers `network()` once.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(timing: Timing, world: Arc<dyn World>) -> Arc<Self> {
        Self::with(timing, world, &[])
    }

    /// The same with other instances besides, which run too.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn with(
        timing: Timing,
        world: Arc<dyn World>,
        besides: &'static [site::Instance],
    ) -> Arc<Self> {
        let state = State::of_site(besides);
        let network_state = DeliveredNetwork {
            delivered: state.delivered.clone(),
            order: 0,
        };
        Arc::new(Self {
            timing,
            world,
            state: Mutex::new(StateHistory::new(state)),
            keys: Mutex::new(Keys::default()),
            policies: Mutex::default(),
            faults: Faults::default(),
            metadata_requests: Mutex::default(),
            events: EventLog::new(),
            runtime: tokio::runtime::Handle::current(),
            turns: Mutex::new(BTreeMap::new()),
            network_state: Mutex::new(network_state),
            delivering: tokio::sync::Mutex::new(0),
        })
    }

    /// The API, as HTTP requests come in.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        endpoint::router(self)
    }

    /// An access key of the site's own (a user's) beside those that the metadata service issues.
    pub fn add_access_key(&self, id: &str, secret: &str) {
        locked(&self.keys).add(id, secret);
    }

    /// A policy of IAM, in the place of the one before.
    ///
    /// # Errors
    /// It is none as cib-gen prints them.
    pub fn put_policy(&self, of: Principal, document: &str) -> Result<(), String> {
        locked(&self.policies).put(of, document)
    }

    /// Another volume, `available`, in a zone.
    ///
    /// # Errors
    /// When the id is malformed.
    pub fn add_volume(&self, id: &str, zone: &'static str) -> Result<(), ApiError> {
        let id = VolumeId::parse(id)?;
        locked(&self.state).add_volume(id, zone);
        Ok(())
    }

    /// Gives an instance another network interface, with a primary address of its own.
    ///
    /// # Errors
    /// When an id is malformed.
    pub fn add_interface(
        &self,
        instance: &str,
        interface: &str,
        mac: &'static str,
        primary: Ipv4Addr,
    ) -> Result<(), ApiError> {
        let (instance, id) = (InstanceId::parse(instance)?, InterfaceId::parse(interface)?);
        locked(&self.state).add_interface(instance, id, mac, primary);
        Ok(())
    }

    /// Injects a fault; the number is for `clear_fault`. If several faults of one kind match a call, the one that was
    /// injected first applies.
    pub fn inject(&self, injection: Injection) -> u64 {
        let what = injection.to_string();
        let number = self.faults.inject(injection);
        self.events.add(Happening::Fault { what, begins: true });
        number
    }

    /// Ends a fault. False if there is none of that number.
    pub fn clear_fault(&self, number: u64) -> bool {
        self.clear(Some(number)) == 1
    }

    /// Ends all faults; returns how many there were.
    pub fn clear_faults(&self) -> usize {
        self.clear(None)
    }

    fn clear(&self, number: Option<u64>) -> usize {
        let cleared = self.faults.clear(number);
        for active in &cleared {
            self.events.add(Happening::Fault {
                what: active.injection.to_string(),
                begins: false,
            });
        }
        cleared.len()
    }

    /// The faults in force, and those whose number of times is used up but which still hold a volume.
    pub fn faults(&self) -> Vec<ActiveFault> {
        self.faults.active()
    }

    /// How many requests an instance has made to its metadata service, tokens included.
    pub fn metadata_requests(&self, instance: &str) -> u64 {
        let requests = locked(&self.metadata_requests);
        requests.get(instance).copied().unwrap_or_default()
    }

    /// Counts a request to the metadata service, and returns the fault that applies. `reads`: it asks for an item, not
    /// for a token.
    pub(crate) fn metadata_request(
        &self,
        instance: &str,
        reads: bool,
    ) -> Option<FaultHit<MetadataFault>> {
        *locked(&self.metadata_requests)
            .entry(instance.to_owned())
            .or_default() += 1;
        self.faults.of_metadata(instance, reads)
    }

    /// What the VPC has to deliver now.
    pub fn network(&self) -> Network {
        let state = locked(&self.state);
        state.network(&state.delivered)
    }

    /// The volumes that an instance holds, with the device name asked for: what a machine
    /// that is powered on behind EC2's back has to be given.
    pub fn volumes_of(&self, instance: &str) -> Vec<(String, String)> {
        let Ok(id) = InstanceId::parse(instance) else {
            return Vec::new();
        };
        locked(&self.state)
            .held_by(&id)
            .filter(|(_, held)| !held.state.is_leaving())
            .map(|(volume, held)| (volume.to_string(), held.device.clone()))
            .collect()
    }

    /// The guest shut itself down (not: lost its power, which EC2 does not notice). EC2 stops
    /// the instance then (EC2 User Guide, "Change instance initiated shutdown behavior"). To be
    /// called from any thread, at once, and only when the guest went down on its own: ignored while
    /// EC2 itself is stopping or rebooting the instance, but a late call would stop a new boot.
    pub fn guest_powered_off(self: &Arc<Self>, instance: &str) {
        let Ok(id) = InstanceId::parse(instance) else {
            return;
        };
        {
            let mut state = locked(&self.state);
            let Ok(instance) = state.instance_mut(&id) else {
                return;
            };
            if instance.state != InstanceState::Running || instance.rebooting {
                return;
            }
            instance.state = InstanceState::Stopping;
            instance.reason = Some("Client.InstanceInitiatedShutdown: Instance initiated shutdown");
        }
        self.events.add(Happening::Guest {
            instance: id.to_string(),
            did: "shut itself down".to_owned(),
        });
        self.instance_changed(&id, InstanceState::Stopping);
        self.spawn(self.clone().stop(id, StopMode::GuestDown));
    }

    /// What happened since the start.
    pub fn events(&self) -> Vec<Event> {
        self.events.all()
    }

    /// Where everything is, as the API answers.
    pub fn snapshot(&self) -> Snapshot {
        locked(&self.state).snapshot()
    }

    /// What the metadata service has to know of an instance, now or as of a moment; nothing for a
    /// stranger.
    pub(crate) fn identity(
        &self,
        instance: &InstanceId,
        as_of: Option<Instant>,
    ) -> Option<Identity> {
        let state = locked(&self.state);
        as_of
            .map_or(&**state, |moment| state.as_of(moment))
            .identity(instance)
    }

    pub(crate) fn role_credentials(&self, instance: &InstanceId) -> RoleCredentials {
        locked(&self.keys).of_role(instance)
    }
}

/// A lock is poisoned by a panic elsewhere, which that thread has reported already.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
