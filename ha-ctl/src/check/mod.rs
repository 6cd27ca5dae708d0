//! What would make a deployment or the next failover fail: the table of checks, each with a name that stays, and the
//! findings. Pure: what is asked of a node is in `inspect.sh`, and what a check thinks of it in the files beside.

mod cluster_checks;
mod docker_checks;
mod inspection;
mod lan_checks;
mod machine_checks;
mod package_checks;
mod set_checks;

use serde::Serialize;

use crate::cluster::Level;
use crate::commands::{NEEDRESTART, Setting, UNATTENDED, UNPRIVILEGED_PORTS};
use crate::exit::Failure;
use crate::inventory::Machine;
use crate::reach::Missing;

pub use inspection::{Inspection, inspect};

/// What a check looks at beside the node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Site<'a> {
    /// All nodes.
    pub machines: &'a [Machine],
    /// The PBX's image, if vars.yml is there.
    pub image: Option<&'a str>,
    /// The disk of the data, on a LAN.
    pub data_disk: Option<&'a str>,
}

impl Site<'_> {
    fn has(&self, name: &str) -> bool {
        self.machines.iter().any(|machine| machine.name == name)
    }

    /// The node that has an address, as it is called; an address that no node has stays one.
    fn name_at<'a>(&'a self, address: &'a str) -> &'a str {
        let mut machines = self.machines.iter();
        let machine = machines.find(|machine| machine.address.as_deref() == Some(address));
        machine.map_or(address, |machine| &machine.name)
    }
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The node; none where it is about all of them.
    pub node: Option<String>,
    /// What was found.
    pub found: String,
    /// What is wanted.
    pub wanted: String,
    /// The command that mends it.
    pub command: Option<String>,
    /// Whether `--fix` mends it.
    pub fixable: bool,
}

/// What a check says of a node: how bad it is, what was found, and the command that mends it.
type Said = (Level, String, Option<String>);

/// The same, with the node if it is about one.
type SaidOf = (Option<String>, Said);

/// How a check looks.
enum Look {
    /// At one node.
    Node(fn(&Inspection, &Site) -> Vec<Said>),
    /// At all nodes that were reached.
    Nodes(fn(&[Inspection], &Site) -> Vec<SaidOf>),
    /// By reaching the nodes.
    Reach,
}

/// A check.
pub struct Check {
    /// Its name, which stays.
    pub name: &'static str,
    /// What is wanted.
    pub wanted: &'static str,
    look: Look,
    /// What `--fix` writes on the node.
    pub fix: Option<Setting>,
}

impl Check {
    const fn fixed_by(mut self, setting: Setting) -> Check {
        self.fix = Some(setting);
        self
    }

    const fn new(name: &'static str, wanted: &'static str, look: Look) -> Check {
        let fix = None;
        Check {
            name,
            wanted,
            look,
            fix,
        }
    }

    /// The check of a name.
    pub fn named(name: &str) -> Option<&'static Check> {
        CHECKS.iter().find(|check| check.name == name)
    }
}

const fn reach(name: &'static str, wanted: &'static str) -> Check {
    Check::new(name, wanted, Look::Reach)
}

const fn node(
    name: &'static str,
    wanted: &'static str,
    look: fn(&Inspection, &Site) -> Vec<Said>,
) -> Check {
    Check::new(name, wanted, Look::Node(look))
}

const fn nodes(
    name: &'static str,
    wanted: &'static str,
    look: fn(&[Inspection], &Site) -> Vec<SaidOf>,
) -> Check {
    Check::new(name, wanted, Look::Nodes(look))
}

