//! What `commands::facts` printed on one node.

use serde::Serialize;

/// What is on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The node.
    pub node: String,
    /// Installed packages of the cluster and their versions.
    pub packages: Vec<(String, String)>,
    /// `active`, `inactive`, `failed`, or `silent` where it does not answer.
    pub docker: String,
    /// How full the data is, where it is mounted.
    pub data: Option<Fill>,
    /// The containers of the PBX's project.
    pub containers: Vec<Container>,
    /// This node's copy of the data, where DRBD has it.
    pub drbd: Option<Copy>,
    /// Who changes the cluster now and has the lock here: what, who, since when.
    pub lock: Option<String>,
}

/// A copy of the data, as DRBD sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// `UpToDate`, `Inconsistent`, `Outdated`, `Diskless` and so on.
    pub disk: String,
    /// The connections: the node, `-` where DRBD 8.4 does not say it, and `Connected`, `Connecting` and so on.
    pub peers: Vec<(String, String)>,
}

/// States of a connection that is none (DRBD 8.4 and 9, drbdsetup(8)).
const NOT_CONNECTED: [&str; 11] = [
    "StandAlone",
    "Disconnecting",
    "Unconnected",
    "Timeout",
    "BrokenPipe",
    "NetworkFailure",
    "ProtocolError",
    "TearDown",
    "WFConnection",
    "WFReportParams",
    "Connecting",
];

impl Copy {
    /// How the connection to another node is, if it is none.
    pub fn cut_off_from(&self, node: &str) -> Option<&str> {
        let mut peers = self.peers.iter();
        let (_, state) = peers.find(|(name, _)| name == node || name == "-")?;
        NOT_CONNECTED.contains(&state.as_str()).then_some(state)
    }
}

/// How full a file system is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fill {
    /// Where it is mounted.
    pub path: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many are used.
    pub bytes_used: u64,
    /// How many inodes it has; 0 where it makes them as it needs them.
    pub inodes: u64,
    /// How many are used.
    pub inodes_used: u64,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// `running`, `created`, `exited` and so on.
    pub state: String,
    /// Its image.
    pub image: String,
}

impl Fill {
    /// In percent.
    pub fn bytes_percent(&self) -> u64 {
        percent(self.bytes_used, self.bytes)
    }

    /// In percent.
    pub fn inodes_percent(&self) -> u64 {
        percent(self.inodes_used, self.inodes)
    }
}

fn percent(used: u64, all: u64) -> u64 {
    (u128::from(used) * 100)
        .div_ceil(u128::from(all.max(1)))
        .try_into()
        .unwrap_or(100)
}

impl Facts {
    /// From what was printed. What is not understood is left out.
    pub fn parse(node: &str, printed: &str) -> Facts {
        let mut facts = Facts {
            node: node.to_owned(),
            ..Facts::default()
        };
        for line in printed.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["package", name, status, version] if is_installed(status) => {
                    facts.packages.push((name.to_owned(), version.to_owned()));
                }
                ["lock", _, ..] => facts.lock = line.strip_prefix("lock ").map(str::to_owned),
                ["docker", state] => state.clone_into(&mut facts.docker),
                ["data", path, bytes, bytes_used, inodes, inodes_used] => {
                    let number = |word: &str| word.parse().unwrap_or(0);
                    facts.data = Some(Fill {
                        path: path.to_owned(),
                        bytes: number(bytes),
                        bytes_used: number(bytes_used),
                        inodes: number(inodes),
                        inodes_used: number(inodes_used),
                    });
                }
                ["container", name, state, image] => facts.containers.push(Container {
                    name: name.to_owned(),
                    state: state.to_owned(),
                    image: image.to_owned(),
                }),
                ["drbd-disk", disk] => {
                    disk.clone_into(&mut facts.drbd.get_or_insert_default().disk);
                }
                ["drbd-peer", node, state] => {
                    let peer = (node.to_owned(), state.to_owned());
                    facts.drbd.get_or_insert_default().peers.push(peer);
                }
                _ => {}
            }
        }
        facts
    }
}

