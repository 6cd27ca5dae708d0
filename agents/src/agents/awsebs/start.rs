//! Start: the volume is taken from where it is (`take.rs`), attached to this instance, and its device awaited.

use std::time::{Duration, Instant};

use super::take::Taking;
use super::{AwsEbs, DeviceName, EC2_POLL_INTERVAL, POLL_INTERVAL, elapsed_since, ignore_race};
use crate::agents::call_ec2;
use crate::device;
use crate::ocf::Failure;
use ec2::{
    Attachable, Attachment, AttachmentState, AwsError, EVENTUAL_CONSISTENCY_WINDOW, Ec2, ErrorKind,
    InstanceId, Volume, retry_denied, retry_transient,
};

/// How often EC2 may accept an attach request and drop it.
const DROPPED_LIMIT: u32 = 2;
/// How often a device name may be refused that no other volume is seen to have.
const REFUSED_NAMES_LIMIT: usize = 2;
/// How often EC2 is asked about the attachment while the device is awaited.
const ATTACHMENT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What a start does next about the volume.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    /// The attachment to this instance is coming or there.
    AwaitDevice,
    /// The device is there, but EC2 may not show yet what became of an earlier stop's detach request.
    AwaitSettled,
    /// An earlier stop is still detaching the volume from this instance.
    AwaitDetached,
    AwaitCreated,
    /// Another instance has the volume.
    Take(&'a Attachment),
    Attach,
}

impl Step<'_> {
    fn next<'a>(volume: &'a Volume, here: &InstanceId) -> Step<'a> {
        if let Some(attachment) = volume.attachment_elsewhere(here) {
            return Step::Take(attachment);
        }
        match volume.attachment_to(here).map(|it| it.state) {
            Some(AttachmentState::Attaching | AttachmentState::Attached) => Step::AwaitDevice,
            Some(AttachmentState::Detaching | AttachmentState::Busy) => Step::AwaitDetached,
            None if volume.state == Attachable::NotYet => Step::AwaitCreated,
            None => Step::Attach,
        }
    }
}

impl AwsEbs {
    pub(super) async fn attach_here(&self) -> Result<(), Failure> {
        let (deadline, steps, id) = (self.call.deadline, &self.call.steps, self.id());
        let is_live = self.live_device().is_some() && !self.detach_may_be_pending();
        // With a live device, EC2 is only asked whether the volume is about to be detached.
        let patience = if is_live {
            deadline.at_most(EVENTUAL_CONSISTENCY_WINDOW)
        } else {
            deadline
        };
        let look_up = async {
            let (here, ec2) = self.locate(patience).await?;
            let ask = async || ec2.volume(id).await;
            let volume = match is_live {
                true => retry_transient(patience, ask).await?,
                false => call_ec2(patience, ask).await?,
            };
            Ok::<_, AwsError>((here, ec2, volume))
        };
        let (here, ec2, mut volume) = match look_up.await {
            Ok(found) => found,
            Err(error) if self.is_attached_despite(&error) => {
                tracing::warn!("{error}; but the device is here, and that counts");
                return Ok(());
            }
            Err(error) => return Err(self.failed(&error)),
        };
        let mut taking = Taking::default();
        let mut accepted = 0;
        loop {
            self.refuse_multi_attach(&volume)?;
            if volume.state == Attachable::Never {
                return Err(Failure::configured(format!(
                    "{id} is deleted or in the state `error`; help: look at it in the EC2 console"
                )));
            }
            let mut step = Step::next(&volume, &here);
            if matches!(step, Step::AwaitDevice | Step::Attach)
                && self.detach_may_be_pending()
                && self.live_device().is_some()
            {
                step = Step::AwaitSettled;
            }
            let doing = match &step {
                Step::AwaitSettled => format!(
                    "waiting for EC2 to show what became of an earlier detachment of {id} from {here}"
                ),
                Step::AwaitDevice => format!("waiting for the device of {id}"),
                Step::AwaitDetached => {
                    format!("waiting for an earlier detachment of {id} from {here} to end")
                }
                Step::AwaitCreated => format!("waiting for {id} to be created"),
                Step::Take(holder) => format!("waiting for {id} to leave {}", holder.instance),
                Step::Attach => format!("attaching {id} to {here}"),
            };
            steps.doing(&doing);
            let is_here = match step {
                Step::AwaitSettled | Step::AwaitDetached | Step::AwaitCreated => false,
                Step::AwaitDevice => self.device_appears(&ec2, &here, &volume, None).await?,
                Step::Take(attachment) => {
                    self.take(&ec2, attachment, &mut taking).await?;
                    false
                }
                // EC2 accepts no second attachment beside a first. So what it accepted before is no more.
                Step::Attach if accepted == DROPPED_LIMIT => {
                    return Err(self.dropped(&volume, &here));
                }
                Step::Attach => {
                    steps.acting(&doing);
                    let pause = if self.request_attach(&ec2, &here).await? {
                        accepted += 1;
                        EVENTUAL_CONSISTENCY_WINDOW
                    } else {
                        ATTACHMENT_POLL_INTERVAL
                    };
                    let described_by = Some(Instant::now() + pause);
                    self.device_appears(&ec2, &here, &volume, described_by)
                        .await?
                }
            };
            if is_here {
                return Ok(());
            }
            if !deadline.sleep(EC2_POLL_INTERVAL).await {
                let seconds = deadline.limit().as_secs();
                return Err(Failure::generic(format!("still {doing} after {seconds} s")));
            }
            let asked = retry_transient(deadline, async || ec2.volume(id).await).await;
            volume = asked.map_err(|error| self.failed(&error).while_doing(&doing))?;
        }
    }

