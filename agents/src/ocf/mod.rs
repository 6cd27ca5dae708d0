//! The contract between Pacemaker and an agent: arguments, parameters, meta-data, exit codes, reasons and deadlines. An
//! agent implements `Agent` and knows nothing of these.

pub(crate) mod deadline;
mod exit;
mod log;
mod meta_data;
pub(crate) mod params;
mod state_file;
mod supervise;

use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ec2::Deadline;

pub(crate) use exit::{Exit, Failure, Health};
use params::{Parameters, Reader};
pub(crate) use state_file::StateFile;
pub(crate) use supervise::Steps;

pub(crate) struct Description {
    pub(crate) name: &'static str,
    pub(crate) short: &'static str,
    pub(crate) long: &'static str,
    pub(crate) actions: &'static [Advice],
}

/// An operation that the meta-data advises. Times are in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Advice {
    name: &'static str,
    timeout: u32,
    /// For a monitor, its depth (`OCF_CHECK_LEVEL`) and its interval.
    monitor: Option<(u32, u32)>,
}

impl Advice {
    pub(crate) const fn timeout(name: &'static str, timeout: u32) -> Self {
        let monitor = None;
        Self {
            name,
            timeout,
            monitor,
        }
    }

    pub(crate) const fn monitor(depth: u32, timeout: u32, interval: u32) -> Self {
        let monitor = Some((depth, interval));
        Self {
            name: "monitor",
            timeout,
            monitor,
        }
    }
}

/// What an agent does. The operations of one resource never overlap.
pub(crate) trait Agent: Sized {
    const DESCRIPTION: Description;
    type Parameters: Parameters;

    fn new(parameters: Self::Parameters, call: Call) -> Self;

    /// Starts the resource; success if it runs already. An error says why it does not run here now.
    fn start(&self) -> Result<(), Failure>;
    /// Stops the resource; success if it does not run. An error says why it may still run here.
    fn stop(&self) -> Result<(), Failure>;
    /// Checks whether the resource runs. A probe asks this on a node where the resource may never have run. An error says
    /// what could not be found out, where nothing on this node says that the resource runs.
    fn monitor(&self) -> Result<Health, Failure>;
    /// Checks, from level 10 on, that the resource could run here. The parameters are checked at any level.
    fn validate(&self) -> Result<(), Failure>;
}

/// From this `OCF_CHECK_LEVEL` on, an agent also asks others: EC2, the disk, the PBX itself.
const IN_DEPTH: u32 = 10;

pub(crate) struct Call {
    pub(crate) deadline: Deadline,
    /// Whether it is a monitor outside of any interval: "does it run here?"
    pub(crate) probe: bool,
    pub(crate) check_level: u32,
    pub(crate) resource: String,
    pub(crate) steps: Steps,
}

impl Call {
    pub(crate) fn in_depth(&self) -> bool {
        self.check_level >= IN_DEPTH
    }

    /// Runs `work` to its end. Most monitors only read a file or two and need no runtime, so not every call has one.
    pub(crate) fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::generic(format!("start the runtime: {error}")))?;
        let done = runtime.block_on(work);
        // Not dropped: a thread of the runtime that hangs would keep the process from ending.
        std::mem::forget(runtime);
        done
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Start,
    Stop,
    Monitor,
    ReloadAgent,
    ValidateAll,
}

/// What Pacemaker calls instead of a stop and a start when only reloadable parameters have changed.
const RELOAD_AGENT: &str = "reload-agent";

/// Runs the agent as the command line and the environment say.
pub(crate) fn main<A: Agent>() -> ExitCode {
    let started = Instant::now();
    let name = A::DESCRIPTION.name;
    let usage = format!(
        "usage: {name} start|stop|monitor|reload-agent|validate-all|meta-data|usage\n\
         Parameters are read from OCF_RESKEY_*; `meta-data` lists them."
    );
    let action = match std::env::args().nth(1).unwrap_or_default().as_str() {
        "start" => Action::Start,
        "stop" => Action::Stop,
        "monitor" | "status" => Action::Monitor,
        RELOAD_AGENT => Action::ReloadAgent,
        "validate-all" => Action::ValidateAll,
        "meta-data" => {
            return print(&meta_data::document(
                &A::DESCRIPTION,
                A::Parameters::DECLARED,
            ))
            .into();
        }
        "usage" | "help" | "--help" | "-h" => return print(&usage).into(),
        "" => return end(Err(Failure::new(Exit::Arguments, usage))).into(),
        other => {
            let reason = format!("{name} has no action {other}");
            return end(Err(Failure::new(Exit::Unimplemented, reason))).into();
        }
    };
    run::<A>(action, started).into()
}

