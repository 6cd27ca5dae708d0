//! What an operator has to be told of a cluster, beyond the list of what runs where. A healthy cluster has nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Configuration, Facts, State};
use crate::reach::Missing;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Something is broken, or the next failure would stop the PBX.
    Error,
    /// Somebody should look at it.
    Warning,
    /// It is good to know.
    Note,
}

/// One thing to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// How bad it is.
    pub level: Level,
    /// Its stable name.
    pub name: &'static str,
    /// Below which heading it is shown.
    #[serde(skip)]
    pub heading: &'static str,
    /// The node or the resource that it is about.
    pub about: String,
    /// What was found.
    pub text: String,
    /// The command that mends it, where there is one.
    pub command: Option<String>,
}

/// Everything that was asked.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The cluster.
    pub state: &'a State,
    /// Its configuration.
    pub configuration: Option<&'a Configuration>,
    /// What is on the nodes that were reached.
    pub facts: &'a [Facts],
    /// The nodes that are online and could not be asked.
    pub missing: &'a [Missing],
}

/// From how many percent on a file system is called full.
const FULL: u64 = 90;
const FILLING: u64 = 80;

/// Everything there is to say, the worst of each heading first.
pub fn of(seen: &Seen) -> Vec<Notice> {
    let mut notices = Vec::new();
    whole_cluster(seen.state, &mut notices);
    failures(seen.state, &mut notices);
    resources(seen.state, &mut notices);
    take_over(seen, &mut notices);
    temporary(seen.configuration, &mut notices);
    fenced(seen.state, &mut notices);
    fill(seen.facts, &mut notices);
    versions(seen.facts, &mut notices);
    not_asked(seen.missing, &mut notices);
    notices
}

fn notice(
    level: Level,
    name: &'static str,
    heading: &'static str,
    about: impl Into<String>,
    text: impl Into<String>,
) -> Notice {
    Notice {
        level,
        name,
        heading,
        about: about.into(),
        text: text.into(),
        command: None,
    }
}

impl Notice {
    fn mended_by(mut self, command: impl Into<String>) -> Notice {
        self.command = Some(command.into());
        self
    }
}

fn whole_cluster(state: &State, notices: &mut Vec<Notice>) {
    const HEADING: &str = "Cluster";
    let mut say = |level, name, text: &str, command: Option<&str>| {
        let mut it = notice(level, name, HEADING, "cluster", text);
        it.command = command.map(str::to_owned);
        notices.push(it);
    };
    if state.dc.is_none() {
        say(
            Level::Error,
            "cluster.dc",
            "no node was elected to decide yet: nothing is started or moved",
            None,
        );
    } else if !state.quorum {
        say(
            Level::Error,
            "cluster.quorum",
            "this part of the cluster has no majority of the nodes: it stops the PBX, or does not start it",
            None,
        );
    }
    if state.maintenance {
        say(
            Level::Warning,
            "cluster.maintenance",
            "maintenance mode: a failure moves and restarts nothing",
            Some("sudo pcs property set maintenance-mode="),
        );
    }
    if !state.fencing {
        say(
            Level::Warning,
            "cluster.fencing",
            "fencing is off: a lost node may go on writing while another takes over",
            None,
        );
    }
}

fn failures(state: &State, notices: &mut Vec<Notice>) {
    for failure in &state.failures {
        let resource = resource_of(&failure.operation);
        let (level, name, heading) = match failure.degraded {
            true => (
                Level::Warning,
                "resource.degraded",
                "Runs, but not as it should",
            ),
            false => (Level::Error, "resource.failed", "Failed operations"),
        };
        let text = format!(
            "{} on {} at {}: {}",
            operation_words(&failure.operation),
            failure.node,
            failure.time,
            failure.reason
        );
        let it = notice(level, name, heading, resource, text);
        notices.push(match failure.degraded {
            true => it,
            false => it.mended_by(format!("sudo pcs resource cleanup {resource}")),
        });
    }
}

