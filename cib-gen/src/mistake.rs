//! Mistakes in what the user wrote: where, what was found, and what to write instead.
//! They are collected, so that one run shows all of them.

use std::fmt;

/// Where something stands in a file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where its text begins.
    pub position: Position,
    /// How many characters of it to mark.
    pub width: usize,
}

impl<T> At<T> {
    /// The same place with another value.
    pub fn with<U>(&self, value: U) -> At<U> {
        At {
            value,
            position: self.position,
            width: self.width,
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where, unless it was not in the file (an option of the command, for example).
    pub place: Option<At<()>>,
    /// What was found.
    pub found: String,
    /// What to write instead.
    pub write: String,
}

impl Mistake {
    /// A mistake at a place in the file.
    pub fn at<T>(place: &At<T>, found: impl Into<String>, write: impl Into<String>) -> Self {
        Mistake {
            place: Some(place.with(())),
            found: found.into(),
            write: write.into(),
        }
    }

    /// A mistake that is not in the file.
    pub fn elsewhere(found: impl Into<String>, write: impl Into<String>) -> Self {
        Mistake {
            place: None,
            found: found.into(),
            write: write.into(),
        }
    }
}

/// The text that was read and its name, kept to show the lines that mistakes are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file's name as the user gave it.
    pub name: String,
    /// The text.
    pub text: String,
}

/// Every mistake found, with the text they were found in. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    source: Source,
    list: Vec<Mistake>,
}

impl Mistakes {
    /// Sorts the mistakes into the order of the file; those without a place come last.
    pub(crate) fn new(source: Source, mut list: Vec<Mistake>) -> Self {
        list.sort_by_key(|m| {
            m.place
                .as_ref()
                .map_or((1, None), |p| (0, Some(p.position)))
        });
        Mistakes { source, list }
    }

    /// The mistakes, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mistake) in self.list.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            writeln!(f, "error: {}", printable(&mistake.found))?;
            if let Some(place) = &mistake.place {
                mark(f, &self.source, place)?;
            }
            writeln!(f, "  write: {}", printable(&mistake.write))?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Shows a line of the file with a marker under the place.
fn mark(f: &mut fmt::Formatter<'_>, source: &Source, place: &At<()>) -> fmt::Result {
    let Position { line, column } = place.position;
    writeln!(f, "  at {}:{line}:{column}", printable(&source.name))?;
    let Some(text) = source.text.lines().nth(line - 1) else {
        return Ok(());
    };
    let number = line.to_string();
    let room = text.chars().count().saturating_sub(column - 1).max(1);
    let marker = "^".repeat(place.width.clamp(1, room));
    writeln!(f, "  {number} | {}", printable(text))?;
    writeln!(
        f,
        "  {:1$} | {2:3$}{marker}",
        "",
        number.len(),
        "",
        column - 1
    )
}

/// The text with control characters replaced one for one, so that a file can not drive the
/// terminal and the marker stays under its column.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}
