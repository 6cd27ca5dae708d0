//! Taking over a cluster that the vendor's scripts made. Its resources have our names, and none of our
//! constraints. They are changed while the cluster is in maintenance mode, and each changed resource is probed
//! anew before maintenance ends: Pacemaker would restart a resource whose agent or parameters are not those of
//! its last operation.

use std::fmt;

use super::changes::parent;
use super::constraints::{NAMES, is_our_resource, is_replaced_by_ours};
use super::merge::{agent_of, find};
use super::pairs::{boolean, holds_always, pair, section, set_of, value};
use super::unmanaged::{MAINTENANCE, is_in_maintenance};
use crate::cluster::{Agent, Cluster, Primitive, Resource, owned};
use crate::scheduler::{Event, Instance, Task};
use crate::xml::Element;

/// The id of the property that a takeover sets: maintenance-mode, or one that Pacemaker does not know where the
/// user has set maintenance-mode. A run that finds it in maintenance mode goes on with the takeover.
const MARK: &str = "portsip-takeover";

/// Parameters that name something outside the cluster, which a running resource holds: changed in place, the
/// resource would leave the old thing behind.
const IDENTITIES: [(&str, &str); 11] = [
    ("eip", "allocation_id"),
    ("eip", "elastic_ip"),
    ("eip", "private_ip_address"),
    ("privip", "secondary_private_ip"),
    ("vip", "ip"),
    ("src_pkt_ip", "ipaddress"),
    ("ebs", "volume_id"),
    ("drbd_devpath", "drbd_resource"),
    ("datapath_fs", "directory"),
    ("pbx", "ip_address"),
    ("pbx", "data_path"),
];

/// What a takeover does beside the changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    /// The resources to probe anew.
    pub probed: Vec<String>,
    /// Whether an earlier run has begun the takeover and has not ended it.
    pub interrupted: bool,
}

impl Takeover {
    /// The takeover that a change of the configuration needs, if it does.
    pub(super) fn of(cluster: &Cluster, old: &Element, new: &Element) -> Option<Takeover> {
        let interrupted = is_begun(old);
        if !interrupted && !is_vendors(cluster, old) {
            return None;
        }
        let runs = |configuration, id: &str| {
            let primitive = find(configuration, id)?;
            let sets: Vec<&Element> = primitive.children("instance_attributes").collect();
            Some((agent_of(primitive), sets))
        };
        let differs = |id: &str| runs(old, id).is_some_and(|old| Some(old) != runs(new, id));
        let probed: Vec<String> = of_agents(cluster)
            .map(|primitive| primitive.id.clone())
            .filter(|id| interrupted || differs(id))
            .collect();
        (!probed.is_empty()).then_some(Takeover {
            probed,
            interrupted,
        })
    }

    /// A configuration with the cluster in maintenance mode. If the user has set that, it stays the user's.
    pub fn begin(&self, configuration: &Element) -> Element {
        let mut configuration = end(configuration);
        let is_users = is_in_maintenance(&configuration);
        let properties = configuration.child_or_new("crm_config");
        for set in &mut properties.children {
            let stays = is_users || !holds_always(set);
            set.children
                .retain(|pair| stays || !pair.is("name", MAINTENANCE));
        }
        let name = if is_users { MARK } else { MAINTENANCE };
        let set = set_of(properties, "cluster_property_set", "cib-bootstrap-options");
        set.children.push(pair(MARK, name, "true"));
        configuration
    }
}

/// A configuration, or a CIB, without what a takeover sets.
pub fn end(configuration: &Element) -> Element {
    let mut configuration = configuration.clone();
    configuration.each(&mut |element| element.children.retain(|pair| !pair.is("id", MARK)));
    configuration
}

/// Whether an earlier run has begun a takeover, and neither that run nor the user has ended it.
fn is_begun(configuration: &Element) -> bool {
    let properties = section(configuration, "crm_config").all();
    let mut marks = properties.into_iter().filter(|pair| pair.is("id", MARK));
    let is_true = |mark: &Element| mark.get("value").and_then(boolean) == Some(true);
    marks.any(is_true) && is_in_maintenance(configuration)
}

/// The resources that resource agents run.
fn of_agents(cluster: &Cluster) -> impl Iterator<Item = &Primitive> {
    cluster
        .primitives()
        .filter(|p| matches!(p.agent, Agent::Ocf { .. }))
}

/// A CIB whose status knows nothing of a resource on a node, as it is before a probe.
pub(super) fn before_probe(cib: &Element, probed: &Instance) -> Element {
    let mut cib = cib.clone();
    for state in &mut cib.child_or_new("status").children {
        if state.get("uname") == probed.node.as_deref() {
            state.each(&mut |element| {
                element.children.retain(|resource| {
                    let id = resource.get("id").unwrap_or_default().split(':').next();
                    resource.name != "lrm_resource" || id != Some(&probed.resource)
                });
            });
        }
    }
    cib
}

/// A probe that finds a resource as it ran. To crm_simulate, every result but "not running" is a failure.
pub(super) fn successful_probe(ran: &Instance) -> Event {
    Event::WillFail(Task {
        resource: ran.resource.clone(),
        operation: "monitor".to_owned(),
        interval: 0,
        node: ran.node.clone().unwrap_or_default(),
        // OCF_RUNNING_PROMOTED and OCF_SUCCESS
        code: if ran.role == "Promoted" { 8 } else { 0 },
    })
}

