//! What stands between the nodes of the cluster, or beside it.

use super::{Inspection, Said, Site};
use crate::cluster::Level;

pub(super) fn other_cluster(it: &Inspection, site: &Site) -> Vec<Said> {
    let other = |name: &&str| !site.has(name);
    let others: Vec<&str> = it.all("cluster-node").filter(other).collect();
    if others.is_empty() {
        return Vec::new();
    }
    let cluster = it.one("cluster-name").unwrap_or("without a name");
    // The sample is what the distribution's package brings.
    match it.one("sample") {
        Some("empty") => vec![(
            Level::Warning,
            "the distribution's sample cluster runs here, without resources".to_owned(),
            Some("sudo pcs cluster destroy   (there)".to_owned()),
        )],
        Some(_) => vec![(
            Level::Error,
            "the distribution's sample cluster runs here, and somebody has configured resources in it".to_owned(),
            Some(
                "sudo pcs config   (there) shows them. If nothing of it is needed: sudo pcs cluster destroy   (there)"
                    .to_owned(),
            ),
        )],
        None => vec![(
            Level::Error,
            format!(
                "the cluster {cluster} is set up here, with {}",
                others.join(", ")
            ),
            Some("sudo pcs status   (there) shows what it is".to_owned()),
        )],
    }
}

/// The machine lost its power right after pcs was installed: pcsd had made its files, and the disk did not have what is
/// in them yet.
pub(super) fn pcsd_key(it: &Inspection, _: &Site) -> Vec<Said> {
    let empty = empty_files_of_pcsd(it);
    if empty.is_empty() {
        return Vec::new();
    }
    let (level, so) = match is_active(it, "pcsd") {
        false => (Level::Error, "pcsd cannot start"),
        true => (Level::Warning, "pcsd cannot start again"),
    };
    let found = format!("{so}, because of empty files: {}", empty.join(", "));
    let command = "sudo systemctl kill -s KILL pcsd; sudo rm /var/lib/pcsd/pcsd.crt /var/lib/pcsd/pcsd.key; sudo \
                   systemctl restart pcsd   (there; the cluster runs on meanwhile)";
    vec![(level, found, Some(command.to_owned()))]
}

fn empty_files_of_pcsd(it: &Inspection) -> Vec<String> {
    let files = it.words("pcsd-file").filter_map(|words| match words[..] {
        [name, "empty"] => Some(format!("/var/lib/pcsd/pcsd.{name}")),
        _ => None,
    });
    files.collect()
}

fn is_active(it: &Inspection, service: &str) -> bool {
    it.service(service)
        .is_some_and(|(active, _)| active == "active")
}

/// Only where a cluster is set up.
pub(super) fn services(it: &Inspection, site: &Site) -> Vec<Said> {
    if !it.has_cluster_of(site) {
        return Vec::new();
    }
    let services = ["corosync", "pacemaker", "pcsd"];
    let states = services
        .into_iter()
        .filter_map(|name| Some((name, it.service(name)?)));
    // That one has a reason of its own.
    let has_no_key = !empty_files_of_pcsd(it).is_empty();
    let wrong = states
        .filter(|(_, state)| *state != ("active", "enabled"))
        .filter(|(name, _)| *name != "pcsd" || !has_no_key);
    wrong
        .map(|(name, (active, enabled))| {
            let enabled = if enabled.is_empty() {
                "not installed"
            } else {
                enabled
            };
            let command = match name {
                "pcsd" => "sudo systemctl enable --now pcsd   (there)".to_owned(),
                _ => format!(
                    "sudo pcs cluster enable {node}; sudo pcs cluster start {node}",
                    node = it.node
                ),
            };
            (
                Level::Warning,
                format!("{name} is {active}, and at boot {enabled}"),
                Some(command),
            )
        })
        .collect()
}

/// Only where Corosync runs: there, corosync-cfgtool has a line for this node at least.
pub(super) fn links(it: &Inspection, site: &Site) -> Vec<Said> {
    let mut lines = it.all("link").peekable();
    if lines.peek().is_none() {
        return Vec::new();
    }
    let states: Vec<Vec<&str>> = it.words("link").collect();
    let nodes = it.words("node-id").filter_map(|words| match words[..] {
        [id, name] if name != it.node && !site.is_away(name) => Some((id, name)),
        _ => None,
    });
    let wrong = nodes.filter_map(|(id, name)| {
        let mut of_node = states
            .iter()
            .filter(|words| words.first() == Some(&id))
            .peekable();
        if of_node.peek().is_none() {
            return Some(format!("Corosync has no link to {name}"));
        }
        let state = of_node.find_map(|words| match words[..] {
            [_, state] if state != "connected" && state != "localhost" => Some(state),
            _ => None,
        })?;
        Some(format!("Corosync's link to {name} is {state}"))
    });
    let command = || Some("sudo corosync-cfgtool -s   (there)".to_owned());
    wrong
        .map(|found| (Level::Error, found, command()))
        .collect()
}

/// The vendor's kit is unpacked over what was there, so that its scripts come back after ours were written.
pub(super) fn vendor_kit(it: &Inspection, _: &Site) -> Vec<Said> {
    let kit = it.one("vendor-kit");
    let said = kit.map(|path| {
        let found = format!("the vendor's scripts are in {path}; deploy_pbx.sh and update.sh would change this cluster");
        let command = format!("sudo ha-ctl vendor-scripts {path}   (there)");
        (Level::Note, found, Some(command))
    });
    said.into_iter().collect()
}
