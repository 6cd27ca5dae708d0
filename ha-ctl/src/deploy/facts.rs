//! What is on a node before anything is changed: from `look.sh`, read once.

use std::collections::BTreeSet;
use std::time::Duration;

use cib_gen::apply::node_files::conf_values;

use super::site::Site;
use crate::commands::{self, Setting, quoted};
use crate::reach::Command;

/// The files that a deployment writes where they are missing.
pub(super) const SETTINGS: [Setting; 4] = [
    commands::UNPRIVILEGED_PORTS,
    commands::UNATTENDED,
    commands::NEEDRESTART,
    commands::LIVE_RESTORE,
];

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    lines: Vec<(String, String)>,
}

/// Whether a node is in the cluster of vars.yml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// It is in no cluster, or in the distribution's sample.
    None,
    /// It is in this one.
    This,
    /// It is in another one, of this name.
    Other(String),
}

/// How the distribution calls its sample.
const SAMPLE: &str = "debian";

/// The command that looks.
pub fn look(site: &Site) -> Command {
    let settings: Vec<&str> = SETTINGS.iter().map(|setting| setting.path).collect();
    let script = format!(
        "device={} data={} image={} vip={} drbd={} settings={}\n{}",
        quoted(site.device()),
        quoted(&site.data_path),
        quoted(&site.image),
        quoted(&site.virtual_address),
        quoted(site.drbd().map_or("", |drbd| &drbd.name)),
        quoted(&settings.join(" ")),
        include_str!("look.sh")
    );
    let mut command = Command::look("looking at the node", script);
    command.limit = Duration::from_secs(40);
    command
}

impl Facts {
    /// From what the command printed.
    pub fn parse(printed: &str) -> Facts {
        let lines = printed.lines().map(|line| {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            (word.to_owned(), value.to_owned())
        });
        Facts {
            lines: lines.collect(),
        }
    }

