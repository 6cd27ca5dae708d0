//! For how long a client missed the service.

use std::time::{Duration, SystemTime};

/// A time without service.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    /// When the service was last seen before it.
    pub start: SystemTime,
    /// When it was seen again.
    pub end: SystemTime,
}

impl Gap {
    /// The longest time between two of `seen` that ends after `fault`.
    pub fn longest(seen: &[SystemTime], fault: SystemTime) -> Self {
        seen.windows(2)
            .filter(|pair| pair[1] > fault)
            .map(|pair| Self {
                start: pair[0],
                end: pair[1],
            })
            .max_by_key(Self::length)
            .unwrap_or(Self {
                start: fault,
                end: fault,
            })
    }

    /// How long it was.
    pub fn length(&self) -> Duration {
        self.end.duration_since(self.start).unwrap_or_default()
    }
}
