//! Injected faults: for which calls and instances, for how long, and which one applies now. The kinds are in
//! `kind`; what a fault does is in `endpoint`, `transition` and `imds`.

mod kind;

pub use kind::{CallFault, Fault, MetadataFault, SnapshotFault, VolumeFault};

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::locked;

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// Until it is cleared.
    UntilCleared,
    /// For a while.
    For(Duration),
    /// For this number of calls, attachments, detachments, snapshots or metadata requests. A volume or a snapshot that
    /// it has hit stays as it is until the fault is cleared.
    Times(u32),
}

/// A fault, what it hits and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injection {
    /// What goes wrong.
    pub fault: Fault,
    /// The calls of the API that it hits (`AttachVolume`); all when empty.
    pub calls: BTreeSet<String>,
    /// The instances whose calls, volumes or metadata requests it hits; all when empty.
    pub instances: BTreeSet<String>,
    /// How long.
    pub life: Life,
    /// How far behind stale descriptions are, and how late slow metadata.
    pub by: Duration,
}

impl Injection {
    /// Chosen: seconds, as EC2's eventual consistency is described; longer than the agents' limit for metadata.
    pub const DEFAULT_DELAY: Duration = Duration::from_secs(3);

    /// In every call, at every instance, until it is cleared.
    pub fn of(fault: impl Into<Fault>) -> Self {
        Self {
            fault: fault.into(),
            calls: BTreeSet::new(),
            instances: BTreeSet::new(),
            life: Life::UntilCleared,
            by: Self::DEFAULT_DELAY,
        }
    }

    /// In these calls only.
    #[must_use]
    pub fn on(mut self, calls: &[&str]) -> Self {
        self.calls.extend(calls.iter().map(ToString::to_string));
        self
    }

    /// At this instance, and others that are added so.
    #[must_use]
    pub fn at(mut self, instance: &str) -> Self {
        self.instances.insert(instance.to_owned());
        self
    }

    /// For a while.
    #[must_use]
    pub fn lasting(mut self, duration: Duration) -> Self {
        self.life = Life::For(duration);
        self
    }

    /// So many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.life = Life::Times(times);
        self
    }

    /// So far behind, or so late.
    #[must_use]
    pub fn by(mut self, by: Duration) -> Self {
        self.by = by;
        self
    }

    fn meets(&self, call: Option<&str>, instance: Option<&str>) -> bool {
        let among = |wanted: &BTreeSet<String>, found: Option<&str>| {
            wanted.is_empty() || found.is_some_and(|found| wanted.contains(found))
        };
        among(&self.calls, call) && among(&self.instances, instance)
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, value) = match self.fault {
            Fault::Call(fault) => ("ec2", fault.to_possible_value()),
            Fault::Volume(fault) => ("volume", fault.to_possible_value()),
            Fault::Snapshot(fault) => ("snapshot", fault.to_possible_value()),
            Fault::Metadata(fault) => ("metadata", fault.to_possible_value()),
        };
        let value = value.unwrap_or_default();
        write!(f, "{group} {}", value.get_name())?;
        for (word, names) in [("on", &self.calls), ("at", &self.instances)] {
            if !names.is_empty() {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                write!(f, " {word} {}", names.join(", "))?;
            }
        }
        match self.life {
            Life::UntilCleared => Ok(()),
            Life::For(duration) => write!(f, " for {} s", duration.as_secs_f64()),
            Life::Times(times) => write!(f, " {times} times"),
        }
    }
}

/// A fault that is in force, or whose number of times is used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveFault {
    /// Its number, to clear it by.
    pub number: u64,
    /// What it is.
    pub injection: Injection,
    /// How often it has applied.
    pub struck: u32,
}

struct Entry {
    active: ActiveFault,
    since: Instant,
}

impl Entry {
    /// Whether it has not ended by itself.
    fn lasts(&self) -> bool {
        match self.active.injection.life {
            Life::For(duration) => self.since.elapsed() < duration,
            Life::UntilCleared | Life::Times(_) => true,
        }
    }

    fn strikes_again(&self) -> bool {
        match self.active.injection.life {
            Life::Times(times) => self.active.struck < times,
            Life::UntilCleared | Life::For(_) => self.lasts(),
        }
    }
}

