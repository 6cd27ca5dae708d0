//! What a stop says about a volume that is held, and when it is useless to wait for it to be let go.

use std::fmt::Display;
use std::time::{Duration, Instant};

use super::AwsEbs;
use crate::device::Device;
use crate::holders::{self, User};
use crate::ocf::Failure;

/// How long something that does not let go by itself may be on its way out: a mapping whose removal is deferred, swap
/// that is being turned off.
const GRACE: Duration = Duration::from_secs(2);
/// When the processes are first looked through for who holds the volume, and how often then.
const FIRST: Duration = Duration::from_millis(500);
const AGAIN: Duration = Duration::from_secs(5);
/// How long that may take.
const LOOK: Duration = Duration::from_secs(2);

/// A wait for the volume to be let go, and who was seen to hold it.
pub(super) struct Wait {
    /// What can't be done because of it: "unmounting /data".
    what: String,
    lasting_since: Option<Instant>,
    look: Instant,
    seen: Vec<User>,
    /// Who was seen and is kept running by somebody, so that it is useless to wait for it.
    kept_since: Option<Instant>,
}

impl Wait {
    pub(super) fn new(what: String) -> Self {
        Self {
            what,
            lasting_since: None,
            look: Instant::now() + FIRST,
            seen: Vec::new(),
            kept_since: None,
        }
    }

    /// Who does not let go by itself, if somebody was seen for longer than a moment.
    fn kept(&mut self) -> Option<String> {
        let kept = self.seen.iter().find_map(|user| {
            let how = user.kept.as_ref()?;
            Some(format!("{} ({how})", user.name))
        });
        if kept.is_none() {
            self.kept_since = None;
            return None;
        }
        let since = *self.kept_since.get_or_insert_with(Instant::now);
        kept.filter(|_| since.elapsed() >= GRACE)
    }

    /// Whether this is a wait to do the same.
    pub(super) fn is_for(&self, what: &str) -> bool {
        self.what == what
    }
}

impl AwsEbs {
    /// Looks who holds the volume, notes it for the case that the time is up, and gives up where waiting is useless.
    pub(super) fn look_who_holds(&self, device: &Device, wait: &mut Wait) -> Result<(), Failure> {
        let lasting = holders::lasting(device);
        if lasting.is_empty() {
            wait.lasting_since = None;
        } else if wait
            .lasting_since
            .get_or_insert_with(Instant::now)
            .elapsed()
            > GRACE
        {
            return Err(self.held_for_good(&lasting.join("; "), wait));
        }
        if wait.look <= Instant::now() {
            let limit = LOOK.min(self.call.deadline.remaining() / 2);
            let seen = holders::passing(device, limit);
            if seen != wait.seen {
                tracing::warn!("{} waits for {}", wait.what, who(&seen));
            }
            wait.seen = seen;
            if let Some(kept) = wait.kept() {
                return Err(self.held_for_good(&kept, wait));
            }
            let pause = if wait.kept_since.is_some() {
                GRACE
            } else {
                AGAIN
            };
            wait.look = Instant::now() + pause;
            self.call.steps.doing(&format!(
                "waiting until {} can be let go by {}",
                self.id(),
                who(&wait.seen)
            ));
        }
        Ok(())
    }

    fn held_for_good(&self, holder: &str, wait: &Wait) -> Failure {
        Failure::generic(format!(
            "{} is held by {holder}, which does not go by itself: {} is not possible",
            self.id(),
            wait.what
        ))
    }

    /// The end of the stop when nobody has let go in time.
    pub(super) fn still_held(&self, device: &Device, wait: &Wait, error: &dyn Display) -> Failure {
        Failure::generic(format!(
            "{} is held by {}: {} ({}): {error} after {} s",
            self.id(),
            who(&wait.seen),
            wait.what,
            device.path.display(),
            self.call.deadline.limit().as_secs()
        ))
    }
}

fn who(seen: &[User]) -> String {
    if seen.is_empty() {
        "nobody who can be seen (look at lsblk and /proc/*/mountinfo)".to_owned()
    } else {
        let names: Vec<_> = seen.iter().map(|user| user.name.as_str()).collect();
        names.join("; ")
    }
}
