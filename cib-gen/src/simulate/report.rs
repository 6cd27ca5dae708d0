//! The report: a line for each case, under what it is about, and a sum at the end.

use std::fmt::Write;

/// The headings that are no resources, in their order.
pub(super) const START: &str = "start";
pub(super) const NODES: &str = "nodes";
pub(super) const QUORUM: &str = "quorum";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub about: String,
    pub name: String,
    pub happened: String,
    pub fault: Option<String>,
    pub actions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub cases: Vec<Case>,
    pub not_judged: Vec<String>,
}

impl Report {
    /// Brings cases into their order; those about the same stay in theirs.
    pub(super) fn new(mut cases: Vec<Case>, resources: &[&str]) -> Report {
        let order = [&[START, NODES, QUORUM], resources].concat();
        cases.sort_by_key(|case| order.iter().position(|about| *about == case.about));
        Report {
            cases,
            not_judged: Vec::new(),
        }
    }

    pub fn faults(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| case.fault.is_some())
    }

    /// As text; with what Pacemaker does in each case, if that is wanted.
    pub fn text(&self, verbose: bool) -> String {
        let widest = |of: fn(&Case) -> &str| {
            let widths = self.cases.iter().map(|case| of(case).chars().count());
            widths.max().unwrap_or(0)
        };
        let (name, happened) = (widest(|c| &c.name), widest(|c| &c.happened));
        let mut text = String::new();
        let mut about = "";
        for case in &self.cases {
            if case.about != about {
                about = &case.about;
                let _ = writeln!(text, "{about}");
            }
            let verdict = match &case.fault {
                None => "ok".to_owned(),
                Some(fault) => format!("FAILS: {fault}"),
            };
            let (what, then) = (&case.name, &case.happened);
            let _ = writeln!(text, "  {what:name$}  {then:happened$}  {verdict}");
            if verbose {
                for action in &case.actions {
                    let _ = writeln!(text, "      {action}");
                }
            }
        }
        for what in &self.not_judged {
            let _ = writeln!(text, "\nnot judged: {what}");
        }
        let sum = match self.faults().count() {
            0 => "everything recovers, and nothing moves without need".to_owned(),
            1 => "1 FAILS".to_owned(),
            n => format!("{n} FAIL"),
        };
        text + &format!("\n{} cases: {sum}.\n", self.cases.len())
    }
}

#[cfg(test)]
mod tests;
