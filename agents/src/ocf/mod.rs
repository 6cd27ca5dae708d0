//! The contract between Pacemaker and an agent: arguments, parameters, meta-data, exit codes,
//! reasons and deadlines. An agent implements `Agent` and knows nothing of these.

pub(crate) mod deadline;
mod exit;
mod log;
mod meta_data;
pub mod params;
mod state_file;
mod supervise;

use std::ffi::OsStr;
use std::io::Write;
use std::time::{Duration, Instant};

pub use exit::{Exit, Failure, Health};
pub use state_file::StateFile;
pub use supervise::Steps;

use ec2::Deadline;
use params::{Parameters, Reader};

/// What an agent says about itself.
#[derive(Debug)]
pub struct Description {
    /// Its name, which is also the name of its file.
    pub name: &'static str,
    /// A few words.
    pub short: &'static str,
    /// All that one needs to know before using it.
    pub long: &'static str,
    /// The operations that the meta-data advises, with their timeouts.
    pub actions: &'static [Advice],
}

/// An advised operation.
#[derive(Debug, Clone, Copy)]
pub struct Advice {
    name: &'static str,
    timeout: u32,
    interval: Option<u32>,
    depth: Option<u32>,
}

impl Advice {
    /// An action and its timeout in seconds.
    pub const fn timeout(name: &'static str, timeout: u32) -> Self {
        Self {
            name,
            timeout,
            interval: None,
            depth: None,
        }
    }

    /// A monitor of a depth (`OCF_CHECK_LEVEL`), its timeout and its interval in seconds.
    pub const fn monitor(depth: u32, timeout: u32, interval: u32) -> Self {
        Self {
            name: "monitor",
            timeout,
            interval: Some(interval),
            depth: Some(depth),
        }
    }
}

/// What an agent does. The operations of one resource never overlap.
pub trait Agent: Sized {
    /// What it says about itself.
    const DESCRIPTION: Description;
    /// Its parameters.
    type Parameters: Parameters;

    /// The agent for one call.
    fn new(parameters: Self::Parameters, call: Call) -> Self;

    /// Starts the resource; success if it runs already.
    ///
    /// # Errors
    /// Why the resource does not run here now.
    fn start(&self) -> Result<(), Failure>;
    /// Stops the resource; success if it does not run.
    ///
    /// # Errors
    /// Why the resource may still run here.
    fn stop(&self) -> Result<(), Failure>;
    /// Checks whether the resource runs. A probe asks this on a node where the resource may never have run.
    ///
    /// # Errors
    /// What could not be found out, where nothing on this node says that the resource runs.
    fn monitor(&self) -> Result<Health, Failure>;
    /// Checks, from level 10 on, that the resource could run here. The parameters are checked at any level.
    ///
    /// # Errors
    /// Why the resource could not run.
    fn validate(&self) -> Result<(), Failure>;
}

/// From this `OCF_CHECK_LEVEL` on, an agent also asks others: EC2, the disk, the PBX itself.
const IN_DEPTH: u32 = 10;

/// One call of the agent.
#[derive(Debug)]
pub struct Call {
    /// When it has to be over.
    pub deadline: Deadline,
    /// Whether it is a monitor outside of any interval: "does it run here?"
    pub probe: bool,
    /// `OCF_CHECK_LEVEL`.
    pub check_level: u32,
    /// The name of the resource in the cluster.
    pub resource: String,
    /// Where to say what is being done.
    pub steps: Steps,
}

impl Call {
    /// Whether the agent also asks others.
    pub fn in_depth(&self) -> bool {
        self.check_level >= IN_DEPTH
    }

    /// Runs `work` to its end. Most monitors only read a file or two and need no runtime, so not every call has one.
    ///
    /// # Errors
    /// Those of `work`, and when there can be no runtime.
    pub fn wait<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::generic(format!("start the runtime: {error}")))?;
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

/// The action that Pacemaker calls instead of a stop and a start when only reloadable parameters have changed. It does
/// so only where the meta-data lists the action.
const RELOAD_AGENT: &str = "reload-agent";

