//! Start: the volume is taken from where it is, if that is safe, attached here, and there.

use std::time::{Duration, Instant, SystemTime};

use super::take::Asked;
use super::{ASK, AwsEbs, Begun, DeviceName, LOOK, or_look_again, since};
use crate::device;
use crate::ocf::Failure;
use ec2::ErrorKind;
use ec2::{
    Attachment, AttachmentState, AwsError, EVENTUAL_CONSISTENCY_WINDOW, Ec2, InstanceId, Usable,
    Volume, retry_transient,
};

/// How often EC2 may take an attachment on and drop it.
const DROPPED: u32 = 2;
/// How often a name may be refused that nobody is seen to have.
const REFUSED: usize = 2;
/// How often EC2 is asked whether an attachment is still on its way while the device is awaited.
const STILL: Duration = Duration::from_secs(1);

/// What to do next about the volume.
#[derive(Debug, PartialEq, Eq)]
enum Next<'a> {
    /// It is coming or there: wait for the device.
    AwaitDevice,
    /// It is leaving this instance, after a stop that was interrupted: wait until it has.
    AwaitLeaving,
    /// It is being created.
    AwaitCreation,
    /// Another instance has it.
    Take(&'a Attachment),
    /// Nobody has it.
    Attach,
}

fn next<'a>(volume: &'a Volume, here: &InstanceId) -> Next<'a> {
    if let Some(attachment) = volume.attachment_elsewhere(here) {
        return Next::Take(attachment);
    }
    match volume
        .attachment_to(here)
        .map(|attachment| attachment.state)
    {
        Some(AttachmentState::Attaching | AttachmentState::Attached) => Next::AwaitDevice,
        Some(AttachmentState::Detaching | AttachmentState::Busy) => Next::AwaitLeaving,
        None if volume.state == Usable::NotYet => Next::AwaitCreation,
        None => Next::Attach,
    }
}

/// What EC2 made of a request to attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attaching {
    /// It has taken it on.
    Begun,
    /// It has refused, as somebody still has the volume, or nothing is known.
    NotYet,
}

impl AwsEbs {
    pub(super) async fn attach_here(&self) -> Result<(), Failure> {
        let deadline = self.call.deadline;
        let steps = &self.call.steps;
        steps.doing("asking which instance this is");
        let live = self.live_device().is_some() && !self.may_leave();
        // With the device at hand, EC2 is asked whether it is about to leave, but not for long.
        let patience = if live {
            deadline.at_most(EVENTUAL_CONSISTENCY_WINDOW)
        } else {
            deadline
        };
        let known = async {
            let here = self.instance(patience).await?;
            let ec2 = self.connect(patience).await?;
            let look =
                async || retry_transient(patience, async || ec2.volume(self.id()).await).await;
            let volume = if live {
                look().await
            } else {
                self.allowed(look).await
            };
            Ok::<_, AwsError>((here, ec2, volume?))
        };
        steps.doing(&format!("asking EC2 where {} is", self.id()));
        let (here, ec2, mut volume) = match known.await {
            Ok(known) => known,
            Err(error) if self.is_here_all_the_same(&error) => {
                tracing::warn!("{error}; but the device is here, and that counts");
                return Ok(());
            }
            Err(error) => return Err(self.failed(&error)),
        };
        let mut asked = Asked::default();
        let mut taken_on = 0;
        let mut doing;
        loop {
            if volume.multi_attach {
                return Err(self.multi_attach());
            }
            if volume.state == Usable::Never {
                return Err(Failure::configured(format!(
                    "{} is deleted or in the state `error`; look at it in the EC2 console",
                    self.id()
                )));
            }
            match next(&volume, &here) {
                Next::AwaitDevice | Next::Attach
                    if self.may_leave() && self.live_device().is_some() =>
                {
                    doing = format!(
                        "waiting for EC2 to show what became of an earlier detachment of {} from {here}",
                        self.id()
                    );
                    steps.doing(&doing);
                }
                Next::AwaitDevice => {
                    doing = format!("waiting for the device of {}", self.id());
                    steps.doing(&doing);
                    if self.device_appears(&ec2, &here, &volume, None).await? {
                        return Ok(());
                    }
                }
                Next::AwaitLeaving => {
                    doing = format!(
                        "waiting for an earlier detachment of {} from {here} to end",
                        self.id()
                    );
                    steps.doing(&doing);
                }
                Next::AwaitCreation => {
                    doing = format!("waiting for {} to be created", self.id());
                    steps.doing(&doing);
                }
                Next::Take(attachment) => {
                    doing = format!("waiting for {} to leave {}", self.id(), attachment.instance);
                    steps.doing(&doing);
                    self.take(&ec2, attachment, &mut asked).await?;
                }
                // EC2 takes no second attachment on while there is a first. So what it took on is no more.
                Next::Attach if taken_on == DROPPED => return Err(self.dropped(&volume, &here)),
                Next::Attach => {
                    doing = format!("attaching {} to {here}", self.id());
                    steps.acting(&doing);
                    let pause = match self.attach(&ec2, &here).await? {
                        Attaching::Begun => {
                            taken_on += 1;
                            EVENTUAL_CONSISTENCY_WINDOW
                        }
                        Attaching::NotYet => STILL,
                    };
                    let told = Some(Instant::now() + pause);
                    if self.device_appears(&ec2, &here, &volume, told).await? {
                        return Ok(());
                    }
                }
            }
            if !deadline.sleep(ASK).await {
                return Err(Failure::generic(format!(
                    "still {doing} after {} s",
                    deadline.limit().as_secs()
                )));
            }
            volume = retry_transient(deadline, async || ec2.volume(self.id()).await)
                .await
                .map_err(|error| self.failed(&error).while_doing(&doing))?;
        }
    }

