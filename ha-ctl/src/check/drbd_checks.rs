//! DRBD, on a LAN: what of it the kernel has, and whether its copies are connected.

use cib_gen::vars::DrbdVersion;

use super::{Inspection, Said, Site};
use crate::cluster::Level;
use crate::commands::DRBD_AT_BOOT;

/// Before it, DRBD 9 does not have the quorum that cib-gen configures (docs/lan.md).
const OLDEST_NINE: [u64; 3] = [9, 1, 7];

pub(super) fn version(it: &Inspection, site: &Site) -> Vec<Said> {
    let Some(wanted) = site.drbd.filter(|_| site.has_disk(&it.node)) else {
        return Vec::new();
    };
    let mut said = Vec::new();
    if it.package("drbd-utils").is_none() {
        let command = "sudo apt install drbd-utils   (there)".to_owned();
        said.push((
            Level::Warning,
            "drbd-utils is not installed".to_owned(),
            Some(command),
        ));
    }
    // What is loaded counts, until a reboot.
    let found = it.one("drbd-loaded").or_else(|| it.one("drbd-module"));
    let fault = module_fault(found, wanted);
    said.extend(fault.map(|(found, command)| (Level::Error, found, Some(command.to_owned()))));
    said
}

/// What is wrong with the DRBD of a kernel, and what mends it; nothing, if it is the one that vars.yml says.
pub(crate) fn module_fault(
    found: Option<&str>,
    wanted: DrbdVersion,
) -> Option<(String, &'static str)> {
    let other = match wanted {
        DrbdVersion::Nine => {
            "install the module of DRBD 9 (docs/lan.md), or write `drbd: 8.4` into vars.yml"
        }
        DrbdVersion::EightFour => "delete `drbd: 8.4` from vars.yml, for a copy on every node",
    };
    let Some(found) = found else {
        let command = match wanted {
            DrbdVersion::Nine => other,
            DrbdVersion::EightFour => {
                "sudo apt install linux-modules-extra-$(uname -r)   (there, on Ubuntu)"
            }
        };
        return Some(("the kernel has no DRBD".to_owned(), command));
    };
    let numbers = found.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<u64> = numbers
        .map_while(|part| part.parse().ok())
        .take(3)
        .collect();
    let is_good = match wanted {
        DrbdVersion::Nine => numbers.as_slice() >= &OLDEST_NINE[..],
        DrbdVersion::EightFour => numbers.starts_with(&[8, 4]),
    };
    let text = || format!("the kernel has DRBD {found}, and vars.yml says {wanted}");
    (!is_good).then(|| (text(), other))
}

/// The cluster loads it as well, when it starts DRBD; a kernel that has none should be noticed before.
pub(super) fn at_boot(it: &Inspection, site: &Site) -> Vec<Said> {
    let is_wanted = site.drbd.is_some() && site.has_disk(&it.node);
    let has_module = it.one("drbd-loaded").or_else(|| it.one("drbd-module"));
    if !is_wanted || has_module.is_none() || it.one("drbd-at-boot").is_some() {
        return Vec::new();
    }
    let found = "DRBD's module is loaded only when the cluster starts DRBD".to_owned();
    vec![(Level::Note, found, Some(DRBD_AT_BOOT.by_hand()))]
}

/// As drbdadm names the states (drbd.conf(5)). A resync is on its way to the good state.
pub(super) fn connected(it: &Inspection, _: &Site) -> Vec<Said> {
    let broken = it.all("drbd-connection").filter(|state| {
        [
            "StandAlone",
            "Connecting",
            "WFConnection",
            "Timeout",
            "BrokenPipe",
            "NetworkFailure",
        ]
        .contains(state)
    });
    let mut states: Vec<&str> = broken.collect();
    states.dedup();
    let each = states.into_iter().map(|state| {
        let command = match state {
            "StandAlone" => "sudo journalctl -k --grep drbd   (there); then sudo drbdadm connect pbxdata   (there)",
            _ => "sudo drbdadm status pbxdata   (there, and on the other node)",
        };
        (
            Level::Warning,
            format!("a connection of DRBD is {state}: what is written is not copied"),
            Some(command.to_owned()),
        )
    });
    each.collect()
}
