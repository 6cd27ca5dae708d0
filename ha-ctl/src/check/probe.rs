//! What gets from node to node on ports where nothing listens yet. Every node listens for a moment on the ports
//! that are free there, and sends to those of the others. A port that is in use, such as that of a running Corosync,
//! is neither listened on nor sent to.

use std::time::Duration;

use super::{Inspection, Site};
use crate::commands::quoted;
use crate::reach::Command;

/// Corosync's and pcsd's ports, and DRBD's.
pub(super) const COROSYNC: &str = "udp/5405";
pub(super) const PCSD: &str = "tcp/2224";
pub(super) const DRBD: &str = "tcp/7789";

/// The ports of a node that are free, and that the site needs.
fn free<'a>(it: &'a Inspection, site: &Site) -> Vec<&'a str> {
    let ports = it.all("free");
    let wanted = |port: &&str| *port != DRBD || site.has_disk(&it.node);
    ports.filter(wanted).collect()
}

/// The command for a node; none if nothing can be learned there without disturbing anybody.
pub fn probe(node: &Inspection, all: &[Inspection], site: &Site) -> Option<Command> {
    let own = site.address(&node.node)?;
    let listen = free(node, site);
    let others = all.iter().filter(|other| other.node != node.node);
    let targets = others.flat_map(|other| {
        let address = site.address(&other.node);
        let ports = free(other, site).into_iter();
        ports.filter_map(move |port| Some(format!("{port}/{}", address?)))
    });
    let targets: Vec<String> = targets.collect();
    if listen.is_empty() || targets.is_empty() {
        return None;
    }
    let script = format!(
        "exec python3 - {} {} {} <<'END'\n{}\nEND",
        quoted(own),
        quoted(&listen.join(" ")),
        quoted(&targets.join(" ")),
        include_str!("probe.py")
    );
    let mut command = Command::look("listening for the other nodes", script);
    command.limit = Duration::from_secs(20);
    Some(command)
}
