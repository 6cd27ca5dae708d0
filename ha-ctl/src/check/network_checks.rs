//! Who gets through to whom, and proxies that stand between.

use serde::Serialize;

use super::probe::{COROSYNC, DRBD, PCSD};
use super::{Inspection, Said, SaidOf, Site};
use crate::cluster::Level;

/// Whether one node gets through to another on a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Passage {
    /// Who speaks.
    pub from: String,
    /// Who listens.
    pub to: String,
    /// `udp/5405`, ...
    pub port: String,
    /// Whether it arrives.
    pub open: bool,
}

/// All that is known of who gets through to whom: by Corosync's own links and by pcsd where they run, and else by
/// the listeners.
pub fn passages(all: &[Inspection], site: &Site) -> Vec<Passage> {
    let mut passages = Vec::new();
    let mut add = |from: &str, to: &str, port: &str, open| {
        passages.push(Passage {
            from: from.to_owned(),
            to: to.to_owned(),
            port: port.to_owned(),
            open,
        });
    };
    for it in all {
        for words in it.words("link") {
            if let [id, state] = words[..]
                && let Some(name) = it.node_with_id(id)
                && name != it.node
            {
                add(&it.node, name, COROSYNC, state != "disconnected");
            }
        }
        for words in it.words("pcsd") {
            if let [address, state] = words[..] {
                add(&it.node, site.name_at(address), PCSD, state == "open");
            }
        }
        for port in it.all("listened") {
            let others = all.iter().filter(|other| other.node != it.node);
            for other in others.filter(|other| other.all("listened").any(|known| known == port)) {
                let heard = format!("{port} {}", site.address(&other.node).unwrap_or_default());
                let is_heard = it.all("heard").any(|known| known == heard);
                if is_heard || listened_together(it, other) {
                    add(&other.node, &it.node, port, is_heard);
                }
            }
        }
    }
    passages
}

/// For how many seconds two nodes have to listen at the same time to be sure to hear each other.
const ENOUGH: f64 = 1.5;

/// Begin and end of the time in which a node listened, by the clock of this machine.
fn window(it: &Inspection) -> Option<(f64, f64)> {
    let words: Vec<&str> = it.one("window")?.split_whitespace().collect();
    match words[..] {
        [begin, end] => Some((begin.parse().ok()?, end.parse().ok()?)),
        _ => None,
    }
}

/// Whether two nodes have listened at the same time. On machines that are very busy, one may begin when the other
/// has ended.
fn listened_together(a: &Inspection, b: &Inspection) -> bool {
    match (window(a), window(b)) {
        (Some((a_begin, a_end)), Some((b_begin, b_end))) => {
            a_end.min(b_end) - a_begin.max(b_begin) >= ENOUGH
        }
        _ => false,
    }
}

/// What a listener on a node did not hear of the others that spoke to it.
fn not_received(all: &[Inspection], site: &Site, port: &str) -> Vec<SaidOf> {
    let listened = |it: &&Inspection| it.all("listened").any(|known| known == port);
    let mut said = Vec::new();
    for to in all.iter().filter(listened) {
        for from in all.iter().filter(listened).filter(|it| it.node != to.node) {
            let Some(address) = site.address(&from.node) else {
                continue;
            };
            let heard = format!("{port} {address}");
            if to.all("heard").any(|it| it == heard) {
                continue;
            }
            let (protocol, number) = port.split_once('/').unwrap_or((port, ""));
            let finding = match listened_together(to, from) {
                true => {
                    let found = format!(
                        "nothing of {} arrives on port {number}/{protocol}",
                        from.node
                    );
                    (Level::Error, found, Some(open_for(to, address)))
                }
                false => {
                    let found = format!(
                        "not known whether {} gets through on port {number}/{protocol}: the nodes are too busy",
                        from.node
                    );
                    let again = "ha-ctl check --only network   again".to_owned();
                    (Level::Note, found, Some(again))
                }
            };
            said.push((Some(to.node.clone()), finding));
        }
    }
    said
}

