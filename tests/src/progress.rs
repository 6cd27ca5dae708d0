//! What a person sees while the lab works.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

/// Receives a sentence for each thing that is begun.
pub trait Progress: Send + Sync {
    /// `what` has begun; whatever was said before it is done.
    fn step(&self, what: &str);
    /// All is done; the last step too.
    fn finish(&self) {}
}

/// Says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _: &str) {}
}

/// Lines on stderr: with a spinner on a terminal, plain elsewhere.
pub struct Stderr {
    began: Instant,
    spinner: Option<ProgressBar>,
    last: Mutex<Option<(String, Instant)>>,
}

impl Stderr {
    /// Starts the clock.
    pub fn new() -> Self {
        let spinner = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            began: Instant::now(),
            spinner,
            last: Mutex::new(None),
        }
    }
}

impl Default for Stderr {
    fn default() -> Self {
        Self::new()
    }
}

impl Stderr {
    fn close_last(&self, next: Option<&str>) {
        let Ok(mut last) = self.last.lock() else {
            return;
        };
        if let (Some(bar), Some((text, since))) = (&self.spinner, last.as_ref()) {
            bar.println(format!("  {text} ({:.1} s)", since.elapsed().as_secs_f32()));
        }
        *last = next.map(|text| (text.to_owned(), Instant::now()));
    }
}

impl Progress for Stderr {
    fn step(&self, what: &str) {
        self.close_last(Some(what));
        match &self.spinner {
            Some(bar) => {
                bar.reset_elapsed();
                bar.set_message(what.to_owned());
                bar.enable_steady_tick(std::time::Duration::from_millis(200));
            }
            None => eprintln!("[{:6.1} s] {what}", self.began.elapsed().as_secs_f32()),
        }
    }

    fn finish(&self) {
        self.close_last(None);
        if let Some(bar) = &self.spinner {
            bar.finish_and_clear();
        }
    }
}
