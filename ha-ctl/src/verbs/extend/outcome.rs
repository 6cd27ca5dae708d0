//! What became of each server, and the exit status of all: one server does not hide another.

use crate::exit::{Exit, Failure};
use crate::extend::Server;
use crate::output::{print, say};
use crate::reach::Missing;
use crate::run::Run;

/// What became of one server.
#[derive(Debug)]
pub(super) enum How {
    /// It is as it was asked for, in words.
    Done(String),
    /// It cannot be reached.
    Unreachable(Missing),
    /// It was refused, or failed.
    Failed(Failure),
}

/// One server.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) server: Server,
    pub(super) how: How,
}

impl Outcome {
    pub(super) fn new(server: &Server, how: How) -> Outcome {
        let server = server.clone();
        Outcome { server, how }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.how, How::Done(_))
    }

    fn line(&self) -> String {
        let how = match &self.how {
            How::Done(how) => how.as_str(),
            How::Unreachable(_) => "NOT REACHED, nothing was done there",
            How::Failed(_) => "FAILED",
        };
        format!("{}: {how}\n", self.server)
    }

    fn why(&self) -> Option<String> {
        match &self.how {
            How::Done(_) => None,
            How::Unreachable(missing) => Some(missing.text()),
            How::Failed(failure) => Some(failure.text.clone()),
        }
    }
}

/// Prints what became of each, and says the reasons. `others` says that something else could not be reached.
///
/// # Errors
/// It could not be printed.
pub(super) fn summary(
    outcomes: &[Outcome],
    run: &Run,
    others_missing: bool,
) -> Result<Exit, Failure> {
    print(&outcomes.iter().map(Outcome::line).collect::<String>())?;
    for why in outcomes.iter().filter_map(Outcome::why) {
        say(&format!("error: {why}"));
    }
    Ok(exit(outcomes, run.has_changed(), others_missing))
}

pub(super) fn exit(outcomes: &[Outcome], has_changed: bool, others_missing: bool) -> Exit {
    let is_done = outcomes.iter().any(Outcome::is_done);
    let failed = |it: &Outcome| matches!(it.how, How::Failed(_));
    let unreachable = |it: &Outcome| matches!(it.how, How::Unreachable(_));
    if outcomes.iter().any(failed) {
        match has_changed || is_done {
            true => Exit::Incomplete,
            false => Exit::Failed,
        }
    } else if outcomes.iter().any(unreachable) {
        match is_done {
            true => Exit::NodesMissing,
            false => Exit::Failed,
        }
    } else if others_missing {
        Exit::NodesMissing
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::extend::Kind;
    use crate::reach::Cause;

    fn outcome(how: How) -> Outcome {
        let server = Server {
            kind: Kind::Media,
            name: "media-1".parse().unwrap(),
            address: "10.0.0.1".parse().unwrap(),
            public_address: None,
        };
        Outcome { server, how }
    }

    fn done() -> Outcome {
        outcome(How::Done("started".to_owned()))
    }

    fn failed() -> Outcome {
        outcome(How::Failed(Failure::failed("it failed")))
    }

    fn unreachable() -> Outcome {
        outcome(How::Unreachable(Missing {
            name: "media-1".to_owned(),
            cause: Cause::NewHostKey,
            by_hand: "ssh 10.0.0.1".to_owned(),
        }))
    }

    #[test]
    fn the_exit_status_is_that_of_the_worst_server() {
        assert_eq!(exit(&[done(), done()], true, false), Exit::Done);
        assert_eq!(exit(&[done(), done()], true, true), Exit::NodesMissing);
        assert_eq!(
            exit(&[done(), unreachable()], true, false),
            Exit::NodesMissing
        );
        assert_eq!(exit(&[unreachable()], false, false), Exit::Failed);
        assert_eq!(
            exit(&[done(), unreachable(), failed()], true, false),
            Exit::Incomplete
        );
        assert_eq!(exit(&[failed()], false, false), Exit::Failed);
        assert_eq!(exit(&[failed()], true, false), Exit::Incomplete);
    }
}
