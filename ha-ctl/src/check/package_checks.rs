//! What apt and its companions do, and may do at night.

use super::{Inspection, Said, Site};
use crate::cluster::Level;
use crate::commands::{NEEDRESTART, UNATTENDED};

/// What must not be upgraded or restarted behind the cluster's back.
const KEPT: [&str; 4] = ["corosync", "pacemaker", "docker", "containerd"];

pub(super) fn consistent(it: &Inspection, _: &Site) -> Vec<Said> {
    let half: Vec<&str> = it.all("half-installed").collect();
    match half.is_empty() {
        true => Vec::new(),
        false => vec![(
            Level::Error,
            format!("dpkg was interrupted: {}", half.join(", ")),
            Some("sudo dpkg --configure -a   (there)".to_owned()),
        )],
    }
}

pub(super) fn lock(it: &Inspection, _: &Site) -> Vec<Said> {
    let mut holders: Vec<&str> = it.all("lock").collect();
    holders.dedup();
    let each = holders.iter().map(|holder| {
        let (process, name) = holder.split_once(' ').unwrap_or((holder, "a process"));
        let found = format!("{name} (process {process}) holds the lock");
        let command = format!("wait for it; what it does: ps -fp {process}   (there)");
        (Level::Error, found, Some(command))
    });
    each.collect()
}

pub(super) fn unattended(it: &Inspection, _: &Site) -> Vec<Said> {
    if it.package("unattended-upgrades").is_none() {
        return Vec::new();
    }
    let held: Vec<&str> = it.all("held").collect();
    let missing: Vec<&str> = KEPT
        .into_iter()
        .filter(|name| !held.iter().any(|held| held.contains(name)))
        .collect();
    match missing.is_empty() {
        true => Vec::new(),
        false => vec![(
            Level::Warning,
            format!(
                "unattended-upgrades may upgrade {}, which stops the PBX on that node",
                missing.join(", ")
            ),
            Some(UNATTENDED.by_hand()),
        )],
    }
}

pub(super) fn needrestart(it: &Inspection, _: &Site) -> Vec<Said> {
    let is_told = it.all("needrestart").any(|file| file.contains("portsip"));
    match it.package("needrestart") {
        Some(_) if !is_told => vec![(
            Level::Warning,
            "needrestart may restart the cluster's services or Docker after any upgrade".to_owned(),
            Some(NEEDRESTART.by_hand()),
        )],
        _ => Vec::new(),
    }
}

pub(super) fn proxy(it: &Inspection, _: &Site) -> Vec<Said> {
    match (it.one("apt-proxy"), it.one("apt-proxy-state")) {
        (Some(proxy), Some("closed")) => vec![(
            Level::Warning,
            format!("apt asks through {proxy}, which does not answer"),
            Some("grep -rn Proxy /etc/apt/apt.conf /etc/apt/apt.conf.d   (there)".to_owned()),
        )],
        _ => Vec::new(),
    }
}
