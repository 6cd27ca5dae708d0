//! YAML to keys and values with their places. What the keys mean is not known here.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{
    DefaultMessageFormatter, DuplicateKeyPolicy, Error, Location, MergeKeyPolicy, MessageFormatter,
    Spanned,
};

use crate::mistake::{At, Code, Mistake, Position};

#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Nothing,
    /// A list or a table, which is a mistake already.
    Unreadable,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: At<String>,
    pub(super) value: At<Value>,
}

type Pair = (Spanned<String>, Spanned<Option<String>>);

/// The pairs of a mapping in the order of the file.
struct Pairs(Vec<Pair>);

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

/// Reads the file. A list or a table where a word belongs is a mistake, and the rest is read without it; text
/// that is not YAML leaves no entries.
pub(super) fn entries(text: &str) -> (Vec<Entry>, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    let mut unreadable_lines = Vec::new();
    let mut rest = text.to_owned();
    let pairs = loop {
        let error = match parse(&rest) {
            Ok(pairs) => break pairs,
            Err(error) => error,
        };
        mistakes.push(unreadable(text, &error));
        // Each round has one line less that can be wrong.
        let location = error.location().filter(|_| is_list_or_table(&error));
        match location.map(|location| without_value(&rest, location.line() as usize)) {
            Some((line, without)) if without != rest => {
                unreadable_lines.push(line);
                rest = without;
            }
            _ => break Vec::new(),
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

fn parse(text: &str) -> Result<Vec<Pair>, Error> {
    let options = serde_saphyr::options! {
        // All are read, so that each second one can be shown.
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
    let width = word(text, line, column).chars().count();
    let (line, column) = (line.max(1), column.max(1));
    let position = Position { line, column };
    At {
        value,
        position,
        width,
    }
}

/// The word of the file that begins at a place: up to a colon or a comment.
fn word(text: &str, line: usize, column: usize) -> &str {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let first = line.char_indices().nth(column.saturating_sub(1));
    let start = first.map_or(line.len(), |(index, _)| index);
    let rest = &line[start..];
    let end = [": ", " #"].iter().filter_map(|s| rest.find(s)).min();
    let word = &rest[..end.unwrap_or(rest.len())];
    word.trim_end().trim_end_matches(':')
}

fn twice(key: &At<String>, first: &Entry) -> Mistake {
    let (name, line) = (&key.value, first.key.position.line);
    let found = format!("`{name}` is written twice; the first time in line {line}");
    Mistake::at(Code::Twice, key, found, "delete one of the two lines")
}

/// Whether the reader stopped at a list or a table where a word belongs.
fn is_list_or_table(error: &Error) -> bool {
    // The only words that are read are keys and values.
    matches!(error, Error::Unexpected { expected, .. } if *expected == "string scalar")
}

fn unreadable(text: &str, error: &Error) -> Mistake {
    let found = match error {
        _ if is_list_or_table(error) => "a list or a table stands where a word belongs".to_owned(),
        Error::Budget {
            breach: BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. },
            ..
        } => "`&` and `*` begin an anchor and an alias in YAML, which vars.yml cannot have"
            .to_owned(),
        Error::Budget { .. } => {
            "this is too much for a vars.yml: too deep, or too many keys".to_owned()
        }
        // The place is shown below the message, so the message need not have it.
        other => {
            let message = DefaultMessageFormatter.format_message(other);
            let words: Vec<&str> = message.split_whitespace().collect();
            format!("this cannot be read as YAML: {}", words.join(" "))
        }
    };
    let help = "write a line `key: value` for each key, for example `pbx_image: portsip/pbx:22`";
    match error.location() {
        Some(location) => Mistake::at(Code::NotYaml, &at(text, location, ()), found, help),
        None => Mistake::elsewhere(Code::NotYaml, found, help),
    }
}
