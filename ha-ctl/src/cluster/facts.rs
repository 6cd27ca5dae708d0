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
                ["package", name, "ii", version] => {
                    facts.packages.push((name.to_owned(), version.to_owned()));
                }
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
                _ => {}
            }
        }
        facts
    }
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
