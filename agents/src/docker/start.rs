//! Starting a project: each container as soon as what it depends on is ready. How one container is started is
//! in `bring_up`.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, watch};

use super::container::Condition;
use super::error::{DockerError, Result};
use super::members::Members;
use super::plan::Plan;
use super::project_state::ProjectState;
use super::run_state::RunState;
use super::{MAX_CONCURRENT, Project};

/// A start under way. A container is given by its position in the plan.
struct Launch<'a> {
    project: &'a Project,
    plan: &'a Plan,
    deadline: tokio::time::Instant,
    /// The conditions that each container meets. The containers that depend on it wait for this.
    reached: Vec<watch::Sender<Vec<Condition>>>,
    /// A permit for each request that makes Docker work. Closed after the first error, so that no more is started.
    permits: Semaphore,
}

impl Project {
    /// Starts the containers of the plan that do not run, each as soon as what it depends on is ready. Containers
    /// that run are left alone. Sets the restart policy of every container to `no` before, because the caller
    /// decides about restarts, and stops leftovers that run, with at most `grace`. What was started before an error is
    /// left running.
    pub(crate) async fn start(&self, plan: &Plan, grace: Duration, deadline: Instant) -> Result {
        let start = async {
            let limit = deadline.into();
            self.put_leftovers_aside(plan, grace, limit).await?;
            let reached = plan.containers.iter().map(|_| watch::Sender::default());
            let launch = Launch {
                project: self,
                plan,
                deadline: limit,
                reached: reached.collect(),
                permits: Semaphore::new(MAX_CONCURRENT),
            };
            launch.run().await?;
            let now = Members::to_start(self.engine.list(&self.name).await?);
            let broken = match ProjectState::of(&now, &plan.services()) {
                ProjectState::Running => return Ok(()),
                ProjectState::Unclear { what } => {
                    what.iter().for_each(|what| tracing::warn!("{what}"));
                    return Ok(());
                }
                ProjectState::Broken { reason, .. } => format!("then: {reason}"),
                ProjectState::Absent | ProjectState::Stopped => {
                    "no container of it runs".to_owned()
                }
            };
            let project = format!("project {}", self.name);
            Err(DockerError::container(
                &project,
                format!("was started, and {broken}"),
            ))
        };
        self.by(deadline, "start", start).await
    }
}

