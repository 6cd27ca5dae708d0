//! Stop: the volume is unmounted and flushed (`unmount.rs`), then detached from this instance. Here `decide` says
//! from one `Observation` whether to request the detachment, to wait, or to end the stop. The loop only observes
//! and acts.

use std::time::{Duration, Instant, SystemTime};

use super::{
    AwsEbs, EC2_POLL_INTERVAL, POLL_INTERVAL, PendingAttachment, detach_retry_at, elapsed_since,
    ignore_race,
};
use crate::agents::call_ec2;
use crate::ocf::Failure;
use ec2::{AttachmentState, AwsError, Deadline, Ec2, ErrorKind, InstanceId, retry_transient};

#[cfg(test)]
mod tests;

/// How long EC2 is asked about a volume that this node does not seem to have.
const ABSENT_TIMEOUT: Duration = Duration::from_secs(8);
/// After this time EC2's descriptions show whether the attach request of an action that was killed has reached EC2.
const ATTACH_REQUEST_SETTLED: Duration = Duration::from_secs(10);

/// What the kernel and EC2 showed at one moment of a stop, when nothing on this node uses the volume any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Observation {
    device: DeviceState,
    ec2: Ec2State,
    /// Whether EC2 accepted a detach request of this stop.
    detach_accepted: bool,
    /// Whether a detach request may be sent: this stop sent none, or the last one showed no effect for long enough.
    request_due: bool,
}

/// The volume's device in this node's kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeviceState {
    /// The kernel has the device: this node can write to the volume.
    Present,
    /// The kernel had the device during this stop, and has it no more.
    Left,
    /// The kernel did not have the device during this stop, and no attach request is pending.
    Absent,
    /// As `Absent`, but an interrupted start sent an attach request that EC2's descriptions may not show yet.
    MayAppear,
    /// As `MayAppear`, but so long ago that EC2's descriptions show the attachment if there is one.
    Overdue,
}

/// The volume's attachment to this instance, as EC2 describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ec2State {
    /// The volume is free, attached to another instance, or unknown to EC2.
    NotAttached,
    /// `detaching` or `busy`.
    Detaching,
    /// `attaching` or `attached`.
    Attached,
    /// No answer, and EC2 did not say `Attached` during this stop.
    Silent,
    /// No answer, after EC2 said `Attached` during this stop.
    SilentAfterAttached,
}

/// What a stop does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Ask EC2 to detach the volume from this instance, and from no other.
    RequestDetach,
    /// Observe again in a moment.
    Wait,
    /// Exit code 0: this node can no longer write to the volume.
    Succeed,
    /// Exit code 1: this node may still write to the volume, so Pacemaker fences it.
    Fail,
}

/// Decides what a stop does next. A stop may succeed only if this node can no longer write to the volume.
///
/// While EC2 is silent, only the kernel can show that. To delete the device from the kernel would not be enough: a
/// rescan of the bus could bring it back, and how a Nitro NVMe device behaves then has not been tried. So a stop
/// that sees the device, or saw it before it left, while EC2 is silent fails.
fn decide(seen: &Observation) -> Step {
    use DeviceState::{Absent, Left, MayAppear, Overdue, Present};
    use Ec2State::{Attached, Detaching, NotAttached, Silent, SilentAfterAttached};
    let request_or_wait = if seen.request_due {
        Step::RequestDetach
    } else {
        Step::Wait
    };
    match (seen.device, seen.ec2) {
        // EC2 accepted the request and the device is gone. EC2's descriptions follow seconds later.
        (Left, _) if seen.detach_accepted => Step::Succeed,
        (Absent, Silent) => Step::Succeed,
        (_, Silent | SilentAfterAttached) => Step::Fail,
        // Also without a device: it may still appear.
        (_, Attached) => request_or_wait,
        // EC2's description may be old. The kernel's device is not.
        (Present, NotAttached) => request_or_wait,
        (Present, Detaching) => Step::Wait,
        // An accepted detach request shows that the attach request had reached EC2.
        (MayAppear, NotAttached | Detaching) if !seen.detach_accepted => Step::Wait,
        (Left | Absent | Overdue | MayAppear, NotAttached | Detaching) => Step::Succeed,
    }
}

