//! Which containers have processes on this node, found without Docker: by the control groups of processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::container::{Container, RunState};

/// The ids of Docker's containers that have processes.
pub fn with_processes() -> BTreeSet<String> {
    let groups = groups_under(Path::new("/proc"));
    let ids = groups.iter().filter_map(|groups| container_id(groups));
    ids.map(str::to_owned).collect()
}

/// Whether a container has processes.
pub(super) fn has(container: &Container) -> bool {
    group_is_populated(&container.id)
        || groups_under(Path::new("/proc"))
            .iter()
            .any(|groups| groups.contains(&container.id))
}

/// Whether the processes can tell what runs, as they do when the control group of each bears the container's
/// id: every container that Docker says to run has one.
pub(super) fn tell(containers: &[Container]) -> bool {
    !ended(containers).contains(&true)
}

/// Corrects a list of Docker's: what has no process does not run.
pub(super) fn correct(containers: &mut [Container]) {
    let ended = ended(containers);
    for (container, _) in containers.iter_mut().zip(ended).filter(|(_, ended)| *ended) {
        container.ended_unnoted = true;
        container.state = RunState::Exited;
        container.status = format!("no process, although Docker says: {}", container.status);
    }
}

/// Which of these have no process, although Docker says that they run.
fn ended(containers: &[Container]) -> Vec<bool> {
    let runs = |container: &Container| {
        matches!(
            container.state,
            RunState::Running | RunState::Paused | RunState::Stopping
        )
    };
    let mut running = containers.iter().filter(|container| runs(container));
    if running.all(|container| group_is_populated(&container.id)) {
        return vec![false; containers.len()];
    }
    let groups = groups_under(Path::new("/proc"));
    let has = |container: &Container| groups.iter().any(|it| it.contains(&container.id));
    containers
        .iter()
        .map(|container| runs(container) && !has(container))
        .collect()
}

/// The control groups of all processes, as the kernel writes them.
fn groups_under(proc: &Path) -> BTreeSet<String> {
    let processes = fs::read_dir(proc).into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read_to_string(process.path().join("cgroup")).ok())
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
    fn the_groups_of_all_processes_are_read() {
        let proc = tempfile::tempdir().unwrap();
        for (process, group) in [("7", "a"), ("8", "a"), ("9", "b")] {
            fs::create_dir(proc.path().join(process)).unwrap();
            fs::write(proc.path().join(process).join("cgroup"), group).unwrap();
        }
        fs::create_dir(proc.path().join("sys")).unwrap();
        let groups = ["a", "b"].map(str::to_owned).into();
        assert_eq!(groups_under(proc.path()), groups);
    }

    #[test]
    fn what_docker_says_to_run_has_ended_without_a_process_and_what_restarts_has_not() {
        use super::super::order::tests::container;
        let mut containers =
            [RunState::Running, RunState::Restarting, RunState::Created].map(|state| {
                let container = container("gateway", "");
                Container { state, ..container }
            });
        assert!(!tell(&containers));
        correct(&mut containers);
        assert!(tell(&containers), "nothing of it runs");
        let states = containers.each_ref().map(|container| container.state);
        assert_eq!(
            states,
            [RunState::Exited, RunState::Restarting, RunState::Created]
        );
        assert_eq!(
            containers[0].status,
            "no process, although Docker says: Up 5 seconds"
        );
    }
}
