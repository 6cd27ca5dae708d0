//! What would make a deployment or the next failover fail: the table of checks, each with a name that stays, and the
//! findings. Pure: what is asked of a node is in `inspect.sh`, and what a check thinks of it in the files beside.

mod aws_checks;
mod aws_ports;
mod aws_volume_checks;
mod cluster_checks;
mod docker_checks;
mod drbd_checks;
mod firewall_checks;
mod fix;
mod inspection;
mod lan_checks;
mod machine_checks;
mod member_checks;
mod network_checks;
mod package_checks;
mod probe;
mod set_checks;
mod table;

use std::net::Ipv4Addr;

use cib_gen::vars::DrbdVersion;
use serde::Serialize;

use crate::cluster::{Level, Notice};
use crate::exit::Failure;
use crate::inventory::Machine;
use crate::reach::Missing;

use table::Look;

pub(crate) use aws_ports::covers;
pub(crate) use drbd_checks::module_fault;
pub use fix::Fix;
pub use inspection::{Inspection, NoFacts, ask_ec2, inspect};
pub use network_checks::{Passage, passages};
pub use probe::probe;
pub use table::{CHECKS, Check};

/// What a check looks at beside the node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Site<'a> {
    /// All nodes.
    pub machines: &'a [Machine],
    /// The PBX's image, if vars.yml is there.
    pub image: Option<&'a str>,
    /// The disk of the data, on a LAN.
    pub data_disk: Option<&'a str>,
    /// How much of it is used, in bytes.
    pub data_size: Option<u64>,
    /// The virtual address, on a LAN. EC2 answers for every address of a subnet.
    pub vip: Option<Ipv4Addr>,
    /// Which DRBD the kernels have, on a LAN.
    pub drbd: Option<DrbdVersion>,
    /// The instances of vars.yml, each with the name that the file gives it, if any.
    pub instances: &'a [(String, Option<String>)],
    /// The volume, on EC2.
    pub volume: Option<&'a str>,
    /// Where vars.yml is.
    pub vars_file: Option<&'a str>,
    /// SBD and a watchdog fence a lost node, on a LAN.
    pub is_fenced_by_sbd: bool,
    /// What `show` says of the cluster, where it runs.
    pub notices: &'a [Notice],
    /// The nodes that the cluster calls offline or lost, and that could not be reached either: that nobody gets through
    /// to them is no finding of its own.
    pub away: &'a [String],
}

impl Site<'_> {
    /// Whether a check is about such a site: only a LAN has disks, only EC2 has volumes.
    pub fn knows(&self, check: &str) -> bool {
        match check.split_once('.') {
            Some(("aws", _)) => !self.instances.is_empty(),
            Some(("lan", _) | ("network", "drbd")) => self.data_disk.is_some(),
            _ => true,
        }
    }

    /// A command that has cib-gen render vars.yml. Below /etc the file is root's: `deploy` puts it there for root alone.
    pub fn rendering(&self, format: &str) -> String {
        let vars = self.vars_file.unwrap_or("vars.yml");
        let sudo = if vars.starts_with("/etc/") {
            "sudo "
        } else {
            ""
        };
        format!("{sudo}cib-gen --format {format} {vars}")
    }

    fn is_away(&self, name: &str) -> bool {
        self.away.iter().any(|it| it == name)
    }

    /// What brings a node back that is away.
    fn brings_back(&self, name: &str) -> Option<&str> {
        let mut notices = self.notices.iter().filter(|_| self.is_away(name));
        let offline = notices.find(|it| it.name == "node.takeover" && it.about == name)?;
        offline.command.as_deref()
    }

    fn has(&self, name: &str) -> bool {
        self.machines.iter().any(|machine| machine.name == name)
    }

    /// The address of a node.
    fn address(&self, name: &str) -> Option<&str> {
        let mut machines = self.machines.iter();
        let machine = machines.find(|machine| machine.name == name)?;
        machine.address.as_deref()
    }

    /// Whether a node has a disk for the data: with DRBD 8.4, only the first two have.
    fn has_disk(&self, name: &str) -> bool {
        let mut machines = self.machines.iter();
        let number = machines.position(|machine| machine.name == name);
        self.data_disk.is_some()
            && (self.drbd != Some(DrbdVersion::EightFour) || number.is_none_or(|n| n < 2))
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

    /// Whether any check of a group is wanted.
    pub fn has_any(&self, group: &str) -> bool {
        let of_group = CHECKS.iter().filter(|check| is_named(check.name, group));
        of_group.into_iter().any(|check| self.has(check.name))
    }

    /// Whether a check is wanted.
    pub fn has(&self, check: &str) -> bool {
        let is_chosen = self.only.iter().any(|name| is_named(check, name));
        (self.only.is_empty() || is_chosen) && !self.ignores(check)
    }

    fn ignores(&self, check: &str) -> bool {
        self.ignored.iter().any(|name| is_named(check, name))
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
    // A node that was not looked at has no findings, so that it is said in any case why.
    let is_wanted = |check: &&Check| match check.look {
        Look::Reach => !selection.ignores(check.name),
        _ => selection.has(check.name),
    };
    CHECKS
        .iter()
        .filter(is_wanted)
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
        fixable: false,
    };
    match check.look {
        Look::Reach => {
            let of_this = missing
                .iter()
                .filter(|missing| missing.cause.name() == check.name);
            of_this
                .map(|it| {
                    let help = || it.cause.help(&it.by_hand);
                    let command = site.brings_back(&it.name).map_or_else(help, str::to_owned);
                    finding(
                        Some(it.name.clone()),
                        (Level::Error, it.cause.found(), Some(command)),
                    )
                })
                .collect()
        }
        Look::Cluster => {
            let named = site.notices.iter().filter(|it| it.name == check.name);
            named.map(|it| of_notice(it, check, site)).collect()
        }
        Look::Node(look) => {
            let said = |it: &Inspection| -> Vec<Finding> {
                let fixable = check.fix.is_some_and(|fix| (fix.mends)(it));
                let said = look(it, site).into_iter();
                said.map(|said| finding(Some(it.node.clone()), said))
                    .map(|found| Finding { fixable, ..found })
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

/// A notice about a node begins with its name, which a finding has of its own.
fn of_notice(notice: &Notice, check: &Check, site: &Site) -> Finding {
    let node = Some(&notice.about).filter(|name| site.has(name));
    let text = node.and_then(|name| notice.text.strip_prefix(&format!("{name} ")));
    Finding {
        name: check.name,
        level: notice.level,
        node: text.and(node).cloned(),
        found: text.unwrap_or(&notice.text).to_owned(),
        wanted: check.wanted.to_owned(),
        command: notice.command.clone(),
        fixable: false,
    }
}

#[cfg(test)]
mod tests;
