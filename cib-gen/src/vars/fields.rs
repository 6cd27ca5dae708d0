//! The keys that a file has, each read into its type; what is missing or malformed is noted.

use std::collections::BTreeMap;
use std::net::AddrParseError;
use std::num::ParseIntError;
use std::str::FromStr;

use super::{AwsVars, LanVars, SharedVars, System, Topology, Vars, keys, read};
use crate::ids::{InstanceId, Malformed, NodeName};
use crate::mistake::{At, Code, Mistake, Position, Source};

/// The entries by key, and the mistakes found so far.
pub(super) struct Fields {
    system: Option<System>,
    found: BTreeMap<String, At<read::Value>>,
    /// How many nodes the file is about.
    count: usize,
    /// Where a missing key could be added.
    end: At<()>,
    pub(super) mistakes: Vec<Mistake>,
}

/// What a field of [`Vars`] reads from the file.
pub(super) trait Field: Sized {
    /// Whether the cluster cannot be built without it.
    const REQUIRED: bool;

    /// The value of the key `name`; none only if it is required and not there.
    fn read(fields: &mut Fields, name: &str) -> Option<Self>;
}

impl<T: FromStr<Err: IntoMalformed>> Field for Option<At<T>> {
    const REQUIRED: bool = false;

    fn read(fields: &mut Fields, name: &str) -> Option<Self> {
        Some(fields.value(name))
    }
}

impl<T: FromStr<Err: IntoMalformed>> Field for At<T> {
    const REQUIRED: bool = true;

    /// The example stands in for a missing or malformed value while the rest is looked at.
    fn read(fields: &mut Fields, name: &str) -> Option<Self> {
        if !fields.found.contains_key(name) {
            let (found, end) = (format!("`{name}` is missing"), fields.end.clone());
            let help = format!("add a line such as `{}`", keys::line(name));
            fields.mistake(Code::Missing, &end, found, help);
        }
        let stand_in = || Some(At::nowhere(keys::stand_in(name)?.parse().ok()?));
        fields.value(name).or_else(stand_in)
    }
}

/// One value for each node.
impl<F: Field> Field for Vec<F> {
    const REQUIRED: bool = F::REQUIRED;

    fn read(fields: &mut Fields, name: &str) -> Option<Self> {
        let nodes = 1..=fields.count;
        let values: Vec<_> = nodes
            .map(|n| F::read(fields, &name.replace('N', &n.to_string())))
            .collect();
        values.into_iter().collect()
    }
}

/// Why a type did not accept a text, as a message for the user.
pub(super) trait IntoMalformed {
    fn into_malformed(self, text: &str) -> Malformed;
}

impl IntoMalformed for Malformed {
    fn into_malformed(self, _: &str) -> Malformed {
        self
    }
}

impl IntoMalformed for ec2::Malformed {
    fn into_malformed(self, _: &str) -> Malformed {
        self.into()
    }
}

impl IntoMalformed for AddrParseError {
    fn into_malformed(self, text: &str) -> Malformed {
        let help = "write four numbers from 0 to 255 with dots between them, such as 172.31.16.130";
        Malformed::new(format!("`{text}` is not an IPv4 address"), help)
    }
}

/// Ports are the only numbers in vars.yml.
impl IntoMalformed for ParseIntError {
    fn into_malformed(self, text: &str) -> Malformed {
        let help = "write a number from 1 to 65535";
        Malformed::new(format!("`{text}` is not a port"), help)
    }
}

impl Fields {
    pub(super) fn new(text: &str, entries: Vec<read::Entry>, mut mistakes: Vec<Mistake>) -> Self {
        let system = keys::system(entries.iter().map(|entry| entry.key.value.as_str()));
        let mut found = BTreeMap::new();
        for entry in entries {
            match keys::named(&entry.key.value) {
                None => mistakes.push(keys::unknown(&entry.key)),
                Some(key) if key.system.is_some_and(|of| Some(of) != system) => {
                    mistakes.extend(system.map(|system| keys::foreign(&entry.key, system)));
                }
                Some(_) => {
                    found.insert(entry.key.value, entry.value);
                }
            }
        }
        let line = text.lines().count() + 1;
        let end = At {
            value: (),
            position: Position { line, column: 1 },
            width: 1,
        };
        Fields {
            system,
            found,
            count: 0,
            end,
            mistakes,
        }
    }

    fn mistake<T>(&mut self, code: Code, place: &At<T>, found: String, help: impl Into<String>) {
        self.mistakes.push(Mistake::at(code, place, found, help));
    }

    /// The value of a key, if the file has it and it can be read.
    fn value<T: FromStr<Err: IntoMalformed>>(&mut self, name: &str) -> Option<At<T>> {
        let value = self.found.get(name)?.clone();
        let text = match &value.value {
            read::Value::Text(text) => text,
            read::Value::Unreadable => return None,
            read::Value::Nothing => {
                let help = format!("write a value, such as `{}`", keys::line(name));
                self.mistake(Code::Empty, &value, format!("`{name}` has no value"), help);
                return None;
            }
        };
        match text.parse::<T>() {
            Ok(parsed) => Some(value.with(parsed)),
            Err(error) => {
                let Malformed { code, found, help } = error.into_malformed(text);
                self.mistake(code, &value, format!("{name}: {found}"), help);
                None
            }
        }
    }

    /// All keys, if it is known which there should be.
    pub(super) fn vars(&mut self, source: &Source) -> Option<Vars> {
        let Some(system) = self.system else {
            self.mistakes.push(keys::no_system(&self.end));
            return None;
        };
        self.count = self.node_count()?;
        let topology = match system {
            System::Aws => AwsVars::read(self).map(|aws| Topology::Aws(Box::new(aws))),
            System::Lan => LanVars::read(self).map(|lan| Topology::Lan(Box::new(lan))),
        };
        let shared = SharedVars::read(self);
        Some(Vars {
            source: source.clone(),
            topology: topology?,
            shared: shared?,
        })
    }

    /// How many nodes the file is about: as many as its highest number says. Without any,
    /// three, whose keys are then missing.
    fn node_count(&mut self) -> Option<usize> {
        let of_nodes = self.found.iter();
        let numbers =
            of_nodes.filter_map(|(name, at)| Some((keys::node_number(name)?, at.with(()))));
        let highest = numbers.max_by_key(|(number, _)| *number);
        let (count, place) = highest.unwrap_or((1, self.end.clone()));
        let even = |count, tolerated, odd| {
            format!(
                "{count} nodes tolerate {tolerated}, the same as {odd}, and can split into two halves without a \
                 majority"
            )
        };
        let why = match count {
            1 | 3 | 5 | 7 | 9 => return Some(count.max(3)),
            2 => "two nodes tolerate no failure: when one of them is lost or cut off, the other has no \
                  majority and stops too"
                .to_owned(),
            4 => even("four", "one failure", "three"),
            6 => even("six", "two failures", "five"),
            _ => even("eight", "three failures", "seven"),
        };
        self.mistake(Code::NodeCount, &place, why, "name 3, 5, 7 or 9 nodes");
        // What is wrong with the values is still said; nothing is called missing.
        let names: Vec<String> = self.found.keys().cloned().collect();
        for name in names {
            if name.ends_with("_instance_id") {
                self.value::<InstanceId>(&name);
            } else if name.ends_with("_hostname") {
                self.value::<NodeName>(&name);
            }
        }
        None
    }
}
