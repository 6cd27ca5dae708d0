//! Mistakes in what the user wrote: where, what was found, and what to do.
//! They are collected, so that one run shows all of them.

use std::fmt;

/// Where something stands in a file. Lines and columns count from 1, columns in characters.
/// Line 0 is nowhere: that of a value that stands in for one that is missing or malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    /// Where its text begins.
    pub position: Position,
    /// How many characters of it to mark.
    pub width: usize,
}

impl<T> At<T> {
    /// A value that stands in for one that the file does not have.
    pub(crate) fn nowhere(value: T) -> At<T> {
        let position = Position { line: 0, column: 0 };
        At {
            value,
            position,
            width: 0,
        }
    }

    /// Whether the value only stands in for one.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.position.line == 0
    }

    /// The same place with another value.
    pub fn with<U>(&self, value: U) -> At<U> {
        let (position, width) = (self.position, self.width);
        At {
            value,
            position,
            width,
        }
    }
}

/// The kinds of mistake: the code that a message bears, and what docs/reference.md says of it.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $meaning:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// As a message bears it: `E05`.
            pub fn code(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            pub fn meaning(self) -> &'static str {
                match self { $(Code::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    NotText = "E01", "the file is not UTF-8 text";
    TooLarge = "E02", "the file is too large to be a vars.yml";
    NotYaml = "E03", "the file cannot be read as lines of `key: value`";
    Twice = "E04", "a key is written twice";
    UnknownKey = "E05", "an unknown key, most often misspelt";
    OtherSystem = "E06", "a key of the other system, or of an older guide";
    Secret = "E07", "a password in vars.yml, where others can read it";
    Missing = "E08", "a key that is needed is missing";
    Empty = "E09", "a key without a value";
    Malformed = "E10", "a value that is not what the key needs";
    OtherKind = "E11", "an id of another kind, such as an instance where a volume belongs";
    NoTag = "E12", "an image without a tag";
    Partition = "E13", "a partition where a whole disk belongs";
    DiskTooSmall = "E14", "a size larger than the disk";
    NodeCount = "E15", "a number of nodes other than 3, 5, 7 or 9";
    UnknownNode = "E16", "a node whose name or address is not known";
    SameNode = "E17", "two nodes with the same instance, name, address or fencing target";
    VipTaken = "E18", "the virtual address is the address of a node";
    VipOutside = "E19", "the virtual address is not a usable address of the subnet";
    VipPublic = "E20", "a public address as virtual address";
    NotElastic = "E21", "an address that is not the Elastic IP of the allocation";
    OtherSubnet = "E22", "a node outside the subnet of the others";
    Contradiction = "E23", "two keys that contradict each other";
    NoSystem = "E24", "neither the keys of the AWS system nor those of the LAN system";
    NotHere = "E25", "a rendering that does not exist for this site, or for which something is not known";
    UnknownAddress = "E26", "an address that is neither in the file nor known from EC2";
    NotInEc2 = "E27", "an id that EC2 does not know, or a volume that the nodes cannot attach";
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub code: Code,
    /// Where, unless it was not in the file (an option of the command, for example).
    pub place: Option<At<()>>,
    pub found: String,
    pub help: String,
}

impl Mistake {
    pub fn at<T>(
        code: Code,
        place: &At<T>,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Mistake {
            place: Some(place.with(())),
            ..Mistake::elsewhere(code, found, help)
        }
    }

    pub fn elsewhere(code: Code, found: impl Into<String>, help: impl Into<String>) -> Self {
        Mistake {
            code,
            place: None,
            found: found.into(),
            help: help.into(),
        }
    }
}

/// The text that was read and its name, kept to show the lines that mistakes are in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    pub name: String,
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
        let place = |m: &Mistake| m.place.as_ref().map(|place| place.position);
        list.sort_by_key(|m| (m.place.is_none(), place(m)));
        Mistakes { source, list }
    }

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
            let (code, found) = (mistake.code.code(), printable(&mistake.found));
            writeln!(f, "error[{code}]: {found}")?;
            if let Some(place) = &mistake.place {
                mark(f, &self.source, place, mistake.code)?;
            }
            writeln!(f, "  help: {}", printable(&shortened(&mistake.help)))?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// How much of a line is shown.
const SHOWN: usize = 120;

/// Shows a line of the file with a marker under the place.
fn mark(f: &mut fmt::Formatter<'_>, source: &Source, place: &At<()>, code: Code) -> fmt::Result {
    let Position { line, column } = place.position;
    writeln!(f, "  at {}:{line}:{column}", printable(&source.name))?;
    // A secret that should not be in the file must not be on the screen either.
    let shown = source.text.lines().nth(line - 1);
    let Some(text) = shown.filter(|_| code != Code::Secret) else {
        return Ok(());
    };
    let text: Vec<char> = printable(text).chars().collect();
    // Of a long line, the part around the place.
    let long = text.len().max(column) > SHOWN;
    let start = (column - 1).saturating_sub(SHOWN / 3);
    let from = if long { start } else { 0 };
    let to = (from + SHOWN).min(text.len());
    let shown: String = text.get(from..to).unwrap_or_default().iter().collect();
    let before = if from > 0 { "..." } else { "" };
    let after = if to < text.len() { "..." } else { "" };
    let room = to.saturating_sub(column - 1).max(1);
    let marker = "^".repeat(place.width.clamp(1, room));
    let number = line.to_string();
    let (margin, indent) = (number.len(), before.len() + column - 1 - from);
    writeln!(f, "  {number} | {before}{shown}{after}")?;
    writeln!(f, "  {:margin$} | {:indent$}{marker}", "", "")
}

/// How much of a message is shown: a value can be as long as the file.
const MESSAGE: usize = 600;

/// The text with control characters replaced one for one, so that a file cannot drive the
/// terminal and the marker stays under its column.
fn printable(text: &str) -> String {
    let printable = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(printable).collect()
}

/// The text, its middle left out where it is too long to read.
fn shortened(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let Some(left_out) = characters.len().checked_sub(MESSAGE).filter(|n| *n > 0) else {
        return text.to_owned();
    };
    let (start, rest) = characters.split_at(MESSAGE / 2);
    let (start, end) = (
        String::from_iter(start),
        String::from_iter(&rest[left_out..]),
    );
    format!("{start} ... {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_every_code() {
        let rows: String = (Code::ALL.iter())
            .map(|code| format!("| `{}` | {} |\n", code.code(), code.meaning()))
            .collect();
        let table = format!("<!-- codes -->\n| code | what |\n|---|---|\n{rows}<!-- /codes -->");
        let reference = include_str!("../../docs/reference.md");
        assert!(
            reference.contains(&table),
            "docs/reference.md should have:\n{table}"
        );
    }
}
