//! What one call of the agent writes down for the next, until the PBX is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Pbx;
use crate::docker::{ContainerRecord, DockerError, Observation, Plan, Project, processes};
use crate::pacemaker::is_managed;

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

    /// Takes over containers that run and that no start has recorded, if the PBX runs as a whole and Pacemaker manages it:
    /// somebody created them anew in maintenance, or an earlier release started them. Otherwise Docker would start them
    /// again by itself after a crash or at boot, and a stop without Docker would not know them. Without a record, nothing
    /// was started here. If it does not work, the PBX runs on.
    pub(super) async fn take_over_new_containers(
        &self,
        project: &Project,
        seen: &Observation,
        record: &mut StartRecord,
    ) {
        let is_wanted = !self.call.probe && seen.is_whole && !record.services.is_empty();
        if !is_wanted || !has_new(&seen.running, &record.containers) {
            return;
        }
        if let Err(why) = is_managed(&self.call.resource, self.call.deadline).await {
            tracing::info!("containers that were created anew are not taken over: {why}");
            return;
        }
        match self.take_over(project, seen).await {
            Ok(plan) => {
                // Another monitor may have written the record meanwhile.
                if let Some(now) = self.started.load() {
                    *record = now;
                }
                record.set_containers(plan.services(), plan.records());
                self.started.save_if_possible(record);
            }
            Err(why) => {
                tracing::warn!("containers that were created anew are not taken over: {why}");
            }
        }
    }

    async fn take_over(&self, project: &Project, seen: &Observation) -> Result<Plan, String> {
        let said = |error: DockerError| error.to_string();
        let until = Instant::now() + self.call.deadline.remaining() / 4;
        let plan = project.plan(until).await.map_err(said)?;
        let records = plan.records();
        let planned: BTreeSet<&String> = records.iter().map(|it| &it.id).collect();
        if planned != seen.ids.iter().collect() {
            return Err("a start would start other containers".to_owned());
        }
        let step = "setting the restart policy of containers that were created anew to `no`";
        self.call.steps.acting(step);
        project.never_restart(&plan, until).await.map_err(said)?;
        Ok(plan)
    }
}

/// How long this machine has been up. Unlike the time of day, nobody sets it.
pub(super) fn since_boot() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Whether a container runs that is not recorded.
fn has_new(running: &[String], recorded: &[ContainerRecord]) -> bool {
    let is_recorded = |id: &String| recorded.iter().any(|it| it.id == *id);
    !running.iter().all(is_recorded)
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

    #[test]
    fn only_a_container_that_runs_and_is_not_recorded_is_new() {
        let ids = |all: &[&str]| -> Vec<String> { all.iter().map(|id| (*id).into()).collect() };
        let recorded = ["a", "b"].map(ContainerRecord::by_id);
        assert!(!has_new(&ids(&["a"]), &recorded));
        assert!(has_new(&ids(&["a", "c"]), &recorded));
        assert!(has_new(&ids(&["a"]), &[]), "a record of an earlier release");
    }

    #[test]
    fn a_record_with_other_containers_keeps_what_has_answered_and_what_was_repaired() {
        let mut record = StartRecord {
            services: vec!["databoard".into()],
            answered: ["SIP".to_owned()].into(),
            containers: vec![ContainerRecord::by_id("old")],
            ordered: vec![(7, 1)],
            repaired: [("portsip.ai".to_owned(), Duration::from_secs(5))].into(),
        };
        record.set_containers(vec!["ai".into()], vec![ContainerRecord::by_id("new")]);
        assert_eq!(record.services, ["ai"]);
        assert_eq!(record.containers, [ContainerRecord::by_id("new")]);
        assert!(record.answered.contains("SIP") && record.repaired.contains_key("portsip.ai"));
        assert_eq!(record.ordered, [(7, 1)]);
    }
}