impl AwsEbs {
    pub(super) async fn detach_here(&self) -> Result<(), Failure> {
        self.forget_reused_device_name().await?;
        let device = self.present_device();
        if let Some(device) = &device {
            self.unmount_and_flush(device).await?;
        }
        self.detach(device.is_some()).await?;
        if let Some(device) = device {
            let path = device.path.display();
            tracing::info!("{} is detached, its device {path} is gone", self.id());
        }
        self.state.remove();
        Ok(())
    }

    /// On Xen only its name says that a device is the volume. A volume that has the name by now must not be unmounted.
    async fn forget_reused_device_name(&self) -> Result<(), Failure> {
        if !self.device().is_some_and(|device| device.by_name) {
            return Ok(());
        }
        match (self.attachment_state().await, self.noted()) {
            (Ok(None), Some(mut noted)) => {
                tracing::warn!("{} is no longer attached as {}", self.id(), noted.device);
                noted.device.clear();
                self.state.save(&noted)
            }
            _ => Ok(()),
        }
    }

    /// Observes and acts until `decide` ends the stop or the time is over. `was_present`: the kernel had the device.
    async fn detach(&self, was_present: bool) -> Result<(), Failure> {
        let mut detachment = Detachment::of(self, was_present).await;
        loop {
            match decide(&detachment.observe().await) {
                Step::Succeed => {
                    if let Some(error) = &detachment.silence {
                        tracing::warn!("{error}; but this node has no device of {}", self.id());
                    }
                    return Ok(());
                }
                Step::Fail => return Err(detachment.failure()),
                Step::Wait => {}
                Step::RequestDetach => detachment.request().await?,
            }
            let (id, known) = (self.id(), detachment.known());
            let step = format!("waiting until {id} is detached: {known}");
            self.call.steps.doing(step);
            if !self.call.deadline.sleep(POLL_INTERVAL).await {
                // The request may have used up the time and succeeded.
                if detachment.detach_accepted && self.present_device().is_none() {
                    return Ok(());
                }
                return Err(detachment.failure());
            }
        }
    }
}

/// The work of a stop on the attachment, and what was seen of it.
struct Detachment<'a> {
    agent: &'a AwsEbs,
    connected: Result<(InstanceId, Ec2), AwsError>,
    /// The attachment that an earlier start requested and did not see. Without one, what is not here cannot appear.
    pending: Option<PendingAttachment>,
    /// Until when an answer of EC2 is awaited: to the end, once EC2 has said that the volume is attached.
    patience: Deadline,
    /// Whether the kernel had the device at the last look, and at any during this stop.
    is_present: bool,
    was_present: bool,
    /// EC2's last description of the attachment.
    attachment: Option<Option<AttachmentState>>,
    said_attached: bool,
    /// Why the last question got no answer.
    silence: Option<AwsError>,
    next_question: Instant,
    detach_accepted: bool,
    next_request: Instant,
}

impl<'a> Detachment<'a> {
    async fn of(agent: &'a AwsEbs, was_present: bool) -> Self {
        // A device that a start saw and that is gone has been detached.
        let pending = agent.noted().filter(|noted| !was_present && !noted.seen);
        let mut patience = agent.call.deadline;
        if !was_present && pending.is_none() {
            patience = patience.at_most(ABSENT_TIMEOUT);
        }
        Self {
            agent,
            connected: agent.locate(patience).await,
            pending,
            patience,
            is_present: was_present,
            was_present,
            attachment: None,
            said_attached: false,
            silence: None,
            next_question: Instant::now(),
            detach_accepted: false,
            next_request: Instant::now(),
        }
    }

