//! What a machine is and has, whatever runs on it.

use super::{Inspection, Said, Site};
use crate::cluster::Level;
use crate::cluster::quantities::size;
use crate::commands::UNPRIVILEGED_PORTS;

const SUPPORTED: [&str; 3] = ["ubuntu 24.04", "debian 13", "debian 12"];
/// The vendor demands 4 GB, of which the kernel keeps some.
const MEMORY_KIB: u64 = 3_400_000;
/// An image of the PBX has more than 2 GiB, and an upgrade needs two.
const DISK_KIB: u64 = 5 << 20;

pub(super) fn release(it: &Inspection, _: &Site) -> Vec<Said> {
    match it.one("os") {
        Some(os) if !SUPPORTED.contains(&os) => vec![(Level::Warning, os.to_owned(), None)],
        _ => Vec::new(),
    }
}

pub(super) fn hostname(it: &Inspection, _: &Site) -> Vec<Said> {
    match it.one("hostname") {
        Some(name) if name != it.node => vec![(
            Level::Error,
            format!("the machine calls itself {name}"),
            Some(format!(
                "sudo hostnamectl set-hostname {}   (there)",
                it.node
            )),
        )],
        _ => Vec::new(),
    }
}

pub(super) fn memory(it: &Inspection, _: &Site) -> Vec<Said> {
    match it.one("memory").and_then(|text| text.parse::<u64>().ok()) {
        Some(kib) if kib < MEMORY_KIB => vec![(Level::Warning, size(kib * 1024), None)],
        _ => Vec::new(),
    }
}

pub(super) fn disk(it: &Inspection, _: &Site) -> Vec<Said> {
    let free = it.words("disk").filter_map(|words| match words[..] {
        [directory, free] => Some((directory, free.parse::<u64>().ok()?)),
        _ => None,
    });
    let short = free.filter(|(_, free)| *free < DISK_KIB);
    short
        .map(|(directory, free)| {
            let found = format!("{} free at {directory}", size(free * 1024));
            (
                Level::Warning,
                found,
                Some("sudo docker image prune   (there)".to_owned()),
            )
        })
        .collect()
}

pub(super) fn cloud_init(it: &Inspection, _: &Site) -> Vec<Said> {
    match it.one("cloud-init") {
        Some("running" | "not started") => vec![(
            Level::Error,
            "cloud-init still works on the machine".to_owned(),
            Some("cloud-init status --wait   (there)".to_owned()),
        )],
        Some("error") => vec![(
            Level::Warning,
            "cloud-init has ended with an error".to_owned(),
            Some("cloud-init status --long   (there)".to_owned()),
        )],
        _ => Vec::new(),
    }
}

pub(super) fn reboot(it: &Inspection, _: &Site) -> Vec<Said> {
    let pending = it.all("reboot").next();
    pending
        .map(|packages| {
            let found = match packages {
                "" => "the machine has to be restarted".to_owned(),
                packages => format!("the machine has to be restarted after upgrades of {packages}"),
            };
            let command = format!(
                "sudo pcs node standby {node} --wait; then there: sudo systemctl reboot; then sudo pcs node unstandby \
                 {node}. The first command moves the PBX and cuts its calls, if `ha-ctl master` says {node}: then at \
                 night, and the other nodes before it",
                node = it.node
            );
            (Level::Warning, found, Some(command))
        })
        .into_iter()
        .collect()
}

/// The containers run as the user 888.
pub(super) fn unprivileged_ports(it: &Inspection, _: &Site) -> Vec<Said> {
    match it
        .one("unprivileged-ports")
        .and_then(|text| text.parse::<u32>().ok())
    {
        Some(first) if first > 80 => vec![(
            Level::Warning,
            format!(
                "only root may listen on ports below {first} (net.ipv4.ip_unprivileged_port_start)"
            ),
            Some(UNPRIVILEGED_PORTS.by_hand()),
        )],
        _ => Vec::new(),
    }
}
