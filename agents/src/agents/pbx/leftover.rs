//! Which containers of the project have processes on this node, found without Docker: by the processes
//! and by what Docker keeps about each container on disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::docker::with_processes;

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

/// The project's containers that have processes, by name. A container of which nothing can be read is
/// taken for one of them: that it is not can't be known.
pub(super) fn containers(project: &str) -> Vec<Leftover> {
    of_project_under(Path::new(DOCKER), &with_processes(), project)
}

fn of_project_under(docker: &Path, ids: &BTreeSet<String>, project: &str) -> Vec<Leftover> {
    let mut left: Vec<Leftover> = ids
        .iter()
        .filter_map(|id| of_project(docker, id, project))
        .collect();
    left.sort();
    left
}

/// The container, if it is the project's or that can't be told.
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
    fn containers_of_other_projects_do_not_count_and_unknown_ones_do() {
        let docker = tempfile::tempdir().unwrap();
        let ids = ['a', 'b', 'c', 'd'].map(id).into();
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
        let left = of_project_under(docker.path(), &ids, "portsip");
        assert_eq!(
            names(&left),
            "container cccccccccccc, portsip.initdt, portsip.nats"
        );
        let one_off: Vec<bool> = left.iter().map(|it| it.one_off).collect();
        assert_eq!(one_off, [false, true, false]);
    }
}
