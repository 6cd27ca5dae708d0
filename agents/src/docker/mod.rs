//! A Docker Compose project, seen through the Docker Engine API: whether its containers run, and how they are
//! started and stopped in the order that their labels ask for. No docker command is run and no compose file is
//! read. Each file has one verb, or what the verbs work on:
//!
//! - `plan`, `start` (`bring_up` for one container), `stop`, `repair`;
//! - `end_without_docker` by `processes`, `cgroup` and `signal`, with what `docker_files` tells;
//! - `engine` and `http` are the requests to Docker, `error` is what can go wrong;
//! - `container`, `made_for` and `run_state` are what Docker says of a container; `members`, `order` and `project_state` are
//!   judged from that alone.

mod bring_up;
mod cgroup;
mod container;
mod docker_files;
mod end_without_docker;
mod engine;
mod error;
mod http;
mod made_for;
mod members;
mod order;
mod plan;
pub(crate) mod processes;
mod project_state;
mod repair;
mod run_state;
mod signal;
mod start;
mod stop;
mod version;

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use bring_up::Task;
use container::Container;
pub(crate) use docker_files::OnDisk;
pub(crate) use end_without_docker::{ContainerRecord, end};
use engine::Engine;
pub(crate) use error::DockerError;
use error::Result;
use members::Members;
pub(crate) use plan::Plan;
pub(crate) use project_state::ProjectState;
use run_state::RunState;

/// How many requests that make Docker work are sent at the same time. With more, runc processes wait for each other.
const MAX_CONCURRENT: usize = 8;
/// How long after its deadline the work may take to say how far it came.
const OVERTIME: Duration = Duration::from_millis(500);

pub(crate) struct Project {
    engine: Engine,
    name: String,
}

/// What one list of its containers shows of a project.
pub(crate) struct Observation {
    pub(crate) state: ProjectState,
    /// Whether it runs as a whole, whatever was started before.
    pub(crate) is_whole: bool,
    /// The ids of the containers that count.
    pub(crate) ids: Vec<String>,
    /// The ids of those of them that run.
    pub(crate) running: Vec<String>,
    /// All containers, also those that do not count.
    pub(crate) all: Vec<ContainerRecord>,
}

impl Project {
    /// Reaches the daemon and agrees on a version of the API with it: one request.
    pub(crate) async fn connect(socket: &Path, name: &str) -> Result<Self> {
        let engine = Engine::connect(socket).await?;
        let name = name.to_owned();
        Ok(Self { engine, name })
    }

    /// Whether the project runs as a whole. All of `services` belonged to it at the start. One request.
    pub(crate) async fn observe(&self, services: &[String]) -> Result<Observation> {
        let containers = self.engine.list(&self.name).await?;
        let all = containers.iter().map(ContainerRecord::named).collect();
        let members = Members::as_it_runs(containers);
        let ids = |of: &dyn Fn(&&Container) -> bool| {
            let of = members.services.iter().filter(of);
            of.map(|it| it.id.clone()).collect()
        };
        Ok(Observation {
            state: ProjectState::of(&members, services),
            is_whole: ProjectState::of(&members, &[]) == ProjectState::Running,
            ids: ids(&|_| true),
            running: ids(&|it| it.state == RunState::Running),
            all,
        })
    }

    /// The name of any container, or none if Docker does not know it.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<String>> {
        self.engine.find(id).await
    }

    fn task<'a>(&'a self, container: &'a Container, deadline: tokio::time::Instant) -> Task<'a> {
        let engine = &self.engine;
        Task {
            engine,
            container,
            deadline,
        }
    }

    /// Ends `work` at the deadline when the daemon hangs. Otherwise it ends by itself, with an error that says more.
    async fn by<T>(
        &self,
        deadline: Instant,
        verb: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let began = Instant::now();
        let done = timeout_at((deadline + OVERTIME).into(), work).await;
        done.unwrap_or_else(|_| {
            let doing = format!("{verb} project {}", self.name);
            let seconds = began.elapsed().as_secs_f64();
            Err(DockerError::OutOfTime { doing, seconds })
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// A Docker that answers every request with its version. Returns the first line of each request.
    fn docker_of_version(socket: &Path, version: &'static str) -> Receiver<String> {
        let listener = UnixListener::bind(socket).unwrap();
        let (tell, asked) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap() > 0 {}
                let body = format!(r#"{{"Version":"{version}","ApiVersion":"1.41"}}"#);
                let length = body.len();
                write!(
                    stream.get_mut(),
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                )
                .unwrap();
                tell.send(head.lines().next().unwrap_or_default().to_owned())
                    .unwrap();
            }
        });
        asked
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_docker_that_is_too_old_is_refused_before_its_containers_are_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let asked = docker_of_version(&socket, "20.10.24+dfsg1");
        let project = Project::connect(&socket, "portsip").await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let error = project.plan(deadline).await.unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, DockerError::Unusable(_)), "{error:?}");
        let beginning = "Docker 20.10.24+dfsg1 is too old: install 20.10.27 or later";
        assert!(said.starts_with(beginning), "{said}");
        assert!(
            said.len() <= 127,
            "Pacemaker keeps 127 characters of a reason"
        );
        for request in asked.try_iter() {
            assert!(request.contains("/version "), "{request}");
        }
    }
}
