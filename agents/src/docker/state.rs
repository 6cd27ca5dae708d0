//! Whether a project runs as a whole, judged from one list of its containers. Pure.

use std::collections::BTreeSet;

use super::condition::{Health, RunState};
use super::container::{Condition, Container};
use super::counted::{Counted, DATABASE, Leftover, is_vendors, was_ever_vendors};

/// Whether a project runs as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectState {
    /// It has no containers on this host.
    Absent,
    /// Nothing of it runs.
    Stopped,
    /// Everything runs and no health check has failed.
    Running,
    /// More than one container of the database runs. Two servers on the same data destroy them.
    TwoDatabases {
        /// The names of the containers.
        names: Vec<String>,
    },
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
        /// The id of the one that does not run, if it has ended and nothing else is wrong.
        ended: Option<String>,
    },
    /// Everything runs, but of these containers the health check has failed.
    Unhealthy {
        /// The names of the containers.
        names: Vec<String>,
    },
    /// What has to run does, but a container runs that should not, or Docker says something that is not known.
    Unclear {
        /// What is so, of which container.
        what: Vec<String>,
    },
}

impl ProjectState {
    /// Judges a list of containers, to which all of `services` belonged at the start. One that others wait for to
    /// complete, or that somebody has added and no other needs, need not run when it has ended with code 0.
    pub(super) fn of(counted: &Counted, services: &[String]) -> Self {
        let names = databases(counted);
        if names.len() > 1 {
            return Self::TwoDatabases { names };
        }
        let containers = &counted.services;
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
            .filter(|it| !matches!(it.state, RunState::Running | RunState::Unknown(_)))
            .filter(|it| !(it.completed() && may_complete(it, containers)))
            .collect();
        let unhealthy: Vec<_> = containers
            .iter()
            .filter(|it| it.health == Health::Unhealthy)
            .collect();
        let left_over = left_over(counted);
        let unclear: Vec<String> = left_over
            .chain(containers.iter().filter_map(unclear))
            .chain(gone(counted, services))
            .collect();
        if !not_running.is_empty() {
            let running = containers
                .iter()
                .filter(|it| it.state == RunState::Running)
                .count();
            let ended = match not_running.as_slice() {
                [one] if unhealthy.is_empty() && unclear.is_empty() => Some(*one),
                _ => None,
            };
            return Self::Partly {
                running,
                ended: ended
                    .filter(|it| it.state == RunState::Exited)
                    .map(|it| it.id.clone()),
                not_running: not_running
                    .iter()
                    .map(|it| (it.name.clone(), it.status.clone()))
                    .collect(),
            };
        }
        let names: Vec<_> = unhealthy.iter().map(|it| it.name.clone()).collect();
        match (names.is_empty(), unclear.is_empty()) {
            (false, _) => Self::Unhealthy { names },
            (true, false) => Self::Unclear { what: unclear },
            (true, true) => Self::Running,
        }
    }
}

/// The containers of the database that run.
fn databases(counted: &Counted) -> Vec<String> {
    let left_over = counted.leftovers.iter().map(|it| &it.container);
    let all = counted.services.iter().chain(left_over);
    let of_it = all.filter(|it| it.service == DATABASE && it.state.is_live());
    of_it.map(|it| it.name.clone()).collect()
}

/// What is left over and runs beside the container that counts.
fn left_over(counted: &Counted) -> impl Iterator<Item = String> {
    let live = counted
        .leftovers
        .iter()
        .filter(|it| it.container.state.is_live());
    live.map(|it| {
        let name = &it.container.name;
        format!(
            "{name} {} and is left over: it {}",
            it.container.state, it.why
        )
    })
}

/// A word of Docker about a container that is not known.
fn unclear(container: &Container) -> Option<String> {
    let name = &container.name;
    match (&container.state, &container.health) {
        (state @ RunState::Unknown(_), _) => Some(format!("{name} {state}")),
        (_, Health::Unknown(word)) => Some(format!(
            "{name} is not known to be healthy: Docker gives its health as `{word}`"
        )),
        _ => None,
    }
}

