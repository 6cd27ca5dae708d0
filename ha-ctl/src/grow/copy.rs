//! A copy of the data below DRBD on a LAN: a logical volume on every node with the data. All of them grow, then DRBD, which
//! grows only while all copies are connected and up to date.

use super::{GIB, Mounted, Seen, Todo, number, smaller};
use crate::drbd::States;
use crate::exit::Failure;

/// One node's copy. Sizes are in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// DRBD's resource.
    pub resource: String,
    /// The nodes that have a copy, as DRBD's file names them.
    pub holders: Vec<String>,
    /// How DRBD sees it and the others.
    pub states: States,
    /// The logical volume as LVM calls it: `pbxvg/pbxlv`. Empty, if LVM knows none.
    pub volume: String,
    /// How large it is.
    pub size: u64,
    /// What its group has free.
    pub free: u64,
    /// What its group divides its disks into.
    pub extent: u64,
    /// The disks of its group that have become larger, and by how much of it LVM can use.
    pub grown: Vec<(String, u64)>,
}

/// What DRBD keeps of a logical volume for itself, at most: a bit for each 4 KiB and peer, of which cib-gen makes room for
/// eight, and its log.
fn metadata(of: u64) -> u64 {
    of / 4096 + (1 << 20)
}

/// One line of what was printed on a node.
pub(super) fn read(copy: &mut Option<Copy>, words: &[&str]) {
    if let ["resource", name] = words {
        copy.get_or_insert_default().resource = (*name).to_owned();
    }
    let Some(copy) = copy else {
        return;
    };
    match words {
        ["holder", node] => copy.holders.push((*node).to_owned()),
        ["volume", group, volume, bytes, free, extent] => {
            copy.volume = format!("{group}/{volume}");
            (copy.size, copy.free) = (number(bytes), number(free));
            copy.extent = number(extent);
        }
        ["disk", disk, extents, begins, bytes] => {
            let extent = copy.extent.max(1);
            let could = number(bytes).saturating_sub(number(begins)) / extent;
            let more = could.saturating_sub(number(extents)) * extent;
            if more > 0 {
                copy.grown.push(((*disk).to_owned(), more));
            }
        }
        _ => copy.states.read(words),
    }
}

impl Copy {
    /// Whether every copy is connected and up to date, as this node sees it.
    pub fn is_whole(&self) -> bool {
        self.states.are_whole(self.holders.len())
    }

    /// How large the logical volume can be.
    fn most(&self) -> u64 {
        let more: u64 = self.grown.iter().map(|(_, more)| more).sum();
        self.size + self.free + more
    }

    /// Whether DRBD's device has a size that these logical volumes do not explain.
    fn is_behind(device: u64, smallest: u64) -> bool {
        device + metadata(smallest) < smallest
    }

    /// Whether DRBD's device, of this size, is as large as the smallest of these copies lets it be.
    pub fn has_grown<'a>(device: u64, copies: impl Iterator<Item = &'a Copy>) -> bool {
        let smallest = copies.map(|copy| copy.size).min().unwrap_or(0);
        !Copy::is_behind(device, smallest)
    }

    /// The size of the logical volume as vars.yml has it.
    pub fn of_vars(&self) -> String {
        match self.size {
            size if size % GIB == 0 => format!("{}G", size / GIB),
            size => format!("{}M", size >> 20),
        }
    }
}

fn refused<T>(found: &str, help: &str) -> Result<T, Failure> {
    Err(Failure::failed(format!(
        "{found}. Nothing was changed\n  help: {help}"
    )))
}

/// What is left to do below the file system.
pub(super) fn todo(
    active: &Seen,
    copy: &Copy,
    mounted: &Mounted,
    others: &[&Seen],
    wanted: Option<u32>,
) -> Result<Vec<Todo>, Failure> {
    if !copy.is_whole() {
        return refused(
            &format!(
                "not all copies of the data are connected and up to date ({}), and DRBD grows only then",
                copy.states
            ),
            "ha-ctl show",
        );
    }
    let all: Vec<(&str, &Copy)> = [&active]
        .into_iter()
        .chain(others)
        .filter_map(|seen| Some((seen.node.as_str(), seen.copy.as_ref()?)))
        .filter(|(_, copy)| !copy.volume.is_empty())
        .collect();
    for holder in &copy.holders {
        if !all.iter().any(|(node, _)| node == holder) {
            return refused(
                &format!(
                    "{holder} has a copy of the data, and LVM there does not say on which logical volume"
                ),
                "lvs; drbdadm sh-ll-dev   (there)",
            );
        }
    }
    let now = all.iter().map(|(_, copy)| copy.size).min().unwrap_or(0);
    let target = match wanted {
        Some(wanted) => u64::from(wanted) * GIB,
        None => all.iter().map(|(_, copy)| copy.most()).min().unwrap_or(0),
    };
    if target < now {
        return Err(smaller(now));
    }
    let short: Vec<String> = all
        .iter()
        .filter(|(_, copy)| copy.most() < target)
        .map(|(node, copy)| format!("{node} can have {} MiB", copy.most() >> 20))
        .collect();
    if !short.is_empty() {
        return refused(
            &format!(
                "there is no room for {} MiB on every node with the data: {}",
                target >> 20,
                short.join(", ")
            ),
            "make the disks larger, or add one to the volume group (vgextend)",
        );
    }
    let mut todo = Vec::new();
    for (node, copy) in all.iter().filter(|(_, copy)| copy.size < target) {
        let node = (*node).to_owned();
        if copy.size + copy.free < target {
            todo.extend(copy.grown.iter().map(|(disk, _)| Todo::Disk {
                node: node.clone(),
                disk: disk.clone(),
            }));
        }
        todo.push(Todo::LogicalVolume {
            node,
            volume: copy.volume.clone(),
            to: target,
        });
    }
    if !todo.is_empty() || Copy::is_behind(mounted.device_size, now) {
        todo.push(Todo::Drbd {
            node: active.node.clone(),
            resource: copy.resource.clone(),
        });
    }
    Ok(todo)
}