impl Launch<'_> {
    /// Starts all containers. After an error it starts no more, but waits for the requests to Docker that are under
    /// way: otherwise a stop could overtake a start.
    async fn run(self) -> Result {
        // What others wait for comes first.
        let mut containers: Vec<usize> = (0..self.reached.len()).collect();
        containers.sort_by_key(|container| self.plan.order.depth(*container));
        let starts = containers.into_iter().map(|it| self.start_one(it));
        let mut starts: FuturesUnordered<_> = starts.collect();
        let mut errors = Vec::new();
        while let Some(outcome) = starts.next().await {
            if let Err(error) = outcome {
                self.permits.close();
                errors.push(error);
            }
            let nothing_under_way = self.permits.available_permits() == MAX_CONCURRENT;
            if self.permits.is_closed() && nothing_under_way {
                break;
            }
        }
        // Of the requests that were cut off at the deadline, only the containers' names matter.
        let all = errors.len();
        errors.retain(|error| !matches!(error, DockerError::OutOfTime { .. }));
        if errors.len() < all {
            errors.push(self.not_started());
        }
        DockerError::all(errors)
    }

    /// Starts a container when its dependencies are ready, and waits for what others need of it. Ends early if one fails.
    async fn start_one(&self, at: usize) -> Result {
        let Launch { plan, reached, .. } = self;
        let task = self.project.task(&plan.containers[at], self.deadline);
        let found = &plan.found[at];
        if !self.work(task.never_restart(found)).await? {
            return Ok(());
        }
        if self.is_done(at) {
            reached[at].send_replace(vec![Condition::Started, Condition::CompletedSuccessfully]);
            return Ok(());
        }
        for (needed, condition) in plan.order.needs(at) {
            let mut needed = reached[*needed].subscribe();
            // This cannot fail: the senders live as long as `self`.
            let _ = needed.wait_for(|it| it.contains(condition)).await;
        }
        let bring_up = async {
            task.bring_up(found.clone()).await?;
            reached[at].send_modify(|it| it.push(Condition::Started));
            Ok(())
        };
        if !self.work(bring_up).await? {
            return Ok(());
        }
        for condition in [Condition::Healthy, Condition::CompletedSuccessfully] {
            if plan.order.is_awaited(at, condition) {
                task.wait_for(condition).await?;
                reached[at].send_modify(|it| it.push(condition));
            }
        }
        Ok(())
    }

    /// Has Docker do some work. Returns whether the start goes on: no container has failed.
    async fn work(&self, work: impl Future<Output = Result>) -> Result<bool> {
        let Ok(permit) = self.permits.acquire().await else {
            return Ok(false);
        };
        work.await?;
        drop(permit);
        Ok(!self.permits.is_closed())
    }

    /// Whether a container has completed its work for others that all run already. It is not run again.
    fn is_done(&self, at: usize) -> bool {
        let (containers, order) = (&self.plan.containers, &self.plan.order);
        let runs = |other: usize| containers[other].state == RunState::Running;
        order.is_awaited(at, Condition::CompletedSuccessfully)
            && containers[at].completed()
            && order.needed_by(at).all(runs)
    }

    fn not_started(&self) -> DockerError {
        let all = self.plan.containers.iter().zip(&self.reached);
        let not_started = all.filter(|(_, it)| !it.borrow().contains(&Condition::Started));
        DockerError::NotStarted(not_started.map(|(it, _)| it.name.clone()).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use serde_json::{Value, json};

    use super::*;

    /// A Docker that answers the first line of a request.
    fn docker(socket: &Path, answer: impl Fn(&str) -> (u16, Value) + Clone + Send + 'static) {
        let listener = UnixListener::bind(socket).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let answer = answer.clone();
                std::thread::spawn(move || exchange(stream.unwrap(), &answer));
            }
        });
    }

    fn exchange(stream: UnixStream, answer: &dyn Fn(&str) -> (u16, Value)) {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap() > 0 {}
        let length = head.to_lowercase();
        let length = length.split("content-length: ").nth(1);
        let length: usize = length.map_or(0, |it| it.lines().next().unwrap().parse().unwrap());
        stream.read_exact(&mut vec![0; length]).unwrap();
        let (status, body) = if head.contains("/version ") {
            (200, json!({ "Version": "28.0.0", "ApiVersion": "1.48" }))
        } else {
            answer(&head)
        };
        let body = body.to_string();
        let length = body.len();
        write!(
            stream.get_mut(),
            "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
    }

    fn listed(service: &str, state: &str, needs: &str) -> Value {
        json!({
            "Id": service, "Names": [format!("/{service}")], "State": state,
            "Labels": {
                "com.docker.compose.service": service,
                "com.docker.compose.depends_on": needs,
            },
        })
    }

    /// A Docker with the containers `front` and `back`. It refuses the first command about `back`, and takes a while
    /// for those about `front`, which waits for `back`.
    fn front_and_back(head: &str) -> (u16, Value) {
        if head.contains("/containers/json?") {
            let back = listed("back", "created", "");
            let front = listed("front", "created", "back:service_started:false");
            (200, json!([front, back]))
        } else if head.contains("/json ") {
            let restart = json!({ "RestartPolicy": { "Name": "always" } });
            (
                200,
                json!({ "State": { "Status": "created" }, "HostConfig": restart }),
            )
        } else if head.contains("/containers/back/") {
            (409, json!({ "message": "not now" }))
        } else {
            std::thread::sleep(Duration::from_millis(300));
            (200, Value::Null)
        }
    }

    /// As after a stop without Docker: the process is gone, and Docker says so when it was asked three times.
    #[tokio::test(flavor = "current_thread")]
    async fn a_container_whose_end_docker_has_not_noticed_yet_is_started() {
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let gone = gone.id();
        let asked = Arc::new(AtomicUsize::new(0));
        let started = Arc::new(AtomicBool::new(false));
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let begun = Arc::clone(&started);
        docker(&socket, move |head| {
            if head.contains("/containers/database/json ") {
                asked.fetch_add(1, Ordering::SeqCst);
            }
            let knows = asked.load(Ordering::SeqCst) > 3;
            let (word, process) = match (begun.load(Ordering::SeqCst), knows) {
                (true, _) => ("running", std::process::id()),
                (false, true) => ("exited", 0),
                (false, false) => ("running", gone),
            };
            if head.contains("/containers/json?") {
                (200, json!([listed("database", word, "")]))
            } else if head.contains("/json ") {
                let state = json!({ "Status": word, "Pid": process });
                (200, json!({ "State": state, "HostConfig": {} }))
            } else {
                begun.store(true, Ordering::SeqCst);
                assert!(head.contains("/containers/database/start"), "{head}");
                (204, Value::Null)
            }
        });
        let project = Project::connect(&socket, "portsip").await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let plan = project.plan(deadline).await.unwrap();
        project
            .start(&plan, Duration::ZERO, deadline)
            .await
            .unwrap();
        assert!(started.load(Ordering::SeqCst), "nothing was started");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_start_that_has_failed_ends_when_docker_has_answered_what_is_under_way() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        docker(&socket, front_and_back);
        let project = Project::connect(&socket, "portsip").await.unwrap();
        let began = Instant::now();
        let deadline = began + Duration::from_secs(60);
        let plan = project.plan(deadline).await.unwrap();
        let started = project.start(&plan, Duration::ZERO, deadline).await;
        let said = started.unwrap_err().to_string();
        assert_eq!(
            said,
            "cannot set the restart policy of back to no: Docker says: not now (409)"
        );
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(300), "front is under way");
        assert!(took < Duration::from_secs(30), "{took:?}");
    }
}
