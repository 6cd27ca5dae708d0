//! Taking the volume from another instance, if that can't be writing to it.

use std::time::{Duration, Instant};

use super::{AwsEbs, or_look_again};
use crate::ocf::Failure;
use crate::pacemaker;
use ec2::{
    Attachment, AttachmentState, EVENTUAL_CONSISTENCY_WINDOW, Ec2, InstanceId, Power,
    retry_transient,
};

/// How long a holder that runs may be `busy` before it counts as refusing. EC2 says `busy` for a moment
/// too while a volume that nobody uses leaves.
const BUSY: Duration = Duration::from_secs(3);
/// How soon it is asked again after a refusal.
const REFUSED: Duration = Duration::from_secs(1);

/// What was asked of another holder so far.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// From when on it is asked again, if it shows no effect.
    again: Option<Instant>,
    /// Whether it was asked by force.
    force: bool,
    /// Since when it is busy.
    busy: Option<Instant>,
    /// Since when EC2 says that it is off, without a break.
    off: Option<Instant>,
    /// Since when it runs and may be writing, without a break.
    may_write: Option<Instant>,
}

impl AwsEbs {
    /// Does what may be done to get the volume from another instance.
    pub(super) async fn take(
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
            asked.again.get_or_insert(now + EVENTUAL_CONSISTENCY_WINDOW);
            return Ok(());
        }
        let power = self
            .allowed(async || retry_transient(deadline, async || ec2.power(holder).await).await)
            .await
            .map_err(|error| self.failed(&error))?;
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
            Power::Off => {
                (busy || in_vain)
                    && asked
                        .off
                        .is_some_and(|since| since.elapsed() > EVENTUAL_CONSISTENCY_WINDOW)
            }
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
            Power::On => {
                if let Some(why) = self.may_write(holder).await {
                    let since = *asked.may_write.get_or_insert(now);
                    // A stop there may just have ended, and descriptions may not show it yet.
                    if leaving
                        || since.elapsed() < EVENTUAL_CONSISTENCY_WINDOW.min(deadline.limit() / 2)
                    {
                        return Ok(());
                    }
                    return Err(Failure::generic(format!(
                        "{} is attached to {holder}, which runs{why}. Nothing was changed. Detach the volume there \
                         or stop {holder}, then: pcs resource cleanup {}",
                        self.id(),
                        self.call.resource
                    )));
                }
                false
            }
        };
        asked.may_write = None;
        if asked.again.is_some() && !in_vain && force == asked.force {
            return Ok(());
        }
        tracing::info!(
            "detaching {} from {holder}{}",
            self.id(),
            if force { " by force" } else { "" }
        );
        // Not repeated while nothing is known: by then the volume may be elsewhere.
        let answer = self
            .allowed(async || ec2.detach(self.id(), holder, force).await)
            .await;
        let pause = if answer.is_ok() {
            EVENTUAL_CONSISTENCY_WINDOW
        } else {
            REFUSED
        };
        asked.force = force;
        asked.again = Some(Instant::now() + pause);
        or_look_again(answer).map_err(|error| self.failed(&error))
    }

    /// Why an instance that runs may be writing to the volume; nothing if it can't be.
    ///
    /// EC2 may unplug a volume from a running instance without asking it, so that a mounted one is torn off. So it has
    /// to be known that the instance is done with it. With fencing, Pacemaker starts the resource here only after it
    /// was stopped there or the instance was fenced; if it runs, it has been started again since. Only a node on which
    /// Pacemaker was stopped in maintenance runs on with what it had.
    async fn may_write(&self, holder: &InstanceId) -> Option<String> {
        if self.parameters.force_detach {
            return None;
        }
        let deadline = self.call.deadline;
        let resource = &self.call.resource;
        match &self.parameters.cluster_instances {
            None => {
                return Some(
                    " and may be writing: without fencing (cluster_instances) nobody knows"
                        .to_owned(),
                );
            }
            Some(members) if !members.contains(holder) => {
                return Some(
                    " and is not one of cluster_instances, so it may be writing".to_owned(),
                );
            }
            Some(_) => {}
        }
        let known = async {
            if !pacemaker::is_fencing_on(deadline).await? {
                return Ok(Some(
                    " and may be writing, as fencing is off (stonith-enabled)".to_owned(),
                ));
            }
            let nodes = pacemaker::other_nodes_that_run(resource, deadline).await?;
            Ok((!nodes.is_empty()).then(|| {
                format!(
                    ", and Pacemaker has {resource} running on {}",
                    nodes.join(", ")
                )
            }))
        };
        known.await.unwrap_or_else(|error: String| {
            Some(format!(
                " and may be writing: Pacemaker can not be asked ({error})"
            ))
        })
    }
}
