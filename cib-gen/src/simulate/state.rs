//! The CIB of a simulation: what the cluster adds to its configuration when it runs, and what
//! crm_simulate, which runs no agent and waits for nothing, does not do by itself.

use super::tested::Tested;
use crate::apply::drbd_fencing::is_by_handler;
use crate::cluster::Cluster;
use crate::render;
use crate::xml::{Element, Error};

/// What ocf:linbit:drbd says of a copy of the data that is up to date, as the node attribute
/// `master-RESOURCE`. Pacemaker 2.1 and 3.0 read it by that name (`pcmk_promotion_score_name`).
const UP_TO_DATE: &str = "10000";

/// The configuration with its nodes online and nothing started: that of the cluster alone, or a CIB into which
/// the cluster is merged. Attributes of nodes are kept, since rules may test them. All copies of data are up to
/// date, so a constraint that DRBD has placed until then is gone.
pub(crate) fn fresh(cluster: &Cluster, merged: Option<&Element>) -> Element {
    let mut cib = merged.map_or_else(|| render::cib_element(cluster), Element::clone);
    cib.set("have-quorum", "1");
    let before = std::mem::take(&mut cib.child_or_new("status").children);
    let configuration = cib.child_or_new("configuration");
    if cluster.corosync.watchdog.is_some() {
        // Where SBD runs, the cluster itself writes the first; then whoever configures it the second.
        let timeout = (cluster.properties.iter()).find(|p| p.name == render::WATCHDOG_TIMEOUT);
        let timeout = timeout.map(|property| (property.name.as_str(), property.value.as_str()));
        let set = configuration
            .child_or_new("crm_config")
            .child_or_new("cluster_property_set");
        for (name, value) in [("have-watchdog", "true")].into_iter().chain(timeout) {
            if !set.children.iter().any(|pair| pair.is("name", name)) {
                let id = format!("cib-bootstrap-options-{name}");
                let pair = [("id", id.as_str()), ("name", name), ("value", value)];
                set.children.push(Element::new("nvpair", &pair));
            }
        }
    }
    (configuration.child_or_new("constraints").children).retain(|one| !is_by_handler(one));
    let known = std::mem::take(&mut configuration.child_or_new("nodes").children);
    let mut states = Vec::new();
    for (n, member) in cluster.corosync.nodes.iter().enumerate() {
        let is_member = |node: &&Element| {
            (node.get("uname")).is_some_and(|name| name.eq_ignore_ascii_case(&member.name))
        };
        let mut node = known.iter().find(is_member).cloned().unwrap_or_else(|| {
            let id = (n + 1).to_string();
            Element::new("node", &[("id", &id)])
        });
        // Scenarios know the nodes by the names of vars.yml.
        node.set("uname", &member.name);
        let id = node.get("id").unwrap_or_default();
        let state = [
            ("id", id),
            ("uname", &member.name),
            ("in_ccm", "true"),
            ("crmd", "online"),
            ("join", "member"),
            ("expected", "member"),
        ];
        let lrm = Element::new("lrm", &[("id", id)]).with([Element::new("lrm_resources", &[])]);
        let attributes = (before.iter().filter(|state| state.is("id", id)))
            .filter_map(|state| state.child("transient_attributes").cloned());
        let mut state = Element::new("node_state", &state)
            .with([lrm])
            .with(attributes);
        state.each(&mut |element| element.children.retain(|pair| !is_of_its_past(pair)));
        states.push(state);
        configuration.child_or_new("nodes").children.push(node);
    }
    cib.child_or_new("status").children = states;
    cib
}

/// Whether a node attribute says what happened on the node since it came: failures, a shutdown, copies of data.
fn is_of_its_past(pair: &Element) -> bool {
    let past = ["fail-count-", "last-failure-", "shutdown", "master-"];
    (pair.get("name")).is_some_and(|name| past.iter().any(|past| name.starts_with(past)))
}