/// Runs the agent as the command line and the environment say.
pub fn main<A: Agent>() -> std::process::ExitCode {
    let started = Instant::now();
    let argument = std::env::args().nth(1).unwrap_or_default();
    let action = match argument.as_str() {
        "start" => Action::Start,
        "stop" => Action::Stop,
        "monitor" | "status" => Action::Monitor,
        RELOAD_AGENT => Action::ReloadAgent,
        "validate-all" => Action::ValidateAll,
        "meta-data" => {
            let document = meta_data::document(&A::DESCRIPTION, A::Parameters::DECLARED);
            return print(&document).into();
        }
        "usage" | "help" | "--help" | "-h" => {
            return print(&usage(&A::DESCRIPTION)).into();
        }
        "" => return end(Exit::Arguments, Some(&usage(&A::DESCRIPTION))).into(),
        other => {
            let reason = format!("{} has no action {other}", A::DESCRIPTION.name);
            return end(Exit::Unimplemented, Some(&reason)).into();
        }
    };
    run::<A>(action, started).into()
}

/// Ends a program whose name is not that of one of its agents.
pub fn misnamed(program: &OsStr, agents: &str) -> std::process::ExitCode {
    let program = program.display();
    let reason = format!("the program was called as '{program}'; its name has to be {agents}");
    end(Exit::Arguments, Some(&reason)).into()
}

fn usage(agent: &Description) -> String {
    format!(
        "usage: {} start|stop|monitor|reload-agent|validate-all|meta-data|usage\n\
         Parameters are read from OCF_RESKEY_*; `meta-data` lists them.",
        agent.name
    )
}

fn print(text: &str) -> u8 {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => Exit::Success.code(),
        Err(error) => end(Exit::Generic, Some(&format!("write to stdout: {error}"))),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str) -> Option<u64> {
    variable(name)?.parse().ok()
}

fn run<A: Agent>(action: Action, started: Instant) -> u8 {
    let resource =
        variable("OCF_RESOURCE_INSTANCE").unwrap_or_else(|| A::DESCRIPTION.name.to_owned());
    log::start(A::DESCRIPTION.name, &resource);
    let check_level = number("OCF_CHECK_LEVEL")
        .unwrap_or(0)
        .try_into()
        .unwrap_or(u32::MAX);
    // In milliseconds. If a person calls the agent, the timeout that the meta-data advises.
    let timeout = number("OCF_RESKEY_CRM_meta_timeout").map_or_else(
        || advised_timeout(&A::DESCRIPTION, action, check_level),
        Duration::from_millis,
    );
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
            return Exit::Success.code();
        }
        _ => return end(Exit::Configured, Some(&problems)),
    };
    // An agent keeps no parameters from one call to the next: a reload only says that they are well formed.
    let only_parameters = match action {
        Action::ReloadAgent => true,
        Action::ValidateAll => check_level < IN_DEPTH,
        Action::Start | Action::Stop | Action::Monitor => false,
    };
    if only_parameters {
        return Exit::Success.code();
    }
    supervise::supervised(deadline::of_supervisor(started, timeout), |steps| {
        let call = Call {
            deadline: deadline::of_action(started, timeout),
            probe: action == Action::Monitor
                && number("OCF_RESKEY_CRM_meta_interval").unwrap_or(0) == 0,
            check_level,
            resource,
            steps,
        };
        act(&A::new(parameters, call), action)
    })
    .unwrap_or_else(|failure| end(failure.exit, Some(&failure.reason)))
}

/// What the meta-data advises for an action.
fn advised_timeout(agent: &Description, action: Action, check_level: u32) -> Duration {
    let name = match action {
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Monitor => "monitor",
        Action::ReloadAgent => RELOAD_AGENT,
        Action::ValidateAll => "validate-all",
    };
    let advised = agent.actions.iter().chain(meta_data::ALWAYS);
    let advised = advised.filter(|it| it.name == name && it.depth.unwrap_or(0) <= check_level);
    let seconds = advised.map(|it| it.timeout).max().unwrap_or(20);
    Duration::from_secs(seconds.into())
}

/// Runs the action in this process and returns the exit code.
fn act<A: Agent>(agent: &A, action: Action) -> u8 {
    let done = match action {
        Action::Start => agent.start(),
        Action::Stop => agent.stop(),
        Action::ReloadAgent => Ok(()),
        Action::ValidateAll => agent.validate(),
        Action::Monitor => match agent.monitor() {
            Ok(health) => {
                let (exit, reason) = health.outcome();
                return end(exit, reason.as_deref());
            }
            Err(failure) => Err(failure),
        },
    };
    match done {
        Ok(()) => end(Exit::Success, None),
        Err(failure) => end(failure.exit, Some(&failure.reason)),
    }
}

fn end(exit: Exit, reason: Option<&str>) -> u8 {
    if let Some(reason) = reason {
        log::exit_reason(exit, reason);
    }
    exit.code()
}
