//! EBS volumes: DescribeVolumes, AttachVolume, DetachVolume.

use aws_sdk_ec2::types::{VolumeAttachmentState, VolumeState};

use crate::{AwsError, Ec2, ErrorKind, InstanceId, VolumeId};

/// A volume as EC2 describes it. The description can be seconds old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub state: Attachable,
    pub zone: String,
    /// Whether it may be attached to several instances at once.
    pub multi_attach: bool,
    /// Whether it is encrypted, so that an attachment needs its KMS key.
    pub encrypted: bool,
    pub attachments: Vec<Attachment>,
}

/// Whether a volume can be attached, by its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachable {
    /// `available` or `in-use`.
    Yes,
    /// `creating`.
    NotYet,
    /// `deleting`, `deleted` or `error`.
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub instance: InstanceId,
    pub state: AttachmentState,
    /// The device name in the request, such as `/dev/sdf`.
    pub device: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentState {
    Attaching,
    Attached,
    Detaching,
    /// `busy`: detaching, but the instance still has it mounted.
    Busy,
}

impl Volume {
    pub fn attachment_to(&self, instance: &InstanceId) -> Option<&Attachment> {
        self.attachments.iter().find(|a| a.instance == *instance)
    }

    pub fn attachment_elsewhere(&self, instance: &InstanceId) -> Option<&Attachment> {
        self.attachments.iter().find(|a| a.instance != *instance)
    }
}

/// Each call fails with EC2's error.
impl Ec2 {
    /// A volume: `NotFound` if it does not exist; `Unknown` also if EC2 does not say to which instance it is attached.
    pub async fn volume(&self, id: &VolumeId) -> Result<Volume, AwsError> {
        let operation = format!("look up {id} in {}", self.region);
        let call = self.sdk.describe_volumes().volume_ids(id.as_str()).send();
        let answer = self.call(call, &operation).await?;
        let mut volumes = answer.volumes().iter();
        let volume = volumes
            .find(|volume| volume.volume_id() == Some(id.as_str()))
            .ok_or_else(|| AwsError::not_found(&operation))?;
        let mut attachments = Vec::new();
        for attachment in volume.attachments() {
            let state = match attachment.state() {
                Some(VolumeAttachmentState::Attaching) => AttachmentState::Attaching,
                Some(VolumeAttachmentState::Attached) => AttachmentState::Attached,
                Some(VolumeAttachmentState::Detaching) => AttachmentState::Detaching,
                Some(VolumeAttachmentState::Detached) => continue,
                // `busy`. An unknown state is treated as `busy` too, the most careful choice.
                _ => AttachmentState::Busy,
            };
            // If the attachment were left out, the volume would look free.
            let instance = attachment.instance_id().and_then(InstanceId::from_answer);
            let instance = instance.ok_or_else(|| {
                let cause = "EC2 shows an attachment without its instance";
                AwsError::new(ErrorKind::Unknown, &operation, cause)
            })?;
            attachments.push(Attachment {
                instance,
                state,
                device: attachment.device().unwrap_or_default().to_owned(),
            });
        }
        let state = match volume.state() {
            Some(VolumeState::Available | VolumeState::InUse) => Attachable::Yes,
            Some(VolumeState::Deleting | VolumeState::Deleted | VolumeState::Error) => {
                Attachable::Never
            }
            _ => Attachable::NotYet,
        };
        Ok(Volume {
            state,
            zone: volume.availability_zone().unwrap_or_default().to_owned(),
            multi_attach: volume.multi_attach_enabled().unwrap_or(false),
            encrypted: volume.encrypted().unwrap_or(false),
            attachments,
        })
    }

    /// Asks EC2 to attach the volume to `instance` as `device`. EC2 attaches it later.
    pub async fn attach(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
        device: &str,
    ) -> Result<(), AwsError> {
        let call = (self.sdk.attach_volume())
            .volume_id(volume.as_str())
            .instance_id(instance.as_str())
            .device(device)
            .set_dry_run(self.dry_run)
            .send();
        let operation = format!("attach {volume} to {instance} as {device}");
        self.call(call, &operation).await.map(drop)
    }

    /// Asks EC2 to detach the volume from `instance`: `WrongState` if it is not attached. By force, what the
    /// instance has not yet written to the volume is lost.
    pub async fn detach(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
        force: bool,
    ) -> Result<(), AwsError> {
        let call = (self.sdk.detach_volume())
            .volume_id(volume.as_str())
            .instance_id(instance.as_str())
            .force(force)
            .set_dry_run(self.dry_run)
            .send();
        let by_force = if force { " by force" } else { "" };
        let operation = format!("detach {volume} from {instance}{by_force}");
        self.call(call, &operation).await.map(drop)
    }
}
