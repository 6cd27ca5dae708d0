//! The processes of containers on this node, found without Docker. Where Docker puts the control group of a container
//! depends on its settings and on the system (`/system.slice/docker-ID.scope`, `/docker/ID`, any parent), but the
//! group's name has the container's id in it. `agents/pbx/data.rs` looks at what they do with the data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PROC: &str = "/proc";

pub(crate) type Processes = BTreeMap<String, Vec<i32>>;

/// All containers on this node that have processes, whoever runs them.
pub(crate) fn of_containers() -> Processes {
    found_in(Path::new(PROC), &own(), |_| true)
}

/// The containers that Docker may run, by the names of their groups. Podman, CRI-O and containerd give other names.
pub(crate) fn of_docker() -> Processes {
    found_in(Path::new(PROC), &own(), is_dockers)
}

/// The containers in which this process itself runs.
fn own() -> BTreeSet<String> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    ids_in(&own).into_iter().collect()
}

/// The containers whose group's name `counts`, except `own`, in which this process itself runs.
fn found_in(proc: &Path, own: &BTreeSet<String>, counts: impl Fn(&str) -> bool) -> Processes {
    let mut found = Processes::new();
    for process in pids(proc) {
        let directory = proc.join(process.to_string());
        let Ok(groups) = fs::read_to_string(directory.join("cgroup")) else {
            continue;
        };
        // The outermost: a container within a container belongs to the outer one.
        let group = groups_in(&groups).find(|(_, id)| !own.contains(*id));
        if let Some((name, id)) = group
            && counts(name)
            && live_threads(&directory).next().is_some()
        {
            found.entry(id.to_owned()).or_default().push(process);
        }
    }
    found
}

/// The ids of containers in a `/proc/PID/cgroup`, the outermost first.
pub(super) fn ids_in(groups: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for (_, id) in groups_in(groups) {
        if !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    }
    ids
}

/// The groups of containers in a `/proc/PID/cgroup`, each with its name and the container's id.
fn groups_in(groups: &str) -> impl Iterator<Item = (&str, &str)> {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let names = paths.flat_map(|path| path.split('/'));
    names.filter_map(|name| Some((name, id_in(name)?)))
}

/// Whether Docker gives such a name to a group. The kernel adds a word when the group was removed.
fn is_dockers(name: &str) -> bool {
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    let scope = name.strip_prefix("docker-");
    let id = scope.map_or(Some(name), |it| it.strip_suffix(".scope"));
    id.is_some_and(|id| id_in(id) == Some(id))
}

/// The id in the name of a group: `docker-ID.scope`, `ID`.
fn id_in(name: &str) -> Option<&str> {
    name.split(|c: char| !c.is_ascii_hexdigit())
        .find(|part| part.len() == 64)
}

fn pids(proc: &Path) -> impl Iterator<Item = i32> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The directories of a process's threads that are not dead. Without its first thread, a process looks like a zombie.
pub(crate) fn live_threads(process: &Path) -> impl Iterator<Item = PathBuf> {
    let threads = fs::read_dir(process.join("task"));
    let threads = threads.into_iter().flatten().flatten();
    threads.map(|thread| thread.path()).filter(|thread| {
        let state = fs::read_to_string(thread.join("stat")).ok();
        state.is_some_and(|line| !matches!(field(&line, 0), None | Some("Z" | "X" | "x")))
    })
}

/// A field of a `stat` (proc(5)), counted from the one behind the program's name, which may have blanks.
fn field(stat: &str, number: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number)
}

/// When a process began, in ticks since boot. Together with its number, this identifies a process.
fn began(process: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("{PROC}/{process}/stat")).ok()?;
    field(&stat, 19)?.parse().ok()
}

/// The first process of a container, which gets the stop signal: number 1 of its own namespace. If the container
/// shares the host's namespace, the process that began first.
pub(super) fn first_of(processes: &[i32]) -> Option<i32> {
    let is_init = |process: &&i32| {
        let status = fs::read_to_string(format!("{PROC}/{process}/status"));
        status.is_ok_and(|text| innermost_number(&text) == Some(1))
    };
    let first = processes.iter().find(is_init);
    let oldest = || processes.iter().min_by_key(|process| began(**process));
    first.or_else(oldest).copied()
}

/// The number of a process in its own namespace, by its `/proc/PID/status`.
fn innermost_number(status: &str) -> Option<i32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    line?.split_whitespace().next_back()?.parse().ok()
}

