//! The requests to the Docker daemon, each with a time limit and with an error that says
//! what was being done.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, LogsOptionsBuilder, StopContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::TryStreamExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::container::{Container, Inspection, shortened};
use super::error::{DockerError, root_cause};
use super::version::is_too_old;
use crate::meaning::Meaning;

/// How long a question may take that Docker answers from memory.
const ANSWER: Duration = Duration::from_secs(10);

/// How long an error may wait for the last lines that a container wrote.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// bollard's own limit, longer than any of ours.
const NEVER: u64 = 24 * 3600;

/// What a request is given.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// The time that an answer from memory may take: longer, and the daemon hangs.
    Answer,
    /// Until the caller's time is up: work takes as long as it takes.
    Deadline(Instant),
}

#[derive(Debug)]
pub(super) struct Daemon {
    docker: Docker,
    socket: PathBuf,
}

impl Daemon {
    pub(super) async fn connect(socket: &Path) -> Result<Self, DockerError> {
        let doing = "reach Docker";
        let unreachable = |said: String| DockerError::Unreachable {
            doing: doing.to_string(),
            socket: socket.to_owned(),
            said,
        };
        let path = socket
            .to_str()
            .ok_or_else(|| unreachable("its path is not UTF-8".to_owned()))?;
        let docker = Docker::connect_with_unix(path, NEVER, API_DEFAULT_VERSION)
            .map_err(|error| meaning(doing.to_owned(), socket, error))?;
        // No version suits all: Docker 20.10 knows nothing newer than 1.41, Docker 29 nothing older than 1.44.
        let docker = within(
            doing.to_owned(),
            socket,
            Limit::Answer,
            docker.negotiate_version(),
        )
        .await?;
        Ok(Self {
            docker,
            socket: socket.to_owned(),
        })
    }

    /// Fails when this Docker is too old to be supported.
    pub(super) async fn check_version(&self) -> Result<(), DockerError> {
        let doing = "ask for the version".to_owned();
        let answer = self.ask(doing, Limit::Answer, self.docker.version());
        let version = answer.await?.version.unwrap_or_default();
        if is_too_old(&version) {
            return Err(DockerError::TooOld { version });
        }
        Ok(())
    }

    /// All containers of a project, also those of `docker compose run`.
    pub(super) async fn list(&self, project: &str) -> Result<Vec<Container>, DockerError> {
        let label = format!("com.docker.compose.project={project}");
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&HashMap::from([("label", vec![label])]))
            .build();
        let answer = self
            .ask(
                format!("list the containers of project {project}"),
                Limit::Answer,
                self.docker.list_containers(Some(options)),
            )
            .await?;
        Ok(answer.into_iter().map(Container::from_summary).collect())
    }

    /// The containers of a project's services, without those of `docker compose run`.
    pub(super) async fn services(&self, project: &str) -> Result<Vec<Container>, DockerError> {
        let mut containers = self.list(project).await?;
        containers.retain(|container| !container.one_off);
        Ok(containers)
    }

    /// Docker answers this only after a start or stop of the container that is under way, so the answer is final.
    /// None if the container was removed.
    pub(super) async fn inspect(
        &self,
        container: &Container,
    ) -> Result<Option<Inspection>, DockerError> {
        let answer = self
            .ask(
                format!("look at {}", container.name),
                Limit::Answer,
                self.docker.inspect_container(&container.id, None),
            )
            .await;
        match answer {
            Ok(answer) => Ok(Some(Inspection::from_answer(answer))),
            Err(error) if error.meaning() == Meaning::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn never_restart(
        &self,
        container: &Container,
        limit: Instant,
    ) -> Result<(), DockerError> {
        let change = ContainerUpdateBody {
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            ..Default::default()
        };
        self.ask(
            format!("set the restart policy of {} to no", container.name),
            Limit::Deadline(limit),
            self.docker.update_container(&container.id, change),
        )
        .await
    }

    pub(super) async fn start(
        &self,
        container: &Container,
        limit: Instant,
    ) -> Result<(), DockerError> {
        self.ask(
            format!("start {}", container.name),
            Limit::Deadline(limit),
            self.docker.start_container(&container.id, None),
        )
        .await
    }

    pub(super) async fn unpause(
        &self,
        container: &Container,
        limit: Instant,
    ) -> Result<(), DockerError> {
        self.ask(
            format!("unpause {}", container.name),
            Limit::Deadline(limit),
            self.docker.unpause_container(&container.id),
        )
        .await
    }

    /// The stop signal, then after whole seconds of grace SIGKILL, both by Docker.
    pub(super) async fn stop(
        &self,
        container: &Container,
        grace: Duration,
        limit: Instant,
    ) -> Result<(), DockerError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        self.ask(
            format!("stop {}", container.name),
            Limit::Deadline(limit),
            self.docker.stop_container(&container.id, Some(options)),
        )
        .await
    }

    pub(super) async fn kill(
        &self,
        container: &Container,
        limit: Instant,
    ) -> Result<(), DockerError> {
        self.ask(
            format!("kill {}", container.name),
            Limit::Deadline(limit),
            self.docker.kill_container(&container.id, None),
        )
        .await
    }

    /// The last lines that a container wrote, to tell why it ended. Best effort.
    pub(super) async fn last_words(&self, container: &Container) -> Option<String> {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail("3")
            .build();
        let lines = self.docker.logs(&container.id, Some(options));
        let lines = timeout(LAST_WORDS, lines.try_collect::<Vec<_>>()).await;
        let text: String = lines.ok()?.ok()?.iter().map(ToString::to_string).collect();
        Some(shortened(&text)).filter(|text| !text.is_empty())
    }

    async fn ask<T>(
        &self,
        doing: String,
        limit: Limit,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, DockerError> {
        within(doing, &self.socket, limit, request).await
    }
}

async fn within<T>(
    doing: String,
    socket: &Path,
    limit: Limit,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, DockerError> {
    let began = Instant::now();
    let until = match limit {
        Limit::Answer => began + ANSWER,
        Limit::Deadline(deadline) => deadline,
    };
    let Ok(answer) = timeout_at(until, request).await else {
        let seconds = began.elapsed().as_secs_f64();
        return Err(match limit {
            Limit::Answer => DockerError::Unreachable {
                doing,
                socket: socket.to_owned(),
                said: format!("no answer in {seconds:.1} s"),
            },
            Limit::Deadline(_) => DockerError::OutOfTime { doing, seconds },
        });
    };
    answer.map_err(|error| meaning(doing, socket, error))
}

fn meaning(doing: String, socket: &Path, error: Error) -> DockerError {
    let unreachable = |said| DockerError::Unreachable {
        doing: doing.clone(),
        socket: socket.to_owned(),
        said,
    };
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => DockerError::Refused {
            doing,
            status: status_code,
            said: message.trim().to_owned(),
        },
        Error::SocketNotFoundError(_) => unreachable("there is no such socket".to_owned()),
        Error::RequestTimeoutError
        | Error::IOError { .. }
        | Error::HyperResponseError { .. }
        | Error::HyperLegacyError { .. } => unreachable(root_cause(&error)),
        other => DockerError::NotUnderstood {
            doing,
            said: root_cause(&other),
        },
    }
}
