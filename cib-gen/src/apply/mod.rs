//! What `cib-gen apply vars.yml` changes in a cluster: the CIB with our resources merged into it, in words,
//! and what Pacemaker would do for the change. Pure: the command asks the cluster and changes it.

pub mod agents;
mod changes;
pub mod commands;
mod constraints;
pub(crate) mod drbd_fencing;
pub mod drbd_peers;
mod effects;
pub mod guard;
mod merge;
pub mod node_files;
mod notes;
mod pairs;
mod refuse;
mod remove;
mod takeover;
mod unmanaged;
pub mod watchdog;

use crate::cluster::Cluster;
use crate::scheduler::Transition;
use crate::xml::{Element, Error};
pub use takeover::{Takeover, end};

/// What has to be done to a CIB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Why nothing may be changed. Empty if everything may be.
    pub refusals: Vec<String>,
    /// The changes, a line for each.
    pub changes: Vec<String>,
    /// What the change takes away from fencing.
    pub less_fencing: Vec<String>,
    /// What is kept, and what only a person can do.
    pub notes: Vec<String>,
    /// What Pacemaker leaves alone until somebody ends that.
    pub left_alone: Vec<String>,
    /// Whether the user has set maintenance mode.
    pub in_users_maintenance: bool,
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
        let cib = Element::parse_as(cib, "cib")?;
        let old = cib.need("configuration")?;
        let refusals = refuse::refusals(cluster, &cib)?;
        let merged = match refusals.is_empty() {
            true => merge::merge(cluster, &cib)?,
            false => cib.clone(),
        };
        let new = merged.need("configuration")?;
        let users = end(&cib);
        Ok(Plan {
            changes: changes::changes(old, new),
            less_fencing: changes::less_fencing(old, new),
            notes: notes::notes(cluster, old, new),
            left_alone: unmanaged::managed(&users).1,
            in_users_maintenance: unmanaged::is_in_maintenance(users.need("configuration")?),
            takeover: Takeover::of(cluster, old, new),
            refusals,
            new: merged,
            old: cib,
        })
    }

    /// Whether there is nothing to change, and nothing was refused.
    pub fn is_empty(&self) -> bool {
        let interrupted = |takeover: &Takeover| takeover.interrupted;
        self.refusals.is_empty()
            && self.changes.is_empty()
            && !self.takeover.as_ref().is_some_and(interrupted)
    }

    /// Whether the CIB says what runs where. Without that, nothing is known of restarts.
    pub fn has_status(&self) -> bool {
        let status = self.old.child("status");
        status.is_some_and(|status| status.child("node_state").is_some())
    }

    /// In words, with what Pacemaker would do, if that is known: without the change, and with it.
    pub fn text(&self, transitions: Option<&(Transition, Transition)>) -> String {
        let mut lines: Vec<String> = self
            .refusals
            .iter()
            .map(|why| format!("refused: {why}"))
            .collect();
        if lines.is_empty() && self.is_empty() {
            lines.push("nothing would change".to_owned());
        } else if lines.is_empty() {
            lines.extend_from_slice(&self.changes);
            lines.push(String::new());
            lines.extend(
                self.less_fencing
                    .iter()
                    .map(|what| format!("less fencing: {what}")),
            );
            lines.extend(self.takeover.iter().map(Takeover::to_string));
            match transitions {
                Some((without, with)) => {
                    if !self.left_alone.is_empty() {
                        lines.push(format!(
                            "in maintenance mode or not managed: {}. Nothing happens there until that ends. Then:",
                            self.left_alone.join(", ")
                        ));
                    }
                    lines.extend(effects::effects(without, with));
                }
                None => lines.push(
                    "the CIB does not say what runs: nothing is known of restarts".to_owned(),
                ),
            }
        }
        if self.refusals.is_empty() {
            lines.extend(self.notes.iter().map(|note| format!("\nnote: {note}")));
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests;
