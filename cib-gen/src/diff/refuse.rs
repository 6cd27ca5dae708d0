//! What the script looks at before it begins, and where it ends then.

use super::merge::{agent_of, find, has_agent, is_clone_of};
use super::remove::is_our_device;
use super::watchdog;
use crate::cluster::{Agent, Cluster, Resource};
use crate::render;
use crate::xml::{Element, Error};

/// Why the script would refuse; empty if it would not.
pub(super) fn refusals(cluster: &Cluster, cib: &Element) -> Result<Vec<String>, Error> {
    let configuration = cib.need("configuration")?;
    let mut refusals: Vec<String> = old_schema(cib).into_iter().collect();
    refusals.extend(nodes(cluster, configuration));
    refusals.extend(no_watchdog(cluster, configuration));
    refusals.extend(names_of_others(cluster, configuration));
    Ok(refusals)
}

/// A schema in which what is wanted can not be written. Pacemaker keeps that of a CIB over its own
/// upgrades.
fn old_schema(cib: &Element) -> Option<String> {
    let version = |schema: &str| -> Option<(u32, u32)> {
        let (major, minor) = schema.strip_prefix("pacemaker-")?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let has = cib.get("validate-with")?;
    (version(has)? < version(render::SCHEMA)?).then(|| {
        format!(
            "the configuration is written in the old schema {has}, and this needs {} or a newer one: \
             `sudo pcs cluster cib-upgrade` first",
            render::SCHEMA
        )
    })
}

/// Nodes that only one of the two knows. Pacemaker compares names without regard to case.
fn nodes(cluster: &Cluster, configuration: &Element) -> Vec<String> {
    let known: Vec<&str> = (configuration.children("nodes"))
        .flat_map(|nodes| nodes.children("node"))
        .filter(|node| !node.is("type", "remote"))
        .filter_map(|node| node.get("uname"))
        .collect();
    if known.is_empty() {
        return Vec::new(); // a file, or a cluster so young that no node is written down
    }
    let members = &cluster.corosync.nodes;
    let missing = members
        .iter()
        .filter(|member| !(known.iter()).any(|known| known.eq_ignore_ascii_case(&member.name)));
    let mut refusals: Vec<String> = missing
        .map(|member| {
            format!(
                "the cluster has no node called '{}'; it has {}",
                member.name,
                known.join(", ")
            )
        })
        .collect();
    let is_device = |agent: &Agent| matches!(agent, Agent::Stonith { .. });
    if refusals.is_empty() && cluster.primitives().any(|p| is_device(&p.agent)) {
        let other = known.iter().filter(|known| {
            !(members.iter()).any(|member| known.eq_ignore_ascii_case(&member.name))
        });
        refusals.extend(other.map(|node| {
            format!(
                "the cluster has a node '{node}', which vars.yml does not name: nothing could fence it. \
                 Write it into vars.yml (pbx0{}_...). Or, if it has left for good, \
                 `sudo pcs cluster node remove {node}` takes it out of the cluster",
                members.len() + 1
            )
        }));
    }
    refusals
}

/// A node whose Pacemaker is told of a watchdog timeout and has no SBD running stops at once. Where SBD
/// runs, the cluster has written have-watchdog.
fn no_watchdog(cluster: &Cluster, configuration: &Element) -> Option<String> {
    let properties: Vec<&Element> = configuration
        .children("crm_config")
        .flat_map(Element::all)
        .filter(|pair| pair.name == "nvpair")
        .collect();
    let runs = properties
        .iter()
        .any(|pair| pair.is("name", "have-watchdog") && pair.is("value", "true"));
    let lives = (configuration.child("nodes")).is_some_and(|nodes| nodes.child("node").is_some());
    let refuses =
        cluster.corosync.watchdog.is_some() && lives && !watchdog::guards(configuration) && !runs;
    refuses.then(|| {
        "SBD does not run in the cluster (have-watchdog is not true): \
         `cib-gen --format corosync vars.yml | sudo sh` sets it up, or says how"
            .to_owned()
    })
}

/// Ids of ours that somebody else has given to something.
fn names_of_others(cluster: &Cluster, configuration: &Element) -> Vec<String> {
    let mut refusals = Vec::new();
    let Some(resources) = configuration.child("resources") else {
        return refusals;
    };
    let id_is_taken = |id: &str| {
        let below = configuration.children.iter().flat_map(Element::all);
        below.into_iter().any(|element| element.is("id", id))
    };
    for resource in &cluster.resources {
        let primitive = resource.primitive();
        let agent = render::agent_name(&primitive.agent);
        match find(resources, &primitive.id) {
            Some(there) if has_agent(there, &primitive.agent) || is_our_device(there) => {}
            Some(there) => refusals.push(format!(
                "there is a '{}' already, and it is a {} and no {agent}",
                primitive.id,
                agent_of(there)
            )),
            None if id_is_taken(&primitive.id) => refusals.push(format!(
                "there is a '{}' already, and it is no {agent}",
                primitive.id
            )),
            None => {}
        }
        if let Resource::Promotable(promotable) = resource
            && id_is_taken(promotable.id)
            && !is_clone_of(resources, promotable)
        {
            refusals.push(format!(
                "there is a '{}' already, and it is no clone of {}",
                promotable.id, primitive.id
            ));
        }
    }
    refusals
}
