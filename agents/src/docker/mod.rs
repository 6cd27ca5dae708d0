//! A Docker Compose project, seen through the Docker Engine API: whether its containers run, and how they are
//! started and stopped in the order that their labels ask for. No docker command is run and no compose file is
//! read. What runs when Docker does not answer is not here.

mod answer;
mod bring_up;
mod cgroup;
mod condition;
mod container;
mod counted;
mod daemon;
mod end;
mod error;
mod http;
mod kept;
mod order;
mod plan;
pub(crate) mod processes;
mod repair;
mod signal;
mod start;
mod state;
mod stop;
mod version;

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use condition::RunState;
use daemon::Daemon;

pub use end::{Known, end};
pub use error::DockerError;
pub use kept::Kept;
pub use order::OrderError;
pub use plan::Plan;
pub use repair::Ended;
pub use state::ProjectState;

/// How many requests that make Docker work are sent at the same time. With more, runc processes only wait for
/// each other.
const AT_ONCE: usize = 8;

/// How long after its deadline the work may take to say how far it came.
const OVERTIME: Duration = Duration::from_millis(500);

/// A compose project on one Docker daemon.
#[derive(Debug)]
pub struct Project {
    daemon: Daemon,
    name: String,
}

/// What one list of its containers shows of a project.
#[derive(Debug)]
pub struct Seen {
    /// Whether it runs as a whole.
    pub state: ProjectState,
    /// The ids of the containers that count.
    pub ids: Vec<String>,
    /// The ids of those of them that run.
    pub running: Vec<String>,
    /// Whether they run as a whole, whatever was started before.
    pub is_whole: bool,
    /// All containers, also those that do not count.
    pub all: Vec<Known>,
}

impl Project {
    /// Reaches the daemon and agrees on a version of the API with it: one request.
    ///
    /// # Errors
    ///
    /// When the daemon can not be reached.
    pub async fn connect(socket: &Path, name: &str) -> Result<Self, DockerError> {
        Ok(Self {
            daemon: Daemon::connect(socket).await?,
            name: name.to_owned(),
        })
    }

    /// Whether the project runs as a whole. All of `services` belonged to it at the start. One request.
    ///
    /// # Errors
    ///
    /// When the daemon can not be reached.
    pub async fn state(&self, services: &[String]) -> Result<Seen, DockerError> {
        let containers = self.daemon.list(&self.name).await?;
        let all = containers.iter().map(|it| Known::named(it, 0)).collect();
        let counted = counted::counted_as_it_runs(containers);
        let ids = counted.services.iter().map(|it| it.id.clone()).collect();
        let running = counted
            .services
            .iter()
            .filter(|it| it.state == RunState::Running);
        Ok(Seen {
            state: ProjectState::of(&counted, services),
            ids,
            running: running.map(|it| it.id.clone()).collect(),
            is_whole: ProjectState::of(&counted, &[]) == ProjectState::Running,
            all,
        })
    }

    /// Checks what [`Project::plan`] needs, and changes nothing.
    ///
    /// # Errors
    ///
    /// When Docker is too old, when there are no containers, or when their labels give no order.
    pub async fn validate(&self) -> Result<(), DockerError> {
        plan::containers_in_order(&self.daemon, &self.name)
            .await
            .map(drop)
    }

    /// Finds out what a start would do, and changes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Project::validate`].
    pub async fn plan(&self, deadline: Instant) -> Result<Plan, DockerError> {
        let plan = plan::plan(&self.daemon, &self.name);
        self.by(deadline, "look at", plan).await
    }

    /// Starts the containers of the plan that do not run, each as soon as what it depends on is there. Containers
    /// that run are left alone. Sets the restart policy of every container to `no` first, because the caller
    /// decides about restarts, and stops what is left over and runs, with at most `grace`.
    ///
    /// # Errors
    ///
    /// When a container does not start, ends, or is unhealthy, or when something was not ready by `deadline`: what
    /// was started by then is left running.
    pub async fn start(
        &self,
        plan: &Plan,
        grace: Duration,
        deadline: Instant,
    ) -> Result<(), DockerError> {
        let start = async {
            plan::put_leftovers_aside(&self.daemon, plan, grace, deadline.into()).await?;
            start::start(&self.daemon, &self.name, plan, deadline.into()).await
        };
        self.by(deadline, "start", start).await
    }

    /// Sets the restart policy of the plan's containers to `no`, and changes nothing else.
    ///
    /// # Errors
    ///
    /// Docker does not do it for one of them.
    pub async fn never_restart(&self, plan: &Plan, deadline: Instant) -> Result<(), DockerError> {
        let work = plan::never_restart_any(&self.daemon, plan, deadline.into());
        self.by(deadline, "update", work).await
    }

    /// The container with this id, if it has ended by itself, nothing depends on it, and what it depends on is
    /// ready. Otherwise why it is not to be started by itself.
    ///
    /// # Errors
    ///
    /// When Docker does not tell.
    pub async fn ended(&self, id: &str) -> Result<Result<Ended, String>, DockerError> {
        repair::ended(&self.daemon, &self.name, id).await
    }

    /// Starts one container again, and watches it for a second.
    ///
    /// # Errors
    ///
    /// It does not start, or has ended again.
    pub async fn start_again(&self, ended: &Ended, deadline: Instant) -> Result<(), DockerError> {
        let start = repair::start_again(&self.daemon, ended, deadline.into());
        self.by(deadline, "start", start).await
    }

    /// The name of any container, or none if Docker does not know it.
    ///
    /// # Errors
    ///
    /// When Docker does not tell.
    pub async fn find(&self, id: &str) -> Result<Option<String>, DockerError> {
        self.daemon.find(id).await
    }

    /// Stops all containers, those of `docker compose run` and what is left over too, each when what depends on it
    /// has stopped, and checks that none runs. A container has the longer of `grace` and its own time to end after
    /// its stop signal, or less when the containers that are stopped after it would have no time left before
    /// `deadline`. Then it is killed. What Docker does not end in time is ended without it.
    ///
    /// # Errors
    ///
    /// Everything that went wrong, but only if a container may still run.
    pub async fn stop(&self, grace: Duration, deadline: Instant) -> Result<(), DockerError> {
        let stop = stop::stop(&self.daemon, &self.name, grace, deadline.into());
        self.by(deadline, "stop", stop).await
    }

    /// Ends `work` at the deadline when the daemon hangs. Otherwise the work ends before it by itself, with an
    /// error that says more.
    async fn by<T>(
        &self,
        deadline: Instant,
        verb: &str,
        work: impl Future<Output = Result<T, DockerError>>,
    ) -> Result<T, DockerError> {
        let began = Instant::now();
        match timeout_at((deadline + OVERTIME).into(), work).await {
            Ok(done) => done,
            Err(_) => Err(DockerError::OutOfTime {
                doing: format!("{verb} project {}", self.name),
                seconds: began.elapsed().as_secs_f64(),
            }),
        }
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
        for refused in [
            project.validate().await,
            project.plan(deadline).await.map(drop),
        ] {
            let error = refused.unwrap_err();
            let said = error.to_string();
            assert!(matches!(error, DockerError::TooOld { .. }), "{error:?}");
            assert!(
                said.starts_with("Docker 20.10.24+dfsg1 is too old: install 20.10.27 or later"),
                "{said}"
            );
            assert!(
                said.len() <= 127,
                "Pacemaker keeps 127 characters of a reason"
            );
        }
        for request in asked.try_iter() {
            assert!(request.contains("/version "), "{request}");
        }
    }
}
