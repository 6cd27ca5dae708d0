//! Start: the volume is taken from where it is, if that is safe, attached here, and there.

use std::time::{Duration, Instant, SystemTime};

use super::{ASK, AwsEbs, Begun, DeviceName, LOOK, or_look_again, since};
use crate::aws::{
    Attachment, AttachmentState, AwsError, Ec2, InstanceId, LAG, Power, Usable, Volume, until_known,
};
use crate::meaning::Meaning;
use crate::ocf::Failure;

/// How long a holder that runs may be `busy` before it counts as refusing. EC2 says `busy` for a moment
/// too while a volume that nobody uses leaves.
const BUSY: Duration = Duration::from_secs(3);
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

/// What was asked of another holder so far.
#[derive(Debug, Default)]
struct Asked {
    /// From when on it is asked again, if it shows no effect.
    again: Option<Instant>,
    /// Whether it was asked by force.
    force: bool,
    /// Since when it is busy.
    busy: Option<Instant>,
    /// Since when EC2 says that it is off, without a break.
    off: Option<Instant>,
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
            deadline.at_most(LAG)
        } else {
            deadline
        };
        let known = async {
            let here = self.instance(patience).await?;
            let ec2 = self.connect(patience).await?;
            let volume = until_known(patience, async || ec2.volume(self.id()).await).await?;
            Ok::<_, AwsError>((here, ec2, volume))
        };
        steps.doing(&format!("asking EC2 where {} is", self.id()));
        let (here, ec2, mut volume) = match known.await {
            Ok(known) => known,
            Err(error)
                if error.is_unknown() && self.live_device().is_some() && !self.may_leave() =>
            {
                tracing::warn!("{error}; but the device is here");
                return Ok(());
            }
            Err(error) => return Err(error.failure()),
        };
        let mut asked = Asked::default();
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
                Next::Attach => {
                    doing = format!("attaching {} to {here}", self.id());
                    steps.acting(&doing);
                    let pause = match self.attach(&ec2, &here).await? {
                        Attaching::Begun => LAG,
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
            volume = until_known(deadline, async || ec2.volume(self.id()).await)
                .await
                .map_err(|error| error.failure().while_doing(&doing))?;
        }
    }

    /// Whether a stop has asked EC2 to detach the volume, and descriptions may not show it yet.
    fn may_leave(&self) -> bool {
        let detached = self.begun().and_then(|begun| begun.detached);
        detached.is_some_and(|moment| since(moment) < LAG)
    }

    /// Does what may be done to get the volume from another instance.
    async fn take(
        &self,
        ec2: &Ec2,
        attachment: &Attachment,
        asked: &mut Asked,
    ) -> Result<(), Failure> {
        let deadline = self.call.deadline;
        let holder = &attachment.instance;
        let now = Instant::now();
        let busy = attachment.state == AttachmentState::Busy;
        let in_vain = asked.again.is_some_and(|again| again <= now);
        let leaving = attachment.state == AttachmentState::Detaching;
        if !busy && !in_vain && (leaving || asked.again.is_some()) {
            asked.again.get_or_insert(now + LAG);
            return Ok(());
        }
        let power = until_known(deadline, async || ec2.power(holder).await)
            .await
            .map_err(|error| error.failure())?;
        if power == Power::Off {
            asked.off.get_or_insert(now);
        } else {
            asked.off = None;
        }
        let force = match power {
            // It may still be writing. When it is off, the volume is free to take.
            Power::GoingDown => return Ok(()),
            // Nothing writes any more, so force loses nothing. But it is rarely needed, and one word of EC2 that it is
            // off can be old: it may have been started since.
            Power::Off => (busy || in_vain) && asked.off.is_some_and(|since| since.elapsed() > LAG),
            Power::On if busy => {
                let since = *asked.busy.get_or_insert(now);
                if !self.parameters.force_detach {
                    if since.elapsed() < BUSY {
                        return Ok(());
                    }
                    return Err(Failure::generic(format!(
                        "{} is in use on {holder}, which is running: EC2 says the attachment is busy. \
                         Unmount it there or stop {holder}; nothing was taken by force",
                        self.id()
                    )));
                }
                true
            }
            Power::On => false,
        };
        if asked.again.is_some() && !in_vain && force == asked.force {
            return Ok(());
        }
        tracing::info!(
            "detaching {} from {holder}{}",
            self.id(),
            if force { " by force" } else { "" }
        );
        let answer = ec2.detach(self.id(), holder, force).await;
        let pause = if answer.is_ok() { LAG } else { STILL };
        asked.force = force;
        asked.again = Some(Instant::now() + pause);
        or_look_again(answer).map_err(|error| error.failure())
    }

    /// Asks EC2 to attach the volume, under the next name if that asked for is taken.
    async fn attach(&self, ec2: &Ec2, here: &InstanceId) -> Result<Attaching, Failure> {
        let mut name = self.parameters.device.clone();
        let before = self.begun();
        for _ in 0..2 {
            self.note(&name.to_string(), false)?;
            match ec2.attach(self.id(), here, &name.to_string()).await {
                Err(error) if error.meaning == Meaning::InvalidValue => {
                    let taken =
                        until_known(self.call.deadline, async || ec2.device_names(here).await)
                            .await
                            .map_err(|error| error.failure())?;
                    if !taken.iter().any(|other| name.is(other)) {
                        return Err(error.failure());
                    }
                    name = DeviceName::all()
                        .find(|free| !taken.iter().any(|other| free.is(other)))
                        .ok_or_else(|| {
                            Failure::installed(format!(
                                "{here} has no device name from /dev/sdf to /dev/sdp left for {}",
                                self.id()
                            ))
                        })?;
                }
                Ok(()) => return Ok(Attaching::Begun),
                Err(error) => {
                    let is_final = matches!(
                        error.meaning,
                        Meaning::Forbidden | Meaning::WrongZone | Meaning::NoRoom
                    );
                    // Refused for good, so nothing is on its way that a stop would have to wait for.
                    if is_final && before.is_none_or(|before| before.seen) {
                        self.state.remove();
                    }
                    or_look_again(Err(error)).map_err(|error| error.failure())?;
                    return Ok(Attaching::NotYet);
                }
            }
        }
        Ok(Attaching::NotYet)
    }

    /// Waits for the device. False when EC2 does not say that it is coming; it has until `told`
    /// to say so for the first time.
    async fn device_appears(
        &self,
        ec2: &Ec2,
        here: &InstanceId,
        volume: &Volume,
        told: Option<Instant>,
    ) -> Result<bool, Failure> {
        let deadline = self.call.deadline;
        if let Some(attachment) = volume.attachment_to(here) {
            self.note(&attachment.device, false)?;
        }
        let mut asked = Instant::now();
        let mut said = "has been asked to attach";
        loop {
            if let Some(found) = self.live_device() {
                tracing::info!("{} is here as {}", self.id(), found.path.display());
                let device = self.begun().map_or_else(String::new, |begun| begun.device);
                self.note(&device, true)?;
                return Ok(true);
            }
            if !deadline.sleep(LOOK).await {
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
                Ok(volume) => match volume.attachment_to(here).map(|a| a.state) {
                    Some(AttachmentState::Attached) => said = "has attached",
                    Some(AttachmentState::Attaching) => said = "is attaching",
                    None if told.is_some_and(|told| Instant::now() < told) => {}
                    _ => return Ok(false),
                },
                Err(error) => tracing::info!("{error}; still waiting for the device"),
            }
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
