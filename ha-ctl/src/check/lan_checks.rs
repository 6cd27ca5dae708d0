//! What only machines of a LAN have: a disk of their own, and a watchdog.

use super::{Inspection, Said, SaidOf, Site};
use crate::cluster::quantities::size;
use crate::cluster::{Level, difference};

/// The volume group that cib-gen and the vendor make on the disk.
const VOLUME_GROUP: &str = "pbxvg";

/// Nothing here ever empties a disk: who does has to be sure.
pub(super) fn disk(it: &Inspection, site: &Site) -> Vec<Said> {
    let (Some(disk), Some(found)) = (site.data_disk, it.one("data-disk")) else {
        return Vec::new();
    };
    let look = || Some(format!("lsblk --fs {disk}   (there)"));
    let mut words = found.split_whitespace();
    if words.next() == Some("missing") {
        return vec![(
            Level::Error,
            format!("there is no disk {disk}"),
            Some("lsblk   (there)".to_owned()),
        )];
    }
    let types: Vec<&str> = words.collect();
    match (&types[..], it.one("data-group")) {
        ([], _) | (["LVM2_member"], Some(VOLUME_GROUP)) => Vec::new(),
        (["LVM2_member"], group) => {
            let group = group.unwrap_or("none");
            let found =
                format!("{disk} belongs to LVM's volume group {group}, and not to {VOLUME_GROUP}");
            vec![(Level::Error, found, look())]
        }
        (types, _) => {
            let found = format!("{disk} holds something: {}", types.join(", "));
            vec![(Level::Error, found, look())]
        }
    }
}

pub(super) fn disk_sizes(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some(disk) = site.data_disk else {
        return Vec::new();
    };
    let sizes: Vec<(String, &str)> = all
        .iter()
        .filter_map(|it| {
            let bytes: u64 = it
                .one("data-disk")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()?;
            Some((format!("{bytes} bytes ({})", size(bytes)), it.node.as_str()))
        })
        .collect();
    let found = difference(
        disk,
        sizes.iter().map(|(size, node)| (size.as_str(), *node)),
    );
    found
        .map(|found| (None, (Level::Warning, found, None)))
        .into_iter()
        .collect()
}

pub(super) fn watchdog(it: &Inspection, site: &Site) -> Vec<Said> {
    match site.is_fenced_by_sbd && it.one("watchdog").is_none() {
        true => vec![(
            Level::Error,
            "there is no watchdog, so a node that has lost the others cannot reset itself"
                .to_owned(),
            Some("sudo systemctl enable --now portsip-ha-softdog   (there)".to_owned()),
        )],
        false => Vec::new(),
    }
}

/// SBD starts with Corosync, and feeds the watchdog from then on. Only where a cluster is set up.
pub(super) fn sbd(it: &Inspection, site: &Site) -> Vec<Said> {
    if !site.is_fenced_by_sbd || !it.has_cluster_of(site) {
        return Vec::new();
    }
    let runs = it
        .service("corosync")
        .is_some_and(|(active, _)| active == "active");
    // Not `pcs stonith sbd enable`: it takes stonith-watchdog-timeout away, and then nothing is fenced.
    let node = &it.node;
    let (found, command) = match it.service("sbd") {
        None | Some((_, "")) => (
            "SBD is not installed, so nothing resets this node when it is lost".to_owned(),
            "sudo apt install sbd   (there); then what `cib-gen --format corosync vars.yml` prints".to_owned(),
        ),
        Some((_, enabled)) if enabled != "enabled" => (
            format!("SBD is {enabled} at boot: it would not start with Corosync"),
            "sudo systemctl enable sbd   (there); it starts when the cluster is started there the next time".to_owned(),
        ),
        Some((active, _)) if runs && active != "active" => (
            format!("SBD is {active}, so nothing resets this node when it is lost"),
            format!(
                "sudo pcs cluster stop {node} && sudo pcs cluster start {node} --wait. It moves the PBX and cuts its \
                 calls, if `ha-ctl master` says {node}"
            ),
        ),
        Some(_) => return Vec::new(),
    };
    vec![(Level::Error, found, Some(command))]
}
