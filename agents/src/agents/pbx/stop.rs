//! Stopping the PBX, with Docker or without it. Success means that no process of it is left and that Docker will
//! start none.

use std::time::{Duration, Instant};

use super::Pbx;
use super::present::names;
use super::start_record::StartRecord;
use crate::docker::{self, ContainerRecord, DockerError};
use crate::ocf::Failure;

/// How long Docker may not answer before the containers are ended without it: it may only be restarting.
const DOCKER_RESTART_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a stop looks for Docker meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

impl Pbx {
    pub(super) async fn stop_all(&self) -> Result<(), Failure> {
        let deadline = self.call.deadline;
        let project = &self.parameters.project;
        let step = format!("stopping the containers of project {project}");
        self.call.steps.acting(step);
        let record = self.load_record();
        let patience = deadline.at_most(DOCKER_RESTART_TIMEOUT.min(deadline.remaining() / 4));
        loop {
            let done = match self.stop_with_docker(&record).await {
                Ok(left) => {
                    let why = "Docker has stopped the PBX and does not know of these";
                    self.end(&left, why, "Docker does not know of them").await
                }
                Err(error)
                    if error.is_unreachable()
                        && !patience.is_over()
                        && !self.present(&record).all_to_end().is_empty() =>
                {
                    deadline.sleep(POLL_INTERVAL).await;
                    continue;
                }
                Err(error) => self.end_without_docker(&error, &record).await,
            };
            let Err(reason) = done else {
                tracing::info!("no container of project {project} runs");
                let others = self.present(&record).others;
                if !others.is_empty() {
                    tracing::warn!(
                        "{} are not known to be of the PBX, and were not ended; while they use {}, it cannot be unmounted",
                        names(&others),
                        self.parameters.data_path.display()
                    );
                }
                self.started.remove();
                return Ok(());
            };
            // Docker may come back. Containers that have stopped already are not stopped again.
            if !deadline.sleep(POLL_INTERVAL).await {
                return Err(Failure::generic(reason));
            }
        }
    }

    /// Keeps back a part of the time for what has to be ended without Docker. Returns the containers that run on
    /// because this Docker does not know them: after a change of its data-root, or when the files of a container are gone.
    async fn stop_with_docker(
        &self,
        record: &StartRecord,
    ) -> Result<Vec<ContainerRecord>, DockerError> {
        let left = self.call.deadline.remaining();
        let project = self.connect(left / 4).await?;
        let until = Instant::now() + left * 3 / 4;
        project.stop(self.parameters.stop_grace, until).await?;
        let mut present = self.present(record);
        for container in std::mem::take(&mut present.unknown) {
            // A container that Docker knows and has not stopped is not of the PBX.
            if project.find(&container.id).await?.is_none() {
                present.unknown.push(container);
            }
        }
        Ok(present.all_to_end())
    }

    /// Ends containers in their order and with their own signals, because of `why`. The error names those that still have
    /// processes, with `known` about them.
    async fn end(&self, running: &[ContainerRecord], why: &str, known: &str) -> Result<(), String> {
        if running.is_empty() {
            return Ok(());
        }
        let doing = format!("ending {} without Docker", names(running));
        tracing::warn!("{why}; {doing}");
        self.call.steps.acting(doing);
        let until = self.call.deadline.end().into();
        let left = docker::end(running, self.parameters.stop_grace, until).await;
        if left.is_empty() {
            return Ok(());
        }
        let left = names(&left);
        Err(format!(
            "processes of {left} still run, even after SIGKILL; {known}"
        ))
    }

    /// `error` is why Docker did not do it. Returns why the PBX may still run.
    async fn end_without_docker(
        &self,
        error: &DockerError,
        record: &StartRecord,
    ) -> Result<(), String> {
        let running = self.present(record).all_to_end();
        let why = error.to_string();
        self.end(&running, &why, &why).await?;
        if error.is_about_containers() {
            return Err(error.to_string());
        }
        if record.docker_may_start_one() {
            return Err(format!(
                "Docker hangs with a command to start a container, and may start it later; {error}"
            ));
        }
        tracing::warn!("{error}; no process of a container is left on this node");
        Ok(())
    }
}
