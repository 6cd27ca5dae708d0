//! What stands between the nodes of the cluster, or beside it.

use super::{Inspection, Said, Site};
use crate::cluster::Level;

/// Corosync's, pcsd's and DRBD's ports.
const PORTS: &str = "2224/tcp, 5403-5412/udp, 7789/tcp";

pub(super) fn other_cluster(it: &Inspection, site: &Site) -> Vec<Said> {
    let names: Vec<&str> = it.all("cluster-node").collect();
    let is_other = |name: &&str| !site.has(name);
    let others: Vec<&str> = names.iter().copied().filter(is_other).collect();
    if others.is_empty() {
        return Vec::new();
    }
    let cluster = it.one("cluster-name").unwrap_or("without a name");
    match (cluster, &names[..]) {
        // What the distribution's package brings.
        ("debian", ["node1"]) => vec![(
            Level::Warning,
            "the distribution's sample cluster runs here".to_owned(),
            Some(
                "sudo pcs cluster destroy   (there; only if `sudo pcs resource` lists nothing)"
                    .to_owned(),
            ),
        )],
        _ => vec![(
            Level::Error,
            format!(
                "the cluster {cluster} is set up here, with {}",
                others.join(", ")
            ),
            Some("sudo pcs status   (there) shows what it is".to_owned()),
        )],
    }
}

/// Only where a cluster is set up.
pub(super) fn services(it: &Inspection, site: &Site) -> Vec<Said> {
    if !it.all("cluster-node").any(|name| site.has(name)) {
        return Vec::new();
    }
    let services = ["corosync", "pacemaker", "pcsd"];
    let states = services
        .into_iter()
        .filter_map(|name| Some((name, it.service(name)?)));
    let wrong = states.filter(|(_, state)| *state != ("active", "enabled"));
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

/// Only where Corosync runs.
pub(super) fn links(it: &Inspection, site: &Site) -> Vec<Said> {
    let links = it.words("link").filter_map(|words| match words[..] {
        [address, state] if state != "connected" => Some((address, state)),
        _ => None,
    });
    links
        .map(|(address, state)| {
            let found = format!("Corosync's link to {} is {state}", site.name_at(address));
            (
                Level::Error,
                found,
                Some("sudo corosync-cfgtool -n   (there)".to_owned()),
            )
        })
        .collect()
}

pub(super) fn ufw(it: &Inspection, _: &Site) -> Vec<Said> {
    match it.one("ufw") {
        Some("active") => vec![(
            Level::Warning,
            format!("ufw is active; the nodes need {PORTS} among each other"),
            Some(
                "sudo ufw allow from ADDRESS   (there; for the address of each other node)"
                    .to_owned(),
            ),
        )],
        _ => Vec::new(),
    }
}

pub(super) fn firewalld(it: &Inspection, _: &Site) -> Vec<Said> {
    match it.service("firewalld") {
        Some(("active", _)) => vec![(
            Level::Warning,
            format!("firewalld is active; the nodes need {PORTS} among each other"),
            Some(
                "sudo firewall-cmd --permanent --zone=trusted --add-source=ADDRESS && sudo firewall-cmd --reload   \
                 (there; for the address of each other node)"
                    .to_owned(),
            ),
        )],
        _ => Vec::new(),
    }
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