/// The Docker daemons that run, each by its process number and when it began.
pub(crate) fn daemons() -> Vec<(i32, u64)> {
    let named = |process: &i32| {
        let name = fs::read_to_string(format!("{PROC}/{process}/comm"));
        name.is_ok_and(|name| name.trim_end() == "dockerd")
    };
    let daemons = pids(Path::new(PROC)).filter(named);
    daemons.filter_map(|it| Some((it, began(it)?))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn id(c: char) -> String {
        c.to_string().repeat(64)
    }

    /// A process with one thread in this state.
    pub(crate) fn process(proc: &Path, number: i32, groups: &str, states: &[&str]) -> PathBuf {
        let directory = proc.join(number.to_string());
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("cgroup"), groups).unwrap();
        for (position, state) in states.iter().enumerate() {
            let thread = directory.join(format!("task/{}", number + position as i32));
            fs::create_dir_all(&thread).unwrap();
            fs::write(thread.join("stat"), format!("7 (a) b) {state} 1 2")).unwrap();
        }
        directory
    }

    #[test]
    fn a_container_is_known_by_its_id_wherever_its_group_is() {
        let a = id('a');
        for groups in [
            format!("0::/system.slice/docker-{a}.scope\n"),
            format!("0::/docker/{a}\n"),
            format!("0::/pbx.slice/{a}\n"),
            format!("0::/docker/{a}/init.scope (deleted)\n"),
            format!("12:pids:/docker/{a}\n1:name=systemd:/docker/{a}\n0::/\n"),
            format!("0::/../../docker/{a} (deleted)\n"),
        ] {
            assert_eq!(ids_in(&groups), std::slice::from_ref(&a), "{groups}");
        }
        for groups in [
            "0::/system.slice/docker.service\n".to_owned(),
            format!("0::/docker/{a}0\n"),
            format!("0::/docker/{}\n", &a[1..]),
        ] {
            assert_eq!(ids_in(&groups), [""; 0], "{groups}");
        }
    }

    #[test]
    fn what_is_within_a_container_is_of_it_and_our_own_container_is_none() {
        let proc = tempfile::tempdir().unwrap();
        let [a, b, c] = ['a', 'b', 'c'].map(id);
        process(
            proc.path(),
            7,
            &format!("0::/docker/{c}/docker/{a}\n"),
            &["S"],
        );
        process(
            proc.path(),
            8,
            &format!("0::/docker/{c}/docker/{a}/docker/{b}\n"),
            &["S"],
        );
        process(proc.path(), 9, &format!("0::/docker/{c}\n"), &["S"]);
        // Not everything in /proc is a process.
        fs::create_dir(proc.path().join("sys")).unwrap();
        let mut found = found_in(proc.path(), &BTreeSet::from([c]), |_| true);
        for processes in found.values_mut() {
            processes.sort_unstable();
        }
        assert_eq!(found, Processes::from([(a, vec![7, 8])]));
    }

    #[test]
    fn a_zombie_is_dead_unless_a_thread_of_it_lives() {
        let proc = tempfile::tempdir().unwrap();
        process(
            proc.path(),
            10,
            &format!("0::/docker/{}\n", id('a')),
            &["Z"],
        );
        process(
            proc.path(),
            20,
            &format!("0::/docker/{}\n", id('b')),
            &["Z", "D"],
        );
        let found = found_in(proc.path(), &BTreeSet::new(), |_| true);
        assert_eq!(found.keys().collect::<Vec<_>>(), [&id('b')]);
    }

    #[test]
    fn the_containers_of_docker_are_told_from_those_of_others_by_the_name_of_the_group() {
        let proc = tempfile::tempdir().unwrap();
        let [a, b, c, d] = ['a', 'b', 'c', 'd'].map(id);
        let groups = [
            format!("0::/system.slice/docker-{a}.scope\n"),
            format!("0::/docker/{b}\n"),
            format!("0::/pbx.slice/{c} (deleted)\n"),
            format!("0::/machine.slice/libpod-{d}.scope/container\n"),
            format!("0::/machine.slice/libpod-{d}.scope/docker/{a}\n"),
            format!("0::/libpod_parent/libpod-{d}\n"),
            format!("0::/machine.slice/libpod-conmon-{d}.scope\n"),
            format!("0::/kubepods.slice/cri-containerd-{d}.scope\n"),
            format!("0::/kubepods.slice/crio-{d}.scope\n"),
            format!("0::/system.slice/docker-{d}\n"),
        ];
        for (number, groups) in (1..).zip(&groups) {
            process(proc.path(), number, groups, &["S"]);
        }
        let own = BTreeSet::new();
        let of_docker = found_in(proc.path(), &own, is_dockers);
        let expected = [(a.clone(), vec![1]), (b.clone(), vec![2]), (c, vec![3])];
        assert_eq!(of_docker, Processes::from(expected));
        let all = found_in(proc.path(), &own, |_| true);
        assert_eq!(all[&d].len(), 7, "{all:?}");
    }

    #[test]
    fn the_number_in_the_innermost_namespace_is_read() {
        assert_eq!(innermost_number("Name:\tsh\nNSpid:\t4711\t1\n"), Some(1));
        assert_eq!(innermost_number("Name:\tsh\nNSpid:\t4711\n"), Some(4711));
    }
}
