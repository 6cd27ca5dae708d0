//! Starting one container, and waiting until it has reached what others need of it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::container::{Condition, Container, Health, Inspection, RestartPolicy, RunState};
use super::daemon::Daemon;
use super::error::DockerError;

/// How often a container is looked at while its health is awaited.
const LOOK: Duration = Duration::from_millis(50);

/// How long a container that Docker restarted again and again has to run before its start counts.
const STAY: Duration = Duration::from_secs(1);

/// Inspects a container, and sets its restart policy to `no`.
pub(super) async fn prepare(
    daemon: &Daemon,
    container: &Container,
    deadline: Instant,
) -> Result<Inspection, DockerError> {
    let found = look(daemon, container).await?;
    if found.restart_policy != RestartPolicy::No {
        daemon.never_restart(container, deadline).await?;
    }
    Ok(found)
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
            RunState::Paused => return daemon.unpause(container, deadline).await,
            RunState::Created | RunState::Exited => {
                daemon.start(container, deadline).await?;
                if !restarted {
                    return Ok(());
                }
                found.state = RunState::Running;
                continue;
            }
            // Docker is changing the state. The restart policy is `no` by now, so this comes to an end.
            RunState::Restarting | RunState::Stopping | RunState::Unknown => {}
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

/// Watches a container that Docker restarted again and again. Each time it runs for a moment.
async fn stay(daemon: &Daemon, container: &Container) -> Result<(), DockerError> {
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
                Health::Starting => "healthy",
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

async fn look(daemon: &Daemon, container: &Container) -> Result<Inspection, DockerError> {
    daemon
        .inspect(container)
        .await?
        .ok_or_else(|| failed(container, "was removed meanwhile".to_owned()))
}

fn failed(container: &Container, what: String) -> DockerError {
    DockerError::Container {
        name: container.name.clone(),
        what,
    }
}