    /// Whether the device is here to stay, whatever kept EC2 from saying so: silence, a right that is missing, or a
    /// region or credentials for which there is no such volume.
    fn is_here_all_the_same(&self, error: &AwsError) -> bool {
        let Some(device) = self.live_device().filter(|_| !self.may_leave()) else {
            return false;
        };
        match error.kind {
            ErrorKind::Unknown | ErrorKind::Forbidden => true,
            // A name alone may be another volume's by now.
            ErrorKind::NotFound => !device.by_name,
            _ => false,
        }
    }

    /// Whether a stop has asked EC2 to detach the volume, and descriptions may not show it yet.
    fn may_leave(&self) -> bool {
        let detached = self.begun().and_then(|begun| begun.detached);
        detached.is_some_and(|moment| since(moment) < EVENTUAL_CONSISTENCY_WINDOW)
    }

    /// Why EC2 has dropped what it had taken on. It says nothing about it; with a KMS key that may not be used, this is
    /// all that is seen (<https://github.com/kubernetes/kubernetes/issues/62171>).
    fn dropped(&self, volume: &Volume, here: &InstanceId) -> Failure {
        let id = self.id();
        if volume.encrypted {
            Failure::installed(format!(
                "{id} is encrypted and fell back to `available` twice: this node's role may lack kms:CreateGrant on \
                 its KMS key (kms:Decrypt, kms:DescribeKey and kms:GenerateDataKeyWithoutPlaintext are needed too)"
            ))
        } else {
            Failure::generic(format!(
                "{id} fell back to `available` twice while it was being attached to {here}, and EC2 gives no reason. \
                 Look at the volume and the instance in the EC2 console"
            ))
        }
    }

    /// Asks EC2 to attach the volume, under the next name if that asked for is taken.
    async fn attach(&self, ec2: &Ec2, here: &InstanceId) -> Result<Attaching, Failure> {
        let before = self.begun();
        let mut name = self.parameters.device.clone();
        let mut tried = Vec::new();
        loop {
            self.note("", false)?;
            let attach = async || ec2.attach(self.id(), here, &name.to_string()).await;
            let error = match self.allowed(attach).await {
                Ok(()) => {
                    self.note(&name.to_string(), false)?;
                    return Ok(Attaching::Begun);
                }
                Err(error) => error,
            };
            let is_final = matches!(
                error.kind,
                ErrorKind::Forbidden
                    | ErrorKind::WrongZone
                    | ErrorKind::NoRoom
                    | ErrorKind::InvalidValue
            );
            // Refused for good, so nothing is on its way that a stop would have to wait for.
            if is_final && before.as_ref().is_none_or(|before| before.seen) {
                self.state.remove();
            }
            if error.kind != ErrorKind::InvalidValue {
                or_look_again(Err(error)).map_err(|error| self.failed(&error))?;
                return Ok(Attaching::NotYet);
            }
            tried.push(name);
            name = self.next_name(ec2, here, &tried, &error).await?;
        }
    }

