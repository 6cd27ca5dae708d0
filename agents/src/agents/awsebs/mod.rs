//! awsebs: the EBS volume, attached to this instance. Its parameters and what its actions share are here, each
//! action has a file. Whether the volume may be detached is decided in `stop.rs` (from this instance) and in
//! `take.rs` (from another one).

mod monitor;
mod start;
mod stop;
mod take;
mod unmount;
mod validate;

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::device::{self, Device};
use crate::ocf::params::{Value, parameters};
use crate::ocf::{Advice, Agent, Call, Description, Failure, Health, StateFile};
use ec2::{
    AwsError, Deadline, EVENTUAL_CONSISTENCY_WINDOW, Ec2, ErrorKind, InstanceId, InstanceIds,
    Metadata, Region, Volume, VolumeId, prepare_environment, retry_transient,
};

parameters! {
    struct AwsEbsParameters {
        volume_id: VolumeId = required, unique, "id of the volume",
            "The id of the EBS volume, such as vol-0e06e1e9da3c49b67. It is never formatted. Multi-Attach has to be off.";
        device: DeviceName = default("/dev/sdf"), "device name to ask for",
            "The device name that EC2 is asked for, /dev/sdf to /dev/sdp or /dev/xvdf to /dev/xvdp. On Nitro instances the kernel names the device as it likes, and it is found by the volume's serial number; if another volume of the instance has the name, the next free one is taken. On Xen instances the device is /dev/xvdf where /dev/sdf is asked for; if another volume has the name, a start fails, since who mounts by name would mount that one.";
        cluster_instances: InstanceIds = optional, reloadable, "instances of the cluster, if it fences",
            "The ids of the cluster's instances, with spaces between them. Give them only in a cluster with fencing; cib-gen does. A start then detaches the volume from a running instance, without force, if the instance is one of these, fencing is on (stonith-enabled), and the resource runs on no other node as far as Pacemaker knows: that instance stopped the resource, or was fenced and started again. The volume is not detached from any other running instance. From a stopped instance it always is.";
        force_detach: bool = default("false"), reloadable, "detach from a running instance, by force if needed",
            "Whether a start may detach the volume from any running instance, by force if the attachment stays busy. Data that the instance has not written yet is lost, and the instance may not notice that its volume is gone. From a stopped instance the volume is always detached.";
        profile: String = optional, reloadable, "profile of the AWS configuration",
            "A profile of root's AWS configuration. Without one, the environment is used, else root's default profile, else the instance role.";
        region: Region = optional, reloadable, "AWS region",
            "The region. Without one, that of the AWS configuration, else the one that the instance runs in.";
    }
}

/// A device name that EC2 takes for a data volume.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeviceName(char);

impl DeviceName {
    /// The names, in the order in which they are tried.
    fn all() -> impl Iterator<Item = Self> {
        ('f'..='p').map(Self)
    }

    /// Whether EC2's name for a volume's device is this one; `/dev/xvdf` and `/dev/sdf` collide.
    fn is(&self, name: &str) -> bool {
        let name = name.strip_prefix("/dev/").unwrap_or(name);
        let letter = name.strip_prefix("sd").or_else(|| name.strip_prefix("xvd"));
        letter == Some(self.0.encode_utf8(&mut [0; 4]))
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "/dev/sd{}", self.0)
    }
}

impl Value for DeviceName {
    fn parse(text: &str) -> Result<Self, String> {
        let name = Self::all().find(|name| name.is(text));
        name.ok_or_else(|| format!("`{text}` is not a device name from /dev/sdf to /dev/sdp"))
    }
}

/// How often the kernel is asked for the device.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How often EC2 is asked about the volume while an action waits for a change.
const EC2_POLL_INTERVAL: Duration = Duration::from_millis(300);
const REFUSED_RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct AwsEbs {
    parameters: AwsEbsParameters,
    call: Call,
    state: StateFile,
}

/// An attachment that this node requested. EC2's descriptions may not show it for some seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PendingAttachment {
    volume: String,
    /// The name under which EC2 said that the volume is attached here: Xen shows the device by it. Empty until EC2
    /// said so, since another volume can have the name that was asked for.
    device: String,
    /// Whether the device was seen. Until then it may still appear.
    seen: bool,
    /// When the attachment was requested, or seen in a description.
    attached: SystemTime,
    detached: Option<SystemTime>,
}

/// The time since `moment`. If the clock went backwards it is zero: the caller only waits longer.
fn elapsed_since(moment: SystemTime) -> Duration {
    moment.elapsed().unwrap_or_default()
}

impl Agent for AwsEbs {
    const DESCRIPTION: Description = Description {
        name: "awsebs",
        short: "EBS volume attached to this EC2 instance",
        long: "Attaches an EBS volume to this EC2 instance and waits for its device. If the volume is attached to a stopped or terminated instance, it is detached there first; if that instance runs, only when it is known to use the volume no more (see cluster_instances). A stop unmounts what is mounted from the volume, flushes and detaches it, and succeeds only if this instance can no longer write to it. The monitor asks the kernel, not EC2, so that throttling or an outage of EC2's API fails nothing; with OCF_CHECK_LEVEL=5 it also reads a block from the disk past the page cache, and with OCF_CHECK_LEVEL=10 it asks EC2 too. Needs ec2:DescribeVolumes, ec2:DescribeInstances, ec2:AttachVolume and ec2:DetachVolume.",
        actions: &[
            Advice::timeout("start", 180),
            Advice::timeout("stop", 180),
            Advice::monitor(0, 30, 10),
            Advice::monitor(5, 30, 60),
            Advice::monitor(10, 30, 60),
        ],
    };
    type Parameters = AwsEbsParameters;

