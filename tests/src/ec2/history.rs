//! What EC2 believed earlier: describe calls may lag, and so may the metadata. Every change keeps
//! the state from before it.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

use super::state::State;

/// More than a long test changes; the oldest go first.
const MAX_ENTRIES: usize = 2000;

/// The state, and what it was.
#[derive(Debug)]
pub(super) struct StateHistory {
    now: State,
    /// Until when it was so, oldest first.
    past: VecDeque<(Instant, State)>,
}

impl StateHistory {
    pub(super) fn new(now: State) -> Self {
        Self {
            now,
            past: VecDeque::new(),
        }
    }

    /// The state at a moment, or the oldest that is remembered.
    pub(super) fn as_of(&self, moment: Instant) -> &State {
        let ended = self.past.partition_point(|(until, _)| *until <= moment);
        self.past.get(ended).map_or(&self.now, |(_, state)| state)
    }
}

impl Deref for StateHistory {
    type Target = State;

    fn deref(&self) -> &State {
        &self.now
    }
}

impl DerefMut for StateHistory {
    /// Taken for a change, also if nothing is changed then.
    fn deref_mut(&mut self) -> &mut State {
        if self.past.len() == MAX_ENTRIES {
            self.past.pop_front();
        }
        self.past.push_back((Instant::now(), self.now.clone()));
        &mut self.now
    }
}
