//! Which containers have processes on this node, found without Docker: by the control groups of processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::container::{Container, RunState};

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

/// Corrects a list of Docker's: what has no process does not run.
pub(super) fn correct(containers: &mut [Container]) {
    let ended = ended_unnoted(containers);
    for (container, _) in containers.iter_mut().zip(ended).filter(|(_, ended)| *ended) {
        container.state = RunState::Exited;
        container.status = format!(
            "it has no process, although Docker says: {}",
            container.status
        );
    }
}

/// Which of these containers have no process although Docker says that they run, as one that is stuck does for ever.
pub(super) fn ended_unnoted(containers: &[Container]) -> Vec<bool> {
    let runs = |container: &Container| {
        matches!(
            container.state,
            RunState::Running | RunState::Paused | RunState::Stopping
        )
    };
    let seen = |container: &Container| group_is_populated(&container.id);
    if containers.iter().filter(|it| runs(it)).all(seen) {
        return vec![false; containers.len()];
    }
    let processes = with_processes();
    containers
        .iter()
        .map(|container| runs(container) && !processes.contains(&container.id))
        .collect()
}

/// Whether the control group that Docker makes unless it is told otherwise has processes. Cheaper than to look at
/// all processes of the node; an answer no says nothing.
fn group_is_populated(id: &str) -> bool {
    let groups = [
        format!("/sys/fs/cgroup/system.slice/docker-{id}.scope/cgroup.events"),
        format!("/sys/fs/cgroup/docker/{id}/cgroup.events"),
    ];
    groups.iter().any(|events| {
        fs::read_to_string(events)
            .is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
    })
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

    #[test]
    fn what_docker_says_to_run_has_ended_without_a_process_and_what_restarts_has_not() {
        use super::super::order::tests::container;
        let mut containers =
            [RunState::Running, RunState::Restarting, RunState::Created].map(|state| {
                let container = container("gateway", "");
                Container { state, ..container }
            });
        correct(&mut containers);
        let states = containers.each_ref().map(|container| container.state);
        assert_eq!(
            states,
            [RunState::Exited, RunState::Restarting, RunState::Created]
        );
        assert_eq!(
            containers[0].status,
            "it has no process, although Docker says: Up 5 seconds"
        );
    }
}
