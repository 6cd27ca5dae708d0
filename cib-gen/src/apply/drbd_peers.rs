//! What is wrong with the copies of the data, as DRBD on this node sees them: peers that it is not connected to, and
//! copies that are not up to date, each with what mends it. Nothing in `pcs status` says so.

use serde_json::Value;

use crate::cluster::Drbd;
use crate::vars::DrbdVersion;

/// A copy of the data, or the connection to it.
#[derive(Debug, PartialEq, Eq)]
enum Seen<'a> {
    Connection { peer: &'a str, state: &'a str },
    Disk { node: &'a str, state: &'a str },
}

/// What is told of such copies. `here` is this node; `status` is what `drbdsetup status --json` prints, or the file
/// /proc/drbd of DRBD 8.4.
///
/// # Errors
/// It is no JSON.
pub fn notes(model: &Drbd, here: &str, status: &str) -> Result<Vec<String>, serde_json::Error> {
    match model.version {
        DrbdVersion::EightFour => Ok(told(model, &seen_84(model, here, status))),
        DrbdVersion::Nine => {
            let resources: Vec<Value> = serde_json::from_str(status)?;
            Ok(told(model, &seen_9(model, here, &resources)))
        }
    }
}

fn told(model: &Drbd, seen: &[Seen<'_>]) -> Vec<String> {
    let notes = seen.iter().filter_map(|seen| match seen {
        Seen::Connection { peer, state } => of_connection(model, peer, state),
        Seen::Disk { node, state } => of_disk(model, node, state),
    });
    notes.collect()
}

fn of_connection(model: &Drbd, peer: &str, state: &str) -> Option<String> {
    let name = model.name;
    match state {
        "StandAlone" => Some(format!(
            "DRBD on this node no longer tries to connect to {peer} (StandAlone), whose copy of the data gets old or is \
             newer\n  help: here: sudo drbdadm connect {name}. If it is StandAlone again, the kernel's log says why \
             (sudo journalctl -k --grep drbd); after `Split-Brain detected` a person decides which copy is kept"
        )),
        // The words of DRBD 9 and of 8.4.
        "Connecting" | "WFConnection" => Some(format!(
            "DRBD on this node waits for {peer} ({state}), whose copy of the data gets old\n  help: if {peer} is online \
             in `sudo pcs status`, there: sudo drbdadm disconnect {name}; sudo drbdadm connect {name}"
        )),
        _ => None,
    }
}

fn of_disk(model: &Drbd, node: &str, state: &str) -> Option<String> {
    let name = model.name;
    let help = match state {
        "Diskless" | "Failed" => format!(
            "on {node}: the kernel's log (sudo journalctl -k) says what is wrong with {}; when it is right again, \
             sudo drbdadm attach {name}. After a new disk: docs/lan.md, \"A disk failed\"",
            model.disk
        ),
        "Inconsistent" | "Outdated" => format!(
            "`{}` shows how far it is. If it does not move, on {node}: sudo drbdadm disconnect {name}; sudo drbdadm \
             connect {name}",
            model.status_command()
        ),
        // Of a peer that is not connected, its connection is told.
        _ => return None,
    };
    Some(format!(
        "the copy of the data on {node} is {state}: {node} cannot take over, and the PBX is down if no other copy is \
         left\n  help: {help}"
    ))
}

/// Of DRBD 9: the own disk, and of each peer its connection and its disk.
fn seen_9<'a>(model: &Drbd, here: &'a str, resources: &'a [Value]) -> Vec<Seen<'a>> {
    let list = |value: &'a Value, key: &str| value[key].as_array().into_iter().flatten();
    let mut all = Vec::new();
    for resource in resources.iter().filter(|one| one["name"] == model.name) {
        let states = list(resource, "devices").filter_map(|one| one["disk-state"].as_str());
        all.extend(states.map(|state| Seen::Disk { node: here, state }));
        for connection in list(resource, "connections") {
            let Some(peer) = connection["name"].as_str() else {
                continue;
            };
            let state = connection["connection-state"].as_str();
            all.extend(state.map(|state| Seen::Connection { peer, state }));
            let states = list(connection, "peer_devices");
            let states = states.filter_map(|one| one["peer-disk-state"].as_str());
            // What it was when it was last seen is no news.
            let states = states.filter(|_| state == Some("Connected"));
            all.extend(states.map(|state| Seen::Disk { node: peer, state }));
        }
    }
    all
}

/// ` 1: cs:WFConnection ro:Primary/Unknown ds:UpToDate/Outdated C r-----`: the own disk, and the connection and the
/// disk of the other peer.
fn seen_84<'a>(model: &'a Drbd, here: &'a str, proc_drbd: &'a str) -> Vec<Seen<'a>> {
    let minor = format!("{}: ", model.minor);
    let mut lines = proc_drbd.lines().map(str::trim_start);
    let words = lines.find_map(|line| line.strip_prefix(&minor));
    let peer = model.peers.iter().find(|peer| peer.name != here);
    let (Some(words), Some(peer)) = (words, peer) else {
        return Vec::new();
    };
    let peer = peer.name.as_str();
    let word = |key: &str| words.split(' ').find_map(|word| word.strip_prefix(key));
    let mut all = Vec::new();
    let connection = word("cs:");
    all.extend(connection.map(|state| Seen::Connection { peer, state }));
    if let Some((own, other)) = word("ds:").and_then(|disks| disks.split_once('/')) {
        all.push(Seen::Disk {
            node: here,
            state: own,
        });
        // What it was when it was last seen is no news.
        if !matches!(connection, Some("StandAlone" | "WFConnection")) {
            all.push(Seen::Disk {
                node: peer,
                state: other,
            });
        }
    }
    all
}
