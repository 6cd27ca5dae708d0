//! Ending containers without Docker: the stop signal of each to its first process, those first on which nothing
//! depends, then a kill. What is left is judged by the processes, so it does not matter what Docker believes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::cgroup;
use super::processes::{self, Processes};
use super::signal;

/// How long killed processes may take to be gone. One that waits for a device that hangs takes for ever.
const KILLED: Duration = Duration::from_secs(5);

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What has to be known of a container to end it without Docker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Docker's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The number of the signal that tells it to stop.
    pub stop_signal: i32,
    /// How many seconds it is to have then, if it says so.
    pub stop_timeout: Option<i64>,
    /// How many containers must come up one after the other before this one can.
    pub depth: usize,
}

impl Known {
    /// One of which nothing but the id is known. It is ended first, since nothing is known to depend on it.
    pub fn by_id(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: format!("container {}", &id[..id.len().min(12)]),
            stop_signal: signal::TERM,
            stop_timeout: None,
            depth: usize::MAX,
        }
    }
}

/// How long a container has to end after its stop signal: the longer of `grace` and what it says itself.
pub(super) fn grace_of(grace: Duration, stop_timeout: Option<i64>) -> Duration {
    let own = match stop_timeout {
        None => Duration::ZERO,
        // As long as it takes.
        Some(seconds) if seconds < 0 => Duration::MAX,
        Some(seconds) => Duration::from_secs(seconds.unsigned_abs()),
    };
    grace.max(own)
}

/// Ends these containers in the reverse of the order in which they are started. Returns those that still have
/// processes.
pub async fn end(containers: &[Known], grace: Duration, deadline: Instant) -> Vec<Known> {
    let mut depths: Vec<usize> = containers.iter().map(|it| it.depth).collect();
    depths.sort_unstable_by(|one, other| other.cmp(one));
    depths.dedup();
    for (position, depth) in depths.iter().enumerate() {
        let level: Vec<&Known> = containers.iter().filter(|it| it.depth == *depth).collect();
        let turns = u32::try_from(depths.len() - position).unwrap_or(u32::MAX);
        let left = deadline.saturating_duration_since(Instant::now());
        end_level(&level, grace, left / turns).await;
    }
    let processes = processes::of_containers();
    let left = containers
        .iter()
        .filter(|it| processes.contains_key(&it.id));
    left.cloned().collect()
}

/// Ends containers that do not depend on each other, within `time`: a part of it is kept back for killing.
async fn end_level(level: &[&Known], grace: Duration, time: Duration) {
    let began = Instant::now();
    let longest = time.saturating_sub(KILLED.min(time / 3));
    let graces: Vec<Duration> = level
        .iter()
        .map(|it| grace_of(grace, it.stop_timeout).min(longest))
        .collect();
    let end = began + graces.iter().max().copied().unwrap_or_default() + KILLED.min(time / 3);
    tell_to_stop(level, &processes::of_containers());
    loop {
        let processes = processes::of_containers();
        let mut left = false;
        for (container, grace) in level.iter().zip(&graces) {
            let Some(of_this) = processes.get(&container.id) else {
                continue;
            };
            left = true;
            if began.elapsed() >= *grace {
                cgroup::kill(&container.id, of_this);
            }
        }
        if !left || Instant::now() >= end {
            return;
        }
        sleep(LOOK).await;
    }
}

fn tell_to_stop(level: &[&Known], processes: &Processes) {
    for container in level {
        let of_this = processes.get(&container.id).map_or(&[][..], Vec::as_slice);
        let Some(first) = processes::first_of(of_this) else {
            continue;
        };
        tracing::info!(
            "sending signal {} to process {first} of {}, without Docker",
            container.stop_signal,
            container.name
        );
        if let Err(error) = signal::send(first, container.stop_signal) {
            tracing::warn!("tell {} to stop: {error}", container.name);
        }
        cgroup::thaw(&container.id, first);
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
