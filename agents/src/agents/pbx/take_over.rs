//! Containers that run and that no start has recorded: somebody created them anew in maintenance, or an earlier
//! release started them. A monitor takes them over. Otherwise Docker would start them again by itself after a crash
//! or at boot, and a stop without Docker would not know them.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Pbx;
use super::start_record::StartRecord;
use crate::docker::{ContainerRecord, DockerError, Observation, Plan, Project};
use crate::pacemaker::is_managed;

impl Pbx {
    /// Takes over containers that are not in the record, if the PBX runs as a whole and Pacemaker manages it. Without
    /// a record, nothing was started here. If it does not work, the PBX runs on.
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

/// Whether a container runs that is not recorded.
fn has_new(running: &[String], recorded: &[ContainerRecord]) -> bool {
    let is_recorded = |id: &String| recorded.iter().any(|it| it.id == *id);
    !running.iter().all(is_recorded)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

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
