//! What is on a node, for an update: from `look.sh`.

use std::time::Duration;

use super::copy::{CopyFacts, look_script};
use super::record::Record;
use super::steps::OLD_TAG;
use crate::commands::quoted;
use crate::reach::Command;

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether the PBX's compose project is there.
    pub has_project: bool,
    /// Whether Docker runs.
    pub has_docker: bool,
    /// The image that `.env` names.
    pub env_image: Option<String>,
    /// Its `COMPOSE_PROFILES`.
    pub profiles: String,
    /// Whether the compose file has the certificate manager.
    pub has_certificate_manager: bool,
    /// The update before which the files were kept that are kept.
    pub kept: Option<String>,
    /// The version of the data, where it is mounted; empty if it has none.
    pub data: Option<String>,
    /// Whether the data is brought to another version just now.
    pub is_migrating: bool,
    containers: Vec<Container>,
    /// What the name of the new image means here.
    pub tagged: Option<Image>,
    /// The image of the version before, as it is kept.
    pub old: Option<Image>,
    /// How large the image is that the PBX runs from.
    pub bytes: Option<u64>,
    /// How many KB Docker's disk has free.
    pub free: Option<u64>,
    /// On a LAN: the copy of the data.
    pub copy: CopyFacts,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// The image's name when it was made.
    pub of: String,
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
    /// Its id on this node. Another way of storing images may give the same one another id.
    pub id: String,
    /// Its label `version`.
    pub version: String,
    /// Its digest in the registry, if it came from there.
    pub digest: Option<String>,
}

/// The container that every PBX has.
const PBX: &str = "portsip.callmanager";

/// Looks at one node. `drbd` is the resource with the data, on a LAN.
pub fn look(image: &str, data_path: &str, drbd: Option<&str>) -> Command {
    let script = format!(
        "image={} data={} old={OLD_TAG}\n{}{}",
        quoted(image),
        quoted(data_path),
        drbd.map(look_script).unwrap_or_default(),
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
                ["migrating", _] => facts.is_migrating = true,
                ["certmanager", _] => facts.has_certificate_manager = true,
                ["env-image", image] => facts.env_image = Some(image.to_owned()),
                ["profiles", profiles] => profiles.clone_into(&mut facts.profiles),
                ["kept", ref id @ ..] => facts.kept = Some(id.concat()),
                ["data", ref version @ ..] => facts.data = Some(version.concat()),
                ["container", name, of, image, runs, ref version @ ..] => {
                    facts.containers.push(Container {
                        name: name.trim_start_matches('/').to_owned(),
                        of: of.to_owned(),
                        image: image.to_owned(),
                        runs: runs == "true",
                        version: version.concat(),
                    });
                }
                ["tagged", id, ref version @ ..] => {
                    facts.tagged = Some(Image::of(id, version));
                }
                ["old", id, ref version @ ..] => {
                    facts.old = Some(Image::of(id, version));
                }
                ["digest", digest] => {
                    if let Some(tagged) = &mut facts.tagged {
                        tagged.digest.get_or_insert_with(|| digest.to_owned());
                    }
                }
                ["bytes", bytes] => facts.bytes = bytes.parse().ok(),
                ["free", free] => facts.free = free.parse().ok(),
                _ => facts.copy.read(&words),
            }
        }
        facts
    }

    /// The container that every PBX has.
    pub fn pbx(&self) -> Option<&Container> {
        self.containers.iter().find(|it| it.name == PBX)
    }

    /// Those of the PBX's own image: the database has another one.
    fn of_pbx(&self) -> impl Iterator<Item = &Container> {
        let of = self.pbx().map(|it| &it.of);
        self.containers.iter().filter(move |it| Some(&it.of) == of)
    }

    /// Whether the image has its name here.
    pub fn has(&self, image: &Image) -> bool {
        self.tagged.as_ref().is_some_and(|it| it.is_same(image))
    }

    /// Whether all containers of the PBX were made from the image.
    pub fn is_of(&self, image: &Image) -> bool {
        let id = self.tagged.as_ref().filter(|it| it.is_same(image));
        let id = id.map(|it| &it.id);
        self.pbx().is_some() && self.of_pbx().all(|it| Some(&it.image) == id)
    }

    /// Whether all containers of the PBX were made from the image that was kept.
    pub fn is_of_old(&self) -> bool {
        let id = self.old.as_ref().map(|it| &it.id);
        self.pbx().is_some() && self.of_pbx().all(|it| Some(&it.image) == id)
    }

    /// Whether this node can neither stay nor go back to what was before an update.
    pub fn lacks(&self, record: &Record) -> bool {
        let has_old = self
            .old
            .as_ref()
            .is_some_and(|it| it.version == record.from);
        !(self.is_of_version(&record.from) || has_old && self.kept.is_some())
    }

    /// Whether all containers of the PBX are of a version.
    pub fn is_of_version(&self, version: &str) -> bool {
        self.pbx().is_some() && self.of_pbx().all(|it| it.version == version)
    }
}

