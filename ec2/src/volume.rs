//! EBS volumes: where one is attached, attaching and detaching it.

use aws_sdk_ec2::types::{VolumeAttachmentState, VolumeState};

use crate::client::Ec2;
use crate::error::AwsError;
use crate::ids::{InstanceId, VolumeId};
use crate::error::ErrorKind;

/// A volume as EC2 describes it, which can be seconds behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// What can be done with it.
    pub state: Usable,
    /// Its availability zone.
    pub zone: String,
    /// Whether it may be attached to several instances at once.
    pub multi_attach: bool,
    /// Whether it is encrypted, so that an attachment needs its KMS key.
    pub encrypted: bool,
    /// Where it is attached.
    pub attachments: Vec<Attachment>,
}

/// The states of a volume, by what they mean for one who wants to attach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usable {
    /// `available` or `in-use`.
    Yes,
    /// `creating`.
    NotYet,
    /// `deleting`, `deleted` or `error`.
    Never,
}

/// An attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The instance.
    pub instance: InstanceId,
    /// How far it is.
    pub state: AttachmentState,
    /// The name that was asked for, such as `/dev/sdf`.
    pub device: String,
}

/// How far an attachment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentState {
    /// On its way.
    Attaching,
    /// Done.
    Attached,
    /// On its way out.
    Detaching,
    /// On its way out, but the instance still has it mounted.
    Busy,
}

impl Volume {
    /// The attachment to `instance`.
    pub fn attachment_to(&self, instance: &InstanceId) -> Option<&Attachment> {
        self.attachments
            .iter()
            .find(|attachment| attachment.instance == *instance)
    }

    /// The attachment to another instance than `instance`.
    pub fn attachment_elsewhere(&self, instance: &InstanceId) -> Option<&Attachment> {
        self.attachments
            .iter()
            .find(|attachment| attachment.instance != *instance)
    }
}

impl Ec2 {
    /// A volume.
    ///
    /// # Errors
    /// EC2's; `NotFound` when there is no such volume.
    pub async fn volume(&self, id: &VolumeId) -> Result<Volume, AwsError> {
        let doing = format!("look up {id} in {}", self.region);
        let call = self.sdk.describe_volumes().volume_ids(id.as_str()).send();
        let answer = self.once(call, &doing).await?;
        let volume = answer
            .volumes()
            .iter()
            .find(|volume| volume.volume_id() == Some(id.as_str()))
            .ok_or_else(|| AwsError::new(ErrorKind::NotFound, &doing, "EC2 knows none of that id"))?;
        let mut attachments = Vec::new();
        for attachment in volume.attachments() {
            let state = match attachment.state() {
                Some(VolumeAttachmentState::Attaching) => AttachmentState::Attaching,
                Some(VolumeAttachmentState::Attached) => AttachmentState::Attached,
                Some(VolumeAttachmentState::Detaching) => AttachmentState::Detaching,
                Some(VolumeAttachmentState::Detached) => continue,
                // `busy`, and what EC2 may add one day: the careful reading.
                _ => AttachmentState::Busy,
            };
            // An attachment whose holder can not be read must not be taken for none.
            let instance = attachment
                .instance_id()
                .and_then(InstanceId::from_answer)
                .ok_or_else(|| {
                    let said = "EC2 shows an attachment and not to which instance";
                    AwsError::new(ErrorKind::Unknown, &doing, said)
                })?;
            attachments.push(Attachment {
                instance,
                state,
                device: attachment.device().unwrap_or_default().to_owned(),
            });
        }
        Ok(Volume {
            state: match volume.state() {
                Some(VolumeState::Available | VolumeState::InUse) => Usable::Yes,
                Some(VolumeState::Deleting | VolumeState::Deleted | VolumeState::Error) => {
                    Usable::Never
                }
                _ => Usable::NotYet,
            },
            zone: volume.availability_zone().unwrap_or_default().to_owned(),
            multi_attach: volume.multi_attach_enabled().unwrap_or(false),
            encrypted: volume.encrypted().unwrap_or(false),
            attachments,
        })
    }

    /// Asks for the volume to be attached to `instance` under the name `device`.
    ///
    /// # Errors
    /// EC2's: `InUse`, `WrongState`, `InvalidValue` when the name is taken, `WrongZone`, `NoRoom`.
    pub async fn attach(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
        device: &str,
    ) -> Result<(), AwsError> {
        let call = self
            .sdk
            .attach_volume()
            .volume_id(volume.as_str())
            .instance_id(instance.as_str())
            .device(device)
            .set_dry_run(self.dry_run)
            .send();
        let doing = format!("attach {volume} to {instance} as {device}");
        self.once(call, &doing).await.map(drop)
    }

    /// Asks for the volume to be detached from `instance`. Forced, the instance has no
    /// chance to write what it still holds back.
    ///
    /// # Errors
    /// EC2's: `WrongState` when it is not attached (any more).
    pub async fn detach(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
        force: bool,
    ) -> Result<(), AwsError> {
        let call = self
            .sdk
            .detach_volume()
            .volume_id(volume.as_str())
            .instance_id(instance.as_str())
            .force(force)
            .set_dry_run(self.dry_run)
            .send();
        let doing = format!(
            "detach {volume} from {instance}{}",
            if force { " by force" } else { "" }
        );
        self.once(call, &doing).await.map(drop)
    }

    /// The device names that volumes of `instance` have.
    ///
    /// # Errors
    /// EC2's.
    pub async fn device_names(&self, instance: &InstanceId) -> Result<Vec<String>, AwsError> {
        let answer = self.instance(instance).await?;
        Ok(answer
            .block_device_mappings()
            .iter()
            .filter_map(|mapping| mapping.device_name().map(str::to_owned))
            .collect())
    }
}