    /// Whether the volume is attached here to stay, although EC2 did not say so: it was silent, a permission is
    /// missing, or the region or the credentials are those of somebody who has no such volume.
    fn is_attached_despite(&self, error: &AwsError) -> bool {
        let Some(device) = self.live_device().filter(|_| !self.detach_may_be_pending()) else {
            return false;
        };
        match error.kind {
            ErrorKind::Unknown | ErrorKind::Forbidden => true,
            // Another volume may have the device name by now.
            ErrorKind::NotFound => !device.by_name,
            _ => false,
        }
    }

    /// Whether a stop asked EC2 to detach the volume, and EC2's descriptions may not show that yet.
    fn detach_may_be_pending(&self) -> bool {
        let detached = self.noted().and_then(|noted| noted.detached);
        detached.is_some_and(|moment| elapsed_since(moment) < EVENTUAL_CONSISTENCY_WINDOW)
    }

    /// Why EC2 dropped an attachment that it had accepted. EC2 gives no reason. With a KMS key that may not be used,
    /// this is all that is seen (<https://github.com/kubernetes/kubernetes/issues/62171>).
    fn dropped(&self, volume: &Volume, here: &InstanceId) -> Failure {
        let id = self.id();
        if volume.encrypted {
            Failure::installed(format!(
                "{id} is encrypted and fell back to `available` twice: this node's role may lack kms:CreateGrant on \
                 its KMS key (kms:Decrypt, kms:DescribeKey and kms:GenerateDataKeyWithoutPlaintext are needed too)"
            ))
        } else {
            Failure::generic(format!(
                "{id} fell back to `available` twice while it was being attached to {here}, and EC2 gives no reason; \
                 help: look at the volume and the instance in the EC2 console"
            ))
        }
    }

    /// Asks EC2 to attach the volume, under the next device name if the one asked for is taken. False if EC2 refused
    /// because somebody still has the volume, or if no answer came.
    async fn request_attach(&self, ec2: &Ec2, here: &InstanceId) -> Result<bool, Failure> {
        use ErrorKind::{Forbidden, InvalidValue, NoRoom, WrongZone};
        let before = self.noted();
        let mut name = self.parameters.device.clone();
        let mut tried = Vec::new();
        loop {
            self.note("", false)?;
            let attach = async || ec2.attach(self.id(), here, &name.to_string()).await;
            let error = match retry_denied(self.call.deadline, attach).await {
                Ok(()) => {
                    self.note(&name.to_string(), false)?;
                    return Ok(true);
                }
                Err(error) => error,
            };
            let is_final = matches!(error.kind, Forbidden | WrongZone | NoRoom | InvalidValue);
            // Nothing is pending then that a stop would have to wait for.
            if is_final && before.as_ref().is_none_or(|before| before.seen) {
                self.state.remove();
            }
            if error.kind != InvalidValue {
                ignore_race(Err(error)).map_err(|error| self.failed(&error))?;
                return Ok(false);
            }
            tried.push(name);
            name = self.next_name(ec2, here, &tried, &error).await?;
        }
    }

    /// The device name to ask for after those that were refused.
    async fn next_name(
        &self,
        ec2: &Ec2,
        here: &InstanceId,
        tried: &[DeviceName],
        refusal: &AwsError,
    ) -> Result<DeviceName, Failure> {
        let ask = async || ec2.device_names(here).await;
        let taken = call_ec2(self.call.deadline, ask).await;
        let taken = taken.map_err(|error| self.failed(&error))?;
        let is_taken = |name: &DeviceName| taken.iter().any(|other| name.is(other));
        // EC2 may not describe yet that a name was taken a moment ago. Twice means another reason.
        let unseen = tried.iter().filter(|name| !is_taken(name)).count();
        if unseen >= REFUSED_NAMES_LIMIT {
            return Err(self.failed(refusal));
        }
        let id = self.id();
        if device::is_xen() {
            return Err(Failure::installed(format!(
                "another volume of {here} has the device name {}, by which {id} would be mounted: {refusal}",
                self.parameters.device
            )));
        }
        let free = DeviceName::all().find(|name| !is_taken(name) && !tried.contains(name));
        free.ok_or_else(|| {
            Failure::installed(format!(
                "{here} has no device name from /dev/sdf to /dev/sdp left for {id}"
            ))
        })
    }