    /// The name to ask for after those that were refused.
    async fn next_name(
        &self,
        ec2: &Ec2,
        here: &InstanceId,
        tried: &[DeviceName],
        refusal: &AwsError,
    ) -> Result<DeviceName, Failure> {
        let names = async || {
            retry_transient(self.call.deadline, async || ec2.device_names(here).await).await
        };
        let taken = self.allowed(names).await;
        let taken = taken.map_err(|error| self.failed(&error))?;
        let is_taken = |name: &DeviceName| taken.iter().any(|other| name.is(other));
        // A name that was taken a moment ago may not be described yet. If that is so twice, it is something else.
        let unseen = tried.iter().filter(|name| !is_taken(name)).count();
        if unseen >= REFUSED {
            return Err(self.failed(refusal));
        }
        if device::is_xen() {
            return Err(Failure::installed(format!(
                "another volume of {here} has the device name {}, by which {} would be mounted: {refusal}",
                self.parameters.device,
                self.id()
            )));
        }
        DeviceName::all()
            .find(|name| !is_taken(name) && !tried.contains(name))
            .ok_or_else(|| {
                Failure::installed(format!(
                    "{here} has no device name from /dev/sdf to /dev/sdp left for {}",
                    self.id()
                ))
            })
    }

    /// Waits for the device. False when EC2 does not say that it is coming; it has until `told`
    /// to say so for the first time.
    async fn device_appears(
        &self,
        ec2: &Ec2,
        here: &InstanceId,
        volume: &Volume,
        mut told: Option<Instant>,
    ) -> Result<bool, Failure> {
        let deadline = self.call.deadline;
        if let Some(attachment) = volume.attachment_to(here) {
            self.note(&attachment.device, false)?;
        }
        let mut asked = Instant::now();
        let mut state = volume.attachment_to(here).map(|a| a.state);
        loop {
            let attached = state == Some(AttachmentState::Attached);
            // What only has the right name may be there from before.
            let found = self.live_device();
            if let Some(found) = found.filter(|found| !found.by_name || attached) {
                tracing::info!("{} is here as {}", self.id(), found.path.display());
                let device = self.begun().map_or_else(String::new, |begun| begun.device);
                self.note(&device, true)?;
                return Ok(true);
            }
            if !deadline.sleep(LOOK).await {
                let said = match state {
                    Some(AttachmentState::Attached) => "has attached",
                    Some(AttachmentState::Attaching) => "is attaching",
                    _ => "has been asked to attach",
                };
                return Err(Failure::generic(format!(
                    "EC2 {said} {} to {here}, but no device with the serial number {} appeared within {} s. \
                     Look at the kernel's log; detaching it, or a reboot of the instance, may help",
                    self.id(),
                    self.id().serial(),
                    deadline.limit().as_secs()
                )));
            }
            if asked.elapsed() < STILL {
                continue;
            }
            asked = Instant::now();
            match ec2.volume(self.id()).await {
                Ok(volume) => {
                    self.note_name(&volume, here)?;
                    match volume.attachment_to(here).map(|a| a.state) {
                        None if told.is_some_and(|told| Instant::now() < told) => continue,
                        now @ Some(AttachmentState::Attached | AttachmentState::Attaching) => {
                            state = now;
                        }
                        _ => return Ok(false),
                    }
                    // EC2 has said it, so when it does not say it any more, it has changed.
                    told = None;
                }
                Err(error) => tracing::info!("{error}; still waiting for the device"),
            }
        }
    }

    /// Notes the name under which EC2 says that the volume is attached here, if it was not known.
    fn note_name(&self, volume: &Volume, here: &InstanceId) -> Result<(), Failure> {
        let known = self.begun().map(|begun| begun.device);
        match volume.attachment_to(here) {
            Some(attachment) if known.as_ref() != Some(&attachment.device) => {
                self.note(&attachment.device, false)
            }
            _ => Ok(()),
        }
    }

    fn note(&self, device: &str, seen: bool) -> Result<(), Failure> {
        self.state.save(&Begun {
            volume: self.id().to_string(),
            device: device.to_owned(),
            seen,
            attached: SystemTime::now(),
            detached: None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn volume(attachments: &[(&str, AttachmentState)]) -> Volume {
        Volume {
            state: Usable::Yes,
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
                next(&volume(&[(HERE, state)]), &HERE.parse().unwrap()),
                Next::AwaitDevice
            );
        }
    }

    #[test]
    fn what_leaves_this_instance_is_let_go_first() {
        for state in [AttachmentState::Detaching, AttachmentState::Busy] {
            assert_eq!(
                next(&volume(&[(HERE, state)]), &HERE.parse().unwrap()),
                Next::AwaitLeaving
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
                matches!(next(&volume, &HERE.parse().unwrap()), Next::Take(a) if a.state == state)
            );
        }
        assert_eq!(next(&volume(&[]), &HERE.parse().unwrap()), Next::Attach);
    }
}
