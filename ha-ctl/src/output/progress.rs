//! What is going on: on a terminal a line that moves, for as long as it goes on; elsewhere a plain line every ten
//! seconds. In the log it is the same in both cases. Nothing here has a colour.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use tokio::time::Instant;

use super::say;
use crate::log;

/// How often something that goes on is said where nothing moves.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// How often what moves is drawn.
const DRAWS_A_SECOND: u8 = 10;

static SCREEN: OnceLock<Option<MultiProgress>> = OnceLock::new();

/// The lines that move; nothing where standard error is no terminal, or one that cannot move its cursor.
fn screen() -> Option<&'static MultiProgress> {
    let screen = SCREEN.get_or_init(|| {
        let term = Term::stderr();
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        (term.is_term() && !is_dumb).then(|| MultiProgress::with_draw_target(target(term)))
    });
    screen.as_ref()
}

fn target(term: Term) -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Tolerant(term)), DRAWS_A_SECOND)
}

/// Does something with the terminal while nothing on it moves.
pub(super) fn aside<T>(work: impl FnOnce() -> T) -> T {
    match screen() {
        Some(screen) => screen.suspend(work),
        None => work(),
    }
}

/// Takes the lines that move off the terminal while the operator is asked something there. Dropping this brings them
/// back, and the terminal as it was: a question that is interrupted has turned its echo off.
#[derive(Debug)]
pub struct Still(Option<Termios>);

impl Still {
    /// From now on nothing moves.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Still {
        if let Some(screen) = screen() {
            // It never fails (`Tolerant`).
            let _ = screen.clear();
            screen.set_draw_target(ProgressDrawTarget::hidden());
        }
        Still(tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, before);
        }
        if let Some(screen) = screen() {
            screen.set_draw_target(target(Term::stderr()));
        }
    }
}

/// Something that goes on. Dropping this takes its line off the terminal.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    said: Instant,
}

impl Progress {
    /// Begins with what is going on: `n1: install the package`.
    pub fn begin(what: &str) -> Progress {
        let bar = screen().map(|screen| {
            let bar = screen.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style.tick_chars("|/-\\ "));
            }
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(125));
            bar
        });
        let said = Instant::now();
        Progress { bar, said }
    }

    /// Whether somebody sees it move, so that more than a line every ten seconds is of use.
    pub fn is_seen(&self) -> bool {
        self.bar.is_some()
    }

    /// How it goes now.
    pub fn update(&mut self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
        if self.said.elapsed() < SAY_EVERY {
            return;
        }
        self.said = Instant::now();
        match self.bar {
            Some(_) => log::line(text),
            None => say(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let (Some(bar), Some(screen)) = (&self.bar, screen()) {
            bar.finish_and_clear();
            screen.remove(bar);
        }
    }
}

/// A terminal that may go away in the middle of a change, which must not end the change: indicatif panics on some
/// errors of its terminal.
#[derive(Debug)]
struct Tolerant(Term);

impl TermLike for Tolerant {
    fn width(&self) -> u16 {
        TermLike::width(&self.0)
    }

    fn height(&self) -> u16 {
        TermLike::height(&self.0)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        tolerate(TermLike::move_cursor_up(&self.0, n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        tolerate(TermLike::move_cursor_down(&self.0, n))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        tolerate(TermLike::move_cursor_right(&self.0, n))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        tolerate(TermLike::move_cursor_left(&self.0, n))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        tolerate(TermLike::write_line(&self.0, text))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        tolerate(TermLike::write_str(&self.0, text))
    }

    fn clear_line(&self) -> io::Result<()> {
        tolerate(TermLike::clear_line(&self.0))
    }

    fn flush(&self) -> io::Result<()> {
        tolerate(TermLike::flush(&self.0))
    }
}

#[allow(clippy::unnecessary_wraps)]
fn tolerate(_: io::Result<()>) -> io::Result<()> {
    Ok(())
}