/// `pbx_start_0` is of `pbx`; an instance of a clone has its number after a colon.
fn resource_of(operation: &str) -> &str {
    let resource = operation.rsplitn(3, '_').nth(2).unwrap_or(operation);
    resource.split(':').next().unwrap_or(resource)
}

/// `pbx_monitor_10000` is `pbx monitor`.
fn operation_words(operation: &str) -> String {
    let mut parts = operation.rsplitn(3, '_');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(action), Some(resource)) => format!("{resource} {action}"),
        _ => operation.to_owned(),
    }
}

fn resources(state: &State, notices: &mut Vec<Notice>) {
    const HEADING: &str = "Resources";
    let mut say = |level, name, id: &str, text: &str, command: String| {
        // The instances of a clone have one name.
        if !notices
            .iter()
            .any(|it: &Notice| it.name == name && it.about == id)
        {
            let text = format!("{id} {text}");
            notices.push(notice(level, name, HEADING, id, text).mended_by(command));
        }
    };
    for it in &state.resources {
        let id = it.clone.as_deref().unwrap_or(&it.id);
        if it.blocked {
            let command = format!("sudo pcs resource cleanup {id}");
            say(
                Level::Error,
                "resource.blocked",
                id,
                "is blocked: Pacemaker does nothing more with it",
                command,
            );
        }
        if it.is_disabled() {
            let command = format!("ha-ctl start -s {id}");
            say(
                Level::Warning,
                "resource.disabled",
                id,
                "is disabled: it stays stopped",
                command,
            );
        }
        if !it.managed && !state.maintenance {
            let command = format!("sudo pcs resource manage {id} --monitor");
            say(
                Level::Warning,
                "resource.unmanaged",
                id,
                "is unmanaged: a failure restarts nothing",
                command,
            );
        }
    }
}

/// Whether any node could take over now; the nodes that could not, and why.
fn take_over(seen: &Seen, notices: &mut Vec<Notice>) {
    const HEADING: &str = "Could not take over now";
    let master = seen.state.master();
    let others = seen.state.nodes.iter().map(|node| node.name.as_str());
    let others = others.filter(|name| Some(*name) != master);
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
        against.push(("is offline".to_owned(), None));
    } else if node.pending {
        against.push(("is joining, and not ready yet".to_owned(), None));
    }
    if node.standby {
        against.push((
            "is in standby".to_owned(),
            Some(format!("sudo pcs node unstandby {name}")),
        ));
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
    if let Some(facts) = seen.facts.iter().find(|facts| facts.node == name) {
        against.extend(missing_for_the_pbx(facts));
    }
    against
}

fn missing_for_the_pbx(facts: &Facts) -> Option<(String, Option<String>)> {
    match facts.docker.as_str() {
        "active" if facts.containers.is_empty() => Some((
            "has no containers of the PBX".to_owned(),
            Some("sudo docker compose --project-directory /etc/portsip/pbx create --no-recreate   (there)".to_owned()),
        )),
        "active" => None,
        "silent" => Some(("has a Docker that does not answer".to_owned(), None)),
        state => Some((
            format!("has a Docker that is {state}"),
            Some("sudo systemctl start docker   (there)".to_owned()),
        )),
    }
}

fn temporary(configuration: Option<&Configuration>, notices: &mut Vec<Notice>) {
    const HEADING: &str = "Temporary";
    let Some(configuration) = configuration else {
        return;
    };
    for note in configuration.notes() {
        let it = match note.name.split_once('.') {
            Some(("restart", resource)) => {
                let text = format!("a restart of {resource} has not ended: {}", note.text);
                notice(Level::Warning, "note.restart", HEADING, resource, text)
                    .mended_by(format!("ha-ctl start -s {resource}"))
            }
            _ => {
                let text = format!("{}: {}", note.name, note.text);
                notice(Level::Warning, "note.other", HEADING, note.name, text)
            }
        };
        notices.push(it);
    }
    for constraint in configuration.leftovers() {
        let text = format!("the constraint {constraint} was left by a move or a ban");
        let command = format!("sudo pcs constraint delete {constraint}");
        notices.push(
            notice(Level::Warning, "constraint.left", HEADING, constraint, text).mended_by(command),
        );
    }
}

