//! Where a volume is, seen from outside a node: in its processes' devices, mount tables and open
//! files, and not in what the lab has written down. Processes that end meanwhile have nothing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::cgroup::Cgroup;
use crate::volume;
use crate::watch::Presence;
use crate::world::Error;

/// In a container: a device in the /dev of one of its mount namespaces, or a mount there.
///
/// # Errors
/// This machine's own devices cannot be read.
pub(super) fn in_container(group: &Cgroup, file: &Path) -> Result<Presence, Error> {
    let numbers = loops_on(file)?;
    let mut presence = Presence::Absent;
    if numbers.is_empty() {
        return Ok(presence);
    }
    let mut seen = BTreeSet::new();
    for process in group.processes() {
        let process = PathBuf::from(format!("/proc/{process}"));
        let Ok(namespace) = fs::read_link(process.join("ns/mnt")) else {
            continue;
        };
        if !seen.insert(namespace) || !is_of_a_container(&process) {
            continue;
        }
        if mounts(&process, &numbers) {
            return Ok(Presence::Mounted);
        }
        if shows(&process, &numbers) {
            presence = Presence::Device;
        }
    }
    Ok(presence)
}

/// In a user-mode kernel: it has the file open. What its guest has mounted can't be seen.
///
/// # Errors
/// None. It has the same type as [`in_container`].
pub(super) fn of_kernel(group: &Cgroup, file: &Path) -> Result<Presence, Error> {
    let open = group.processes().into_iter().any(|process| {
        fs::read_dir(format!("/proc/{process}/fd"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| fs::read_link(entry.path()).is_ok_and(|open| open == file))
    });
    Ok(if open {
        Presence::Device
    } else {
        Presence::Absent
    })
}

/// The numbers (`7:3`) of the loop devices on a file.
fn loops_on(file: &Path) -> Result<Vec<String>, Error> {
    let blocks = fs::read_dir("/sys/block").map_err(|e| format!("cannot read /sys/block: {e}"))?;
    Ok(blocks
        .flatten()
        .filter(|block| volume::behind(&block.path()).is_some_and(|behind| behind == file))
        // What was torn off from its node has nothing any more, and goes when it is unmounted.
        .filter(|block| {
            fs::read_to_string(block.path().join("size")).is_ok_and(|it| it.trim() != "0")
        })
        .filter_map(|block| fs::read_to_string(block.path().join("dev")).ok())
        .map(|number| number.trim().to_owned())
        .collect())
}

/// systemd-nspawn itself is in the group too, with this machine's /dev. A container's processes
/// have a number in it beside that here.
fn is_of_a_container(process: &Path) -> bool {
    fs::read_to_string(process.join("status")).is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))
            .is_some_and(|pids| pids.split_whitespace().count() > 1)
    })
}

/// proc(5): the third field of mountinfo is the device.
fn mounts(process: &Path, numbers: &[String]) -> bool {
    fs::read_to_string(process.join("mountinfo")).is_ok_and(|mounts| {
        mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(2))
            .any(|number| numbers.iter().any(|wanted| wanted == number))
    })
}

fn shows(process: &Path, numbers: &[String]) -> bool {
    fs::read_dir(process.join("root/dev"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|t| t.is_block_device()))
        .filter_map(|entry| entry.metadata().ok())
        .any(|device| {
            let number = device.rdev();
            let number = format!(
                "{}:{}",
                nix::sys::stat::major(number),
                nix::sys::stat::minor(number)
            );
            numbers.contains(&number)
        })
}
