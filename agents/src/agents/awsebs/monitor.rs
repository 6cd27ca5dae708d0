//! Monitor: the device is there and alive. Level 5 reads from the disk, level 10 asks EC2 too.

use std::io;
use std::time::Duration;

use super::AwsEbs;
use crate::device::Device;
use crate::ocf::{Failure, Health};
use ec2::{AttachmentState, AwsError, Volume, retry_until};

/// From this `OCF_CHECK_LEVEL` on a block is read from the disk. EC2 is not asked, so that nothing is throttled.
const READ_LEVEL: u32 = 5;
const EC2_TIMEOUT: Duration = Duration::from_secs(10);

impl AwsEbs {
    pub(super) fn look(&self) -> Result<Health, Failure> {
        let id = self.id();
        let Some(device) = self.device() else {
            let serial = id.serial();
            let absence = format!("no device here has the serial number {serial}");
            return Ok(Health::Stopped(absence));
        };
        let path = device.path.display();
        let read = match device.size() {
            Ok(0) => Err(format!("{path} ({id}) has no size: its disk is gone")),
            Err(error) => Err(format!("open {path} ({id}): {error}")),
            Ok(_) if self.call.check_level < READ_LEVEL => Ok(()),
            Ok(_) => self.read_from(&device),
        };
        match read {
            Err(broken) => Ok(Health::Broken(broken)),
            Ok(()) if self.call.in_depth() => {
                self.call.wait(async { Ok(self.ask_ec2(&device).await) })
            }
            Ok(()) => Ok(Health::Running),
        }
    }

    /// Reads a block past the page cache, or says what is wrong with the disk. The disk counts as hung after the
    /// monitor's time, or after half of it if EC2 is asked too.
    fn read_from(&self, device: &Device) -> Result<(), String> {
        let (path, id, call) = (device.path.display(), self.id(), &self.call);
        call.steps
            .doing(format!("reading a block from {path} ({id})"));
        let left = call.deadline.remaining();
        let limit = if call.in_depth() { left / 2 } else { left };
        let seconds = limit.as_secs_f32();
        device
            .read_block(limit)
            .map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => format!(
                    "{path} ({id}) hangs: a read of one block took more than {seconds:.1} s"
                ),
                _ => format!("read a block from {path} ({id}): {error}"),
            })
    }

    async fn ask_ec2(&self, device: &Device) -> Health {
        let (path, id) = (device.path.display(), self.id());
        match self.attachment_state().await {
            Ok(Some(AttachmentState::Attached | AttachmentState::Attaching)) => Health::Running,
            Ok(Some(AttachmentState::Detaching | AttachmentState::Busy)) => {
                Health::Broken(format!("somebody is detaching {id} from this instance"))
            }
            Ok(None) => Health::Broken(format!(
                "{path} is here, but EC2 does not have {id} attached to this instance"
            )),
            Err(error) => Health::Degraded(format!("{error}; but the device is here and answers")),
        }
    }

    /// The state of the volume's attachment to this instance, if there is one.
    pub(super) async fn attachment_state(&self) -> Result<Option<AttachmentState>, AwsError> {
        let deadline = self.call.deadline.at_most(EC2_TIMEOUT);
        let (here, ec2) = self.locate(deadline).await?;
        let attached = |volume: &Volume| volume.attachment_to(&here).is_some();
        let volume = retry_until(deadline, attached, async || ec2.volume(self.id()).await);
        Ok(volume.await?.attachment_to(&here).map(|it| it.state))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::super::AwsEbsParameters;
    use super::*;
    use crate::ocf::{Agent, Call, Steps};

    fn monitor(check_level: u32, timeout: Duration) -> AwsEbs {
        let parameters = AwsEbsParameters {
            volume_id: "vol-0e06e1e9da3c49b67".parse().unwrap(),
            device: crate::ocf::params::Value::parse("/dev/sdf").unwrap(),
            cluster_instances: None,
            force_detach: false,
            profile: None,
            region: None,
        };
        let call = Call {
            deadline: crate::ocf::deadline::of_action(Instant::now(), timeout),
            probe: false,
            check_level,
            resource: "ebs".to_owned(),
            steps: Steps::default(),
        };
        AwsEbs::new(parameters, call)
    }

    #[test]
    fn a_disk_has_the_time_of_the_monitor_and_half_of_it_when_ec2_is_asked_too() {
        let directory = tempfile::tempdir().unwrap();
        // Nobody writes into it, so that opening it hangs.
        let path = directory.path().join("disk");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let disk = Device {
            path,
            number: "0:0".to_owned(),
            by_name: false,
        };
        for (level, share) in [(5, 1.0), (10, 0.5)] {
            let agent = monitor(level, Duration::from_secs(2));
            let limit = agent.call.deadline.limit().mul_f64(share);
            let began = Instant::now();
            let broken = agent.read_from(&disk).unwrap_err();
            let took = began.elapsed();
            assert!(broken.contains("hangs"), "{broken}");
            let early = limit - Duration::from_millis(300);
            assert!(
                took > early && took < limit + Duration::from_millis(300),
                "level {level}: {took:?}"
            );
        }
    }
}
