//! The data becomes larger, while it is in use: what has what size, and what is left to do. Pure; `verbs::grow` asks and
//! does it. Nothing here makes anything smaller.

use std::time::Duration;

use crate::cluster::quantities::size;
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::Command;

/// What was found on one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The node.
    pub node: String,
    /// The file system, where it is mounted.
    pub mounted: Option<Mounted>,
    /// This node's part of DRBD's resource, if there is one.
    pub copy: Option<Copy>,
}

/// The file system with the data. Sizes are in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounted {
    /// Where it is mounted.
    pub path: String,
    /// From which device.
    pub device: String,
    /// `xfs` or `ext4`.
    pub kind: String,
    /// `disk`, `part`, ...: what lsblk calls the device.
    pub device_kind: String,
    /// How large the device is.
    pub device_size: u64,
    /// How much of it the file system has.
    pub used: u64,
}

/// A copy of the data below DRBD. Sizes are in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// DRBD's resource.
    pub resource: String,
    /// The states of the connections, and of the disks on both sides.
    pub connections: Vec<String>,
    /// See above.
    pub disks: Vec<String>,
    /// The logical volume as LVM calls it: `pbxvg/pbxlv`.
    pub volume: String,
    /// How large it is.
    pub size: u64,
    /// What its group has free.
    pub free: u64,
    /// What its group divides its disks into.
    pub extent: u64,
    /// The disks of its group that have become larger, and by how much.
    pub grown: Vec<(String, u64)>,
}

/// Something that is left to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Todo {
    /// EC2 makes the volume larger. In GiB.
    Volume {
        /// From this size.
        from: u32,
        /// To this size.
        to: u32,
    },
    /// LVM takes over the size of a disk that has become larger.
    Disk {
        /// On which node.
        node: String,
        /// The disk.
        disk: String,
    },
    /// The logical volume becomes larger.
    LogicalVolume {
        /// On which node.
        node: String,
        /// Which.
        volume: String,
        /// To this size, in bytes.
        to: u64,
    },
    /// DRBD takes over the size of its disks.
    Drbd {
        /// On which node.
        node: String,
        /// The resource.
        resource: String,
    },
    /// The file system takes over the size of its device.
    FileSystem {
        /// On which node.
        node: String,
        /// The command.
        script: String,
        /// Where it is mounted.
        path: String,
    },
}

/// A file system leaves the end of its device alone where it is too small for it, and LVM and DRBD keep their own data
/// there. DRBD's needs at most 8 bits for each 4 KiB and peer (`drbdmeta`), which is less than this part.
const SLACK: u64 = 16 << 20;
const METADATA: u64 = 2048;
/// One GiB.
const GIB: u64 = 1 << 30;
/// EC2's largest volume, in GiB.
const MOST_GIB: u32 = 65536;

/// A size on the command line, in GiB: `200`, `200G`, `200GiB`, `2T`.
///
/// # Errors
/// It is none.
pub fn gib(text: &str) -> Result<u32, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "G" | "GiB" => 1,
        "T" | "TiB" => 1024,
        _ => 0,
    };
    let gib = number
        .parse::<u32>()
        .ok()
        .and_then(|it| it.checked_mul(factor));
    gib.filter(|gib| (1..=MOST_GIB).contains(gib))
        .ok_or_else(|| "a size in GiB, such as 200 or 200G, or in TiB, such as 2T".to_owned())
}

/// Looks at one node.
pub fn look() -> Command {
    let mut command = Command::look("looking at the size of the data", include_str!("look.sh"));
    command.limit = Duration::from_secs(20);
    command
}

