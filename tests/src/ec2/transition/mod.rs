//! Transitions: what happens between `attaching` and `attached`, or `stopping` and `stopped`. Each one is a task that
//! waits, lets the world act, and then changes the state, unless the state has changed otherwise meanwhile.

mod address;
mod instance;
mod snapshot;
mod volume;

pub(super) use instance::StopMode;

use std::future::Future;

use super::events::Happening;
use super::ids::{InstanceId, VolumeId};
use super::states::InstanceState;
use super::{Ec2, locked};
use crate::world::{Error, World};

impl Ec2 {
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(work));
    }

    pub(super) fn instance_changed(&self, id: &InstanceId, state: InstanceState) {
        self.events.add(Happening::Instance {
            instance: id.to_string(),
            state: state.name().to_owned(),
        });
    }

    fn volume_changed(&self, volume: &VolumeId, instance: &InstanceId, state: &str) {
        self.events.add(Happening::Volume {
            volume: volume.to_string(),
            instance: instance.to_string(),
            state: state.to_owned(),
        });
    }

    /// Calls the world on a thread of its own. A failure is logged as a failure to `what`.
    async fn world<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> String,
        act: impl FnOnce(&dyn World) -> Result<T, Error> + Send + 'static,
    ) -> Option<T> {
        let world = self.world.clone();
        let outcome = self
            .runtime
            .spawn_blocking(move || act(world.as_ref()).map_err(|error| error.to_string()))
            .await
            .unwrap_or_else(|panic| Err(panic.to_string()));
        outcome
            .inspect_err(|error| {
                self.events.add(Happening::WorldFailed {
                    what: what(),
                    error: error.clone(),
                });
            })
            .ok()
    }

    /// Calls to the world for one instance run one at a time.
    async fn turn(&self, id: &InstanceId) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = locked(&self.turns).entry(id.clone()).or_default().clone();
        turn.lock_owned().await
    }
}