/// Ends a program whose name is not that of one of its agents.
pub(crate) fn misnamed(program: &OsStr, agents: &str) -> ExitCode {
    let program = program.display();
    let reason = format!("the program was called as '{program}'; its name has to be {agents}");
    end(Err(Failure::new(Exit::Arguments, reason))).into()
}

fn print(text: &str) -> u8 {
    let written = writeln!(std::io::stdout(), "{text}");
    end(written.map_err(|error| Failure::generic(format!("write to stdout: {error}"))))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str) -> Option<u64> {
    variable(name)?.parse().ok()
}

fn run<A: Agent>(action: Action, started: Instant) -> u8 {
    let agent = &A::DESCRIPTION;
    let resource = variable("OCF_RESOURCE_INSTANCE").unwrap_or_else(|| agent.name.to_owned());
    log::start(agent.name, &resource);
    let check_level = number("OCF_CHECK_LEVEL").unwrap_or(0);
    let check_level = check_level.try_into().unwrap_or(u32::MAX);
    // In milliseconds. If a person calls the agent, the timeout that the meta-data advises.
    let timeout = number("OCF_RESKEY_CRM_meta_timeout").map(Duration::from_millis);
    let timeout = timeout.unwrap_or_else(|| advised_timeout(agent, action, check_level));
    let value = |name: &str| variable(&format!("OCF_RESKEY_{name}"));
    let mut reader = Reader::new(&value);
    let parameters = A::Parameters::read(&mut reader);
    let problems = reader.problems.join("; ");
    let parameters = match (parameters, action) {
        (Some(parameters), _) if problems.is_empty() => parameters,
        // What names the resource is known, and the rest has a default.
        (Some(parameters), Action::Stop) => {
            tracing::warn!("{problems}; stopping with the defaults");
            parameters
        }
        // Nothing can have been started under a name that is not valid.
        (None, Action::Stop) => {
            tracing::warn!("{problems}; so nothing can be running");
            return end(Ok(()));
        }
        _ => return end(Err(Failure::configured(problems))),
    };
    // An agent keeps no parameters from one call to the next: a reload only says that they are well formed.
    if action == Action::ReloadAgent || action == Action::ValidateAll && check_level < IN_DEPTH {
        return end(Ok(()));
    }
    let act = |steps| {
        let interval = number("OCF_RESKEY_CRM_meta_interval").unwrap_or(0);
        let call = Call {
            deadline: deadline::of_action(started, timeout),
            probe: action == Action::Monitor && interval == 0,
            check_level,
            resource,
            steps,
        };
        let agent = A::new(parameters, call);
        end(match action {
            Action::Start => agent.start(),
            Action::Stop => agent.stop(),
            Action::Monitor => agent.monitor().and_then(Health::outcome),
            Action::ReloadAgent | Action::ValidateAll => agent.validate(),
        })
    };
    let done = supervise::supervised(deadline::of_supervisor(started, timeout), act);
    done.unwrap_or_else(|failure| end(Err(failure)))
}

fn advised_timeout(agent: &Description, action: Action, check_level: u32) -> Duration {
    let name = match action {
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Monitor => "monitor",
        Action::ReloadAgent => RELOAD_AGENT,
        Action::ValidateAll => "validate-all",
    };
    let is_deeper = |it: &&Advice| it.monitor.is_some_and(|(depth, _)| depth > check_level);
    let advised = agent.actions.iter().chain(meta_data::ALWAYS);
    let advised = advised.filter(|it| it.name == name && !is_deeper(it));
    Duration::from_secs(advised.map(|it| it.timeout).max().unwrap_or(20).into())
}

/// Says why the action did not succeed, and returns the exit code.
fn end(done: Result<(), Failure>) -> u8 {
    let Err(Failure { exit, reason }) = done else {
        return Exit::Success as u8;
    };
    log::exit_reason(exit, &reason);
    exit as u8
}
