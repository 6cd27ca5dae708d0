//! The data becomes larger, while it is in use: what has what size, and what is left to do. Pure; `verbs::grow` asks and
//! does it. Nothing here makes anything smaller.

use std::time::Duration;

use crate::cluster::quantities::size;
use crate::commands::quoted;
use crate::drbd::STATES;
use crate::exit::Failure;
use crate::reach::Command;

mod copy;

pub use copy::Copy;

/// What was found on one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The node.
    pub node: String,
    /// The file system, where it is mounted.
    pub mounted: Option<Mounted>,
    /// This node's copy of the data, where that is on DRBD.
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
    /// A copy's logical volume becomes larger.
    LogicalVolume {
        /// On which node.
        node: String,
        /// Which.
        volume: String,
        /// To this size, in bytes.
        to: u64,
    },
    /// DRBD takes over the size of the logical volumes.
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

/// A file system leaves the end of its device alone where it is too small for it.
const SLACK: u64 = 16 << 20;
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
        .ok_or_else(|| {
            "how large the whole volume is to be, in GiB, such as 200 or 200G, or in TiB, such as 2T, without a fraction. \
             Without SIZE and with a vars.yml of your own: ha-ctl extend run -s disk-only VARS_FILE"
                .to_owned()
        })
}

/// Looks at one node.
pub fn look() -> Command {
    let script = format!("states() {{\n{STATES}}}\n{}", include_str!("look.sh"));
    let mut command = Command::look("looking at the size of the data", script);
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
                _ => copy::read(&mut seen.copy, &words),
            }
        }
        seen
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_default()
}

impl Mounted {
    /// Whether the device is the volume, and not a part of it or something on it. DRBD's device is a disk for lsblk, and
    /// the lab's volumes are loop devices.
    pub fn is_whole_disk(&self) -> bool {
        ["disk", "loop"].contains(&self.device_kind.as_str())
    }

    /// What has the file system take over the size of its device.
    fn script(&self) -> Result<String, Failure> {
        match (self.kind.as_str(), self.device_kind.as_str()) {
            _ if !self.is_whole_disk() && self.device_size <= self.used + SLACK => {
                Err(Failure::failed(format!(
                    "{} is no whole disk, but {}, which does not follow its disk by itself. Nothing was changed\n  help: a \
                     partition: growpart, of the package cloud-guest-utils; encryption: cryptsetup resize. Then: ha-ctl grow",
                    self.device, self.device_kind
                )))
            }
            ("xfs", _) => Ok(format!("xfs_growfs -d {}", quoted(&self.path))),
            ("ext4", _) => Ok(format!("resize2fs {}", quoted(&self.device))),
            (kind, _) => Err(Failure::failed(format!(
                "{} has a file system {kind}, and ha-ctl knows how xfs and ext4 grow. Nothing was changed",
                self.path
            ))),
        }
    }
}

/// What is left to do, in this order. `others` are the other nodes with a copy of the data, and `volume` is the size of
/// the volume of EC2, in GiB, where that is known.
///
/// # Errors
/// It cannot be done.
pub fn todo(
    active: &Seen,
    others: &[&Seen],
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
        Some(copy) => copy::todo(active, copy, mounted, others, wanted)?,
        None => volume_of_ec2(mounted, wanted, volume)?,
    };
    if todo.is_empty() && mounted.device_size <= mounted.used + SLACK {
        // A partition does not follow its disk.
        let on_disk = volume.map_or(0, |gib| u64::from(gib) * GIB);
        if mounted.is_whole_disk() || on_disk <= mounted.device_size + GIB {
            return Ok(todo);
        }
    }
    todo.push(Todo::FileSystem {
        node: active.node.clone(),
        script: mounted.script()?,
        path: mounted.path.clone(),
    });
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
        Some(wanted) if wanted > now => {
            // What could not follow the volume is said before EC2 is asked.
            mounted.script()?;
            Ok(vec![Todo::Volume {
                from: now,
                to: wanted,
            }])
        }
        _ => Ok(Vec::new()),
    }
}

fn smaller(now: u64) -> Failure {
    Failure::failed(format!(
        "the data has {} already, and is not made smaller. Nothing was changed",
        size(now)
    ))
}

impl Todo {
    /// For people.
    pub fn text(&self) -> String {
        match self {
            Todo::Volume { from, to } => {
                format!("make the volume {to} GiB large, from {from} GiB: EC2")
            }
            Todo::Disk { node, disk } => {
                format!("have LVM take over the new size of {disk}: {node}")
            }
            Todo::LogicalVolume { node, volume, to } => {
                format!("make {volume} {} MiB large: {node}", to >> 20)
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
            // The file system reads nothing of the new part before it has written it, so that the copies may differ
            // there. While they were made alike, the standby could not take over.
            Todo::Drbd { node, resource } => (
                node,
                format!("drbdadm -- --assume-clean resize {}", quoted(resource)),
            ),
            Todo::FileSystem { node, script, .. } => (node, script.clone()),
        };
        let mut command = Command::change(self.text(), script);
        command.limit = Duration::from_secs(120);
        Some((node, command))
    }
}

/// Has DRBD write down how large the logical volume of a copy is. After a power cut in the middle of the next growth, it
/// looks for its metadata by that.
pub fn note_size(resource: &str) -> Command {
    Command::change(
        "write down the size of this copy",
        format!("drbdadm check-resize {}", quoted(resource)),
    )
}

#[cfg(test)]
mod tests;
