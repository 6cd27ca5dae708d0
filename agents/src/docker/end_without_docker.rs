//! Ending containers without Docker: the stop signal to the first process of each, in the reverse order of a start,
//! then SIGKILL. What is left is judged by the processes, so it does not matter what Docker believes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::cgroup;
use super::container::{Container, Inspection};
use super::processes;
use super::signal;

/// How long killed processes may take to end. One that waits for a device that hangs never ends.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the processes are listed.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What is needed to end a container without Docker. A start writes it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The number of its stop signal.
    pub(crate) stop_signal: i32,
    /// How many seconds it has to end after the stop signal, if it says so; negative for no limit.
    pub(crate) stop_timeout: Option<i64>,
    /// How many containers must come up one after the other before this one can.
    pub(crate) depth: usize,
}

impl ContainerRecord {
    /// A container of which only the id is known. It is ended first, because no other is known to depend on it.
    pub(crate) fn by_id(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: format!("container {}", &id[..id.len().min(12)]),
            stop_signal: signal::TERM,
            stop_timeout: None,
            depth: usize::MAX,
        }
    }

    /// A container of which only the entry in a list is known.
    pub(super) fn named(container: &Container) -> Self {
        let (name, depth) = (container.name.clone(), 0);
        Self {
            name,
            depth,
            ..Self::by_id(&container.id)
        }
    }

    /// A container that was inspected.
    pub(super) fn of(container: &Container, found: &Inspection, depth: usize) -> Self {
        let &Inspection {
            stop_signal,
            stop_timeout,
            ..
        } = found;
        let it = Self::named(container);
        Self {
            stop_signal,
            stop_timeout,
            depth,
            ..it
        }
    }

    /// The same, but with only the caller's grace.
    pub(super) fn without_own_grace(mut self) -> Self {
        self.stop_timeout = None;
        self
    }
}

/// How long a container has to end after its stop signal: the longer of `grace` and its own time.
pub(super) fn grace_of(grace: Duration, stop_timeout: Option<i64>) -> Duration {
    let own = match stop_timeout {
        None => Duration::ZERO,
        Some(seconds) if seconds < 0 => Duration::MAX,
        Some(seconds) => Duration::from_secs(seconds.unsigned_abs()),
    };
    grace.max(own)
}

/// Ends these containers, those first on which no other depends. Returns those that still have processes.
pub(crate) async fn end(
    containers: &[ContainerRecord],
    grace: Duration,
    deadline: Instant,
) -> Vec<ContainerRecord> {
    let depths: BTreeSet<usize> = containers.iter().map(|it| it.depth).collect();
    for (turns, depth) in (1..)
        .zip(depths)
        .collect::<Vec<(u32, _)>>()
        .into_iter()
        .rev()
    {
        let level: Vec<_> = containers.iter().filter(|it| it.depth == depth).collect();
        let left = deadline.saturating_duration_since(Instant::now());
        end_level(&level, grace, left / turns).await;
    }
    let processes = processes::of_containers();
    let left = containers
        .iter()
        .filter(|it| processes.contains_key(&it.id));
    left.cloned().collect()
}

/// Ends containers that do not depend on each other, within `time`. A part of the time is kept back for killing.
async fn end_level(level: &[&ContainerRecord], grace: Duration, time: Duration) {
    let began = Instant::now();
    let for_killing = KILL_TIMEOUT.min(time / 3);
    let longest = time.saturating_sub(for_killing);
    let grace_of = |it: &ContainerRecord| grace_of(grace, it.stop_timeout).min(longest);
    let graces = level.iter().map(|it| grace_of(it));
    let end = began + graces.max().unwrap_or_default() + for_killing;
    let processes = processes::of_containers();
    for container in level {
        let of_this = processes.get(&container.id);
        let Some(first) = of_this.and_then(|it| processes::first_of(it)) else {
            continue;
        };
        let (name, signal) = (&container.name, container.stop_signal);
        tracing::info!("sending signal {signal} to process {first} of {name}, without Docker");
        if let Err(error) = signal::send(first, signal) {
            tracing::warn!("send signal {signal} to process {first} of {name}: {error}");
        }
        cgroup::thaw(&container.id, first);
    }
    loop {
        let processes = processes::of_containers();
        let left = level
            .iter()
            .filter_map(|it| Some((it, processes.get(&it.id)?)));
        let left: Vec<_> = left.collect();
        for (container, processes) in &left {
            if began.elapsed() >= grace_of(container) {
                cgroup::kill(&container.id, processes);
            }
        }
        if left.is_empty() || Instant::now() >= end {
            return;
        }
        sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_both_graces_counts() {
        let configured = Duration::from_secs(20);
        for (own, grace) in [(None, 20), (Some(10), 20), (Some(30), 30), (Some(0), 20)] {
            assert_eq!(
                grace_of(configured, own),
                Duration::from_secs(grace),
                "{own:?}"
            );
        }
        assert!(grace_of(configured, Some(-1)) > Duration::from_secs(3600));
    }
}
