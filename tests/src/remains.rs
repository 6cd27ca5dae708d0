//! Removes a lab, whether it runs, has died, or was never finished. There is one way for all of
//! these, so that what cleans up after a crash is what every `lab down` tests. It goes by what is
//! there, not by what a record says should be.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroup::{self, Cgroup};
use crate::world::Error;
use crate::{name, netns, paths, run, volume};

const KILL_TIMEOUT: Duration = Duration::from_secs(20);

/// Whether there is anything to remove.
pub fn exist() -> bool {
    paths::state_dir().exists()
        || disks().exists()
        || group().is_some_and(|g| g.path().exists())
        || !netns::list().is_empty()
}

/// Removes everything; no error if there is nothing.
///
/// # Errors
/// What could not be removed, all of it: the rest is gone nevertheless.
pub fn remove() -> Result<(), Error> {
    let mut faults = Vec::new();
    let mut note = |result: Result<(), Error>| {
        if let Err(e) = result {
            faults.push(e.to_string());
        }
    };
    let disks = disks();
    note(end_processes());
    note(unmount(&disks));
    note(release_loops(&disks));
    for name in netns::list() {
        note(netns::delete(&name));
    }
    note(remove_dir(&disks));
    note(remove_dir(&paths::state_dir()));
    if faults.is_empty() {
        Ok(())
    } else {
        Err(format!("could not remove all of the lab:\n{}", faults.join("\n")).into())
    }
}

/// Where the lab's disks are: as it noted, because it may have been started with another cache.
fn disks() -> PathBuf {
    let own = Path::new("portsip-ha/run").join(name::current());
    paths::noted("disks")
        .filter(|path| path.ends_with(own))
        .unwrap_or_else(paths::disks)
}

fn group() -> Option<Cgroup> {
    let name = cgroup::name();
    let noted = paths::noted("cgroup").filter(|path| {
        path.iter()
            .any(|part| part.to_string_lossy().starts_with(&name))
    });
    noted
        .or_else(|| cgroup::mount_point().map(|mount| mount.join(name)))
        .map(Cgroup::existing)
}

fn end_processes() -> Result<(), Error> {
    let mut result = Ok(());
    if let Some(group) = group() {
        result = group.kill(KILL_TIMEOUT);
        group.remove();
    }
    if cgroup::systemd() {
        // No such unit is the usual case after a crash.
        let _ = run::run(
            "systemctl",
            &["stop", &format!("{}.service", cgroup::name())],
        );
    }
    result.and(end_visitors())
}

/// Processes that are in the lab's namespaces without being the lab's own: a shell or an ssh
/// connection of a person. They would keep the namespace, and with it the network, alive.
fn end_visitors() -> Result<(), Error> {
    let spaces: BTreeSet<u64> = netns::list()
        .iter()
        .filter_map(|name| fs::metadata(netns::path(name)).ok())
        .map(|meta| meta.ino())
        .collect();
    let deadline = Instant::now() + KILL_TIMEOUT;
    loop {
        let visitors = processes_in(&spaces);
        if visitors.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("processes {visitors:?} do not leave the lab's network").into());
        }
        for pid in visitors {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn processes_in(spaces: &BTreeSet<u64>) -> Vec<i32> {
    let own = std::process::id().cast_signed();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|ns| spaces.contains(&ns.ino()))
        })
        .collect()
}

/// Mounts of the lab are private to its processes; this is for what should not be.
fn unmount(disks: &Path) -> Result<(), Error> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mut points: Vec<&Path> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(Path::new)
        .filter(|point| point.starts_with(disks))
        .collect();
    points.reverse();
    for point in points {
        umount2(point, MntFlags::MNT_DETACH)
            .map_err(|e| format!("cannot unmount {}: {e}", point.display()))?;
    }
    Ok(())
}

/// The kernel unmounts what killed processes had mounted a moment after they are gone.
fn release_loops(disks: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + KILL_TIMEOUT;
    loop {
        volume::detach_all_below(disks)?;
        let left = volume::loops_below(disks);
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("loop devices {left:?} are still in use").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn remove_dir(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {e}", dir.display()).into())
        }
        _ => Ok(()),
    }
}
