//! What the model decided and when: API calls, changes of state, and what the world refused.
//! The demo's timeline and the tests read it; nothing is decided by it.

use std::collections::VecDeque;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::fault::CallFault;

/// More than a day of a cluster's monitors; the oldest go first.
const MAX_ENTRIES: usize = 100_000;
/// Within how many events the same failure is not noted again.
const RECENT: usize = 50;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Wall clock.
    pub at: SystemTime,
    /// Monotonic time since the model started.
    pub since_start: Duration,
    /// What.
    pub what: Happening,
}

/// The kinds of event. Ids and states are spelled as EC2 spells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// A call of the API was answered.
    Call {
        /// `StopInstances`, ...
        action: String,
        /// Its parameters, without `Action` and `Version`.
        parameters: Vec<(String, String)>,
        /// Whose credentials: an instance id, or the access key id of the site's own.
        caller: String,
        /// What the caller's program says it is: `aws-sdk-rust`, `Boto3`, `aws-cli`.
        client: String,
        /// The error code, when it was refused.
        refused: Option<String>,
        /// The fault that struck it.
        #[serde(default)]
        fault: Option<CallFault>,
    },
    /// An instance changed state.
    Instance {
        /// The instance.
        instance: String,
        /// `running`, `stopping`, ...
        state: String,
    },
    /// An instance's guest went down by itself, or is being rebooted.
    Guest {
        /// The instance.
        instance: String,
        /// What it did.
        did: String,
    },
    /// An attachment changed state; `detached` means that the volume is available.
    Volume {
        /// The volume.
        volume: String,
        /// The instance that it is attached to, or was.
        instance: String,
        /// `attaching`, `attached`, `detaching`, `busy`, `detached`.
        state: String,
    },
    /// A snapshot changed state.
    Snapshot {
        /// The snapshot.
        snapshot: String,
        /// The volume that it is of.
        volume: String,
        /// `pending`, `completed`, `error`.
        state: String,
    },
    /// A volume is made from a snapshot, or was.
    NewVolume {
        /// The volume.
        volume: String,
        /// The snapshot.
        snapshot: String,
        /// `creating`, `available`, `error`.
        state: String,
    },
    /// A secondary private address changed hands.
    Address {
        /// The address.
        address: Ipv4Addr,
        /// The instance that had it.
        from: Option<String>,
        /// The instance that has it.
        to: Option<String>,
    },
    /// A public address changed hands.
    Association {
        /// The public address.
        public: Ipv4Addr,
        /// The private address that it is mapped to.
        private: Option<Ipv4Addr>,
        /// The instance with that private address.
        instance: Option<String>,
    },
    /// The VPC and the metadata follow the last change of addresses.
    Delivered,
    /// A fault was injected, or cleared.
    Fault {
        /// Which.
        what: String,
        /// Whether it was injected.
        begins: bool,
    },
    /// The lab could not do what the model decided.
    WorldFailed {
        /// What was to be done.
        what: String,
        /// What came back.
        error: String,
    },
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_nobody = |who: &Option<String>| who.clone().unwrap_or_else(|| "nobody".to_owned());
        match self {
            Self::Call {
                action,
                parameters,
                caller,
                refused,
                client: _,
                fault,
            } => {
                write!(f, "{action} called by {caller}")?;
                for (name, value) in parameters {
                    write!(f, " {name}={value}")?;
                }
                if let Some(code) = refused {
                    write!(f, ": refused with {code}")?;
                }
                match fault {
                    Some(fault) => write!(f, " (fault: {fault:?})"),
                    None => Ok(()),
                }
            }
            Self::Instance { instance, state } => write!(f, "instance {instance} is {state}"),
            Self::Guest { instance, did } => write!(f, "guest of {instance} {did}"),
            Self::Volume {
                volume,
                instance,
                state,
            } => write!(f, "volume {volume} at {instance} is {state}"),
            Self::Snapshot {
                snapshot,
                volume,
                state,
            } => write!(f, "snapshot {snapshot} of {volume} is {state}"),
            Self::NewVolume {
                volume,
                snapshot,
                state,
            } => write!(f, "volume {volume} from {snapshot} is {state}"),
            Self::Address { address, from, to } => write!(
                f,
                "private address {address} moved from {} to {}",
                or_nobody(from),
                or_nobody(to)
            ),
            Self::Association {
                public,
                private: Some(private),
                instance,
            } => write!(
                f,
                "public address {public} leads to {private} of {}",
                or_nobody(instance)
            ),
            Self::Association {
                public,
                private: None,
                ..
            } => write!(f, "public address {public} leads nowhere"),
            Self::Delivered => write!(f, "the VPC delivers the new addresses"),
            Self::Fault { what, begins: true } => write!(f, "fault injected: {what}"),
            Self::Fault {
                what,
                begins: false,
            } => write!(f, "fault cleared: {what}"),
            Self::WorldFailed { what, error } => write!(f, "the lab failed to {what}: {error}"),
        }
    }
}

/// When something was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    at: SystemTime,
    since_start: Duration,
}

/// The log.
#[derive(Debug)]
pub(super) struct EventLog {
    start: Instant,
    events: Mutex<VecDeque<Event>>,
}

impl EventLog {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            events: Mutex::new(VecDeque::new()),
        }
    }

    /// This moment.
    pub(super) fn now(&self) -> Moment {
        Moment {
            at: SystemTime::now(),
            since_start: self.start.elapsed(),
        }
    }

    pub(super) fn add(&self, what: Happening) {
        self.add_at(self.now(), what);
    }

    /// Inserts an event at its time: a call is logged with its outcome, after the events that it caused.
    pub(super) fn add_at(&self, moment: Moment, what: Happening) {
        let mut events = super::locked(&self.events);
        // A failure that repeats with every retry is logged once.
        if matches!(what, Happening::WorldFailed { .. })
            && events
                .iter()
                .rev()
                .take(RECENT)
                .any(|event| event.what == what)
        {
            return;
        }
        if events.len() == MAX_ENTRIES {
            events.pop_front();
        }
        if let Happening::WorldFailed { .. } = what {
            tracing::error!("{what}");
        } else {
            tracing::debug!("{what}");
        }
        let later = events
            .iter()
            .rev()
            .take_while(|event| event.since_start > moment.since_start)
            .count();
        let place = events.len() - later;
        let Moment { at, since_start } = moment;
        events.insert(
            place,
            Event {
                at,
                since_start,
                what,
            },
        );
    }

    pub(super) fn all(&self) -> Vec<Event> {
        super::locked(&self.events).iter().cloned().collect()
    }
}
