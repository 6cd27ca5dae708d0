//! What stands in the way of an extended server on a machine: judged from what was found there, before anything is
//! changed.

use super::cluster::Cluster;
use super::facts::{Facts, State};
use super::register::Entry;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the machine cannot become the server like this.
    pub is_error: bool,
    /// What was found, and what to do.
    pub text: String,
}

/// Free space without which the image and its data do not fit, in GB.
const LEAST_FREE: u64 = 5;
/// Seconds from the nodes' clocks from which on certificates and logs are wrong. `check` has the same.
const FAR: f64 = 30.0;

/// Everything that stands in the way.
pub fn findings(entry: &Entry, facts: &Facts, cluster: &Cluster) -> Vec<Finding> {
    let mut found = Findings::default();
    if !facts.is_complete() {
        found.error("it could not be looked at to the end\n  help: the same command again");
        return found.0;
    }
    if facts.state() == State::Unknown {
        found.error("Docker does not answer there\n  help: systemctl status docker   (there)");
    }
    if facts.has_snap() {
        found.error(
            "its Docker is a snap, which has its own files and unit, and is not used\n  help: sudo snap remove docker   \
             (there), after what it runs was moved away",
        );
    }
    machine(&mut found, entry, facts, cluster);
    network(&mut found, entry, facts, cluster);
    roles(&mut found, entry, facts);
    found.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, text: impl Into<String>) {
        self.add(true, text.into());
    }

    fn warning(&mut self, text: impl Into<String>) {
        self.add(false, text.into());
    }

    fn add(&mut self, is_error: bool, text: String) {
        self.0.push(Finding { is_error, text });
    }
}

fn machine(found: &mut Findings, entry: &Entry, facts: &Facts, cluster: &Cluster) {
    if facts.os() != cluster.os {
        found.error(format!(
            "its system is {}, and that of the nodes is {}\n  help: install the same, which the vendor asks for",
            facts.os(),
            cluster.os
        ));
    }
    if let (Some(here), Some(nodes)) = (facts.ahead, cluster.ahead) {
        let off = here - nodes;
        if off.abs() > FAR {
            let direction = if off > 0.0 { "ahead of" } else { "behind" };
            found.error(format!(
                "its clock is {:.0} s {direction} the nodes'\n  help: timedatectl; sudo apt install chrony where nothing \
                 sets the clock   (there)",
                off.abs()
            ));
        }
    }
    if let Some((free, size)) = facts.disk() {
        let (data, wanted) = (&entry.data, entry.server.kind.disk());
        if free < LEAST_FREE {
            found.error(format!(
                "{free} GB are free where {data} will be, and {LEAST_FREE} are needed for a start\n  help: the vendor \
                 asks for a disk of {wanted} GB"
            ));
        } else if size < wanted * 9 / 10 {
            found.warning(format!(
                "the disk has {size} GB where {data} will be, and the vendor asks for {wanted}"
            ));
        }
    }
}

fn network(found: &mut Findings, entry: &Entry, facts: &Facts, cluster: &Cluster) {
    let (address, vip) = (entry.server.address, cluster.vip);
    if !facts.has_own_address() {
        found.error(format!(
            "none of its interfaces has the address {address}\n  help: -a is the machine's own, private address; -A is \
             the public one"
        ));
    }
    if facts.has_vip() {
        found.error(format!(
            "it has the virtual address {vip} itself\n  help: is it a node of the cluster? An extended server needs a \
             machine of its own"
        ));
    } else if !facts.reaches_vip() {
        found.error(format!(
            "it does not reach the PBX: {vip} does not answer on port {} within 4 s\n  help: ha-ctl show   says whether \
             the PBX runs; then routes, firewalls and, on EC2, the security group",
            cluster.web_port
        ));
    }
    if let Some(firewall) = facts.firewall() {
        let ports = entry.server.kind.ports();
        let media = match entry.server.kind {
            super::kind::Kind::Media => ", and 35000-65000 UDP",
            _ => "",
        };
        found.warning(format!(
            "{firewall} is active: it has to let in the ports {}-{} TCP and UDP{media}",
            ports.start(),
            ports.end()
        ));
    }
}