impl Seen {
    /// From what was printed. What is not understood is left out.
    pub fn parse(node: &str, printed: &str) -> Seen {
        let mut seen = Seen {
            node: node.to_owned(),
            ..Seen::default()
        };
        let number = |word: &str| word.parse::<u64>().unwrap_or_default();
        for line in printed.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["mounted", path, device, kind, device_kind] => {
                    seen.mounted = Some(Mounted {
                        path: path.to_owned(),
                        device: device.to_owned(),
                        kind: kind.to_owned(),
                        device_kind: device_kind.to_owned(),
                        ..Mounted::default()
                    });
                }
                ["device", bytes] => {
                    if let Some(mounted) = &mut seen.mounted {
                        mounted.device_size = number(bytes);
                    }
                }
                ["blocks", bytes, count] => {
                    if let Some(mounted) = &mut seen.mounted {
                        mounted.used = number(bytes) * number(count);
                    }
                }
                ["resource", name] => {
                    seen.copy.get_or_insert_default().resource = name.to_owned();
                }
                ["connection", state] => seen.copy_mut().connections.push(state.to_owned()),
                ["copy", state] => seen.copy_mut().disks.push(state.to_owned()),
                ["volume", group, volume, bytes, free, extent] => {
                    let copy = seen.copy_mut();
                    copy.volume = format!("{group}/{volume}");
                    (copy.size, copy.free) = (number(bytes), number(free));
                    copy.extent = number(extent);
                }
                ["disk", disk, has, could] => {
                    let copy = seen.copy_mut();
                    // LVM keeps its label and what is left of an extent to itself.
                    let more = number(could).saturating_sub(number(has));
                    if more > SLACK {
                        copy.grown.push((disk.to_owned(), more));
                    }
                }
                _ => {}
            }
        }
        seen
    }

    fn copy_mut(&mut self) -> &mut Copy {
        self.copy.get_or_insert_default()
    }
}

impl Copy {
    /// How large the logical volume could be.
    fn most(&self) -> u64 {
        let extent = self.extent.max(1);
        let more: u64 = self
            .grown
            .iter()
            .map(|(_, more)| more / extent * extent)
            .sum();
        self.size + self.free + more
    }
}

impl Mounted {
    fn todo(&self, node: &str) -> Result<Todo, Failure> {
        let script = match (self.kind.as_str(), self.device_kind.as_str()) {
            (_, "part") => {
                return Err(Failure::failed(format!(
                    "{} is a partition, and the rest of its disk is not taken for it. Nothing was changed\n  help: growpart \
                     of the package cloud-guest-utils makes a partition larger; then ha-ctl grow again",
                    self.device
                )));
            }
            ("xfs", _) => format!("xfs_growfs -d {}", quoted(&self.path)),
            ("ext4", _) => format!("resize2fs {}", quoted(&self.device)),
            (kind, _) => {
                return Err(Failure::failed(format!(
                    "{} has a file system {kind}, and ha-ctl knows how xfs and ext4 grow. Nothing was changed",
                    self.path
                )));
            }
        };
        Ok(Todo::FileSystem {
            node: node.to_owned(),
            script,
            path: self.path.clone(),
        })
    }
}

/// What is left to do, in this order. `all` are the nodes that were reached, and `volume` is the size of the volume of
/// EC2, in GiB, where that is known.
///
/// # Errors
/// It cannot be done now.
pub fn todo(
    active: &Seen,
    all: &[Seen],
    wanted: Option<u32>,
    volume: Option<u32>,
) -> Result<Vec<Todo>, Failure> {
    let Some(mounted) = &active.mounted else {
        return Err(Failure::failed(format!(
            "the data is not mounted on {}. Nothing was changed\n  help: ha-ctl show",
            active.node
        )));
    };
    let mut todo = match &active.copy {
        Some(_) => below_drbd(active, mounted, all, wanted)?,
        None => volume_of_ec2(mounted, wanted, volume)?,
    };
    if !todo.is_empty() || mounted.device_size > mounted.used + SLACK {
        todo.push(mounted.todo(&active.node)?);
    }
    Ok(todo)
}

fn volume_of_ec2(
    mounted: &Mounted,
    wanted: Option<u32>,
    volume: Option<u32>,
) -> Result<Vec<Todo>, Failure> {
    let at_device = u32::try_from(mounted.device_size / GIB).unwrap_or(u32::MAX);
    let now = volume.unwrap_or(at_device);
    match wanted {
        Some(wanted) if wanted < now => Err(smaller(u64::from(now) * GIB)),
        Some(wanted) if wanted > now => Ok(vec![Todo::Volume {
            from: now,
            to: wanted,
        }]),
        _ => Ok(Vec::new()),
    }
}

fn smaller(now: u64) -> Failure {
    Failure::failed(format!(
        "the data has {} already, and is not made smaller. Nothing was changed",
        size(now)
    ))
}

