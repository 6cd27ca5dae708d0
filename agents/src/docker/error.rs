//! What can go wrong with Docker, in the words of whoever has to mend it.

use std::path::PathBuf;

use super::order::OrderError;
use super::version::OLDEST;
/// How many errors are spelled out in one sentence.
const SHOWN: usize = 3;

/// Why something could not be learned from Docker, or was not done.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// The daemon gave no answer: no socket, nobody listens, or too slow. Nothing is known
    /// about the containers.
    #[error("can not {doing}: Docker does not answer on {socket}: {said}")]
    Unreachable {
        /// What was being done.
        doing: String,
        /// The daemon's socket.
        socket: PathBuf,
        /// What happened instead.
        said: String,
    },
    /// The daemon answered with an error.
    #[error("can not {doing}: Docker says: {said} ({status})")]
    Refused {
        /// What was being done.
        doing: String,
        /// The HTTP status.
        status: u16,
        /// The daemon's message.
        said: String,
    },
    /// The daemon answered something that is not understood.
    #[error("can not {doing}: an answer of Docker is not understood: {said}")]
    NotUnderstood {
        /// What was being done.
        doing: String,
        /// What is wrong with it.
        said: String,
    },
    /// This version of Docker is not supported. Short, because `pcs status` shows only the beginning of a reason.
    #[error(
        "Docker {version} is too old: install {OLDEST} or later, such as docker-ce \
         (https://docs.docker.com/engine/install/)"
    )]
    TooOld {
        /// What the daemon says its version is.
        version: String,
    },
    /// Nothing of the project exists on this host.
    #[error(
        "project {project} has no containers here: make them with `docker compose create --no-recreate`"
    )]
    NoContainers {
        /// The name of the project.
        project: String,
    },
    /// The labels do not give an order.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// One container did not do what it should.
    #[error("{name} {what}")]
    Container {
        /// The container's name.
        name: String,
        /// What is wrong with it: a sentence without its subject.
        what: String,
    },
    /// The caller's deadline came first. Docker may still be doing it.
    #[error("can not {doing} in the time there is: Docker was not done after {seconds:.1} s")]
    OutOfTime {
        /// What was being done.
        doing: String,
        /// How long it had been under way.
        seconds: f64,
    },
    /// Containers of a version that must not run, and what their version has to be.
    #[error(
        "the image's version {theirs} is older than {wanted}, {}: make the containers again with the image of {wanted} \
         (`docker compose create`): {}",
        .of, few(.names)
    )]
    OldImage {
        /// The names of the containers.
        names: Vec<String>,
        /// Their version.
        theirs: String,
        /// What it has to be at least.
        wanted: String,
        /// Of what that is the version.
        of: &'static str,
    },
    /// The deadline of a start came first.
    #[error("the time was up before these were started: {}", .0.join(", "))]
    NotStarted(Vec<String>),
    /// More than one of the above.
    #[error("{}", sentence(.0))]
    Several(Vec<DockerError>),
}

impl DockerError {
    /// Whether nothing could be learned because the daemon did not answer. Of several, if that is so of any.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Several(errors) => errors.iter().any(Self::is_unreachable),
            _ => false,
        }
    }

    /// Whether Docker has none of what it was asked for.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether Docker itself failed. One that was just restarted does so for a moment, while it still cleans up.
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500,
            Self::Several(errors) => errors.iter().any(Self::is_internal),
            _ => false,
        }
    }

    /// Whether it says that a container runs or may run. If not, Docker said nothing about containers.
    pub fn is_about_containers(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::NotUnderstood { .. }
            | Self::OutOfTime { .. } => false,
            Self::Several(errors) => errors.iter().any(Self::is_about_containers),
            _ => true,
        }
    }

    /// Whether Docker may still be about to do something that it was told to do and did not confirm.
    pub fn leaves_orders(&self) -> bool {
        match self {
            Self::OutOfTime { .. } | Self::NotStarted(_) | Self::Unreachable { .. } => true,
            Self::Several(errors) => errors.iter().any(Self::leaves_orders),
            _ => false,
        }
    }

    /// Nothing wrong, one error, or several as one.
    pub(super) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}

/// The first few names, and how many more there are.
pub(super) fn few(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The first few: seventeen containers that fail for one reason say nothing new.
fn sentence(errors: &[DockerError]) -> String {
    let shown: Vec<String> = errors.iter().take(SHOWN).map(ToString::to_string).collect();
    match errors.len().saturating_sub(SHOWN) {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(number: usize) -> DockerError {
        DockerError::Container {
            name: format!("c{number}"),
            what: "does not run".to_owned(),
        }
    }

    #[test]
    fn many_errors_are_one_short_sentence() {
        let Err(error) = DockerError::all((0..17).map(failed).collect()) else {
            panic!("17 errors are no success");
        };
        assert_eq!(
            error.to_string(),
            "c0 does not run; c1 does not run; c2 does not run; and 14 more"
        );
        assert!(DockerError::all(Vec::new()).is_ok());
    }

    #[test]
    fn a_daemon_that_is_away_is_told_from_one_that_refuses() {
        let away = DockerError::Unreachable {
            doing: "list".to_owned(),
            socket: "/run/docker.sock".into(),
            said: "Connection refused".to_owned(),
        };
        assert!(DockerError::Several(vec![failed(1), away]).is_unreachable());
        assert!(!failed(1).is_unreachable());
        let refused = |status| DockerError::Refused {
            doing: "start c1".to_owned(),
            status,
            said: "id already in use".to_owned(),
        };
        assert!(DockerError::Several(vec![failed(1), refused(500)]).is_internal());
        assert!(!refused(404).is_internal());
    }
}