impl Image {
    fn of(id: &str, version: &[&str]) -> Image {
        Image {
            id: id.to_owned(),
            version: version.concat(),
            digest: None,
        }
    }

    /// Whether it is the same image on another node. One that was handed on has no digest.
    pub fn is_same(&self, other: &Image) -> bool {
        let are_known = self.digest.is_some() && other.digest.is_some();
        self.version == other.version && (!are_known || self.digest == other.digest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const OLD: &str = "docker active\n\
        container /portsip.callmanager portsip/pbx:22 sha256:a true 22.4.0\n\
        container /portsip.database portsip/postgresql:14.12 sha256:d true 14.12\n\
        container /portsip.nats portsip/pbx:22 sha256:a true 22.4.0\n";
    const NEW: &str = "tagged sha256:b 22.5.0\ndigest portsip/pbx@sha256:1\n";

    #[test]
    fn what_a_node_printed_is_read() {
        let facts = Facts::parse(&format!(
            "project yes\nenv-image portsip/pbx:22\ndata 22.4.0\n{OLD}{NEW}free 1000\n"
        ));
        assert_eq!(facts.data.as_deref(), Some("22.4.0"));
        assert!(
            facts.is_of_version("22.4.0"),
            "the database has a version of its own"
        );
        let new = facts.tagged.clone().unwrap();
        assert_eq!(new.version, "22.5.0");
        assert!(facts.has(&new) && !facts.is_of(&new));
        assert!(facts.old.is_none() && facts.kept.is_none());
        assert_eq!(Facts::parse("data\n").data.as_deref(), Some(""));
        assert_eq!(Facts::parse("kept\n").kept.as_deref(), Some(""));
    }

    #[test]
    fn an_image_that_was_handed_on_is_the_same_with_another_id() {
        let new = Facts::parse(NEW).tagged.unwrap();
        let made = OLD.replace("sha256:a true 22.4.0", "sha256:c false 22.5.0");
        let handed_on = Facts::parse(&format!("{made}tagged sha256:c 22.5.0\n"));
        assert!(handed_on.has(&new) && handed_on.is_of(&new));
        let other = Facts::parse(&format!(
            "{made}tagged sha256:c 22.5.0\ndigest portsip/pbx@sha256:2\n"
        ));
        assert!(!other.has(&new) && !other.is_of(&new));
    }

    #[test]
    fn containers_of_two_images_are_made_from_neither() {
        let facts = Facts::parse(&format!(
            "{}{NEW}",
            OLD.replacen("sha256:a true 22.4.0", "sha256:b true 22.5.0", 1)
        ));
        assert!(!facts.is_of(facts.tagged.as_ref().unwrap()));
        assert!(!facts.is_of_version("22.4.0"));
        assert!(!Facts::default().is_of_version(""));
    }

    #[test]
    fn its_script_is_one_that_sh_can_read() {
        let script = look("portsip/pbx:22", "/var/lib/portsip", Some("pbxdata")).script;
        let mut sh = std::process::Command::new("sh");
        let status = sh.args(["-n", "-c", &script]).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}
