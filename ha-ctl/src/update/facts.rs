//! What is on a node, for an update: from `look.sh`.

use std::time::Duration;

use super::steps::OLD_TAG;
use crate::commands::quoted;
use crate::reach::Command;

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether the PBX's compose project is there. A node without it only votes.
    pub has_project: bool,
    /// Whether Docker runs.
    pub has_docker: bool,
    /// The image that `.env` names.
    pub env_image: Option<String>,
    /// Its `COMPOSE_PROFILES`.
    pub profiles: String,
    /// Whether the compose file has the certificate manager.
    pub has_certificate_manager: bool,
    /// Whether the files of the version before are kept.
    pub has_kept: bool,
    /// The version of the data, where it is mounted; empty if it has none.
    pub data: Option<String>,
    /// The containers whose image has a version: those of the PBX.
    pub containers: Vec<Container>,
    /// What the name of the new image means here.
    pub tagged: Option<Image>,
    /// Its digest in the registry.
    pub digest: Option<String>,
    /// The image of the version before, as it is kept.
    pub old: Option<Image>,
    /// How many KB Docker's disk has free.
    pub free: Option<u64>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image's id.
    pub image: String,
    /// Whether it runs.
    pub runs: bool,
    /// Its image's version.
    pub version: String,
}

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its label `version`.
    pub version: String,
}

/// Looks at one node.
pub fn look(image: &str, data_path: &str) -> Command {
    let script = format!(
        "image={} data={} old={OLD_TAG}\n{}",
        quoted(image),
        quoted(data_path),
        include_str!("look.sh")
    );
    let mut command = Command::look("looking at the PBX's images and containers", script);
    command.limit = Duration::from_secs(40);
    command
}

impl Facts {
    /// From what was printed. What is not understood is left out.
    pub fn parse(printed: &str) -> Facts {
        let mut facts = Facts::default();
        for line in printed.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["project", _] => facts.has_project = true,
                ["docker", _] => facts.has_docker = true,
                ["env-image", image] => facts.env_image = Some(image.to_owned()),
                ["profiles", profiles] => profiles.clone_into(&mut facts.profiles),
                ["certmanager", _] => facts.has_certificate_manager = true,
                ["kept", _] => facts.has_kept = true,
                ["data"] => facts.data = Some(String::new()),
                ["data", version] => facts.data = Some(version.to_owned()),
                ["container", name, image, runs, version] => facts.containers.push(Container {
                    name: name.trim_start_matches('/').to_owned(),
                    image: image.to_owned(),
                    runs: runs == "true",
                    version: version.to_owned(),
                }),
                ["tagged", id, bytes, ref version @ ..] => {
                    facts.tagged = Some(Image::of(id, bytes, version));
                }
                ["old", id, bytes, ref version @ ..] => {
                    facts.old = Some(Image::of(id, bytes, version));
                }
                ["digest", digest] => {
                    facts.digest.get_or_insert_with(|| digest.to_owned());
                }
                ["free", free] => facts.free = free.parse().ok(),
                _ => {}
            }
        }
        facts
    }

    /// The container that every PBX has.
    pub fn pbx(&self) -> Option<&Container> {
        let mut containers = self.containers.iter();
        containers.find(|it| it.name == "portsip.callmanager")
    }

    /// Whether what its containers are made from is kept.
    pub fn is_kept(&self) -> bool {
        let old = self.old.as_ref().map(|it| &it.id);
        self.has_kept && old.is_some() && old == self.pbx().map(|it| &it.image)
    }

    /// Whether all containers of the PBX are of this image.
    pub fn is_made_from(&self, image: &str) -> bool {
        self.pbx().is_some() && self.containers.iter().all(|it| it.image == image)
    }
}

impl Image {
    fn of(id: &str, bytes: &str, version: &[&str]) -> Image {
        Image {
            id: id.to_owned(),
            bytes: bytes.parse().unwrap_or_default(),
            version: version.first().copied().unwrap_or_default().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_printed_is_read() {
        let facts = Facts::parse(
            "project yes\nenv-image portsip/pbx:22\ndata 22.4.0\ndocker active\n\
             container /portsip.callmanager sha256:a true 22.4.0\ncontainer /portsip.database sha256:d true\n\
             container /portsip.nats sha256:a true 22.4.0\ntagged sha256:b 700 22.5.0\ndigest portsip/pbx@sha256:1\n\
             free 1000\n",
        );
        assert_eq!(facts.data.as_deref(), Some("22.4.0"));
        assert_eq!(facts.containers.len(), 2, "the database has no version");
        assert!(facts.is_made_from("sha256:a") && !facts.is_made_from("sha256:b"));
        assert_eq!(facts.tagged.map(|it| it.version).as_deref(), Some("22.5.0"));
        assert!(facts.old.is_none() && !facts.has_kept);
    }

    #[test]
    fn containers_of_two_images_are_made_from_neither() {
        let facts = Facts::parse(
            "container /portsip.callmanager b false 22.5.0\ncontainer /portsip.nats a false 22.4.0\n",
        );
        assert!(!facts.is_made_from("a") && !facts.is_made_from("b"));
        assert!(!Facts::default().is_made_from("a"));
    }

    #[test]
    fn its_script_is_one_that_sh_can_read() {
        let script = look("portsip/pbx:22", "/var/lib/portsip").script;
        let mut sh = std::process::Command::new("sh");
        let status = sh.args(["-n", "-c", &script]).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}
