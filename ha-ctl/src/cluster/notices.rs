//! What an operator has to be told of a cluster, beyond the list of what runs where. A healthy cluster has nothing.

use std::collections::BTreeSet;

use serde::Serialize;

use super::lost::{LostSince, majority, unclean};
use super::quantities::size;
use super::state::Resource;
use super::takeover::take_over;
use super::versions::versions;
use super::{Configuration, Facts, State};
use crate::reach::Missing;
use crate::update::{CLONE, NOTE, NOTE_BEFORE, Record, Stage};

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
    /// Since when nodes are lost that are not fenced yet.
    pub lost: &'a LostSince,
}

impl Seen<'_> {
    /// What is on record of an update.
    pub(super) fn update(&self) -> Option<Record> {
        Record::in_note(self.configuration?, NOTE)
    }
}

/// From how many percent on a file system is called full.
const FULL: u64 = 90;
const FILLING: u64 = 80;

/// Everything there is to say, the worst of each heading first.
pub fn of(seen: &Seen) -> Vec<Notice> {
    let mut notices = Vec::new();
    whole_cluster(seen, &mut notices);
    failures(seen.state, &mut notices);
    resources(seen, &mut notices);
    notices.extend(take_over(seen));
    temporary(seen, &mut notices);
    notices.extend(unclean(seen));
    fenced(seen.state, &mut notices);
    fill(seen.facts, &mut notices);
    notices.extend(versions(seen.facts));
    not_asked(seen.missing, &mut notices);
    notices
}

pub(super) fn notice(
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

fn whole_cluster(seen: &Seen, notices: &mut Vec<Notice>) {
    const HEADING: &str = "Cluster";
    let state = seen.state;
    let majority = majority(seen);
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
            Some(&majority),
        );
    }
    if state.resources.iter().all(Resource::is_fencing) {
        say(
            Level::Error,
            "cluster.empty",
            "the cluster has no PBX: its deployment has not ended",
            Some("ha-ctl deploy   goes on with it"),
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

fn resources(seen: &Seen, notices: &mut Vec<Notice>) {
    let state = seen.state;
    let stops_pbx = |it: &Record| it.is_going_on() && it.stage != Stage::Returned;
    let update = seen.update().filter(stops_pbx);
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
            // An update has stopped it, and starts it again.
            let going_on = update
                .as_ref()
                .filter(|_| ["pbx", "ebs", CLONE].contains(&id));
            let command =
                going_on.map_or_else(|| format!("ha-ctl start -s {id}"), Record::commands);
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

fn temporary(seen: &Seen, notices: &mut Vec<Notice>) {
    const HEADING: &str = "Temporary";
    let holders: BTreeSet<&str> = seen
        .facts
        .iter()
        .filter_map(|it| it.lock.as_deref())
        .collect();
    for holder in &holders {
        let text = format!("somebody changes the cluster now: {holder}");
        notices.push(notice(Level::Note, "lock.held", HEADING, "cluster", text));
    }
    let Some(configuration) = seen.configuration else {
        return;
    };
    for note in configuration.notes() {
        let it = match note.name.split_once('.') {
            Some(("restart", resource)) => {
                let text = format!("a restart of {resource} has not ended: {}", note.text);
                match holders.is_empty() {
                    true => notice(Level::Warning, "note.restart", HEADING, resource, text)
                        .mended_by(format!("ha-ctl start -s {resource}")),
                    // It goes on, or somebody ends it just now.
                    false => notice(Level::Note, "note.restart", HEADING, resource, text),
                }
            }
            None if note.name == NOTE_BEFORE => continue,
            None if note.name == NOTE => match update(&note.text, holders.is_empty()) {
                Some(it) => it,
                None => continue,
            },
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

/// An update that has not ended. The note of one that has says the way back.
fn update(note: &str, is_left: bool) -> Option<Notice> {
    let Some(record) = Record::parse(note) else {
        let text = format!("a note that a later ha-ctl has written: {note}");
        return Some(notice(
            Level::Warning,
            "note.update",
            "Temporary",
            "pbx",
            text,
        ));
    };
    if !record.is_going_on() {
        let copy = record.copy.as_ref()?;
        let text = format!(
            "{} has the data of before the update from {} to {}, and is no second copy of what is there now: it cannot take over",
            copy.node, record.from, record.to
        );
        let it = notice(Level::Warning, "note.update", "Temporary", &copy.node, text);
        return Some(it.mended_by(record.commands()));
    }
    let text = format!(
        "an update from {} to {} has not ended ({}), begun by {}",
        record.from,
        record.to,
        record.stage.words(),
        record.by
    );
    let level = if is_left { Level::Warning } else { Level::Note };
    let it = notice(level, "note.update", "Temporary", "pbx", text);
    Some(match is_left {
        true => it.mended_by(record.commands()),
        false => it,
    })
}

fn fenced(state: &State, notices: &mut Vec<Notice>) {
    const HEADING: &str = "Fencing";
    for (number, event) in state.fenced.iter().enumerate() {
        // The latest is the first.
        let is_answered = state.fenced[..number]
            .iter()
            .any(|later| later.node == event.node && later.status == "success");
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
                // Which node does it is decided later.
                format!("{} is being fenced", event.node),
            ),
            _ => (
                match is_answered {
                    true => Level::Note,
                    false => Level::Error,
                },
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