/// Every check, in the order in which findings are shown.
pub const CHECKS: &[Check] = &[
    reach("ssh.client", "ssh can be run on this machine"),
    reach("ssh.reach", "the node answers"),
    reach(
        "ssh.host-key",
        "the node's host key is known and has not changed",
    ),
    reach("ssh.key", "the node accepts the key"),
    reach("ssh.sudo", "the user can become root"),
    node(
        "os.release",
        "Ubuntu 24.04, Debian 13 or Debian 12",
        machine_checks::release,
    ),
    node(
        "os.hostname",
        "the node's name in the cluster",
        machine_checks::hostname,
    ),
    nodes(
        "os.clock",
        "a clock within a second of the others",
        set_checks::clock,
    ),
    node(
        "os.memory",
        "at least 4 GB of memory",
        machine_checks::memory,
    ),
    node(
        "os.disk",
        "at least 5 GiB free for the system and for images",
        machine_checks::disk,
    ),
    node(
        "os.cloud-init",
        "cloud-init has ended",
        machine_checks::cloud_init,
    ),
    node(
        "os.reboot",
        "no restart of the machine is pending",
        machine_checks::reboot,
    ),
    node(
        "os.unprivileged-ports",
        "the PBX's user may listen on ports 80 and 443",
        machine_checks::unprivileged_ports,
    )
    .fixed_by(UNPRIVILEGED_PORTS),
    node(
        "apt.consistent",
        "no package is half installed",
        package_checks::consistent,
    ),
    node(
        "apt.lock",
        "nobody holds the locks of apt and dpkg",
        package_checks::lock,
    ),
    node(
        "apt.unattended",
        "unattended upgrades leave out the cluster's packages and Docker's",
        package_checks::unattended,
    )
    .fixed_by(UNATTENDED),
    node(
        "apt.needrestart",
        "needrestart does not restart the cluster's services and Docker",
        package_checks::needrestart,
    )
    .fixed_by(NEEDRESTART),
    nodes(
        "apt.versions",
        "the same versions on all nodes",
        set_checks::versions,
    ),
    node(
        "cluster.sample",
        "no other cluster is set up on the node",
        cluster_checks::other_cluster,
    ),
    node(
        "cluster.services",
        "what the cluster needs is started at boot",
        cluster_checks::services,
    ),
    node(
        "cluster.links",
        "Corosync reaches every other node",
        cluster_checks::links,
    ),
    node(
        "network.pcsd",
        "pcsd of every other node can be reached",
        cluster_checks::pcsd,
    ),
    node(
        "docker.version",
        "Docker 20.10.27 or later",
        docker_checks::version,
    ),
    node("docker.compose", "docker compose", docker_checks::compose),
    node(
        "docker.live-restore",
        "containers outlive a restart of Docker",
        docker_checks::live_restore,
    ),
    node(
        "docker.foreign",
        "no other containers run beside the PBX",
        docker_checks::foreign,
    ),
    node(
        "docker.image",
        "the PBX's image is on the node",
        docker_checks::image,
    ),
    nodes(
        "docker.images",
        "the same image on all nodes",
        set_checks::images,
    ),
    node(
        "firewall.ufw",
        "ufw does not stand between the nodes",
        cluster_checks::ufw,
    ),
    node(
        "firewall.firewalld",
        "firewalld does not stand between the nodes",
        cluster_checks::firewalld,
    ),
    node(
        "lan.disk",
        "the disk of vars.yml is empty, or holds the PBX's volume",
        lan_checks::disk,
    ),
    nodes(
        "lan.disk-size",
        "disks of the same size on all nodes",
        lan_checks::disk_sizes,
    ),
    node("lan.watchdog", "a watchdog", lan_checks::watchdog),
    node(
        "vendor.kit",
        "nobody uses the vendor's scripts beside ha-ctl",
        cluster_checks::vendor_kit,
    ),
];

/// Which checks are wanted.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    only: Vec<String>,
    ignored: Vec<String>,
}

impl Selection {
    /// From the command line. A name may be that of a group: `apt`.
    ///
    /// # Errors
    /// A name that no check has.
    pub fn new(only: &[String], ignored: &[String]) -> Result<Selection, Failure> {
        for name in only.iter().chain(ignored) {
            if !CHECKS.iter().any(|check| is_named(check.name, name)) {
                let names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
                return Err(Failure::usage(format!(
                    "there is no check {name}\n  help: the checks are {}. A group has the name before the dot",
                    names.join(", ")
                )));
            }
        }
        Ok(Selection {
            only: only.to_vec(),
            ignored: ignored.to_vec(),
        })
    }

    /// Whether a check is wanted.
    pub fn has(&self, check: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|name| is_named(check, name));
        (self.only.is_empty() || named(&self.only)) && !named(&self.ignored)
    }
}

fn is_named(check: &str, name: &str) -> bool {
    check == name
        || check
            .split_once('.')
            .is_some_and(|(group, _)| group == name)
}

/// Everything that was found, in the order of the table and of the nodes.
pub fn findings(
    inspections: &[Inspection],
    missing: &[Missing],
    site: &Site,
    selection: &Selection,
) -> Vec<Finding> {
    let wanted = CHECKS.iter().filter(|check| selection.has(check.name));
    wanted
        .flat_map(|check| found_by(check, inspections, missing, site))
        .collect()
}

fn found_by(
    check: &Check,
    inspections: &[Inspection],
    missing: &[Missing],
    site: &Site,
) -> Vec<Finding> {
    let finding = |node: Option<String>, (level, found, command): Said| Finding {
        name: check.name,
        level,
        node,
        found,
        wanted: check.wanted.to_owned(),
        command,
        fixable: check.fix.is_some(),
    };
    match check.look {
        Look::Reach => {
            let of_this = missing
                .iter()
                .filter(|missing| missing.cause.name() == check.name);
            of_this
                .map(|it| {
                    let said = (
                        Level::Error,
                        it.cause.found(),
                        Some(it.cause.help(&it.by_hand)),
                    );
                    finding(Some(it.name.clone()), said)
                })
                .collect()
        }
        Look::Node(look) => {
            let said = |it: &Inspection| -> Vec<Finding> {
                let said = look(it, site).into_iter();
                said.map(|said| finding(Some(it.node.clone()), said))
                    .collect()
            };
            inspections.iter().flat_map(said).collect()
        }
        Look::Nodes(look) => {
            let said = look(inspections, site).into_iter();
            said.map(|(node, said)| finding(node, said)).collect()
        }
    }
}

#[cfg(test)]
mod tests;
