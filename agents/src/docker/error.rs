//! What can go wrong with Docker, in the words of whoever has to repair it.

use std::path::PathBuf;

/// How many errors or names one sentence spells out.
const SHOWN: usize = 3;

pub(super) type Result<T = (), E = DockerError> = std::result::Result<T, E>;

/// Why Docker did not tell something, or did not do something. `doing` is what was being done, `said` what came back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DockerError {
    /// The daemon gave no answer: no socket, nobody listens, or too slow. Nothing is known about the containers.
    #[error("cannot {doing}: Docker does not answer on {socket}: {said}")]
    Unreachable {
        doing: String,
        socket: PathBuf,
        said: String,
    },
    /// The daemon answered with an error.
    #[error("cannot {doing}: Docker says: {said} ({status})")]
    Refused {
        doing: String,
        status: u16,
        said: String,
    },
    /// The daemon's answer is not what the API describes.
    #[error("cannot {doing}: Docker's answer is not understood: {said}")]
    NotUnderstood { doing: String, said: String },
    /// The Docker or the containers of this node cannot run the PBX. Another node has its own.
    #[error("{0}")]
    Unusable(String),
    /// One container, or the project, did not do what it should: a sentence without its subject.
    #[error("{name} {what}")]
    Container { name: String, what: String },
    /// The caller's deadline came first. Docker may still be doing it.
    #[error("cannot {doing} in time: Docker was not done after {seconds:.1} s")]
    OutOfTime { doing: String, seconds: f64 },
    /// The deadline of a start came first.
    #[error("the time was up before these were started: {}", .0.join(", "))]
    NotStarted(Vec<String>),
    /// More than one of the above.
    #[error("{}", few(.0, "; "))]
    Several(Vec<DockerError>),
}

impl DockerError {
    pub(super) fn container(name: &str, what: impl Into<String>) -> Self {
        let (name, what) = (name.to_owned(), what.into());
        Self::Container { name, what }
    }

    /// Whether the daemon did not answer.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.any(&|it| matches!(it, Self::Unreachable { .. }))
    }

    /// Whether Docker itself failed. A Docker that was just restarted does so for a moment, while it still cleans up.
    pub(crate) fn is_internal(&self) -> bool {
        self.any(&|it| matches!(it, Self::Refused { status: 500.., .. }))
    }

    /// Whether it says that a container runs or may run. If not, Docker said nothing about containers.
    pub(crate) fn is_about_containers(&self) -> bool {
        use DockerError::{NotUnderstood, OutOfTime, Refused, Unreachable};
        let says_nothing = |it: &Self| {
            matches!(it, Unreachable { .. } | Refused { .. })
                || matches!(it, NotUnderstood { .. } | OutOfTime { .. })
        };
        self.any(&|it| !says_nothing(it))
    }

    /// Whether Docker may still carry out a command that it has not confirmed.
    pub(crate) fn leaves_commands(&self) -> bool {
        use DockerError::{NotStarted, OutOfTime, Unreachable};
        self.any(&|it| matches!(it, OutOfTime { .. } | NotStarted(_) | Unreachable { .. }))
    }

    /// Whether this error, or any of several, is such.
    fn any(&self, is_such: &dyn Fn(&Self) -> bool) -> bool {
        match self {
            Self::Several(errors) => errors.iter().any(|error| error.any(is_such)),
            one => is_such(one),
        }
    }

    /// Nothing wrong, one error, or several as one.
    pub(super) fn all(mut errors: Vec<Self>) -> Result {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}

/// The first few, and how many more there are: seventeen containers that fail for one reason say nothing new.
pub(super) fn few<T: ToString>(all: &[T], separator: &str) -> String {
    let mut shown: Vec<String> = all.iter().take(SHOWN).map(T::to_string).collect();
    if all.len() > SHOWN {
        shown.push(format!("and {} more", all.len() - SHOWN));
    }
    shown.join(separator)
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
