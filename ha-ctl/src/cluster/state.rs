//! The cluster as `crm_mon --output-as=xml` of Pacemaker 2.1 and 3.0 describes it.

use cib_gen::xml::{Element, Error};
use serde::Serialize;

/// The cluster as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// The node that decides, if one was elected.
    pub dc: Option<String>,
    /// Whether this part of the cluster may run resources.
    pub quorum: bool,
    /// Pacemaker leaves everything as it is.
    pub maintenance: bool,
    /// A node that is lost is fenced.
    pub fencing: bool,
    /// All nodes, in Pacemaker's order.
    pub nodes: Vec<Member>,
    /// All resources, those of groups and clones too, in the order in which they are listed.
    pub resources: Vec<Resource>,
    /// Operations that failed and were not forgotten.
    pub failures: Vec<Failure>,
    /// Where a resource may not run any more, because it failed there.
    pub banned: Vec<Banned>,
    /// Nodes that were fenced, the latest first.
    pub fenced: Vec<Fencing>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(clippy::struct_excessive_bools)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// It is a member, and Pacemaker runs there.
    pub online: bool,
    /// It was told to run nothing.
    pub standby: bool,
    /// Pacemaker leaves it as it is.
    pub maintenance: bool,
    /// It joins, but has not finished.
    pub pending: bool,
    /// It is lost and not fenced yet.
    pub unclean: bool,
}

/// A resource, or one instance of a clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(clippy::struct_excessive_bools)]
pub struct Resource {
    /// Its name.
    pub id: String,
    /// `ocf:portsip:pbx`.
    pub agent: String,
    /// `Started`, `Stopped`, `Starting`, `Promoted` and so on.
    pub role: String,
    /// Where it is active.
    pub nodes: Vec<String>,
    /// Pacemaker may start and stop it.
    pub managed: bool,
    /// Its last operation failed.
    pub failed: bool,
    /// Pacemaker can do nothing more with it.
    pub blocked: bool,
    /// What it was told to be: `Stopped` where it was disabled.
    pub target_role: Option<String>,
    /// The clone that it is an instance of.
    pub clone: Option<String>,
}

/// An operation that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// `pbx_start_0`.
    pub operation: String,
    /// Where.
    pub node: String,
    /// What the agent said, or what Pacemaker calls it.
    pub reason: String,
    /// The agent's exit status.
    pub code: String,
    /// When.
    pub time: String,
    /// It runs, but not as well as it should: nothing is restarted for that.
    pub degraded: bool,
}

/// A resource that may not run on a node any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Banned {
    /// The resource.
    pub resource: String,
    /// The node.
    pub node: String,
}

/// A node was fenced, or somebody tried to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fencing {
    /// The node.
    pub node: String,
    /// Who did it.
    pub by: String,
    /// `success`, `failed` or `pending`.
    pub status: String,
    /// When, and why not.
    pub time: String,
    /// What the fence agent said, where it failed.
    pub reason: String,
}

/// The exit status of an agent whose resource runs, but not as well as it should (OCF 1.1). It is no failure.
const DEGRADED: [&str; 2] = ["190", "191"];
const INFINITY: u64 = 1_000_000;
/// Where these run is the active node.
const DECIDE: [&str; 2] = ["datapath_fs", "pbx"];

fn text(element: &Element, name: &str) -> String {
    element.get(name).unwrap_or_default().to_owned()
}

fn is(element: &Element, name: &str) -> bool {
    element.is(name, "true")
}

impl State {
    /// From what crm_mon printed.
    ///
    /// # Errors
    /// It is not what crm_mon prints.
    pub fn parse(xml: &str) -> Result<State, Error> {
        let result = Element::parse(xml.trim())?;
        let summary = result.need("summary")?;
        let dc = summary.child("current_dc").filter(|dc| is(dc, "present"));
        let options = summary.child("cluster_options");
        let list = |name| result.child(name).map_or(&[][..], |list| &list.children);
        let mut resources = Vec::new();
        collect(list("resources"), None, &mut resources);
        // A fencing device fences from any other node.
        let fences = |id: &str| {
            resources
                .iter()
                .any(|it: &Resource| it.is_fencing() && it.id == id)
        };
        let mut banned = banned(list("node_history"));
        banned.retain(|it| !fences(&it.resource));
        Ok(State {
            dc: dc.map(|dc| text(dc, "name")),
            quorum: dc.is_some_and(|dc| is(dc, "with_quorum")),
            maintenance: options.is_some_and(|options| is(options, "maintenance-mode")),
            fencing: options.is_some_and(|options| is(options, "stonith-enabled")),
            nodes: result.need("nodes")?.children("node").map(member).collect(),
            resources,
            failures: failures(list("failures")),
            banned,
            fenced: list("fence_history").iter().map(fencing).collect(),
        })
    }