impl fmt::Display for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.interrupted {
            true => "an interrupted takeover goes on",
            false => "the vendor's cluster is taken over",
        };
        write!(
            f,
            "{what}: in maintenance mode, probed anew: {}. The takeover ends only if Pacemaker's scheduler then stops and \
             moves nothing that runs",
            self.probed.join(", ")
        )
    }
}

/// Whether a configuration has our resources and none of our constraints.
pub(super) fn is_vendors(cluster: &Cluster, configuration: &Element) -> bool {
    let constraints = section(configuration, "constraints").children.iter();
    let mut ids = constraints.filter_map(|constraint| constraint.get("id"));
    !ids.any(|id| owned::CONSTRAINTS.contains(&id))
        && of_agents(cluster).any(|p| find(configuration, &p.id).is_some())
}

/// Whether two agents do the same work: ours have the names of those that they replace.
pub(super) fn is_same_work(there: &str, wanted: &str) -> bool {
    let name = |agent: &str| agent.replace("ocf:heartbeat:", "ocf:portsip:");
    name(there) == name(wanted)
}

/// Brings the vendor's clone and groups to our form, and deletes the vendor's constraints that ours replace.
/// None of this restarts a resource: Pacemaker knows what runs by the id of the primitive.
pub(super) fn prepare(cluster: &Cluster, configuration: &mut Element) {
    if !is_begun(configuration) {
        *configuration = end(configuration);
    }
    for resource in &cluster.resources {
        if let Resource::Promotable(promotable) = resource
            && let Some(clone) = parent(configuration, &promotable.primitive.id)
            && let Some(old) = clone.get("id").map(str::to_owned)
        {
            configuration.each(&mut |element| rename_clone(element, &old, promotable.id));
        }
    }
    let is_ours = |one: &Element| is_our_resource(cluster, one.get("id").unwrap_or_default());
    let resources = configuration.child_or_new("resources");
    let mut dissolved = Vec::new();
    for one in std::mem::take(&mut resources.children) {
        if one.name == "group" && one.children("primitive").all(is_ours) {
            resources.children.extend(members(&one));
            dissolved.extend(one.get("id").map(str::to_owned));
        } else {
            resources.children.push(one);
        }
    }
    for group in dissolved {
        // The group is where pbx is.
        configuration.each(&mut |element| rename_references(element, &group, "pbx"));
    }
    if is_vendors(cluster, configuration) {
        let constraints = configuration.child_or_new("constraints");
        (constraints.children).retain(|constraint| !is_replaced_by_ours(cluster, constraint));
    }
}

/// The members of a group, with the meta attributes that each has from the group (`target-role`, `is-managed`).
fn members(group: &Element) -> impl Iterator<Item = Element> {
    const META: &str = "meta_attributes";
    group.children("primitive").map(|member| {
        let is_own = |pair: &Element| {
            pair.get("name")
                .is_some_and(|name| value(member, META, name).is_some())
        };
        let mut sets: Vec<Element> = group.children(META).cloned().collect();
        for set in &mut sets {
            set.children.retain(|pair| !is_own(pair));
        }
        sets.retain(|set| !set.children.is_empty() || set.get("id-ref").is_some());
        member.clone().with(sets)
    })
}

/// Pacemaker before 2.0 had an element and names of its own for a promotable clone.
fn rename_clone(element: &mut Element, old: &str, new: &str) {
    const OLD: [&str; 2] = ["master-max", "master-node-max"];
    rename_references(element, old, new);
    if matches!(element.name.as_str(), "clone" | "master") && element.is("id", old) {
        element.name = "clone".to_owned();
        element.set("id", new);
        for set in &mut element.children {
            (set.children).retain(|pair| !OLD.contains(&pair.get("name").unwrap_or_default()));
        }
    }
}

fn rename_references(element: &mut Element, old: &str, new: &str) {
    let names = match element.name.as_str() {
        "resource_ref" | "obj_ref" => &["id"][..],
        _ => &NAMES,
    };
    for name in names {
        if element.is(name, old) {
            element.set(name, new);
        }
    }
}

/// Refusals: what our resources hold in the vendor's cluster, and vars.yml says otherwise.
pub(super) fn other_values(cluster: &Cluster, configuration: &Element) -> Vec<String> {
    if !is_vendors(cluster, configuration) {
        return Vec::new();
    }
    let other = |(id, name): (&str, &str)| {
        let model = cluster.primitives().find(|primitive| primitive.id == id)?;
        let wanted = model
            .parameters
            .iter()
            .find(|parameter| parameter.name == name)?;
        let wanted = &wanted.value;
        let runs = value(find(configuration, id)?, "instance_attributes", name)?;
        (runs != wanted).then(|| {
            format!(
                "{id} runs with {name} {runs}, and vars.yml makes that {wanted}: the takeover leaves what runs \
                 as it is\n  help: write into vars.yml what runs, take the cluster over, and change it then"
            )
        })
    };
    IDENTITIES.into_iter().filter_map(other).collect()
}
