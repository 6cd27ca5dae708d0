//! From EC2's decision to the fact: what happens between `attaching` and `attached`, `stopping`
//! and `stopped`. Each transition is a task that waits, has the world act, and only then
//! changes the state, unless the state has gone another way meanwhile.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::events::Happening;
use super::fault::VolumeFault;
use super::ids::{InstanceId, VolumeId};
use super::state::{Attachment, AttachmentState, InstanceState};
use super::{Ec2, locked};
use crate::world::{Detach, Error, World};

/// After how long the world is asked again when it could not cut the power: nothing
/// else will do, because `stopped` is what fencing relies on.
const POWER_RETRY: Duration = Duration::from_secs(1);

/// How an instance goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopMode {
    /// The guest shuts itself down, and has time for it.
    Graceful,
    /// The guest is asked, and soon cut off.
    Forced,
    /// The guest is not asked.
    PowerCut,
    /// The guest is down already, by itself.
    GuestDown,
}

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

    // Volumes.

    pub(super) fn attachment_began(self: &Arc<Self>, volume: VolumeId, attachment: Attachment) {
        self.volume_changed(&volume, &attachment.instance, attachment.state.name());
        self.spawn(self.clone().attach(volume, attachment));
    }

    async fn attach(self: Arc<Self>, volume: VolumeId, begun: Attachment) {
        sleep(self.timing.attach).await;
        self.while_struck(VolumeFault::StaysAttaching, &begun.instance)
            .await;
        let attached = {
            let mut state = locked(&self.state);
            match state.attachment_mut(&volume, begun.number) {
                Some(attachment) if attachment.state == AttachmentState::Attaching => {
                    attachment.state = AttachmentState::Attached;
                    true
                }
                Some(_) | None => false,
            }
        };
        if !attached {
            return;
        }
        self.volume_changed(&volume, &begun.instance, AttachmentState::Attached.name());
        sleep(self.timing.device).await;
        self.while_struck(VolumeFault::NoDevice, &begun.instance)
            .await;
        let _turn = self.turn(&begun.instance).await;
        self.plug_in(&begun.instance, Some(&volume)).await;
    }

    /// Waits as long as a fault holds what it has struck now.
    async fn while_struck(&self, fault: VolumeFault, instance: &InstanceId) {
        let Some(number) = self.faults.of_volume(fault, instance.as_str()) else {
            return;
        };
        while self.faults.holds(number) {
            sleep(self.timing.busy_retry).await;
        }
    }

    /// Makes the attached volumes appear (one, or all) in a machine that has power. One
    /// without power gets them when it is powered on.
    async fn plug_in(&self, id: &InstanceId, only: Option<&VolumeId>) {
        let devices: Vec<(String, String)> = {
            let state = locked(&self.state);
            if !state
                .instances
                .get(id)
                .is_some_and(|instance| instance.powered)
            {
                return;
            }
            state
                .held_by(id)
                .filter(|(volume, held)| {
                    held.state == AttachmentState::Attached
                        && only.is_none_or(|only| only == *volume)
                })
                .map(|(volume, held)| (volume.to_string(), held.device.clone()))
                .collect()
        };
        for (volume, device) in devices {
            let (instance, sentence) = (id.to_string(), format!("attach {volume} to {id}"));
            let other_name = self
                .faults
                .of_volume(VolumeFault::OtherName, &instance)
                .is_some();
            self.world(
                || sentence,
                move |world| {
                    if other_name {
                        world.renumber(&instance)?;
                    }
                    world.attach(&instance, &volume, &device)
                },
            )
            .await;
        }
    }

    pub(super) fn detachment_began(self: &Arc<Self>, volume: VolumeId, attachment: Attachment) {
        self.volume_changed(&volume, &attachment.instance, attachment.state.name());
        self.spawn(self.clone().detach(volume, attachment));
    }

    async fn detach(self: Arc<Self>, volume: VolumeId, begun: Attachment) {
        sleep(self.timing.detach).await;
        let stuck = self
            .faults
            .of_volume(VolumeFault::StaysBusy, begun.instance.as_str());
        loop {
            let turn = self.turn(&begun.instance).await;
            if self.try_detach(&volume, &begun, stuck).await {
                return;
            }
            drop(turn);
            sleep(self.timing.busy_retry).await;
        }
    }

    /// One try, in the instance's turn. True when there is nothing more to do. `stuck` is the fault
    /// that keeps it busy, unless it is forced.
    async fn try_detach(&self, volume: &VolumeId, begun: &Attachment, stuck: Option<u64>) -> bool {
        let force = {
            let mut state = locked(&self.state);
            match state.attachment_mut(volume, begun.number) {
                Some(attachment) => attachment.force,
                // Done meanwhile, because the instance was stopped.
                None => return true,
            }
        };
        let (instance, id) = (begun.instance.to_string(), volume.to_string());
        let outcome = if !force && stuck.is_some_and(|number| self.faults.holds(number)) {
            Some(Detach::Busy)
        } else {
            self.world(
                || format!("detach {volume} from {}", begun.instance),
                move |world| world.detach(&instance, &id, force),
            )
            .await
        };
        let mut state = locked(&self.state);
        match outcome {
            Some(Detach::Done) => {
                if let Some(volume) = state.volumes.get_mut(volume) {
                    volume.attachment = None;
                }
                drop(state);
                self.volume_changed(volume, &begun.instance, "detached");
                true
            }
            // EBS User Guide, "Detach an Amazon EBS volume": it is stuck in the busy state while the
            // guest has it mounted, until that unmounts it, or the detaching is forced, or the
            // instance reboots.
            Some(Detach::Busy) => {
                let attachment = state.attachment_mut(volume, begun.number);
                let turned = attachment.is_some_and(|attachment| {
                    let before = attachment.state;
                    attachment.state = AttachmentState::Busy;
                    before != AttachmentState::Busy
                });
                drop(state);
                if turned {
                    self.volume_changed(volume, &begun.instance, AttachmentState::Busy.name());
                }
                false
            }
            None => false,
        }
    }

    /// A guest without power holds nothing any more: what was on its way out is out now.
    async fn finish_detachments(&self, id: &InstanceId) {
        let leaving: Vec<(VolumeId, Attachment)> = {
            let state = locked(&self.state);
            state
                .held_by(id)
                .filter(|(_, held)| held.state.is_leaving())
                .map(|(volume, held)| (volume.clone(), held.clone()))
                .collect()
        };
        for (volume, attachment) in leaving {
            self.try_detach(&volume, &attachment, None).await;
        }
    }

    // Instances.

    pub(super) async fn start(self: Arc<Self>, id: InstanceId) {
        let begun = Instant::now();
        let on = {
            let _turn = self.turn(&id).await;
            self.power_on(&id).await
        };
        let state = if on {
            sleep_until(begun + self.timing.start).await;
            InstanceState::Running
        } else {
            // API reference, StartInstances: a start that fails goes back to `stopped`.
            InstanceState::Stopped
        };
        self.enter(&id, state);
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

    /// Until it is off: `stopped` must never be said of a machine that has power.
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
        self.finish_detachments(id).await;
    }

    pub(super) async fn stop(self: Arc<Self>, id: InstanceId, mode: StopMode) {
        let begun = Instant::now();
        let turn = self.turn(&id).await;
        match mode {
            StopMode::Graceful => self.shut_down(&id, self.timing.shutdown_grace).await,
            StopMode::Forced => self.shut_down(&id, self.timing.forced_grace).await,
            StopMode::PowerCut | StopMode::GuestDown => {}
        }
        self.power_off(&id).await;
        drop(turn);
        match mode {
            StopMode::Graceful | StopMode::GuestDown => sleep(self.timing.stop).await,
            StopMode::Forced | StopMode::PowerCut => {
                sleep_until(begun + self.timing.forced_stop).await;
            }
        }
        {
            // EC2 User Guide, "Public IPv4 addresses": the one lent at launch is released when the
            // instance is stopped. An Elastic IP, like the private addresses and the volumes, stays.
            let mut state = locked(&self.state);
            for interface in state.interfaces.values_mut() {
                if interface.instance == id {
                    interface.lent_public = None;
                }
            }
        }
        self.enter(&id, InstanceState::Stopped);
        self.addresses_changed();
    }

    async fn shut_down(&self, id: &InstanceId, grace: Duration) {
        let instance = id.to_string();
        self.world(
            || format!("shut {id} down"),
            move |world| world.shut_down(&instance, grace),
        )
        .await;
    }

    pub(super) async fn reboot(self: Arc<Self>, id: InstanceId) {
        let _turn = self.turn(&id).await;
        let running = |state: InstanceState| state == InstanceState::Running;
        if locked(&self.state)
            .instance(&id)
            .is_ok_and(|i| running(i.state))
        {
            // "If an instance does not cleanly shut down within a few minutes, Amazon EC2 performs
            // a hard reboot." Volumes and addresses stay.
            self.shut_down(&id, self.timing.reboot_grace).await;
            self.power_off(&id).await;
            self.power_on(&id).await;
        }
        if let Ok(instance) = locked(&self.state).instance_mut(&id) {
            instance.rebooting = false;
        }
    }

    fn powered(&self, id: &InstanceId, on: bool) {
        if let Ok(instance) = locked(&self.state).instance_mut(id) {
            instance.powered = on;
        }
    }

    fn enter(&self, id: &InstanceId, new: InstanceState) {
        if let Ok(instance) = locked(&self.state).instance_mut(id) {
            instance.state = new;
        }
        self.instance_changed(id, new);
    }

    // Addresses.

    /// Notes what moved, and has the VPC and the metadata follow after a while.
    pub(super) fn addresses_changed(self: &Arc<Self>) {
        let (wanted, order) = {
            let mut decided = locked(&self.decided);
            let wanted = locked(&self.state).deliverable();
            self.note_moves(&decided.delivered, &wanted);
            decided.delivered = wanted.clone();
            decided.order += 1;
            (wanted, decided.order)
        };
        let ec2 = self.clone();
        self.spawn(async move {
            sleep(ec2.timing.address).await;
            let mut last = ec2.delivering.lock().await;
            if *last >= order {
                return;
            }
            *last = order;
            let network = locked(&ec2.state).network(&wanted);
            let delivered = ec2
                .world(
                    || "deliver the new addresses".to_owned(),
                    move |world| world.set_network(&network),
                )
                .await;
            // The metadata confirms a move, so it follows the packets and is never ahead of them.
            if delivered.is_some() {
                locked(&ec2.state).delivered = wanted;
                ec2.events.add(Happening::Delivered);
            }
        });
    }
}
