//! What goes to stderr: Pacemaker logs every line of it, and shows `ocf-exit-reason:` lines
//! beside a failed operation. Nothing else is written anywhere.

use std::io::Write;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sends our own messages to stderr, one per line with its level before it, as ocf_log does. `HA_debug` above 0
/// shows debug messages too. Libraries are heard from warnings on.
pub(super) fn start() {
    let debug = std::env::var("HA_debug").is_ok_and(|level| !matches!(level.as_str(), "" | "0"));
    let ours = if debug {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    let lines = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    // Fails only if there is one already, as in tests.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(
            Targets::new()
                .with_target("portsip_ha_agents", ours)
                .with_default(LevelFilter::ERROR),
        )
        .try_init();
}

/// Tells why the action ends as it does. A line, whatever is in `reason`.
pub(super) fn exit_reason(reason: &str) {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    // Not eprintln!, which panics when nobody reads.
    let _ = writeln!(std::io::stderr(), "ocf-exit-reason:{line}");
}
