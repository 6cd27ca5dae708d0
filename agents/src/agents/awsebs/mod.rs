//! awsebs: the EBS volume, attached to this instance. What it is; the verbs are in their files.

mod held;
mod monitor;
mod start;
mod stop;
mod take;
mod validate;

use std::fs;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::device::{self, Device};
use crate::ocf::params::{Value, parameters};
use crate::ocf::{Advice, Agent, Call, Description, Failure, Health, StateFile};
use ec2::Deadline;
use ec2::ErrorKind;
use ec2::{
    AwsError, Ec2, InstanceId, InstanceIds, Metadata, Region, VolumeId, prepare_environment,
    retry_transient,
};

parameters! {
    /// The parameters of awsebs.
    struct AwsEbsParameters {
        volume_id: VolumeId = required, unique, "id of the volume",
            "The id of the EBS volume, such as vol-0e06e1e9da3c49b67. It is never formatted. Multi-Attach has to be off.";
        device: DeviceName = default("/dev/sdf"), "device name to ask for",
            "The device name that EC2 is asked for, /dev/sdf to /dev/sdp or /dev/xvdf to /dev/xvdp. On Nitro instances the kernel names the device as it likes, and it is found by the volume's serial number; if another volume of the instance has the name, the next free one is taken. On Xen instances the device is /dev/xvdf where /dev/sdf is asked for; if another volume has the name, a start fails, since who mounts by name would mount that one.";
        cluster_instances: InstanceIds = optional, reloadable, "instances of the cluster, if it fences",
            "The ids of the cluster's instances, with spaces between them. A start detaches the volume, without force, from an instance that runs only if it is one of these, Pacemaker's fencing is on (stonith-enabled), and Pacemaker does not take the resource to be running on another node: then that instance has stopped the resource, or was fenced and started again. From any other instance that runs the volume is not taken. So it is given only in a cluster with fencing; cib-gen sees to that. From stopped instances the volume is always taken.";
        force_detach: bool = default("false"), reloadable, "whether to take the volume from a running instance by all means",
            "Whether a start may detach the volume from any instance that runs, and by force if that instance does not let it go. What that instance has not written yet is lost, and it may not notice that it lost the volume. From stopped instances the volume is always taken.";
        profile: String = optional, reloadable, "profile of the AWS configuration",
            "A profile of root's AWS configuration. Without one, the environment is used, else root's default profile, else the instance role.";
        region: Region = optional, reloadable, "AWS region",
            "The region. Without one, that of the AWS configuration, else the one that the instance runs in.";
    }
}

/// A device name that EC2 takes for a data volume.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceName(char);

impl DeviceName {
    /// The names, in the order in which they are tried.
    fn all() -> impl Iterator<Item = Self> {
        ('f'..='p').map(Self)
    }

    /// Whether EC2's name for a volume's device is this one; `/dev/xvdf` and `/dev/sdf` collide.
    fn is(&self, name: &str) -> bool {
        ["/dev/sd", "/dev/xvd", "sd", "xvd"]
            .iter()
            .any(|prefix| name.strip_prefix(prefix) == Some(self.0.encode_utf8(&mut [0; 4])))
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "/dev/sd{}", self.0)
    }
}

impl FromStr for DeviceName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::all()
            .find(|name| name.is(text))
            .ok_or_else(|| format!("`{text}` is not a device name from /dev/sdf to /dev/sdp"))
    }
}

impl Value for DeviceName {
    const CONTENT: &'static str = "string";
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

/// How often the kernel is asked for the device.
const LOOK: Duration = Duration::from_millis(50);
/// How often EC2 is asked while something is on its way there.
const ASK: Duration = Duration::from_millis(300);

/// IAM is eventually consistent: a right that was just given is denied for a while
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html>). So a denied call is made again for so
/// long, if half of the action's time is not less.
const DENIED: Duration = Duration::from_secs(60);
const DENIED_RETRY: Duration = Duration::from_secs(3);

/// The agent.
#[derive(Debug)]
pub struct AwsEbs {
    parameters: AwsEbsParameters,
    call: Call,
    state: StateFile,
    /// Until when a denied call is made again.
    denied_until: Deadline,
}

/// What was asked of EC2 from here. Its descriptions may not tell of it for some seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Begun {
    volume: String,
    /// The name under which EC2 has said that the volume is attached here, by which Xen shows the device. Empty
    /// until EC2 has said so: a name that was only asked for can be another volume's.
    device: String,
    /// Whether the device was seen. Until then it may still appear.
    seen: bool,
    /// When the attachment was asked for, or seen in a description.
    attached: SystemTime,
    /// When a stop asked for the end of the attachment.
    detached: Option<SystemTime>,
}

/// The time since `moment`; zero if the clock was set back. Zero makes a caller wait longer, which is safe.
fn since(moment: SystemTime) -> Duration {
    moment.elapsed().unwrap_or_default()
}

