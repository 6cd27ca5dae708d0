//! What EC2 believes of EBS: volumes with their attachments and modifications, and snapshots.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::ids::{InstanceId, SnapshotId, VolumeId};
use super::states::{AttachmentState, ModificationState, SnapshotState, VolumeState};
use super::volume_type::Performance;

/// Key to value.
pub(super) type Tags = BTreeMap<String, String>;

/// A volume. All of them are encrypted.
#[derive(Debug, Clone)]
pub(super) struct Volume {
    pub(super) zone: &'static str,
    pub(super) size_gib: u32,
    pub(super) performance: Performance,
    /// The ARN of the KMS key.
    pub(super) key: String,
    pub(super) created: SystemTime,
    /// What it was made from, unless it was there from the beginning.
    pub(super) origin: Option<Origin>,
    pub(super) tags: Tags,
    /// Its state as long as it is attached to nothing.
    pub(super) unattached: VolumeState,
    pub(super) attachment: Option<Attachment>,
    /// The latest change of its size is the last.
    pub(super) modifications: Vec<Modification>,
}

impl Volume {
    pub(super) fn state(&self) -> VolumeState {
        match self.attachment {
            Some(_) => VolumeState::InUse,
            None => self.unattached,
        }
    }
}

/// What a volume was made from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) snapshot: SnapshotId,
    /// The parameters of the CreateVolume.
    pub(super) parameters: BTreeMap<String, String>,
}

/// A change of a volume's size.
#[derive(Debug, Clone)]
pub(super) struct Modification {
    pub(super) state: ModificationState,
    pub(super) from_gib: u32,
    pub(super) to_gib: u32,
    pub(super) begun: SystemTime,
    pub(super) ended: Option<SystemTime>,
}

#[derive(Debug, Clone)]
pub(super) struct Attachment {
    /// Tells this attachment from an earlier one of the same volume, for work that was begun then.
    pub(super) number: u64,
    pub(super) instance: InstanceId,
    pub(super) device: String,
    pub(super) state: AttachmentState,
    pub(super) since: SystemTime,
    /// Detach even while it is mounted.
    pub(super) force: bool,
}

/// A snapshot of a volume, whose size and key it has.
#[derive(Debug, Clone)]
pub(super) struct EbsSnapshot {
    pub(super) volume: VolumeId,
    pub(super) size_gib: u32,
    pub(super) key: String,
    pub(super) description: String,
    pub(super) tags: Tags,
    pub(super) begun: SystemTime,
    pub(super) ended: Option<SystemTime>,
    pub(super) state: SnapshotState,
    /// In percent.
    pub(super) progress: u8,
}
