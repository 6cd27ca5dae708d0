//! Stopping a project: every container when what depends on it has stopped. Goes on after
//! an error: half a stop helps nobody.
//!
//! Docker before 20.10.27 can lock itself up when containers end at one time, about once in a hundred stops
//! of a whole PBX (moby/moby#46661; Debian 12 has 20.10.24): there they are stopped one after the other. A
//! daemon that is stuck all the same does not answer when it is asked about a container whose end it never
//! notes, so what has no process any more has ended, whatever Docker says, if processes can tell.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use tokio::time::{Instant, sleep};

use super::AT_ONCE;
use super::container::{Container, Inspection, RestartPolicy, RunState};
use super::daemon::Daemon;
use super::error::DockerError;
use super::order::Order;
use super::processes;

/// What Docker may take beyond the grace, and what is kept back for killing.
const RESERVE: Duration = Duration::from_secs(3);

/// How often a killed container is looked at until it is gone.
const LOOK: Duration = Duration::from_millis(50);

/// How often the processes are looked at while Docker stops their container.
const LOOK_AT_PROCESSES: Duration = Duration::from_secs(1);

/// How long after its last process Docker may take to say that a container has ended.
const NOTED: Duration = Duration::from_secs(2);

pub(super) async fn stop(
    daemon: &Daemon,
    project: &str,
    grace: Duration,
    deadline: Instant,
) -> Result<(), DockerError> {
    let at_once = if daemon.version().await?.locks_up() {
        1
    } else {
        AT_ONCE
    };
    let containers = daemon.list(project).await?;
    let order = Order::of(&containers).unwrap_or_else(|error| {
        tracing::warn!("all of project {project} is stopped at once: {error}");
        Order::none(&containers)
    });
    let mut errors = Vec::new();
    let mut live = vec![false; containers.len()];
    for (container, found) in look_at_all(daemon, &containers).await {
        live[container] = match found {
            Ok(found) => found.is_some_and(|found| found.state.is_live()),
            Err(error) => {
                errors.push(error);
                true
            }
        };
    }
    errors.extend(take_down(daemon, &containers, &order, live, at_once, grace, deadline).await);

    // What counts is what runs now, not what went wrong on the way.
    let containers = daemon.list(project).await?;
    let mut left = Vec::new();
    for (container, found) in look_at_all(daemon, &containers).await {
        match found {
            Ok(Some(found)) if found.state.is_live() => left.push(DockerError::Container {
                name: containers[container].name.clone(),
                what: format!("{} after it was stopped", found.state),
            }),
            Ok(_) => {}
            Err(error) => left.push(error),
        }
    }
    if left.is_empty() {
        if let Some(stuck) = containers.iter().find(|container| container.ended_unnoted) {
            tracing::warn!("{}", DockerError::stuck(stuck));
        }
        for error in errors {
            tracing::warn!("project {project} is stopped, although: {error}");
        }
        return Ok(());
    }
    left.extend(errors);
    DockerError::all(left)
}