    fn all<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.lines.iter().filter(move |(known, _)| known == word);
        lines.map(|(_, value)| value.as_str())
    }

    fn has(&self, word: &str, value: &str) -> bool {
        self.all(word).any(|found| found == value)
    }

    /// The version of our package, if it is installed.
    pub fn package(&self) -> Option<&str> {
        self.version_of("portsip-ha")
    }

    /// The version of a package, if it is installed.
    pub fn version_of(&self, package: &str) -> Option<&str> {
        self.all("package").find_map(|line| {
            let (name, rest) = line.split_once(' ')?;
            let version = rest.strip_prefix("ii")?;
            (name == package).then(|| version.trim())
        })
    }

    /// Whether a file is there.
    pub fn has_file(&self, path: &str) -> bool {
        self.has("file", path)
    }

    /// The vars.yml that is there.
    pub fn vars(&self) -> Option<String> {
        let lines: Vec<&str> = self.all("vars").collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// The node's own host keys, each as its file has it.
    pub fn host_keys(&self) -> impl Iterator<Item = &str> {
        self.all("host-key")
    }

    /// The lines of the file with the host keys of all nodes.
    pub fn known_hosts(&self) -> impl Iterator<Item = &str> {
        self.all("known-host")
    }

    /// Whether root alone can read it.
    pub fn vars_is_private(&self) -> bool {
        self.has("vars-mode", "600")
    }

    /// The file of systemd-networkd for the node's interface, where it lacks our setting.
    pub fn network(&self) -> Option<&str> {
        self.all("network").next()
    }

    /// Whether the node is in the cluster.
    pub fn membership(&self, site: &Site) -> Membership {
        let conf: Vec<&str> = self.all("corosync").collect();
        let values = conf_values(&conf.join("\n"));
        let one = |path: &str| values.iter().find(|(known, _)| known == path);
        let Some((_, cluster)) = one("totem.cluster_name") else {
            return Membership::None;
        };
        let names = values
            .iter()
            .filter(|(path, _)| path == "nodelist.node.name");
        let names: BTreeSet<String> = names.map(|(_, name)| name.to_lowercase()).collect();
        let wanted: BTreeSet<String> = site
            .nodes
            .iter()
            .map(|(name, _)| name.to_lowercase())
            .collect();
        match cluster.as_str() {
            SAMPLE => Membership::None,
            name if name == site.cluster && names == wanted => Membership::This,
            name => Membership::Other(format!(
                "{name} with the nodes {}",
                names.into_iter().collect::<Vec<_>>().join(", ")
            )),
        }
    }

    /// Whether a service runs, and starts with the machine.
    pub fn runs_at_boot(&self, service: &str) -> bool {
        self.has("service", &format!("{service} active enabled"))
    }

    /// Whether the cluster runs, and starts with the machine; and SBD with it, where SBD fences.
    pub fn cluster_runs(&self, site: &Site) -> bool {
        let sbd = site.watchdog().map(|_| "sbd");
        let mut services = ["corosync", "pacemaker"].into_iter().chain(sbd);
        services.all(|service| self.runs_at_boot(service))
    }

    /// Whether there is a watchdog, also after the next boot. The kernel's own is there only where somebody loads it.
    pub fn has_watchdog(&self) -> bool {
        let is_soft = self.has("softdog", "loaded");
        self.has("watchdog", "yes") && (!is_soft || self.runs_at_boot("portsip-ha-softdog"))
    }

    /// The version of the kernel's DRBD. What is loaded counts, until a reboot.
    pub fn drbd(&self) -> Option<&str> {
        self.all("drbd").find(|version| !version.is_empty())
    }

    /// Whether the PBX's resources are configured in the node's cluster.
    pub fn is_configured(&self) -> bool {
        self.has("configured", "yes")
    }

    /// Whether there is a compose file.
    pub fn has_compose_file(&self) -> bool {
        self.has("compose", "yes")
    }

    /// A value of the PBX's `.env`.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.all("env")
            .filter_map(|line| line.split_once('='))
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| value)
            .last()
    }

    /// Whether the compose file has the service of the certificate manager.
    pub fn has_certificate_manager(&self) -> bool {
        self.has("certmanager", "yes")
    }

    /// The digest of the database's password, if there is one.
    pub fn password(&self) -> Option<&str> {
        self.all("password").next()
    }

    /// Whether every image that the compose file names is there, and that of the PBX.
    pub fn has_images(&self, image: &str) -> bool {
        let tagged = |image: &str| match image.rsplit_once('/').unwrap_or(("", image)).1 {
            last if last.contains(':') || last.contains('@') => image.to_owned(),
            _ => format!("{image}:latest"),
        };
        let mut wanted = self.all("wanted-image").peekable();
        wanted.peek().is_some()
            && wanted
                .chain([image])
                .all(|wanted| self.has("image", &tagged(wanted)))
    }

    /// Whether the PBX runs here.
    pub fn runs_the_pbx(&self) -> bool {
        self.has("pbx", "running")
    }

    /// The version of the image that the PBX's container was made from.
    pub fn pbx_version(&self) -> Option<&str> {
        self.all("pbx-version").find(|version| !version.is_empty())
    }

    /// Its digest in the registry.
    pub fn pbx_digest(&self) -> Option<&str> {
        self.all("pbx-digest").next()
    }

    /// The version of the image that has the PBX's tag now.
    pub fn tagged_version(&self) -> Option<&str> {
        self.all("tagged-version").next()
    }

    /// A PBX that runs here and is no part of the cluster: a container, and the directory of its project.
    pub fn other_pbx(&self) -> Option<&str> {
        self.all("other-pbx").next()
    }

    /// Whether Docker is a snap.
    pub fn has_snap(&self) -> bool {
        self.has("snap-docker", "yes")
    }

    /// Whether every service of the PBX has a container.
    pub fn has_containers(&self) -> bool {
        let services = self.all("service-of-pbx").count();
        services > 0 && self.all("container").count() >= services
    }

    /// Whether the device of the data is here: the volume is attached, or DRBD is up.
    pub fn has_device(&self) -> bool {
        self.has("device", "yes")
    }

    /// Whether the data is mounted here.
    pub fn is_mounted(&self) -> bool {
        self.has("mounted", "yes")
    }

    /// Whether a step runs.
    pub fn runs(&self, step: &str) -> bool {
        self.has("running", step)
    }

    /// Whether a step has succeeded once, whatever its inputs were.
    pub fn has_succeeded(&self, step: &str) -> bool {
        self.has(&format!("ended-{step}"), "0")
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
