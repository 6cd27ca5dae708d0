//! Volumes: AttachVolume, DetachVolume, DescribeVolumes.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Answer, tag};
use crate::ec2::ebs::{Attachment, Volume};
use crate::ec2::error::ApiError;
use crate::ec2::fault::VolumeFault;
use crate::ec2::ids::{InstanceId, VolumeId};
use crate::ec2::query::{Call, passes};
use crate::ec2::state::{State, no_volume};
use crate::ec2::states::{AttachmentState, InstanceState, VolumeState};
use crate::ec2::xml::{Element, list, moment, text};
use crate::ec2::{Ec2, locked};
use crate::site;

/// Nitro instances of most sizes: 28 attachments, of which the network interface and the root
/// volume take one each (EC2 User Guide, "EBS volume limits for EC2 instances").
const VOLUMES_PER_INSTANCE: usize = 26;

/// The name that the root volume has taken. The root volume itself is not modelled.
pub(super) const ROOT_DEVICE: &str = "/dev/sda1";

/// API reference, AttachVolume.
pub(super) fn attach(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["VolumeId", "InstanceId", "Device"])?;
    let volume = VolumeId::parse(call.required("VolumeId")?)?;
    let instance = InstanceId::parse(call.required("InstanceId")?)?;
    let device = call.required("Device")?;
    let attachment = locked(&ec2.state).attach(&volume, &instance, device)?;
    let answer = attachment_elements(&volume, &attachment);
    ec2.attachment_began(volume, attachment);
    Ok(answer)
}

/// API reference, DetachVolume.
pub(super) fn detach(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["VolumeId", "InstanceId", "Device", "Force"])?;
    let volume = VolumeId::parse(call.required("VolumeId")?)?;
    let instance = call
        .optional("InstanceId")
        .map(InstanceId::parse)
        .transpose()?;
    let force = call.flag("Force")?.unwrap_or_default();
    let device = call.optional("Device");
    let mut state = locked(&ec2.state);
    refused_while_stopping(ec2, &state, &volume)?;
    let (attachment, begins) = state.detach(&volume, instance.as_ref(), device, force)?;
    drop(state);
    let answer = attachment_elements(&volume, &attachment);
    if begins {
        ec2.detachment_began(volume, attachment);
    }
    Ok(answer)
}

/// One of the two things that EC2 may do with a volume of an instance that is on its way down. It is
/// asked of the fault only then, so that its times are not used up by other calls.
fn refused_while_stopping(ec2: &Ec2, state: &State, volume: &VolumeId) -> Result<(), ApiError> {
    let attachment = state
        .volumes
        .get(volume)
        .and_then(|v| v.attachment.as_ref());
    let Some(holder) = attachment.map(|attachment| &attachment.instance) else {
        return Ok(());
    };
    let now = state.instance(holder)?.state;
    let refused = now.is_going_down()
        && ec2
            .faults
            .of_volume(VolumeFault::RefusedWhileStopping, holder.as_str())
            .is_some();
    if refused {
        return Err(ApiError::client(
            "IncorrectState",
            format!(
                "Unable to detach volume '{volume}' from instance '{holder}' in the '{}' state.",
                now.name()
            ),
        ));
    }
    Ok(())
}

/// API reference, DescribeVolumes.
pub(super) fn describe(state: &State, call: &Call) -> Answer {
    call.only(&["VolumeId", "Filter", "MaxResults", "NextToken"])?;
    let asked = asked(state, call)?;
    let filters = call.filters();
    let mut volumes = Vec::new();
    for (id, volume) in &state.volumes {
        if (asked.is_empty() || asked.contains(id))
            && passes(&filters, |name| field(id, volume, name))?
        {
            volumes.push(volume_elements(id, volume));
        }
    }
    Ok(vec![list("volumeSet", volumes)])
}

/// The volumes that a call names, each of which exists.
pub(super) fn asked(state: &State, call: &Call) -> Result<Vec<VolumeId>, ApiError> {
    let ids = call.list("VolumeId").into_iter().map(VolumeId::parse);
    let asked = ids.collect::<Result<Vec<_>, _>>()?;
    match asked.iter().find(|id| !state.volumes.contains_key(id)) {
        Some(missing) => Err(no_volume(missing)),
        None => Ok(asked),
    }
}

