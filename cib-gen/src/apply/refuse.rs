//! What `apply` checks in the configuration before it changes anything.

use super::merge::{agent_of, find, is_clone_of};
use super::pairs::{boolean, property};
use super::remove::is_our_device;
use super::{takeover, watchdog};
use crate::cluster::{Agent, Cluster, Resource};
use crate::render;
use crate::xml::{Element, Error};

/// The reasons to refuse; empty if there are none.
pub(super) fn refusals(cluster: &Cluster, cib: &Element) -> Result<Vec<String>, Error> {
    let configuration = cib.need("configuration")?;
    let mut refusals: Vec<String> = old_schema(cib).into_iter().chain(no_quorum(cib)).collect();
    refusals.extend(nodes(cluster, configuration));
    refusals.extend(no_watchdog(cluster, configuration));
    refusals.extend(names_of_others(cluster, configuration));
    refusals.extend(takeover::other_values(cluster, configuration));
    Ok(refusals)
}

/// A schema that is too old for our configuration. An upgrade of Pacemaker does not upgrade the schema of a
/// CIB.
fn old_schema(cib: &Element) -> Option<String> {
    let version = |schema: &str| -> Option<(u32, u32)> {
        let (major, minor) = schema.strip_prefix("pacemaker-")?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let has = cib.get("validate-with")?;
    (version(has)? < version(render::SCHEMA)?).then(|| {
        format!(
            "the configuration has the old schema {has}, and {} or newer is needed\n  help: sudo \
             cibadmin --upgrade --force   (`sudo pcs cluster cib-upgrade` does the same); it restarts \
             nothing. Then run apply again",
            render::SCHEMA
        )
    })
}

/// A cluster without quorum: another part of it may have another configuration.
fn no_quorum(cib: &Element) -> Option<String> {
    cib.is("have-quorum", "0").then(|| {
        "the cluster has no quorum: more than half of its nodes must see each other before its configuration \
         may change\n  help: sudo pcs quorum status   shows which nodes are missing. Start them, or mend the \
         network, and run apply again"
            .to_owned()
    })
}

/// Nodes that are only in vars.yml or only in the cluster. Pacemaker compares names without regard to case.
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
                "the cluster has a node '{node}', which vars.yml does not name: nothing could fence it\n  \
                 help: write it into vars.yml (pbx0{}_...). Or, if it has left for good: sudo pcs cluster \
                 node remove {node}\n  help: if corosync.conf no longer names it (sudo pcs cluster corosync): \
                 sudo pcs cluster node clear {node}",
                members.len() + 1
            )
        }));
    }
    refusals
}

/// A node without SBD stops Pacemaker at once when stonith-watchdog-timeout is set. Where SBD runs, the
/// cluster has set have-watchdog.
fn no_watchdog(cluster: &Cluster, configuration: &Element) -> Option<String> {
    let runs = property(configuration, "have-watchdog").and_then(boolean) == Some(true);
    let lives = (configuration.child("nodes")).is_some_and(|nodes| nodes.child("node").is_some());
    let refuses =
        cluster.corosync.watchdog.is_some() && lives && !watchdog::guards(configuration) && !runs;
    refuses.then(|| {
        "SBD does not run in the cluster (have-watchdog is not true), and vars.yml asks for it (`fencing: \
         sbd`, the default on a LAN)\n  help: SBD starts only with the cluster. The PBX is down from the \
         second step to the end of the third:\n    \
         1. on every node:  sudo apt install sbd; ls /dev/watchdog || sudo systemctl enable --now portsip-ha-softdog\n    \
         2. on one node:    sudo pcs cluster stop --all\n    \
         3. on one node:    cib-gen --format corosync vars.yml | sudo sh\n    \
         4. on one node:    sudo cib-gen apply vars.yml\n  \
         help: in a cluster of another name than cib-gen's, the third step is: sudo pcs stonith sbd enable \
         watchdog=/dev/watchdog SBD_WATCHDOG_TIMEOUT=5; sudo pcs cluster start --all --wait=120\n  \
         help: to do this later, write `fencing: none` into vars.yml for now"
            .to_owned()
    })
}

/// Ids of our resources that other things have.
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
            Some(there)
                if takeover::is_same_work(&agent_of(there), &agent) || is_our_device(there) => {}
            Some(there) => refusals.push(format!(
                "there is a '{0}' already. It is a {1}, not a {agent}\n  help: rename it, or delete it: sudo \
                 pcs resource delete {0}",
                primitive.id,
                agent_of(there)
            )),
            None if id_is_taken(&primitive.id) => refusals.push(format!(
                "there is a '{}' already, and it is not a {agent}",
                primitive.id
            )),
            None => {}
        }
        if let Resource::Promotable(promotable) = resource
            && id_is_taken(promotable.id)
            && !is_clone_of(resources, promotable)
        {
            refusals.push(format!(
                "there is a '{}' already, and it is not a clone of {}",
                promotable.id, primitive.id
            ));
        }
    }
    refusals
}
