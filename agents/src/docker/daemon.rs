//! The requests to the Docker daemon, each with a time limit and with an error that says
//! what was being done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{self, Event, log_text};
use super::container::{Container, Inspection, shortened};
use super::error::DockerError;
use super::http::{escaped, request};
use super::version::is_too_old;

/// How long a question may take that Docker answers from memory.
const ANSWER: Duration = Duration::from_secs(10);

/// How long an error may wait for the last lines that a container wrote.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The version of the API that is spoken where the daemon speaks it. No version suits all: Docker 20.10 knows
/// nothing newer than 1.41, Docker 29 nothing older than 1.44.
const API: (u32, u32) = (1, 44);

/// What a request is given.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// The time that an answer from memory may take: longer, and the daemon hangs.
    Answer,
    /// Until then: work takes as long as it takes.
    Until(Instant),
}

#[derive(Debug)]
pub(super) struct Daemon {
    socket: PathBuf,
    version: String,
    /// `/v1.44`, the beginning of every path.
    api: String,
}

impl Daemon {
    pub(super) async fn connect(socket: &Path) -> Result<Self, DockerError> {
        let mut daemon = Self {
            socket: socket.to_owned(),
            version: String::new(),
            api: String::new(),
        };
        let asked = daemon.ask("reach Docker".to_owned(), Limit::Answer, "/version");
        let said: answer::Version = asked.await?;
        daemon.version = said.version;
        daemon.api = format!(
            "/v{}",
            spoken(&said.api_version, said.min_api_version.as_deref())
        );
        Ok(daemon)
    }

    /// Fails when this Docker is too old to be supported.
    pub(super) fn check_version(&self) -> Result<(), DockerError> {
        if is_too_old(&self.version) {
            return Err(DockerError::TooOld {
                version: self.version.clone(),
            });
        }
        Ok(())
    }

    /// All containers of a project, also those of `docker compose run`.
    pub(super) async fn list(&self, project: &str) -> Result<Vec<Container>, DockerError> {
        let label = format!("com.docker.compose.project={project}");
        let filters = json!({ "label": [label] }).to_string();
        let answer: Vec<answer::Summary> = self
            .ask(
                format!("list the containers of project {project}"),
                Limit::Answer,
                &format!("/containers/json?all=1&filters={}", escaped(&filters)),
            )
            .await?;
        Ok(answer.into_iter().map(Container::from_summary).collect())
    }

    /// Docker answers this only after a start or stop of the container that is under way, so the answer is final.
    /// None if the container was removed.
    pub(super) async fn inspect(
        &self,
        container: &Container,
    ) -> Result<Option<Inspection>, DockerError> {
        let answer = self.inspected(&container.id, &container.name).await;
        Ok(answer?.map(Inspection::from_answer))
    }

    /// The name of a container, or none if there is none with this id.
    pub(super) async fn find(&self, id: &str) -> Result<Option<String>, DockerError> {
        let answer = self.inspected(id, id).await?;
        Ok(answer.map(|it| it.name.trim_start_matches('/').to_owned()))
    }

