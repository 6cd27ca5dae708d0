//! YAML to keys and values with their places. What the keys mean is not known here.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, MergeKeyPolicy, Spanned};

use crate::mistake::{At, Code, Mistake, Position};

/// One `key: value` of the file. An empty value is `None`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: At<String>,
    pub(super) value: At<Option<String>>,
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

/// Reads the file. Mistakes that stop the reader (no YAML, a list where a word belongs)
/// leave what could not be read out of the entries.
pub(super) fn entries(text: &str) -> (Vec<Entry>, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    let pairs = match parse(text, DuplicateKeyPolicy::Error) {
        Ok(pairs) => pairs,
        Err(error) => {
            // The reader stops at a duplicate. Read on without it, for the other mistakes.
            let duplicate = matches!(
                error.without_snippet(),
                serde_saphyr::Error::DuplicateMappingKey { .. }
            );
            let again = duplicate.then(|| parse(text, DuplicateKeyPolicy::FirstWins));
            let pairs = again.and_then(Result::ok);
            mistakes.push(match (&pairs, error.location()) {
                (Some(pairs), Some(location)) => duplicated(text, pairs, location),
                _ => unreadable(text, &error),
            });
            pairs.unwrap_or_default()
        }
    };
    let entries = pairs
        .into_iter()
        .map(|(key, value)| Entry {
            key: at(text, key.referenced, key.value),
            value: at(
                text,
                value.referenced,
                value.value.filter(|v| !v.is_empty()),
            ),
        })
        .collect();
    (entries, mistakes)
}

type ReadPairs = Vec<(Spanned<String>, Spanned<Option<String>>)>;

fn parse(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<ReadPairs, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        duplicate_keys: duplicate_keys,
        merge_keys: MergeKeyPolicy::Error,
        // No guide has anchors, and a few lines of them can stand for gigabytes. A node is a key
        // or a value; nine nodes of the LAN have some fifty keys.
        budget: serde_saphyr::budget! { max_aliases: 0, max_anchors: 0, max_depth: 8, max_nodes: 512 },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Pairs>(text, options).map(|pairs| pairs.0)
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

fn duplicated(text: &str, pairs: &ReadPairs, location: Location) -> Mistake {
    let place = at(text, location, ());
    let key = word(text, place.position.line, place.position.column);
    let first = pairs.iter().find(|(k, _)| k.value == key);
    Mistake::at(
        Code::Twice,
        &place,
        match first {
            Some((k, _)) => format!(
                "`{key}` is written twice; the first time in line {}",
                k.referenced.line()
            ),
            None => format!("`{key}` is written twice"),
        },
        "one of the two lines",
    )
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
        s if s.contains("expected string scalar") => {
            "a list or a table stands where a word belongs".to_owned()
        }
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
