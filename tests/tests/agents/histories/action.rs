//! One action of an agent on a node, as Pacemaker makes it, and its death at a chosen point.

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::machines::only_child;
use super::way::Which;
use super::world::World;
use crate::node::binaries;

/// How late a process may be on a busy machine.
const LATE: Duration = Duration::from_secs(10);

/// An agent, what it is to do and in which time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Action {
    pub(super) agent: &'static str,
    pub(super) name: &'static str,
    pub(super) timeout: Duration,
    /// `force_detach`.
    pub(super) force: bool,
    /// `OCF_CHECK_LEVEL`.
    pub(super) level: u32,
}

/// How an action comes to an end before its time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Death {
    pub(super) at: At,
    pub(super) of: Victim,
    pub(super) by: Signal,
}

/// When.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// At a call, which is lost too.
    Before(Which),
    /// At that call's answer: the call is carried out.
    After(Which),
    /// So many milliseconds after the start.
    Milliseconds(u64),
}

/// Which of its processes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Victim {
    /// The one that Pacemaker knows.
    Supervisor,
    /// The one that does the work.
    Worker,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Ended {
    /// An exit code, and what was said.
    Code(i32, String),
    /// It died, as planned or because the node lost its power.
    Died,
}

impl Ended {
    pub(super) fn is(&self, code: i32) -> bool {
        matches!(self, Self::Code(own, _) if *own == code)
    }
}

impl Death {
    /// Kills. `entered` is the process that entered the node's namespaces; its child is the supervisor,
    /// and that one's child the worker. Nothing if there is no such process yet; an error if the other
    /// goes on without the one that was killed.
    fn strike(self, entered: u32) -> Option<Result<(), String>> {
        let supervisor = only_child(entered)?;
        let worker = only_child(supervisor.as_raw().cast_unsigned());
        let victim = match self.of {
            Victim::Supervisor => supervisor,
            Victim::Worker => worker?,
        };
        kill(victim, self.by).ok()?;
        let end = Instant::now() + LATE;
        for process in [Some(supervisor), worker].into_iter().flatten() {
            while is_alive(process) {
                if Instant::now() > end {
                    return Some(Err(format!("a process of it goes on after {self:?}")));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Some(Ok(()))
    }
}

fn is_alive(process: Pid) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(')')
                .map(|(_, rest)| rest.trim().to_owned())
        })
        .is_some_and(|rest| !rest.starts_with(['Z', 'X']))
}

impl World {
    /// Makes an action to its end.
    pub(super) fn act(&self, node: usize, action: Action, death: Option<Death>) -> Ended {
        let machines = &self.site.machines;
        let boots = machines.boots(node);
        let program = binaries().join(action.agent);
        let Some(mut command) = machines.command(node, program.to_str().unwrap()) else {
            return Ended::Died;
        };
        command
            .arg(action.name)
            .env_clear()
            .envs(self.site.environment(node))
            .env("OCF_RESOURCE_INSTANCE", action.agent)
            .env("OCF_CHECK_LEVEL", action.level.to_string())
            .env("OCF_RESKEY_force_detach", action.force.to_string())
            .env(
                "OCF_RESKEY_CRM_meta_timeout",
                action.timeout.as_millis().to_string(),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !self.fenced {
            command.env_remove("OCF_RESKEY_cluster_instances");
        }
        let process = Arc::new(OnceLock::new());
        let struck = Arc::new(Mutex::new(Ok(())));
        if let Some(
            death @ Death {
                at: At::Before(call) | At::After(call),
                ..
            },
        ) = death
        {
            let (process, struck) = (Arc::clone(&process), Arc::clone(&struck));
            let lost = matches!(death.at, At::Before(_));
            self.ways.plan(node, call, lost, move || {
                if let Some(result) = process.get().and_then(|process| death.strike(*process)) {
                    *struck.lock().unwrap() = result;
                }
            });
        }
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        process.set(child.id()).unwrap();
        let mut soon = match death {
            Some(
                death @ Death {
                    at: At::Milliseconds(after),
                    ..
                },
            ) => Some((death, Duration::from_millis(after))),
            _ => None,
        };
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if let Some((death, _)) = soon.take_if(|(_, after)| began.elapsed() >= *after) {
                match death.strike(child.id()) {
                    Some(result) => *struck.lock().unwrap() = result,
                    // It has not got so far yet.
                    None => soon = Some((death, began.elapsed())),
                }
            }
            if began.elapsed() > action.timeout + LATE {
                machines.is_wrong(format!("{action:?} is not over when its time is"));
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        self.ways.unplan(node);
        if let Err(wrong) = &*struck.lock().unwrap() {
            machines.is_wrong(format!("{action:?}: {wrong}"));
        }
        match status.code() {
            Some(code) if machines.boots(node) == boots && machines.has_power(node) => {
                Ended::Code(code, said)
            }
            _ => Ended::Died,
        }
    }
}