    async fn inspected(
        &self,
        id: &str,
        name: &str,
    ) -> Result<Option<answer::Inspected>, DockerError> {
        let path = format!("/containers/{}/json", escaped(id));
        let answer = self.ask(format!("look at {name}"), Limit::Answer, &path);
        match answer.await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What happened to a container between these two times since 1970. Docker keeps the last 256 events of all
    /// containers.
    pub(super) async fn events(
        &self,
        container: &Container,
        since: Duration,
        until: Duration,
    ) -> Result<Vec<Event>, DockerError> {
        let doing = format!("ask what happened to {}", container.name);
        let filters = json!({ "container": [container.id] }).to_string();
        let time = |it: Duration| format!("{}.{:09}", it.as_secs(), it.subsec_nanos());
        let path = format!(
            "/events?since={}&until={}&filters={}",
            time(since),
            time(until),
            escaped(&filters)
        );
        let body = self.send(&doing, Limit::Answer, Method::GET, &path, None);
        let body = body.await?;
        let lines = serde_json::Deserializer::from_slice(&body).into_iter::<Event>();
        lines
            .collect::<Result<_, _>>()
            .map_err(|error| DockerError::NotUnderstood {
                doing,
                said: error.to_string(),
            })
    }

    pub(super) async fn never_restart(
        &self,
        container: &Container,
        until: Instant,
    ) -> Result<(), DockerError> {
        let doing = format!("set the restart policy of {} to no", container.name);
        let change = json!({ "RestartPolicy": { "Name": "no" } }).to_string();
        self.order(doing, until, container, "update", Some(change))
            .await
    }

    pub(super) async fn start(
        &self,
        container: &Container,
        until: Instant,
    ) -> Result<(), DockerError> {
        let doing = format!("start {}", container.name);
        self.order(doing, until, container, "start", None).await
    }

    pub(super) async fn unpause(
        &self,
        container: &Container,
        until: Instant,
    ) -> Result<(), DockerError> {
        let doing = format!("unpause {}", container.name);
        self.order(doing, until, container, "unpause", None).await
    }

    /// The stop signal, then after whole seconds of grace SIGKILL, both by Docker.
    pub(super) async fn stop(
        &self,
        container: &Container,
        grace: Duration,
        until: Instant,
    ) -> Result<(), DockerError> {
        let doing = format!("stop {}", container.name);
        let verb = format!("stop?t={}", grace.as_secs().min(i32::MAX as u64));
        self.order(doing, until, container, &verb, None).await
    }

    /// The last lines that a container wrote, to tell why it ended. Best effort.
    pub(super) async fn last_words(&self, container: &Container) -> Option<String> {
        let path = format!(
            "/containers/{}/logs?stdout=1&stderr=1&tail=3",
            escaped(&container.id)
        );
        let asked = self.send("read a log", Limit::Answer, Method::GET, &path, None);
        let body = timeout(LAST_WORDS, asked).await.ok()?.ok()?;
        Some(shortened(&log_text(&body))).filter(|text| !text.is_empty())
    }

    /// A question.
    async fn ask<T: DeserializeOwned>(
        &self,
        doing: String,
        limit: Limit,
        path: &str,
    ) -> Result<T, DockerError> {
        let body = self.send(&doing, limit, Method::GET, path, None).await?;
        serde_json::from_slice(&body).map_err(|error| DockerError::NotUnderstood {
            doing,
            said: error.to_string(),
        })
    }

    /// An order about a container. Docker says 304 when that is how it is already.
    async fn order(
        &self,
        doing: String,
        until: Instant,
        container: &Container,
        verb: &str,
        body: Option<String>,
    ) -> Result<(), DockerError> {
        let path = format!("/containers/{}/{verb}", escaped(&container.id));
        let sent = self.send(&doing, Limit::Until(until), Method::POST, &path, body);
        sent.await.map(drop)
    }

    async fn send(
        &self,
        doing: &str,
        limit: Limit,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Bytes, DockerError> {
        let doing = doing.to_owned();
        let began = Instant::now();
        let until = match limit {
            Limit::Answer => began + ANSWER,
            Limit::Until(until) => until,
        };
        let path = format!("{}{path}", self.api);
        let asked = request(&self.socket, method, &path, body);
        let unreachable = |said| DockerError::Unreachable {
            doing: doing.clone(),
            socket: self.socket.clone(),
            said,
        };
        let Ok(answer) = timeout_at(until, asked).await else {
            let seconds = began.elapsed().as_secs_f64();
            return Err(match limit {
                Limit::Answer => unreachable(format!("no answer in {seconds:.1} s")),
                Limit::Until(_) => DockerError::OutOfTime { doing, seconds },
            });
        };
        let answer = answer.map_err(|error| unreachable(error.0))?;
        match answer.status {
            200..300 | 304 => Ok(answer.body),
            status => Err(DockerError::Refused {
                doing,
                status,
                said: said_in(&answer.body),
            }),
        }
    }
}

/// The message of an error: JSON, or whatever is there.
fn said_in(body: &[u8]) -> String {
    let message = serde_json::from_slice::<answer::Message>(body).map(|it| it.message);
    let text = message.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    shortened(&text)
}

/// The version of the API to speak with a daemon that understands those from `oldest` to `newest`.
fn spoken(newest: &str, oldest: Option<&str>) -> String {
    let wanted = oldest.and_then(numbers).map_or(API, |it| API.max(it));
    match numbers(newest) {
        Some(newest) if newest >= wanted => format!("{}.{}", wanted.0, wanted.1),
        _ => newest.to_owned(),
    }
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Why a container has ended, by its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, or by somebody who did not ask Docker.
    Itself,
    /// Somebody had Docker stop or kill it.
    ThroughDocker,
    /// Docker does not remember.
    Forgotten,
}

/// How long before the end of a container a signal counts as its cause.
const CAUSE: i64 = 60 * 1_000_000_000;

/// Reads the events of one container. Signals that end nothing, such as SIGHUP, are no cause of its end.
pub(super) fn end_by_events(events: &[Event], ending: &[i32]) -> End {
    let Some(died) = events.iter().rposition(|event| event.action == "die") else {
        return End::Forgotten;
    };
    let signal = |event: &Event| {
        let said: &BTreeMap<String, String> = &event.actor.attributes;
        said.get("signal")
            .and_then(|text| super::signal::number(text))
    };
    let started = events[..died].iter().rposition(|it| it.action == "start");
    let life = &events[started.map_or(0, |at| at + 1)..died];
    let at = events[died].time_nano;
    let killed = life.iter().any(|event| {
        event.action == "kill"
            && at - event.time_nano <= CAUSE
            && signal(event).is_none_or(|signal| ending.contains(&signal))
    });
    // `stop` comes after `die`.
    let stopped = events[died..].iter().any(|event| event.action == "stop");
    if killed || stopped {
        End::ThroughDocker
    } else {
        End::Itself
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_docker_is_spoken_to_in_a_version_that_it_knows() {
        for (newest, oldest, wanted) in [
            ("1.41", None, "1.41"),
            ("1.41", Some("1.12"), "1.41"),
            ("1.45", Some("1.24"), "1.44"),
            ("1.52", None, "1.44"),
            ("1.52", Some("1.44"), "1.44"),
            ("1.60", Some("1.48"), "1.48"),
            ("2.3", Some("2.0"), "2.0"),
            ("1.52", Some("soon"), "1.44"),
            ("next", Some("1.44"), "next"),
        ] {
            assert_eq!(spoken(newest, oldest), wanted, "{newest}, {oldest:?}");
        }
    }

    fn events(lines: &[(&str, &str, i64)]) -> Vec<Event> {
        let event = |(action, signal, seconds): &(&str, &str, i64)| {
            serde_json::from_value(json!({
                "Action": action,
                "Actor": { "Attributes": { "signal": signal } },
                "timeNano": seconds * 1_000_000_000,
            }))
            .unwrap()
        };
        lines.iter().map(event).collect()
    }

    #[test]
    fn an_end_by_docker_is_told_from_a_crash() {
        for (what, end) in [
            (vec![("start", "", 1), ("die", "", 9)], End::Itself),
            (
                vec![("kill", "15", 8), ("die", "", 9), ("stop", "", 9)],
                End::ThroughDocker,
            ),
            (
                vec![("kill", "SIGKILL", 9), ("die", "", 9)],
                End::ThroughDocker,
            ),
            (vec![("kill", "28", 8), ("die", "", 9)], End::ThroughDocker),
            (vec![("kill", "1", 8), ("die", "", 9)], End::Itself),
            (vec![("kill", "15", 8), ("die", "", 99)], End::Itself),
            (
                vec![
                    ("kill", "9", 1),
                    ("die", "", 1),
                    ("start", "", 2),
                    ("die", "", 9),
                ],
                End::Itself,
            ),
            (vec![("exec_die", "", 8)], End::Forgotten),
            (vec![], End::Forgotten),
        ] {
            assert_eq!(
                end_by_events(&events(&what), &[9, 15, 2, 28]),
                end,
                "{what:?}"
            );
        }
    }
}
