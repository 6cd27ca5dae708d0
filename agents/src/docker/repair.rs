//! Starting one container again while the others run: whether that is possible, and doing it. Whether it is allowed
//! is decided by the caller.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::container::{Condition, Container, Inspection};
use super::error::{DockerError, Result};
use super::members::Members;
use super::run_state::{Health, RunState};
use super::{Project, signal};

/// How far back the events of Docker are read. Docker keeps the last 256, which is less.
const EVENTS_SINCE: Duration = Duration::from_secs(3600);
/// How long before the end of a container a signal counts as its cause, in nanoseconds.
const CAUSE_WINDOW: i64 = 60 * 1_000_000_000;

/// A container that has ended by itself and can be started again in place.
pub(crate) struct EndedContainer {
    pub(crate) name: String,
    pub(crate) exit_code: i64,
    container: Container,
    found: Inspection,
}

impl Project {
    /// The container with this id, if it has ended by itself, no other depends on it, and what it depends on is ready.
    /// An error says why the container cannot be started by itself, or what Docker did not tell.
    pub(crate) async fn ended(&self, id: &str) -> Result<EndedContainer, String> {
        let said = |error: DockerError| error.to_string();
        let all = self.engine.list(&self.name).await.map_err(said)?;
        let mut containers = Members::as_it_runs(all).services;
        let position = containers.iter().position(|it| it.id == id);
        let position = position.ok_or("it was removed meanwhile")?;
        obstacle(&containers[position], &containers).map_or(Ok(()), Err)?;
        let container = containers.swap_remove(position);
        let found = self.engine.inspect(&container).await.map_err(said)?;
        if found.state != RunState::Exited {
            return Err(format!("it {} by now", found.state));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let since = now.saturating_sub(EVENTS_SINCE);
        let events = self.engine.events(&container, since, now).await;
        let ending = [found.stop_signal, signal::KILL, signal::TERM, signal::INT];
        match cause_of_end(&events.map_err(said)?, &ending) {
            Cause::Itself => Ok(EndedContainer {
                name: container.name.clone(),
                exit_code: found.exit_code,
                container,
                found,
            }),
            Cause::Docker => Err("it was ended through Docker (`docker stop` or `kill`)".into()),
            Cause::Unknown => Err("it has ended, and Docker does not tell why".into()),
        }
    }

    /// Starts one container again, and watches it for a second.
    pub(crate) async fn start_again(&self, ended: EndedContainer, deadline: Instant) -> Result {
        let task = self.task(&ended.container, deadline.into());
        let in_place = |error| match error {
            DockerError::Container { what, .. } => {
                task.failed(format!("was started in place and {what}"))
            }
            other => other,
        };
        let start = async {
            task.bring_up(ended.found.clone()).await?;
            task.watch().await.map_err(in_place)
        };
        self.by(deadline, "start", start).await
    }
}

/// Why a container cannot be started by itself, as far as the other containers tell.
fn obstacle(container: &Container, all: &[Container]) -> Option<String> {
    let needs_it = |other: &&Container| {
        other
            .dependencies()
            .any(|it| it.service == container.service)
    };
    if let Some(other) = all.iter().find(needs_it) {
        return Some(format!("it is needed by {}", other.name));
    }
    let not_ready = container.dependencies().find_map(|needed| {
        let other = all.iter().find(|it| it.service == needed.service)?;
        let runs = other.state == RunState::Running;
        let is_ready = match needed.condition {
            Condition::Started => runs,
            Condition::Healthy => runs && other.health == Health::Healthy,
            Condition::CompletedSuccessfully => other.completed(),
        };
        (!is_ready).then_some(other)
    })?;
    Some(format!("it needs {}, which is not ready", not_ready.name))
}

/// Why a container has ended.
#[derive(Debug, PartialEq, Eq)]
enum Cause {
    /// By itself, or somebody killed it without Docker.
    Itself,
    /// Somebody had Docker stop or kill it.
    Docker,
    /// Docker does not remember.
    Unknown,
}

/// Judges by the events of one container (`GET /events`). Only the signals in `ending` end it: SIGHUP does not.
fn cause_of_end(events: &[Value], ending: &[i32]) -> Cause {
    let is = |event: &Value, action: &str| event["Action"] == action;
    let Some(died) = events.iter().rposition(|event| is(event, "die")) else {
        return Cause::Unknown;
    };
    let time = |event: &Value| event["timeNano"].as_i64().unwrap_or_default();
    let signal = |event: &Value| {
        let text = event["Actor"]["Attributes"]["signal"].as_str();
        text.and_then(signal::number)
    };
    let started = events[..died].iter().rposition(|event| is(event, "start"));
    let life = &events[started.map_or(0, |at| at + 1)..died];
    let killed = life.iter().any(|event| {
        is(event, "kill")
            && time(&events[died]) - time(event) <= CAUSE_WINDOW
            && signal(event).is_none_or(|signal| ending.contains(&signal))
    });
    // `stop` comes after `die`.
    let stopped = events[died..].iter().any(|event| is(event, "stop"));
    if killed || stopped {
        Cause::Docker
    } else {
        Cause::Itself
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::tests::container;
    use super::*;
    use serde_json::json;

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
    fn one_that_nothing_needs_can_be_started_by_itself_and_one_that_others_need_cannot() {
        let all = pbx();
        assert_eq!(obstacle(&all[0], &all), None);
        for needed in [1, 2] {
            let reason = obstacle(&all[needed], &all);
            assert_eq!(
                reason.as_deref(),
                Some("it is needed by portsip.announcement")
            );
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
            let reason = obstacle(&all[0], &all);
            assert_eq!(reason, Some(format!("it needs {name}, which is not ready")));
        }
    }

    fn events(lines: &[(&str, &str, i64)]) -> Vec<Value> {
        let event = |(action, signal, seconds): &(&str, &str, i64)| {
            json!({
                "Action": action,
                "Actor": { "Attributes": { "signal": signal } },
                "timeNano": seconds * 1_000_000_000,
            })
        };
        lines.iter().map(event).collect()
    }

    #[test]
    fn an_end_by_docker_is_told_from_a_crash() {
        for (what, end) in [
            (vec![("start", "", 1), ("die", "", 9)], Cause::Itself),
            (
                vec![("kill", "15", 8), ("die", "", 9), ("stop", "", 9)],
                Cause::Docker,
            ),
            (vec![("kill", "SIGKILL", 9), ("die", "", 9)], Cause::Docker),
            (vec![("kill", "28", 8), ("die", "", 9)], Cause::Docker),
            (vec![("kill", "1", 8), ("die", "", 9)], Cause::Itself),
            (vec![("kill", "15", 8), ("die", "", 99)], Cause::Itself),
            (
                vec![
                    ("kill", "9", 1),
                    ("die", "", 1),
                    ("start", "", 2),
                    ("die", "", 9),
                ],
                Cause::Itself,
            ),
            (vec![("exec_die", "", 8)], Cause::Unknown),
            (vec![], Cause::Unknown),
        ] {
            assert_eq!(
                cause_of_end(&events(&what), &[9, 15, 2, 28]),
                end,
                "{what:?}"
            );
        }
    }
}