    /// The node where the PBX's resources run: the vendor's "master". It is where the data is or the PBX runs, even
    /// where another resource is stuck elsewhere. It is known also where the PBX itself was stopped, and its data and
    /// addresses are still there.
    pub fn master(&self) -> Option<&str> {
        let runs = |id: &str| self.instances(id).find(|it| it.is_started());
        if let Some(decides) = DECIDE.iter().find_map(|id| runs(id)) {
            return decides.nodes.first().map(String::as_str);
        }
        let single = |resource: &&Resource| !resource.is_fencing() && resource.clone.is_none();
        let active = self.resources.iter().filter(single);
        let mut nodes = active
            .filter(|it| it.is_active())
            .map(|it| it.nodes.first());
        let first = nodes.next()??;
        nodes.all(|node| node == Some(first)).then_some(first)
    }

    /// The instances of a resource, or of a clone.
    pub fn instances<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Resource> {
        let named = move |it: &&Resource| it.id == id || it.clone.as_deref() == Some(id);
        self.resources.iter().filter(named)
    }

    /// Whether a node is away. What the cluster says of resources there is what it knew last.
    pub fn is_away(&self, name: &str) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.any(|node| node.name == name && (node.unclean || !node.online))
    }

    /// The nodes that have to be fenced. Until they are, the cluster starts nothing.
    pub fn unclean(&self) -> Vec<&str> {
        let unclean = self.nodes.iter().filter(|node| node.unclean);
        unclean.map(|node| node.name.as_str()).collect()
    }

    /// The nodes that are online, by name.
    pub fn online(&self) -> Vec<&str> {
        let online = self.nodes.iter().filter(|node| node.online);
        online.map(|node| node.name.as_str()).collect()
    }
}

impl Resource {
    /// Whether it is a fencing device, which runs nothing.
    pub fn is_fencing(&self) -> bool {
        self.agent.starts_with("stonith:")
    }

    /// Whether it runs, or is on its way up.
    pub fn is_active(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// Whether it runs, and nothing is on its way.
    pub fn is_started(&self) -> bool {
        ["Started", "Promoted", "Master"].contains(&self.role.as_str()) && self.is_active()
    }

    /// Whether it was told to be stopped.
    pub fn is_disabled(&self) -> bool {
        self.target_role.as_deref() == Some("Stopped")
    }
}

fn collect(elements: &[Element], clone: Option<&str>, found: &mut Vec<Resource>) {
    for element in elements {
        match element.name.as_str() {
            "resource" => found.push(resource(element, clone)),
            "clone" => collect(&element.children, element.get("id"), found),
            "group" | "bundle" | "replica" => collect(&element.children, clone, found),
            _ => {}
        }
    }
}

fn resource(element: &Element, clone: Option<&str>) -> Resource {
    Resource {
        id: text(element, "id"),
        agent: text(element, "resource_agent"),
        role: text(element, "role"),
        nodes: element
            .children("node")
            .map(|node| text(node, "name"))
            .collect(),
        managed: is(element, "managed"),
        failed: is(element, "failed"),
        blocked: is(element, "blocked"),
        target_role: element.get("target_role").map(str::to_owned),
        clone: clone.map(str::to_owned),
    }
}

fn member(element: &Element) -> Member {
    Member {
        name: text(element, "name"),
        online: is(element, "online"),
        standby: is(element, "standby"),
        maintenance: is(element, "maintenance"),
        pending: is(element, "pending"),
        unclean: is(element, "unclean"),
    }
}

fn failures(elements: &[Element]) -> Vec<Failure> {
    elements
        .iter()
        .map(|it| Failure {
            operation: text(it, "op_key"),
            node: text(it, "node"),
            reason: match it.get("exitreason").filter(|reason| !reason.is_empty()) {
                Some(reason) => reason.to_owned(),
                None => format!("{} ({})", text(it, "exitstatus"), text(it, "status")),
            },
            code: text(it, "exitcode"),
            time: text(it, "last-rc-change"),
            degraded: DEGRADED.contains(&it.get("exitcode").unwrap_or_default()),
        })
        .collect()
}

/// A resource that has failed on a node as often as its threshold allows.
fn banned(elements: &[Element]) -> Vec<Banned> {
    let mut banned = Vec::new();
    for node in elements {
        for history in node.children("resource_history") {
            let number = |name| {
                history.get(name).and_then(|it| match it {
                    "INFINITY" => Some(INFINITY),
                    number => number.parse::<u64>().ok(),
                })
            };
            let failed = number("fail-count").unwrap_or(0);
            let threshold = number("migration-threshold").unwrap_or(INFINITY);
            if failed > 0 && failed >= threshold.min(INFINITY) {
                banned.push(Banned {
                    resource: text(history, "id"),
                    node: text(node, "name"),
                });
            }
        }
    }
    banned
}

fn fencing(element: &Element) -> Fencing {
    let by = element.get("delegate").filter(|by| !by.is_empty());
    Fencing {
        node: text(element, "target"),
        by: by.map_or_else(|| text(element, "origin"), str::to_owned),
        status: text(element, "status"),
        time: text(element, "completed"),
        reason: text(element, "exit-reason"),
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
pub(crate) mod tests;
