//! A deadline. Every wait and every retry has one.

use std::time::{Duration, Instant};

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
        let end = self.end.min(Instant::now() + limit);
        Self { end, ..self }
    }

    pub fn end(self) -> Instant {
        self.end
    }

    /// How much time is left; zero when the deadline has passed.
    pub fn remaining(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    pub fn is_over(self) -> bool {
        self.remaining().is_zero()
    }

    /// The time limit of the work as a whole, for a message.
    pub fn limit(self) -> Duration {
        self.limit
    }

    /// Sleeps for `pause`, or until the deadline if that is earlier. Returns whether time is left.
    pub async fn sleep(self, pause: Duration) -> bool {
        tokio::time::sleep(pause.min(self.remaining())).await;
        !self.is_over()
    }
}