fn fenced(state: &State, notices: &mut Vec<Notice>) {
    const HEADING: &str = "Fencing";
    for event in &state.fenced {
        let (level, name, text) = match event.status.as_str() {
            "success" => (
                Level::Note,
                "fencing.done",
                format!(
                    "{} was fenced by {} at {}",
                    event.node, event.by, event.time
                ),
            ),
            "pending" => (
                Level::Warning,
                "fencing.pending",
                format!("{} is being fenced by {}", event.node, event.by),
            ),
            _ => (
                Level::Error,
                "fencing.failed",
                format!(
                    "{} could not fence {} at {}: {}",
                    event.by, event.node, event.time, event.reason
                ),
            ),
        };
        let text = text.trim_end_matches([':', ' ']);
        notices.push(notice(level, name, HEADING, &event.node, text));
    }
}

fn fill(facts: &[Facts], notices: &mut Vec<Notice>) {
    for data in facts.iter().filter_map(|facts| facts.data.as_ref()) {
        let (bytes, inodes) = (data.bytes_percent(), data.inodes_percent());
        let level = match bytes.max(inodes) {
            FULL.. => Level::Error,
            FILLING.. => Level::Warning,
            _ => continue,
        };
        let text = format!(
            "{} is {bytes} % full: {} of {}; inodes {inodes} %: {} of {}",
            data.path,
            size(data.bytes_used),
            size(data.bytes),
            data.inodes_used,
            data.inodes
        );
        notices.push(notice(level, "data.full", "Data", &data.path, text));
    }
}

/// `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = (0..UNITS.len() - 1)
        .find(|n| bytes < 1 << ((n + 1) * 10))
        .unwrap_or(UNITS.len() - 1);
    let tenths = u128::from(bytes) * 10 >> (unit * 10);
    match unit {
        0 => format!("{bytes} bytes"),
        _ => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
    }
}

/// Packages and images of which the nodes do not have the same.
fn versions(facts: &[Facts], notices: &mut Vec<Notice>) {
    const HEADING: &str = "Versions that differ";
    let mut found: BTreeMap<(&str, &str), BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for facts in facts {
        let mut have = |kind, what, version| {
            let versions: &mut Vec<&str> = found
                .entry((kind, what))
                .or_default()
                .entry(version)
                .or_default();
            versions.push(&facts.node);
        };
        for (package, version) in &facts.packages {
            have("package", package, version);
        }
        for container in &facts.containers {
            have("image", &container.name, &container.image);
        }
    }
    for ((kind, what), versions) in found.iter().filter(|(_, versions)| versions.len() > 1) {
        let each = versions
            .iter()
            .map(|(version, nodes)| format!("{version} on {}", nodes.join(", ")));
        let text = format!("{what}: {}", each.collect::<Vec<_>>().join("; "));
        let name = if *kind == "image" {
            "version.image"
        } else {
            "version.package"
        };
        notices.push(notice(Level::Warning, name, HEADING, *what, text));
    }
}

fn not_asked(missing: &[Missing], notices: &mut Vec<Notice>) {
    for missing in missing {
        let text = format!(
            "{} {}; what is installed there was not looked at",
            missing.name,
            missing.cause.found()
        );
        let it = notice(
            Level::Note,
            missing.cause.name(),
            "Not asked",
            &missing.name,
            text,
        );
        notices.push(it.mended_by(missing.cause.help(&missing.by_hand)));
    }
}

#[cfg(test)]
#[path = "notices_tests.rs"]
mod tests;