/// Whether dpkg's short status means that a package is installed: `ii`, and `hi` where it is held.
pub fn is_installed(status: &str) -> bool {
    status.chars().nth(1) == Some('i')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PRINTED: &str = "package corosync ii  3.1.7-1+deb12u2\npackage docker-ce un  \n\
        package docker.io ii  26.1.5+dfsg1-9+deb13u1+b1\npackage portsip-ha ii  0.1.0-1\ndocker active\n\
        data /var/lib/portsip  4227858432 112066560 2097152  1311\n\
        container portsip.database running portsip/postgresql:14.12\n\
        container portsip.nats created portsip/pbx:22\n";
    /// What the tools print, with what `commands::facts` makes of it.
    const DRBD: [(&str, &str, &str); 4] = [
        (
            "/proc/drbd of 8.4",
            "version: 8.4.11 (api:1/proto:86-101)\nsrcversion: 1A\n 0: cs:WFConnection ro:Secondary/Unknown \
             ds:UpToDate/DUnknown C r-----\n    ns:0 nr:0 dw:0 dr:0\n",
            "drbd-disk UpToDate\ndrbd-peer - WFConnection\n",
        ),
        (
            "/proc/drbd of 8.4",
            "version: 8.4.11 (api:1/proto:86-101)\n\n 0: cs:Unconfigured\n",
            "drbd-disk Unconfigured\n",
        ),
        (
            "drbdsetup of 9",
            "data role:Secondary\n  disk:UpToDate open:no\n  pbx01 role:Primary\n    peer-disk:UpToDate\n  pbx03 \
             connection:Connecting\n\n",
            "drbd-disk UpToDate\ndrbd-peer pbx01 Connected\ndrbd-peer pbx03 Connecting\n",
        ),
        (
            "drbdsetup of 9",
            "data role:Secondary suspended:no\n  volume:0 disk:Inconsistent\n  pbx01 role:Primary\n    volume:0 \
             replication:SyncTarget peer-disk:UpToDate done:3.50\n",
            "drbd-disk Inconsistent\ndrbd-peer pbx01 Connected\n",
        ),
    ];

    #[test]
    fn what_drbd_says_is_read_from_both_versions() {
        let script = crate::commands::facts().script;
        let begin = script.find("if grep -q '^version: 8'").unwrap();
        let script =
            script[begin..].replace("timeout 2 drbdsetup status 2>/dev/null", "cat status");
        for (what, printed, read) in DRBD {
            let directory = tempfile::tempdir().unwrap();
            let is_9 = what.ends_with('9');
            let of_kernel = if is_9 {
                "version: 9.2.18 (api:2/proto:86-121)\n"
            } else {
                printed
            };
            std::fs::write(directory.path().join("drbd"), of_kernel).unwrap();
            std::fs::write(directory.path().join("status"), printed).unwrap();
            let output = std::process::Command::new("sh")
                .args(["-c", &script.replace("/proc/drbd", "drbd")])
                .current_dir(directory.path())
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), read, "{what}");
        }
    }

    #[test]
    fn a_copy_that_is_cut_off_is_told_from_one_that_synchronizes() {
        let facts = Facts::parse("pbx02", DRBD[2].2);
        let copy = facts.drbd.unwrap();
        assert_eq!(copy.cut_off_from("pbx01"), None);
        assert_eq!(copy.cut_off_from("pbx03"), Some("Connecting"));
        let copy = Facts::parse("pbx02", "drbd-disk UpToDate\ndrbd-peer - VerifyT\n")
            .drbd
            .unwrap();
        assert_eq!(copy.cut_off_from("pbx01"), None);
        let copy = Facts::parse("pbx02", DRBD[0].2).drbd.unwrap();
        assert_eq!(copy.cut_off_from("pbx01"), Some("WFConnection"));
    }

    #[test]
    fn a_package_that_is_held_is_installed() {
        let printed = "package pcs hi  0.11.7\npackage sbd rc  1.5\n";
        let facts = Facts::parse("n1", printed);
        assert_eq!(facts.packages, [("pcs".to_owned(), "0.11.7".to_owned())]);
    }

    #[test]
    fn what_a_node_printed_is_read() {
        let facts = Facts::parse("n1", PRINTED);
        assert_eq!(facts.packages.len(), 3);
        assert_eq!(facts.docker, "active");
        assert_eq!(facts.containers[1].state, "created");
        let data = facts.data.unwrap();
        assert_eq!((data.bytes_percent(), data.inodes_percent()), (3, 1));
    }

    #[test]
    fn who_has_the_lock_is_read_whole() {
        let facts = Facts::parse(
            "n1",
            "lock deploy by ubuntu on n2 (process 7) since 09:00\n",
        );
        let holder = facts.lock.unwrap();
        assert_eq!(holder, "deploy by ubuntu on n2 (process 7) since 09:00");
    }

    #[test]
    fn a_docker_that_does_not_answer_is_not_called_active() {
        let facts = Facts::parse("n1", "docker active\ndocker silent\n");
        assert_eq!(facts.docker, "silent");
    }

    #[test]
    fn a_file_system_without_a_number_of_inodes_is_not_full() {
        let facts = Facts::parse("n1", "data /var/lib/portsip 100 100 0 0\n");
        let data = facts.data.unwrap();
        assert_eq!((data.bytes_percent(), data.inodes_percent()), (100, 0));
    }
}
