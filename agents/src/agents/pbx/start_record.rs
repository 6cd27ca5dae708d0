//! What one call of the agent writes down for the next, until the PBX is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Pbx;
use crate::docker::{ContainerRecord, DockerError, Plan, processes};

/// What is known since the last start. A field that an earlier release did not write is empty.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StartRecord {
    /// The compose services that were started. Docker does not remember that a container was there once.
    pub(super) services: Vec<String>,
    /// The services that have answered a start or a monitor.
    pub(super) answered: BTreeSet<String>,
    /// The containers that were started, to end them when Docker does not answer.
    pub(super) containers: Vec<ContainerRecord>,
    /// The Docker daemons that have a command to start a container and have not confirmed it.
    pub(super) ordered: Vec<(i32, u64)>,
    /// When a container was last started again in place, by its name: the time since boot.
    pub(super) repaired: BTreeMap<String, Duration>,
}

impl StartRecord {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            services: plan.services(),
            containers: plan.records(),
            ordered: processes::daemons(),
            ..Self::default()
        }
    }

    /// Other containers run than those that were started. What has answered and what was repaired stays.
    pub(super) fn set_containers(&mut self, services: Vec<String>, all: Vec<ContainerRecord>) {
        self.services = services;
        self.containers = all;
    }

    /// Clears the unconfirmed commands, unless the error says that Docker may still carry one out.
    pub(super) fn was_answered(&mut self, answer: &Result<(), DockerError>) {
        if !answer.as_ref().is_err_and(DockerError::leaves_commands) {
            self.ordered.clear();
        }
    }

    /// Whether a Docker that still runs may carry out our command to start a container.
    pub(super) fn docker_may_start_one(&self) -> bool {
        let daemons = processes::daemons();
        self.ordered.iter().any(|one| daemons.contains(one))
    }
}

impl Pbx {
    /// The record of the last start; empty if there is none.
    pub(super) fn load_record(&self) -> StartRecord {
        self.started.load().unwrap_or_default()
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
    fn a_record_of_an_earlier_release_is_read() {
        let read: StartRecord = serde_json::from_str(r#"{"services":["nats"]}"#).unwrap();
        assert_eq!(read.services, ["nats"]);
        assert!(read.containers.is_empty() && !read.docker_may_start_one());
    }

    #[test]
    fn only_a_daemon_that_still_runs_can_carry_out_a_command() {
        let gone = StartRecord {
            ordered: vec![(i32::MAX, 1)],
            ..StartRecord::default()
        };
        assert!(!gone.docker_may_start_one());
    }

    #[test]
    fn a_command_is_open_until_docker_has_answered_it() {
        let mut record = StartRecord {
            ordered: vec![(7, 1)],
            ..StartRecord::default()
        };
        record.was_answered(&Err(DockerError::OutOfTime {
            doing: "start nats".to_owned(),
            seconds: 9.0,
        }));
        assert_eq!(record.ordered, [(7, 1)]);
        record.was_answered(&Err(DockerError::Refused {
            doing: "start nats".to_owned(),
            status: 500,
            said: "no space".to_owned(),
        }));
        assert_eq!(record.ordered, []);
    }
}