impl Agent for AwsEbs {
    const DESCRIPTION: Description = Description {
        name: "awsebs",
        short: "EBS volume attached to this EC2 instance",
        long: "Attaches an EBS volume to this EC2 instance and waits until its device is there. Takes the volume from an instance that is stopped or terminated. From an instance that runs it is taken only if that is known to use it no more: see cluster_instances. A stop unmounts what is mounted from the volume, flushes and detaches it, and succeeds only if this instance can no longer write to it. The monitor asks the kernel, not EC2, so that throttling or an outage of EC2's API fails nothing; with OCF_CHECK_LEVEL=5 it also reads a block from the disk past the page cache, and with OCF_CHECK_LEVEL=10 it asks EC2 too. Needs ec2:DescribeVolumes, ec2:DescribeInstances, ec2:AttachVolume and ec2:DetachVolume.",
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
        let state = StateFile::of(Self::DESCRIPTION.name, &call.resource);
        let denied_until = call.deadline.at_most(DENIED.min(call.deadline.limit() / 2));
        Self {
            parameters,
            call,
            state,
            denied_until,
        }
    }

    fn start(&self) -> Result<(), Failure> {
        self.call.wait(self.attach_here())
    }

    fn stop(&self) -> Result<(), Failure> {
        self.call.wait(self.detach_here())
    }

    fn monitor(&self) -> Result<Health, Failure> {
        self.look_after()
    }

    fn validate(&self) -> Result<(), Failure> {
        self.call.wait(self.could_be_attached())
    }
}

impl AwsEbs {
    fn id(&self) -> &VolumeId {
        &self.parameters.volume_id
    }

    fn begun(&self) -> Option<Begun> {
        self.state
            .load::<Begun>()
            .filter(|begun| begun.volume == self.id().as_str())
    }

    fn device(&self) -> Option<Device> {
        let begun = self.begun();
        device::find(self.id(), begun.as_ref().map(|begun| begun.device.as_str()))
    }

    /// The device, if there is a disk behind it.
    fn live_device(&self) -> Option<Device> {
        self.device().filter(Device::is_live)
    }

    /// The device, unless it is certain that nothing can be written to it any more.
    fn present_device(&self) -> Option<Device> {
        self.device().filter(|device| !device.is_gone())
    }

    async fn connect(&self, deadline: Deadline) -> Result<Ec2, AwsError> {
        let region = self.parameters.region.as_ref();
        let profile = self.parameters.profile.as_deref();
        Ec2::connect_by(deadline, region, profile).await
    }

    /// What a call of EC2 gives, once it is allowed if the right for it may just have been given.
    async fn allowed<T>(&self, call: impl AsyncFn() -> Result<T, AwsError>) -> Result<T, AwsError> {
        loop {
            match call().await {
                Err(error)
                    if error.kind == ErrorKind::Forbidden
                        && self.denied_until.sleep(DENIED_RETRY).await =>
                {
                    tracing::warn!("{error}; asking again, as the right may just have been given");
                }
                answer => return answer,
            }
        }
    }

    /// How an action ends because of an error. What EC2 does not know or refuses here it may know and take on another
    /// node, with other credentials or in another region.
    fn failed(&self, error: &AwsError) -> Failure {
        match error.kind {
            ErrorKind::NotFound => Failure::installed(format!(
                "{error}. Check volume_id, the region, and whose credentials this node has"
            )),
            ErrorKind::InvalidValue => Failure::installed(error.to_string()),
            _ => error.clone().into(),
        }
    }

    /// The instance that this is: from the metadata, or from the firmware, where Nitro keeps it too.
    async fn instance(&self, deadline: Deadline) -> Result<InstanceId, AwsError> {
        let tag =
            fs::read_to_string("/sys/devices/virtual/dmi/id/board_asset_tag").unwrap_or_default();
        if let Ok(id) = tag.trim().parse() {
            return Ok(id);
        }
        retry_transient(deadline, async || {
            Metadata::connect_by(deadline)?.instance_id()
        })
        .await
    }

    /// Two nodes could mount such a volume at once, and nothing would stop them.
    fn multi_attach(&self) -> Failure {
        Failure::configured(format!("{} has Multi-Attach on: turn it off", self.id()))
    }
}

/// What a call came to that may have crossed another: the next description tells.
fn or_look_again(answer: Result<(), AwsError>) -> Result<(), AwsError> {
    match answer {
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Unknown | ErrorKind::WrongState | ErrorKind::InUse | ErrorKind::NotFound
            ) =>
        {
            tracing::info!("{error}; looking again");
            Ok(())
        }
        answer => answer,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn device_names_are_those_for_data_volumes() {
        assert_eq!(
            "/dev/xvdg".parse::<DeviceName>().unwrap().to_string(),
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
            assert!(bad.parse::<DeviceName>().is_err(), "{bad} was accepted");
        }
    }
}
