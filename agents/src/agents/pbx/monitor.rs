//! Looking at the PBX: what Docker says of the containers, and what can be told without it. A probe also asks the
//! node's processes, since its answer decides whether another node may start the PBX.

use std::time::{Duration, Instant};

use super::Pbx;
use super::data::{Access, Data};
use super::managed::is_managed;
use super::note::{Started, since_boot};
use super::others::others;
use super::present::names;
use crate::docker::{DockerError, Project, ProjectState, Seen, processes};
use crate::ocf::Health;

/// How long a container that was started again in place has to run before that is done once more.
const ONCE_IN: Duration = Duration::from_secs(600);

impl Pbx {
    pub(super) async fn look_at_all(&self) -> Health {
        self.call.steps.doing("asking Docker for the containers");
        let mut started: Started = self.started.load().unwrap_or_default();
        // At level 10 others are asked too, the more so when Docker does not answer.
        let share = if self.call.in_depth() { 2 } else { 1 };
        let limit = self.call.deadline.remaining() / share;
        let state = async {
            let project = self.connect(limit).await?;
            let seen = project.state(&started.services).await?;
            Ok((project, seen))
        };
        let (project, seen) = match self.within(limit, state).await {
            Ok(answer) => answer,
            Err(error) => return self.judge_by_processes(&error, started).await,
        };
        if let Some(health) = self.ask_processes(&project, &seen, &started).await {
            return health;
        }
        self.note_new_containers(&project, &seen, &mut started)
            .await;
        match seen.state {
            ProjectState::Running | ProjectState::Unclear { .. } if self.call.in_depth() => {
                self.look_in_depth(&project, seen, started).await
            }
            ProjectState::Partly {
                ended: Some(ref id),
                ..
            } if !self.call.probe => {
                let broken = reason_of(&seen.state);
                self.start_again(&project, id, started, &broken).await
            }
            ProjectState::Running => Health::Running,
            ProjectState::Absent => Health::Stopped(format!(
                "there are no containers of project {} here",
                self.parameters.project
            )),
            ProjectState::Stopped => Health::Stopped(self.nothing_runs()),
            ProjectState::Unclear { .. } => Health::Degraded(reason_of(&seen.state)),
            ProjectState::TwoDatabases { .. }
            | ProjectState::Incomplete { .. }
            | ProjectState::Partly { .. }
            | ProjectState::Unhealthy { .. } => Health::Broken(reason_of(&seen.state)),
        }
    }

    fn nothing_runs(&self) -> String {
        format!("no container of project {} runs", self.parameters.project)
    }

    /// What the processes say that Docker does not: to a probe, and when Docker says that nothing runs.
    async fn ask_processes(
        &self,
        project: &Project,
        seen: &Seen,
        started: &Started,
    ) -> Option<Health> {
        let says_stopped = matches!(seen.state, ProjectState::Absent | ProjectState::Stopped);
        if !says_stopped && !self.call.probe {
            return None;
        }
        let processes = processes::of_containers();
        if !says_stopped && seen.ids.iter().any(|id| processes.contains_key(id)) {
            return None;
        }
        let present = self.present(started);
        let mut ours = [present.pbx, present.one_offs].concat();
        for known in &seen.all {
            if processes.contains_key(&known.id) && !ours.iter().any(|it| it.id == known.id) {
                ours.push(known.clone());
            }
        }
        if !ours.is_empty() {
            return Some(Health::Broken(format!(
                "processes of {} run, although the PBX does not",
                names(&ours)
            )));
        }
        if let Ok(data) = Data::at(&self.parameters.data_path) {
            let others = others(&data, |_| false);
            // The PBX writes.
            let writer = others.iter().find(|(_, access)| *access == Access::Writes);
            if let Some((id, _)) = writer {
                return Some(Health::Broken(format!(
                    "something uses {}, although the PBX does not run: the container {}",
                    self.parameters.data_path.display(),
                    self.name_of(project, id).await
                )));
            }
        }
        (!says_stopped).then(|| {
            Health::Stopped(format!(
                "{}: Docker believes that some do, but none has a process",
                self.nothing_runs()
            ))
        })
    }

    /// At level 10, when the containers run.
    async fn look_in_depth(&self, project: &Project, seen: Seen, started: Started) -> Health {
        let mut shown = match seen.state {
            ProjectState::Unclear { what } => what,
            _ => Vec::new(),
        };
        if let Ok(data) = Data::at(&self.parameters.data_path) {
            let is_ours = |id: &str| {
                let mut ours = seen.all.iter().chain(&started.containers);
                ours.any(|it| it.id == id)
            };
            shown.extend(self.held_by_others(&data, project, is_ours).await);
        }
        also(&shown, self.ask_services(started).await)
    }

