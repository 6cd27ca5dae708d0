//! The pbx agent on a host with a real dockerd and the PBX stand-in, and what a test does to them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::pbx::{self, Host};
use lab::site;
use tempfile::TempDir;

use super::table::Table;
use crate::node::{Answer, TIMEOUT, binaries};

/// Where the sockets of a false Docker are, on the host.
pub(crate) const FALSE_DOCKER: &str = "/run/false";

/// Where commands stand in for Pacemaker's, on the host. Without one, Pacemaker's own tell that no cluster runs.
const PACEMAKER: &str = "/run/pacemaker-double";

pub(crate) struct Pbx {
    pub(crate) host: Host,
    sockets: TempDir,
}

/// A call that is under way.
pub(crate) struct Running {
    pub(crate) child: Child,
    began: Instant,
    timeout: Duration,
}

/// A call of the agent.
pub(crate) struct Call<'a> {
    pbx: &'a Pbx,
    action: &'a str,
    timeout: Duration,
    parameters: Vec<(&'a str, String)>,
}

impl Pbx {
    /// Containers made, volume mounted, nothing running.
    pub(crate) fn new() -> Self {
        let sockets = tempfile::tempdir().unwrap();
        let binds = [
            format!("{}:/agents", binaries().display()),
            format!("{}:{FALSE_DOCKER}", sockets.path().display()),
        ];
        Self {
            host: Host::initialised(&binds).unwrap(),
            sockets,
        }
    }

    /// `action` is `monitor`, or `monitor 10` for level 10. A monitor has an interval, and a `probe` has none.
    pub(crate) fn call<'a>(&'a self, action: &'a str) -> Call<'a> {
        Call {
            pbx: self,
            action,
            timeout: TIMEOUT,
            parameters: vec![("ip_address", site::VIP.to_string())],
        }
    }

    /// One row for each of `answers`: the action, its exit code, words of the reason.
    #[track_caller]
    pub(crate) fn rows(&self, table: &mut Table, fault: &str, answers: &[(&str, i32, &str)]) {
        for (action, code, meaning) in answers {
            let answer = self.call(action).run().expect(*code);
            table.row(fault, "pbx", action, &answer, meaning);
        }
    }

    /// Shows each fault to the agent, goes on after one that was not answered as it should be,
    /// and then fails.
    pub(crate) fn each(mut self, table: Table, faults: &[fn(&mut Self, &mut Table)]) {
        let mut table = table;
        let mut failed = 0;
        for fault in faults {
            let shown = AssertUnwindSafe(|| fault(&mut self, &mut table));
            if catch_unwind(shown).is_err() {
                failed += 1;
                // A new host, without what the fault left behind.
                self = Self::new();
            }
        }
        assert_eq!(failed, 0, "faults that are not answered as they should be");
        table.hold();
    }

    /// Containers as they were made, none running.
    pub(crate) fn renew(&self) {
        self.host.sh(&format!(
            "docker ps --all --quiet | xargs --no-run-if-empty docker rm --force >/dev/null; {}",
            pbx::CREATE_CONTAINERS
        ));
    }

    /// Puts `script` in the place of a container's program.
    pub(crate) fn replace(&self, container: &str, program: &str, script: &str) {
        self.host.sh(&format!(
            "printf '%s\\n' '#!/bin/sh' {script:?} >/run/program; chmod 755 /run/program; \
             docker cp /run/program {container}:/usr/local/bin/{program}"
        ));
    }

    /// Pacemaker manages the resource, does not manage it, or (`None`) does not run.
    pub(crate) fn pacemaker(&self, manages: Option<bool>) {
        self.host.sh(&match manages {
            None => format!("rm -rf {PACEMAKER}"),
            Some(managed) => format!(
                "mkdir -p {PACEMAKER}; printf '%s\n' '#!/bin/sh' \
                 'echo \"<pacemaker-result><resource id=\\\"pbx\\\" managed=\\\"{managed}\\\"/></pacemaker-result>\"' \
                 >{PACEMAKER}/crm_mon; chmod 755 {PACEMAKER}/crm_mon"
            ),
        });
    }

    /// Ends a container as a crash does: nobody asks Docker for it.
    pub(crate) fn crash(&self, container: &str) {
        self.host.sh(&format!(
            "kill -KILL $(docker inspect --format '{{{{.State.Pid}}}}' {container})"
        ));
        self.wait(container, "exited");
    }

