//! pbx: the containers of the PBX as one resource: its parameters, its meta-data, and which file does what.

mod answers;
mod data;
mod monitor;
mod present;
mod service;
mod start;
mod start_record;
mod stop;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::docker::{DockerError, Project};
use crate::ocf::params::parameters;
use crate::ocf::{Advice, Agent, Call, Description, Failure, Health, StateFile};

use service::SipTransport;

parameters! {
    struct PbxParameters {
        project: String = default("portsip"), unique, "compose project",
            "The Docker Compose project whose containers are the PBX. They have to exist on every node: create them with `docker compose create --no-recreate`.";
        data_path: PathBuf = default("/var/lib/portsip"), "where the PBX keeps its data",
            "The directory with the data of the PBX. A start is refused unless the volume is mounted there: a PBX must not start on an empty directory of the root disk.";
        ip_address: Ipv4Addr = optional, "address to ask at level 10",
            "The virtual address. A monitor with OCF_CHECK_LEVEL=10 asks it for SIP and for the web portal, and a start waits for both to answer. Without it, neither is asked.";
        stop_grace: Duration = default("20"), reloadable, "seconds a container has to end",
            "How many seconds a container has to end after its stop signal, before it is killed. A container with a longer `stop_grace_period` in the compose file gets that time, as far as the timeout of the stop allows.";
        docker_socket: PathBuf = default("/var/run/docker.sock"), reloadable, "Docker's socket",
            "The socket of the Docker Engine.";
        sip_transport: SipTransport = default("udp"), reloadable, "how SIP is asked: udp, tcp, tls or none",
            "The transport over which SIP is asked. With udp and tcp, any answer to SIP OPTIONS counts; with tls, any answer to the beginning of a TLS handshake. With none, SIP is not asked: for a PBX without any of these transports.";
        sip_port: u16 = optional, reloadable, "SIP port",
            "The port of that transport. Without it, the port that PortSIP gives the transport: 5060 for udp, 5063 for tcp, 5061 for tls.";
        web_port: u16 = default("8887"), reloadable, "port of the web portal",
            "The TCP port of the web portal, which speaks TLS.";
        answer_wait: Duration = default("60"), reloadable, "seconds a start waits for answers",
            "How many seconds a start waits, after the containers run, until SIP and the web portal answer; never longer than its timeout allows. The log names what does not answer by then, and the start still succeeds: before the setup wizard of a new PBX has been completed, nothing listens on SIP. With 0 a start does not wait.";
    }
}

pub(super) struct Pbx {
    parameters: PbxParameters,
    call: Call,
    started: StateFile,
}

impl Agent for Pbx {
    const DESCRIPTION: Description = Description {
        name: "pbx",
        short: "PortSIP PBX in Docker containers",
        long: "Runs the containers of a Docker Compose project as one resource. A start sets the restart policy of every container to `no`, since Pacemaker decides where the PBX runs. It starts the containers in the order of their depends_on, waits for health where depends_on asks for it, and then waits for SIP and the web portal to answer. A start is refused while an image is older than the data, while containers were made for data elsewhere, or while another container can write the data. A stop works in the reverse order, and without Docker if Docker does not work; it succeeds only if nothing runs. The monitor asks the Docker Engine whether every container runs and none is unhealthy or paused. If one container has ended by itself and no other depends on it, a recurring monitor starts it again (190), once in ten minutes; anything else is a failure. With OCF_CHECK_LEVEL=10 the monitor also asks SIP and the web portal, and shows (190) which other containers keep the volume mounted on this node. A service that has answered since the start and does not answer any more is a failure; a service that has never answered since the start is shown (190) and not acted on. If Docker does not answer, the agent judges by the processes on the node. Of each service, only the newest container counts. A start needs Docker 20.10.27 or later.",
        actions: &[
            Advice::timeout("start", 300),
            Advice::timeout("stop", 180),
            Advice::monitor(0, 60, 10),
            Advice::monitor(10, 60, 30),
        ],
    };
    type Parameters = PbxParameters;

    fn new(parameters: PbxParameters, call: Call) -> Self {
        Self {
            parameters,
            started: StateFile::of(Self::DESCRIPTION.name, &call.resource),
            call,
        }
    }

    fn start(&self) -> Result<(), Failure> {
        self.call.wait(self.start_all())
    }

    fn stop(&self) -> Result<(), Failure> {
        self.call.wait(self.stop_all())
    }

    fn monitor(&self) -> Result<Health, Failure> {
        self.call.wait(async { Ok(self.monitor_all().await) })
    }

    fn validate(&self) -> Result<(), Failure> {
        let failed = |error: DockerError| Failure::installed(error.to_string());
        self.call
            .wait(async { self.could_run().await.map_err(failed) })
    }
}

impl Pbx {
    /// Whether the containers here could run, and were made for the address and the data of the resource.
    async fn could_run(&self) -> Result<(), DockerError> {
        let deadline = self.call.deadline;
        let PbxParameters {
            data_path,
            ip_address,
            ..
        } = &self.parameters;
        let project = self.connect(deadline.remaining()).await?;
        let plan = project.plan(deadline.end()).await?;
        let is_below = |it: &Path| data::is_below(it, data_path);
        let data = project.other_data(&plan, data_path, is_below).await?;
        let mut wrong = Vec::new();
        match plan.other_address(*ip_address) {
            Some(other) if other.may_lead_here => tracing::warn!("{}", other.message),
            other => wrong.extend(other.map(|it| it.message)),
        }
        wrong.extend(data);
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(DockerError::Unusable(wrong.join("; "))),
        }
    }

    /// Reaches Docker within `limit` and what is left of the time.
    async fn connect(&self, limit: Duration) -> Result<Project, DockerError> {
        let project = Project::connect(&self.parameters.docker_socket, &self.parameters.project);
        let limit = limit.min(self.call.deadline.remaining());
        self.within(limit, project).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, DockerError>>,
    ) -> Result<T, DockerError> {
        let done = tokio::time::timeout(limit, work).await;
        done.unwrap_or_else(|_| {
            let doing = "ask for the containers".to_owned();
            let socket = self.parameters.docker_socket.clone();
            let said = format!("no answer in {:.1} s", limit.as_secs_f64());
            Err(DockerError::Unreachable {
                doing,
                socket,
                said,
            })
        })
    }
}
