//! What can go wrong with Docker, in the words of whoever has to mend it.

use std::error::Error;
use std::path::PathBuf;

use super::order::OrderError;

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
    /// Nothing of the project exists on this host.
    #[error("project {project} has no containers here: make them with `docker compose create`")]
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
    /// More than one of the above.
    #[error("{}", sentence(.0))]
    Several(Vec<DockerError>),
}

impl DockerError {
    /// Whether nothing could be learned because the daemon did not answer.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Several(errors) => errors.iter().any(Self::is_unreachable),
            _ => false,
        }
    }

    /// The HTTP status of a daemon that answered with an error.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
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

fn sentence(errors: &[DockerError]) -> String {
    let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// An error with its causes, each once: hyper says only "client error" at the top.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        cause = error.source();
    }
    said
}
