//! pbx: the containers of the PBX, as one resource. What it is; what it asks of whom is in the files beside.

mod answers;
mod leftover;
mod service;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::docker::{DockerError, OrderError, Project, ProjectState};
use crate::mounts;
use crate::ocf::params::parameters;
use crate::ocf::{Advice, Agent, Call, Description, Failure, Health, StateFile};

pub use service::SipTransport;

parameters! {
    /// The parameters of pbx.
    struct PbxParameters {
        project: String = default("portsip"), unique, "compose project",
            "The Docker Compose project whose containers are the PBX. They have to exist on every node (`docker compose create --no-recreate`).";
        data_path: PathBuf = default("/var/lib/portsip"), "where the PBX keeps its data",
            "The directory with the data of the PBX. A start is refused unless a file system of its own is mounted there: a PBX must not start on an empty directory of the root disk.";
        ip_address: Ipv4Addr = optional, "address to ask at level 10",
            "The virtual address. A monitor with OCF_CHECK_LEVEL=10 asks it for SIP and for the web portal, and a start waits for both to answer. Without it, neither is asked.";
        stop_grace: Duration = default("20"), reloadable, "seconds a container has to end",
            "How many seconds a container has to end after it was told to, before it is killed.";
        docker_socket: PathBuf = default("/var/run/docker.sock"), reloadable, "Docker's socket",
            "The socket of the Docker Engine.";
        sip_transport: SipTransport = default("udp"), reloadable, "how SIP is asked: udp, tcp, tls or none",
            "The transport over which SIP is asked. With udp and tcp, any answer to SIP OPTIONS will do; with tls, any answer to the beginning of a TLS handshake. With none, SIP is not asked: for a PBX without any of these transports.";
        sip_port: u16 = optional, reloadable, "SIP port",
            "The port of that transport. Without it, the port that PortSIP gives the transport: 5060 for udp, 5063 for tcp, 5061 for tls.";
        web_port: u16 = default("8887"), reloadable, "port of the web portal",
            "The TCP port of the web portal, which speaks TLS.";
        answer_wait: Duration = default("60"), reloadable, "seconds a start waits for answers",
            "How many seconds a start waits, after the containers run, until SIP and the web portal answer; never longer than its timeout allows. What does not answer by then is named in the log, and the start succeeds all the same: before the setup wizard of a new PBX has been completed, nothing listens on SIP. With 0 a start does not wait.";
    }
}

/// How often a start is tried again when Docker itself is at fault, and after what time.
const TRIES: u32 = 4;
const NEXT_TRY: Duration = Duration::from_secs(1);

/// How often Docker is looked for while it does not answer.
const DAEMON: Duration = Duration::from_millis(300);

/// The agent.
#[derive(Debug)]
pub struct Pbx {
    parameters: PbxParameters,
    call: Call,
    started: StateFile,
}

/// What is known since the last start, from one call to the next.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Started {
    /// The compose services that were started. Docker does not tell that a container was there once.
    services: Vec<String>,
    /// What has answered a start or a monitor. Earlier releases did not write it.
    #[serde(default)]
    answered: BTreeSet<String>,
}

impl Agent for Pbx {
    const DESCRIPTION: Description = Description {
        name: "pbx",
        short: "PortSIP PBX in Docker containers",
        long: "Runs the containers of a Docker Compose project as one resource. A start takes the restart policy from them, since Pacemaker decides where the PBX runs, and starts them in the order of their depends_on, waiting for health where it asks for that; then it waits for SIP and the web portal to answer. A stop goes the other way and succeeds only if nothing runs. The monitor asks the Docker Engine whether every container runs and none is unhealthy; with OCF_CHECK_LEVEL=10 it also asks SIP and the web portal. What has answered since the start and answers no more is a failure; what has never answered since the start is shown (190) and not acted on. If Docker does not answer, the agent judges by the processes on the node. A start needs Docker 20.10.27 or later.",
        actions: &[
            Advice::timeout("start", 300),
            Advice::timeout("stop", 180),
            Advice::monitor(0, 60, 10),
            Advice::monitor(10, 60, 30),
        ],
    };
    type Parameters = PbxParameters;

