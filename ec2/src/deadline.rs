//! Until when an answer is of use. Every wait and every retry has one.

use std::time::{Duration, Instant};

/// When work has to be over.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Instant,
    limit: Duration,
}

impl Deadline {
    /// The deadline of work that began at `start` and may take `limit`.
    pub fn after(start: Instant, limit: Duration) -> Self {
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

    /// How much time is left; zero when the deadline has passed.
    pub fn remaining(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether the deadline has passed.
    pub fn is_over(self) -> bool {
        self.remaining().is_zero()
    }

    /// How long the work was given, for a message.
    pub fn limit(self) -> Duration {
        self.limit
    }

    /// Sleeps for `pause`, or for what is left. Says whether there is time left.
    pub async fn sleep(self, pause: Duration) -> bool {
        tokio::time::sleep(pause.min(self.remaining())).await;
        !self.is_over()
    }
}
