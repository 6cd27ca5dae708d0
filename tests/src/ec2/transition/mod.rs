//! From EC2's decision to the fact: what happens between `attaching` and `attached`, `stopping`
//! and `stopped`. Each transition is a task that waits, has the world act, and only then
//! changes the state, unless the state has gone another way meanwhile.

mod address;
mod instance;
mod volume;

pub(super) use instance::StopMode;

use std::future::Future;

use super::events::Happening;
use super::ids::{InstanceId, VolumeId};
use super::state::InstanceState;
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

    /// Calls the world, off the runtime's own threads. A failure is noted as one to `what`.
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

    /// The calls of one instance to the world go one at a time.
    async fn turn(&self, id: &InstanceId) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = locked(&self.turns).entry(id.clone()).or_default().clone();
        turn.lock_owned().await
    }
}
