//! The states that EC2 names, as it writes them.

/// States of an instance (API reference, InstanceState).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Starting.
    Pending,
    /// Has power, whatever its guest does.
    Running,
    /// Being terminated.
    ShuttingDown,
    /// Gone.
    Terminated,
    /// Being stopped.
    Stopping,
    /// Without power; keeps volumes, private addresses and Elastic IPs.
    Stopped,
}

impl InstanceState {
    /// EC2's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// EC2's number of it.
    pub fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// Whether it has begun to go down and is not down yet.
    pub(in crate::ec2) fn is_going_down(self) -> bool {
        matches!(self, Self::Stopping | Self::ShuttingDown)
    }
}

/// States of a volume (API reference, Volume, `status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeState {
    /// Being created.
    Creating,
    /// Attached to nothing.
    Available,
    /// Attached, or on its way to or from an instance.
    InUse,
    /// Being deleted.
    Deleting,
    /// Gone.
    Deleted,
    /// Broken.
    Error,
}

impl VolumeState {
    /// EC2's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::InUse => "in-use",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Error => "error",
        }
    }
}

/// States of an attachment (API reference, VolumeAttachment, `status`). `detached` is no state
/// of a thing that exists: the attachment is gone then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentState {
    /// On its way to the instance.
    Attaching,
    /// There.
    Attached,
    /// On its way from the instance.
    Detaching,
    /// To be detached, but the guest still has it mounted.
    Busy,
}

impl AttachmentState {
    /// EC2's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Attaching => "attaching",
            Self::Attached => "attached",
            Self::Detaching => "detaching",
            Self::Busy => "busy",
        }
    }

    /// Whether it will end in `available`.
    pub fn is_leaving(self) -> bool {
        matches!(self, Self::Detaching | Self::Busy)
    }
}

/// States of a volume's modification (API reference, VolumeModification, `modificationState`), but for `failed`, which
/// the model does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModificationState {
    /// The new size does not count yet.
    Modifying,
    /// It counts; the volume is slower than it will be.
    Optimizing,
    /// Done.
    Completed,
}

impl ModificationState {
    /// EC2's name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Modifying => "modifying",
            Self::Optimizing => "optimizing",
            Self::Completed => "completed",
        }
    }
}

/// States of a snapshot (API reference, Snapshot, `status`), but for those of an archived or deleted one, which the model
/// does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SnapshotState {
    /// No volume can be made from it yet.
    Pending,
    /// Done.
    Completed,
    /// It has failed.
    Error,
}

impl SnapshotState {
    /// EC2's name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Error => "error",
        }
    }
}
