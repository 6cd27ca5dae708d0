//! `start` and `stop` of one resource, with the vendor's lines, each waited for to its end.

use super::signals::Signals;
use super::target::Target;
use super::wait::Goal;
use crate::cli::ResourceArgs;
use crate::cluster::State;
use crate::exit::{Exit, Failure};

/// Starts a resource.
///
/// # Errors
/// It was not started, or not to its end.
pub(super) async fn start(args: &ResourceArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::new();
    let target = signals.end_what_looks(Target::find(args, "start")).await?;
    let started = started(&target, &mut signals).await;
    target.run.judge(started)
}

async fn started(target: &Target<'_>, signals: &mut Signals) -> Result<Exit, Failure> {
    let resource = &target.args.resource;
    target.line(&format!("try to start resource {resource}"));
    let instances = || target.state.instances(resource);
    let is_down = instances().any(|it| it.is_disabled()) || !instances().any(|it| it.is_started());
    if is_down {
        target.enable().await?;
    }
    if target.note().is_some() {
        target.forget_note().await?;
    }
    let done = if is_down { "started" } else { "" };
    target.ended(Goal::Started, done, signals).await
}

/// Stops a resource.
///
/// # Errors
/// It was not stopped, or not to its end.
pub(super) async fn stop(args: &ResourceArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::new();
    let target = signals
        .end_what_looks(Target::find_to_stop(args, "stop"))
        .await?;
    let stopped = stopped(&target, &mut signals).await;
    target.run.judge(stopped)
}

async fn stopped(target: &Target<'_>, signals: &mut Signals) -> Result<Exit, Failure> {
    let resource = &target.args.resource;
    target.line(&format!("try to stop resource {resource}"));
    if !target.state.instances(resource).all(|it| it.is_disabled()) {
        target.disable().await?;
    }
    if target.note().is_some() {
        target.forget_note().await?;
    }
    target.ended(Goal::Stopped, "stopped", signals).await
}

/// What cannot be carried out is refused before anything is changed.
pub(super) fn refuse(state: &State, resource: &str) -> Result<(), Failure> {
    let mut instances = state.instances(resource).peekable();
    let Some(first) = instances.peek() else {
        let mut names: Vec<&str> = state
            .resources
            .iter()
            .filter(|it| !it.is_fencing())
            .map(|it| it.clone.as_deref().unwrap_or(&it.id))
            .collect();
        names.dedup();
        return Err(Failure::usage(format!(
            "there is no resource {resource} in the cluster\n  help: the resources are {}",
            names.join(", ")
        )));
    };
    if first.is_fencing() {
        return Err(Failure::usage(format!(
            "{resource} is a fencing device: without it, a lost node cannot be fenced and nothing takes over. \
             ha-ctl does not stop or start it\n  help: sudo pcs stonith disable {resource}"
        )));
    }
    let refused = |why: String| Err(Failure::failed(format!("{why}. Nothing was changed")));
    if state.maintenance {
        return refused(format!(
            "the cluster is in maintenance mode, so it would not start or stop {resource}\n  help: sudo pcs property \
             set maintenance-mode=   ends it"
        ));
    }
    if instances.any(|it| !it.managed) {
        return refused(format!(
            "{resource} is unmanaged, so the cluster would not start or stop it\n  help: sudo pcs resource manage \
             {resource} --monitor"
        ));
    }
    if !state.quorum {
        return refused(
            "the nodes that could be asked have no majority, so they would not start or stop anything\n  help: ha-ctl \
             show"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
#[path = "resource_tests.rs"]
mod tests;
