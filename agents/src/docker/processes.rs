//! Which containers have processes on this node, found without Docker: by the control groups of processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The ids of the containers that have processes.
pub fn with_processes() -> BTreeSet<String> {
    with_processes_under(Path::new("/proc"))
}

fn with_processes_under(proc: &Path) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for process in fs::read_dir(proc).into_iter().flatten().flatten() {
        if let Ok(groups) = fs::read_to_string(process.path().join("cgroup")) {
            ids.extend(container_id(&groups).map(str::to_owned));
        }
    }
    ids
}

/// The id in `0::/system.slice/docker-ID.scope` or `0::/docker/ID`.
fn container_id(groups: &str) -> Option<&str> {
    groups
        .lines()
        .filter(|line| line.contains("docker"))
        .flat_map(|line| line.split(|c: char| !c.is_ascii_hexdigit()))
        .find(|part| part.len() == 64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn id(c: char) -> String {
        c.to_string().repeat(64)
    }

    #[test]
    fn both_kinds_of_control_group_name_the_container() {
        let systemd = format!("0::/system.slice/docker-{}.scope\n", id('a'));
        assert_eq!(container_id(&systemd), Some(id('a').as_str()));
        let cgroupfs = format!("0::/docker/{}\n", id('b'));
        assert_eq!(container_id(&cgroupfs), Some(id('b').as_str()));
        assert_eq!(container_id("0::/system.slice/docker.service\n"), None);
        assert_eq!(
            container_id(&format!("0::/machine/libpod-{}\n", id('a'))),
            None
        );
    }

    #[test]
    fn a_container_with_two_processes_is_one() {
        let proc = tempfile::tempdir().unwrap();
        for (process, container) in [("7", 'a'), ("8", 'a'), ("9", 'b')] {
            fs::create_dir(proc.path().join(process)).unwrap();
            let group = format!("0::/docker/{}\n", id(container));
            fs::write(proc.path().join(process).join("cgroup"), group).unwrap();
        }
        fs::create_dir(proc.path().join("sys")).unwrap();
        assert_eq!(
            with_processes_under(proc.path()),
            BTreeSet::from([id('a'), id('b')])
        );
    }
}