    fn new(parameters: AwsEbsParameters, call: Call) -> Self {
        prepare_environment();
        Self {
            parameters,
            state: StateFile::of(Self::DESCRIPTION.name, &call.resource),
            call,
        }
    }

    fn start(&self) -> Result<(), Failure> {
        self.call.wait(self.attach_here())
    }

    fn stop(&self) -> Result<(), Failure> {
        self.call.wait(self.detach_here())
    }

    fn monitor(&self) -> Result<Health, Failure> {
        self.look()
    }

    fn validate(&self) -> Result<(), Failure> {
        self.call.wait(self.could_be_attached())
    }
}

impl AwsEbs {
    fn id(&self) -> &VolumeId {
        &self.parameters.volume_id
    }

    /// What an earlier call noted about the attachment.
    fn noted(&self) -> Option<PendingAttachment> {
        let noted: Option<PendingAttachment> = self.state.load();
        noted.filter(|noted| noted.volume == self.id().as_str())
    }

    fn attachment_now(&self, device: &str, seen: bool) -> PendingAttachment {
        PendingAttachment {
            volume: self.id().to_string(),
            device: device.to_owned(),
            seen,
            attached: SystemTime::now(),
            detached: None,
        }
    }

    fn device(&self) -> Option<Device> {
        let noted = self.noted().map(|noted| noted.device);
        device::find(self.id(), noted.as_deref())
    }

    /// The device, if there is a disk behind it.
    fn live_device(&self) -> Option<Device> {
        self.device().filter(Device::is_live)
    }

    /// The device, unless it is certain that nothing can be written to it any more.
    fn present_device(&self) -> Option<Device> {
        self.device().filter(|device| !device.is_gone())
    }

    /// The failure of an action because of an error of EC2. Another node may have other credentials and another
    /// region, so a volume or value that EC2 refuses here is no reason to stop the resource everywhere.
    fn failed(&self, error: &AwsError) -> Failure {
        match error.kind {
            ErrorKind::NotFound => Failure::installed(format!(
                "{error}; help: check volume_id, the region, and whose credentials this node has"
            )),
            ErrorKind::InvalidValue => Failure::installed(error.to_string()),
            _ => error.clone().into(),
        }
    }

    /// This instance, by the firmware on Nitro, else by the instance metadata; and EC2.
    async fn locate(&self, deadline: Deadline) -> Result<(InstanceId, Ec2), AwsError> {
        self.call.steps.doing("asking which instance this is");
        let tag = fs::read_to_string("/sys/devices/virtual/dmi/id/board_asset_tag");
        let ask = async || Metadata::connect_by(deadline)?.instance_id();
        let here = match tag.unwrap_or_default().trim().parse() {
            Ok(here) => here,
            Err(_) => retry_transient(deadline, ask).await?,
        };
        self.asking_ec2("");
        let parameters = &self.parameters;
        let (region, profile) = (parameters.region.as_ref(), parameters.profile.as_deref());
        Ok((here, Ec2::connect_by(deadline, region, profile).await?))
    }

    fn asking_ec2(&self, known: &str) {
        let step = format!("asking EC2 where {} is{known}", self.id());
        self.call.steps.doing(step);
    }

    /// Two nodes could mount a volume with Multi-Attach at the same time.
    fn refuse_multi_attach(&self, volume: &Volume) -> Result<(), Failure> {
        if !volume.multi_attach {
            return Ok(());
        }
        let id = self.id();
        let reason = format!("{id} has Multi-Attach on; help: turn it off");
        Err(Failure::configured(reason))
    }
}

/// When a detach request is sent again: after a refusal soon, since EC2 detaches nothing that is still attaching.
fn detach_retry_at(answer: &Result<(), AwsError>) -> Instant {
    let pause = match answer {
        Ok(()) => EVENTUAL_CONSISTENCY_WINDOW,
        Err(_) => REFUSED_RETRY_INTERVAL,
    };
    Instant::now() + pause
}

/// Ignores an error that shows that the call may have raced with another one. The caller looks at the volume again.
fn ignore_race(answer: Result<(), AwsError>) -> Result<(), AwsError> {
    use ErrorKind::{InUse, NotFound, Unknown, WrongState};
    let Err(error) = answer else { return Ok(()) };
    if !matches!(error.kind, Unknown | WrongState | InUse | NotFound) {
        return Err(error);
    }
    tracing::info!("{error}; reading the state of the volume again");
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn device_names_are_those_for_data_volumes() {
        assert_eq!(
            DeviceName::parse("/dev/xvdg").unwrap().to_string(),
            "/dev/sdg"
        );
        for bad in [
            "/dev/sda",
            "/dev/sda1",
            "/dev/sdq",
            "/dev/sdff",
            "",
            "/dev/nvme1n1",
        ] {
            assert!(DeviceName::parse(bad).is_err(), "{bad} was accepted");
        }
    }
}
