//! The requests to the Docker Engine. Each has a time limit and an error that says what was being done.
//! <https://docs.docker.com/reference/api/engine/>

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use super::container::{Container, Inspection, Summary, shortened};
use super::error::{DockerError, Result};
use super::http::{escaped, request};
use super::version::{OLDEST, is_older};

/// How long Docker may take to answer a query, which it answers from memory. A Docker that takes longer hangs.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an error may wait for the last lines that a container wrote.
const LOG_TIMEOUT: Duration = Duration::from_secs(2);
/// The version of the API that is used if the daemon knows it. No version suits all: Docker 20.10 knows nothing newer
/// than 1.41, Docker 29 nothing older than 1.44.
const API: (u32, u32) = (1, 44);

pub(super) struct Engine {
    socket: PathBuf,
    version: String,
    /// `/v1.44`, the beginning of every path.
    api: String,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Command {
    /// Set its restart policy to `no`.
    NeverRestart,
    Start,
    Unpause,
    /// Send the stop signal, and SIGKILL after this time, in whole seconds.
    Stop(Duration),
}

impl Engine {
    pub(super) async fn connect(socket: &Path) -> Result<Self> {
        let mut engine = Self {
            socket: socket.to_owned(),
            version: String::new(),
            api: String::new(),
        };
        let doing = "reach Docker";
        let answer: Value = engine.query(doing, "/version").await?;
        let text = |name: &str| answer[name].as_str();
        let (Some(version), Some(newest)) = (text("Version"), text("ApiVersion")) else {
            return Err(not_understood(doing, "it has no version"));
        };
        engine.version = version.to_owned();
        engine.api = format!("/v{}", api_version(newest, text("MinAPIVersion")));
        Ok(engine)
    }

    /// Fails when this Docker is too old. The text is short, because `pcs status` shows only the beginning of a reason.
    pub(super) fn check_version(&self) -> Result {
        let version = &self.version;
        if is_older(version, OLDEST) {
            return Err(DockerError::Unusable(format!(
                "Docker {version} is too old: install {OLDEST} or later, such as docker-ce \
                 (https://docs.docker.com/engine/install/)"
            )));
        }
        Ok(())
    }

    /// All containers of a project, also those of `docker compose run`.
    pub(super) async fn list(&self, project: &str) -> Result<Vec<Container>> {
        let label = format!("com.docker.compose.project={project}");
        let filters = escaped(&json!({ "label": [label] }).to_string());
        let doing = format!("list the containers of project {project}");
        let path = format!("/containers/json?all=1&filters={filters}");
        let answer: Vec<Summary> = self.query(&doing, &path).await?;
        Ok(answer.into_iter().map(Container::from_summary).collect())
    }

    /// Docker answers this only after a start or stop of the container that is under way, so the answer is final.
    pub(super) async fn inspect(&self, container: &Container) -> Result<Inspection> {
        let found = self.inspect_if_there(container).await?;
        found.ok_or_else(|| DockerError::container(&container.name, "was removed meanwhile"))
    }

    /// The same; none if the container was removed.
    pub(super) async fn inspect_if_there(&self, it: &Container) -> Result<Option<Inspection>> {
        let answer = self.inspect_raw(&it.id, &it.name).await?;
        Ok(answer.as_ref().map(Inspection::from_answer))
    }

    /// The name of a container, or none if there is none with this id.
    pub(super) async fn find(&self, id: &str) -> Result<Option<String>> {
        let answer = self.inspect_raw(id, id).await?;
        let name = |it: Value| it["Name"].as_str().unwrap_or(id).to_owned();
        Ok(answer.map(|it| name(it).trim_start_matches('/').to_owned()))
    }

