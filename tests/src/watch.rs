//! The watch over the volume: it must never be at two machines that have power at once. The lab looks
//! all the time, and once more after each attach; what it finds can't be taken back.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::control::Moment;
use crate::world::Error;

/// How a volume is at a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// Not at all.
    Absent,
    /// There is a device.
    Device,
    /// A file system on it is mounted.
    Mounted,
}

/// What was found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// How often it was looked. A watch that has not looked has found nothing.
    pub looks: u64,
    /// Moments at which the volume was found at two machines, or could not be looked for.
    pub violations: Vec<Moment>,
}

impl Findings {
    /// What is wrong, in sentences; nothing when it was looked and all was well.
    pub fn faults(&self) -> Vec<String> {
        if self.looks == 0 {
            return vec!["nobody looked whether the volume was at two nodes at once".to_owned()];
        }
        self.violations
            .iter()
            .map(|moment| moment.what.clone())
            .collect()
    }
}

/// The watch.
#[derive(Debug, Default)]
pub struct Watch {
    findings: Mutex<Findings>,
}

impl Watch {
    /// Looks once. `where_it_is` asks all machines, one after the other.
    pub fn look(&self, where_it_is: impl Fn() -> Result<Vec<(&'static str, Presence)>, Error>) {
        let here = |found: Vec<(&'static str, Presence)>| -> Vec<(&'static str, Presence)> {
            found
                .into_iter()
                .filter(|(_, presence)| *presence != Presence::Absent)
                .collect()
        };
        // It may have moved between two questions. A machine that has it before and after another was
        // found to have it had it at the same time.
        let found = where_it_is().map(here).and_then(|first| match first.len() {
            0 | 1 => Ok(first),
            _ => Ok(here(where_it_is()?)
                .into_iter()
                .filter(|(node, _)| first.iter().any(|(other, _)| other == node))
                .collect()),
        });
        let violation = match found {
            Ok(found) if found.len() > 1 => {
                let nodes: Vec<String> = found
                    .iter()
                    .map(|(node, presence)| format!("{node} ({presence:?})").to_lowercase())
                    .collect();
                Some(format!(
                    "the volume is at two nodes at once: {}",
                    nodes.join(" and ")
                ))
            }
            Ok(_) => None,
            Err(error) => Some(format!(
                "it can't be seen whether the volume is at two nodes at once: {error}"
            )),
        };
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.looks += 1;
        if let Some(what) = violation
            && findings
                .violations
                .last()
                .is_none_or(|last| last.what != what)
        {
            tracing::error!("{what}");
            let at = SystemTime::now();
            findings.violations.push(Moment { at, what });
        }
    }

    /// What was found so far.
    pub fn findings(&self) -> Findings {
        self.findings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What each look finds at n1 and n2.
    fn violations(looks: &[[Presence; 2]]) -> Vec<String> {
        let (watch, looks) = (Watch::default(), RefCell::new(looks.iter()));
        watch.look(|| {
            let [n1, n2] = looks.borrow_mut().next().ok_or("looked once too often")?;
            Ok(vec![("n1", *n1), ("n2", *n2)])
        });
        watch.findings().faults()
    }

    #[test]
    fn a_volume_at_two_nodes_is_a_violation() {
        use Presence::{Device, Mounted};
        assert_eq!(
            violations(&[[Mounted, Device], [Mounted, Mounted]]),
            ["the volume is at two nodes at once: n1 (mounted) and n2 (mounted)"]
        );
    }

    #[test]
    fn a_volume_that_moves_while_it_is_looked_for_is_none() {
        use Presence::{Absent, Device};
        assert!(violations(&[[Device, Device], [Absent, Device]]).is_empty());
        assert!(violations(&[[Absent, Device]]).is_empty());
    }

    #[test]
    fn a_watch_that_cannot_look_or_did_not_says_so() {
        assert!(violations(&[])[0].contains("can't be seen"));
        assert!(Findings::default().faults()[0].contains("nobody looked"));
    }
}