/// How a node is told to let another one in.
fn open_for(to: &Inspection, address: &str) -> String {
    if to.one("ufw") == Some("active") {
        return format!("sudo ufw allow from {address}   (there)");
    }
    if to
        .service("firewalld")
        .is_some_and(|(active, _)| active == "active")
    {
        return format!(
            "sudo firewall-cmd --permanent --zone=trusted --add-source={address} && sudo firewall-cmd --reload   \
             (there)"
        );
    }
    format!(
        "sudo nft list ruleset   (there, for what stops {address}; then look at security groups and switches)"
    )
}

/// A running Corosync's own word is in `cluster.links`.
pub(super) fn corosync(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    not_received(all, site, COROSYNC)
}

/// A running DRBD's own word is in `lan.drbd-connected`.
pub(super) fn drbd(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    not_received(all, site, DRBD)
}

/// pcsd listens as soon as pcs is installed. Where it does not, a listener stood in for it.
pub(super) fn pcsd(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let mut said = not_received(all, site, PCSD);
    for it in all {
        let closed = it.words("pcsd").filter_map(|words| match words[..] {
            [address, "closed"] => Some(address),
            _ => None,
        });
        for address in closed {
            let name = site.name_at(address);
            let other = all.iter().find(|other| other.node == name);
            let is_expected = other.is_some_and(|other| other.package("pcs").is_none());
            if is_expected || site.is_away(name) {
                continue;
            }
            let found = format!("pcsd on {name} cannot be reached from here, on port 2224/tcp");
            let command = match other.and_then(|other| other.service("pcsd")) {
                Some((active, _)) if active != "active" => {
                    format!("sudo systemctl enable --now pcsd   (on {name})")
                }
                _ => format!(
                    "systemctl status pcsd   (on {name}; then look at firewalls and security groups)"
                ),
            };
            said.push((
                Some(it.node.clone()),
                (Level::Warning, found, Some(command)),
            ));
        }
    }
    said
}

/// pcs asks the other nodes' pcsd through a proxy if the environment names one, and fails; the AWS CLI and
/// fence_aws ask even the instance metadata through it.
pub(super) fn proxy(it: &Inspection, site: &Site) -> Vec<Said> {
    let mut said = Vec::new();
    for (scope, place) in [
        ("login", "/etc/environment"),
        ("services", "the environment of the services"),
    ] {
        let value = |name: &str| {
            it.words("proxy-env").find_map(|words| match words[..] {
                [known, variable, value]
                    if known == scope && variable.eq_ignore_ascii_case(name) =>
                {
                    Some(value)
                }
                _ => None,
            })
        };
        let Some(proxy) = value("https_proxy").or_else(|| value("http_proxy")) else {
            continue;
        };
        let excepted: Vec<&str> = value("no_proxy").unwrap_or_default().split(',').collect();
        let mut needed: Vec<&str> = site.machines.iter().map(|it| it.name.as_str()).collect();
        needed.extend(site.machines.iter().filter_map(|it| it.address.as_deref()));
        if !site.instances.is_empty() {
            needed.push("169.254.169.254");
        }
        needed.retain(|host| !excepted.iter().any(|entry| matches(entry.trim(), host)));
        if needed.is_empty() {
            continue;
        }
        let found = format!(
            "{place} names the proxy {proxy}, and its no_proxy lacks {}",
            needed.join(", ")
        );
        let all: Vec<&str> = excepted
            .iter()
            .copied()
            .filter(|it| !it.is_empty())
            .chain(needed)
            .collect();
        let all = all.join(",");
        let command = match scope {
            "login" => format!(
                "sudo sed -i '/^no_proxy=/Id' /etc/environment && echo 'no_proxy={all}' | sudo tee -a \
                 /etc/environment   (there; then log in again)"
            ),
            _ => format!(
                "sudo systemctl edit pcsd pacemaker   (there: [Service] and Environment=no_proxy={all})"
            ),
        };
        said.push((Level::Warning, found, Some(command)));
    }
    said
}

/// As curl reads an entry of no_proxy: a name stands for itself and for all below it.
fn matches(entry: &str, host: &str) -> bool {
    let name = entry.trim_start_matches('.');
    entry == "*" || name == host || (!name.is_empty() && host.ends_with(&format!(".{name}")))
}