/// What the agents of promotable resources have said by now: every node that is online has an
/// up-to-date copy. It is the hardest case: a node that comes back is as good as the others.
pub(super) fn with_promotion_scores(cib: &str, tested: &[Tested]) -> Result<String, Error> {
    let promotable = tested.iter().filter(|resource| resource.promotable);
    let ids: Vec<&str> = promotable.map(|resource| resource.id.as_str()).collect();
    changed(cib, |element| add_promotion_scores(element, &ids))
}

/// The same for an element of a CIB and the ids of the promotable resources.
pub(crate) fn add_promotion_scores(element: &mut Element, promotable: &[&str]) {
    let is_online = element.is("in_ccm", "true") && element.is("crmd", "online");
    if element.name == "node_state" && is_online {
        let node = element.get("id").unwrap_or_default().to_owned();
        for resource in promotable {
            let name = format!("master-{resource}");
            let pairs = transient_attributes(element);
            if !pairs.iter().any(|pair| pair.is("name", &name)) {
                pairs.push(attribute(&node, &name, UP_TO_DATE));
            }
        }
    }
}

/// A node's attributes that end with its membership.
fn transient_attributes(state: &mut Element) -> &mut Vec<Element> {
    let node = state.get("id").unwrap_or_default().to_owned();
    let attributes = state.child_or("transient_attributes", || {
        Element::new("transient_attributes", &[("id", &node)])
    });
    let set = attributes.child_or("instance_attributes", || {
        Element::new("instance_attributes", &[("id", &format!("status-{node}"))])
    });
    &mut set.children
}

fn attribute(node: &str, name: &str, value: &str) -> Element {
    let id = format!("simulated-{node}-{name}");
    Element::new("nvpair", &[("id", &id), ("name", name), ("value", value)])
}

/// The cluster with a node that asks to shut down, or does not ask any more.
pub(super) fn with_shutdown(cib: &str, node: &str, asks: bool) -> Result<String, Error> {
    changed(cib, |element| {
        if element.name == "node_state" && element.is("uname", node) {
            let pairs = transient_attributes(element);
            pairs.retain(|pair| !pair.is("name", "shutdown"));
            // Pacemaker writes the time of the request.
            pairs.extend(asks.then(|| attribute(node, "shutdown", "1")));
        }
    })
}

/// crm_simulate counts a failed start once; the controller counts it as infinitely many
/// (start-failure-is-fatal).
pub(super) fn with_fatal_starts(cib: &str) -> Result<String, Error> {
    changed(cib, |element| {
        let counts = |name: &str| name.starts_with("fail-count-") && name.ends_with("#start_0");
        if element.get("name").is_some_and(counts) {
            element.set("value", "INFINITY");
        }
    })
}

/// The cluster as if so many seconds had gone by: failures are that much older.
pub(super) fn later(cib: &str, seconds: u64) -> Result<String, Error> {
    let earlier = |element: &mut Element, name: &str| {
        let then = element.get(name).and_then(|then| then.parse::<u64>().ok());
        if let Some(then) = then {
            element.set(name, &then.saturating_sub(seconds).to_string());
        }
    };
    changed(cib, |element| match element.name.as_str() {
        "lrm_rsc_op" => earlier(element, "last-rc-change"),
        "nvpair" if (element.get("name")).is_some_and(|n| n.starts_with("last-failure-")) => {
            earlier(element, "value");
        }
        _ => {}
    })
}

/// The cluster with a node told to stand by, or not to any more.
pub(super) fn with_standby(cib: &str, node: &str, standby: bool) -> Result<String, Error> {
    changed(cib, |element| {
        if element.name == "node" && element.is("uname", node) {
            let id = format!("simulated-{node}");
            element.children.retain(|set| !set.is("id", &id));
            element.children.extend(standby.then(|| {
                let pair = attribute(node, "standby", "on");
                Element::new("instance_attributes", &[("id", &id)]).with([pair])
            }));
        }
    })
}

fn changed(cib: &str, mut change: impl FnMut(&mut Element)) -> Result<String, Error> {
    let mut cib = Element::parse_as(cib, "cib")?;
    cib.each(&mut change);
    Ok(cib.to_string())
}
