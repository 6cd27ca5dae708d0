//! Rows of the fault table: checks an answer, and compares a section with docs/faults.md or
//! writes it there. How faults are made is not here.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::node::Answer;

/// The sections of the document, each held by one test.
const SECTIONS: [&str; 6] = [
    "ec2",
    "metadata",
    "volume",
    "docker",
    "containers",
    "network",
];

const HEAD: &str = "| fault | agent | action | answer | what it says |\n|---|---|---|---|---|\n";

/// Two tests of this binary may write their sections at once.
static DOCUMENT: Mutex<()> = Mutex::new(());

/// One section, in the order in which its rows were seen.
#[must_use]
pub(crate) struct Table {
    section: &'static str,
    rows: Vec<Row>,
}

struct Row {
    fault: String,
    cells: [String; 4],
}

impl Table {
    /// A new section. The document holds it between `<!-- SECTION -->` and `<!-- /SECTION -->`.
    pub(crate) fn of(section: &'static str) -> Self {
        assert!(SECTIONS.contains(&section), "{section} is no section");
        Self {
            section,
            rows: Vec::new(),
        }
    }

    /// Notes an answer whose exit code the test has checked.
    ///
    /// The answer has to have come before the action's timeout, and to give a reason with the words of `meaning`;
    /// ` ... ` between them stands for whatever differs from run to run. Without `meaning`, nothing may be said.
    #[track_caller]
    pub(crate) fn row(
        &mut self,
        fault: &str,
        agent: &str,
        action: &str,
        answer: &Answer,
        meaning: &str,
    ) {
        let cell = format!("{fault}: {agent} {action}");
        assert!(
            answer.took < answer.timeout,
            "{cell}: answered after the action's timeout: {answer:#?}"
        );
        let reason = answer.reason();
        assert_eq!(
            reason.is_empty(),
            meaning.is_empty(),
            "{cell}: {meaning:?} is expected: {answer:#?}"
        );
        let mut rest = reason.as_str();
        for words in meaning.split(" ... ") {
            let at = rest
                .find(words)
                .unwrap_or_else(|| panic!("{cell}: does not say {words:?}: {answer:#?}"));
            rest = &rest[at + words.len()..];
        }
        self.rows.push(Row {
            fault: fault.to_owned(),
            cells: [agent, action, &name(answer.code, action), meaning].map(escaped),
        });
    }

    /// Compares the section with the document, or writes it there if `UPDATE_FAULT_TABLE` is set.
    #[track_caller]
    pub(crate) fn hold(&self) {
        let _one = DOCUMENT.lock().unwrap_or_else(PoisonError::into_inner);
        let document = fs::read_to_string(path()).unwrap();
        let held = section(&document, self.section);
        let seen = self.to_string();
        if held == seen {
            return;
        }
        assert!(
            std::env::var_os("UPDATE_FAULT_TABLE").is_some(),
            "docs/faults.md says something else about {} than was seen. If what was seen is right:\n\
             UPDATE_FAULT_TABLE=1 cargo test --workspace --test agents faults::{}\n{}",
            self.section,
            self.section,
            differences(held, &seen)
        );
        let start = held.as_ptr().addr() - document.as_ptr().addr();
        let (before, after) = (&document[..start], &document[start + held.len()..]);
        fs::write(path(), format!("{before}{seen}{after}")).unwrap();
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('\n')?;
        f.write_str(HEAD)?;
        let mut last = "";
        for Row { fault, cells } in &self.rows {
            let shown = if fault == last { "" } else { fault };
            writeln!(f, "| {} | {} |", escaped(shown), cells.join(" | "))?;
            last = fault;
        }
        f.write_char('\n')
    }
}

fn name(code: i32, action: &str) -> String {
    let name = match code {
        0 if action.starts_with("monitor") || action.starts_with("probe") => "runs",
        0 => "done",
        1 => "failed",
        5 => "not installed",
        6 => "not configured",
        7 => "not running",
        190 => "degraded",
        _ => panic!("{action} answered {code}, which no agent should"),
    };
    format!("{code} {name}")
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|")
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md")
}

#[track_caller]
fn section<'a>(document: &'a str, name: &str) -> &'a str {
    let part = document
        .split_once(&format!("<!-- {name} -->\n"))
        .and_then(|(_, rest)| rest.split_once(&format!("<!-- /{name} -->\n")));
    part.unwrap_or_else(|| panic!("docs/faults.md has no section {name}"))
        .0
}

fn differences(held: &str, seen: &str) -> String {
    let missing = |sign: char, from: &str, of: &str| -> String {
        from.lines()
            .filter(|line| !of.lines().any(|other| other == *line))
            .fold(String::new(), |text, line| {
                text + &format!("{sign} {line}\n")
            })
    };
    missing('-', held, seen) + &missing('+', seen, held)
}

#[test]
fn every_section_of_the_document_is_held_by_a_test() {
    let document = fs::read_to_string(path()).unwrap();
    let found: Vec<_> = document
        .lines()
        .filter_map(|line| line.strip_prefix("<!-- ")?.strip_suffix(" -->"))
        .filter(|name| !name.starts_with('/'))
        .collect();
    assert_eq!(found, SECTIONS);
}
