//! Where an agent's messages go: to the system log under Pacemaker, which says so with
//! `HA_LOGFACILITY`, and to stderr when a person calls the agent. The reason for an exit goes to stderr in
//! both cases, since that is where Pacemaker reads it.

use std::ffi::CString;
use std::io::{self, Write};

use nix::syslog::{Facility, LogFlags, Priority, Severity, openlog, syslog};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::exit::Exit;
use super::variable;

/// Sends the messages of this project where they belong, and of libraries only errors.
pub(super) fn start(agent: &str, resource: &str) {
    let level = match wants_debug() {
        true => LevelFilter::DEBUG,
        false => LevelFilter::INFO,
    };
    let filter = Targets::new().with_default(LevelFilter::ERROR);
    let filter = filter.with_targets(["portsip_ha_agents", "ec2"].map(|it| (it, level)));
    let lines = tracing_subscriber::fmt::layer().without_time();
    let lines = lines.with_target(false).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    // These fail only if there is a subscriber already, as in tests.
    let _ = match SystemLog::of(agent, resource) {
        // The system log has a field for the level.
        Some(log) => registry
            .with(lines.with_level(false).with_writer(log))
            .try_init(),
        None => registry.with(lines.with_writer(io::stderr)).try_init(),
    };
}

/// Says why the action ends as it does, on one line.
pub(super) fn exit_reason(exit: Exit, reason: &str) {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    // Not eprintln!, which panics when nobody reads.
    let _ = writeln!(io::stderr(), "ocf-exit-reason:{line}");
    // A person who calls the agent would read it twice.
    if facility().is_some() {
        match exit {
            Exit::NotRunning => tracing::info!("not running: {line}"),
            Exit::Degraded => tracing::warn!("degraded: {line}"),
            _ => tracing::error!("{line}"),
        }
    }
}

/// Whether debug messages are wanted: by ocf-tester or a person with `HA_debug` above 0, or by
/// Pacemaker. Its `PCMK_debug` is a truth value or a list of the daemons that are to tell more, of
/// which the executor runs agents; Pacemaker 2.1.5 exports no `HA_debug` then.
fn wants_debug() -> bool {
    let by_hand = variable("HA_debug").is_some_and(|level| level != "0");
    let daemons = variable("PCMK_debug").unwrap_or_default();
    let mut daemons = daemons.split(',').map(|it| it.trim().to_ascii_lowercase());
    let wanted = ["yes", "true", "on", "y", "1", "pacemaker-execd"];
    by_hand || daemons.any(|daemon| wanted.contains(&daemon.as_str()))
}

/// The facility that Pacemaker logs to; none when Pacemaker does not log to the system log, or a person calls the agent.
fn facility() -> Option<Facility> {
    let name = variable("HA_LOGFACILITY")?;
    Some(match name.to_ascii_lowercase().as_str() {
        "none" | "off" | "false" => return None,
        "user" => Facility::LOG_USER,
        "local0" => Facility::LOG_LOCAL0,
        "local1" => Facility::LOG_LOCAL1,
        "local2" => Facility::LOG_LOCAL2,
        "local3" => Facility::LOG_LOCAL3,
        "local4" => Facility::LOG_LOCAL4,
        "local5" => Facility::LOG_LOCAL5,
        "local6" => Facility::LOG_LOCAL6,
        "local7" => Facility::LOG_LOCAL7,
        _ => Facility::LOG_DAEMON,
    })
}

struct SystemLog(Facility);

impl SystemLog {
    /// Lines in the log begin `awseip(eip)[812]:`, as those of the stock agents do.
    fn of(agent: &str, resource: &str) -> Option<Self> {
        let facility = facility()?;
        let name = CString::new(format!("{agent}({resource})")).ok()?;
        // openlog keeps the name; the process needs it to its end.
        let name = Box::leak(name.into_boxed_c_str());
        openlog(Some(name), LogFlags::LOG_PID, facility).ok()?;
        Some(Self(facility))
    }
}

impl<'a> MakeWriter<'a> for SystemLog {
    type Writer = Entry;

    fn make_writer(&'a self) -> Entry {
        Entry(Priority::new(Severity::LOG_INFO, self.0))
    }

    fn make_writer_for(&'a self, about: &tracing::Metadata<'_>) -> Entry {
        let severity = match *about.level() {
            Level::ERROR => Severity::LOG_ERR,
            Level::WARN => Severity::LOG_WARNING,
            Level::INFO => Severity::LOG_INFO,
            Level::DEBUG | Level::TRACE => Severity::LOG_DEBUG,
        };
        Entry(Priority::new(severity, self.0))
    }
}

/// A message for the system log, which comes in one write.
struct Entry(Priority);

impl Write for Entry {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        syslog(self.0, String::from_utf8_lossy(message).trim_end())?;
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
