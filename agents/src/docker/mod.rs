//! A Docker Compose project through the Docker Engine API: what its containers are, whether
//! they run, and starting and stopping them in the order that their labels ask for. No
//! docker command is run, no compose file read.

mod container;
mod daemon;
mod error;
mod order;
mod processes;
mod start;
mod state;
mod stop;
mod version;

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use daemon::Daemon;

pub use container::{Condition, Container, Dependency, Health, RestartPolicy, RunState};
pub use error::DockerError;
pub use order::{Order, OrderError};
pub use processes::with_processes;
pub use start::Started;
pub use state::ProjectState;

/// How many requests that make Docker work are under way at one time. More only makes
/// runc processes queue for the processors.
const AT_ONCE: usize = 8;

/// What the work may take beyond its deadline to say how far it came.
const OVERTIME: Duration = Duration::from_millis(500);

/// A compose project on one Docker daemon.
#[derive(Debug)]
pub struct Project {
    daemon: Daemon,
    name: String,
}

impl Project {
    /// Reaches the daemon and agrees on a version of the API with it: one request. With `processes_tell`, as
    /// [`Started::processes_tell`] has it, a container without a process does not run, whatever Docker says.
    ///
    /// # Errors
    ///
    /// When the daemon can not be reached.
    pub async fn connect(
        socket: &Path,
        name: &str,
        processes_tell: bool,
    ) -> Result<Self, DockerError> {
        Ok(Self {
            daemon: Daemon::connect(socket, processes_tell).await?,
            name: name.to_owned(),
        })
    }

    /// The name of the project.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its containers, without those that `docker compose run` made. One request.
    ///
    /// # Errors
    ///
    /// When the daemon can not be reached.
    pub async fn containers(&self) -> Result<Vec<Container>, DockerError> {
        self.daemon.services(&self.name).await
    }

    /// Whether the project runs as a whole, to which all of `services` belong. One request.
    ///
    /// # Errors
    ///
    /// As [`Project::containers`].
    pub async fn state(&self, services: &[String]) -> Result<ProjectState, DockerError> {
        Ok(ProjectState::of(&self.containers().await?, services))
    }

    /// Starts what does not run yet, each container as soon as what it depends on is there.
    /// Sets the restart policy of every container to `no` first: who calls this owns restarts.
    /// Containers that run are left alone.
    ///
    /// # Errors
    ///
    /// When a container does not start, ends, or is unhealthy, or when something was not
    /// ready by `deadline`. What was started by then is left running.
    pub async fn start(&self, deadline: Instant) -> Result<Started, DockerError> {
        let start = start::start(&self.daemon, &self.name, deadline.into());
        self.by(deadline, "start", start).await
    }

    /// Stops all containers, those of `docker compose run` too, each when what depends on it has stopped, and looks that
    /// none runs. A container has `grace` to end after its stop signal, or less if all that
    /// still has to be stopped would not fit before `deadline`; then it is killed.
    ///
    /// # Errors
    ///
    /// All that went wrong, and only if a container may still run.
    pub async fn stop(&self, grace: Duration, deadline: Instant) -> Result<(), DockerError> {
        let stop = stop::stop(&self.daemon, &self.name, grace, deadline.into());
        self.by(deadline, "stop", stop).await
    }

    /// Holds the deadline when the daemon hangs. Else the work ends itself before it, and
    /// says more than this can.
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
