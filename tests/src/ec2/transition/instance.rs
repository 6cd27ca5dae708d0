//! Transitions of an instance: to `running`, to `stopped`, to `terminated`, and through a reboot.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::ec2::ids::InstanceId;
use crate::ec2::states::InstanceState;
use crate::ec2::{Ec2, locked};

/// The retry interval when the world could not cut the power. Only success ends the retries, because fencing
/// relies on `stopped`.
const POWER_RETRY: Duration = Duration::from_secs(1);

/// How an instance goes down (EC2 User Guide, "Methods for stopping an instance").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ec2) enum StopMode {
    /// The guest shuts itself down, and has time for it. The default.
    Graceful,
    /// Force: as the default first; then the power is cut.
    Forced,
    /// SkipOsShutdown: the guest is not asked.
    PowerCut,
    /// The guest is down already, by itself.
    GuestDown,
}

impl Ec2 {
    pub(in crate::ec2) async fn start(self: Arc<Self>, id: InstanceId) {
        let begun = Instant::now();
        let on = {
            let _turn = self.turn(&id).await;
            // It may have been terminated before its turn came.
            self.is(&id, InstanceState::Pending) && self.power_on(&id).await
        };
        let state = if on {
            sleep_until(begun + self.timing.start).await;
            InstanceState::Running
        } else {
            // API reference, StartInstances: a start that fails goes back to `stopped`.
            InstanceState::Stopped
        };
        if locked(&self.state).started(&id, state) {
            self.instance_changed(&id, state);
        }
    }

    async fn power_on(&self, id: &InstanceId) -> bool {
        let instance = id.to_string();
        let on = self
            .world(
                || format!("power {id} on"),
                move |world| world.power_on(&instance),
            )
            .await
            .is_some();
        if on {
            self.powered(id, true);
            self.plug_in(id, None).await;
        }
        on
    }

    /// Cuts the power until it is off: the model must never say `stopped` of a machine that has power.
    async fn power_off(&self, id: &InstanceId) {
        loop {
            let instance = id.to_string();
            let off = self.world(
                || format!("power {id} off"),
                move |world| world.power_off(&instance),
            );
            if off.await.is_some() {
                break;
            }
            sleep(POWER_RETRY).await;
        }
        self.powered(id, false);
    }

    pub(in crate::ec2) async fn stop(self: Arc<Self>, id: InstanceId, mode: StopMode) {
        self.bring_down(&id, mode).await;
        if !locked(&self.state).stopped(&id) {
            // It is being terminated meanwhile.
            return;
        }
        self.instance_changed(&id, InstanceState::Stopped);
        self.addresses_changed();
        let _turn = self.turn(&id).await;
        self.free_busy(&id).await;
    }

    pub(in crate::ec2) async fn terminate(self: Arc<Self>, id: InstanceId, mode: StopMode) {
        self.bring_down(&id, mode).await;
        locked(&self.state).terminated(&id);
        self.instance_changed(&id, InstanceState::Terminated);
        self.addresses_changed();
        self.free_all(&id).await;
        sleep(self.timing.terminated_visible).await;
        locked(&self.state).instances.remove(&id);
    }

    /// Cuts the power, and takes as long as EC2 does.
    async fn bring_down(&self, id: &InstanceId, mode: StopMode) {
        let begun = Instant::now();
        let turn = self.turn(id).await;
        match mode {
            StopMode::Graceful => self.shut_down(id, self.timing.shutdown_grace).await,
            StopMode::Forced => self.shut_down(id, self.timing.forced_grace).await,
            StopMode::PowerCut | StopMode::GuestDown => {}
        }
        self.power_off(id).await;
        drop(turn);
        if mode != StopMode::PowerCut {
            sleep(self.timing.stop).await;
        }
        if matches!(mode, StopMode::Forced | StopMode::PowerCut) {
            sleep_until(begun + self.timing.forced_stop).await;
        }
    }

    async fn shut_down(&self, id: &InstanceId, grace: Duration) {
        let instance = id.to_string();
        self.world(
            || format!("shut {id} down"),
            move |world| world.shut_down(&instance, grace),
        )
        .await;
    }

    pub(in crate::ec2) async fn reboot(self: Arc<Self>, id: InstanceId) {
        let _turn = self.turn(&id).await;
        if self.is(&id, InstanceState::Running) {
            // "If an instance does not cleanly shut down within a few minutes, Amazon EC2 performs
            // a hard reboot." Volumes and addresses stay.
            self.shut_down(&id, self.timing.reboot_grace).await;
            self.power_off(&id).await;
            self.free_busy(&id).await;
            // Told to stop meanwhile, it stays off.
            if self.is(&id, InstanceState::Running) {
                self.power_on(&id).await;
            }
        }
        if let Ok(instance) = locked(&self.state).instance_mut(&id) {
            instance.rebooting = false;
        }
    }

    fn is(&self, id: &InstanceId, wanted: InstanceState) -> bool {
        locked(&self.state)
            .instance(id)
            .is_ok_and(|instance| instance.state == wanted)
    }

    fn powered(&self, id: &InstanceId, on: bool) {
        if let Ok(instance) = locked(&self.state).instance_mut(id) {
            instance.powered = on;
        }
    }
}
