//! Docker's words for how a container is: its state and its health. Pure. A word that is not known means that it
//! is not known how the container is, and is told.

use std::fmt;

/// Docker's state of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RunState {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Ended, and Docker is about to start it again.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
    /// Could not be removed completely.
    Dead,
    /// Ending.
    Stopping,
    /// A word that we do not know.
    Unknown(String),
}

impl RunState {
    /// Reads Docker's word.
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

    /// Whether processes of it exist or may exist in a moment.
    pub(super) fn is_live(&self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Restarting | Self::Stopping | Self::Unknown(_) => {
                true
            }
            Self::Created | Self::Exited | Self::Removing | Self::Dead => false,
        }
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

/// What a container's health check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Health {
    /// It has none.
    None,
    /// No check has passed yet.
    Starting,
    /// The last check passed.
    Healthy,
    /// As many checks failed as make it unhealthy.
    Unhealthy,
    /// A word that we do not know.
    Unknown(String),
}

impl Health {
    /// Reads Docker's word.
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
        let in_brackets = status
            .strip_prefix("Up ")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|rest| rest.rsplit_once('('));
        match in_brackets {
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