    /// Starts the one container that has ended again, if that is allowed. `broken` is what is wrong now.
    async fn start_again(
        &self,
        project: &Project,
        id: &str,
        mut started: Started,
        broken: &str,
    ) -> Health {
        let not_done = |why: &str| Health::Broken(format!("{broken}; not started again: {why}"));
        if started.containers.is_empty() {
            return not_done("there is no note of a start");
        }
        let (ended, now) = match (project.ended(id).await, since_boot()) {
            (Ok(Ok(ended)), Some(now)) => (ended, now),
            (Ok(Err(why)), _) => return not_done(&format!("it {why}")),
            (Err(error), _) => return not_done(&error.to_string()),
            (_, None) => return not_done("/proc/uptime can't be read"),
        };
        let (name, code) = (ended.name().to_owned(), ended.exit_code());
        if let Some(last) = started.repaired.get(&name)
            && now.saturating_sub(*last) < ONCE_IN
        {
            let ago = now.saturating_sub(*last).as_secs();
            return not_done(&format!("it has ended for the second time in {ago} s"));
        }
        if let Err(failure) = Data::at(&self.parameters.data_path) {
            return not_done(&failure.reason);
        }
        if let Err(why) = is_managed(&self.call.resource).await {
            return not_done(&why);
        }
        started.repaired.insert(name.clone(), now);
        started.ordered = processes::daemons();
        if let Err(failure) = self.must_note(&started) {
            return not_done(&failure.reason);
        }
        self.call.steps.acting(&format!(
            "starting {name} again, which ended with code {code}"
        ));
        let until = Instant::now() + self.call.deadline.remaining() / 2;
        let done = project.start_again(&ended, until).await;
        started.was_answered(&done);
        self.note(&started);
        match done {
            Ok(()) => Health::Degraded(format!(
                "{name} had ended with code {code} and was started again; the other containers ran on"
            )),
            Err(error) => Health::Broken(format!("{broken}; {error}")),
        }
    }

    /// What can be told when Docker tells nothing.
    async fn judge_by_processes(&self, error: &DockerError, started: Started) -> Health {
        let present = self.present(&started);
        let mut running = present.pbx.clone();
        if !self.call.probe {
            running.extend(present.unknown.clone());
        }
        if running.is_empty() {
            let users = present.users();
            if self.call.probe && !users.is_empty() {
                let path = self.parameters.data_path.display();
                let names = names(&users);
                return Health::Broken(format!("something uses {path}: {names}; {error}"));
            }
            return Health::Stopped(format!(
                "{error}; no process of a container is on this node"
            ));
        }
        let mut seen = format!("{error}; but processes of {} run", names(&running));
        if !self.call.in_depth() {
            return Health::Degraded(seen);
        }
        if !present.others.is_empty() {
            let names: Vec<String> = present.others.iter().map(|it| it.name.clone()).collect();
            seen = format!("{seen}; {}", self.holders(&names, Access::Reads));
        }
        match self.ask_services(started).await {
            Health::Broken(reason) => Health::Broken(format!("{error}; {reason}")),
            Health::Degraded(reason) => Health::Degraded(format!("{seen}; {reason}")),
            Health::Running | Health::Stopped(_) => Health::Degraded(seen),
        }
    }
}

/// What is to be shown beside what the services say. A failure comes first.
fn also(shown: &[String], health: Health) -> Health {
    if shown.is_empty() {
        return health;
    }
    let shown = shown.join("; ");
    match health {
        Health::Running => Health::Degraded(shown),
        Health::Degraded(reason) => Health::Degraded(format!("{shown}; {reason}")),
        Health::Broken(reason) => Health::Broken(format!("{reason}; {shown}")),
        Health::Stopped(seen) => Health::Stopped(seen),
    }
}

/// What is wrong, in a sentence.
fn reason_of(state: &ProjectState) -> String {
    match state {
        ProjectState::TwoDatabases { names } => format!(
            "two databases run on the same data, which destroys them: {}",
            names.join(", ")
        ),
        ProjectState::Incomplete { missing } => format!(
            "there is no container any more of {}: make it with `docker compose create --no-recreate`",
            missing.join(", ")
        ),
        ProjectState::Partly {
            running,
            not_running,
            ..
        } => {
            let how = not_running
                .iter()
                .map(|(name, how)| format!("{name} ({how})"));
            let names: Vec<String> = how.collect();
            format!("{running} containers run, but not {}", names.join(", "))
        }
        ProjectState::Unhealthy { names } => format!("unhealthy: {}", names.join(", ")),
        ProjectState::Unclear { what } => what.join("; "),
        ProjectState::Absent | ProjectState::Stopped | ProjectState::Running => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_does_not_hide_a_failure() {
        let shown = ["shipper holds the volume".to_owned()];
        let degraded = |text: &str| Health::Degraded(text.to_owned());
        assert_eq!(also(&[], Health::Running), Health::Running);
        let held = "shipper holds the volume";
        assert_eq!(also(&shown, Health::Running), degraded(held));
        let both = degraded("shipper holds the volume; no SIP");
        assert_eq!(also(&shown, degraded("no SIP")), both);
        let broken = Health::Broken("no SIP; shipper holds the volume".to_owned());
        assert_eq!(also(&shown, Health::Broken("no SIP".to_owned())), broken);
    }
}