fn below_drbd(
    active: &Seen,
    mounted: &Mounted,
    all: &[Seen],
    wanted: Option<u32>,
) -> Result<Vec<Todo>, Failure> {
    let holders: Vec<(&str, &Copy)> = all
        .iter()
        .filter_map(|it| Some((it.node.as_str(), it.copy.as_ref()?)))
        .filter(|(_, copy)| !copy.volume.is_empty())
        .collect();
    let refused = |found: String, help: &str| {
        Err(Failure::failed(format!(
            "{found}. Nothing was changed\n  help: {help}"
        )))
    };
    let status = "ha-ctl show; sudo drbdadm status   (or cat /proc/drbd)";
    let copy = active.copy.clone().unwrap_or_default();
    let (connections, disks) = (&copy.connections, &copy.disks);
    // A peer without a disk has none to be up to date.
    let is_whole = connections.iter().all(|it| it == "Connected")
        && disks.iter().all(|it| it == "UpToDate" || it == "Diskless");
    if !is_whole || connections.is_empty() {
        return refused(
            format!(
                "not all copies of the data are connected and up to date ({}; {}), and DRBD grows only then",
                connections.join(", "),
                disks.join(", ")
            ),
            status,
        );
    }
    let with_disk = 1 + connections.len() - disks.iter().filter(|it| *it == "Diskless").count();
    if holders.len() < with_disk.min(2) || holders.is_empty() {
        return refused(
            "the other copy of the data could not be looked at".to_owned(),
            "ha-ctl check --only ssh",
        );
    }
    let now = holders.iter().map(|(_, copy)| copy.size).min().unwrap_or(0);
    let target = match wanted {
        Some(wanted) => u64::from(wanted) * GIB,
        None => holders
            .iter()
            .map(|(_, copy)| copy.most())
            .min()
            .unwrap_or(0),
    };
    if wanted.is_some() && target < now {
        return Err(smaller(now));
    }
    let short: Vec<String> = holders
        .iter()
        .filter(|(_, copy)| copy.most() < target)
        .map(|(node, copy)| format!("{node} can have {}", size(copy.most())))
        .collect();
    if !short.is_empty() {
        return refused(
            format!(
                "there is no room for {}: {}",
                size(target),
                short.join(", ")
            ),
            "make the disks larger, or add one to the volume group: vgextend",
        );
    }
    let mut todo = Vec::new();
    for (node, copy) in holders.iter().filter(|(_, copy)| copy.size < target) {
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
    let of_drbd = now.max(target);
    if !todo.is_empty() || mounted.device_size + of_drbd / METADATA + SLACK < of_drbd {
        todo.push(Todo::Drbd {
            node: active.node.clone(),
            resource: copy.resource,
        });
    }
    Ok(todo)
}

impl Todo {
    /// For people.
    pub fn text(&self) -> String {
        match self {
            Todo::Volume { from, to } => {
                format!("make the volume {to} GiB large, from {from} GiB: EC2")
            }
            Todo::Disk { node, disk } => format!("take over the new size of {disk}: {node}"),
            Todo::LogicalVolume { node, volume, to } => {
                format!("make {volume} {} large: {node}", size(*to))
            }
            Todo::Drbd { node, resource } => {
                format!("have DRBD's {resource} take over the new size: {node}")
            }
            Todo::FileSystem { node, path, .. } => {
                format!("have the file system at {path} take over the new size: {node}")
            }
        }
    }

    /// The node, and the command there. None for what EC2 does.
    pub fn command(&self) -> Option<(&str, Command)> {
        let (node, script) = match self {
            Todo::Volume { .. } => return None,
            Todo::Disk { node, disk } => (node, format!("pvresize {}", quoted(disk))),
            Todo::LogicalVolume { node, volume, to } => {
                (node, format!("lvextend --size {to}b {}", quoted(volume)))
            }
            Todo::Drbd { node, resource } => (node, format!("drbdadm resize {}", quoted(resource))),
            Todo::FileSystem { node, script, .. } => (node, script.clone()),
        };
        let mut command = Command::change(self.text(), script);
        command.limit = Duration::from_secs(120);
        Some((node, command))
    }
}

#[cfg(test)]
mod tests;
