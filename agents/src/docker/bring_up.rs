//! Starting one container, and waiting until it has reached what others need of it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::condition::{Health, RunState};
use super::container::{Condition, Container, Inspection, RestartPolicy};
use super::daemon::Daemon;
use super::error::DockerError;

/// How often a container is looked at while its health is awaited.
const LOOK: Duration = Duration::from_millis(50);

/// How long a container that Docker restarted again and again has to run before its start counts.
const STAY: Duration = Duration::from_secs(1);

/// How long an order may take at least, however little time there is.
const LEAST: Duration = Duration::from_secs(1);

/// When an order to Docker that is given now has to be carried out: at half of the time that is left. A Docker that
/// answers but does not work is found out while there is time to say so.
pub(super) fn limit_of_order(deadline: Instant) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    now + (left / 2).max(LEAST.min(left))
}

/// Sets the restart policy of a container to `no`.
pub(super) async fn never_restart(
    daemon: &Daemon,
    container: &Container,
    found: &Inspection,
    deadline: Instant,
) -> Result<(), DockerError> {
    if found.restart_policy == RestartPolicy::No {
        return Ok(());
    }
    daemon
        .never_restart(container, limit_of_order(deadline))
        .await
}

/// Starts a container from whatever state it is in.
pub(super) async fn bring_up(
    daemon: &Daemon,
    container: &Container,
    mut found: Inspection,
    deadline: Instant,
) -> Result<(), DockerError> {
    let restarted = found.state == RunState::Restarting;
    loop {
        match found.state {
            RunState::Running if restarted => return stay(daemon, container).await,
            RunState::Running => return Ok(()),
            RunState::Paused => {
                return daemon.unpause(container, limit_of_order(deadline)).await;
            }
            RunState::Created | RunState::Exited => {
                daemon.start(container, limit_of_order(deadline)).await?;
                if !restarted {
                    return Ok(());
                }
                found.state = RunState::Running;
                continue;
            }
            // Docker is changing the state. The restart policy is `no` by now, so this comes to an end.
            RunState::Restarting | RunState::Stopping | RunState::Unknown(_) => {}
            RunState::Removing | RunState::Dead => {
                return Err(failed(container, format!("{}: make it again", found.state)));
            }
        }
        if Instant::now() >= deadline {
            return Err(failed(
                container,
                format!("{} and did not settle", found.state),
            ));
        }
        sleep(LOOK).await;
        found = look(daemon, container).await?;
    }
}

/// Watches a container that has ended before. One that ends again and again runs for a moment each time.
pub(super) async fn stay(daemon: &Daemon, container: &Container) -> Result<(), DockerError> {
    let end = Instant::now() + STAY;
    while Instant::now() < end {
        let found = look(daemon, container).await?;
        if found.state != RunState::Running {
            let what = format!("{} again with code {}", found.state, found.exit_code);
            return Err(failed(container, what));
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// Waits until a container has reached the condition that others wait for.
pub(super) async fn reach(
    daemon: &Daemon,
    container: &Container,
    condition: Condition,
    deadline: Instant,
) -> Result<(), DockerError> {
    let began = Instant::now();
    loop {
        let found = look(daemon, container).await?;
        let runs = found.state == RunState::Running;
        let wanted = match condition {
            Condition::Started => return Ok(()),
            Condition::CompletedSuccessfully if found.state == RunState::Exited => {
                return match found.exit_code {
                    0 => Ok(()),
                    _ => Err(ended(daemon, container, &found).await),
                };
            }
            Condition::CompletedSuccessfully => "completed",
            Condition::Healthy if !runs => {
                return Err(ended(daemon, container, &found).await);
            }
            Condition::Healthy => match found.health {
                Health::Healthy => return Ok(()),
                Health::Unhealthy => {
                    return Err(failed(
                        container,
                        format!("is unhealthy{}", found.last_check()),
                    ));
                }
                Health::None => {
                    return Err(failed(
                        container,
                        "has no health check, and others wait for it to be healthy".to_owned(),
                    ));
                }
                Health::Starting | Health::Unknown(_) => "healthy",
            },
        };
        if Instant::now() + LOOK >= deadline {
            return Err(failed(
                container,
                format!(
                    "was not {wanted} after {:.0} s, when the time was up{}",
                    began.elapsed().as_secs_f64(),
                    found.last_check()
                ),
            ));
        }
        sleep(LOOK).await;
    }
}

/// The error for a container that others wait for and that has ended.
async fn ended(daemon: &Daemon, container: &Container, found: &Inspection) -> DockerError {
    let words = match daemon.last_words(container).await {
        Some(words) => format!(", the last it wrote: {words}"),
        None => String::new(),
    };
    let check = found.last_check();
    failed(
        container,
        format!(
            "{} with code {}, and others wait for it{check}{words}",
            found.state, found.exit_code
        ),
    )
}

pub(super) async fn look(
    daemon: &Daemon,
    container: &Container,
) -> Result<Inspection, DockerError> {
    daemon
        .inspect(container)
        .await?
        .ok_or_else(|| failed(container, "was removed meanwhile".to_owned()))
}

pub(super) fn failed(container: &Container, what: String) -> DockerError {
    DockerError::Container {
        name: container.name.clone(),
        what,
    }
}