    fn new(parameters: PbxParameters, call: Call) -> Self {
        let started = StateFile::of(Self::DESCRIPTION.name, &call.resource);
        Self {
            parameters,
            call,
            started,
        }
    }

    fn start(&self) -> Result<(), Failure> {
        self.call.wait(self.start_all())
    }

    fn stop(&self) -> Result<(), Failure> {
        self.call.wait(self.stop_all())
    }

    fn monitor(&self) -> Result<Health, Failure> {
        self.call.wait(self.look_at_all())
    }

    fn validate(&self) -> Result<(), Failure> {
        self.call.wait(self.check_docker())
    }
}

impl Pbx {
    async fn start_all(&self) -> Result<(), Failure> {
        self.data_is_mounted()?;
        let deadline = self.call.deadline;
        self.call.steps.acting(&format!(
            "starting the containers of project {}",
            self.parameters.project
        ));
        let mut tries = TRIES;
        loop {
            let started = async { self.connect().await?.start(deadline.end()).await };
            match started.await {
                Ok(services) => {
                    tracing::info!("the containers of project {} run", self.parameters.project);
                    let mut started = Started {
                        services,
                        answered: BTreeSet::new(),
                    };
                    // Twice, because what answered before this start must not count if the wait is cut off.
                    self.note(&started);
                    started.answered = self.wait_for_answers().await;
                    self.note(&started);
                    return Ok(());
                }
                // At boot Docker may come up after Pacemaker. What runs already is left alone.
                Err(error) if error.is_unreachable() => {
                    if !deadline.sleep(DAEMON).await {
                        return Err(Failure::generic(error.to_string()));
                    }
                }
                Err(error) if error.is_internal() && tries > 0 => {
                    tracing::warn!("{error}; trying again");
                    tries -= 1;
                    if !deadline.sleep(NEXT_TRY).await {
                        return Err(Failure::generic(error.to_string()));
                    }
                }
                // Other nodes have a Docker and containers of their own.
                Err(
                    error @ (DockerError::TooOld { .. }
                    | DockerError::NoContainers { .. }
                    | DockerError::Order(OrderError::Unknown { .. })),
                ) => {
                    return Err(Failure::installed(error.to_string()));
                }
                Err(error @ DockerError::Order(_)) => {
                    return Err(Failure::configured(error.to_string()));
                }
                Err(error) => return Err(Failure::generic(error.to_string())),
            }
        }
    }

    async fn stop_all(&self) -> Result<(), Failure> {
        let deadline = self.call.deadline;
        self.call.steps.acting(&format!(
            "stopping the containers of project {}",
            self.parameters.project
        ));
        loop {
            let stopped = async {
                self.connect()
                    .await?
                    .stop(self.parameters.stop_grace, deadline.end())
                    .await
            };
            let Err(error) = stopped.await else {
                tracing::info!("no container of project {} runs", self.parameters.project);
                self.started.remove();
                return Ok(());
            };
            // Containers outlive a Docker daemon that was killed, so their processes count.
            let left = leftover::containers(&self.parameters.project);
            if left.is_empty() && !error.is_about_containers() {
                tracing::warn!("{error}; no process of a container is left on this node");
                self.started.remove();
                return Ok(());
            }
            // The daemon may come back. Containers that have stopped already are not stopped again.
            if !deadline.sleep(DAEMON).await {
                return Err(Failure::generic(match left.as_slice() {
                    [] => error.to_string(),
                    left => format!("{error}; processes of {} still run", leftover::names(left)),
                }));
            }
        }
    }

