//! Stopping a project: each container as soon as everything that depends on it has stopped. An error with one
//! container does not keep the others running.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use tokio::time::{Instant, sleep};

use super::AT_ONCE;
use super::container::{Container, Inspection, RestartPolicy, RunState};
use super::daemon::Daemon;
use super::error::DockerError;
use super::order::Order;

/// What Docker may take beyond the grace, and what is kept back for killing.
const RESERVE: Duration = Duration::from_secs(3);

/// How often a killed container is looked at until it is gone.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn stop(
    daemon: &Daemon,
    project: &str,
    grace: Duration,
    deadline: Instant,
) -> Result<(), DockerError> {
    let containers = daemon.list(project).await?;
    let order = Order::of(&containers).unwrap_or_else(|error| {
        tracing::warn!("all containers of project {project} are stopped at once: {error}");
        Order::none(&containers)
    });
    let mut errors = Vec::new();
    let mut live = vec![false; containers.len()];
    for (container, found) in inspect_all(daemon, &containers).await {
        live[container] = match found {
            Ok(found) => is_live(found.as_ref()),
            Err(error) => {
                errors.push(error);
                true
            }
        };
    }
    errors.extend(stop_in_order(daemon, &containers, &order, live, grace, deadline).await);

    // What counts is what runs now, not what went wrong on the way.
    let containers = daemon.list(project).await?;
    let mut left = Vec::new();
    for (container, found) in inspect_all(daemon, &containers).await {
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
        for error in errors {
            tracing::warn!("project {project} is stopped, although: {error}");
        }
        return Ok(());
    }
    left.extend(errors);
    DockerError::all(left)
}

/// Inspects each container, a few at once, and sets the restart policy of each to `no`.
async fn inspect_all(
    daemon: &Daemon,
    containers: &[Container],
) -> Vec<(usize, Result<Option<Inspection>, DockerError>)> {
    stream::iter(containers.iter().enumerate())
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

async fn stop_in_order(
    daemon: &Daemon,
    containers: &[Container],
    order: &Order,
    live: Vec<bool>,
    grace: Duration,
    deadline: Instant,
) -> Vec<DockerError> {
    let mut errors = Vec::new();
    let mut done: Vec<bool> = live.iter().map(|live| !live).collect();
    let mut waiting: Vec<usize> = (0..containers.len()).filter(|it| live[*it]).collect();
    let mut jobs = FuturesUnordered::new();
    loop {
        waiting.retain(|container| {
            let can = jobs.len() < AT_ONCE && order.needed_by(*container).all(|other| done[other]);
            if can {
                let container = *container;
                let share = share(grace, deadline, order.depth(container));
                jobs.push(async move {
                    let stopped = stop_one(daemon, &containers[container], share, deadline).await;
                    (container, stopped)
                });
            }
            !can
        });
        let Some((container, stopped)) = jobs.next().await else {
            return errors;
        };
        done[container] = true;
        errors.extend(stopped.err());
    }
}

/// The grace of a container at a depth of the order, such that those below it, which are stopped after it, can
/// get as much. Else gateways could take all the time, and a database that is killed has to recover.
fn share(grace: Duration, deadline: Instant, depth: usize) -> Duration {
    let turns = u32::try_from(depth).unwrap_or(u32::MAX).saturating_add(1);
    let left = deadline
        .saturating_duration_since(Instant::now())
        .saturating_sub(RESERVE);
    grace.min(left / turns)
}

async fn stop_one(
    daemon: &Daemon,
    container: &Container,
    grace: Duration,
    deadline: Instant,
) -> Result<(), DockerError> {
    let limit = deadline.min(Instant::now() + grace + RESERVE);
    let asked = daemon.stop(container, grace, limit).await;
    if let Ok(found) = daemon.inspect(container).await
        && !is_live(found.as_ref())
    {
        return Ok(());
    }
    let killed = daemon.kill(container, deadline).await;
    loop {
        let state = match daemon.inspect(container).await {
            Ok(Some(found)) if found.state.is_live() => found.state,
            Ok(_) => return Ok(()),
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

/// Whether what an inspection found runs. A container that is not found was removed.
fn is_live(found: Option<&Inspection>) -> bool {
    found.is_some_and(|found| found.state.is_live())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_is_shared_with_what_is_stopped_later() {
        let grace = Duration::from_secs(30);
        let far = Instant::now() + Duration::from_secs(300);
        assert_eq!(share(grace, far, 2), grace, "enough for all");
        let near = Instant::now() + Duration::from_secs(33);
        let gateway = share(grace, near, 2);
        assert!(gateway <= Duration::from_secs(10), "{gateway:?}");
        assert!(gateway > Duration::from_secs(9), "{gateway:?}");
        assert_eq!(share(grace, Instant::now(), 0), Duration::ZERO, "too late");
    }
}
