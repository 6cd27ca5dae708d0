//! Docker's words for the state and the health of a container. Pure. A word that this agent does not know is kept
//! and reported, and such a container is taken to run.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RunState {
    /// Never started.
    Created,
    Running,
    /// Its processes are frozen (`docker pause`).
    Paused,
    /// It has ended, and Docker is about to start it again.
    Restarting,
    Exited,
    Removing,
    /// Docker could not remove it completely.
    Dead,
    Stopping,
    Unknown(String),
}

impl RunState {
    pub(super) fn of(word: &str) -> Self {
        match word {
            "created" => Self::Created,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "exited" => Self::Exited,
            "removing" => Self::Removing,
            "dead" => Self::Dead,
            "stopping" => Self::Stopping,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// Whether the container has processes or may have some in a moment.
    pub(super) fn is_live(&self) -> bool {
        use RunState::{Created, Dead, Exited, Removing};
        !matches!(self, Created | Exited | Removing | Dead)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "was never started",
            Self::Running => "runs",
            Self::Paused => "is paused",
            Self::Restarting => "is restarted again and again",
            Self::Exited => "has ended",
            Self::Removing => "is being removed",
            Self::Dead => "is dead",
            Self::Stopping => "is stopping",
            Self::Unknown(word) => {
                return write!(f, "is not known to run: Docker gives its state as `{word}`");
            }
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Health {
    /// The container has no health check.
    None,
    /// No check has passed yet.
    Starting,
    Healthy,
    Unhealthy,
    Unknown(String),
}

impl Health {
    pub(super) fn of(word: &str) -> Self {
        match word {
            "" | "none" => Self::None,
            "starting" => Self::Starting,
            "healthy" => Self::Healthy,
            "unhealthy" => Self::Unhealthy,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// Reads the health from the text `Up 5 seconds (healthy)`. A list has a field for it only since version 1.52
    /// of the API (Docker 29).
    pub(super) fn in_text(status: &str) -> Self {
        let up = status.strip_prefix("Up ");
        let up = up.and_then(|rest| rest.strip_suffix(')'));
        match up.and_then(|rest| rest.rsplit_once('(')) {
            None | Some((_, "Paused")) => Self::None,
            Some((_, "health: starting")) => Self::Starting,
            Some((_, word)) => Self::of(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_read_from_the_status_text() {
        for (text, health) in [
            ("Up 5 seconds (healthy)", Health::Healthy),
            ("Up 5 minutes (unhealthy)", Health::Unhealthy),
            ("Up Less than a second (health: starting)", Health::Starting),
            ("Up 5 seconds", Health::None),
            ("Up 5 seconds (Paused)", Health::None),
            ("Up 5 seconds (tired)", Health::Unknown("tired".to_owned())),
            ("Exited (137) 3 seconds ago", Health::None),
        ] {
            assert_eq!(Health::in_text(text), health, "{text}");
        }
    }

    #[test]
    fn a_state_that_is_not_known_may_have_processes_and_is_told_as_docker_says_it() {
        let state = RunState::of("hibernating");
        assert!(state.is_live());
        let said = state.to_string();
        assert!(
            said.contains("not known to run") && said.contains("`hibernating`"),
            "{said}"
        );
    }
}
