//! The monitor: what Docker says of the containers, and what the processes tell when Docker does not answer. A probe
//! also looks at the node's processes, since its answer decides whether another node may start the PBX.

use std::time::{Duration, Instant};

use super::Pbx;
use super::data::{Access, Data};
use super::present::names;
use super::start_record::{StartRecord, since_boot};
use crate::docker::{DockerError, Observation, Project, ProjectState, processes};
use crate::ocf::Health;
use crate::pacemaker::is_managed;

/// A container is started again in place at most once in this time.
const REPAIR_INTERVAL: Duration = Duration::from_secs(600);

impl Pbx {
    pub(super) async fn monitor_all(&self) -> Health {
        self.call.steps.doing("asking Docker for the containers");
        let mut record = self.load_record();
        // Level 10 asks more services, all the more when Docker does not answer.
        let share = if self.call.in_depth() { 2 } else { 1 };
        let limit = self.call.deadline.remaining() / share;
        let observe = async {
            let project = self.connect(limit).await?;
            let seen = project.observe(&record.services).await?;
            Ok((project, seen))
        };
        let (project, seen) = match self.within(limit, observe).await {
            Ok(answer) => answer,
            Err(error) => return self.judge_by_processes(&error, record).await,
        };
        if let Some(health) = self.contradicting_processes(&project, &seen, &record).await {
            return health;
        }
        let taken = self.take_over_new_containers(&project, &seen, &mut record);
        taken.await;
        let mut shown = match seen.state {
            ProjectState::Running => Vec::new(),
            ProjectState::Unclear { what } => what,
            ProjectState::Absent => {
                let name = &self.parameters.project;
                let absence = format!("there are no containers of project {name} here");
                return Health::Stopped(absence);
            }
            ProjectState::Stopped => return Health::Stopped(self.nothing_runs()),
            ProjectState::Broken { reason, ended } => {
                let Some(id) = ended.filter(|_| !self.call.probe) else {
                    return Health::Broken(reason);
                };
                let repaired = self.start_again(&project, &id, record, &reason).await;
                let failed = |why| Health::Broken(format!("{reason}; not started again: {why}"));
                return repaired.unwrap_or_else(failed);
            }
        };
        if !self.call.in_depth() {
            return with_shown(&shown, Health::Running);
        }
        if let Ok(data) = Data::at(&self.parameters.data_path) {
            let known = || seen.all.iter().chain(&record.containers);
            let is_pbx = |id: &str| known().any(|it| it.id == id);
            shown.extend(self.held_by_others(&data, &project, is_pbx).await);
        }
        with_shown(&shown, self.ask_services(record).await)
    }

    fn nothing_runs(&self) -> String {
        format!("no container of project {} runs", self.parameters.project)
    }

    /// What the processes tell that Docker does not: for a probe, and when Docker says that nothing runs.
    async fn contradicting_processes(
        &self,
        project: &Project,
        seen: &Observation,
        record: &StartRecord,
    ) -> Option<Health> {
        let says_stopped = matches!(seen.state, ProjectState::Absent | ProjectState::Stopped);
        if !says_stopped && !self.call.probe {
            return None;
        }
        let processes = processes::of_containers();
        if !says_stopped && seen.ids.iter().any(|id| processes.contains_key(id)) {
            return None;
        }
        let present = self.present(record);
        let mut running = [present.pbx, present.one_offs].concat();
        for container in &seen.all {
            let is_listed = running.iter().any(|it| it.id == container.id);
            if processes.contains_key(&container.id) && !is_listed {
                running.push(container.clone());
            }
        }
        if !running.is_empty() {
            let names = names(&running);
            let reason = format!("processes of {names} run, although the PBX does not");
            return Some(Health::Broken(reason));
        }
        let data_path = &self.parameters.data_path;
        // The PBX writes.
        let data = Data::at(data_path).ok();
        if let Some(id) = data.and_then(|data| data.writer(|_| false)) {
            return Some(Health::Broken(format!(
                "something uses {}, although the PBX does not run: the container {}",
                data_path.display(),
                self.name_of(project, &id).await
            )));
        }
        let seen = self.nothing_runs();
        let seen = format!("{seen}: Docker believes that some do, but none has a process");
        (!says_stopped).then_some(Health::Stopped(seen))
    }

