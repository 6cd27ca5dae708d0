//! Stopping a project: each container as soon as everything that depends on it has stopped. An error with one
//! container does not keep the others running. What Docker does not end in time is ended without it.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::bring_up::Task;
use super::container::{Container, Inspection};
use super::end_without_docker::{ContainerRecord, end, grace_of};
use super::engine::Command;
use super::error::{DockerError, Result};
use super::order::Order;
use super::run_state::RunState;
use super::{MAX_CONCURRENT, Project, processes};

/// How long Docker may take beyond the grace. A stop that takes longer hangs.
const BEYOND_GRACE: Duration = Duration::from_secs(10);
/// How much time is kept back for killing.
const KILL_RESERVE: Duration = Duration::from_secs(3);

impl Project {
    /// Stops all containers, also leftovers and those of `docker compose run`, each when what depends on it has
    /// stopped, and checks that none runs. A container has the longer of `grace` and its own time to end after
    /// its stop signal, or less when the containers that are stopped after it would have no time left before
    /// `deadline`. Then it is killed. What Docker does not end in time is ended without it. An error says everything that
    /// went wrong, and comes only if a container may still run.
    pub(crate) async fn stop(&self, grace: Duration, deadline: std::time::Instant) -> Result {
        let work = self.stop_in_time(grace, deadline.into());
        self.by(deadline, "stop", work).await
    }

    async fn stop_in_time(&self, grace: Duration, deadline: Instant) -> Result {
        let containers = self.engine.list(&self.name).await?;
        let mut records: Vec<_> = containers.iter().map(ContainerRecord::named).collect();
        let mut live = vec![true; containers.len()];
        let mut errors = Vec::new();
        for (at, found) in self.inspect_all(&containers).await.into_iter().enumerate() {
            match found {
                Ok(Some(found)) => {
                    records[at] = ContainerRecord::of(&containers[at], &found, 0);
                    live[at] = found.state.is_live();
                }
                Ok(None) => live[at] = false,
                Err(error) => errors.push(error),
            }
        }
        let stopped = self.stop_in_order(&containers, &records, &live, grace, deadline);
        errors.extend(stopped.await);

        // What counts is what runs now, not what went wrong on the way.
        let containers = self.engine.list(&self.name).await?;
        let inspections = self.inspect_all(&containers).await;
        let with_processes = end_what_is_left(&containers, &records, deadline).await;
        let mut left = Vec::new();
        for (container, found) in containers.iter().zip(inspections) {
            let name = &container.name;
            match found {
                _ if with_processes.contains(&container.id) => {
                    let what = "still has processes after it was stopped and killed";
                    left.push(DockerError::container(name, what));
                }
                Ok(Some(found)) if may_start_again(&found) => {
                    let what = format!("{} after it was stopped", found.state);
                    left.push(DockerError::container(name, what));
                }
                Ok(Some(Inspection { state, .. })) if state.is_live() => {
                    tracing::warn!("Docker believes that {name} {state}, but it has no process");
                }
                Ok(_) => {}
                Err(error) => left.push(error),
            }
        }
        if left.is_empty() {
            for error in errors {
                tracing::warn!("project {} is stopped, although: {error}", self.name);
            }
            return Ok(());
        }
        left.extend(errors);
        DockerError::all(left)
    }

    /// Inspects each container, and sets the restart policy of each to `no`.
    async fn inspect_all(&self, containers: &[Container]) -> Vec<Result<Option<Inspection>>> {
        let inspections = stream::iter(containers).map(|container| async move {
            let found = self.engine.inspect_if_there(container).await?;
            if found.as_ref().is_some_and(|found| found.restarts) {
                let limit = Instant::now() + KILL_RESERVE;
                let order = self.engine.order(container, Command::NeverRestart, limit);
                if let Err(error) = order.await {
                    tracing::warn!("{error}");
                }
            }
            Ok(found)
        });
        inspections.buffered(MAX_CONCURRENT).collect().await
    }

