//! How an action ends: exit codes, failures with their reason, and what a monitor found.

use std::fmt;

use ec2::{AwsError, ErrorKind};

/// The exit codes of an agent. <https://github.com/ClusterLabs/OCF-spec/blob/main/ra/1.1/resource-agent-api.md>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Success = 0,
    /// Failed. Pacemaker may try again here.
    Generic = 1,
    Arguments = 2,
    Unimplemented = 3,
    /// Something that the resource needs is not on this node. Pacemaker tries another node.
    Installed = 5,
    /// The configuration is wrong on every node. Pacemaker tries no other node.
    Configured = 6,
    NotRunning = 7,
    /// The resource runs as far as can be seen, but something is wrong (Pacemaker's extension, treated as running).
    Degraded = 190,
}

/// An action that did not do what it should, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What was being done, to what, what came back, what to do.
    pub(crate) reason: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { exit, reason }
    }

    /// A failure that may pass, or that concerns this node and this moment.
    pub(crate) fn generic(reason: impl Into<String>) -> Self {
        Self::new(Exit::Generic, reason)
    }

    /// Something is not on this node, or not allowed to it.
    pub(crate) fn installed(reason: impl Into<String>) -> Self {
        Self::new(Exit::Installed, reason)
    }

    pub(crate) fn configured(reason: impl Into<String>) -> Self {
        Self::new(Exit::Configured, reason)
    }

    /// Puts what was being done before the reason.
    pub(crate) fn while_doing(self, doing: impl fmt::Display) -> Self {
        Self::new(self.exit, format!("{doing}: {}", self.reason))
    }
}

/// How a start ends that cannot go on because of EC2. Never as a wrong configuration (6), which stops the
/// resource on all nodes: whoever answers sees this node, its region and account, and this moment.
impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        use ErrorKind::{Forbidden, NoRoom, NotFound, WrongZone};
        use ErrorKind::{InUse, InvalidValue, Unknown, WouldSucceed, WrongState};
        match kind {
            NotFound | Forbidden | WrongZone | NoRoom => Self::Installed,
            Unknown | InUse | WrongState | InvalidValue | WouldSucceed => Self::Generic,
        }
    }
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Self {
        Self::new(error.kind.into(), error.to_string())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    Running,
    /// The resource does not run here; how that was seen.
    Stopped(String),
    /// The resource runs here, but not as it should.
    Broken(String),
    /// The resource runs as far as this node can tell; what is wrong or could not be found out.
    Degraded(String),
}

impl Health {
    pub(super) fn outcome(self) -> Result<(), Failure> {
        match self {
            Health::Running => Ok(()),
            Health::Stopped(seen) => Err(Failure::new(Exit::NotRunning, seen)),
            Health::Broken(reason) => Err(Failure::generic(reason)),
            Health::Degraded(reason) => Err(Failure::new(Exit::Degraded, reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_is_a_configuration_error_and_what_may_pass_is_tried_again_here() {
        for kind in [
            ErrorKind::Unknown,
            ErrorKind::InUse,
            ErrorKind::WrongState,
            ErrorKind::InvalidValue,
        ] {
            assert_eq!(Exit::from(kind), Exit::Generic, "{kind:?}");
        }
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::Forbidden,
            ErrorKind::WrongZone,
            ErrorKind::NoRoom,
        ] {
            assert_eq!(Exit::from(kind), Exit::Installed, "{kind:?}");
        }
    }
}
