//! Stop: unmounted, flushed, detached. Success means that this instance can no longer write to the volume.

use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;

use super::held::Wait;
use super::{ASK, AwsEbs, Begun, LOOK, or_look_again, since};
use crate::device::Device;
use crate::holders;
use crate::mounts;
use crate::ocf::Failure;
use ec2::Deadline;
use ec2::ErrorKind;
use ec2::{
    AttachmentState, AwsError, EVENTUAL_CONSISTENCY_WINDOW, Ec2, InstanceId, retry_transient,
};

/// How long EC2 is asked about a volume that is not to be seen here.
const NOTHING_HERE: Duration = Duration::from_secs(8);
/// After this time a request to attach, made by an action that was killed, has reached EC2 or is lost, and
/// descriptions show it.
const SETTLED: Duration = Duration::from_secs(10);
/// How long after a refusal it is asked again: what is still attaching can't be detached yet.
const REFUSED: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(100);

impl AwsEbs {
    pub(super) async fn detach_here(&self) -> Result<(), Failure> {
        self.forget_a_name_that_is_anothers().await?;
        let device = self.present_device();
        if let Some(device) = &device {
            self.unmount(device).await?;
            self.await_free(device).await?;
            self.flush(device)?;
        }
        self.detach_and_wait(device.is_some()).await?;
        if let Some(device) = device {
            let was = device.path.display();
            tracing::info!("{} is no longer here, where it was {was}", self.id());
        }
        self.state.remove();
        Ok(())
    }

    /// Where the name alone says that the device is the volume, another volume may have the name by now, and must not
    /// be unmounted.
    async fn forget_a_name_that_is_anothers(&self) -> Result<(), Failure> {
        if !self.device().is_some_and(|device| device.by_name) {
            return Ok(());
        }
        match (self.attached_says_ec2().await, self.begun()) {
            (Ok(None), Some(begun)) => {
                tracing::warn!("{} is no longer what is at {}", self.id(), begun.device);
                let device = String::new();
                self.state.save(&Begun { device, ..begun })
            }
            _ => Ok(()),
        }
    }

    /// Unmounts the device's file systems.
    async fn unmount(&self, device: &Device) -> Result<(), Failure> {
        let mut wait: Option<Wait> = None;
        loop {
            let numbers = device.numbers();
            let mounts = mounts::mounts()
                .map_err(|error| Failure::generic(format!("read the list of mounts: {error}")))?;
            let Some(mount) = mounts.iter().rfind(|mount| mount.is_on(&numbers)) else {
                return Ok(());
            };
            let what = format!("unmounting {}", mount.point.display());
            self.call.steps.acting(&format!("{what} ({})", self.id()));
            let Err(error) = mounts::unmount(&mount.point) else {
                continue;
            };
            wait.take_if(|wait| !wait.is_for(&what));
            let wait = wait.get_or_insert_with(|| Wait::new(what));
            self.look_who_holds(device, wait)?;
            if !self.call.deadline.sleep(RETRY).await {
                return Err(self.still_held(device, wait, &error));
            }
        }
    }

    /// Waits until nothing holds the device: no mount in another namespace, no other driver.
    async fn await_free(&self, device: &Device) -> Result<(), Failure> {
        let mut wait = Wait::new("detaching the volume".to_owned());
        loop {
            match device.is_held() {
                // A loop device does not hold what it writes to.
                Ok(false) if holders::lasting(device).is_empty() => return Ok(()),
                Ok(_) => {}
                // Gone meanwhile, so nothing is held.
                Err(_) if !device.is_live() => return Ok(()),
                Err(error) => {
                    return Err(Failure::generic(format!(
                        "open {} ({}): {error}",
                        device.path.display(),
                        self.id()
                    )));
                }
            }
            self.look_who_holds(device, &mut wait)?;
            if !self.call.deadline.sleep(RETRY).await {
                return Err(self.still_held(device, &wait, &Errno::EBUSY));
            }
        }
    }

    /// Writes out what the kernel holds back.
    fn flush(&self, device: &Device) -> Result<(), Failure> {
        let path = device.path.display();
        self.call.steps.doing(&format!("flushing {path}"));
        match device.flush() {
            Err(error) if device.is_live() => Err(Failure::generic(format!(
                "flush {path} ({}): {error}",
                self.id()
            ))),
            _ => Ok(()),
        }
    }