    /// Stops the containers that are `live`. Returns what went wrong.
    async fn stop_in_order(
        &self,
        containers: &[Container],
        records: &[ContainerRecord],
        live: &[bool],
        grace: Duration,
        deadline: Instant,
    ) -> Vec<DockerError> {
        let project = &self.name;
        let order = &Order::of(containers).unwrap_or_else(|error| {
            tracing::warn!("all containers of project {project} are stopped at once: {error}");
            Order::none(containers)
        });
        let is_stopped = live.iter().map(|live| watch::Sender::new(!live));
        let is_stopped: &Vec<_> = &is_stopped.collect();
        let permits = &Semaphore::new(MAX_CONCURRENT);
        let live = (0..containers.len()).filter(|at| live[*at]);
        let stops = live.map(|at| async move {
            for dependent in order.needed_by(at) {
                // This cannot fail: the senders live as long as this function.
                let _ = is_stopped[dependent].subscribe().wait_for(|it| *it).await;
            }
            let _permit = permits.acquire().await;
            let record = &records[at];
            let grace = grace_of(grace, record.stop_timeout);
            let share = share(grace, deadline, order.depth(at));
            let task = self.task(&containers[at], deadline);
            let stopped = task.stop(record, share).await;
            is_stopped[at].send_replace(true);
            stopped.err()
        });
        join_all(stops).await.into_iter().flatten().collect()
    }
}

/// Whether Docker may start a container that has no process: one that it is about to restart, or one in an unknown
/// state. Not if its restart policy is `no`.
fn may_start_again(found: &Inspection) -> bool {
    found.restarts && matches!(found.state, RunState::Restarting | RunState::Unknown(_))
}

/// Kills what has processes, whatever Docker says of it. Returns the ids of the containers that still have some.
async fn end_what_is_left(
    containers: &[Container],
    records: &[ContainerRecord],
    deadline: Instant,
) -> Vec<String> {
    let processes = processes::of_containers();
    let record_of = |it: &Container| {
        let record = records.iter().find(|record| record.id == it.id).cloned();
        record
            .unwrap_or_else(|| ContainerRecord::named(it))
            .without_own_grace()
    };
    let left = containers
        .iter()
        .filter(|it| processes.contains_key(&it.id));
    let left: Vec<ContainerRecord> = left.map(record_of).collect();
    let left = end(&left, Duration::ZERO, deadline).await;
    left.into_iter().map(|it| it.id).collect()
}

/// The grace of a container, such that the containers that are stopped after it can get as much. Otherwise gateways
/// could take all the time, and a database that is killed has to recover.
fn share(grace: Duration, deadline: Instant, depth: usize) -> Duration {
    let turns = u32::try_from(depth).unwrap_or(u32::MAX).saturating_add(1);
    let left = deadline.saturating_duration_since(Instant::now());
    grace.min(left.saturating_sub(KILL_RESERVE) / turns)
}

impl Task<'_> {
    /// Has Docker stop the container, and ends it without Docker when that does not work in time.
    pub(super) async fn stop(&self, record: &ContainerRecord, grace: Duration) -> Result {
        let (container, deadline) = (self.container, self.deadline);
        let limit = deadline.checked_sub(KILL_RESERVE).unwrap_or(deadline);
        let limit = limit.min(Instant::now() + grace + BEYOND_GRACE);
        let stopped = self.engine.order(container, Command::Stop(grace), limit);
        let Err(error) = stopped.await else {
            return Ok(());
        };
        if !processes::of_containers().contains_key(&container.id) {
            tracing::warn!("{error}; {} has no process", container.name);
            return Ok(());
        }
        tracing::warn!("{error}; ending {} without Docker", container.name);
        // It may have had its stop signal and its grace, or not. Its own time to end is in `grace` already.
        let grace = grace.min(deadline.saturating_duration_since(Instant::now()) / 3);
        let left = end(&[record.clone().without_own_grace()], grace, deadline).await;
        if left.is_empty() { Ok(()) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::processes::tests::id;
    use super::*;

    fn found(state: &str, policy: &str) -> Inspection {
        let answer = serde_json::json!({
            "State": { "Status": state },
            "HostConfig": { "RestartPolicy": { "Name": policy } },
        });
        Inspection::from_answer(&answer)
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
        let record = ContainerRecord {
            stop_timeout: Some(90),
            ..ContainerRecord::by_id(&id('a'))
        };
        let now = record.clone().without_own_grace();
        assert_eq!(grace_of(Duration::ZERO, now.stop_timeout), Duration::ZERO);
        assert_eq!((now.id, now.stop_signal), (record.id, record.stop_signal));
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
