//! Starting one container, and waiting until it has reached what others need of it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::container::{Condition, Container, Inspection};
use super::engine::{Command, Engine};
use super::error::DockerError;
use super::run_state::{Health, RunState};

/// How often a container is inspected while its state or health is awaited.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a container that has ended before must run until its start counts.
const MUST_RUN_FOR: Duration = Duration::from_secs(1);

/// How long Docker may take for a command at least, however little time is left.
const MIN_COMMAND_TIME: Duration = Duration::from_secs(1);

/// When a command to Docker that is given now has to be carried out: after half of the time that is left. A Docker
/// that answers queries but does no work is then noticed while there is time to say so.
pub(super) fn command_limit(deadline: Instant) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    now + (left / 2).max(MIN_COMMAND_TIME.min(left))
}

/// Sets the restart policy of a container to `no`.
pub(super) async fn never_restart(
    engine: &Engine,
    container: &Container,
    found: &Inspection,
    deadline: Instant,
) -> Result<(), DockerError> {
    if !found.restarts {
        return Ok(());
    }
    let limit = command_limit(deadline);
    engine.order(container, Command::NeverRestart, limit).await
}

/// Starts a container from whatever state it is in.
pub(super) async fn bring_up(
    engine: &Engine,
    container: &Container,
    mut found: Inspection,
    deadline: Instant,
) -> Result<(), DockerError> {
    let was_restarting = found.state == RunState::Restarting;
    let order = |command| engine.order(container, command, command_limit(deadline));
    loop {
        match found.state {
            RunState::Running => break,
            RunState::Paused => return order(Command::Unpause).await,
            RunState::Created | RunState::Exited => {
                order(Command::Start).await?;
                break;
            }
            // Docker is changing the state. The restart policy is `no` by now, so this comes to an end.
            RunState::Restarting | RunState::Stopping | RunState::Unknown(_) => {}
            RunState::Removing | RunState::Dead => {
                return Err(failed(
                    container,
                    format!("{}: create it again", found.state),
                ));
            }
        }
        if Instant::now() >= deadline {
            let what = format!("{}, which did not change in time", found.state);
            return Err(failed(container, what));
        }
        sleep(POLL_INTERVAL).await;
        found = inspect(engine, container).await?;
    }
    if was_restarting {
        watch(engine, container).await?;
    }
    Ok(())
}

/// Watches a container that has ended before. One that ends again and again runs for a moment each time.
pub(super) async fn watch(engine: &Engine, container: &Container) -> Result<(), DockerError> {
    let end = Instant::now() + MUST_RUN_FOR;
    while Instant::now() < end {
        let found = inspect(engine, container).await?;
        if found.state != RunState::Running {
            let what = format!("{} again with code {}", found.state, found.exit_code);
            return Err(failed(container, what));
        }
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Waits until a container has reached the condition that others wait for.
pub(super) async fn wait_for(
    engine: &Engine,
    container: &Container,
    condition: Condition,
    deadline: Instant,
) -> Result<(), DockerError> {
    let began = Instant::now();
    loop {
        let found = inspect(engine, container).await?;
        let wanted = match (condition, &found.state, &found.health) {
            (Condition::Started, ..) => return Ok(()),
            (Condition::Healthy, RunState::Running, Health::Healthy) => return Ok(()),
            (Condition::Healthy, RunState::Running, Health::Unhealthy) => {
                return Err(failed(
                    container,
                    format!("is unhealthy{}", found.last_check()),
                ));
            }
            (Condition::Healthy, RunState::Running, Health::None) => {
                let what = "has no health check, and others wait for it to be healthy";
                return Err(failed(container, what));
            }
            (Condition::Healthy, RunState::Running, _) => "healthy",
            (Condition::CompletedSuccessfully, RunState::Exited, _) if found.exit_code == 0 => {
                return Ok(());
            }
            (Condition::Healthy, ..) | (Condition::CompletedSuccessfully, RunState::Exited, _) => {
                return Err(ended(engine, container, &found).await);
            }
            (Condition::CompletedSuccessfully, ..) => "completed",
        };
        if Instant::now() + POLL_INTERVAL >= deadline {
            let seconds = began.elapsed().as_secs_f64();
            let check = found.last_check();
            let what =
                format!("was not {wanted} after {seconds:.0} s, when the time was up{check}");
            return Err(failed(container, what));
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The error for a container that others wait for and that has ended.
async fn ended(engine: &Engine, container: &Container, found: &Inspection) -> DockerError {
    let lines = engine.last_lines(container).await;
    let lines = lines.map_or_else(String::new, |it| format!(", the last it wrote: {it}"));
    let (state, code, check) = (&found.state, found.exit_code, found.last_check());
    let what = format!("{state} with code {code}, and others wait for it{check}{lines}");
    failed(container, what)
}

pub(super) async fn inspect(
    engine: &Engine,
    container: &Container,
) -> Result<Inspection, DockerError> {
    let found = engine.inspect(container).await?;
    found.ok_or_else(|| failed(container, "was removed meanwhile"))
}

pub(super) fn failed(container: &Container, what: impl Into<String>) -> DockerError {
    DockerError::container(&container.name, what)
}