    async fn inspect_raw(&self, id: &str, name: &str) -> Result<Option<Value>> {
        let doing = format!("inspect {name}");
        let path = format!("/containers/{}/json", escaped(id));
        let is_whole = |it: &Value| it["State"].is_object() && it["HostConfig"].is_object();
        match self.query(&doing, &path).await {
            Ok(answer) if is_whole(&answer) => Ok(Some(answer)),
            Ok(_) => Err(not_understood(&doing, "it has no State or no HostConfig")),
            Err(DockerError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The directory for which a volume is another name, if it is one.
    pub(super) async fn directory_of_volume(&self, volume: &str) -> Result<Option<PathBuf>> {
        let doing = format!("inspect the volume {volume}");
        let path = format!("/volumes/{}", escaped(volume));
        let found: Value = match self.query(&doing, &path).await {
            Err(DockerError::Refused { status: 404, .. }) => return Ok(None),
            answer => answer?,
        };
        let options = &found["Options"];
        let is_bound = options["o"].as_str().is_some_and(|it| it.contains("bind"));
        let device = options["device"].as_str().filter(|_| is_bound);
        Ok(device.map(PathBuf::from))
    }

    /// What happened to a container between these two times since 1970. Docker keeps 256 events of all containers.
    pub(super) async fn events(
        &self,
        container: &Container,
        since: Duration,
        until: Duration,
    ) -> Result<Vec<Value>> {
        let doing = format!("read the events of {}", container.name);
        let filters = escaped(&json!({ "container": [container.id] }).to_string());
        let time = |it: Duration| format!("{}.{:09}", it.as_secs(), it.subsec_nanos());
        let (since, until) = (time(since), time(until));
        let path = format!("/events?since={since}&until={until}&filters={filters}");
        let body = self.send(&doing, &path, None).await?;
        let events = serde_json::Deserializer::from_slice(&body).into_iter();
        let events: Result<_, serde_json::Error> = events.collect();
        events.map_err(|error| not_understood(&doing, error))
    }

    /// The last lines that a container wrote, to tell why it ended. None if they cannot be read.
    pub(super) async fn last_lines(&self, container: &Container) -> Option<String> {
        let id = escaped(&container.id);
        let path = format!("/containers/{id}/logs?stdout=1&stderr=1&tail=3");
        let answer = self.send("read a log", &path, None);
        let body = timeout(LOG_TIMEOUT, answer).await.ok()?.ok()?;
        Some(shortened(&log_text(&body))).filter(|text| !text.is_empty())
    }

    /// Has Docker carry out a command. Docker answers 304 when the container is in that state already.
    pub(super) async fn order(
        &self,
        container: &Container,
        command: Command,
        until: Instant,
    ) -> Result {
        let name = &container.name;
        let mut body = String::new();
        let (doing, verb) = match command {
            Command::NeverRestart => {
                body = json!({ "RestartPolicy": { "Name": "no" } }).to_string();
                let doing = format!("set the restart policy of {name} to no");
                (doing, "update".to_owned())
            }
            Command::Start => (format!("start {name}"), "start".to_owned()),
            Command::Unpause => (format!("unpause {name}"), "unpause".to_owned()),
            Command::Stop(grace) => {
                let seconds = grace.as_secs().min(i32::MAX as u64);
                (format!("stop {name}"), format!("stop?t={seconds}"))
            }
        };
        let path = format!("/containers/{}/{verb}", escaped(&container.id));
        let sent = self.send(&doing, &path, Some((body, until)));
        sent.await.map(drop)
    }

    async fn query<T: DeserializeOwned>(&self, doing: &str, path: &str) -> Result<T> {
        let body = self.send(doing, path, None).await?;
        serde_json::from_slice(&body).map_err(|error| not_understood(doing, error))
    }

    /// Sends a command, with its body and the end of its time, or a query, which has its own limit.
    async fn send(
        &self,
        doing: &str,
        path: &str,
        command: Option<(String, Instant)>,
    ) -> Result<Bytes> {
        let began = Instant::now();
        let is_command = command.is_some();
        let (method, body, until) = match command {
            Some((body, until)) => (Method::POST, body, until),
            None => (Method::GET, String::new(), began + QUERY_TIMEOUT),
        };
        let path = format!("{}{path}", self.api);
        let answer = request(&self.socket, method, &path, body);
        let answer = timeout_at(until, answer).await;
        let seconds = began.elapsed().as_secs_f64();
        let doing = doing.to_owned();
        let said = match answer {
            Ok(Ok((200..300 | 304, body))) => return Ok(body),
            Ok(Ok((status, body))) => {
                let said = message_in(&body);
                return Err(DockerError::Refused {
                    doing,
                    said,
                    status,
                });
            }
            Ok(Err(said)) => said,
            Err(_) if is_command => return Err(DockerError::OutOfTime { doing, seconds }),
            Err(_) => format!("no answer in {seconds:.1} s"),
        };
        let socket = self.socket.clone();
        Err(DockerError::Unreachable {
            doing,
            socket,
            said,
        })
    }
}

fn not_understood(doing: &str, said: impl ToString) -> DockerError {
    let (doing, said) = (doing.to_owned(), said.to_string());
    DockerError::NotUnderstood { doing, said }
}

/// The message of an error: JSON, or whatever is there.
fn message_in(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = answer["message"].as_str();
    shortened(message.unwrap_or(&String::from_utf8_lossy(body)))
}

/// The text of a log. Without a terminal, each piece has eight bytes before it: the stream and a length.
fn log_text(mut body: &[u8]) -> String {
    let mut text = Vec::new();
    while let [0..=2, 0, 0, 0, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(piece);
        body = after;
    }
    text.extend_from_slice(body);
    String::from_utf8_lossy(&text).into_owned()
}

/// The version of the API to use with a daemon that knows the versions from `oldest` to `newest`.
fn api_version(newest: &str, oldest: Option<&str>) -> String {
    let numbers = |version: &str| -> Option<(u32, u32)> {
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let wanted = oldest.and_then(numbers).map_or(API, |it| API.max(it));
    match numbers(newest) {
        Some(newest) if newest >= wanted => format!("{}.{}", wanted.0, wanted.1),
        _ => newest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_with_and_without_a_terminal() {
        let framed = b"\x01\0\0\0\0\0\0\x03no \x02\0\0\0\0\0\0\x06space\n";
        assert_eq!(log_text(framed), "no space\n");
        assert_eq!(log_text(b"no space\n"), "no space\n");
        assert_eq!(log_text(b"\x01\0\0\0\0\0\0\x09cut"), "cut");
    }

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
            assert_eq!(api_version(newest, oldest), wanted, "{newest}, {oldest:?}");
        }
    }
}
