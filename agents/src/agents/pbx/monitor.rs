//! Looking at the PBX: what Docker says of the containers, and what can be told without it. A probe also asks the
//! node's processes, since its answer decides whether another node may start the PBX.

use std::time::{Duration, Instant};

use super::Pbx;
use super::data::Data;
use super::managed::is_managed;
use super::note::{Started, since_boot};
use super::present::names;
use crate::docker::{DockerError, Project, ProjectState, Seen, processes};
use crate::ocf::Health;

/// How long a container that was started again in place has to run before that is done once more.
const ONCE_IN: Duration = Duration::from_secs(600);

impl Pbx {
    pub(super) async fn look_at_all(&self) -> Health {
        self.call.steps.doing("asking Docker for the containers");
        let started: Started = self.started.load().unwrap_or_default();
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
        if self.call.probe
            && let Some(health) = self.probe(&project, &seen).await
        {
            return health;
        }
        match seen.state {
            ProjectState::Running if self.call.in_depth() => self.ask_services(started).await,
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
            ProjectState::Incomplete { .. }
            | ProjectState::Partly { .. }
            | ProjectState::Unhealthy { .. } => Health::Broken(reason_of(&seen.state)),
        }
    }

    fn nothing_runs(&self) -> String {
        format!("no container of project {} runs", self.parameters.project)
    }

    /// What the processes say to a probe that Docker does not.
    async fn probe(&self, project: &Project, seen: &Seen) -> Option<Health> {
        let processes = processes::of_containers();
        let with_processes = seen.ids.iter().find(|id| processes.contains_key(*id));
        let says_stopped = matches!(seen.state, ProjectState::Absent | ProjectState::Stopped);
        match (says_stopped, with_processes) {
            (false, Some(_)) => return None,
            (true, Some(id)) => {
                let name = self.name_of(project, id).await;
                return Some(Health::Broken(format!(
                    "{name} has processes, although Docker says that nothing of the PBX runs"
                )));
            }
            (_, None) => {}
        }
        let data = Data::at(&self.parameters.data_path).ok();
        let users = data.map(|data| data.users(&processes)).unwrap_or_default();
        if let Some(id) = users.first() {
            let name = self.name_of(project, id).await;
            let path = self.parameters.data_path.display();
            return Some(Health::Broken(format!(
                "something uses {path}, although the PBX does not run: the container {name}"
            )));
        }
        (!says_stopped).then(|| {
            Health::Stopped(format!(
                "{}: Docker believes that some do, but none has a process",
                self.nothing_runs()
            ))
        })
    }

    async fn name_of(&self, project: &Project, id: &str) -> String {
        let name = self.within(self.call.deadline.remaining() / 2, async {
            Ok(project.name_of(id).await)
        });
        let name = name.await.ok().flatten();
        name.unwrap_or_else(|| id.chars().take(12).collect())
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
        let seen = format!("{error}; but processes of {} run", names(&running));
        if !self.call.in_depth() {
            return Health::Degraded(seen);
        }
        match self.ask_services(started).await {
            Health::Broken(reason) => Health::Broken(format!("{error}; {reason}")),
            Health::Degraded(reason) => Health::Degraded(format!("{seen}; {reason}")),
            Health::Running | Health::Stopped(_) => Health::Degraded(seen),
        }
    }
}

/// What is wrong, in a sentence.
fn reason_of(state: &ProjectState) -> String {
    match state {
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
