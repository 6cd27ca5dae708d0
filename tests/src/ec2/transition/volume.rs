//! Transitions of a volume: attaching, appearing in the guest, detaching.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::sleep;

use crate::ec2::ebs::Attachment;
use crate::ec2::fault::VolumeFault;
use crate::ec2::ids::{InstanceId, VolumeId};
use crate::ec2::states::{AttachmentState, InstanceState, ModificationState};
use crate::ec2::{Ec2, locked};
use crate::world::Detach;

impl Ec2 {
    pub(in crate::ec2) fn attachment_began(
        self: &Arc<Self>,
        volume: VolumeId,
        attachment: Attachment,
    ) {
        self.volume_changed(&volume, &attachment.instance, attachment.state.name());
        self.spawn(self.clone().attach(volume, attachment));
    }

    async fn attach(self: Arc<Self>, volume: VolumeId, begun: Attachment) {
        sleep(self.timing.attach).await;
        self.while_struck(VolumeFault::StaysAttaching, &begun.instance)
            .await;
        let falls_back = self
            .faults
            .of_volume(VolumeFault::FallsBack, begun.instance.as_str())
            .is_some();
        if !self.arrive(&volume, &begun, falls_back) {
            return;
        }
        sleep(self.timing.device).await;
        self.while_struck(VolumeFault::NoDevice, &begun.instance)
            .await;
        let _turn = self.turn(&begun.instance).await;
        self.plug_in(&begun.instance, Some(&volume)).await;
    }

    /// The end of `attaching`: in `attached`, or in `available` again. False when there is nothing to plug in.
    fn arrive(&self, volume: &VolumeId, begun: &Attachment, falls_back: bool) -> bool {
        {
            let mut state = locked(&self.state);
            match state.attachment_mut(volume, begun.number) {
                Some(attachment) if attachment.state == AttachmentState::Attaching => {
                    attachment.state = AttachmentState::Attached;
                }
                // It was detached by force meanwhile.
                Some(_) | None => return false,
            }
            if falls_back && let Ok(volume) = state.volume_mut(volume) {
                volume.attachment = None;
            }
        }
        let state = if falls_back {
            "detached"
        } else {
            AttachmentState::Attached.name()
        };
        self.volume_changed(volume, &begun.instance, state);
        !falls_back
    }

    /// Waits as long as the fault that applies now holds the volume.
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
    pub(super) async fn plug_in(&self, id: &InstanceId, only: Option<&VolumeId>) {
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

    /// A volume becomes larger: its size counts from `optimizing` on.
    pub(in crate::ec2) fn modification_began(self: &Arc<Self>, volume: VolumeId, gib: u32) {
        self.spawn(self.clone().modify(volume, gib));
    }

    async fn modify(self: Arc<Self>, volume: VolumeId, gib: u32) {
        sleep(self.timing.modify).await;
        let id = volume.to_string();
        self.world(
            || format!("make {volume} {gib} GiB large"),
            move |world| world.enlarge(&id, u64::from(gib) << 30),
        )
        .await;
        self.modification_is(&volume, ModificationState::Optimizing);
        sleep(self.timing.optimize).await;
        self.modification_is(&volume, ModificationState::Completed);
    }

    fn modification_is(&self, volume: &VolumeId, now: ModificationState) {
        let mut state = locked(&self.state);
        let Ok(volume) = state.volume_mut(volume) else {
            return;
        };
        let Some(latest) = volume.modifications.last_mut() else {
            return;
        };
        latest.state = now;
        volume.size_gib = latest.to_gib;
        if now == ModificationState::Completed {
            latest.ended = Some(SystemTime::now());
        }
    }

    pub(in crate::ec2) fn detachment_began(
        self: &Arc<Self>,
        volume: VolumeId,
        attachment: Attachment,
    ) {
        self.volume_changed(&volume, &attachment.instance, attachment.state.name());
        self.spawn(self.clone().detach(volume, attachment));
    }

    async fn detach(self: Arc<Self>, volume: VolumeId, begun: Attachment) {
        let stopped = locked(&self.state)
            .instance(&begun.instance)
            .is_ok_and(|instance| instance.state == InstanceState::Stopped);
        sleep(if stopped {
            self.timing.detach_stopped
        } else {
            self.timing.detach
        })
        .await;
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
            let state = locked(&self.state);
            // None when it was done meanwhile, because the instance went down.
            let Some(attachment) = state.attachment(volume, begun.number) else {
                return true;
            };
            // Nothing says how EC2 detaches from an instance on its way down. The slower of what it may do
            // is modelled: it waits until the instance is down (see `VolumeFault::RefusedWhileStopping`).
            let waits = state
                .instance(&begun.instance)
                .is_ok_and(|instance| instance.state.is_going_down());
            if waits && !attachment.force {
                return false;
            }
            attachment.force
        };
        let outcome = if !force && stuck.is_some_and(|number| self.faults.holds(number)) {
            Some(Detach::Busy)
        } else {
            match self.unplug(volume, &begun.instance, force).await {
                Some(Detach::Busy) if self.vanishes(&begun.instance) => {
                    self.unplug(volume, &begun.instance, true).await
                }
                outcome => outcome,
            }
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

    async fn unplug(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
        force: bool,
    ) -> Option<Detach> {
        let (machine, id) = (instance.to_string(), volume.to_string());
        self.world(
            || format!("detach {volume} from {instance}"),
            move |world| world.detach(&machine, &id, force),
        )
        .await
    }

    /// Whether what the guest has mounted is taken from it all the same.
    fn vanishes(&self, instance: &InstanceId) -> bool {
        self.faults
            .of_volume(VolumeFault::Vanishes, instance.as_str())
            .is_some()
    }

    /// A guest without power holds nothing any more: what was busy is out now. In the instance's turn.
    pub(super) async fn free_busy(&self, id: &InstanceId) {
        for (volume, attachment) in self.attachments_of(id) {
            if attachment.state == AttachmentState::Busy {
                self.try_detach(&volume, &attachment, None).await;
            }
        }
    }

    /// Takes every volume from an instance that has been terminated. None of them is deleted with it: they were
    /// attached after the launch (EC2 User Guide, "How instance termination works").
    pub(super) async fn free_all(&self, id: &InstanceId) {
        for (volume, attachment) in self.attachments_of(id) {
            if let Some(attachment) = locked(&self.state).attachment_mut(&volume, attachment.number)
            {
                attachment.state = AttachmentState::Detaching;
                attachment.force = true;
            }
            loop {
                let turn = self.turn(id).await;
                if self.try_detach(&volume, &attachment, None).await {
                    break;
                }
                drop(turn);
                sleep(self.timing.busy_retry).await;
            }
        }
    }

    fn attachments_of(&self, id: &InstanceId) -> Vec<(VolumeId, Attachment)> {
        let state = locked(&self.state);
        state
            .held_by(id)
            .map(|(volume, held)| (volume.clone(), held.clone()))
            .collect()
    }
}
