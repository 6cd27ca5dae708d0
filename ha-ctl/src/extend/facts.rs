//! What is on the machine of an extended server: before anything is changed (`look.sh`), and how the server is
//! (`live.sh`).

use std::time::Duration;

use super::cluster::Cluster;
use super::lines::Lines;
use super::project;
use super::register::Entry;
use crate::commands::{self, Setting, quoted};
use crate::reach::Command;

/// The files that are written where they are missing: the same as on the nodes.
pub(super) const SETTINGS: [Setting; 4] = [
    commands::UNPRIVILEGED_PORTS,
    commands::UNATTENDED,
    commands::NEEDRESTART,
    commands::LIVE_RESTORE,
];

/// One machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// By how many seconds its clock is before this machine's.
    pub ahead: Option<f64>,
    lines: Lines,
}

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs, and its ports are open.
    Answers,
    /// It runs, and nothing listens on its ports.
    Silent,
    /// Docker calls it unhealthy, or starts it again and again.
    Unhealthy,
    /// It is stopped.
    Stopped,
    /// It has no container.
    Missing,
    /// Docker does not answer, so nobody knows.
    Unknown,
}

/// A container that Docker has started again this often does not stay up by itself.
const MANY_RESTARTS: u32 = 3;

/// The command that looks before anything is changed.
pub fn look(entry: &Entry, cluster: &Cluster) -> Command {
    let settings: Vec<&str> = SETTINGS.iter().map(|setting| setting.path).collect();
    let words = [
        ("address", entry.server.address.to_string()),
        ("vip", cluster.vip.to_string()),
        ("port", cluster.web_port.to_string()),
        ("data", entry.data.clone()),
        ("image", cluster.image.clone()),
        ("project", project::directory(entry.server.kind)),
        ("settings", settings.join(" ")),
    ];
    let words = words.map(|(name, value)| format!("{name}={}\n", quoted(&value)));
    let script = format!(
        "{}{}{}",
        words.concat(),
        include_str!("look.sh"),
        live(entry)
    );
    let mut command = Command::look("looking at the machine", script);
    command.limit = Duration::from_secs(60);
    command
}

/// The command that looks how the server is.
pub fn look_live(entry: &Entry) -> Command {
    let mut command = Command::look("looking at the server", live(entry));
    command.limit = Duration::from_secs(30);
    command
}

fn live(entry: &Entry) -> String {
    let kind = entry.server.kind;
    format!(
        "container={} first={} last={}\n{}say end .\nexit 0\n",
        kind.container(),
        kind.ports().start(),
        kind.ports().end(),
        include_str!("live.sh")
    )
}

impl Facts {
    /// From what a command printed at a moment of this machine's clock, in seconds.
    pub fn parse(printed: &str, at: f64) -> Facts {
        let lines = Lines::parse(printed);
        let clock = lines.one("clock").and_then(|it| it.parse::<f64>().ok());
        Facts {
            ahead: clock.map(|clock| clock - at),
            lines,
        }
    }

    /// Whether the script has come to its end. What was cut short has seen nothing wrong in what it has not seen.
    pub fn is_complete(&self) -> bool {
        self.lines.one("end").is_some()
    }

    /// How the server is.
    pub fn state(&self) -> State {
        let Some(container) = self.lines.one("container") else {
            return match self.lines.has("docker", "silent") {
                true => State::Unknown,
                false => State::Missing,
            };
        };
        let mut words = container.split(' ');
        let status = words.next().unwrap_or_default();
        let restarts: u32 = words.next().and_then(|it| it.parse().ok()).unwrap_or(0);
        let health = words.next().unwrap_or_default();
        match status {
            "running" if health == "unhealthy" => State::Unhealthy,
            "running" if self.lines.has("listens", "yes") => State::Answers,
            "running" => State::Silent,
            "restarting" if restarts >= MANY_RESTARTS => State::Unhealthy,
            "restarting" => State::Silent,
            _ => State::Stopped,
        }
    }

    /// The version of the image that the container was made from.
    pub fn running_version(&self) -> Option<&str> {
        self.lines.one("running-version")
    }

    /// The load of the last minute, and how many processors there are.
    pub fn load(&self) -> Option<(f64, u32)> {
        let (load, processors) = self.lines.one("load")?.split_once(' ')?;
        Some((load.parse().ok()?, processors.parse().ok()?))
    }

    /// The command line of the container, as JSON.
    pub fn command(&self) -> Option<&str> {
        self.lines.one("command")
    }

    /// The directory that the container has its data in.
    pub fn data(&self) -> Option<&str> {
        self.lines.one("mount")
    }

    /// What Docker does with the container after a reboot.
    pub(super) fn starts_again(&self) -> bool {
        let policy = self.lines.one("policy").unwrap_or_default();
        ["unless-stopped", "always"].contains(&policy)
    }

    pub(super) fn os(&self) -> &str {
        self.lines.one("os").unwrap_or_default()
    }

    pub(super) fn has_own_address(&self) -> bool {
        self.lines.one("own-address").is_some()
    }

