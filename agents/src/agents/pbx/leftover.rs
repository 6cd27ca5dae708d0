//! Which containers of the project have processes on this node, found without Docker: by the control groups
//! of all processes, and by what Docker keeps about each container on disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

const DOCKER: &str = "/var/lib/docker/containers";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    name: String,
    config: KeptConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeptConfig {
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

/// A container that has processes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leftover {
    name: String,
    /// Made by `docker compose run`: it holds the file system, and is no part of the PBX.
    pub(super) one_off: bool,
}

/// Their names in a sentence.
pub(super) fn names(of: &[Leftover]) -> String {
    let names: Vec<&str> = of.iter().map(|it| it.name.as_str()).collect();
    names.join(", ")
}

/// The project's containers that have processes, by name. A container about which nothing can be read counts
/// as one of them, because nobody knows that it is not.
pub(super) fn containers(project: &str) -> Vec<Leftover> {
    containers_under(Path::new("/proc"), Path::new(DOCKER), project)
}

fn containers_under(proc: &Path, docker: &Path, project: &str) -> Vec<Leftover> {
    let mut left: Vec<Leftover> = with_processes(proc)
        .iter()
        .filter_map(|id| of_project(docker, id, project))
        .collect();
    left.sort();
    left
}

/// The ids of Docker's containers that have processes.
fn with_processes(proc: &Path) -> BTreeSet<String> {
    let processes = fs::read_dir(proc).into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read_to_string(process.path().join("cgroup")).ok())
        .filter_map(|groups| container_id(&groups).map(str::to_owned))
        .collect()
}

/// The id in `0::/system.slice/docker-ID.scope` or `0::/docker/ID`.
fn container_id(groups: &str) -> Option<&str> {
    groups
        .lines()
        .filter(|line| line.contains("docker"))
        .flat_map(|line| line.split(|c: char| !c.is_ascii_hexdigit()))
        .find(|part| part.len() == 64)
}

/// The container with this id, unless it is known to be of another project.
fn of_project(docker: &Path, id: &str, project: &str) -> Option<Leftover> {
    let kept = fs::read(docker.join(id).join("config.v2.json"))
        .ok()
        .and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
    let Some(kept) = kept else {
        return Some(Leftover {
            name: format!("container {}", &id[..12]),
            one_off: false,
        });
    };
    let label = |name: &str| kept.config.labels.get(name).map(String::as_str);
    (label("com.docker.compose.project") == Some(project)).then(|| Leftover {
        name: kept.name.trim_start_matches('/').to_owned(),
        one_off: label("com.docker.compose.oneoff")
            .is_some_and(|it| it.eq_ignore_ascii_case("true")),
    })
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
        let podman = format!("0::/machine/libpod-{}\n", id('a'));
        assert_eq!(container_id(&podman), None);
    }

    #[test]
    fn containers_of_other_projects_do_not_count_and_unknown_ones_do() {
        let proc = tempfile::tempdir().unwrap();
        let docker = tempfile::tempdir().unwrap();
        for (process, container) in [("7", 'a'), ("8", 'a'), ("9", 'b'), ("10", 'c'), ("11", 'd')] {
            fs::create_dir(proc.path().join(process)).unwrap();
            let group = format!("0::/docker/{}\n", id(container));
            fs::write(proc.path().join(process).join("cgroup"), group).unwrap();
        }
        // Not everything in /proc is a process.
        fs::create_dir(proc.path().join("sys")).unwrap();
        for (container, name, project, one_off) in [
            ('a', "portsip.nats", "portsip", "False"),
            ('b', "web", "other", "False"),
            ('d', "portsip.initdt", "portsip", "True"),
        ] {
            fs::create_dir(docker.path().join(id(container))).unwrap();
            let kept = format!(
                r#"{{"Name":"/{name}","Config":{{"Labels":{{"com.docker.compose.project":"{project}","com.docker.compose.oneoff":"{one_off}"}}}}}}"#
            );
            fs::write(
                docker.path().join(id(container)).join("config.v2.json"),
                kept,
            )
            .unwrap();
        }
        let left = containers_under(proc.path(), docker.path(), "portsip");
        assert_eq!(
            names(&left),
            "container cccccccccccc, portsip.initdt, portsip.nats"
        );
        let one_off: Vec<bool> = left.iter().map(|it| it.one_off).collect();
        assert_eq!(one_off, [false, true, false]);
    }
}