    async fn look_at_all(&self) -> Result<Health, Failure> {
        self.call.steps.doing("asking Docker for the containers");
        let started: Started = self.started.load().unwrap_or_default();
        // At level 10 others are asked too, the more so when Docker does not answer.
        let share = if self.call.in_depth() { 2 } else { 1 };
        let state = async { self.connect().await?.state(&started.services).await };
        let state = self.within(self.call.deadline.remaining() / share, state);
        let state = state.await;
        Ok(match state {
            Ok(ProjectState::Running) if self.call.in_depth() => self.ask_services(started).await,
            Ok(ProjectState::Running) => Health::Running,
            Ok(ProjectState::Absent) => Health::Stopped(format!(
                "there are no containers of project {} here",
                self.parameters.project
            )),
            Ok(ProjectState::Stopped) => Health::Stopped(format!(
                "no container of project {} runs",
                self.parameters.project
            )),
            Ok(ProjectState::Incomplete { missing }) => Health::Broken(removed(&missing)),
            Ok(ProjectState::Partly {
                running,
                not_running,
            }) => {
                let names: Vec<String> = not_running
                    .into_iter()
                    .map(|(name, how)| format!("{name} ({how})"))
                    .collect();
                Health::Broken(format!(
                    "{running} containers run, but not {}",
                    names.join(", ")
                ))
            }
            Ok(ProjectState::Unhealthy { names }) => {
                Health::Broken(format!("unhealthy: {}", names.join(", ")))
            }
            Err(error) => self.judge_by_processes(&error, started).await,
        })
    }

    /// What can be told when Docker tells nothing.
    async fn judge_by_processes(&self, error: &DockerError, started: Started) -> Health {
        let mut left = leftover::containers(&self.parameters.project);
        left.retain(|container| !container.one_off);
        if left.is_empty() {
            return Health::Stopped(format!(
                "{error}; no process of a container is on this node"
            ));
        }
        let seen = format!("{error}; but processes of {} run", leftover::names(&left));
        if !self.call.in_depth() {
            return Health::Degraded(seen);
        }
        match self.ask_services(started).await {
            Health::Broken(reason) => Health::Broken(format!("{error}; {reason}")),
            Health::Degraded(reason) => Health::Degraded(format!("{seen}; {reason}")),
            Health::Running | Health::Stopped(_) => Health::Degraded(seen),
        }
    }

    async fn check_docker(&self) -> Result<(), Failure> {
        let checked = async { self.connect().await?.validate().await };
        checked
            .await
            .map_err(|error| Failure::installed(error.to_string()))
    }

    async fn connect(&self) -> Result<Project, DockerError> {
        let project = Project::connect(&self.parameters.docker_socket, &self.parameters.project);
        self.within(self.call.deadline.remaining(), project).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, DockerError>>,
    ) -> Result<T, DockerError> {
        let done = tokio::time::timeout(limit, work).await;
        done.unwrap_or_else(|_| {
            Err(DockerError::Unreachable {
                doing: "ask for the containers".to_owned(),
                socket: self.parameters.docker_socket.clone(),
                said: format!("no answer in {:.1} s", limit.as_secs_f64()),
            })
        })
    }

    fn data_is_mounted(&self) -> Result<(), Failure> {
        let path = &self.parameters.data_path;
        let mounts = mounts::mounts()
            .map_err(|error| Failure::generic(format!("read the list of mounts: {error}")))?;
        // What links lead to is what is mounted. A path that is not there is caught below.
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let root = mounts::mounted_on(&mounts, std::path::Path::new("/"));
        match mounts::mounted_on(&mounts, &real) {
            Some(mount) if root.is_none_or(|root| root.device != mount.device) => Ok(()),
            Some(_) => Err(Failure::generic(format!(
                "what is mounted on {} is of the root disk: the volume has to be mounted there before the PBX starts",
                path.display()
            ))),
            None => Err(Failure::generic(format!(
                "nothing is mounted on {}: the volume has to be mounted there before the PBX starts",
                path.display()
            ))),
        }
    }

    /// Keeps it for the next call. Without the note a monitor sees less, and the PBX runs all the same.
    fn note(&self, started: &Started) {
        if let Err(failure) = self.started.save(started) {
            tracing::warn!("{failure}");
        }
    }
}

fn removed(services: &[String]) -> String {
    format!(
        "there is no container any more of {}: make it with `docker compose create --no-recreate`",
        services.join(", ")
    )
}
