//! Starting a project: every container as soon as what it depends on is there. How one container is started is
//! in `bring_up`.

use std::collections::VecDeque;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::AT_ONCE;
use super::bring_up::{bring_up, never_restart, reach};
use super::condition::RunState;
use super::container::{Condition, Container};
use super::counted::counted;
use super::daemon::Daemon;
use super::error::DockerError;
use super::order::Order;
use super::plan::Plan;
use super::state::ProjectState;

/// What is done for one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Set its restart policy to `no`.
    Prepare,
    /// Have Docker start it.
    Start,
    /// Wait for what others need of it.
    Await(Condition),
}

/// How far a container is.
#[derive(Debug, Clone, Default)]
struct Progress {
    prepared: bool,
    asked_to_start: bool,
    started: bool,
    healthy: bool,
    completed: bool,
}

impl Progress {
    fn reached(&self, condition: Condition) -> bool {
        match condition {
            Condition::Started => self.started,
            Condition::Healthy => self.healthy,
            Condition::CompletedSuccessfully => self.completed,
        }
    }
}

type Outcome = (usize, Step, Result<(), DockerError>);

/// A start under way. Containers are known by their position in the list.
struct Launch<'a> {
    daemon: &'a Daemon,
    deadline: Instant,
    plan: &'a Plan,
    containers: &'a [Container],
    order: &'a Order,
    progress: Vec<Progress>,
    queue: VecDeque<(usize, Step)>,
    jobs: FuturesUnordered<BoxFuture<'a, Outcome>>,
    /// How many jobs make Docker work. Those that only wait for a condition do not count.
    working: usize,
}

/// Starts what the plan has.
pub(super) async fn start(
    daemon: &Daemon,
    project: &str,
    plan: &Plan,
    deadline: Instant,
) -> Result<(), DockerError> {
    let (containers, order) = (&plan.containers, &plan.order);
    // What others wait for comes first.
    let mut first: Vec<usize> = (0..containers.len()).collect();
    first.sort_by_key(|container| order.depth(*container));
    let launch = Launch {
        daemon,
        deadline,
        plan,
        containers,
        progress: vec![Progress::default(); containers.len()],
        queue: first
            .into_iter()
            .map(|container| (container, Step::Prepare))
            .collect(),
        order,
        jobs: FuturesUnordered::new(),
        working: 0,
    };
    launch.run().await?;
    let now = counted(daemon.list(project).await?);
    let state = ProjectState::of(&now, &plan.services());
    DockerError::all(faults_after_start(project, state))
}

/// What is wrong with a project that was just started.
fn faults_after_start(project: &str, state: ProjectState) -> Vec<DockerError> {
    let fault = |name: String, what: String| DockerError::Container { name, what };
    match state {
        ProjectState::Running => Vec::new(),
        ProjectState::Unhealthy { names } => names
            .into_iter()
            .map(|name| fault(name, "runs but is unhealthy".to_owned()))
            .collect(),
        ProjectState::Unclear { what } => {
            for what in what {
                tracing::warn!("{what}");
            }
            Vec::new()
        }
        ProjectState::TwoDatabases { names } => names
            .into_iter()
            .map(|name| fault(name, "is not the only database that runs".to_owned()))
            .collect(),
        ProjectState::Partly { not_running, .. } => not_running
            .into_iter()
            .map(|(name, how)| fault(name, format!("was started and does not run: {how}")))
            .collect(),
        ProjectState::Incomplete { missing } => missing
            .into_iter()
            .map(|service| fault(service, "was removed during the start".to_owned()))
            .collect(),
        ProjectState::Absent | ProjectState::Stopped => {
            let nothing = "was started and nothing of it runs".to_owned();
            vec![fault(project.to_owned(), nothing)]
        }
    }
}

impl Launch<'_> {
    /// Works until everything is started and awaited, or something has failed. After a failure it still waits
    /// for the requests to Docker that are under way: otherwise a stop could overtake a start.
    async fn run(mut self) -> Result<(), DockerError> {
        let mut errors = Vec::new();
        self.submit();
        while let Some((container, step, outcome)) = self.jobs.next().await {
            if !matches!(step, Step::Await(_)) {
                self.working -= 1;
            }
            match outcome {
                Ok(()) => self.note(container, step),
                Err(error) => errors.push(error),
            }
            if errors.is_empty() {
                self.submit();
            } else if self.working == 0 {
                break;
            }
        }
        // Of requests that were cut off at the deadline, only the containers' names matter.
        let all = errors.len();
        errors.retain(|error| !matches!(error, DockerError::OutOfTime { .. }));
        if errors.len() < all {
            errors.push(self.not_started());
        }
        DockerError::all(errors)
    }

    fn not_started(&self) -> DockerError {
        DockerError::NotStarted(
            self.containers
                .iter()
                .zip(&self.progress)
                .filter(|(_, progress)| !progress.started)
                .map(|(container, _)| container.name.clone())
                .collect(),
        )
    }

    fn note(&mut self, container: usize, step: Step) {
        let progress = &mut self.progress[container];
        match step {
            Step::Prepare => progress.prepared = true,
            Step::Start => {
                progress.started = true;
                for condition in [Condition::Healthy, Condition::CompletedSuccessfully] {
                    if self.order.is_awaited(container, condition) {
                        self.queue.push_front((container, Step::Await(condition)));
                    }
                }
            }
            Step::Await(Condition::Healthy) => progress.healthy = true,
            Step::Await(Condition::CompletedSuccessfully) => progress.completed = true,
            Step::Await(Condition::Started) => {}
        }
        self.queue_what_can_start();
    }

    fn queue_what_can_start(&mut self) {
        for container in 0..self.containers.len() {
            let progress = &self.progress[container];
            if progress.asked_to_start || !progress.prepared {
                continue;
            }
            if self.is_done_with(container) {
                let progress = &mut self.progress[container];
                (progress.asked_to_start, progress.started) = (true, true);
                progress.completed = true;
            } else if self.waits_for(container).next().is_none() {
                self.progress[container].asked_to_start = true;
                self.queue.push_front((container, Step::Start));
            }
        }
    }

    /// Whether a container has completed its work for others that all run already. It is not run again.
    fn is_done_with(&self, container: usize) -> bool {
        self.order
            .is_awaited(container, Condition::CompletedSuccessfully)
            && self.containers[container].completed()
            && self
                .order
                .needed_by(container)
                .all(|other| self.containers[other].state == RunState::Running)
    }

    fn waits_for(&self, container: usize) -> impl Iterator<Item = usize> {
        self.order
            .needs(container)
            .iter()
            .filter(|(needed, condition)| !self.progress[*needed].reached(*condition))
            .map(|(needed, _)| *needed)
    }

    fn submit(&mut self) {
        while let Some((container, step)) = self.queue.pop_front() {
            let waits = matches!(step, Step::Await(_));
            if !waits && self.working >= AT_ONCE {
                self.queue.push_front((container, step));
                return;
            }
            if !waits {
                self.working += 1;
            }
            let (daemon, deadline) = (self.daemon, self.deadline);
            let this = &self.containers[container];
            let found = &self.plan.found[container];
            let job = async move {
                let outcome = match step {
                    Step::Prepare => never_restart(daemon, this, found, deadline).await,
                    Step::Start => bring_up(daemon, this, found.clone(), deadline).await,
                    Step::Await(condition) => reach(daemon, this, condition, deadline).await,
                };
                (container, step, outcome)
            };
            self.jobs.push(job.boxed());
        }
    }
}
