//! Signals that ask ha-ctl to end. A verb that changes something listens from its first line on, so that it is never
//! killed between two changes.

use std::future::Future;

use futures_util::FutureExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Failure;

/// SIGINT, SIGTERM and SIGHUP, which do not end the process any more.
#[derive(Debug)]
pub(super) struct Signals([Option<Signal>; 3]);

impl Signals {
    pub(super) fn new() -> Signals {
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        Signals(kinds.map(|kind| signal(kind).ok()))
    }

    /// Ends when one has come, now or since the last time.
    pub(super) async fn received(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            () = one(interrupt) => {}
            () = one(terminate) => {}
            () = one(hangup) => {}
        }
    }

    /// Whether one has come since the last time.
    pub(super) fn have_come(&mut self) -> bool {
        self.received().now_or_never().is_some()
    }

    /// What only looks is given up at once.
    ///
    /// # Errors
    /// A signal has come, or what the work itself says.
    pub(super) async fn end_what_looks<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.received() => Err(Failure::failed("interrupted. Nothing was changed")),
            done = work => done,
        }
    }
}

async fn one(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
