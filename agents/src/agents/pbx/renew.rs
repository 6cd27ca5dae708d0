//! Containers that run and that no start has noted: somebody made them anew in maintenance, or an earlier release
//! started them. A monitor takes them over: otherwise Docker would start them again by itself after a crash or at boot,
//! and a stop without Docker would not know them.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Pbx;
use super::managed::is_managed;
use super::note::Started;
use crate::docker::{Known, Plan, Project, Seen};

impl Pbx {
    /// Takes over containers that are not in the note, if the PBX runs as a whole and Pacemaker manages it. Without a
    /// note, nothing was started here. The PBX runs all the same if that does not work.
    pub(super) async fn note_new_containers(
        &self,
        project: &Project,
        seen: &Seen,
        started: &mut Started,
    ) {
        let is_wanted = !self.call.probe && seen.is_whole && !started.services.is_empty();
        if !is_wanted || !runs_others(&seen.running, &started.containers) {
            return;
        }
        if let Err(why) = is_managed(&self.call.resource).await {
            tracing::info!("containers that were made anew are not taken over: {why}");
            return;
        }
        match self.take_over(project, seen).await {
            Ok(plan) => {
                // Another monitor may have noted something meanwhile.
                if let Some(now) = self.started.load() {
                    *started = now;
                }
                started.now_has(plan.services(), plan.known());
                self.note(started);
            }
            Err(why) => tracing::warn!("containers that were made anew are not taken over: {why}"),
        }
    }

    async fn take_over(&self, project: &Project, seen: &Seen) -> Result<Plan, String> {
        let until = Instant::now() + self.call.deadline.remaining() / 4;
        let plan = project.plan(until).await;
        let plan = plan.map_err(|error| error.to_string())?;
        let known = plan.known();
        let planned: BTreeSet<&String> = known.iter().map(|it| &it.id).collect();
        if planned != seen.ids.iter().collect() {
            return Err("a start would start others".to_owned());
        }
        self.call
            .steps
            .acting("setting the restart policy of containers that were made anew to `no`");
        let done = project.never_restart(&plan, until).await;
        done.map_err(|error| error.to_string())?;
        Ok(plan)
    }
}

/// Whether a container runs that is not noted.
fn runs_others(running: &[String], noted: &[Known]) -> bool {
    let is_noted = |id: &String| noted.iter().any(|it| it.id == *id);
    !running.iter().all(is_noted)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_container_that_runs_and_is_not_noted_is_new() {
        let ids = |all: &[&str]| -> Vec<String> { all.iter().map(|id| (*id).into()).collect() };
        let noted = ["a", "b"].map(Known::by_id);
        assert!(!runs_others(&ids(&["a"]), &noted));
        assert!(runs_others(&ids(&["a", "c"]), &noted));
        assert!(
            runs_others(&ids(&["a"]), &[]),
            "a note of an earlier release"
        );
    }

    #[test]
    fn a_note_that_is_made_anew_keeps_what_has_answered_and_what_was_repaired() {
        let mut started = Started {
            services: vec!["databoard".into()],
            answered: ["SIP".to_owned()].into(),
            containers: vec![Known::by_id("old")],
            ordered: vec![(7, 1)],
            repaired: [("portsip.ai".to_owned(), Duration::from_secs(5))].into(),
        };
        started.now_has(vec!["ai".into()], vec![Known::by_id("new")]);
        assert_eq!(started.services, ["ai"]);
        assert_eq!(started.containers, [Known::by_id("new")]);
        assert!(started.answered.contains("SIP") && started.repaired.contains_key("portsip.ai"));
        assert_eq!(started.ordered, [(7, 1)]);
    }
}
