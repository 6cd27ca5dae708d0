//! What one call of the agent leaves for the next, until the PBX is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Pbx;
use crate::docker::{DockerError, Known, Plan, processes};
use crate::ocf::Failure;

/// What is known since the last start. What an earlier release did not write is as after a start without it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Started {
    /// The compose services that were started. Docker does not tell that a container was there once.
    pub(super) services: Vec<String>,
    /// What has answered a start or a monitor.
    #[serde(default)]
    pub(super) answered: BTreeSet<String>,
    /// The containers that were started, to end them when Docker does not answer.
    #[serde(default)]
    pub(super) containers: Vec<Known>,
    /// The Docker daemons that may have an order of ours to start a container, and have not confirmed it.
    #[serde(default)]
    pub(super) ordered: Vec<(i32, u64)>,
    /// When a container was last started again in place, by its name: the time since boot.
    #[serde(default)]
    pub(super) repaired: BTreeMap<String, Duration>,
}

impl Started {
    /// Before the containers are started.
    pub(super) fn by_plan(plan: &Plan) -> Self {
        Self {
            services: plan.services(),
            containers: plan.known(),
            ordered: processes::daemons(),
            ..Self::default()
        }
    }

    /// Other containers run than those that were started. What has answered and what was repaired is as it was.
    pub(super) fn now_has(&mut self, services: Vec<String>, containers: Vec<Known>) {
        self.services = services;
        self.containers = containers;
    }

    /// After an order to Docker: it is no longer open, unless the error says that it may be.
    pub(super) fn was_answered(&mut self, answer: &Result<(), DockerError>) {
        if !answer.as_ref().is_err_and(DockerError::leaves_orders) {
            self.ordered.clear();
        }
    }

    /// Whether a Docker that still runs may start a container because we told it to.
    pub(super) fn docker_may_start_one(&self) -> bool {
        let daemons = processes::daemons();
        self.ordered.iter().any(|one| daemons.contains(one))
    }
}

impl Pbx {
    /// Keeps it for the next call. Without it a monitor sees less, and the PBX runs all the same.
    pub(super) fn note(&self, started: &Started) {
        if let Err(failure) = self.started.save(started) {
            tracing::warn!("{failure}");
        }
    }

    /// Keeps it for the next call, before something is done that can't be undone without it.
    pub(super) fn must_note(&self, started: &Started) -> Result<(), Failure> {
        self.started.save(started)
    }
}

/// How long this machine has been up. Unlike the time of day, nobody sets it.
pub(super) fn since_boot() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_an_earlier_release_is_read() {
        let read: Started = serde_json::from_str(r#"{"services":["nats"]}"#).unwrap();
        assert_eq!(read.services, ["nats"]);
        assert!(read.containers.is_empty() && !read.docker_may_start_one());
    }

    #[test]
    fn only_a_daemon_that_still_runs_can_carry_out_an_order() {
        let gone = Started {
            ordered: vec![(i32::MAX, 1)],
            ..Started::default()
        };
        assert!(!gone.docker_may_start_one());
    }

    #[test]
    fn an_order_is_open_until_docker_has_answered_it() {
        let mut started = Started {
            ordered: vec![(7, 1)],
            ..Started::default()
        };
        started.was_answered(&Err(DockerError::OutOfTime {
            doing: "start nats".to_owned(),
            seconds: 9.0,
        }));
        assert_eq!(started.ordered, [(7, 1)]);
        started.was_answered(&Err(DockerError::Refused {
            doing: "start nats".to_owned(),
            status: 500,
            said: "no space".to_owned(),
        }));
        assert_eq!(started.ordered, []);
    }
}
