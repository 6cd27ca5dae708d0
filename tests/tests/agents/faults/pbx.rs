//! The pbx agent on a host with a real dockerd and the PBX stand-in, and what a test does to them.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lab::pbx::{self, Host};
use lab::site;
use tempfile::TempDir;

use super::table::Table;
use crate::node::{Answer, TIMEOUT, binaries};

/// Where the sockets of a false Docker are, on the host.
pub(crate) const FALSE_DOCKER: &str = "/run/false";

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

    /// `action` is `monitor`, or `monitor 10` for level 10.
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
                // What the fault left behind is not the next one's: a stuck Docker least of all.
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

    /// The Docker of the host, which stops a container when it is asked to and never gets to note that it
    /// has ended: what is asked of that container from then on gets no answer, and a list says what it said before.
    pub(crate) fn stuck_docker(&self, name: &str) -> String {
        let docker = self.host.engine.path("/run/docker.sock").unwrap();
        let listener = UnixListener::bind(self.sockets.path().join(name)).unwrap();
        let stuck = Arc::new(Mutex::new(Stuck::default()));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (docker, stuck) = (docker.clone(), Arc::clone(&stuck));
                std::thread::spawn(move || pass_on(stream, &docker, &stuck));
            }
        });
        format!("{FALSE_DOCKER}/{name}")
    }
}

/// What a stuck Docker does not answer to, and what it says instead of the truth.
#[derive(Default)]
struct Stuck {
    containers: BTreeSet<String>,
    list: Vec<u8>,
}

/// One request and, if it gets one, its answer.
fn pass_on(client: UnixStream, docker: &Path, stuck: &Mutex<Stuck>) -> Option<()> {
    let mut client = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (client.read_line(&mut head).ok()? > 0).then_some(())?;
    }
    let (line, fields) = head.split_once("\r\n")?;
    let asked = line.split_once("/containers/").and_then(|(_, rest)| {
        let end = rest.find([' ', '?']).unwrap_or(rest.len());
        rest[..end].split_once('/')
    });
    let is_list = line.contains("/containers/json");
    let (is_stuck, list) = {
        let stuck = stuck.lock().unwrap();
        let hidden = is_list && !stuck.containers.is_empty();
        let is_stuck = asked.is_some_and(|(id, _)| stuck.containers.contains(id));
        (is_stuck, hidden.then(|| stuck.list.clone()))
    };
    if let Some(list) = list {
        return client.get_mut().write_all(&list).ok();
    }
    if !is_stuck {
        let mut docker = UnixStream::connect(docker).ok()?;
        write!(docker, "{line}\r\nConnection: close\r\n{fields}").ok()?;
        let mut length = fields.lines().filter_map(|field| {
            let (name, value) = field.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse().ok())?
        });
        let body = length.next().unwrap_or(0);
        io::copy(&mut client.by_ref().take(body), &mut docker).ok()?;
        if let Some((id, "stop")) = asked {
            stuck.lock().unwrap().containers.insert(id.to_owned());
            io::copy(&mut docker, &mut io::sink()).ok()?;
        } else {
            let mut answer = Vec::new();
            docker.read_to_end(&mut answer).ok()?;
            client.get_mut().write_all(&answer).ok()?;
            if is_list {
                stuck.lock().unwrap().list = answer;
            }
            return Some(());
        }
    }
    // Until the one who asks gives up.
    io::copy(&mut client, &mut io::sink()).ok().map(drop)
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
        let script = format!("exec /agents/pbx {action}");
        let mut command = self.pbx.host.engine.command(&script).unwrap();
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("OCF_CHECK_LEVEL", level)
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