/// Which services of the vendor's have no container, of `services` and of those that others depend on.
fn missing(containers: &[Container], services: &[String]) -> Vec<String> {
    let needed = containers
        .iter()
        .flat_map(|container| container.depends_on.iter().flatten())
        .map(|dependency| &dependency.service);
    let known = services.iter().chain(needed);
    let known: BTreeSet<&String> = known.filter(|service| is_vendors(service)).collect();
    let there: BTreeSet<&String> = containers.iter().map(|it| &it.service).collect();
    known.difference(&there).map(ToString::to_string).collect()
}

/// Which of `services` the PBX can do without and have no container that counts. An update may have dropped them.
fn gone(counted: &Counted, services: &[String]) -> Vec<String> {
    let counts = |service: &str| counted.services.iter().any(|it| it.service == service);
    let of_leftover = |service: &str| {
        let mut leftovers = counted.leftovers.iter();
        leftovers.find(|it| it.container.service == service)
    };
    let gone = services
        .iter()
        .filter(|it| !is_vendors(it) && !counts(it))
        // One that runs is told as such.
        .filter(|it| !of_leftover(it).is_some_and(|it| it.container.state.is_live()));
    gone.map(|service| match of_leftover(service) {
        Some(Leftover { container, why }) => format!(
            "{} does not count any more: it {why}; remove it with `docker rm {}`",
            container.name, container.name
        ),
            None => format!(
                "there is no container any more of {service}, which the last start started; the PBX runs without it"
            ),
    })
    .collect()
}

