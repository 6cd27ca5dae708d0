//! DRBD on the nodes: which one the kernels have, who has a copy, and what DRBD says of the copies.

use std::fmt;
use std::time::{Duration, Instant};

use crate::demo::cluster::{self, SECONDS, run, run_as_user};
use crate::lab::Lab;
use crate::site::{Host, Site};
use crate::world::Error;

/// Where the file is, as `docs/lan.md` says.
const FILE: &str = "/etc/drbd.d/pbxdata.res";
/// The resource.
const RESOURCE: &str = "pbxdata";

/// Which DRBD the nodes' kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drbd {
    /// 8.4, of the kernel itself: two copies.
    Eight,
    /// 9: a copy on every node.
    Nine,
}

impl fmt::Display for Drbd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eight => "DRBD 8.4",
            Self::Nine => "DRBD 9",
        })
    }
}

/// Which DRBD a node has.
///
/// # Errors
/// The node does not answer, or has another.
pub fn version(lab: &Lab, node: &Host) -> Result<Drbd, Error> {
    let script = "/usr/sbin/modinfo -F version drbd";
    let version = run_as_user(lab, node, script, script, cluster::MINUTES)?;
    match version.trim() {
        eight if eight.starts_with("8.4.") => Ok(Drbd::Eight),
        nine if nine.starts_with("9.") => Ok(Drbd::Nine),
        other => Err(format!(
            "{} has DRBD '{other}'; cib-gen knows 8.4 and 9",
            node.hostname
        )
        .into()),
    }
}

/// The nodes that have a copy, by DRBD's file on a node.
///
/// # Errors
/// The node does not answer, or has no such file.
pub fn copies(lab: &Lab, node: &Host) -> Result<Vec<&'static Host>, Error> {
    let file = run(lab, node, FILE, &format!("cat {FILE}"), SECONDS)?;
    Ok(holders(lab.site(), &file))
}

/// The nodes that have a copy: those of the file's `on` sections.
fn holders(site: Site, file: &str) -> Vec<&'static Host> {
    file.lines()
        .filter_map(|line| line.trim().strip_prefix("on ")?.strip_suffix(" {"))
        .filter_map(|name| site.host(name))
        .collect()
}

/// What DRBD says on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Of each connection: `Connected`, `StandAlone` and so on.
    pub connections: Vec<String>,
    /// Of each copy, the node's own first: `UpToDate`, `Inconsistent` and so on.
    pub disks: Vec<String>,
}

impl State {
    /// Whether every copy is there, connected and up to date.
    pub fn is_whole(&self) -> bool {
        !self.connections.is_empty()
            && self.connections.iter().all(|one| one == "Connected")
            && self.disks.iter().all(|one| one == "UpToDate")
    }
}

/// What DRBD says on a node.
///
/// # Errors
/// The node does not answer, or DRBD is down there.
pub fn state(lab: &Lab, node: &Host) -> Result<State, Error> {
    let script = format!("drbdadm cstate {RESOURCE} && echo && drbdadm dstate {RESOURCE}");
    let printed = run(lab, node, "DRBD's state", &script, SECONDS)?;
    let (connections, disks) = printed
        .split_once("\n\n")
        .ok_or_else(|| format!("`{script}` on {}: {printed}", node.hostname))?;
    let words = |text: &str| {
        let words = text.split(|letter: char| letter == '/' || letter.is_whitespace());
        words
            .filter(|word| !word.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    };
    Ok(State {
        connections: words(connections),
        disks: words(disks),
    })
}

/// Waits until what DRBD says on a node is as `accept` wants it.
///
/// # Errors
/// After minutes; with what it says.
pub fn wait_until(
    lab: &Lab,
    node: &Host,
    what: &str,
    accept: impl Fn(&State) -> bool,
) -> Result<(), Error> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let seen = state(lab, node);
        if seen.as_ref().is_ok_and(&accept) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let seen = seen.map_or_else(|error| error.to_string(), |state| format!("{state:?}"));
            return Err(format!(
                "not within {} s: {what}; DRBD on {}: {seen}",
                WITHIN.as_secs(),
                node.hostname
            )
            .into());
        }
        std::thread::sleep(cluster::pause(lab.site()));
    }
}

/// Waits until DRBD's fence-peer handler keeps no copy from use any more, now that every copy is up to date: it may
/// take as long as [`UNFENCED`]. The id of the constraint that is still there after that.
///
/// # Errors
/// The node does not answer, or is not in the cluster.
pub(super) fn wait_until_all_may_be_promoted(
    lab: &Lab,
    node: &Host,
) -> Result<Option<String>, Error> {
    let deadline = Instant::now() + UNFENCED;
    loop {
        let cib = run(lab, node, "the CIB", "cibadmin -Q", SECONDS)?;
        let constraint = by_handler(&cib);
        if constraint.is_none() || Instant::now() > deadline {
            return Ok(constraint);
        }
        std::thread::sleep(cluster::pause(lab.site()));
    }
}

/// The id of a constraint that the handler has placed.
fn by_handler(cib: &str) -> Option<String> {
    let at = cib.find("\"drbd-fence-by-handler-")?;
    cib[at + 1..].split('"').next().map(ToOwned::to_owned)
}

/// How long it takes to delete a constraint that is no longer needed: a monitor of DRBD's agent, and what it starts.
const UNFENCED: Duration = Duration::from_secs(30);

/// How long copies may take to find each other and to be alike.
const WITHIN: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "resource pbxdata {\n    on pbx01 {\n    }\n    on pbx02 {\n    }\n}\n";

    #[test]
    fn a_constraint_of_the_handler_is_found() {
        let cib =
            "<rsc_location id=\"x\"/><rsc_location rsc=\"a-clone\" id=\"drbd-fence-by-handler-a\">";
        assert_eq!(by_handler(cib).as_deref(), Some("drbd-fence-by-handler-a"));
        assert_eq!(by_handler("<rsc_location id=\"x\"/>"), None);
    }

    #[test]
    fn the_nodes_with_a_copy_are_those_of_the_file() {
        let names: Vec<_> = holders(Site::Lan, FILE)
            .iter()
            .map(|host| host.short)
            .collect();
        assert_eq!(names, ["n1", "n2"]);
    }
}
