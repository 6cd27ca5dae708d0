//! Which nodes could take the PBX over now, and what is against the others.

use std::collections::BTreeSet;

use super::lost::comes_back;
use super::notices::{Level, Notice, Seen, notice};
use super::{Facts, State};
use crate::update::Record;

/// Whether any node could take over now; the nodes that could not, and why.
pub(super) fn take_over(seen: &Seen) -> Vec<Notice> {
    let mut notices = Vec::new();
    const HEADING: &str = "Could not take over now";
    let master = seen.state.master();
    let others = seen.state.nodes.iter().map(|node| node.name.as_str());
    let others = others.filter(|name| Some(*name) != master);
    // A node that only votes is never meant to take over.
    let votes_only = |name: &&str| {
        seen.configuration
            .is_some_and(|it| it.runs_nothing_on(name))
    };
    let others = others.filter(|name| !votes_only(name));
    let others: Vec<_> = others.map(|name| (name, obstacles(name, seen))).collect();
    let able = others.iter().any(|(_, against)| against.is_empty());
    let nobody = master.and_then(|master| nobody_could(seen.state, master, able));
    notices.extend(
        nobody.map(|text| notice(Level::Error, "cluster.takeover", HEADING, "cluster", text)),
    );
    for (name, against) in others {
        for (text, command) in against {
            let text = format!("{name} {text}");
            let mut it = notice(Level::Warning, "node.takeover", HEADING, name, text);
            it.command = command;
            notices.push(it);
        }
    }
    notices
}

/// Why nothing would take over from the master.
fn nobody_could(state: &State, master: &str, able: bool) -> Option<String> {
    let online = state.online();
    let (all, left) = (
        state.nodes.len(),
        online.iter().filter(|node| **node != master).count(),
    );
    let majority = all / 2 + 1;
    if left < majority && state.quorum {
        Some(format!(
            "if {master} failed now, nothing would take over: {left} of {all} nodes would be left, and a majority is \
             {majority}"
        ))
    } else if !able && all > 1 {
        Some(format!("if {master} failed now, nothing would take over"))
    } else {
        None
    }
}

/// What is against a node, each with the command that mends it.
fn obstacles(name: &str, seen: &Seen) -> Vec<(String, Option<String>)> {
    let mut against = Vec::new();
    let Some(node) = seen.state.nodes.iter().find(|node| node.name == name) else {
        return against;
    };
    if node.unclean {
        against.push(("is lost and not fenced yet".to_owned(), None));
    } else if !node.online {
        let command = comes_back(name, seen);
        against.push(("is offline".to_owned(), Some(command)));
    } else if node.pending {
        against.push(("is joining, and not ready yet".to_owned(), None));
    }
    if node.standby {
        let has_copy = |update: &Record| update.copy.as_ref().is_some_and(|copy| copy.node == name);
        against.push(match seen.update() {
            // Out of standby, its copy would follow the other one, and there would be no way back.
            Some(update) if has_copy(&update) => (
                "is in standby, and its copy of the data is the way back from an update".to_owned(),
                Some(update.commands()),
            ),
            Some(update) if update.away.iter().any(|away| away == name) => (
                "is in standby, because an update was taken back without it".to_owned(),
                Some(update.commands()),
            ),
            _ => (
                "is in standby".to_owned(),
                Some(format!("sudo pcs node unstandby {name}")),
            ),
        });
    }
    if node.maintenance {
        against.push((
            "is in maintenance mode".to_owned(),
            Some(format!("sudo pcs node unmaintenance {name}")),
        ));
    }
    for banned in seen.state.banned.iter().filter(|it| it.node == name) {
        against.push((
            format!(
                "may not run {}, which failed there too often",
                banned.resource
            ),
            Some(format!("sudo pcs resource cleanup {}", banned.resource)),
        ));
    }
    let of = |node: &str| seen.facts.iter().find(|facts| facts.node == node);
    if let Some(facts) = of(name) {
        let master = seen.state.master();
        against.extend(missing_for_the_pbx(facts, master.and_then(of)));
        against.extend(copy_of_the_data(facts, master));
    }
    against
}

/// DRBD promotes no copy that is not up to date; and one that is cut off from the active node is old soon.
fn copy_of_the_data(facts: &Facts, master: Option<&str>) -> Option<(String, Option<String>)> {
    let copy = facts.drbd.as_ref()?;
    let look =
        Some("sudo drbdadm status; sudo journalctl --dmesg --grep drbd   (there)".to_owned());
    if copy.disk != "UpToDate" {
        return Some((
            format!("has a copy of the data that is {}", copy.disk),
            look,
        ));
    }
    let master = master?;
    let state = copy.cut_off_from(master)?;
    let text = format!("has a copy of the data that is not connected to {master}: {state}");
    Some((text, look))
}

fn missing_for_the_pbx(facts: &Facts, master: Option<&Facts>) -> Option<(String, Option<String>)> {
    let names = |facts: &Facts| -> BTreeSet<String> {
        facts.containers.iter().map(|it| it.name.clone()).collect()
    };
    let here = names(facts);
    let wanted = master.map(names).unwrap_or_default();
    let missing: Vec<&str> = wanted.difference(&here).map(String::as_str).collect();
    match facts.docker.as_str() {
        "active" if facts.containers.is_empty() => Some((
            "has no containers of the PBX".to_owned(),
            Some(CREATE.to_owned()),
        )),
        "active" if !missing.is_empty() => Some((
            format!(
                "lacks containers that the active node has: {}",
                missing.join(", ")
            ),
            Some(CREATE.to_owned()),
        )),
        "active" => None,
        "silent" => Some(("has a Docker that does not answer".to_owned(), None)),
        state => Some((
            format!("has a Docker that is {state}"),
            Some("sudo systemctl start docker   (there)".to_owned()),
        )),
    }
}

/// Makes the containers that are missing, and starts none.
const CREATE: &str =
    "sudo docker compose --project-directory /etc/portsip/pbx create --no-recreate   (there)";
