//! Whether a project runs as a whole, judged from one list of its containers. Pure.

use std::collections::BTreeSet;

use super::container::{Condition, Container, Health, RunState};

/// Whether a project runs as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectState {
    /// It has no containers on this host.
    Absent,
    /// Nothing of it runs.
    Stopped,
    /// Everything runs and no health check has failed.
    Running,
    /// Something runs, and of these services there is no container.
    Incomplete {
        /// The names of the services.
        missing: Vec<String>,
    },
    /// Something runs and something does not.
    Partly {
        /// How many run.
        running: usize,
        /// What does not run, and Docker's words for how it is.
        not_running: Vec<(String, String)>,
    },
    /// Everything runs, but of these containers the health check has failed.
    Unhealthy {
        /// The names of the containers.
        names: Vec<String>,
    },
}

impl ProjectState {
    /// Judges a list of containers, to which all of `services` belong. One that others wait for to
    /// complete need not run when it has ended with code 0.
    pub(super) fn of(containers: &[Container], services: &[String]) -> Self {
        if containers.is_empty() {
            return Self::Absent;
        }
        if !containers.iter().any(|container| container.state.is_live()) {
            return Self::Stopped;
        }
        let missing = missing(containers, services);
        if !missing.is_empty() {
            return Self::Incomplete { missing };
        }
        let not_running: Vec<_> = containers
            .iter()
            .filter(|container| container.state != RunState::Running)
            .filter(|container| !(container.completed() && must_complete(container, containers)))
            .map(|container| (container.name.clone(), container.status.clone()))
            .collect();
        if !not_running.is_empty() {
            return Self::Partly {
                running: containers
                    .iter()
                    .filter(|container| container.state == RunState::Running)
                    .count(),
                not_running,
            };
        }
        let names: Vec<_> = containers
            .iter()
            .filter(|container| container.health == Health::Unhealthy)
            .map(|container| container.name.clone())
            .collect();
        if names.is_empty() {
            Self::Running
        } else {
            Self::Unhealthy { names }
        }
    }
}

/// Which of `services`, and of those that others depend on, have no container.
fn missing(containers: &[Container], services: &[String]) -> Vec<String> {
    let needed = containers
        .iter()
        .flat_map(|container| container.depends_on.iter().flatten())
        .map(|dependency| &dependency.service);
    let known: BTreeSet<&String> = services.iter().chain(needed).collect();
    let there: BTreeSet<&String> = containers.iter().map(|it| &it.service).collect();
    known.difference(&there).map(ToString::to_string).collect()
}

fn must_complete(container: &Container, containers: &[Container]) -> bool {
    containers
        .iter()
        .flat_map(|other| other.depends_on.iter().flatten())
        .any(|dependency| {
            dependency.service == container.service
                && dependency.condition == Condition::CompletedSuccessfully
        })
}

#[cfg(test)]
mod tests {
    use super::super::order::tests::container;
    use super::*;

    fn project(states: &[(RunState, &str)]) -> Vec<Container> {
        states
            .iter()
            .enumerate()
            .map(|(number, (state, status))| Container {
                state: *state,
                status: (*status).to_owned(),
                ..container(&format!("s{number}"), "")
            })
            .collect()
    }

    fn of(containers: &[Container]) -> ProjectState {
        ProjectState::of(containers, &[])
    }

    const UP: (RunState, &str) = (RunState::Running, "Up 5 seconds");
    const NEW: (RunState, &str) = (RunState::Created, "Created");
    const ENDED: (RunState, &str) = (RunState::Exited, "Exited (0) 3 seconds ago");

    #[test]
    fn all_or_nothing() {
        assert_eq!(of(&[]), ProjectState::Absent);
        assert_eq!(of(&project(&[NEW, ENDED])), ProjectState::Stopped);
        assert_eq!(of(&project(&[UP, UP])), ProjectState::Running);
    }

    #[test]
    fn what_does_not_run_is_named_with_the_reason() {
        let state = of(&project(&[
            UP,
            (RunState::Exited, "Exited (137) 1 second ago"),
        ]));
        assert_eq!(
            state,
            ProjectState::Partly {
                running: 1,
                not_running: vec![("portsip.s1".into(), "Exited (137) 1 second ago".into())]
            }
        );
    }

    #[test]
    fn a_paused_or_restarting_container_is_neither_stopped_nor_running() {
        for odd in [
            (RunState::Paused, "Up 5 seconds (Paused)"),
            (RunState::Restarting, "Restarting (1) 2 seconds ago"),
            (RunState::Unknown, ""),
        ] {
            for others in [UP, ENDED] {
                let state = of(&project(&[odd, others]));
                assert!(matches!(state, ProjectState::Partly { .. }), "{odd:?}");
            }
        }
    }

    #[test]
    fn a_service_whose_container_was_removed_is_named() {
        let all = [
            container("gateway", "nats:service_started:false"),
            container("ai", ""),
        ];
        let state = ProjectState::of(&all, &["ai".into(), "voicemail".into()]);
        let missing = vec!["nats".into(), "voicemail".into()];
        assert_eq!(state, ProjectState::Incomplete { missing });
    }

    #[test]
    fn an_unhealthy_container_is_named() {
        let mut all = project(&[UP, UP]);
        all[1].health = Health::Unhealthy;
        let names = vec!["portsip.s1".to_owned()];
        assert_eq!(of(&all), ProjectState::Unhealthy { names });
        all[1].health = Health::Starting;
        assert_eq!(of(&all), ProjectState::Running);
    }

    #[test]
    fn a_container_that_had_to_complete_need_not_run() {
        let mut all = project(&[ENDED]);
        all.push(container("app", "s0:service_completed_successfully:false"));
        assert_eq!(of(&all), ProjectState::Running);
        all[0].status = "Exited (1) 3 seconds ago".into();
        assert!(matches!(of(&all), ProjectState::Partly { .. }));
    }
}
