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

/// Sends our own messages where they belong. Libraries are heard from errors on.
pub(super) fn start(agent: &str, resource: &str) {
    let ours = if wants_debug() {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    let heard = Targets::new()
        .with_target("portsip_ha_agents", ours)
        .with_target("ec2", ours)
        .with_default(LevelFilter::ERROR);
    let lines = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_ansi(false);
    // These fail only if there is a subscriber already, as in tests.
    let _ = match SystemLog::of(agent, resource) {
        // The system log has a field for the level.
        Some(log) => tracing_subscriber::registry()
            .with(lines.with_level(false).with_writer(log))
            .with(heard)
            .try_init(),
        None => tracing_subscriber::registry()
            .with(lines.with_writer(io::stderr))
            .with(heard)
            .try_init(),
    };
}

/// Tells why the action ends as it does. A line, whatever is in `reason`.
pub(super) fn exit_reason(exit: Exit, reason: &str) {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    // Not eprintln!, which panics when nobody reads.
    let _ = writeln!(io::stderr(), "ocf-exit-reason:{line}");
    // By hand it would stand there twice.
    if facility().is_some() {
        match exit {
            Exit::NotRunning => tracing::info!("not running: {line}"),
            Exit::Degraded => tracing::warn!("degraded: {line}"),
            _ => tracing::error!("{line}"),
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether debug messages are wanted: by ocf-tester or a person with `HA_debug` above 0, or by
/// Pacemaker. Its `PCMK_debug` is a truth value or a list of the daemons that are to tell more, of
/// which the executor runs agents; Pacemaker 2.1.5 exports no `HA_debug` then.
fn wants_debug() -> bool {
    let by_hand = variable("HA_debug").is_some_and(|level| level != "0");
    by_hand
        || variable("PCMK_debug").is_some_and(|daemons| {
            daemons.split(',').any(|daemon| {
                let daemon = daemon.trim().to_ascii_lowercase();
                matches!(
                    daemon.as_str(),
                    "yes" | "true" | "on" | "y" | "1" | "pacemaker-execd"
                )
            })
        })
}

/// The facility that Pacemaker logs to; none when it does not, or is not who calls.
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

/// The system log (syslog(3)).
struct SystemLog(Facility);

impl SystemLog {
    /// Lines there begin `awseip(eip)[812]:`, as those of the stock agents do.
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

/// A message on its way there. It comes in one write.
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
