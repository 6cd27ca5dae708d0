//! The control groups of a container: killing all of its processes at once, and waking them when they are frozen.
//! Only a group whose name has the container's id, and what is below it, is ever written to.

use std::fs;
use std::path::{Path, PathBuf};

use super::processes::ids_in;
use super::signal;
use crate::mounts::{Mount, mounts};

/// The controller of cgroup v1 that freezes, and cgroup v2, which has no name.
const FREEZER: &str = "freezer";
const V2: &str = "";

/// Kills the processes: by their group (Linux 5.14 and later, cgroup v2), and each by itself.
pub(super) fn kill(id: &str, processes: &[i32]) {
    let mounts = mounts().unwrap_or_default();
    for process in processes {
        let groups = groups_of(*process);
        // The process may have ended since it was listed, and its number may be another's by now.
        if !ids_in(&groups).iter().any(|it| it == id) {
            continue;
        }
        // Where the file is missing, the signal does it.
        write(group_of(&groups, V2, id, &mounts), "cgroup.kill", "1");
        if let Err(error) = signal::send(*process, signal::KILL) {
            tracing::warn!("kill process {process}: {error}");
        }
        // A process that is frozen by v1 does not even end by SIGKILL.
        let freezer = group_of(&groups, FREEZER, id, &mounts);
        write(freezer, "freezer.state", "THAWED");
    }
}

/// Wakes the processes of a container that is paused.
pub(super) fn thaw(id: &str, process: i32) {
    let mounts = mounts().unwrap_or_default();
    let groups = groups_of(process);
    write(group_of(&groups, V2, id, &mounts), "cgroup.freeze", "0");
    let freezer = group_of(&groups, FREEZER, id, &mounts);
    write(freezer, "freezer.state", "THAWED");
}

fn groups_of(process: i32) -> String {
    fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default()
}

/// Writes to a file of the group, if there are both.
fn write(group: Option<PathBuf>, file: &str, value: &str) {
    if let Some(group) = group {
        let _ = fs::write(group.join(file), value);
    }
}

/// The directory of the container's own group, by the `/proc/PID/cgroup` of one of its processes.
fn group_of(groups: &str, controller: &str, id: &str, mounts: &[Mount]) -> Option<PathBuf> {
    let has = |list: &str| list.split(',').any(|it| it == controller);
    let hierarchy = mounts.iter().find(|mount| match controller {
        V2 => mount.kind == "cgroup2",
        _ => mount.kind == "cgroup" && has(&mount.options),
    })?;
    let path = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let is_it = has(fields.next()?);
        fields.next().filter(|_| is_it)
    })?;
    let mut own = PathBuf::new();
    for component in Path::new(path).components() {
        own.push(component);
        if component.as_os_str().to_string_lossy().contains(id) {
            let below = own.strip_prefix(&hierarchy.root).ok()?;
            return Some(hierarchy.point.join(below));
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::processes::tests::id;
    use super::*;
    use crate::mounts::parsed;

    const V1: &str = "\
30 24 0:26 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
31 24 0:27 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
";

    #[test]
    fn a_process_that_is_not_of_the_container_is_not_killed() {
        let mut other = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        kill(&id('a'), &[other.id().try_into().unwrap()]);
        // SIGKILL would end it in no time.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let ended = other.try_wait().unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(ended, None);
    }

    #[test]
    fn the_group_of_the_container_itself_is_found_in_both_hierarchies() {
        let a = id('a');
        let groups = format!("7:freezer:/docker/{a}\n0::/docker/{a}/below\n");
        let mounts = parsed(V1);
        assert_eq!(
            group_of(&groups, V2, &a, &mounts).unwrap(),
            Path::new("/sys/fs/cgroup/unified/docker").join(&a)
        );
        assert_eq!(
            group_of(&groups, FREEZER, &a, &mounts).unwrap(),
            Path::new("/sys/fs/cgroup/freezer/docker").join(&a)
        );
    }

    #[test]
    fn no_other_group_is_taken_for_it() {
        let mounts = parsed(V1);
        for groups in [
            "0::/system.slice/docker.service\n",
            "0::/\n",
            "7:freezer:/docker/a\n",
            "",
        ] {
            assert_eq!(group_of(groups, V2, &id('a'), &mounts), None, "{groups}");
        }
        let elsewhere = parsed("30 24 0:26 /node1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        let groups = format!("0::/docker/{}\n", id('a'));
        assert_eq!(group_of(&groups, V2, &id('a'), &elsewhere), None);
    }

    #[test]
    fn a_mount_that_shows_a_part_of_the_hierarchy_is_understood() {
        let line = "30 24 0:26 /node1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let group = format!("0::/node1/docker/{}\n", id('a'));
        assert_eq!(
            group_of(&group, V2, &id('a'), &parsed(line)).unwrap(),
            Path::new("/sys/fs/cgroup/docker").join(id('a'))
        );
    }
}