    /// Starts the one container that has ended again. `broken` is what is wrong now. An error says why that is not allowed.
    async fn start_again(
        &self,
        project: &Project,
        id: &str,
        mut record: StartRecord,
        broken: &str,
    ) -> Result<Health, String> {
        if record.containers.is_empty() {
            return Err("there is no record of a start".to_owned());
        }
        let ended = project.ended(id).await?;
        let now = since_boot().ok_or("cannot read /proc/uptime")?;
        let (name, code) = (ended.name.clone(), ended.exit_code);
        let last = record.repaired.get(&name);
        let ago = last.map_or(REPAIR_INTERVAL, |last| now.saturating_sub(*last));
        if ago < REPAIR_INTERVAL {
            let ago = ago.as_secs();
            return Err(format!("it has ended for the second time in {ago} s"));
        }
        Data::at(&self.parameters.data_path).map_err(|failure| failure.reason)?;
        is_managed(&self.call.resource, self.call.deadline).await?;
        record.repaired.insert(name.clone(), now);
        record.ordered = processes::daemons();
        let saved = self.started.save(&record);
        saved.map_err(|failure| failure.reason)?;
        let step = format!("starting {name} again, which ended with code {code}");
        self.call.steps.acting(step);
        let until = Instant::now() + self.call.deadline.remaining() / 2;
        let done = project.start_again(ended, until).await;
        record.was_answered(&done);
        self.started.save_if_possible(&record);
        Ok(match done {
            Ok(()) => Health::Degraded(format!(
                "{name} had ended with code {code} and was started again; the other containers ran on"
            )),
            Err(error) => Health::Broken(format!("{broken}; {error}")),
        })
    }

    /// What the processes tell when Docker tells nothing.
    async fn judge_by_processes(&self, error: &DockerError, record: StartRecord) -> Health {
        let present = self.present(&record);
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
            let seen = format!("{error}; no process of a container is on this node");
            return Health::Stopped(seen);
        }
        let mut seen = format!("{error}; but processes of {} run", names(&running));
        if !self.call.in_depth() {
            return Health::Degraded(seen);
        }
        if !present.others.is_empty() {
            let names = present.others.iter().map(|it| it.name.clone());
            let holders = self.holders(&names.collect::<Vec<_>>(), Access::Reads);
            seen = format!("{seen}; {holders}");
        }
        match self.ask_services(record).await {
            Health::Broken(reason) => Health::Broken(format!("{error}; {reason}")),
            Health::Degraded(reason) => Health::Degraded(format!("{seen}; {reason}")),
            Health::Running | Health::Stopped(_) => Health::Degraded(seen),
        }
    }
}

/// Adds what is to be shown to what the services answered. A failure comes first.
fn with_shown(shown: &[String], health: Health) -> Health {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_does_not_hide_a_failure() {
        let shown = ["shipper holds the volume".to_owned()];
        let degraded = |text: &str| Health::Degraded(text.to_owned());
        assert_eq!(with_shown(&[], Health::Running), Health::Running);
        let held = "shipper holds the volume";
        assert_eq!(with_shown(&shown, Health::Running), degraded(held));
        let both = degraded("shipper holds the volume; no SIP");
        assert_eq!(with_shown(&shown, degraded("no SIP")), both);
        let broken = Health::Broken("no SIP; shipper holds the volume".to_owned());
        assert_eq!(
            with_shown(&shown, Health::Broken("no SIP".to_owned())),
            broken
        );
    }
}
