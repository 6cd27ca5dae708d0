//! How ha-ctl ends: the exit status, the same for every verb, and what is said when it is not 0.

use std::process::ExitCode;

/// The exit status. The manual page has the same list ([`crate::cli`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed, and nothing was changed.
    Failed = 1,
    /// A mistake in the command line or in vars.yml.
    Usage = 2,
    /// `check` found problems, or a dry run would change something.
    Problems = 3,
    /// Some node could not be reached; the others are done.
    NodesMissing = 4,
    /// Incomplete, or still going.
    Incomplete = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a verb did not do what it was asked for. The text is whole sentences: what was being done, to what, what
/// came back, and after `help:` what the operator can do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// With which status ha-ctl ends.
    pub exit: Exit,
    /// What is said.
    pub text: String,
}

impl Failure {
    /// Failed, and nothing was changed.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::with(Exit::Failed, text)
    }

    /// A mistake in the command line or in vars.yml.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::with(Exit::Usage, text)
    }

    /// Incomplete, or still going.
    pub fn incomplete(text: impl Into<String>) -> Self {
        Self::with(Exit::Incomplete, text)
    }

    /// With any status.
    pub fn with(exit: Exit, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { exit, text }
    }
}