    /// Waits until what `docker inspect` says of a container has `what` in it.
    #[track_caller]
    pub(crate) fn wait(&self, container: &str, what: &str) {
        self.wait_for(&format!(
            "docker inspect --format '{{{{json .State}}}}' {container} | grep -q '{what}'"
        ));
    }

    /// Waits until a shell script succeeds.
    #[track_caller]
    pub(crate) fn wait_for(&self, script: &str) {
        let end = Instant::now() + Duration::from_secs(40);
        while self.host.try_sh(script).is_err() {
            assert!(Instant::now() < end, "waited in vain for {script}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A Docker that answers each request with `answer`, and never if there is none.
    pub(crate) fn false_docker(&self, name: &str, answer: Option<&'static str>) -> String {
        let listener = UnixListener::bind(self.sockets.path().join(name)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(stream, answer));
            }
        });
        format!("{FALSE_DOCKER}/{name}")
    }

    /// The Docker of the host, which says that it has another version.
    pub(crate) fn docker_of_version(&self, name: &str, version: &'static str) -> String {
        let docker = self.host.engine.path("/run/docker.sock").unwrap();
        let listener = UnixListener::bind(self.sockets.path().join(name)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let docker = docker.clone();
                std::thread::spawn(move || pass_on(stream, &docker, version));
            }
        });
        format!("{FALSE_DOCKER}/{name}")
    }
}

/// Answers a question for the version, and passes any other request on to Docker.
fn pass_on(client: UnixStream, docker: &Path, version: &str) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let mut line = String::new();
    client.read_line(&mut line)?;
    if line.contains("/version ") {
        let body = format!(r#"{{"Version":"{version}","ApiVersion":"1.41"}}"#);
        let length = body.len();
        return write!(
            client.get_mut(),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
    }
    let mut docker = UnixStream::connect(docker)?;
    write!(docker, "{line}Connection: close\r\n")?;
    let mut answers = docker.try_clone()?;
    let mut to_client = client.get_ref().try_clone()?;
    // Ends when the connection is shut down below.
    std::thread::spawn(move || io::copy(&mut client, &mut docker));
    io::copy(&mut answers, &mut to_client)?;
    to_client.shutdown(std::net::Shutdown::Both)
}

impl<'a> Call<'a> {
    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    pub(crate) fn parameter(mut self, name: &'a str, value: &str) -> Self {
        self.parameters.retain(|(old, _)| *old != name);
        self.parameters.push((name, value.to_owned()));
        self
    }

    fn command(&self) -> Command {
        let (action, level) = self.action.split_once(' ').unwrap_or((self.action, "0"));
        let (action, interval) = match action {
            "monitor" => (action, "10000"),
            "probe" => ("monitor", "0"),
            other => (other, "0"),
        };
        let script = format!("exec /agents/pbx {action}");
        let mut command = self.pbx.host.engine.command(&script).unwrap();
        command
            .env_clear()
            .env("PATH", format!("{PACEMAKER}:/usr/sbin:/usr/bin:/sbin:/bin"))
            .env("OCF_CHECK_LEVEL", level)
            .env("OCF_RESKEY_CRM_meta_interval", interval)
            .env(
                "OCF_RESKEY_CRM_meta_timeout",
                self.timeout.as_millis().to_string(),
            );
        for (name, value) in &self.parameters {
            command.env(format!("OCF_RESKEY_{name}"), value);
        }
        command
    }

    pub(crate) fn run(self) -> Answer {
        self.spawn().answer()
    }

    pub(crate) fn spawn(self) -> Running {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running {
            began: Instant::now(),
            child: command.spawn().unwrap(),
            timeout: self.timeout,
        }
    }
}

impl Running {
    pub(crate) fn answer(self) -> Answer {
        let output = self.child.wait_with_output().unwrap();
        Answer::of(output, self.began, self.timeout)
    }
}

fn serve(mut stream: UnixStream, answer: Option<&str>) {
    let mut request = [0; 4096];
    while stream.read(&mut request).is_ok_and(|length| length > 0) {
        if answer.is_some_and(|answer| answer.is_empty() || write!(stream, "{answer}").is_err()) {
            return;
        }
    }
}
