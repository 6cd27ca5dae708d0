//! Nodes that lack what the others have: a package of the cluster, or the cluster itself.

use super::{Inspection, SaidOf, Site};
use crate::cluster::Level;

/// Without one of them, a node cannot take the PBX over.
const NEEDED: [&str; 4] = ["pacemaker", "corosync", "pcs", "portsip-ha"];

/// Before a deployment no node has them, and that is right.
pub(super) fn installed(all: &[Inspection], _: &Site) -> Vec<SaidOf> {
    let mut said = Vec::new();
    for package in NEEDED {
        let (with, without): (Vec<_>, Vec<_>) =
            all.iter().partition(|it| it.package(package).is_some());
        if with.is_empty() {
            continue;
        }
        for it in without {
            let found = format!("{package} is not installed, and it is on {}", names(&with));
            let command = match package {
                "portsip-ha" => {
                    "install the same portsip-ha.deb as on the other nodes: sudo apt install ./portsip-ha.deb   (there)"
                        .to_owned()
                }
                other => format!("sudo apt install {other}   (there)"),
            };
            said.push((Some(it.node.clone()), (Level::Error, found, Some(command))));
        }
    }
    said
}

/// Where a cluster of these nodes is set up, each of them belongs to it.
pub(super) fn member(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let has = |it: &Inspection, name: &str| it.all("cluster-node").any(|known| known == name);
    let is_member = |it: &&Inspection| has(it, &it.node) && it.has_cluster_of(site);
    let (members, others): (Vec<_>, Vec<_>) = all.iter().partition(is_member);
    let Some(first) = members.first() else {
        return Vec::new();
    };
    let mut said = Vec::new();
    for it in others {
        let found = format!("the node is not in the cluster of {}", names(&members));
        let command = match has(first, &it.node) {
            true => "sudo pcs cluster sync corosync   (on a node of the cluster)".to_owned(),
            false => format!(
                "sudo pcs host auth {node}; sudo pcs cluster node add {node} --start --enable   (on a node of the \
                 cluster)",
                node = it.node
            ),
        };
        said.push((Some(it.node.clone()), (Level::Error, found, Some(command))));
    }
    for it in &members {
        // A node that could not be looked at counts too: the members say who belongs to them.
        let mut machines = site.machines.iter();
        let unknown: Vec<&str> = machines
            .by_ref()
            .map(|machine| machine.name.as_str())
            .filter(|name| {
                !has(it, name)
                    && all
                        .iter()
                        .any(|other| other.node == *name && has(other, name))
            })
            .collect();
        if !unknown.is_empty() {
            let found = format!("corosync.conf does not have {}", unknown.join(", "));
            let command =
                "sudo pcs cluster sync corosync   (on a node whose corosync.conf has all nodes)";
            said.push((
                Some(it.node.clone()),
                (Level::Error, found, Some(command.to_owned())),
            ));
        }
    }
    said
}

fn names(all: &[&Inspection]) -> String {
    let names: Vec<&str> = all.iter().map(|it| it.node.as_str()).collect();
    names.join(", ")
}
