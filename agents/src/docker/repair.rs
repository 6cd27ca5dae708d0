//! Starting one container again while the others run: whether that is possible, and doing it. Whether it is
//! wanted is the caller's to know.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::bring_up::{bring_up, failed, limit_of_order, look, stay};
use super::condition::{Health, RunState};
use super::container::{Condition, Container, Dependency, Inspection};
use super::counted::counted_as_it_runs;
use super::daemon::{Daemon, End, end_by_events};
use super::error::DockerError;
use super::signal;

/// How far back the events of Docker are asked for. Docker keeps the last 256, which is less.
const BACK: Duration = Duration::from_secs(3600);

/// A container that has ended by itself and can be started again in place.
#[derive(Debug)]
pub struct Ended {
    container: Container,
    found: Inspection,
}

impl Ended {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.container.name
    }

    /// With what code it ended.
    pub fn exit_code(&self) -> i64 {
        self.found.exit_code
    }
}

/// The container with this id, or why it is not to be started by itself: a sentence without its subject.
pub(super) async fn ended(
    daemon: &Daemon,
    project: &str,
    id: &str,
) -> Result<Result<Ended, String>, DockerError> {
    let containers = counted_as_it_runs(daemon.list(project).await?).services;
    let Some(container) = containers.iter().find(|it| it.id == id) else {
        return Ok(Err("was removed meanwhile".to_owned()));
    };
    if let Some(reason) = against(container, &containers) {
        return Ok(Err(reason));
    }
    let found = look(daemon, container).await?;
    if found.state != RunState::Exited {
        return Ok(Err(format!("{} by now", found.state)));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    let events = daemon.events(container, now.saturating_sub(BACK), now);
    let ending = [found.stop_signal, signal::KILL, signal::TERM, signal::INT];
    Ok(match end_by_events(&events.await?, &ending) {
        End::Itself => Ok(Ended {
            container: container.clone(),
            found,
        }),
        End::ThroughDocker => Err("was ended through Docker (`docker stop` or `kill`)".to_owned()),
        End::Forgotten => Err("has ended, and Docker does not tell why".to_owned()),
    })
}

/// What its place in the project says against starting a container by itself.
fn against(container: &Container, all: &[Container]) -> Option<String> {
    let needs_it = |other: &&Container| other.needs(&container.service);
    if let Some(other) = all.iter().find(needs_it) {
        return Some(format!("is needed by {}", other.name));
    }
    let needs = container.depends_on.as_ref().ok()?;
    let missing = needs.iter().find_map(|needed| {
        let of = all.iter().find(|it| it.service == needed.service)?;
        (!is_there(of, needed)).then(|| of.name.clone())
    });
    missing.map(|name| format!("needs {name}, which is not ready"))
}

/// Whether a container is as its dependent needs it.
fn is_there(container: &Container, needed: &Dependency) -> bool {
    match needed.condition {
        Condition::Started => container.state == RunState::Running,
        Condition::Healthy => {
            container.state == RunState::Running && container.health == Health::Healthy
        }
        Condition::CompletedSuccessfully => container.completed(),
    }
}

/// Starts it, and watches for a moment whether it ends again.
pub(super) async fn start_again(
    daemon: &Daemon,
    ended: &Ended,
    deadline: Instant,
) -> Result<(), DockerError> {
    let Ended { container, found } = ended;
    let limit = limit_of_order(deadline);
    bring_up(daemon, container, found.clone(), limit).await?;
    stay(daemon, container).await.map_err(|error| match error {
        DockerError::Container { what, .. } => {
            failed(container, format!("was started in place and {what}"))
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::super::order::tests::container;
    use super::*;

    const CORE: &str = "database:service_healthy:false,callmanager:service_started:false";

    fn pbx() -> Vec<Container> {
        let mut database = container("database", "");
        database.health = Health::Healthy;
        vec![
            container("announcement", CORE),
            database,
            container("callmanager", "database:service_healthy:false"),
        ]
    }

    #[test]
    fn one_that_nothing_needs_can_be_started_by_itself_and_one_that_others_need_can_not() {
        let all = pbx();
        assert_eq!(against(&all[0], &all), None);
        for needed in [1, 2] {
            let reason = against(&all[needed], &all);
            assert_eq!(reason.as_deref(), Some("is needed by portsip.announcement"));
        }
    }

    #[test]
    fn what_it_depends_on_has_to_be_ready() {
        let mut starting = pbx();
        starting[1].health = Health::Starting;
        let mut ended = pbx();
        ended[2].state = RunState::Exited;
        for (all, name) in [
            (starting, "portsip.database"),
            (ended, "portsip.callmanager"),
        ] {
            let reason = against(&all[0], &all);
            assert_eq!(reason, Some(format!("needs {name}, which is not ready")));
        }
    }
}
