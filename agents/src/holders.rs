//! Who holds a block device that is to be detached: kernel drivers on top of it, swap, loop devices, other mount
//! namespaces, processes. Nothing is decided or changed here; `awsebs/unmount.rs` does.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

mod process;
#[cfg(test)]
mod tests;

use crate::device::{self, Device};
use crate::mounts;
use process::Process;

/// As many as a message can name.
const LONGEST_LIST: usize = 4;

/// The directories in which the kernel and Docker show what is looked for.
#[derive(Debug, Clone)]
struct Kernel {
    /// /sys/dev/block: disks and partitions by their numbers.
    devices: PathBuf,
    /// /sys/class/block.
    block: PathBuf,
    proc: PathBuf,
    /// Where Docker keeps what it knows of its containers.
    containers: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            devices: "/sys/dev/block".into(),
            block: "/sys/class/block".into(),
            proc: "/proc".into(),
            containers: "/var/lib/docker/containers".into(),
        }
    }
}

/// The drivers, swap and loop devices that hold the device: `LVM logical volume vg-data (lvchange --activate n
/// /dev/mapper/vg-data)`. They do not end by themselves, so it is useless to wait for them.
pub(crate) fn drivers(device: &Device) -> Vec<String> {
    let kernel = Kernel::default();
    let numbers = device.numbers();
    let mut found = Vec::new();
    for number in &numbers {
        kernel.stacked_on(&kernel.devices.join(number), &mut found);
    }
    found.extend(kernel.swaps_on(&numbers));
    found.extend(kernel.loops_on(&numbers));
    found
}

/// A process or a container that holds the device, or a file system that is mounted below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// Its name, for people.
    pub(crate) name: String,
    /// What ends it, if it is known not to end by itself.
    pub(crate) remedy: Option<String>,
}

impl From<String> for User {
    fn from(name: String) -> Self {
        Self { name, remedy: None }
    }
}

/// The processes that use the device, and file systems mounted below it. They may end by themselves. A search of /proc
/// can hang (at a file of a dead NFS server), so it is given up after `limit` with those who were found until then.
pub(crate) fn users(device: &Device, limit: Duration) -> Vec<User> {
    let end = Instant::now() + limit;
    let device = device.clone();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        Kernel::default().users_of(&device.numbers(), &|user| drop(tell.send(user)));
    });
    let mut found = Vec::new();
    while found.len() < LONGEST_LIST
        && let Ok(user) = told.recv_timeout(end.saturating_duration_since(Instant::now()))
    {
        found.push(user);
    }
    found
}

impl Kernel {
    /// Drivers on top of a disk, the topmost first, as they have to be taken away in this order.
    fn stacked_on(&self, below: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(below.join("holders"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let disk = self.block.join(&name);
            self.stacked_on(&disk, found);
            let driver = driver(&disk, &name);
            if !found.contains(&driver) {
                found.push(driver);
            }
        }
    }

    /// proc(5), swaps: `Filename Type Size Used Priority`.
    fn swaps_on(&self, numbers: &[String]) -> Vec<String> {
        let mounts = mounts::mounts_of(&self.proc.join("self")).unwrap_or_default();
        let table = fs::read_to_string(self.proc.join("swaps")).unwrap_or_default();
        let paths = table
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next());
        paths
            .map(|path| mounts::unescaped(path.as_bytes()))
            .filter(|path| is_on(path, &mounts, numbers))
            .map(|path| format!("swap (swapoff {})", path.display()))
            .collect()
    }

    /// Loop devices over the disk or a file on it. One with `autoclear` goes when its last user does.
    fn loops_on(&self, numbers: &[String]) -> Vec<String> {
        let mounts = mounts::mounts_of(&self.proc.join("self")).unwrap_or_default();
        let entries = fs::read_dir(&self.block).into_iter().flatten().flatten();
        let mut found: Vec<String> = entries
            .filter_map(|entry| {
                let about = entry.path().join("loop");
                let says = |file: &str| fs::read_to_string(about.join(file)).ok();
                let file = says("backing_file")?;
                let file = PathBuf::from(file.trim_end_matches('\n'));
                let clears_itself = says("autoclear")?.trim() == "1";
                let name = entry.file_name().to_string_lossy().into_owned();
                (!clears_itself && is_on(&file, &mounts, numbers)).then(|| {
                    format!(
                        "loop device /dev/{name} over {} (losetup --detach /dev/{name})",
                        file.display()
                    )
                })
            })
            .collect();
        found.sort();
        found
    }

