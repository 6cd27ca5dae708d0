//! YAML to keys and values with their places. What the keys mean is not known here.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, MergeKeyPolicy, Spanned};

use crate::mistake::{At, Code, Mistake, Position};

/// What stands behind a key.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Nothing,
    /// A list or a table, which is a mistake already.
    Unreadable,
}

/// One `key: value` of the file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: At<String>,
    pub(super) value: At<Value>,
}

/// The pairs of a mapping in the order of the file.
struct Pairs(Vec<(Spanned<String>, Spanned<Option<String>>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("lines of `key: value`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }

            fn visit_unit<E>(self) -> Result<Pairs, E> {
                Ok(Pairs(Vec::new()))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Reads the file. A list or a table where a word belongs is a mistake, and the rest is read without it; text that
/// is no YAML leaves no entries.
pub(super) fn entries(text: &str) -> (Vec<Entry>, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    let mut unreadable_lines = Vec::new();
    let mut rest = text.to_owned();
    let pairs = loop {
        match parse(&rest) {
            Ok(pairs) => break pairs,
            Err(error) => {
                mistakes.push(unreadable(text, &error));
                let line = error.location().map(|location| location.line() as usize);
                match line
                    .filter(|_| is_no_word(&error))
                    .map(|line| without_value(&rest, line))
                {
                    // Each round has one line less that can be wrong.
                    Some((line, without)) if without != rest => {
                        unreadable_lines.push(line);
                        rest = without;
                    }
                    _ => break Vec::new(),
                }
            }
        }
    };
    let mut entries: Vec<Entry> = Vec::new();
    for (key, value) in pairs {
        let key = at(text, key.referenced, key.value);
        if let Some(first) = entries.iter().find(|entry| entry.key.value == key.value) {
            mistakes.push(twice(&key, first));
            continue;
        }
        let unreadable = unreadable_lines.contains(&key.position.line);
        let read = match value.value {
            _ if unreadable => Value::Unreadable,
            Some(text) if !text.is_empty() => Value::Text(text),
            _ => Value::Nothing,
        };
        entries.push(Entry {
            value: at(text, value.referenced, read),
            key,
        });
    }
    (entries, mistakes)
}

type ReadPairs = Vec<(Spanned<String>, Spanned<Option<String>>)>;

fn parse(text: &str) -> Result<ReadPairs, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        // All are read; a key that is there already is said to be.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::Error,
        // No guide has anchors, and a few lines of them can stand for gigabytes. A node is a key
        // or a value; nine nodes of the LAN have some fifty keys.
        budget: serde_saphyr::budget! { max_aliases: 0, max_anchors: 0, max_depth: 8, max_nodes: 512 },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Pairs>(text, options).map(|pairs| pairs.0)
}

/// The text without the value that has something in this line, and the line of its key. All other lines keep
/// their places.
fn without_value(text: &str, inside: usize) -> (usize, String) {
    let of_value =
        |line: &str| line.starts_with([' ', '\t', '-', '#', ']', '}']) || line.trim().is_empty();
    let lines: Vec<&str> = text.lines().collect();
    let mut key = inside.clamp(1, lines.len().max(1)) - 1;
    while key > 0 && of_value(lines[key]) {
        key -= 1;
    }
    let mut without = String::with_capacity(text.len());
    let mut inside_value = false;
    for (number, line) in lines.iter().enumerate() {
        inside_value = number == key || inside_value && of_value(line);
        if number == key {
            without.push_str(line.find(": ").map_or(line, |colon| &line[..=colon]));
        } else if !inside_value {
            without.push_str(line);
        }
        without.push('\n');
    }
    (key + 1, without)
}

fn at<T>(text: &str, location: Location, value: T) -> At<T> {
    let (line, column) = (location.line() as usize, location.column() as usize);
    At {
        value,
        position: Position {
            line: line.max(1),
            column: column.max(1),
        },
        width: word(text, line, column).chars().count(),
    }
}

/// The word of the file that begins at a place: up to a colon or a comment.
fn word(text: &str, line: usize, column: usize) -> &str {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let start = line
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(line.len(), |(index, _)| index);
    let rest = &line[start..];
    let end = [": ", " #"].iter().filter_map(|s| rest.find(s)).min();
    rest[..end.unwrap_or(rest.len())]
        .trim_end()
        .trim_end_matches(':')
}

fn twice(key: &At<String>, first: &Entry) -> Mistake {
    let name = &key.value;
    let line = first.key.position.line;
    let found = format!("`{name}` is written twice; the first time in line {line}");
    Mistake::at(Code::Twice, key, found, "one of the two lines")
}

/// Whether the reader stopped at a list or a table where a word belongs.
fn is_no_word(error: &serde_saphyr::Error) -> bool {
    error.to_string().contains("expected string scalar")
}

fn unreadable(text: &str, error: &serde_saphyr::Error) -> Mistake {
    // The place is shown below the message, so it need not be in it.
    let said = one_line(&error.to_string());
    let said = said.split(" at line ").next().unwrap_or_default();
    // The reader's words where there are no better ones.
    let found = match said {
        s if s.contains("budget breached: Anchors") || s.contains("budget breached: Aliases") => {
            "`&` and `*` begin an anchor and an alias in YAML, and vars.yml has none".to_owned()
        }
        _ if is_no_word(error) => "a list or a table stands where a word belongs".to_owned(),
        s if s.contains("budget breached") => {
            "this is too much for a vars.yml: too deep, or too many keys".to_owned()
        }
        s => format!("this can not be read: {s}"),
    };
    let write = "a line `key: value` for each key, for example `pbx_image: portsip/pbx:22`";
    match error.location() {
        Some(location) => Mistake::at(Code::NotYaml, &at(text, location, ()), found, write),
        None => Mistake::elsewhere(Code::NotYaml, found, write),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