    /// Waits for the device. False when EC2 says that no attachment is coming. EC2 has until `described_by` to
    /// describe the attachment for the first time.
    async fn device_appears(
        &self,
        ec2: &Ec2,
        here: &InstanceId,
        volume: &Volume,
        mut described_by: Option<Instant>,
    ) -> Result<bool, Failure> {
        let deadline = self.call.deadline;
        let id = self.id();
        let attachment = volume.attachment_to(here);
        if let Some(attachment) = attachment {
            self.note(&attachment.device, false)?;
        }
        let mut asked = Instant::now();
        let mut state = attachment.map(|attachment| attachment.state);
        loop {
            // A device that only has the right name may be another volume's until EC2 says `attached`.
            let is_attached = state == Some(AttachmentState::Attached);
            if let Some(found) = self.live_device().filter(|it| !it.by_name || is_attached) {
                tracing::info!("{id} is here as {}", found.path.display());
                let name = self.noted().map_or_else(String::new, |noted| noted.device);
                self.note(&name, true)?;
                return Ok(true);
            }
            if !deadline.sleep(POLL_INTERVAL).await {
                let said = match state {
                    Some(AttachmentState::Attached) => "has attached",
                    Some(AttachmentState::Attaching) => "is attaching",
                    _ => "has been asked to attach",
                };
                return Err(Failure::generic(format!(
                    "EC2 {said} {id} to {here}, but no device with the serial number {} appeared within {} s; \
                     help: look at the kernel's log, detach the volume or reboot the instance",
                    id.serial(),
                    deadline.limit().as_secs()
                )));
            }
            if asked.elapsed() < ATTACHMENT_POLL_INTERVAL {
                continue;
            }
            asked = Instant::now();
            let attachment = match ec2.volume(id).await {
                Ok(volume) => volume.attachment_to(here).cloned(),
                Err(error) => {
                    tracing::info!("{error}; still waiting for the device");
                    continue;
                }
            };
            match attachment {
                None if described_by.is_some_and(|end| Instant::now() < end) => {}
                Some(Attachment {
                    state: now, device, ..
                }) if matches!(now, AttachmentState::Attached | AttachmentState::Attaching) => {
                    if self.noted().is_none_or(|noted| noted.device != device) {
                        self.note(&device, false)?;
                    }
                    state = Some(now);
                    // From now on a description without the attachment means that it has ended.
                    described_by = None;
                }
                _ => return Ok(false),
            }
        }
    }

    fn note(&self, device: &str, seen: bool) -> Result<(), Failure> {
        self.state.save(&self.attachment_now(device, seen))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn volume(attachments: &[(&str, AttachmentState)]) -> Volume {
        Volume {
            state: Attachable::Yes,
            zone: "us-west-1c".to_owned(),
            multi_attach: false,
            encrypted: false,
            attachments: attachments
                .iter()
                .map(|(instance, state)| Attachment {
                    instance: instance.parse().unwrap(),
                    state: *state,
                    device: "/dev/sdf".to_owned(),
                })
                .collect(),
        }
    }

    const HERE: &str = "i-08807c762627239b8";
    const THERE: &str = "i-03411641c37513049";

    #[test]
    fn what_is_attached_here_is_not_attached_twice() {
        for state in [AttachmentState::Attaching, AttachmentState::Attached] {
            assert_eq!(
                Step::next(&volume(&[(HERE, state)]), &HERE.parse().unwrap()),
                Step::AwaitDevice
            );
        }
    }

    #[test]
    fn what_is_being_detached_here_is_awaited_first() {
        for state in [AttachmentState::Detaching, AttachmentState::Busy] {
            assert_eq!(
                Step::next(&volume(&[(HERE, state)]), &HERE.parse().unwrap()),
                Step::AwaitDetached
            );
        }
    }

    #[test]
    fn whatever_another_instance_has_must_leave_it_first() {
        for state in [
            AttachmentState::Attached,
            AttachmentState::Busy,
            AttachmentState::Detaching,
        ] {
            let volume = volume(&[(THERE, state)]);
            assert!(
                matches!(Step::next(&volume, &HERE.parse().unwrap()), Step::Take(a) if a.state == state)
            );
        }
        assert_eq!(
            Step::next(&volume(&[]), &HERE.parse().unwrap()),
            Step::Attach
        );
    }
}
