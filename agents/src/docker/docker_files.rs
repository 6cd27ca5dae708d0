//! What Docker keeps on disk about a container (`config.v2.json`), for when Docker does not answer and no start has
//! recorded the container.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::container::{Container, Labels};
use super::end_without_docker::ContainerRecord;
use super::order::Order;
use super::signal;

/// Where Docker has its data, unless its settings name another directory.
const DATA_ROOT: &str = "/var/lib/docker";
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
    labels: Option<Labels>,
    stop_signal: Option<String>,
    stop_timeout: Option<i64>,
}

/// The containers about which Docker keeps files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct OnDisk {
    pub(crate) project: Vec<ContainerRecord>,
    /// Those of the project that `docker compose run` created.
    pub(crate) one_offs: Vec<ContainerRecord>,
    /// Those of other projects, or of none.
    pub(crate) others: Vec<ContainerRecord>,
}

impl OnDisk {
    /// Reads the files of the containers with these ids. An id without a readable file is in none of the lists.
    pub(crate) fn about<'a>(ids: impl Iterator<Item = &'a String>, project: &str) -> Self {
        let settings = fs::read(SETTINGS).unwrap_or_default();
        Self::under(&data_roots(&settings), ids, project)
    }

    fn under<'a>(roots: &[PathBuf], ids: impl Iterator<Item = &'a String>, project: &str) -> Self {
        let mut on_disk = Self::default();
        let mut containers = Vec::new();
        for id in ids {
            let file = Path::new("containers").join(id).join("config.v2.json");
            let mut texts = roots
                .iter()
                .filter_map(|root| fs::read(root.join(&file)).ok());
            let Some(File { name, config }) = texts.find_map(|it| serde_json::from_slice(&it).ok())
            else {
                continue;
            };
            let labels = config.labels.unwrap_or_default();
            let container = Container::from_labels(id, Some(&name), &labels);
            let record = ContainerRecord {
                stop_signal: signal::number_or_term(config.stop_signal.as_deref()),
                stop_timeout: config.stop_timeout,
                depth: usize::MAX,
                ..ContainerRecord::named(&container)
            };
            match labels.get(PROJECT) {
                Some(it) if it == project && container.one_off => on_disk.one_offs.push(record),
                Some(it) if it == project => {
                    on_disk.project.push(record);
                    containers.push(container);
                }
                _ => on_disk.others.push(record),
            }
        }
        if let Ok(order) = Order::of(&containers) {
            for (at, record) in on_disk.project.iter_mut().enumerate() {
                record.depth = order.depth(at);
            }
        }
        on_disk
    }
}

/// The directories that may hold Docker's data, by the text of its settings.
fn data_roots(settings: &[u8]) -> Vec<PathBuf> {
    let settings: serde_json::Value = serde_json::from_slice(settings).unwrap_or_default();
    let set = ["data-root", "graph"].map(|name| settings[name].as_str().map(PathBuf::from));
    let set = set.into_iter().flatten();
    set.chain([DATA_ROOT.into()]).collect()
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
        let on_disk = OnDisk::under(&[root.path().to_owned()], ids.iter(), "portsip");
        let of = |records: &[ContainerRecord]| -> Vec<(String, usize)> {
            records
                .iter()
                .map(|it| (it.name.clone(), it.depth))
                .collect()
        };
        let project = [
            ("portsip.nats".to_owned(), 0),
            ("portsip.gateway".to_owned(), 1),
        ];
        assert_eq!(of(&on_disk.project), project);
        assert_eq!(on_disk.one_offs[0].name, "portsip.initdt");
        assert_eq!(on_disk.others[0].name, "web");
        assert_eq!(
            (
                on_disk.project[0].stop_signal,
                on_disk.project[0].stop_timeout
            ),
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
