//! Transitions of a snapshot and of a volume that is made from one: what they have, and how far they are.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use crate::ec2::ebs::EbsSnapshot;
use crate::ec2::events::Happening;
use crate::ec2::fault::SnapshotFault;
use crate::ec2::ids::{SnapshotId, VolumeId};
use crate::ec2::states::{SnapshotState, VolumeState};
use crate::ec2::{Ec2, locked};

/// The steps in which the progress of a snapshot rises, in percent.
const STEPS: [u8; 4] = [25, 50, 75, 99];

impl Ec2 {
    /// Returns once the snapshot has what the volume had at one moment meanwhile. It goes on after that, also if the
    /// caller does not wait.
    pub(in crate::ec2) async fn snapshot_began(self: &Arc<Self>, id: SnapshotId, volume: VolumeId) {
        self.snapshot_changed(&id, &volume, SnapshotState::Pending);
        let (has_it, copied) = oneshot::channel();
        self.spawn(self.clone().snapshot_of(id, volume, has_it));
        // An error says that the task is gone, which has reported why.
        let _ = copied.await;
    }

    async fn snapshot_of(
        self: Arc<Self>,
        id: SnapshotId,
        volume: VolumeId,
        has_it: oneshot::Sender<()>,
    ) {
        let (from, to) = (volume.to_string(), id.to_string());
        let copied = self
            .world(
                || format!("copy {volume} for {id}"),
                move |world| world.snapshot(&from, &to),
            )
            .await
            .is_some();
        // The caller may be gone.
        let _ = has_it.send(());
        let end = match copied && self.transfer(&id, &volume).await {
            true => SnapshotState::Completed,
            false => SnapshotState::Error,
        };
        self.with_snapshot(&id, |snapshot| {
            snapshot.state = end;
            snapshot.ended = Some(SystemTime::now());
            if end == SnapshotState::Completed {
                snapshot.progress = 100;
            }
        });
        self.snapshot_changed(&id, &volume, end);
    }

    /// Whether it succeeds.
    async fn transfer(&self, id: &SnapshotId, volume: &VolumeId) -> bool {
        let step = self.time_to_transfer(volume) / STEPS.len() as u32;
        for progress in STEPS {
            sleep(step).await;
            self.with_snapshot(id, |snapshot| snapshot.progress = progress);
        }
        if let Some(number) = self.faults.of_snapshot(SnapshotFault::StaysPending) {
            while self.faults.holds(number) {
                sleep(self.timing.busy_retry).await;
            }
        }
        self.faults.of_snapshot(SnapshotFault::Fails).is_none()
    }

    /// Snapshots are incremental (EBS User Guide, "How Amazon EBS snapshots work").
    fn time_to_transfer(&self, volume: &VolumeId) -> Duration {
        let state = locked(&self.state);
        let is_later = state
            .snapshots
            .values()
            .any(|it| it.volume == *volume && it.state == SnapshotState::Completed);
        match is_later {
            true => self.timing.later_snapshot,
            false => self.timing.snapshot,
        }
    }

    fn with_snapshot(&self, id: &SnapshotId, change: impl FnOnce(&mut EbsSnapshot)) {
        if let Some(snapshot) = locked(&self.state).snapshots.get_mut(id) {
            change(snapshot);
        }
    }

    fn snapshot_changed(&self, id: &SnapshotId, volume: &VolumeId, state: SnapshotState) {
        self.events.add(Happening::Snapshot {
            snapshot: id.to_string(),
            volume: volume.to_string(),
            state: state.name().to_owned(),
        });
    }

    /// A volume is made from a snapshot.
    pub(in crate::ec2) fn creation_began(
        self: &Arc<Self>,
        id: VolumeId,
        snapshot: SnapshotId,
        gib: u32,
    ) {
        self.volume_made(&id, &snapshot, VolumeState::Creating);
        self.spawn(self.clone().create_volume(id, snapshot, gib));
    }

    async fn create_volume(self: Arc<Self>, id: VolumeId, snapshot: SnapshotId, gib: u32) {
        let begun = Instant::now();
        let (to, from) = (id.to_string(), snapshot.to_string());
        let made = self
            .world(
                || format!("make {id} from {snapshot}"),
                move |world| world.create_volume(&to, &from, u64::from(gib) << 30),
            )
            .await;
        sleep_until(begun + self.timing.create_volume).await;
        let state = match made {
            Some(()) => VolumeState::Available,
            None => VolumeState::Error,
        };
        if let Ok(volume) = locked(&self.state).volume_mut(&id) {
            volume.unattached = state;
        }
        self.volume_made(&id, &snapshot, state);
    }

    fn volume_made(&self, id: &VolumeId, from: &SnapshotId, state: VolumeState) {
        self.events.add(Happening::NewVolume {
            volume: id.to_string(),
            snapshot: from.to_string(),
            state: state.name().to_owned(),
        });
    }
}
