//! What is on record of an update, in a note in the cluster: so any node knows it, and it outlives each of them. It
//! stays after the update, because it says the way back.

use std::fmt;

use crate::cluster::Configuration;

/// The note's name.
pub const NOTE: &str = "update";
/// The note with the update before, until nothing of a new one can be taken back without it.
pub const NOTE_BEFORE: &str = "update-before";

/// An update.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// When it began, for the names of its snapshots: `20261130T014500Z`.
    pub id: String,
    /// The image, as it was asked for.
    pub image: String,
    /// The one that the PBX had before.
    pub image_before: String,
    /// The version before.
    pub from: String,
    /// The version after.
    pub to: String,
    /// How far it has come.
    pub stage: Stage,
    /// The snapshot that was begun while the PBX ran.
    pub before: Option<String>,
    /// The one that was begun when the PBX had stopped.
    pub rest: Option<String>,
    /// On a LAN: the copy of the data that is left as it was before. On the way back nothing any more, once the other
    /// copy follows it: then `source` has its node.
    pub copy: Option<CopyAtRest>,
    /// On the way back on a LAN: the node whose copy counts, once the other copy follows it.
    pub source: Option<String>,
    /// On the way back: nodes that were away, and are in standby until the same command brings them along.
    pub away: Vec<String>,
    /// The options that it was begun with, and that it is to go on with.
    pub options: String,
    /// Who, from where, since when.
    pub by: String,
}

/// A node whose copy of the data stays as it was: the node is in standby.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyAtRest {
    /// The node.
    pub node: String,
    /// What DRBD calls the state of the data there (its current UUID); nothing until the copy is at rest, and on the way
    /// back nothing any more from when it is to count.
    pub generation: String,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The PBX is stopped for it, and nothing of it or of its data is changed.
    #[default]
    Stopped,
    /// The data may be of the new version, or something between.
    Migrating,
    /// The data is of the new version.
    Migrated,
    /// The PBX answered in the new version.
    Done,
    /// A way back to the data of before has begun.
    Back,
    /// The PBX runs as before, and nodes that were away on the way back are left.
    Returned,
}

const STAGES: [(Stage, &str, &str); 6] = [
    (
        Stage::Stopped,
        "stopped",
        "the PBX was stopped for it, and nothing of it was changed",
    ),
    (
        Stage::Migrating,
        "migrating",
        "the data may be half of the new version",
    ),
    (
        Stage::Migrated,
        "migrated",
        "the data is of the new version",
    ),
    (Stage::Done, "done", "it has ended"),
    (Stage::Back, "back", "it goes back to the data of before"),
    (
        Stage::Returned,
        "returned",
        "it was taken back, without the nodes that were away",
    ),
];

impl Stage {
    /// For people.
    pub fn words(self) -> &'static str {
        let stage = STAGES.iter().find(|(stage, ..)| *stage == self);
        stage.map_or("", |(_, _, words)| words)
    }

    fn name(self) -> &'static str {
        let stage = STAGES.iter().find(|(stage, ..)| *stage == self);
        stage.map_or("", |(_, name, _)| name)
    }
}

impl Record {
    /// What a note in the cluster says, if it is there.
    pub fn in_note(configuration: &Configuration, name: &str) -> Option<Record> {
        let notes = configuration.notes();
        let note = notes.iter().find(|note| note.name == name)?;
        Record::parse(&note.text)
    }

    /// The commands that go on from here, for people.
    pub fn commands(&self) -> String {
        match self.stage {
            Stage::Back => "ha-ctl update --rollback   goes on".to_owned(),
            Stage::Returned => format!(
                "ha-ctl update --rollback   brings {} along",
                self.away.join(", ")
            ),
            Stage::Done => {
                "ha-ctl update --accept   brings it up to date; ha-ctl update --rollback   goes back"
                    .to_owned()
            }
            _ => format!(
                "{}   goes on with it; ha-ctl update --rollback   goes back",
                self.command()
            ),
        }
    }

    /// The one that it was begun with, for people.
    pub fn command(&self) -> String {
        let command = format!("ha-ctl update {} {}", self.image, self.options);
        command.trim_end().to_owned()
    }

