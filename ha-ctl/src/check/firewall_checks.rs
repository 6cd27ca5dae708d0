//! Firewalls on the nodes. One that lets the other nodes in is none of our business, and is only named.

use super::{Inspection, SaidOf, Site};
use crate::cluster::Level;

/// Corosync's, pcsd's and DRBD's ports.
const PORTS: &str = "2224/tcp, 5403-5412/udp, 7789/tcp";

pub(super) fn ufw(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let command = "sudo ufw allow from ADDRESS   (there; for the address of each other node)";
    let is_active = |it: &&Inspection| it.one("ufw") == Some("active");
    let active = all.iter().filter(is_active);
    active
        .map(|it| said("ufw", it, all, site, command))
        .collect()
}

pub(super) fn firewalld(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let command = "sudo firewall-cmd --permanent --zone=trusted --add-source=ADDRESS && sudo firewall-cmd --reload   \
                   (there; for the address of each other node)";
    let is_active = |it: &&Inspection| {
        it.service("firewalld")
            .is_some_and(|(active, _)| active == "active")
    };
    let active = all.iter().filter(is_active);
    active
        .map(|it| said("firewalld", it, all, site, command))
        .collect()
}

fn said(name: &str, it: &Inspection, all: &[Inspection], site: &Site, command: &str) -> SaidOf {
    let node = Some(it.node.clone());
    match lets_in(it, all, site) {
        true => {
            let found =
                format!("{name} is active, and lets Corosync and pcsd of the other nodes in");
            (node, (Level::Note, found, None))
        }
        false => {
            let found = format!("{name} is active; the nodes need {PORTS} among each other");
            (node, (Level::Warning, found, Some(command.to_owned())))
        }
    }
}

/// Every other node has reached this one's pcsd, and Corosync is connected to all of them. Where it does not run yet,
/// nobody knows.
fn lets_in(it: &Inspection, all: &[Inspection], site: &Site) -> bool {
    let mut machines = site.machines.iter();
    let here = machines.find(|machine| machine.name == it.node);
    let Some(address) = here.and_then(|machine| machine.address.as_deref()) else {
        return false;
    };
    let open = format!("{address} open");
    let mut others = all.iter().filter(|other| other.node != it.node);
    let is_reached =
        all.len() > 1 && others.all(|other| other.all("pcsd").any(|line| line == open));
    let mut links = it.words("link").peekable();
    let runs = links.peek().is_some();
    let is_connected = |words: Vec<&str>| matches!(words[..], [_, "connected" | "localhost"]);
    is_reached && runs && links.all(is_connected)
}
