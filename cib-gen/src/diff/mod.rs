//! What `cib-gen vars.yml | sh` would do to a cluster that there is: what it would change, in
//! words, and what Pacemaker would do for it.

mod effects;
mod merge;
mod notes;
mod refuse;
mod remove;
mod watchdog;
mod words;

use std::fmt::Write;

use crate::cluster::Cluster;
use crate::scheduler::Transition;
use crate::xml::{Element, Error};

/// What the script would do to a CIB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// Why it would do nothing at all, if so.
    pub refusals: Vec<String>,
    /// What it would change, a line for each.
    pub changes: Vec<String>,
    /// What it would leave, and what only a person can do.
    pub notes: Vec<String>,
    /// The CIB as it would be then; where it would refuse, as it is.
    pub cib: Element,
}

impl Diff {
    /// Compares a cluster with a CIB.
    ///
    /// # Errors
    /// It is no CIB.
    pub fn of(cluster: &Cluster, cib: &str) -> Result<Diff, Error> {
        let old = Element::parse_as(cib, "cib")?;
        old.need("configuration")?;
        match merge::merge(cluster, &old)? {
            Ok(new) => Ok(Diff {
                refusals: Vec::new(),
                changes: words::changes(&old, &new)?,
                notes: notes::notes(cluster, &old, &new)?,
                cib: new,
            }),
            Err(refusals) => Ok(Diff {
                refusals,
                changes: Vec::new(),
                notes: Vec::new(),
                cib: old,
            }),
        }
    }

    /// Whether the script would find nothing to do.
    pub fn is_empty(&self) -> bool {
        self.refusals.is_empty() && self.changes.is_empty()
    }

    /// Whether the CIB says what runs where: otherwise there is nothing that could restart.
    pub fn has_status(&self) -> bool {
        let status = self.cib.child("status");
        status.is_some_and(|status| status.child("node_state").is_some())
    }

    /// In words, with what Pacemaker would do about it, if that is known: by itself, and with the
    /// change.
    pub fn text(&self, transitions: Option<(&Transition, &Transition)>) -> String {
        let mut text = String::new();
        for refusal in &self.refusals {
            let _ = writeln!(text, "the script would refuse: {refusal}");
        }
        if !self.refusals.is_empty() {
            return text;
        }
        if self.changes.is_empty() {
            text += "nothing would change\n";
        } else {
            for change in &self.changes {
                let _ = writeln!(text, "{change}");
            }
            text.push('\n');
            match transitions {
                Some((without, with)) => {
                    for effect in effects::effects(without, with) {
                        let _ = writeln!(text, "{effect}");
                    }
                }
                None => text += "the CIB does not say what runs: nothing is known of restarts\n",
            }
        }
        for note in &self.notes {
            let _ = writeln!(text, "\nnote: {note}");
        }
        text
    }
}

#[cfg(test)]
mod tests;
