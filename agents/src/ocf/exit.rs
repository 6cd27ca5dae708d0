//! How an action ends: exit codes, failures with their reason, and what a monitor found.

use std::fmt;

use ec2::{AwsError, ErrorKind};

/// The exit codes of an agent. <https://github.com/ClusterLabs/OCF-spec/blob/main/ra/1.1/resource-agent-api.md>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; for a monitor: the resource runs.
    Success = 0,
    /// Failed. Pacemaker may try again here.
    Generic = 1,
    /// The agent was called in a wrong way.
    Arguments = 2,
    /// There is no such action.
    Unimplemented = 3,
    /// Something that the resource needs is not on this node. Pacemaker tries another node.
    Installed = 5,
    /// The configuration is wrong on every node. Pacemaker tries no other node.
    Configured = 6,
    /// The resource does not run here.
    NotRunning = 7,
    /// The resource runs as far as can be seen, but something is wrong (Pacemaker's extension, treated as running).
    Degraded = 190,
}

impl Exit {
    /// The process's exit status.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// An action that did not do what it should, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What Pacemaker is told.
    pub exit: Exit,
    /// What people are told: what was being done, to what, what came back, what to do.
    pub reason: String,
}

impl Failure {
    /// A failure that may pass, or that concerns this node and this moment.
    pub fn generic(reason: impl Into<String>) -> Self {
        Self {
            exit: Exit::Generic,
            reason: reason.into(),
        }
    }

    /// Something is not on this node, or not allowed to it.
    pub fn installed(reason: impl Into<String>) -> Self {
        Self {
            exit: Exit::Installed,
            reason: reason.into(),
        }
    }

    /// The configuration is wrong.
    pub fn configured(reason: impl Into<String>) -> Self {
        Self {
            exit: Exit::Configured,
            reason: reason.into(),
        }
    }

    /// Puts what was being done before the reason.
    pub fn while_doing(self, doing: impl fmt::Display) -> Self {
        Self {
            reason: format!("{doing}: {}", self.reason),
            ..self
        }
    }
}

/// How a start ends that cannot go on because of EC2. Never as a wrong configuration (6), which stops the
/// resource on all nodes: whoever answers sees this node, its region and account, and this moment.
impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound
            | ErrorKind::Forbidden
            | ErrorKind::WrongZone
            | ErrorKind::NoRoom => Self::Installed,
            ErrorKind::Unknown
            | ErrorKind::InUse
            | ErrorKind::WrongState
            | ErrorKind::InvalidValue
            | ErrorKind::WouldSucceed => Self::Generic,
        }
    }
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Self {
        Self {
            exit: error.kind.into(),
            reason: error.to_string(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// What a monitor found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The resource runs here.
    Running,
    /// The resource does not run here; how that was seen.
    Stopped(String),
    /// The resource runs here, but not as it should.
    Broken(String),
    /// The resource runs as far as this node can tell; what is wrong or could not be found out.
    Degraded(String),
}

impl Health {
    /// The exit code and what to say.
    pub(super) fn outcome(self) -> (Exit, Option<String>) {
        match self {
            Health::Running => (Exit::Success, None),
            Health::Stopped(seen) => (Exit::NotRunning, Some(seen)),
            Health::Broken(reason) => (Exit::Generic, Some(reason)),
            Health::Degraded(reason) => (Exit::Degraded, Some(reason)),
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
