//! Start, while another instance has the volume: `decide` says whether the volume may be detached there.

use std::time::{Duration, Instant};

use super::{AwsEbs, detach_retry_at, ignore_race};
use crate::agents::call_ec2;
use crate::ocf::Failure;
use crate::pacemaker;
use ec2::{
    Attachment, AttachmentState, EVENTUAL_CONSISTENCY_WINDOW, Ec2, InstanceId, InstanceState,
    retry_denied,
};

#[cfg(test)]
mod tests;

/// How long the attachment to an instance that runs may be `busy` until the volume counts as in use there. EC2 says
/// `busy` for a moment also while a volume is detached that nobody uses.
const BUSY_WINDOW: Duration = Duration::from_secs(3);

/// The taking of the volume from another instance, as far as it is.
#[derive(Debug, Default)]
pub(super) struct Taking {
    /// What the holder is, and since when without a break.
    holder: Option<(Holder, Instant)>,
    request: Option<DetachRequest>,
}

/// The instance that has the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// Stopped or terminated: it writes nothing any more.
    Off,
    /// Stopping: it may still write, and the volume is free to take soon.
    GoingDown,
    /// It runs, and EC2 says that the attachment is `busy`.
    Busy,
    /// It runs and may be writing.
    MayWrite,
    /// It runs and is known to use the volume no more, or the user set force_detach.
    Released,
}

/// A detach request for the holder, by this start, or by somebody else (not by force).
#[derive(Debug)]
struct DetachRequest {
    force: bool,
    retry_at: Instant,
}

/// What was seen of the holder at one moment.
#[derive(Debug)]
struct Observation {
    holder: Holder,
    /// Whether the holder has been in this state for as long as EC2's descriptions can be old.
    for_long: bool,
    attachment: AttachmentState,
    request: RequestState,
    /// The parameter force_detach.
    force_detach: bool,
}

/// What became of the detach request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestState {
    None,
    /// Its effect may still show.
    Pending {
        force: bool,
    },
    /// It showed no effect for too long.
    Overdue,
}

/// What a start does next about the holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Wait,
    /// Ask EC2 to detach the volume from the holder.
    Detach {
        force: bool,
    },
    /// The holder may be writing: nothing is changed, and the start fails.
    Refuse,
}

/// Decides what a start does about an instance that has the volume.
///
/// EC2 may unplug a mounted volume from a running instance without asking it. So the volume is detached only from an
/// instance that is known to write no more, and by force only where nothing can be lost or the user asked for it.
fn decide(seen: &Observation) -> Step {
    let is_busy = seen.attachment == AttachmentState::Busy;
    let force = match seen.holder {
        // It may still be writing. When it is off, the volume is free to take.
        Holder::GoingDown => return Step::Wait,
        // Force loses nothing then. But it is rarely needed, and one description that says `stopped` can be old: the
        // instance may have been started since.
        Holder::Off => seen.for_long && (is_busy || seen.request == RequestState::Overdue),
        Holder::Busy if seen.force_detach => true,
        // A stop there may just have ended, and descriptions may not show it yet.
        Holder::Busy | Holder::MayWrite if !seen.for_long => return Step::Wait,
        Holder::MayWrite if seen.attachment == AttachmentState::Detaching => return Step::Wait,
        Holder::Busy | Holder::MayWrite => return Step::Refuse,
        Holder::Released => false,
    };
    if seen.request == (RequestState::Pending { force }) {
        return Step::Wait;
    }
    Step::Detach { force }
}

impl Taking {
    fn request_state(&self) -> RequestState {
        match self.request {
            None => RequestState::None,
            Some(DetachRequest { retry_at, .. }) if retry_at <= Instant::now() => {
                RequestState::Overdue
            }
            Some(DetachRequest { force, .. }) => RequestState::Pending { force },
        }
    }

    /// Notes the holder's state and returns how long it has lasted.
    fn note(&mut self, holder: Holder) -> Duration {
        self.holder.take_if(|(before, _)| *before != holder);
        let (_, since) = self.holder.get_or_insert_with(|| (holder, Instant::now()));
        since.elapsed()
    }
}

