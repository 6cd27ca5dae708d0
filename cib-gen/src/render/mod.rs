//! Renderings of a [`crate::Cluster`]. A rendering decides nothing: it only writes down.

mod cib;
mod pcs;
mod shell;

pub use cib::cib;
pub use pcs::pcs;

use crate::cluster::{Action, Agent, ConstraintKind, OnFail, Operation};

/// The first words of every rendering.
fn heading() -> String {
    concat!("PortSIP HA, written by cib-gen ", env!("CARGO_PKG_VERSION")).to_owned()
}

/// The id that pcs gives an operation, so that both renderings have the same ids.
fn operation_id(resource: &str, operation: &Operation) -> String {
    let (name, interval) = action(operation.action);
    format!("{resource}-{name}-interval-{interval}")
}

/// An action's name and interval.
fn action(action: Action) -> (&'static str, String) {
    match action {
        Action::Start => ("start", "0s".to_owned()),
        Action::Stop => ("stop", "0s".to_owned()),
        Action::Monitor { interval } => ("monitor", format!("{interval}s")),
    }
}

/// An operation's attributes beside its name.
fn operation_options(operation: &Operation) -> Vec<(&'static str, String)> {
    let (_, interval) = action(operation.action);
    let mut options = vec![
        ("interval", interval),
        ("timeout", format!("{}s", operation.timeout)),
    ];
    match operation.on_fail {
        Some(OnFail::Ignore) => options.push(("on-fail", "ignore".to_owned())),
        None => {}
    }
    options
}

/// The agent as pcs and people write it.
fn agent_name(agent: Agent) -> String {
    match agent {
        Agent::Ocf { provider, name } => format!("ocf:{provider}:{name}"),
        Agent::Stonith { name } => format!("stonith:{name}"),
    }
}

/// The one option that each kind of constraint has.
fn constraint_option(kind: ConstraintKind) -> (&'static str, &'static str) {
    match kind {
        ConstraintKind::Together => ("score", "INFINITY"),
        ConstraintKind::InOrder => ("kind", "Mandatory"),
    }
}

#[cfg(test)]
mod tests;
