//! What only machines of a LAN have: a disk of their own, and a watchdog.

use super::{Inspection, Said, SaidOf, Site};
use crate::cluster::quantities::size;
use crate::cluster::{Level, difference};

/// The volume group that cib-gen and the vendor make on the disk.
const VOLUME_GROUP: &str = "pbxvg";

/// Nothing here ever empties a disk: who does has to be sure.
pub(super) fn disk(it: &Inspection, site: &Site) -> Vec<Said> {
    let disk = site.data_disk.filter(|_| site.has_disk(&it.node));
    let (Some(disk), Some(found)) = (disk, it.one("data-disk")) else {
        return Vec::new();
    };
    let look = || Some(format!("lsblk --fs {disk}   (there)"));
    let mut words = found.split_whitespace();
    let bytes = words.next();
    if bytes == Some("missing") {
        return vec![(
            Level::Error,
            format!("there is no disk {disk}"),
            Some("lsblk   (there)".to_owned()),
        )];
    }
    let bytes = bytes.and_then(|text| text.parse::<u64>().ok());
    if let (Some(bytes), Some(wanted)) = (bytes, site.data_size)
        && bytes < wanted
    {
        let found = format!(
            "{disk} has {}, and pbx_datapath_size is {}",
            size(bytes),
            size(wanted)
        );
        return vec![(Level::Error, found, look())];
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
        .filter(|it| site.has_disk(&it.node))
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
    if !site.is_fenced_by_sbd {
        return Vec::new();
    }
    let command = || Some("sudo systemctl enable --now portsip-ha-softdog   (there)".to_owned());
    if it.one("watchdog").is_none() {
        let found = "there is no watchdog, so a node that has lost the others cannot reset itself";
        return vec![(Level::Error, found.to_owned(), command())];
    }
    // The kernel's own watchdog is there only as long as somebody loads it.
    let is_soft = it
        .all("watchdog-kind")
        .any(|kind| kind == "Software Watchdog");
    let is_alone = it.all("watchdog-kind").count() == 1;
    let is_loaded_at_boot = it
        .service("portsip-ha-softdog")
        .is_some_and(|(_, enabled)| enabled == "enabled")
        || it.one("softdog-at-boot").is_some();
    match is_soft && is_alone && !is_loaded_at_boot {
        true => vec![(
            Level::Warning,
            "the watchdog, softdog, is not loaded at the next boot".to_owned(),
            command(),
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

/// Who answers for the virtual address while the cluster does not have it.
pub(super) fn vip(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some(vip) = site.vip else {
        return Vec::new();
    };
    let mut holders = all
        .iter()
        .filter(|it| it.one("vip").is_some_and(|it| it.starts_with("here ")));
    if let Some(holder) = holders.next() {
        let runs = holder
            .service("pacemaker")
            .is_some_and(|(active, _)| active == "active");
        if runs {
            return Vec::new();
        }
        let found = format!("{vip} is configured here, and no cluster runs");
        let at = holder.one("vip").unwrap_or_default();
        let at = at.trim_start_matches("here ");
        let command = format!("sudo ip address delete {at}   (there)");
        return vec![(
            Some(holder.node.clone()),
            (Level::Error, found, Some(command)),
        )];
    }
    // A node that could not be looked at may have it, and rightly.
    if all.len() < site.machines.len() {
        return Vec::new();
    }
    let answer = all.iter().find_map(|it| it.one("vip"));
    answer
        .map(|mac| {
            let found = format!("something else has {vip}: {mac} answers for it");
            let command = "take the address away from the machine with that hardware address, or write another vip \
                           into vars.yml";
            (None, (Level::Error, found, Some(command.to_owned())))
        })
        .into_iter()
        .collect()
}