/// The truth about each, a few at once; and whose restart policy was not `no` loses it. Nothing is asked about
/// what has ended although Docker says that it runs: a daemon that is stuck does not answer.
async fn look_at_all(
    daemon: &Daemon,
    containers: &[Container],
) -> Vec<(usize, Result<Option<Inspection>, DockerError>)> {
    stream::iter(containers.iter().enumerate())
        .filter(|(_, container)| std::future::ready(!container.ended_unnoted))
        .map(|(position, container)| async move {
            let found = daemon.inspect(container).await;
            if let Ok(Some(found)) = &found
                && found.restart_policy != RestartPolicy::No
            {
                let limit = Instant::now() + RESERVE;
                if let Err(error) = daemon.never_restart(container, limit).await {
                    tracing::warn!("{error}");
                }
            }
            (position, found)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

async fn take_down(
    daemon: &Daemon,
    containers: &[Container],
    order: &Order,
    live: Vec<bool>,
    mut at_once: usize,
    grace: Duration,
    deadline: Instant,
) -> Vec<DockerError> {
    let mut errors = Vec::new();
    let mut done: Vec<bool> = live.iter().map(|live| !live).collect();
    let mut waiting: Vec<usize> = (0..containers.len()).filter(|it| live[*it]).collect();
    let mut ready = VecDeque::new();
    let mut jobs = FuturesUnordered::new();
    loop {
        waiting.retain(|container| {
            let can = order.needed_by(*container).all(|other| done[other]);
            if can {
                ready.push_back(*container);
            }
            !can
        });
        while jobs.len() < at_once
            && let Some(container) = ready.pop_front()
        {
            let turns = if at_once == 1 {
                done.iter().filter(|done| !**done).count()
            } else {
                order.depth(container) + 1
            };
            let share = share(grace, deadline, turns);
            jobs.push(async move {
                let stopped = take_one_down(daemon, &containers[container], share, deadline).await;
                (container, stopped)
            });
        }
        let Some((container, stopped)) = jobs.next().await else {
            return errors;
        };
        done[container] = true;
        match stopped {
            Ok(End::Noted) => {}
            // It is stuck already.
            Ok(End::Unnoted) => at_once = AT_ONCE,
            Err(error) => errors.push(error),
        }
    }
}

/// The grace that a container gets when it is the first of so many `turns`: those that are stopped after it
/// get as much. A database that is killed because gateways took all the time has to recover.
fn share(grace: Duration, deadline: Instant, turns: usize) -> Duration {
    let turns = u32::try_from(turns).unwrap_or(u32::MAX).max(1);
    let left = deadline
        .saturating_duration_since(Instant::now())
        .saturating_sub(RESERVE);
    grace.min(left / turns)
}

/// How a container has ended.
enum End {
    /// Docker says so.
    Noted,
    /// It has no process any more, and Docker does not say so.
    Unnoted,
}

async fn take_one_down(
    daemon: &Daemon,
    container: &Container,
    grace: Duration,
    deadline: Instant,
) -> Result<End, DockerError> {
    tokio::select! {
        biased;
        ended = ask_docker(daemon, container, grace, deadline) => ended.map(|()| End::Noted),
        () = no_process_is_left(container), if daemon.processes_tell => Ok(End::Unnoted),
    }
}

/// Until a container has had no process for longer than Docker needs to note it.
async fn no_process_is_left(container: &Container) {
    let mut seen = Instant::now();
    while seen.elapsed() < NOTED {
        sleep(LOOK_AT_PROCESSES).await;
        if processes::has(container) {
            seen = Instant::now();
        }
    }
}

async fn ask_docker(
    daemon: &Daemon,
    container: &Container,
    grace: Duration,
    deadline: Instant,
) -> Result<(), DockerError> {
    let limit = deadline.min(Instant::now() + grace + RESERVE);
    let asked = daemon.stop(container, grace, limit).await;
    match daemon.inspect(container).await {
        Ok(found) if found.as_ref().is_none_or(|found| !found.state.is_live()) => return Ok(()),
        _ => {}
    }
    let killed = daemon.kill(container, deadline).await;
    loop {
        let state = match daemon.inspect(container).await {
            Ok(None) => return Ok(()),
            Ok(Some(found)) if !found.state.is_live() => return Ok(()),
            Ok(Some(found)) => found.state,
            Err(_) => RunState::Unknown,
        };
        if Instant::now() + LOOK >= deadline {
            let errors = [asked.err(), killed.err()];
            let mut errors: Vec<_> = errors.into_iter().flatten().collect();
            errors.push(DockerError::Container {
                name: container.name.clone(),
                what: format!("{state} after it was stopped and killed"),
            });
            return DockerError::all(errors);
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_is_shared_with_what_is_stopped_later() {
        let grace = Duration::from_secs(30);
        let far = Instant::now() + Duration::from_secs(300);
        assert_eq!(share(grace, far, 3), grace, "enough for all");
        let near = Instant::now() + Duration::from_secs(33);
        let gateway = share(grace, near, 3);
        assert!(gateway <= Duration::from_secs(10), "{gateway:?}");
        assert!(gateway > Duration::from_secs(9), "{gateway:?}");
        assert_eq!(share(grace, Instant::now(), 1), Duration::ZERO, "too late");
    }
}