impl State {
    fn attach(
        &mut self,
        volume: &VolumeId,
        instance: &InstanceId,
        device: &str,
    ) -> Result<Attachment, ApiError> {
        let number = self.number();
        let zone = self.volume_mut(volume)?.zone;
        let state = self.instance(instance)?.state;
        // "You can attach a volume only to instances in the same Availability Zone."
        if zone != site::ZONE {
            return Err(ApiError::client(
                "InvalidVolume.ZoneMismatch",
                format!(
                    "The volume '{volume}' is not in the same availability zone as instance '{instance}'"
                ),
            ));
        }
        // "You can attach a volume to a running or stopped instance." Anything between is IncorrectState.
        if !matches!(state, InstanceState::Running | InstanceState::Stopped) {
            return Err(ApiError::client(
                "IncorrectState",
                format!("Instance '{instance}' is not 'running'."),
            ));
        }
        // "is not 'available'" as in <https://github.com/kubernetes/kops/issues/3235>.
        let held = self.volume_mut(volume)?;
        if held.attachment.is_none() && held.unattached != VolumeState::Available {
            return Err(ApiError::client(
                "IncorrectState",
                format!("{volume} is not 'available'."),
            ));
        }
        // Without Multi-Attach a volume is at one instance. This holds from `attaching` until the
        // attachment is gone, so also while it is `detaching` or `busy`, and for the same instance.
        if held.attachment.is_some() {
            return Err(ApiError::client(
                "VolumeInUse",
                format!("{volume} is already attached to an instance"),
            ));
        }
        // EC2 User Guide, "Device names for volumes": /dev/sd[b-z] and /dev/xvd[b-d][a-z].
        let name = ["/dev/sd", "/dev/xvd"]
            .iter()
            .find_map(|prefix| device.strip_prefix(prefix));
        if !name.is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_lowercase())
                && rest
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        }) {
            return Err(ApiError::invalid_value(format!(
                "Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name."
            )));
        }
        // "If a device name is taken on the instance": InvalidParameterValue.
        if device == ROOT_DEVICE
            || self
                .held_by(instance)
                .any(|(_, held)| held.device == device)
        {
            return Err(ApiError::invalid_value(format!(
                "Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
            )));
        }
        if self.held_by(instance).count() >= VOLUMES_PER_INSTANCE {
            return Err(ApiError::client(
                "AttachmentLimitExceeded",
                format!("Instance '{instance}' has as many volumes as it can have"),
            ));
        }
        let attachment = Attachment {
            number,
            instance: instance.clone(),
            device: device.to_owned(),
            state: AttachmentState::Attaching,
            since: SystemTime::now(),
            force: false,
        };
        self.volume_mut(volume)?.attachment = Some(attachment.clone());
        Ok(attachment)
    }

    /// The attachment, and whether this call begins the detaching (and does not only force it).
    fn detach(
        &mut self,
        id: &VolumeId,
        instance: Option<&InstanceId>,
        device: Option<&str>,
        force: bool,
    ) -> Result<(Attachment, bool), ApiError> {
        if let Some(instance) = instance {
            self.instance(instance)?;
        }
        let volume = self.volume_mut(id)?;
        let unattached = incorrect_state(id, volume);
        let attachment = volume.attachment.as_mut().ok_or(unattached)?;
        // API reference, error codes, InvalidAttachment.NotFound: an attachment that does not exist.
        if instance.is_some_and(|instance| instance != &attachment.instance)
            || device.is_some_and(|device| device != attachment.device)
        {
            return Err(ApiError::client(
                "InvalidAttachment.NotFound",
                format!(
                    "The volume '{id}' is not attached to instance '{}' as device '{}'.",
                    instance.unwrap_or(&attachment.instance),
                    device.unwrap_or(&attachment.device)
                ),
            ));
        }
        // Only an attached volume can be detached; one that is on its way already, or stuck,
        // can only be forced ("Use this option only as a last resort to detach a volume from a
        // failed instance").
        let begins = !attachment.state.is_leaving();
        if attachment.state != AttachmentState::Attached && !force {
            return Err(ApiError::client(
                "IncorrectState",
                format!(
                    "Volume '{id}' is in the '{}' state.",
                    attachment.state.name()
                ),
            ));
        }
        attachment.force |= force;
        if begins {
            attachment.state = AttachmentState::Detaching;
        }
        Ok((attachment.clone(), begins))
    }
}

/// Seen on EC2: <Code>IncorrectState</Code><Message>Volume 'vol-...' is in the 'available' state.</Message>
/// (kubernetes-sigs/aws-ebs-csi-driver, issue 1801).
pub(super) fn incorrect_state(id: &VolumeId, volume: &Volume) -> ApiError {
    ApiError::client(
        "IncorrectState",
        format!("Volume '{id}' is in the '{}' state.", volume.state().name()),
    )
}

fn attachment_elements(volume: &VolumeId, attachment: &Attachment) -> Vec<Element> {
    vec![
        text("volumeId", volume),
        text("instanceId", &attachment.instance),
        text("device", &attachment.device),
        text("status", attachment.state.name()),
        text("attachTime", moment(attachment.since)),
        text("deleteOnTermination", false),
    ]
}

pub(super) fn volume_elements(id: &VolumeId, volume: &Volume) -> Vec<Element> {
    let attachments = volume
        .attachment
        .iter()
        .map(|attachment| attachment_elements(id, attachment))
        .collect();
    let performance = volume.performance;
    let mut elements = vec![
        text("volumeId", id),
        text("size", volume.size_gib),
        text("snapshotId", snapshot(volume)),
        text("availabilityZone", volume.zone),
        text("status", volume.state().name()),
        text("createTime", moment(volume.created)),
        list("attachmentSet", attachments),
        text("volumeType", performance.kind.name()),
    ];
    elements.extend(performance.iops.map(|iops| text("iops", iops)));
    elements.extend(performance.throughput.map(|rate| text("throughput", rate)));
    elements.extend([
        text("encrypted", true),
        text("kmsKeyId", &volume.key),
        text("multiAttachEnabled", false),
        tag::set(&volume.tags),
    ]);
    elements
}

/// The snapshot that a volume was made from; empty if from none.
fn snapshot(volume: &Volume) -> &str {
    let origin = volume.origin.as_ref();
    origin.map_or("", |origin| origin.snapshot.as_str())
}

fn field(id: &VolumeId, volume: &Volume, name: &str) -> Option<Vec<String>> {
    let of_attachment =
        |get: fn(&Attachment) -> String| volume.attachment.iter().map(get).collect();
    Some(match name {
        "volume-id" => vec![id.to_string()],
        "status" => vec![volume.state().name().to_owned()],
        "availability-zone" => vec![volume.zone.to_owned()],
        "snapshot-id" => vec![snapshot(volume).to_owned()],
        "attachment.instance-id" => of_attachment(|a| a.instance.to_string()),
        "attachment.status" => of_attachment(|a| a.state.name().to_owned()),
        "attachment.device" => of_attachment(|a| a.device.clone()),
        other => return tag::field(&volume.tags, other),
    })
}
