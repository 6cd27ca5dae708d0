//! Renderings of a [`crate::Cluster`]. A rendering decides nothing: it only writes down.

mod cib;
mod corosync;
mod drbd;
mod graph;
mod iam_policy;
mod json;
mod pcs;
mod security_group;
mod shell;

pub use cib::cib;
pub(crate) use cib::{SCHEMA, cib_element};
pub use corosync::{SAMPLE, corosync};
pub use drbd::drbd;
pub use graph::graph;
pub use iam_policy::{iam_policy, iam_policy_operator};
pub use json::json;
pub use pcs::pcs;
pub use security_group::{security_group, wanted_rules};

use crate::cluster::{Action, Agent, Cluster, ConstraintKind, OnFail, Operation, Setting, setting};
use crate::mistake::{Code, Mistake, Mistakes, Source};
use crate::site::Site;

/// The property that no node may see whose SBD does not run: its Pacemaker would stop at once.
pub(crate) const WATCHDOG_TIMEOUT: &str = "stonith-watchdog-timeout";

/// The set of resource defaults that is ours. The first one that pcs makes for a user has another id, and
/// may have a rule.
pub(crate) const DEFAULTS: &str = "portsip-defaults";

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A shell script of pcs commands for a new cluster, to be run as root on one node of it
    Pcs,
    /// CIB XML for cibadmin: the same cluster
    Cib,
    /// A shell script that makes the nodes a cluster, to be run as root on one node before
    Corosync,
    /// The DRBD resource file, for every node (LAN)
    Drbd,
    /// The IAM policy that the nodes need, and no more (AWS)
    IamPolicy,
    /// The IAM policy of who operates the cluster with ha-ctl, beside that of the nodes (AWS)
    IamPolicyOperator,
    /// A shell script that adds the inbound rules to the nodes' security group (AWS)
    SecurityGroup,
    /// A picture (SVG): the nodes, the resources, what starts after what, what moves together
    Graph,
    /// The model that all the others are written from, as JSON
    Json,
}

/// The rendering of a format.
/// An error says that the site has nothing of the kind, or that something is not known that it takes.
pub fn render(site: &Site, cluster: &Cluster, format: Format) -> Result<String, Mistakes> {
    Ok(match format {
        Format::Pcs => pcs(cluster),
        Format::Cib => cib(cluster),
        Format::Corosync => corosync(cluster),
        Format::Drbd => match &cluster.drbd {
            Some(resource) => drbd(resource, &cluster.warnings),
            None => {
                return Err(not_here(
                    "this site has no DRBD: on AWS the data is on an EBS volume",
                    "another --format, or the vars.yml of the LAN system",
                ));
            }
        },
        Format::IamPolicy => iam_policy(site)?,
        Format::IamPolicyOperator => iam_policy_operator(site)?,
        Format::SecurityGroup => security_group(site)?,
        Format::Graph => graph(site, cluster),
        Format::Json => json(site, cluster)?,
    })
}

/// A site that has nothing of the kind, or something that is not known.
fn not_here(found: &str, help: &str) -> Mistakes {
    let mistake = Mistake::elsewhere(Code::NotHere, found, help);
    Mistakes::new(Source::default(), vec![mistake])
}

/// The first words of every rendering.
fn heading() -> String {
    concat!("PortSIP HA, written by cib-gen ", env!("CARGO_PKG_VERSION")).to_owned()
}

/// A value as JSON, indented, with a newline at its end. Keys stand in the order of its types.
fn pretty(value: &impl serde::Serialize) -> Result<String, Mistakes> {
    let text = serde_json::to_string_pretty(value);
    // Only a map with keys that are no texts cannot be JSON.
    let text =
        text.map_err(|error| not_here(&error.to_string(), "report this mistake of cib-gen"))?;
    Ok(text + "\n")
}

/// The id that pcs gives an operation, so that both renderings have the same ids.
fn operation_id(resource: &str, operation: &Operation) -> String {
    let (name, interval) = action(operation.action);
    format!("{resource}-{name}-interval-{interval}")
}

/// An action's name and interval.
fn action(action: Action) -> (&'static str, String) {
    let once = |name| (name, "0s".to_owned());
    match action {
        Action::Start => once("start"),
        Action::Stop => once("stop"),
        Action::Promote => once("promote"),
        Action::Demote => once("demote"),
        Action::Notify => once("notify"),
        Action::Monitor { interval, .. } => ("monitor", format!("{interval}s")),
    }
}

fn operation_options(operation: &Operation) -> Vec<(&'static str, String)> {
    let (_, interval) = action(operation.action);
    let role = match operation.action {
        Action::Monitor { role, .. } => role.map(|role| ("role", format!("{role:?}"))),
        _ => None,
    };
    let on_fail = |OnFail::Ignore| ("on-fail", "ignore".to_owned());
    let timeout = ("timeout", format!("{}s", operation.timeout));
    let options = [("interval", interval), timeout].into_iter().chain(role);
    options.chain(operation.on_fail.map(on_fail)).collect()
}

/// The instance attribute of a monitor that says how thoroughly the agent checks.
fn check_level(operation: &Operation) -> Option<Setting> {
    match operation.action {
        Action::Monitor { level, .. } => Some(setting("OCF_CHECK_LEVEL", level?)),
        _ => None,
    }
}

/// The agent as pcs and people write it.
pub(crate) fn agent_name(agent: &Agent) -> String {
    match agent {
        Agent::Ocf { provider, name } => format!("ocf:{provider}:{name}"),
        Agent::Stonith { name } => format!("stonith:{name}"),
    }
}

/// The one option that each kind of constraint has.
fn constraint_option(kind: ConstraintKind) -> (&'static str, String) {
    match kind {
        ConstraintKind::Together => ("score", "INFINITY".to_owned()),
        ConstraintKind::Near { score } => ("score", score.to_string()),
        ConstraintKind::InOrder => ("kind", "Mandatory".to_owned()),
    }
}

/// How the sets of a constraint say that they are about promoted resources.
fn promoted_option(kind: ConstraintKind) -> (&'static str, &'static str) {
    match is_colocation(kind) {
        true => ("role", "Promoted"),
        false => ("action", "promote"),
    }
}

/// Whether constraints of a kind are about where resources run.
fn is_colocation(kind: ConstraintKind) -> bool {
    kind != ConstraintKind::InOrder
}

#[cfg(test)]
#[path = "tests/sites.rs"]
mod sites;
#[cfg(test)]
mod tests;
