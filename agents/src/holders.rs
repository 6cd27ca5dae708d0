//! Who holds a block device that is to be detached: kernel drivers on top of it, swap, loop devices, other mount
//! namespaces, processes. Nothing is decided or changed here; `awsebs/unmount.rs` does.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

mod process;
#[cfg(test)]
mod tests;

use crate::device::{Device, entries};
use crate::mounts::{self, Mount};
use process::Process;

const LONGEST_LIST: usize = 4;

/// The directories in which the kernel and Docker show what is looked for.
#[derive(Debug, Clone)]
struct Kernel {
    /// /sys/dev/block: disks and partitions by their numbers.
    devices: PathBuf,
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
        for holder in entries(&below.join("holders")) {
            let name = name_of(&holder);
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
        let lines = table.lines().skip(1);
        let paths = lines.filter_map(|line| line.split_whitespace().next());
        let paths = paths.map(|path| mounts::unescaped(path.as_bytes()));
        let here = paths.filter(|path| is_on(path, &mounts, numbers));
        here.map(|path| format!("swap (swapoff {})", path.display()))
            .collect()
    }

    /// Loop devices over the disk or a file on it. One with `autoclear` goes when its last user does.
    fn loops_on(&self, numbers: &[String]) -> Vec<String> {
        let mounts = mounts::mounts_of(&self.proc.join("self")).unwrap_or_default();
        let loops = entries(&self.block).filter_map(|disk| {
            let says = |file: &str| fs::read_to_string(disk.join("loop").join(file)).ok();
            let file = says("backing_file")?;
            let file = Path::new(file.trim_end_matches('\n'));
            let clears_itself = says("autoclear")?.trim() == "1";
            let (name, over) = (name_of(&disk), file.display());
            (!clears_itself && is_on(file, &mounts, numbers)).then(|| {
                format!("loop device /dev/{name} over {over} (losetup --detach /dev/{name})")
            })
        });
        let mut found: Vec<String> = loops.collect();
        found.sort();
        found
    }

    /// Who has the device mounted in another mount namespace, or it or a file of it open. Who is found first is told first.
    fn users_of(&self, numbers: &[String], tell: &dyn Fn(User)) {
        let own_mounts = mounts::mounts_of(&self.proc.join("self")).unwrap_or_default();
        let mut devices: BTreeSet<String> = numbers.iter().cloned().collect();
        let is_here = |mount: &&Mount| mount.is_on(numbers);
        let found = Cell::new(false);
        let tell = |user| {
            found.set(true);
            tell(user);
        };
        for mount in own_mounts.iter().filter(is_here) {
            devices.insert(mount.device.clone());
            // Other file systems that are mounted below it keep it from being unmounted.
            let below = |it: &&Mount| it.point != mount.point && it.point.starts_with(&mount.point);
            for other in own_mounts
                .iter()
                .filter(below)
                .filter(|it| !it.is_on(numbers))
            {
                let point = other.point.display();
                tell(format!("the file system mounted below it on {point}").into());
            }
        }
        let own = fs::read_link(self.proc.join("self/ns/mnt")).ok();
        let mut namespaces: BTreeSet<PathBuf> = own.into_iter().collect();
        let mut others = Vec::new();
        for process in Process::all(&self.proc, &self.containers) {
            let is_new = |namespace| namespaces.insert(namespace);
            let mounts = match process.mount_namespace().is_some_and(is_new) {
                true => process.mounts(),
                false => Vec::new(),
            };
            let here: Vec<_> = mounts.iter().filter(is_here).collect();
            let Some(mount) = here.first() else {
                others.push(process);
                continue;
            };
            devices.extend(here.iter().map(|mount| mount.device.clone()));
            let point = mount.point.display();
            let name = format!("{process}, which has it mounted on {point}");
            // A mount that follows the node's is unmounted with it.
            let goes_with_it = here.iter().all(|mount| mount.follows);
            let remedy = process.remedy().filter(|_| !goes_with_it);
            tell(User { name, remedy });
        }
        // What is mapped is looked at last: a process can have tens of thousands of mappings (a virtual machine, a
        // database), and the time for the search must not end there.
        let tell_of = |process: &Process, file: PathBuf| {
            tell(format!("{process}, which uses {}", file.display()).into());
        };
        others.retain(|process| match process.opens(&devices) {
            Some(file) => {
                tell_of(process, file);
                false
            }
            None => true,
        });
        for process in &others {
            if let Some(file) = process.maps(&devices) {
                tell_of(process, file);
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

/// Whether a file is on one of these devices, or is one of them. Only what is in /dev is looked at: to look at a file
/// of a dead NFS server can take for ever.
fn is_on(file: &Path, mounts: &[Mount], numbers: &[String]) -> bool {
    let below = mounts.iter().rfind(|mount| file.starts_with(&mount.point));
    file.starts_with("/dev") && mounts::is_one_of(file, numbers)
        || below.is_some_and(|mount| mount.is_on(numbers))
}

fn name_of(entry: &Path) -> String {
    let name = entry.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What a driver's disk is, and how it is taken away.
fn driver(disk: &Path, name: &str) -> String {
    let says = |file: &str| fs::read_to_string(disk.join(file)).unwrap_or_default();
    let (mapped, kind) = (says("dm/name"), says("dm/uuid"));
    match (mapped.trim(), kind.split('-').next()) {
        ("", _) if disk.join("md").exists() => {
            format!("software RAID {name} (mdadm --stop /dev/{name})")
        }
        ("", _) => format!("block device {name} on top of it"),
        (it, Some("LVM")) => {
            format!("LVM logical volume {it} (lvchange --activate n /dev/mapper/{it})")
        }
        (it, Some("CRYPT")) => format!("encrypted mapping {it} (cryptsetup close {it})"),
        (it, Some("mpath")) => format!("multipath map {it} (multipath -f {it})"),
        (it, _) => format!("device-mapper device {it} (dmsetup remove {it})"),
    }
}
