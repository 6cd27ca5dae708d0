//! What Docker keeps on disk about a container (`config.v2.json`), for when it does not answer and nothing was noted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::answer;
use super::container::Container;
use super::end::Known;
use super::order::Order;
use super::signal;

/// Where Docker has its data, unless it is told otherwise.
const DATA_ROOT: &str = "/var/lib/docker";
/// Where it is told otherwise.
const SETTINGS: &str = "/etc/docker/daemon.json";

const PROJECT: &str = "com.docker.compose.project";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    name: String,
    config: Config,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    stop_signal: Option<String>,
    #[serde(default)]
    stop_timeout: Option<i64>,
}

/// What is kept about containers of which nothing else is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Those of the project.
    pub ours: Vec<Known>,
    /// Those of `docker compose run`.
    pub one_offs: Vec<Known>,
    /// Those of other projects, or of none.
    pub others: Vec<Known>,
}

impl Kept {
    /// Reads what is kept about these ids. An id about which nothing can be read is in none of the lists.
    pub fn about<'a>(ids: impl Iterator<Item = &'a String>, project: &str) -> Self {
        let settings = fs::read(SETTINGS).unwrap_or_default();
        let roots = data_roots(&settings);
        Self::under(&roots, ids, project)
    }

    fn under<'a>(roots: &[PathBuf], ids: impl Iterator<Item = &'a String>, project: &str) -> Self {
        let mut kept = Self::default();
        let mut containers = Vec::new();
        for id in ids {
            let Some(file) = roots.iter().find_map(|root| read(root, id)) else {
                continue;
            };
            let labels = file.config.labels.unwrap_or_default();
            let is_ours = labels.get(PROJECT).is_some_and(|it| it == project);
            let container = Container::from_summary(answer::Summary {
                id: id.clone(),
                names: Some(vec![file.name]),
                labels: Some(labels),
                ..Default::default()
            });
            let known = Known {
                stop_signal: signal::number_or_term(file.config.stop_signal.as_deref()),
                stop_timeout: file.config.stop_timeout,
                ..Known::named(&container, usize::MAX)
            };
            match (is_ours, container.one_off) {
                (false, _) => kept.others.push(known),
                (true, true) => kept.one_offs.push(known),
                (true, false) => {
                    containers.push(container);
                    kept.ours.push(known);
                }
            }
        }
        if let Ok(order) = Order::of(&containers) {
            for (at, known) in kept.ours.iter_mut().enumerate() {
                known.depth = order.depth(at);
            }
        }
        kept
    }
}

fn read(root: &Path, id: &str) -> Option<File> {
    let text = fs::read(root.join("containers").join(id).join("config.v2.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The directories that may be Docker's, by the text of its settings.
fn data_roots(settings: &[u8]) -> Vec<PathBuf> {
    let settings: serde_json::Value = serde_json::from_slice(settings).unwrap_or_default();
    let set = ["data-root", "graph"].map(|name| settings[name].as_str().map(PathBuf::from));
    set.into_iter()
        .flatten()
        .chain([DATA_ROOT.into()])
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::processes::tests::id;
    use super::*;

    #[test]
    fn containers_are_told_apart_by_what_docker_keeps_about_them() {
        let root = tempfile::tempdir().unwrap();
        for (container, name, labels) in [
            (
                'a',
                "portsip.nats",
                r#""com.docker.compose.project":"portsip","com.docker.compose.service":"nats""#,
            ),
            (
                'b',
                "portsip.gateway",
                r#""com.docker.compose.project":"portsip","com.docker.compose.service":"gateway",
                "com.docker.compose.depends_on":"nats:service_healthy:false""#,
            ),
            (
                'c',
                "portsip.initdt",
                r#""com.docker.compose.project":"portsip","com.docker.compose.oneoff":"True""#,
            ),
            ('d', "web", ""),
        ] {
            let directory = root.path().join("containers").join(id(container));
            fs::create_dir_all(&directory).unwrap();
            let text = format!(
                r#"{{"Name":"/{name}","Config":{{"Labels":{{{labels}}},"StopSignal":"SIGINT","StopTimeout":30}}}}"#
            );
            fs::write(directory.join("config.v2.json"), text).unwrap();
        }
        let ids = ['a', 'b', 'c', 'd', 'e'].map(id);
        let kept = Kept::under(&[root.path().to_owned()], ids.iter(), "portsip");
        let of = |known: &[Known]| -> Vec<(String, usize)> {
            known.iter().map(|it| (it.name.clone(), it.depth)).collect()
        };
        let ours = [
            ("portsip.nats".to_owned(), 0),
            ("portsip.gateway".to_owned(), 1),
        ];
        assert_eq!(of(&kept.ours), ours);
        assert_eq!(kept.one_offs[0].name, "portsip.initdt");
        assert_eq!(kept.others[0].name, "web");
        assert_eq!(
            (kept.ours[0].stop_signal, kept.ours[0].stop_timeout),
            (2, Some(30))
        );
    }

    #[test]
    fn a_data_root_of_the_settings_comes_before_the_usual_one() {
        let roots = data_roots(br#"{"data-root":"/srv/docker"}"#);
        assert_eq!(roots, [Path::new("/srv/docker"), Path::new(DATA_ROOT)]);
        assert_eq!(data_roots(b""), [Path::new(DATA_ROOT)]);
    }
}