    async fn detach_and_wait(&self, was_here: bool) -> Result<(), Failure> {
        // A device that was seen and is gone has been taken away: nothing here can write. One that
        // was never seen may still come, as long as EC2 may have got the request and not tell of it.
        let coming = self.begun().filter(|begun| !was_here && !begun.seen);
        let surely_not_here = !was_here && coming.is_none();
        let mut patience = if surely_not_here {
            self.call.deadline.at_most(NOTHING_HERE)
        } else {
            self.call.deadline
        };
        let (here, ec2) = match self.here_and_ec2(patience).await {
            Err(error) => return self.ec2_does_not_answer(error, surely_not_here, None),
            Ok(both) => both,
        };
        let mut attached_says_ec2 = false;
        let mut again: Option<Instant> = None;
        let mut accepted = false;
        let mut last_seen = None;
        self.call
            .steps
            .doing(&format!("asking EC2 where {} is", self.id()));
        loop {
            let look =
                async || retry_transient(patience, async || ec2.volume(self.id()).await).await;
            // A stop after a start that was not allowed anything must not wait for rights once more.
            let answer = if surely_not_here {
                look().await
            } else {
                self.allowed(look).await
            };
            let state = match answer {
                Ok(volume) => volume.attachment_to(&here).map(|a| a.state),
                Err(error) if error.kind == ErrorKind::NotFound => None,
                Err(error) => {
                    let surely_not_here = surely_not_here && !attached_says_ec2;
                    return self.ec2_does_not_answer(error, surely_not_here, last_seen);
                }
            };
            let is_here = self.present_device().is_some();
            last_seen = Some(self.still_here(&here, state, is_here));
            let to_stay = matches!(
                state,
                Some(AttachmentState::Attached | AttachmentState::Attaching)
            );
            if to_stay && !attached_says_ec2 {
                attached_says_ec2 = true;
                patience = self.call.deadline;
            }
            let settled = accepted
                || coming
                    .as_ref()
                    .is_none_or(|begun| since(begun.attached) > SETTLED);
            if !is_here && !to_stay && settled {
                return Ok(());
            }
            // A description that shows nothing can be old, a device can't.
            let to_ask = to_stay || state.is_none() && is_here;
            if to_ask && again.is_none_or(|again| again <= Instant::now()) {
                let taken = self.request_detach(&ec2, &here).await?;
                accepted |= taken;
                again = Some(
                    Instant::now()
                        + if taken {
                            EVENTUAL_CONSISTENCY_WINDOW
                        } else {
                            REFUSED
                        },
                );
            }
            // With what was last seen, for when the time is up in the midst of the next question.
            let id = self.id();
            self.call.steps.doing(&match state {
                Some(state) => format!(
                    "waiting for {id} to leave {here}, where it is {} and this node could still write to it",
                    word(state)
                ),
                None => format!("waiting for {id} to leave {here}"),
            });
            // The device's end is what counts. EC2 takes longer to say so.
            let awaited = was_here && (accepted || !to_stay);
            if awaited && self.leaves_within(ASK).await {
                return Ok(());
            }
            if !patience.sleep(if awaited { LOOK } else { ASK }).await {
                return Err(self.still_here(&here, state, is_here));
            }
        }
    }

    /// Which instance this is, and EC2.
    async fn here_and_ec2(&self, deadline: Deadline) -> Result<(InstanceId, Ec2), AwsError> {
        self.call.steps.doing("asking which instance this is");
        let here = self.instance(deadline).await?;
        Ok((here, self.connect(deadline).await?))
    }

    /// The end of a stop when EC2 does not answer, or not any more. Where there is no device, and none can come, that
    /// is no failure.
    fn ec2_does_not_answer(
        &self,
        error: AwsError,
        surely_not_here: bool,
        last_seen: Option<Failure>,
    ) -> Result<(), Failure> {
        if surely_not_here && self.present_device().is_none() {
            tracing::warn!("{error}; but there is no such device here");
            return Ok(());
        }
        Err(Failure::generic(match last_seen {
            Some(seen) => format!("{seen}; {error}"),
            None => format!("{error}; the volume may still be attached"),
        }))
    }

    /// Asks for the end of the attachment; whether EC2 has taken that on.
    async fn request_detach(&self, ec2: &Ec2, here: &InstanceId) -> Result<bool, Failure> {
        let deadline = self.call.deadline;
        self.call
            .steps
            .acting(&format!("detaching {} from {here}", self.id()));
        self.note_detaching();
        let detach = async || {
            retry_transient(deadline, async || ec2.detach(self.id(), here, false).await).await
        };
        let answer = self.allowed(detach).await;
        let taken = answer.is_ok();
        or_look_again(answer).map_err(|error| Failure::generic(error.to_string()))?;
        Ok(taken)
    }

    /// For a start that comes after this stop was interrupted.
    fn note_detaching(&self) {
        let now = SystemTime::now();
        let begun = self.begun().unwrap_or_else(|| Begun {
            volume: self.id().to_string(),
            device: String::new(),
            seen: self.present_device().is_some(),
            attached: now,
            detached: None,
        });
        let detached = Some(now);
        if let Err(failure) = self.state.save(&Begun { detached, ..begun }) {
            tracing::warn!("{failure}");
        }
    }

    async fn leaves_within(&self, limit: Duration) -> bool {
        let limit = self.call.deadline.at_most(limit);
        loop {
            if self.present_device().is_none() {
                return true;
            }
            if !limit.sleep(LOOK).await {
                return false;
            }
        }
    }

    fn still_here(
        &self,
        here: &InstanceId,
        state: Option<AttachmentState>,
        is_here: bool,
    ) -> Failure {
        let time = self.call.deadline.limit().as_secs();
        let volume = self.id();
        let is = match state {
            Some(state) => word(state),
            None if is_here => {
                return Failure::generic(format!(
                    "EC2 says that {volume} is not attached here, but its device is still there and alive after {time} s"
                ));
            }
            None => {
                return Failure::generic(format!(
                    "a start that was interrupted asked EC2 to attach {volume} to {here}, and it is too early to believe that it will not come"
                ));
            }
        };
        Failure::generic(format!(
            "{volume} is still {is} on {here} after {time} s, so this node could still write to it"
        ))
    }
}

fn word(state: AttachmentState) -> &'static str {
    match state {
        AttachmentState::Busy => "busy",
        AttachmentState::Detaching => "detaching",
        AttachmentState::Attaching => "attaching",
        AttachmentState::Attached => "attached",
    }
}
