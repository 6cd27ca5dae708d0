//! Pacemaker's scheduler, as crm_simulate lets one ask it: what is made to happen, and the
//! reading of what it would do then. Who runs it is the user's of this module.

use std::collections::BTreeSet;
use std::fmt;

use crate::xml::{Element, Error};

/// Who can ask the scheduler.
pub trait Scheduler: Sync {
    /// Why it could not be asked, or why the CIB that it left cannot be used.
    type Error: Send + From<Error>;

    /// What it does with a cluster in which something happens, and the cluster after that.
    fn ask(&self, cib: &str, events: &[Event]) -> Result<Transition, Self::Error>;
}

/// Something that happens to a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    NodeUp(String),
    /// A node leaves in good order.
    NodeDown(String),
    /// A node is lost.
    NodeFail(String),
    /// The nodes are a majority, or they are none.
    Quorum(bool),
    /// An operation has failed.
    Failed(Task),
    /// An operation will fail, should it be begun.
    WillFail(Task),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub resource: String,
    /// `start`, `monitor`.
    pub operation: String,
    /// Its interval in milliseconds.
    pub interval: u64,
    pub node: String,
    /// What it returns: an OCF exit code.
    pub code: u8,
}

impl Event {
    /// The option of crm_simulate that makes it happen.
    pub fn option(&self) -> String {
        match self {
            Event::NodeUp(node) => format!("--node-up={node}"),
            Event::NodeDown(node) => format!("--node-down={node}"),
            Event::NodeFail(node) => format!("--node-fail={node}"),
            Event::Quorum(quorum) => format!("--quorum={quorum}"),
            Event::Failed(task) => format!("--op-inject={task}"),
            Event::WillFail(task) => format!("--op-fail={task}"),
        }
    }
}

/// The arguments of crm_simulate: for a run that leaves what happens in the file `changed`, if
/// anything does, and for the run after that, which leaves the CIB after what the scheduler does
/// in `after`, and prints what [`Transition::read`] reads.
///
/// In one run Pacemaker 3.0.0 would print nothing more after the first thing that happens.
pub fn runs(
    events: &[Event],
    before: &str,
    changed: &str,
    after: &str,
) -> (Option<Vec<String>>, Vec<String>) {
    let (later, now): (Vec<&Event>, Vec<&Event>) =
        (events.iter()).partition(|event| matches!(event, Event::WillFail(_)));
    let run = |arguments: &[&str], events: &[&Event]| -> Vec<String> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        arguments.chain(events.iter().map(|e| e.option())).collect()
    };
    let happens = ["--xml-file", before, "--save-input", changed];
    let first = (!now.is_empty()).then(|| run(&happens, &now));
    let input = if first.is_some() { changed } else { before };
    let simulates = ["--simulate", "--output-as=xml", "--xml-file", input];
    let simulates = [&simulates[..], &["--save-output", after]].concat();
    (first, run(&simulates, &later))
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (resource, operation, interval) = (&self.resource, &self.operation, self.interval);
        write!(
            f,
            "{resource}_{operation}_{interval}@{}={}",
            self.node, self.code
        )
    }
}

/// What the scheduler does, and where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What is done, in the order in which it is done.
    pub actions: Vec<Action>,
    /// What is where before it, of what runs; what happens has happened then.
    pub before: Vec<Instance>,
    /// What is where after it, of all there is.
    pub after: Vec<Instance>,
    /// The nodes that are online after it.
    pub online: BTreeSet<String>,
    pub cib: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// An operation of a resource. Looking after it, and telling it of its peers, is none.
    Operation {
        resource: String,
        /// `start`, `stop`, `promote`, `demote`, `reload`.
        operation: String,
        node: String,
    },
    Fence {
        node: String,
        /// `off`, `reboot`.
        how: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    pub resource: String,
    /// `Started`, `Promoted`, `Unpromoted`, `Stopped`.
    pub role: String,
    /// Where, if it is anywhere.
    pub node: Option<String>,
    /// Whether the cluster has given it up: nothing is done about it any more.
    pub blocked: bool,
}

impl Transition {
    /// Reads what `crm_simulate --simulate --output-as=xml` printed, and the CIB that it left.
    pub fn read(printed: &str, cib: String) -> Result<Transition, Error> {
        let result = Element::parse_as(printed, "pacemaker-result")?;
        // Pacemaker 3.0 leaves it out when nothing is done.
        let done = result.children("transition").flat_map(|all| &all.children);
        let after = result.need("revised_cluster_status")?;
        let mut before = instances(result.need("cluster_status")?);
        before.retain(|instance| instance.node.is_some());
        let nodes = after.need("nodes")?.children("node");
        let online = nodes.filter(|node| node.is("online", "true"));
        Ok(Transition {
            actions: done.filter_map(action).collect(),
            before,
            after: instances(after),
            online: (online.filter_map(|node| node.get("name")))
                .map(str::to_owned)
                .collect(),
            cib,
        })
    }
}

fn action(element: &Element) -> Option<Action> {
    let own = |name| element.get(name).map(str::to_owned);
    match element.name.as_str() {
        "rsc_action" => {
            let operation = own("op")?;
            if matches!(operation.as_str(), "monitor" | "notify" | "cancel") {
                return None;
            }
            Some(Action::Operation {
                resource: primitive(element.get("resource")?).to_owned(),
                operation,
                node: own("node")?,
            })
        }
        "fencing_action" => Some(Action::Fence {
            node: own("target")?,
            how: own("op")?,
        }),
        _ => None,
    }
}

/// Instances of a clone are numbered as it happens: `drbd_devpath:1`.
fn primitive(resource: &str) -> &str {
    resource.split(':').next().unwrap_or(resource)
}

fn instances(status: &Element) -> Vec<Instance> {
    let mut found = Vec::new();
    for resource in status.all() {
        let (true, Some(id)) = (resource.name == "resource", resource.get("id")) else {
            continue;
        };
        let instance = |node: Option<&str>| Instance {
            resource: primitive(id).to_owned(),
            role: role(resource.get("role").unwrap_or_default()),
            node: node.map(str::to_owned),
            blocked: resource.is("blocked", "true"),
        };
        // An instance that was there for a moment is shown as an orphan that does not run.
        let orphan = resource.is("orphaned", "true") || resource.is("removed", "true");
        let nodes: Vec<&str> = (resource.children("node"))
            .filter_map(|node| node.get("name"))
            .collect();
        if nodes.is_empty() && !orphan {
            found.push(instance(None));
        }
        found.extend(nodes.into_iter().map(|node| instance(Some(node))));
    }
    found
}

/// Older releases have other words for the roles of a promotable resource.
fn role(role: &str) -> String {
    match role {
        "Master" => "Promoted",
        "Slave" => "Unpromoted",
        role => role,
    }
    .to_owned()
}

impl Action {
    /// The operation, the resource and the node; `None` for fencing.
    pub fn operation(&self) -> Option<(&str, &str, &str)> {
        let Action::Operation {
            resource,
            operation,
            node,
        } = self
        else {
            return None;
        };
        Some((operation, resource, node))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Operation {
                resource,
                operation,
                node,
            } => write!(f, "{operation} {resource} on {node}"),
            Action::Fence { node, how } => write!(f, "fence {node} ({how})"),
        }
    }
}

#[cfg(test)]
mod tests;
