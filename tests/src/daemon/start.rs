//! How far the start of the lab has got, for those who wait for it.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::world::Error;

/// How far the start has got, for any number of followers.
#[derive(Default)]
pub(super) struct Start {
    progress: Mutex<StartProgress>,
    news: Condvar,
}

#[derive(Default)]
struct StartProgress {
    steps: Vec<String>,
    end: Option<Result<(), String>>,
}

impl Start {
    pub(super) fn step(&self, what: &str) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.steps.push(what.to_owned());
        self.news.notify_all();
    }

    pub(super) fn end(&self, result: Result<(), String>) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.end = Some(result);
        self.news.notify_all();
    }

    /// Hands every step to `each`, those of the past too, and returns how it ended.
    pub(super) fn follow(
        &self,
        mut each: impl FnMut(String) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let mut seen = 0;
        loop {
            let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            let progress = self
                .news
                .wait_while(progress, |t| t.steps.len() == seen && t.end.is_none())
                .unwrap_or_else(PoisonError::into_inner);
            let steps: Vec<String> = progress.steps.iter().skip(seen).cloned().collect();
            let end = progress.end.clone();
            drop(progress);
            seen += steps.len();
            for step in steps {
                each(step)?;
            }
            if let Some(end) = end {
                return end.map_err(Into::into);
            }
        }
    }
}
