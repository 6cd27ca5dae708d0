//! What `cib-gen apply vars.yml` changes in a cluster: the CIB with our resources merged into it, in words,
//! and what Pacemaker would do for the change. Pure: the command asks the cluster and changes it.

mod changes;
pub mod commands;
mod constraints;
mod effects;
pub mod guard;
mod merge;
pub mod node_files;
mod notes;
mod refuse;
mod remove;
mod takeover;
pub mod watchdog;

use std::fmt::Write;

use crate::cluster::Cluster;
use crate::scheduler::Transition;
use crate::xml::{Element, Error};
pub use takeover::Takeover;

/// What has to be done to a CIB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Why nothing may be changed. Empty if everything may be.
    pub refusals: Vec<String>,
    /// The changes, a line for each.
    pub changes: Vec<String>,
    /// What is kept, and what only a person can do.
    pub notes: Vec<String>,
    /// Set if the cluster is taken over from the vendor's scripts.
    pub takeover: Option<Takeover>,
    /// The CIB as it was asked for.
    pub old: Element,
    /// The CIB after the change; after a refusal, the same as `old`.
    pub new: Element,
}

impl Plan {
    /// Compares a cluster with a CIB.
    ///
    /// # Errors
    /// The text is not a CIB.
    pub fn of(cluster: &Cluster, cib: &str) -> Result<Plan, Error> {
        let old = Element::parse_as(cib, "cib")?;
        old.need("configuration")?;
        let refusals = refuse::refusals(cluster, &old)?;
        if !refusals.is_empty() {
            return Ok(Plan {
                refusals,
                changes: Vec::new(),
                notes: Vec::new(),
                takeover: None,
                new: old.clone(),
                old,
            });
        }
        let new = merge::merge(cluster, &old)?;
        Ok(Plan {
            refusals,
            changes: changes::changes(&old, &new)?,
            notes: notes::notes(cluster, &old, &new)?,
            takeover: Takeover::of(cluster, &old, &new)?,
            old,
            new,
        })
    }

    /// Whether there is nothing to change, and nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.refusals.is_empty() && self.changes.is_empty() && !self.is_interrupted_takeover()
    }

    /// Whether an earlier run has begun a takeover and has not ended it.
    pub fn is_interrupted_takeover(&self) -> bool {
        (self.takeover.as_ref()).is_some_and(|takeover| takeover.interrupted)
    }

    /// Whether the CIB says what runs where. Without that, nothing is known of restarts.
    pub fn has_status(&self) -> bool {
        let status = self.old.child("status");
        status.is_some_and(|status| status.child("node_state").is_some())
    }

    /// In words, with what Pacemaker would do, if that is known: without the change, and with it.
    pub fn text(&self, transitions: Option<(&Transition, &Transition)>) -> String {
        let mut text = String::new();
        for refusal in &self.refusals {
            let _ = writeln!(text, "refused: {refusal}");
        }
        if !self.refusals.is_empty() {
            return text;
        }
        if self.is_empty() {
            text += "nothing would change\n";
        } else {
            for change in &self.changes {
                let _ = writeln!(text, "{change}");
            }
            text.push('\n');
            if let Some(takeover) = &self.takeover {
                let _ = writeln!(text, "{takeover}");
            }
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
