//! How long an action may take. Pacemaker kills an agent that is late and then knows no
//! reason; so an action ends shortly before that, with its own.

use std::time::{Duration, Instant};

/// When an action has to be over.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Instant,
    limit: Duration,
}

/// What is kept back from Pacemaker's timeout: a tenth, at least for a process to end on a busy
/// machine, at most three seconds.
fn reserve(timeout: Duration) -> Duration {
    (timeout / 10)
        .clamp(Duration::from_millis(150), Duration::from_secs(3))
        .min(timeout / 2)
}

impl Deadline {
    /// The deadline of an action that started at `start` and that Pacemaker kills after `timeout`.
    pub fn of_action(start: Instant, timeout: Duration) -> Self {
        let limit = timeout - reserve(timeout);
        Self {
            end: start + limit,
            limit,
        }
    }

    /// The deadline of who watches over that action, for when it hangs: between the two.
    pub(super) fn of_supervisor(start: Instant, timeout: Duration) -> Self {
        let limit = timeout - reserve(timeout) / 3;
        Self {
            end: start + limit,
            limit,
        }
    }

    /// This deadline, or `limit` from now if that is earlier.
    pub fn at_most(self, limit: Duration) -> Self {
        Self {
            end: self.end.min(Instant::now() + limit),
            ..self
        }
    }

    /// The moment itself.
    pub fn end(self) -> Instant {
        self.end
    }

    /// What is left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn is_over(self) -> bool {
        self.remaining().is_zero()
    }

    /// How long the action was given, for a reason.
    pub fn limit(self) -> Duration {
        self.limit
    }

    /// Sleeps for `pause`, or for what is left. Says whether there is time left.
    pub async fn sleep(self, pause: Duration) -> bool {
        tokio::time::sleep(pause.min(self.remaining())).await;
        !self.is_over()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_ends_before_its_supervisor_and_both_before_pacemaker() {
        for milliseconds in [200, 1_000, 20_000, 300_000] {
            let timeout = Duration::from_millis(milliseconds);
            let start = Instant::now();
            let action = Deadline::of_action(start, timeout).end;
            let supervisor = Deadline::of_supervisor(start, timeout).end;
            assert!(
                action < supervisor && supervisor < start + timeout,
                "{timeout:?}"
            );
            assert!(
                action >= start + timeout / 2,
                "{timeout:?} leaves no time to work"
            );
        }
    }
}