impl AwsEbs {
    /// Does what may be done now to get the volume from another instance.
    pub(super) async fn take(
        &self,
        ec2: &Ec2,
        attachment: &Attachment,
        taking: &mut Taking,
    ) -> Result<(), Failure> {
        let deadline = self.call.deadline;
        let instance = &attachment.instance;
        let is_busy = attachment.state == AttachmentState::Busy;
        if attachment.state == AttachmentState::Detaching && taking.request.is_none() {
            let (force, retry_at) = (false, Instant::now() + EVENTUAL_CONSISTENCY_WINDOW);
            taking.request = Some(DetachRequest { force, retry_at });
        }
        if !is_busy && matches!(taking.request_state(), RequestState::Pending { .. }) {
            return Ok(());
        }
        let state = call_ec2(deadline, async || ec2.instance_state(instance).await).await;
        let mut why = None;
        let holder = match state.map_err(|error| self.failed(&error))? {
            InstanceState::Stopped => Holder::Off,
            InstanceState::Stopping => Holder::GoingDown,
            InstanceState::Running if is_busy => Holder::Busy,
            InstanceState::Running => {
                why = self.why_may_write(instance).await;
                why.as_ref().map_or(Holder::Released, |_| Holder::MayWrite)
            }
        };
        let window = match holder {
            Holder::Busy => BUSY_WINDOW,
            Holder::MayWrite => EVENTUAL_CONSISTENCY_WINDOW.min(deadline.limit() / 2),
            Holder::Off | Holder::GoingDown | Holder::Released => EVENTUAL_CONSISTENCY_WINDOW,
        };
        let step = decide(&Observation {
            holder,
            for_long: taking.note(holder) >= window,
            attachment: attachment.state,
            request: taking.request_state(),
            force_detach: self.parameters.force_detach,
        });
        let id = self.id();
        let force = match (step, why) {
            (Step::Wait, _) => return Ok(()),
            (Step::Detach { force }, _) => force,
            (Step::Refuse, Some(why)) => {
                return Err(Failure::generic(format!(
                    "{id} is attached to {instance}, which runs{why}. Nothing was changed; help: detach the volume \
                     there or stop {instance}, then run `pcs resource cleanup {}`",
                    self.call.resource
                )));
            }
            (Step::Refuse, None) => {
                return Err(Failure::generic(format!(
                    "{id} is in use on {instance}, which is running: EC2 says the attachment is busy. \
                     Nothing was detached by force; help: unmount it there or stop {instance}"
                )));
            }
        };
        let by_force = if force { " by force" } else { "" };
        tracing::info!("detaching {id} from {instance}{by_force}");
        // Not retried when no answer comes: by then the volume may be elsewhere.
        let detach = async || ec2.detach(id, instance, force).await;
        let answer = retry_denied(deadline, detach).await;
        let retry_at = detach_retry_at(&answer);
        taking.request = Some(DetachRequest { force, retry_at });
        ignore_race(answer).map_err(|error| self.failed(&error))
    }

    /// Why an instance that runs may be writing to the volume; none if it is known not to.
    ///
    /// With fencing, Pacemaker starts the resource here only after it was stopped there or the instance was fenced. An
    /// instance that runs was then started again since. Only a node on which Pacemaker was stopped in maintenance mode
    /// still has what it had.
    async fn why_may_write(&self, holder: &InstanceId) -> Option<String> {
        if self.parameters.force_detach {
            return None;
        }
        let Some(members) = &self.parameters.cluster_instances else {
            let why = " and may be writing: without fencing (cluster_instances) nobody knows";
            return Some(why.to_owned());
        };
        if !members.contains(holder) {
            let why = " and is not one of cluster_instances, so it may be writing";
            return Some(why.to_owned());
        }
        let (deadline, resource) = (self.call.deadline, &self.call.resource);
        let ask = async {
            if !pacemaker::is_fencing_on(deadline).await? {
                let why = " and may be writing, as fencing is off (stonith-enabled)";
                return Ok(Some(why.to_owned()));
            }
            let nodes = pacemaker::other_nodes_that_run(resource, deadline)
                .await?
                .join(", ");
            let why = || format!(", and Pacemaker has {resource} running on {nodes}");
            Ok((!nodes.is_empty()).then(why))
        };
        let unasked =
            |error: String| format!(" and may be writing: Pacemaker cannot be asked ({error})");
        ask.await.unwrap_or_else(|error| Some(unasked(error)))
    }
}