    /// From the note. What is not understood is left out.
    pub fn parse(note: &str) -> Option<Record> {
        let mut record = Record::default();
        for part in note.split("; ") {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.to_owned();
            match name {
                "id" => record.id = value,
                "image" => record.image = value,
                "image-before" => record.image_before = value,
                "from" => record.from = value,
                "to" => record.to = value,
                "stage" => record.stage = STAGES.iter().find(|(_, it, _)| *it == value)?.0,
                "before" => record.before = Some(value),
                "rest" => record.rest = Some(value),
                "copy" => {
                    let (node, generation) = value.split_once(' ').unwrap_or((&value, ""));
                    record.copy = Some(CopyAtRest {
                        node: node.to_owned(),
                        generation: generation.to_owned(),
                    });
                }
                "source" => record.source = Some(value),
                "away" => record.away = value.split_whitespace().map(str::to_owned).collect(),
                "options" => record.options = value,
                "by" => record.by = value,
                _ => {}
            }
        }
        (!record.id.is_empty()).then_some(record)
    }

    /// Whether something is left to do, or to go back from.
    pub fn is_going_on(&self) -> bool {
        self.stage != Stage::Done
    }

    /// The name of one of its snapshots, or of the volume from one.
    pub fn name_of(&self, what: &str) -> String {
        format!("update-{}-{what}", self.id)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "id={}; image={}; image-before={}; from={}; to={}; stage={}",
            self.id,
            self.image,
            self.image_before,
            self.from,
            self.to,
            self.stage.name()
        )?;
        let snapshots = [("before", &self.before), ("rest", &self.rest)];
        for (name, snapshot) in snapshots {
            if let Some(snapshot) = snapshot {
                write!(f, "; {name}={snapshot}")?;
            }
        }
        if let Some(copy) = &self.copy {
            let text = format!("{} {}", copy.node, copy.generation);
            write!(f, "; copy={}", text.trim_end())?;
        }
        if let Some(source) = &self.source {
            write!(f, "; source={source}")?;
        }
        if !self.away.is_empty() {
            write!(f, "; away={}", self.away.join(" "))?;
        }
        if !self.options.is_empty() {
            write!(f, "; options={}", self.options)?;
        }
        write!(f, "; by={}", self.by)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut record = Record {
            id: "20261130T014500Z".to_owned(),
            image: "portsip/pbx:22".to_owned(),
            image_before: "portsip/pbx:22".to_owned(),
            from: "22.4.0".to_owned(),
            to: "22.5.0".to_owned(),
            by: "ubuntu on pbx01 at 2026-11-30 01:45:00Z".to_owned(),
            ..Record::default()
        };
        for (stage, ..) in STAGES {
            record.stage = stage;
            assert_eq!(Record::parse(&record.to_string()).unwrap(), record);
        }
        record.before = Some("snap-1".to_owned());
        record.rest = Some("snap-2".to_owned());
        assert_eq!(Record::parse(&record.to_string()).unwrap(), record);
        record.options = "-c --compose-file new.yml".to_owned();
        let begun = "ha-ctl update portsip/pbx:22 -c --compose-file new.yml";
        assert_eq!(record.command(), begun);
        record.source = Some("pbx02".to_owned());
        record.away = vec!["pbx01".to_owned(), "pbx03".to_owned()];
        assert_eq!(Record::parse(&record.to_string()).unwrap(), record);
        assert_eq!(record.name_of("rest"), "update-20261130T014500Z-rest");
        for generation in ["", "2D1D77F2C52B7A0A"] {
            record.copy = Some(CopyAtRest {
                node: "pbx02".to_owned(),
                generation: generation.to_owned(),
            });
            assert_eq!(Record::parse(&record.to_string()).unwrap(), record);
        }
    }

    #[test]
    fn another_note_is_no_record() {
        assert_eq!(Record::parse("ubuntu on pbx01 at 09:00"), None);
        assert_eq!(Record::parse("id=1; stage=of a later ha-ctl"), None);
    }
}