    /// Looks at the kernel, and asks EC2 when it is time to.
    async fn observe(&mut self) -> Observation {
        if self.next_question <= Instant::now() {
            self.ask_ec2().await;
            self.next_question = Instant::now() + EC2_POLL_INTERVAL;
        }
        self.is_present = self.agent.present_device().is_some();
        self.was_present |= self.is_present;
        let device = match &self.pending {
            _ if self.is_present => DeviceState::Present,
            _ if self.was_present => DeviceState::Left,
            None => DeviceState::Absent,
            Some(it) if elapsed_since(it.attached) > ATTACH_REQUEST_SETTLED => DeviceState::Overdue,
            Some(_) => DeviceState::MayAppear,
        };
        let ec2 = match self.attachment.flatten() {
            _ if self.silence.is_some() && self.said_attached => Ec2State::SilentAfterAttached,
            _ if self.silence.is_some() => Ec2State::Silent,
            None => Ec2State::NotAttached,
            Some(AttachmentState::Detaching | AttachmentState::Busy) => Ec2State::Detaching,
            Some(AttachmentState::Attaching | AttachmentState::Attached) => Ec2State::Attached,
        };
        Observation {
            device,
            ec2,
            detach_accepted: self.detach_accepted,
            request_due: self.next_request <= Instant::now(),
        }
    }

    async fn ask_ec2(&mut self) {
        let agent = self.agent;
        if self.said_attached {
            self.patience = agent.call.deadline;
        }
        agent.asking_ec2(&format!(": {}", self.known()));
        let answer = async {
            let (here, ec2) = self.connected.as_ref().map_err(Clone::clone)?;
            let ask = async || ec2.volume(agent.id()).await;
            // A stop after a start that lacked permissions does not wait for them again.
            let volume = match self.was_present || self.pending.is_some() {
                true => call_ec2(self.patience, ask).await?,
                false => retry_transient(self.patience, ask).await?,
            };
            Ok::<_, AwsError>(volume.attachment_to(here).map(|it| it.state))
        };
        self.silence = None;
        match answer.await {
            Ok(state) => self.attachment = Some(state),
            Err(error) if error.kind == ErrorKind::NotFound => self.attachment = Some(None),
            Err(error) => self.silence = Some(error),
        }
        self.said_attached |= matches!(
            self.attachment,
            Some(Some(AttachmentState::Attaching | AttachmentState::Attached))
        );
    }

    /// Asks EC2 to detach the volume from this instance.
    async fn request(&mut self) -> Result<(), Failure> {
        let Ok((here, ec2)) = &self.connected else {
            return Ok(());
        };
        let (call, id) = (&self.agent.call, self.agent.id());
        call.steps.acting(format!("detaching {id} from {here}"));
        self.agent.note_detach_request();
        let detach = async || ec2.detach(id, here, false).await;
        let answer = call_ec2(call.deadline, detach).await;
        self.detach_accepted |= answer.is_ok();
        self.next_request = detach_retry_at(&answer);
        ignore_race(answer).map_err(|error| Failure::generic(error.to_string()))?;
        self.next_question = Instant::now() + EC2_POLL_INTERVAL;
        Ok(())
    }

    /// What is known about the attachment, for people.
    fn known(&self) -> String {
        let (Some(attachment), Ok((here, _))) = (self.attachment, &self.connected) else {
            return "the volume may still be attached".to_owned();
        };
        let id = self.agent.id();
        let state = match attachment {
            Some(AttachmentState::Busy) => "busy",
            Some(AttachmentState::Detaching) => "detaching",
            Some(AttachmentState::Attaching) => "attaching",
            Some(AttachmentState::Attached) => "attached",
            None if self.is_present => {
                return format!(
                    "EC2 says that {id} is not attached here, but its device is still there and alive"
                );
            }
            None => {
                return format!(
                    "a start that was interrupted asked EC2 to attach {id} to {here}, and the device may still appear"
                );
            }
        };
        format!("{id} is still {state} on {here}, so this node could still write to it")
    }

    fn failure(&self) -> Failure {
        let known = self.known();
        let seconds = self.agent.call.deadline.limit().as_secs();
        Failure::generic(match &self.silence {
            Some(error) => format!("{known}; {error}"),
            None => format!("after {seconds} s {known}"),
        })
    }
}

impl AwsEbs {
    /// For a start that comes after this stop was interrupted.
    fn note_detach_request(&self) {
        let is_present = || self.present_device().is_some();
        let noted = self.noted();
        let mut noted = noted.unwrap_or_else(|| self.attachment_now("", is_present()));
        noted.detached = Some(SystemTime::now());
        self.state.save_if_possible(&noted);
    }
}
