//! Starting the PBX: what is checked before anything is started, and how long a start waits for Docker.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Pbx;
use super::data::{Data, is_below};
use super::start_record::StartRecord;
use crate::docker::{DockerError, Plan, Project};
use crate::ocf::Failure;

/// How long a start waits for a Docker that does not answer: at boot it comes up after Pacemaker. After that time,
/// another node has to start the PBX.
const DOCKER_BOOT_TIMEOUT: Duration = Duration::from_secs(45);
/// How often a start looks for Docker meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// How often a start is retried when Docker itself is at fault, and after what time.
const RETRIES: u32 = 4;
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Why an attempt to start did not succeed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum StartError {
    Docker(#[from] DockerError),
    Other(#[from] Failure),
}

/// Since when Docker has not answered.
#[derive(Debug, Default)]
struct Outage(Option<Instant>);

impl Outage {
    fn end(&mut self) {
        self.0 = None;
    }

    /// Docker does not answer now either. Whether that has lasted too long.
    fn is_too_long(&mut self, now: Instant) -> bool {
        now.duration_since(*self.0.get_or_insert(now)) >= DOCKER_BOOT_TIMEOUT
    }
}

impl Pbx {
    pub(super) async fn start_all(&self) -> Result<(), Failure> {
        let data = Data::at(&self.parameters.data_path)?;
        let deadline = self.call.deadline;
        let project = &self.parameters.project;
        let step = format!("starting the containers of project {project}");
        self.call.steps.acting(step);
        let mut retries = RETRIES;
        let mut outage = Outage::default();
        loop {
            let error = match self.start_once(&data, &mut outage).await {
                Ok(()) => return Ok(()),
                Err(StartError::Other(failure)) => return Err(failure),
                Err(StartError::Docker(error)) => error,
            };
            let (retry, interval) = if error.is_unreachable() {
                (!outage.is_too_long(Instant::now()), POLL_INTERVAL)
            } else {
                outage.end();
                let retry = error.is_internal() && retries > 0;
                if retry {
                    tracing::warn!("{error}; retrying");
                    retries -= 1;
                }
                (retry, RETRY_INTERVAL)
            };
            // What runs already is left alone.
            if !retry || !deadline.sleep(interval).await {
                return Err(failure_of(&error));
            }
        }
    }

    async fn start_once(&self, data: &Data, outage: &mut Outage) -> Result<(), StartError> {
        let deadline = self.call.deadline;
        let project = self.connect(DOCKER_BOOT_TIMEOUT).await?;
        // Only this shows that Docker is back: a Docker that hangs may still tell its version.
        let plan = project.plan(deadline.end()).await?;
        outage.end();
        data.is_of_one_version()?;
        plan.check_images(data.version()?.as_deref())?;
        // On other data the PBX would lose what it writes, or begin anew. With another address it may still work, so
        // that is told, and only counts if the start fails.
        let data_path = &self.parameters.data_path;
        let is_there = |it: &Path| is_below(it, data_path) || data.has(it);
        if let Some(other) = project.other_data(&plan, data_path, is_there).await? {
            return Err(DockerError::Unusable(other).into());
        }
        let other_address = plan.other_address(self.parameters.ip_address);
        let other_address = other_address.map(|it| it.message);
        if let Some(other) = &other_address {
            tracing::warn!("{other}");
        }
        self.nobody_else_writes(data, &project, &plan).await?;
        let mut record = StartRecord::of(&plan);
        // Without the record, a stop could not end the containers when Docker does not answer.
        self.started.save(&record)?;
        let grace = self.parameters.stop_grace;
        let done = project.start(&plan, grace, deadline.end()).await;
        record.was_answered(&done);
        // Saved now too, because what answered before this start must not count if the wait is cut off.
        self.started.save_if_possible(&record);
        done.map_err(|error| match other_address {
            Some(other) => DockerError::Several(vec![DockerError::Unusable(other), error]),
            None => error,
        })?;
        tracing::info!("the containers of project {} run", self.parameters.project);
        let held = self.held_by_others(data, &project, |id| plan.has(id));
        if let Some(held) = held.await {
            tracing::warn!("{held}");
        }
        record.answered = self.wait_for_answers().await;
        self.started.save_if_possible(&record);
        Ok(())
    }

    /// Two programs that write the same data would destroy it. One that only reads does not.
    async fn nobody_else_writes(
        &self,
        data: &Data,
        project: &Project,
        plan: &Plan,
    ) -> Result<(), Failure> {
        let Some(other) = data.writer(|id| plan.has(id)) else {
            return Ok(());
        };
        Err(Failure::generic(format!(
            "the container {} uses {} and is not of project {}: stop it before the PBX starts here",
            self.name_of(project, &other).await,
            self.parameters.data_path.display(),
            self.parameters.project
        )))
    }
}

fn failure_of(error: &DockerError) -> Failure {
    match error {
        DockerError::Unusable(reason) => Failure::installed(reason),
        other => Failure::generic(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ocf::Exit;

    #[test]
    fn the_time_without_docker_begins_anew_after_every_answer() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut outage = Outage::default();
        for seconds in [0, 20, 44] {
            assert!(!outage.is_too_long(after(seconds)), "{seconds} s");
        }
        outage.end();
        for seconds in [60, 90, 104] {
            assert!(!outage.is_too_long(after(seconds)), "{seconds} s");
        }
        assert!(outage.is_too_long(after(105)));
    }

    #[test]
    fn a_docker_that_cannot_run_the_pbx_is_a_fault_of_this_node_alone() {
        let failure = failure_of(&DockerError::Unusable("too old".into()));
        assert_eq!(failure.exit, Exit::Installed, "{}", failure.reason);
        let failure = failure_of(&DockerError::NotStarted(vec!["portsip.nats".into()]));
        assert_eq!(failure.exit, Exit::Generic, "{}", failure.reason);
    }
}