fn roles(found: &mut Findings, entry: &Entry, facts: &Facts) {
    if let Some(cluster) = facts.cluster() {
        found.error(format!(
            "it is a node of the cluster {cluster}\n  help: an extended server needs a machine of its own"
        ));
    }
    if let Some(postgresql) = facts.postgresql() {
        found.error(format!(
            "PostgreSQL is there ({postgresql}), which the vendor forbids\n  help: sudo apt purge 'postgresql-*', if \
             nobody needs it   (there)"
        ));
    }
    let container = entry.server.kind.container();
    let others: Vec<&str> = facts.containers().filter(|it| *it != container).collect();
    if !others.is_empty() {
        found.error(format!(
            "it has another role already: {}\n  help: a server has one role; sudo docker ps --all   (there)",
            others.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::cluster::tests::cluster;
    use super::super::kind::Kind;
    use super::super::register::tests::entry;
    use super::*;

    const GOOD: &str = "clock 1795930001.0\nos ubuntu 24.04\nown-address eth0\nvip answers\nfree 200000000\nsize \
                        209715200\nload 0.1 4\nend .\n";

    fn found(printed: &str) -> Vec<Finding> {
        let entry = entry(Kind::Media, "media-1", "192.168.1.21");
        findings(&entry, &Facts::parse(printed, 1_795_930_000.0), &cluster())
    }

    #[test]
    fn a_bare_machine_is_accepted() {
        assert_eq!(found(GOOD), []);
        // The PBX may be stopped at the moment; Corosync's sample is no cluster; the server's own container is there.
        let odd = GOOD.replace("vip answers", "vip refuses")
            + "cluster-name debian\nportsip-container portsip.mediaserver\n";
        assert_eq!(found(&odd), []);
    }

    #[test]
    fn each_thing_that_is_wrong_is_named() {
        for (from, to, said) in [
            ("ubuntu 24.04", "debian 12", "its system is debian 12"),
            ("own-address eth0", "own-address", "none of its interfaces"),
            (
                "vip answers",
                "vip silent",
                "does not reach the PBX: 192.168.1.130",
            ),
            (
                "vip answers",
                "vip answers\nvip-here yes",
                "virtual address 192.168.1.130 itself",
            ),
            ("free 200000000", "free 2000000", "1 GB are free"),
            ("1795930001.0", "1795930100.0", "100 s ahead of"),
            (
                "end .",
                "postgresql postgresql-16\nend .",
                "PostgreSQL is there (postgresql-16)",
            ),
            ("end .", "listens-5432 yes\nend .", "listens on port 5432"),
            (
                "end .",
                "cluster-name ha_cluster\nend .",
                "a node of the cluster ha_cluster",
            ),
            (
                "end .",
                "portsip-container portsip.callqueue\nend .",
                "another role already: portsip.callqueue",
            ),
            ("end .\n", "", "could not be looked at to the end"),
            ("end .", "docker silent\nend .", "Docker does not answer"),
            ("end .", "snap-docker yes\nend .", "Docker is a snap"),
        ] {
            let found = found(&GOOD.replace(from, to));
            assert!(
                found.iter().any(|it| it.is_error && it.text.contains(said)),
                "{said}: {found:?}"
            );
        }
    }

    #[test]
    fn a_small_disk_and_a_firewall_are_warnings() {
        let small = GOOD.replace("size 209715200", "size 20971520") + "firewall ufw\n";
        let found = found(&small);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|it| !it.is_error), "{found:?}");
        assert!(
            found[1]
                .text
                .contains("8840-8845 TCP and UDP, and 35000-65000 UDP"),
            "{found:?}"
        );
    }
}
