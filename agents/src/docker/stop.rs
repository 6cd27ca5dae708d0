//! Stopping a project: each container as soon as everything that depends on it has stopped. An error with one
//! container does not keep the others running. What Docker does not end in time is ended without it.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use tokio::time::Instant;

use super::AT_ONCE;
use super::condition::RunState;
use super::container::{Container, Inspection, RestartPolicy};
use super::daemon::Daemon;
use super::end::{Known, end, grace_of};
use super::error::DockerError;
use super::order::Order;
use super::processes;

/// What Docker may take beyond the grace. A stop that takes longer hangs.
const BEYOND_GRACE: Duration = Duration::from_secs(10);

/// What is kept back for killing.
const RESERVE: Duration = Duration::from_secs(3);

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
    let mut known: Vec<Known> = containers.iter().map(|it| Known::named(it, 0)).collect();
    let mut live = vec![false; containers.len()];
    for (container, found) in inspect_all(daemon, &containers).await {
        live[container] = match found {
            Ok(Some(found)) => {
                known[container] = Known::of(&containers[container], &found, 0);
                found.state.is_live()
            }
            Ok(None) => false,
            Err(error) => {
                errors.push(error);
                true
            }
        };
    }
    errors.extend(stop_in_order(daemon, &containers, &known, &order, live, grace, deadline).await);

    // What counts is what runs now, not what went wrong on the way.
    let containers = daemon.list(project).await?;
    let mut left = Vec::new();
    let mut believed = Vec::new();
    for (container, found) in inspect_all(daemon, &containers).await {
        match found {
            Ok(Some(found)) if found.state.is_live() => believed.push((container, found)),
            Ok(_) => {}
            Err(error) => left.push(error),
        }
    }
    let with_processes = end_what_is_left(&containers, &known, deadline).await;
    for (container, found) in believed {
        let Container { name, id, .. } = &containers[container];
        if with_processes.contains(id) {
            continue;
        }
        let state = &found.state;
        if may_start_again(&found) {
            left.push(still(name, format!("{state} after it was stopped")));
        } else {
            tracing::warn!("Docker believes that {name} {state}, but it has no process");
        }
    }
    for container in containers
        .iter()
        .filter(|it| with_processes.contains(&it.id))
    {
        let what = "still has processes after it was stopped and killed";
        left.push(still(&container.name, what.to_owned()));
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

fn still(name: &str, what: String) -> DockerError {
    DockerError::Container {
        name: name.to_owned(),
        what,
    }
}

/// Whether Docker may start a container without processes by itself: the one that it is about to restart, and who
/// knows of a state that is not known. Not if its restart policy is `no`.
fn may_start_again(found: &Inspection) -> bool {
    found.restart_policy != RestartPolicy::No
        && matches!(found.state, RunState::Restarting | RunState::Unknown(_))
}

/// Kills what has processes, whatever Docker says of it. Returns the ids of those that have some still.
async fn end_what_is_left(
    containers: &[Container],
    known: &[Known],
    deadline: Instant,
) -> Vec<String> {
    let processes = processes::of_containers();
    let left: Vec<Known> = containers
        .iter()
        .filter(|it| processes.contains_key(&it.id))
        .map(|it| {
            let known = known.iter().find(|known| known.id == it.id);
            known.map_or_else(|| Known::named(it, 0), Known::without_own_grace)
        })
        .collect();
    if left.is_empty() {
        return Vec::new();
    }
    let left = end(&left, Duration::ZERO, deadline).await;
    left.into_iter().map(|it| it.id).collect()
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
    known: &[Known],
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
                let known = &known[container];
                let grace = grace_of(grace, known.stop_timeout);
                let share = share(grace, deadline, order.depth(container));
                jobs.push(async move {
                    let stopped =
                        stop_one(daemon, &containers[container], known, share, deadline).await;
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

/// Has Docker stop a container, and ends it without Docker when that does not work in time.
pub(super) async fn stop_one(
    daemon: &Daemon,
    container: &Container,
    known: &Known,
    grace: Duration,
    deadline: Instant,
) -> Result<(), DockerError> {
    let limit = deadline
        .checked_sub(RESERVE)
        .unwrap_or(deadline)
        .min(Instant::now() + grace + BEYOND_GRACE);
    let Err(error) = daemon.stop(container, grace, limit).await else {
        return Ok(());
    };
    if !processes::of_containers().contains_key(&container.id) {
        tracing::warn!("{error}; {} has no process", container.name);
        return Ok(());
    }
    tracing::warn!("{error}; {} is ended without Docker", container.name);
    // It may have had its stop signal and its grace, or not. What it asks for itself is in the grace already.
    let grace = grace.min(deadline.saturating_duration_since(Instant::now()) / 3);
    match end(&[known.without_own_grace()], grace, deadline)
        .await
        .as_slice()
    {
        [] => Ok(()),
        _ => Err(error),
    }
}

impl Known {
    /// One of which nothing is known but what a list shows.
    pub(super) fn named(container: &Container, depth: usize) -> Self {
        Self {
            name: container.name.clone(),
            depth,
            ..Self::by_id(&container.id)
        }
    }

    /// The same, to be killed as soon as the caller says, whatever the container asks for.
    fn without_own_grace(&self) -> Self {
        Self {
            stop_timeout: None,
            ..self.clone()
        }
    }

    /// What an inspection tells.
    pub(super) fn of(container: &Container, found: &Inspection, depth: usize) -> Self {
        Self {
            stop_signal: found.stop_signal,
            stop_timeout: found.stop_timeout,
            ..Self::named(container, depth)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::answer::Inspected;
    use super::super::processes::tests::id;
    use super::*;

    fn found(state: &str, policy: &str) -> Inspection {
        let answer = serde_json::json!({
            "State": { "Status": state },
            "HostConfig": { "RestartPolicy": { "Name": policy } },
        });
        Inspection::from_answer(serde_json::from_value::<Inspected>(answer).unwrap())
    }

    #[test]
    fn only_a_container_that_docker_may_restart_keeps_a_stop_from_success() {
        for (state, policy, may) in [
            ("restarting", "always", true),
            ("hibernating", "unless-stopped", true),
            ("restarting", "no", false),
            ("hibernating", "no", false),
            ("running", "always", false),
        ] {
            assert_eq!(
                may_start_again(&found(state, policy)),
                may,
                "{state} {policy}"
            );
        }
    }

    #[test]
    fn what_had_its_own_grace_is_not_given_it_again() {
        let known = Known {
            stop_timeout: Some(90),
            ..Known::by_id(&id('a'))
        };
        let now = known.without_own_grace();
        assert_eq!(grace_of(Duration::ZERO, now.stop_timeout), Duration::ZERO);
        assert_eq!((now.id, now.stop_signal), (known.id, known.stop_signal));
    }

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