    /// Who has the device mounted in another mount namespace, has a file of it open, or the device itself. What is
    /// found soonest is told first.
    fn users_of(&self, numbers: &[String], tell: &dyn Fn(User)) {
        let own_mounts = mounts::mounts_of(&self.proc.join("self")).unwrap_or_default();
        let mut devices: BTreeSet<String> = numbers.iter().cloned().collect();
        let is_here = |mount: &&mounts::Mount| mount.is_on(numbers);
        let found = Cell::new(false);
        let tell = |user| {
            found.set(true);
            tell(user);
        };
        for mount in own_mounts.iter().filter(is_here) {
            devices.insert(mount.device.clone());
            for other in below(mount, &own_mounts, numbers) {
                tell(User::from(other));
            }
        }
        let own = fs::read_link(self.proc.join("self/ns/mnt")).ok();
        let mut namespaces: BTreeSet<PathBuf> = own.into_iter().collect();
        let mut others = Vec::new();
        for process in Process::all(&self.proc, &self.containers) {
            let is_new = |namespace| namespaces.insert(namespace);
            if !process.mount_namespace().is_some_and(is_new) {
                others.push(process);
                continue;
            }
            let mounts = process.mounts();
            let here: Vec<_> = mounts.iter().filter(is_here).collect();
            let Some(mount) = here.first() else {
                others.push(process);
                continue;
            };
            devices.extend(here.iter().map(|mount| mount.device.clone()));
            let point = mount.point.display();
            tell(User {
                name: format!("{process}, which has it mounted on {point}"),
                // A mount that follows the node's is unmounted with it.
                remedy: process
                    .remedy()
                    .filter(|_| !here.iter().all(|mount| mount.follows)),
            });
        }
        for process in others {
            if let Some(file) = process.uses(&devices) {
                tell(format!("{process}, which uses {}", file.display()).into());
            }
        }
        if found.get() {
            return;
        }
        // Such as those of snapd: nothing shows what is mounted in one that no process is in.
        for mount in &own_mounts {
            if mount.root.to_string_lossy().starts_with("mnt:[") {
                let point = mount.point.display();
                tell(format!("perhaps the mount namespace that is kept at {point}").into());
            }
        }
    }
}

/// Other file systems that are mounted below this one and keep it from being unmounted.
fn below(mount: &mounts::Mount, all: &[mounts::Mount], numbers: &[String]) -> Vec<String> {
    all.iter()
        .filter(|other| {
            other.point != mount.point
                && other.point.starts_with(&mount.point)
                && !other.is_on(numbers)
        })
        .map(|other| {
            format!(
                "the file system mounted below it on {}",
                other.point.display()
            )
        })
        .collect()
}

/// Whether a file is on one of these devices, or is one of them. Only what is in /dev is looked at: to look at a file
/// of a dead NFS server can take for ever.
fn is_on(file: &Path, mounts: &[mounts::Mount], numbers: &[String]) -> bool {
    let is_one = || {
        fs::metadata(file).is_ok_and(|file| {
            file.file_type().is_block_device() && numbers.contains(&device::number(file.rdev()))
        })
    };
    let below = mounts.iter().rfind(|mount| file.starts_with(&mount.point));
    file.starts_with("/dev") && is_one() || below.is_some_and(|mount| mount.is_on(numbers))
}

/// What a driver's disk is, and how it is taken away.
fn driver(disk: &Path, name: &str) -> String {
    let says = |file: &str| fs::read_to_string(disk.join(file)).unwrap_or_default();
    let mapped = says("dm/name").trim().to_owned();
    let kind = says("dm/uuid");
    if !mapped.is_empty() {
        return if kind.starts_with("LVM-") {
            format!("LVM logical volume {mapped} (lvchange --activate n /dev/mapper/{mapped})")
        } else if kind.starts_with("CRYPT-") {
            format!("encrypted mapping {mapped} (cryptsetup close {mapped})")
        } else if kind.starts_with("mpath-") {
            format!("multipath map {mapped} (multipath -f {mapped})")
        } else {
            format!("device-mapper device {mapped} (dmsetup remove {mapped})")
        };
    }
    if disk.join("md").exists() {
        return format!("software RAID {name} (mdadm --stop /dev/{name})");
    }
    format!("block device {name} on top of it")
}
