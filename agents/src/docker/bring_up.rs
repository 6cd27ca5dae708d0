//! Work on one container: starting it, and waiting until it has reached what others need of it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::container::{Condition, Container, Inspection};
use super::engine::{Command, Engine};
use super::error::{DockerError, Result};
use super::run_state::{Health, RunState};

/// How often a container is inspected while its state or health is awaited.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long a container that has ended before must run until its start counts.
const MUST_RUN_FOR: Duration = Duration::from_secs(1);
/// How long Docker may take to notice that a container has ended. On a busy machine that is more than a second.
const MUST_NOTICE_WITHIN: Duration = Duration::from_secs(10);
/// How long Docker may take for a command at least, however little time is left.
const MIN_COMMAND_TIME: Duration = Duration::from_secs(1);

/// One container, and until when to work on it.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) engine: &'a Engine,
    pub(super) container: &'a Container,
    pub(super) deadline: Instant,
}

impl Task<'_> {
    /// Starts the container from whatever state it is in.
    pub(super) async fn bring_up(&self, mut found: Inspection) -> Result {
        let was_restarting = found.state == RunState::Restarting;
        let must_notice = Instant::now() + MUST_NOTICE_WITHIN;
        loop {
            match found.state {
                // A stop without Docker has ended it a moment ago. It is started when Docker knows.
                RunState::Running
                    if found.has_ended_unnoticed() && Instant::now() < must_notice => {}
                RunState::Running => break,
                RunState::Paused => return self.order(Command::Unpause).await,
                RunState::Created | RunState::Exited => {
                    self.order(Command::Start).await?;
                    break;
                }
                // Docker is changing the state. The restart policy is `no` by now, so this comes to an end.
                RunState::Restarting | RunState::Stopping | RunState::Unknown(_) => {}
                RunState::Removing | RunState::Dead => {
                    return Err(self.failed(format!("{}: create it again", found.state)));
                }
            }
            if Instant::now() >= self.deadline {
                return Err(self.failed(format!("{}, which did not change in time", found.state)));
            }
            sleep(POLL_INTERVAL).await;
            found = self.engine.inspect(self.container).await?;
        }
        if was_restarting {
            self.watch().await?;
        }
        Ok(())
    }

    /// Watches a container that has ended before. One that ends again and again runs for a moment each time.
    pub(super) async fn watch(&self) -> Result {
        let end = Instant::now() + MUST_RUN_FOR;
        while Instant::now() < end {
            let found = self.engine.inspect(self.container).await?;
            if found.state != RunState::Running {
                let (state, code) = (found.state, found.exit_code);
                return Err(self.failed(format!("{state} again with code {code}")));
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Waits until the container has reached the condition that others wait for.
    pub(super) async fn wait_for(&self, condition: Condition) -> Result {
        let began = Instant::now();
        loop {
            let found = self.engine.inspect(self.container).await?;
            let check = &found.last_check;
            let wanted = match (condition, &found.state, &found.health) {
                (Condition::Started, ..) => return Ok(()),
                (Condition::Healthy, RunState::Running, Health::Healthy) => return Ok(()),
                (Condition::Healthy, RunState::Running, Health::Unhealthy) => {
                    return Err(self.failed(format!("is unhealthy{check}")));
                }
                (Condition::Healthy, RunState::Running, Health::None) => {
                    let what = "has no health check, and others wait for it to be healthy";
                    return Err(self.failed(what));
                }
                (Condition::Healthy, RunState::Running, _) => "healthy",
                (Condition::CompletedSuccessfully, RunState::Exited, _) if found.exit_code == 0 => {
                    return Ok(());
                }
                (Condition::CompletedSuccessfully, RunState::Exited, _)
                | (Condition::Healthy, ..) => {
                    let lines = self.engine.last_lines(self.container).await;
                    let lines = lines.map(|it| format!(", the last it wrote: {it}"));
                    let (state, code) = (&found.state, found.exit_code);
                    return Err(self.failed(format!(
                        "{state} with code {code}, and others wait for it{check}{}",
                        lines.unwrap_or_default()
                    )));
                }
                (Condition::CompletedSuccessfully, ..) => "completed",
            };
            if Instant::now() + POLL_INTERVAL >= self.deadline {
                let seconds = began.elapsed().as_secs_f64();
                return Err(self.failed(format!(
                    "was not {wanted} after {seconds:.0} s, when the time was up{check}"
                )));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Sets the restart policy of the container to `no`, if it is another.
    pub(super) async fn never_restart(&self, found: &Inspection) -> Result {
        if found.restarts {
            self.order(Command::NeverRestart).await?;
        }
        Ok(())
    }

    /// Has Docker carry out a command in half of the time that is left. A Docker that answers queries but does no
    /// work is then noticed while there is time to say so.
    async fn order(&self, command: Command) -> Result {
        let now = Instant::now();
        let left = self.deadline.saturating_duration_since(now);
        let limit = now + (left / 2).max(MIN_COMMAND_TIME.min(left));
        self.engine.order(self.container, command, limit).await
    }

    /// What is wrong with the container: a sentence without its subject.
    pub(super) fn failed(&self, what: impl Into<String>) -> DockerError {
        DockerError::container(&self.container.name, what)
    }
}
