//! How large the disk of vars.yml is, where that can be known: on one of the nodes.

use std::path::Path;

use cib_gen::Vars;
use cib_gen::nodes::{FoundDisk, Known};
use cib_gen::vars::Topology;

/// Looks at the disk, if this machine is a node of a LAN site and has it. On any other machine
/// a disk of that name is another disk.
pub(crate) fn look_at(known: &Known, vars: &Vars) -> Option<FoundDisk> {
    let Topology::Lan(lan) = &vars.topology else {
        return None;
    };
    let here = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let node = here.trim();
    let written = vars.shared.hostnames.iter().flatten();
    let mut names = (written.map(|name| name.value.to_string()))
        .chain(known.given.iter().map(|given| given.name.to_string()));
    if !names.any(|name| name == node) {
        return None;
    }
    // A link of /dev/disk/by-id leads to the name that the kernel has for the disk.
    let device = Path::new(&lan.pbx_datapath_disk.value.to_string())
        .canonicalize()
        .ok()?;
    let name = device.file_name()?.to_str()?;
    // In units of 512 bytes, whatever the disk's sectors are (Documentation/ABI/stable/sysfs-block).
    let sectors = std::fs::read_to_string(format!("/sys/class/block/{name}/size")).ok()?;
    Some(FoundDisk {
        node: node.to_owned(),
        bytes: sectors.trim().parse::<u64>().ok()? * 512,
    })
}