/// All that were injected and neither cleared nor over.
#[derive(Default)]
pub(super) struct Faults {
    entries: Mutex<(u64, Vec<Entry>)>,
}

impl Faults {
    pub(super) fn inject(&self, injection: Injection) -> u64 {
        let (last, entries) = &mut *locked(&self.entries);
        *last += 1;
        let active = ActiveFault {
            number: *last,
            injection,
            struck: 0,
        };
        let since = Instant::now();
        entries.push(Entry { active, since });
        *last
    }

    /// Ends one, or all; says which.
    pub(super) fn clear(&self, number: Option<u64>) -> Vec<ActiveFault> {
        let (_, entries) = &mut *locked(&self.entries);
        entries
            .extract_if(.., |entry| {
                number.is_none_or(|number| entry.active.number == number)
            })
            .map(|entry| entry.active)
            .collect()
    }

    pub(super) fn active(&self) -> Vec<ActiveFault> {
        let (_, entries) = &mut *locked(&self.entries);
        entries.retain(Entry::lasts);
        entries.iter().map(|entry| entry.active.clone()).collect()
    }

    /// Finds the first fault that `pick` accepts and that is for this call or instance, and counts it.
    fn strike<F>(
        &self,
        call: Option<&str>,
        instance: Option<&str>,
        pick: impl Fn(Fault) -> Option<F>,
    ) -> Option<FaultHit<F>> {
        let (_, entries) = &mut *locked(&self.entries);
        entries.iter_mut().find_map(|entry| {
            let injection = &entry.active.injection;
            if !entry.strikes_again() || !injection.meets(call, instance) {
                return None;
            }
            let fault = pick(injection.fault)?;
            entry.active.struck += 1;
            Some(FaultHit {
                fault,
                number: entry.active.number,
                since: entry.since,
                by: entry.active.injection.by,
            })
        })
    }

    /// What becomes of a call.
    pub(super) fn of_call(
        &self,
        action: &str,
        caller: Option<&str>,
    ) -> Option<FaultHit<CallFault>> {
        self.strike(Some(action), caller, |fault| match fault {
            Fault::Call(CallFault::Stale) if !action.starts_with("Describe") => None,
            Fault::Call(fault) => Some(fault),
            Fault::Volume(_) | Fault::Snapshot(_) | Fault::Metadata(_) => None,
        })
    }

    /// Whether a volume at an instance is struck by `wanted`; its number for `holds`.
    pub(super) fn of_volume(&self, wanted: VolumeFault, instance: &str) -> Option<u64> {
        let struck = self.strike(None, Some(instance), |fault| {
            (fault == Fault::Volume(wanted)).then_some(())
        });
        Some(struck?.number)
    }

    /// Whether a snapshot is struck by `wanted`; its number for `holds`.
    pub(super) fn of_snapshot(&self, wanted: SnapshotFault) -> Option<u64> {
        let struck = self.strike(None, None, |fault| {
            (fault == Fault::Snapshot(wanted)).then_some(())
        });
        Some(struck?.number)
    }

    /// What becomes of a metadata request, which reads an item or asks for a token.
    pub(super) fn of_metadata(
        &self,
        instance: &str,
        reads: bool,
    ) -> Option<FaultHit<MetadataFault>> {
        self.strike(None, Some(instance), |fault| match fault {
            Fault::Metadata(MetadataFault::TokenVoid) if !reads => None,
            Fault::Metadata(fault) => Some(fault),
            Fault::Call(_) | Fault::Volume(_) | Fault::Snapshot(_) => None,
        })
    }

    /// Whether what this fault has hit stays as it is.
    pub(super) fn holds(&self, number: u64) -> bool {
        let (_, entries) = &*locked(&self.entries);
        entries
            .iter()
            .any(|entry| entry.active.number == number && entry.lasts())
    }
}

/// The fault that applies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FaultHit<F> {
    pub(crate) fault: F,
    number: u64,
    /// When it was injected.
    pub(crate) since: Instant,
    /// How far behind, or how late.
    pub(crate) by: Duration,
}
