//! Stopping the PBX, by Docker or without it. Success means that no process of it is left and that Docker will
//! start none.

use std::time::{Duration, Instant};

use super::Pbx;
use super::note::Started;
use super::present::names;
use crate::docker::{self, DockerError};
use crate::ocf::Failure;

/// How long Docker may be away before the containers are ended without it: it may only be restarting.
const RESTART: Duration = Duration::from_secs(10);

/// How often Docker is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(300);

impl Pbx {
    pub(super) async fn stop_all(&self) -> Result<(), Failure> {
        let deadline = self.call.deadline;
        let project = &self.parameters.project;
        self.call
            .steps
            .acting(&format!("stopping the containers of project {project}"));
        let started: Started = self.started.load().unwrap_or_default();
        let patience = Instant::now() + RESTART.min(deadline.remaining() / 4);
        loop {
            let Err(error) = self.stop_with_docker().await else {
                tracing::info!("no container of project {project} runs");
                self.started.remove();
                return Ok(());
            };
            let may_be_back = error.is_unreachable() && Instant::now() < patience;
            if may_be_back && !self.present(&started).all().is_empty() {
                deadline.sleep(LOOK).await;
                continue;
            }
            let Err(reason) = self.end_without_docker(&error, &started).await else {
                self.started.remove();
                return Ok(());
            };
            // Docker may come back. Containers that have stopped already are not stopped again.
            if !deadline.sleep(LOOK).await {
                return Err(Failure::generic(reason));
            }
        }
    }

    /// Keeps a part of the time, for what has to be ended without Docker.
    async fn stop_with_docker(&self) -> Result<(), DockerError> {
        let left = self.call.deadline.remaining();
        let project = self.connect(left / 4).await?;
        let until = Instant::now() + left * 3 / 4;
        project.stop(self.parameters.stop_grace, until).await
    }

    /// `error` is why Docker did not do it. Returns why the PBX may still run.
    async fn end_without_docker(
        &self,
        error: &DockerError,
        started: &Started,
    ) -> Result<(), String> {
        let running = self.present(started).all();
        if !running.is_empty() {
            let doing = format!("ending {} without Docker", names(&running));
            tracing::warn!("{error}; {doing}");
            self.call.steps.acting(&doing);
        }
        let grace = self.parameters.stop_grace;
        let until = self.call.deadline.end().into();
        let left = docker::end(&running, grace, until).await;
        if !left.is_empty() {
            return Err(format!(
                "processes of {} still run, even after SIGKILL; {error}",
                names(&left)
            ));
        }
        if error.is_about_containers() {
            return Err(error.to_string());
        }
        if started.docker_may_start_one() {
            return Err(format!(
                "Docker hangs with an order to start a container, and may start it later; {error}"
            ));
        }
        tracing::warn!("{error}; no process of a container is left on this node");
        Ok(())
    }
}