/// Whether a container may have ended with code 0: it does one thing and ends.
fn may_complete(container: &Container, containers: &[Container]) -> bool {
    let service = &container.service;
    let dependencies = containers
        .iter()
        .flat_map(|it| it.depends_on.iter().flatten());
    let mut needed_as = dependencies
        .filter(|it| it.service == *service)
        .map(|it| it.condition)
        .peekable();
    if needed_as.peek().is_none() {
        return !was_ever_vendors(service);
    }
    needed_as.any(|condition| condition == Condition::CompletedSuccessfully)
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
                state: state.clone(),
                status: (*status).to_owned(),
                ..container(&format!("s{number}"), "")
            })
            .collect()
    }

    fn of(containers: &[Container]) -> ProjectState {
        judged(containers, &[], &[])
    }

    /// `left_over` are older containers of services.
    fn judged(
        containers: &[Container],
        left_over: &[Container],
        services: &[String],
    ) -> ProjectState {
        let left_over = left_over.iter().map(|container| Leftover {
            container: container.clone(),
            why: "is older".to_owned(),
        });
        let counted = Counted {
            services: containers.to_vec(),
            leftovers: left_over.collect(),
        };
        ProjectState::of(&counted, services)
    }

    const UP: (RunState, &str) = (RunState::Running, "Up 5 seconds");
    const NEW: (RunState, &str) = (RunState::Created, "Created");
    const ENDED: (RunState, &str) = (RunState::Exited, "Exited (1) 3 seconds ago");
    const DONE: (RunState, &str) = (RunState::Exited, "Exited (0) 3 seconds ago");

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
                not_running: vec![("portsip.s1".into(), "Exited (137) 1 second ago".into())],
                ended: Some("id-s1".into()),
            }
        );
    }

    #[test]
    fn a_paused_or_restarting_container_is_neither_stopped_nor_running() {
        for odd in [
            (RunState::Paused, "Up 5 seconds (Paused)"),
            (RunState::Restarting, "Restarting (1) 2 seconds ago"),
        ] {
            for others in [UP, ENDED] {
                let state = of(&project(&[odd.clone(), others]));
                let nothing_ended = matches!(state, ProjectState::Partly { ended: None, .. });
                assert!(nothing_ended, "{odd:?}: {state:?}");
            }
        }
    }

    #[test]
    fn a_word_that_is_not_known_is_told_and_no_failure() {
        let odd = (RunState::of("hibernating"), "Hibernating");
        let ProjectState::Unclear { what } = of(&project(&[UP, odd.clone()])) else {
            panic!("a state that is not known");
        };
        assert!(
            what[0].starts_with("portsip.s1 is not known to run"),
            "{what:?}"
        );
        let state = of(&project(&[odd, ENDED]));
        let nothing_ended = matches!(state, ProjectState::Partly { ended: None, .. });
        assert!(
            nothing_ended,
            "it may be more than one that has ended: {state:?}"
        );
        let mut tired = project(&[UP]);
        tired[0].health = Health::Unknown("tired".into());
        assert!(matches!(of(&tired), ProjectState::Unclear { .. }));
    }

    #[test]
    fn two_that_have_ended_are_more_than_one() {
        let state = of(&project(&[UP, ENDED, ENDED]));
        assert!(matches!(state, ProjectState::Partly { ended: None, .. }));
    }

    #[test]
    fn a_service_whose_container_was_removed_is_named() {
        let all = [
            container(
                "gateway",
                "nats:service_started:false,crm:service_started:false",
            ),
            container("ai", ""),
        ];
        let state = judged(&all, &[], &["ai".into(), "crm".into(), "voicemail".into()]);
        let missing = vec!["nats".into(), "voicemail".into()];
        assert_eq!(state, ProjectState::Incomplete { missing });
    }

    #[test]
    fn a_service_that_the_pbx_can_do_without_is_shown_when_its_container_is_gone() {
        let all = project(&[UP]);
        let databoard = Container {
            state: RunState::Exited,
            ..container("databoard", "")
        };
        for (left_over, service, says) in [
            (&[][..], "crm", "no container any more of crm"),
            (&[][..], "databoard", "no container any more of databoard"),
            (
                &[databoard][..],
                "databoard",
                "portsip.databoard does not count any more: it is older",
            ),
        ] {
            let services = ["s0".to_owned(), service.to_owned()];
            let ProjectState::Unclear { what } = judged(&all, left_over, &services) else {
                panic!("{service} is gone");
            };
            assert_eq!(what.len(), 1, "{what:?}");
            assert!(what[0].contains(says), "{what:?}");
        }
    }

    #[test]
    fn one_that_somebody_has_added_may_do_one_thing_and_end() {
        let mut all = project(&[UP, DONE]);
        assert_eq!(of(&all), ProjectState::Running);
        all[0].depends_on = container("app", "s1:service_started:false").depends_on;
        let needed = of(&all);
        assert!(matches!(needed, ProjectState::Partly { .. }), "{needed:?}");
        for service in ["ai", "databoard"] {
            let mut all = project(&[UP, DONE]);
            all[1].service = service.to_owned();
            let state = of(&all);
            assert!(matches!(state, ProjectState::Partly { .. }), "{state:?}");
        }
        let failed = of(&project(&[UP, ENDED]));
        assert!(matches!(failed, ProjectState::Partly { .. }), "{failed:?}");
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
        let mut all = project(&[DONE]);
        all.push(container("app", "s0:service_completed_successfully:false"));
        assert_eq!(of(&all), ProjectState::Running);
        all[0].status = "Exited (1) 3 seconds ago".into();
        assert!(matches!(of(&all), ProjectState::Partly { .. }));
    }

    #[test]
    fn a_container_that_is_left_over_and_runs_is_named() {
        let mut old = container("gateway", "");
        old.name = "portsip.old".to_owned();
        let now = [container("gateway", ""), container("nats", "")];
        let ProjectState::Unclear { what } = judged(&now, std::slice::from_ref(&old), &[]) else {
            panic!("two containers of one service run");
        };
        assert!(
            what[0].starts_with("portsip.old runs and is left over"),
            "{what:?}"
        );
        old.state = RunState::Exited;
        assert_eq!(judged(&now, &[old], &[]), ProjectState::Running);
    }

    #[test]
    fn beside_one_that_is_left_over_and_runs_nothing_is_started_again() {
        let state = judged(&project(&[UP, ENDED]), &project(&[UP]), &[]);
        assert!(
            matches!(state, ProjectState::Partly { ended: None, .. }),
            "{state:?}"
        );
    }

    #[test]
    fn two_databases_are_worse_than_anything_else() {
        let database = |name: &str, state: RunState| Container {
            name: name.to_owned(),
            state,
            ..container("database", "")
        };
        let mut now = project(&[UP, ENDED]);
        now.push(database("new", RunState::Running));
        let names = vec!["new".to_owned(), "old".to_owned()];
        for state in [RunState::Running, RunState::Paused, RunState::Restarting] {
            let both = judged(&now, &[database("old", state)], &[]);
            assert_eq!(
                both,
                ProjectState::TwoDatabases {
                    names: names.clone()
                }
            );
        }
        let one = judged(&now, &[database("old", RunState::Exited)], &[]);
        assert!(matches!(one, ProjectState::Partly { .. }), "{one:?}");
    }
}
