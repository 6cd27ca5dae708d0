//! Starting a project: every container as soon as what it depends on is there.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::AT_ONCE;
use super::container::{Condition, Container, Health, Inspection, RestartPolicy, RunState};
use super::daemon::Daemon;
use super::error::DockerError;
use super::order::Order;
use super::processes;
use super::state::ProjectState;

/// How often a container is looked at while its health is awaited.
const LOOK: Duration = Duration::from_millis(50);

/// How long Docker may take to note that a container has ended.
const NOTED: Duration = Duration::from_secs(10);

/// How often it is asked whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long one that was ending again and again has to run to be believed.
const STAY: Duration = Duration::from_secs(1);

/// What is done for one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Look at it, and take the restart policy away.
    Prepare,
    /// Have Docker start it.
    Start,
    /// Wait for what others need of it.
    Await(Condition),
}

/// How far a container is.
#[derive(Debug, Clone, Default)]
struct Progress {
    found: Option<Inspection>,
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

type Outcome = (usize, Step, Result<Option<Inspection>, DockerError>);

struct Launch<'a> {
    daemon: &'a Daemon,
    deadline: Instant,
    containers: &'a [Container],
    order: Order,
    progress: Vec<Progress>,
    queue: VecDeque<(usize, Step)>,
    jobs: FuturesUnordered<BoxFuture<'a, Outcome>>,
    /// Requests under way that make Docker work; waiting is not among them.
    working: usize,
}

/// What a start has started.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Started {
    /// The names of the services. Docker does not tell that a container was there once.
    pub services: Vec<String>,
    /// Whether the processes of the containers were seen, so that from then on a container without a process
    /// does not run.
    #[serde(default)]
    pub processes_tell: bool,
}

/// The containers, once Docker has noted which of them have ended. One that is stuck never does; to wait for it
/// would keep the PBX from the node that can start it.
async fn noted(daemon: &Daemon, project: &str) -> Result<Vec<Container>, DockerError> {
    let limit = Instant::now() + NOTED;
    loop {
        let containers = daemon.services(project).await?;
        let Some(stuck) = containers.iter().find(|container| container.ended_unnoted) else {
            return Ok(containers);
        };
        if Instant::now() > limit {
            return Err(DockerError::stuck(stuck));
        }
        sleep(LOOK_AGAIN).await;
    }
}

pub(super) async fn start(
    daemon: &Daemon,
    project: &str,
    deadline: Instant,
) -> Result<Started, DockerError> {
    let containers = noted(daemon, project).await?;
    if containers.is_empty() {
        return Err(DockerError::NoContainers {
            project: project.to_owned(),
        });
    }
    let order = Order::of(&containers)?;
    // What others wait for comes first.
    let mut first: Vec<usize> = (0..containers.len()).collect();
    first.sort_by_key(|container| order.depth(*container));
    let launch = Launch {
        daemon,
        deadline,
        containers: &containers,
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
    let services: Vec<String> = containers.into_iter().map(|it| it.service).collect();
    let containers = daemon.services(project).await?;
    let wrong = |names: Vec<(String, String)>| {
        let each = names.into_iter();
        DockerError::all(
            each.map(|(name, what)| DockerError::Container { name, what })
                .collect(),
        )
    };
    match ProjectState::of(&containers, &services) {
        ProjectState::Running => Ok(()),
        ProjectState::Unhealthy { names } => {
            let unhealthy = |name| (name, "runs but is unhealthy".to_owned());
            wrong(names.into_iter().map(unhealthy).collect())
        }
        ProjectState::Partly { not_running, .. } => {
            let ended = |(name, status)| (name, format!("was started and does not run: {status}"));
            wrong(not_running.into_iter().map(ended).collect())
        }
        ProjectState::Incomplete { missing } => {
            let gone = |service| (service, "was removed during the start".to_owned());
            wrong(missing.into_iter().map(gone).collect())
        }
        ProjectState::Absent | ProjectState::Stopped => wrong(vec![(
            project.to_owned(),
            "was started and nothing of it runs".to_owned(),
        )]),
    }?;
    Ok(Started {
        services,
        processes_tell: processes::tell(&containers),
    })
}

impl Launch<'_> {
    /// Works until everything is started and awaited, or something has failed. Then what
    /// Docker is just starting is waited for: else a stop could come before its start.
    async fn run(mut self) -> Result<(), DockerError> {
        let mut errors = Vec::new();
        self.submit();
        while let Some((container, step, outcome)) = self.jobs.next().await {
            if !matches!(step, Step::Await(_)) {
                self.working -= 1;
            }
            match outcome {
                Ok(found) => self.note(container, step, found),
                Err(error) => errors.push(error),
            }
            if errors.is_empty() {
                self.submit();
            } else if self.working == 0 {
                break;
            }
        }
        // Those that were cut off say nothing that their names do not.
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

    fn note(&mut self, container: usize, step: Step, found: Option<Inspection>) {
        let progress = &mut self.progress[container];
        match step {
            Step::Prepare => progress.found = found,
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
            if progress.asked_to_start || progress.found.is_none() {
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

    /// A container that only had to complete, and that nobody will wait for any more.
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
            let found = self.progress[container].found.clone();
            let job = async move {
                let outcome = match (step, found) {
                    (Step::Prepare, _) => prepare(daemon, this, deadline).await.map(Some),
                    (Step::Start, Some(found)) => {
                        bring_up(daemon, this, found, deadline).await.map(|()| None)
                    }
                    (Step::Await(condition), _) => reach(daemon, this, condition, deadline)
                        .await
                        .map(|()| None),
                    (Step::Start, None) => Ok(None),
                };
                (container, step, outcome)
            };
            self.jobs.push(job.boxed());
        }
    }
}

async fn prepare(
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

/// Has Docker start it, from whatever state it is in.
async fn bring_up(
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
            // Docker is at it; the policy that made it restart is gone by now.
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

/// Watches one that was ending again and again: that it runs right after its start says little.
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

/// Waits until it has reached what others need of it.
async fn reach(
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

/// An error for one that others wait for and that runs no more.
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