    /// Whether the machine has the virtual address itself.
    pub(super) fn has_vip(&self) -> bool {
        self.lines.has("vip-here", "yes")
    }

    /// Whether the virtual address answers, if only that nobody listens there.
    pub(super) fn reaches_vip(&self) -> bool {
        self.lines.has("vip", "answers") || self.lines.has("vip", "refuses")
    }

    pub(super) fn postgresql(&self) -> Option<&str> {
        let listens = self.lines.has("listens-5432", "yes");
        let installed = self.lines.one("postgresql");
        installed.or(listens.then_some("something listens on port 5432"))
    }

    /// The cluster that the machine is a node of. Installing Corosync starts a sample, which is none.
    pub(super) fn cluster(&self) -> Option<&str> {
        self.lines
            .one("cluster-name")
            .filter(|name| *name != "debian")
    }

    /// Free space and size of the file system of the data, in GB.
    pub(super) fn disk(&self) -> Option<(u64, u64)> {
        let gb = |word| -> Option<u64> { Some(self.lines.one(word)?.parse::<u64>().ok()? >> 20) };
        Some((gb("free")?, gb("size")?))
    }

    pub(super) fn data_is_ours(&self) -> bool {
        self.lines.has("data-owner", "888:888")
    }

    pub(super) fn has_localtime(&self) -> bool {
        self.lines.has("localtime", "yes")
    }

    pub(super) fn has_file(&self, path: &str) -> bool {
        self.lines.has("file", path)
    }

    pub(super) fn firewall(&self) -> Option<&str> {
        self.lines.one("firewall")
    }

    /// Whether Docker runs and has `docker compose`.
    pub(super) fn has_docker(&self) -> bool {
        self.lines.one("compose").is_some()
    }

    /// Whether its Docker is a snap.
    pub(super) fn has_snap(&self) -> bool {
        self.lines.has("snap-docker", "yes")
    }

    /// The containers of PortSIP that are there.
    pub(super) fn containers(&self) -> impl Iterator<Item = &str> {
        self.lines.all("portsip-container")
    }

    /// Whether the PBX's image is there, in this version.
    pub(super) fn has_image(&self, version: Option<&str>) -> bool {
        match version {
            Some(version) => self.lines.has("image-version", version),
            None => self.lines.all("image-version").next().is_some(),
        }
    }

    /// The compose file that is there.
    pub(super) fn compose_file(&self) -> String {
        let lines = self.lines.all("compose-line");
        lines.map(|line| format!("{line}\n")).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::cluster::tests::cluster;
    use super::super::kind::Kind;
    use super::super::register::tests::entry;
    use super::*;

    #[test]
    fn how_a_server_is() {
        for (printed, state) in [
            ("", State::Missing),
            ("docker silent", State::Unknown),
            ("container running 0 -\nlistens yes", State::Answers),
            ("container running 0 healthy\nlistens yes", State::Answers),
            ("container running 0 -", State::Silent),
            (
                "container running 0 unhealthy\nlistens yes",
                State::Unhealthy,
            ),
            ("container restarting 1 -", State::Silent),
            ("container restarting 9 -", State::Unhealthy),
            ("container exited 0 -\nlistens yes", State::Stopped),
            ("container created 0 -", State::Stopped),
        ] {
            assert_eq!(Facts::parse(printed, 0.0).state(), state, "{printed}");
        }
    }

    #[test]
    fn its_scripts_are_ones_that_sh_can_read_and_change_nothing() {
        let entry = entry(Kind::Media, "media-1", "10.0.0.1");
        for command in [look(&entry, &cluster()), look_live(&entry)] {
            let mut sh = std::process::Command::new("sh");
            let status = sh.args(["-n", "-c", &command.script]).status();
            assert!(status.is_ok_and(|status| status.success()), "{command:?}");
            for changing in ["docker rm", "docker stop", "mkdir", "apt-get", " rm "] {
                assert!(
                    !command.script.contains(changing),
                    "{changing}: {command:?}"
                );
            }
        }
    }

    /// The ports of the sockets of ss(8) are told apart from those of other programs.
    #[test]
    fn a_server_listens_where_one_of_its_own_ports_is_open() {
        let listens = |sockets: &str| {
            let script = format!(
                "ss() {{ printf '%s\\n' '{sockets}'; }}\n{}",
                live(&entry(Kind::Media, "media-1", "10.0.0.1"))
            );
            let script = script.replace("systemctl is-active docker", "echo inactive");
            let mut sh = std::process::Command::new("sh");
            let output = sh
                .args(["-c", &script])
                .output()
                .unwrap_or_else(|e| panic!("{e}"));
            String::from_utf8_lossy(&output.stdout).contains("listens yes")
        };
        assert!(listens("tcp LISTEN 0 128 0.0.0.0:8841 0.0.0.0:*"));
        assert!(listens("udp UNCONN 0 0 [::]:8845 [::]:*"));
        assert!(!listens("tcp LISTEN 0 128 0.0.0.0:8846 0.0.0.0:*"));
        assert!(!listens("tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:8841"));
    }
}
