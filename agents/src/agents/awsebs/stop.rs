//! Stop: unmounted, flushed, detached. Success means that this instance can no longer write to the volume.

use std::time::{Duration, Instant};

use super::{ASK, AwsEbs, LOOK, or_look_again};
use crate::aws::{AttachmentState, AwsError, Ec2, InstanceId, LAG, until_known};
use crate::device::Device;
use crate::meaning::Meaning;
use crate::mounts;
use crate::ocf::{Deadline, Failure};

/// How long EC2 is asked about a volume that is not to be seen here.
const NOTHING_HERE: Duration = Duration::from_secs(8);
const RETRY: Duration = Duration::from_millis(100);

impl AwsEbs {
    pub(super) async fn detach_here(&self) -> Result<(), Failure> {
        let device = self.live_device();
        if let Some(device) = &device {
            self.let_go(device).await?;
        }
        // A device that was seen and is gone has been taken away: nothing here can write.
        // One that was never seen may still come.
        let may_come = self.begun().is_some_and(|begun| !begun.seen);
        let surely_not_here = device.is_none() && !may_come;
        let deadline = if surely_not_here {
            self.call.deadline.at_most(NOTHING_HERE)
        } else {
            self.call.deadline
        };
        match self.detach_and_wait(device.is_some(), deadline).await {
            Ok(()) => {
                self.state.remove();
                Ok(())
            }
            Err(failure) if surely_not_here => {
                tracing::warn!("{failure}; but there is no such device here");
                self.state.remove();
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Unmounts the device's file systems and writes out what the kernel holds back.
    async fn let_go(&self, device: &Device) -> Result<(), Failure> {
        let deadline = self.call.deadline;
        loop {
            let mounts = mounts::mounts()
                .map_err(|error| Failure::generic(format!("read the list of mounts: {error}")))?;
            let Some(mount) = mounts.iter().rfind(|mount| mount.device == device.number) else {
                break;
            };
            let point = mount.point.display();
            self.call
                .steps
                .doing(&format!("unmounting {point} ({})", self.id()));
            if let Err(error) = mounts::unmount(&mount.point)
                && !deadline.sleep(RETRY).await
            {
                return Err(Failure::generic(format!(
                    "unmount {point}, which is on {}: {error}; in use by {}",
                    self.id(),
                    match mounts::users_of(&mount.point) {
                        users if users.is_empty() =>
                            "none of the processes that can be seen".to_owned(),
                        users => users.join(", "),
                    }
                )));
            }
        }
        self.call
            .steps
            .doing(&format!("flushing {}", device.path.display()));
        loop {
            let doing = |what: &str, error: &dyn std::fmt::Display| {
                Failure::generic(format!(
                    "{what} {} ({}): {error}",
                    device.path.display(),
                    self.id()
                ))
            };
            match device.is_held() {
                Ok(false) => break,
                Ok(true) if deadline.sleep(RETRY).await => {}
                Ok(true) => {
                    return Err(doing(
                        "let go of",
                        &"it is still mounted in a container or used by another driver",
                    ));
                }
                // Gone meanwhile, so nothing is held.
                Err(_) if !device.is_live() => return Ok(()),
                Err(error) => return Err(doing("open", &error)),
            }
        }
        match device.flush() {
            Err(error) if device.is_live() => Err(Failure::generic(format!(
                "flush {} ({}): {error}",
                device.path.display(),
                self.id()
            ))),
            _ => Ok(()),
        }
    }

    async fn detach_and_wait(&self, was_here: bool, deadline: Deadline) -> Result<(), Failure> {
        self.call.steps.doing("asking which instance this is");
        let here = self.instance(deadline).await.map_err(unknown_is_failure)?;
        let ec2 = self.connect(deadline).await.map_err(unknown_is_failure)?;
        let mut asked: Option<Instant> = None;
        loop {
            self.call
                .steps
                .doing(&format!("asking EC2 where {} is", self.id()));
            let volume = match until_known(deadline, async || ec2.volume(self.id()).await).await {
                Err(error) if error.meaning == Meaning::NotFound => {
                    return self.is_gone(deadline).await;
                }
                answer => answer.map_err(unknown_is_failure)?,
            };
            let state = match volume
                .attachment_to(&here)
                .map(|attachment| attachment.state)
            {
                None => return self.is_gone(deadline).await,
                Some(state) => state,
            };
            let leaving = matches!(state, AttachmentState::Detaching | AttachmentState::Busy);
            if !leaving && asked.is_none_or(|at| at.elapsed() > LAG) {
                self.request_detach(&ec2, &here, deadline).await?;
                asked = Some(Instant::now());
            }
            self.call
                .steps
                .doing(&format!("waiting for {} to leave {here}", self.id()));
            // The device's end is what counts. EC2 takes longer to say so.
            if was_here && (asked.is_some() || leaving) && self.leaves_within(ASK, deadline).await {
                return Ok(());
            }
            if !deadline.sleep(if was_here { LOOK } else { ASK }).await {
                return Err(Failure::generic(format!(
                    "{} is still {} on {here} after {} s, so this node could still write to it",
                    self.id(),
                    match state {
                        AttachmentState::Busy => "busy",
                        AttachmentState::Detaching => "detaching",
                        AttachmentState::Attaching => "attaching",
                        AttachmentState::Attached => "attached",
                    },
                    deadline.limit().as_secs()
                )));
            }
        }
    }

    async fn request_detach(
        &self,
        ec2: &Ec2,
        here: &InstanceId,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        self.call
            .steps
            .doing(&format!("detaching {} from {here}", self.id()));
        let answer = until_known(deadline, async || ec2.detach(self.id(), here, false).await).await;
        or_look_again(answer).map_err(|error| Failure::generic(error.to_string()))
    }

    async fn leaves_within(&self, limit: Duration, deadline: Deadline) -> bool {
        let limit = deadline.at_most(limit);
        loop {
            if self.live_device().is_none() {
                return true;
            }
            if !limit.sleep(LOOK).await {
                return false;
            }
        }
    }

    /// EC2 says that it is not attached here: the device has to agree.
    async fn is_gone(&self, deadline: Deadline) -> Result<(), Failure> {
        self.call
            .steps
            .doing(&format!("waiting for the device of {} to go", self.id()));
        if self.leaves_within(deadline.remaining(), deadline).await {
            return Ok(());
        }
        Err(Failure::generic(format!(
            "EC2 says that {} is not attached here, but its device is still there and alive after {} s",
            self.id(),
            deadline.limit().as_secs()
        )))
    }
}

/// Every error of a stop means that it is not known to be detached.
fn unknown_is_failure(error: AwsError) -> Failure {
    Failure::generic(format!("{error}; the volume may still be attached"))
}
