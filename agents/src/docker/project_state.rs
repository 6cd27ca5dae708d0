//! Whether a project runs as a whole, judged from one list of its containers. Pure.

use std::collections::BTreeSet;

use super::container::{Condition, Container};
use super::members::{DATABASE, Leftover, Members, is_required, was_ever_required};
use super::run_state::{Health, RunState};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProjectState {
    /// It has no containers on this host.
    Absent,
    /// No container runs.
    Stopped,
    Running,
    /// A container runs, but the project does not run as it should.
    Broken {
        reason: String,
        /// The id of the only container that does not run, if it has ended and nothing else is wrong.
        ended: Option<String>,
    },
    /// All required containers run, but a container runs that should not, or Docker says something unknown.
    Unclear {
        what: Vec<String>,
    },
}

impl ProjectState {
    /// Judges the containers of a project to which all of `services` belonged at the start. A container need not run
    /// when it has ended with code 0, if others wait for it to complete, or if somebody has added it and no other
    /// needs it.
    pub(super) fn of(members: &Members, services: &[String]) -> Self {
        let broken = |reason, ended| Self::Broken { reason, ended };
        let databases = databases(members);
        if databases.len() > 1 {
            let names = databases.join(", ");
            let reason = format!("two databases run on the same data, which destroys it: {names}");
            return broken(reason, None);
        }
        let containers = &members.services;
        if containers.is_empty() {
            return Self::Absent;
        }
        if !containers.iter().any(|container| container.state.is_live()) {
            return Self::Stopped;
        }
        let missing = missing(containers, services).join(", ");
        if !missing.is_empty() {
            let reason = format!(
                "there is no container any more of {missing}: create it with `docker compose create --no-recreate`"
            );
            return broken(reason, None);
        }
        let unhealthy = containers
            .iter()
            .filter(|it| it.health == Health::Unhealthy);
        let unhealthy: Vec<&str> = unhealthy.map(|it| it.name.as_str()).collect();
        let unknown = containers.iter().filter_map(unknown_word);
        let what: Vec<String> = live_leftovers(members)
            .chain(unknown)
            .chain(gone(members, services))
            .collect();
        let is_up = |it: &Container| matches!(it.state, RunState::Running | RunState::Unknown(_));
        let is_done = |it: &Container| it.completed() && may_complete(it, containers);
        let not_running: Vec<&Container> = containers
            .iter()
            .filter(|it| !is_up(it) && !is_done(it))
            .collect();
        match not_running.as_slice() {
            [] if !unhealthy.is_empty() => {
                broken(format!("unhealthy: {}", unhealthy.join(", ")), None)
            }
            [] if !what.is_empty() => Self::Unclear { what },
            [] => Self::Running,
            [one] if one.state == RunState::Exited && unhealthy.is_empty() && what.is_empty() => {
                broken(not_all_run(containers, &not_running), Some(one.id.clone()))
            }
            _ => broken(not_all_run(containers, &not_running), None),
        }
    }
}

fn not_all_run(containers: &[Container], not_running: &[&Container]) -> String {
    let running = containers.iter().filter(|it| it.state == RunState::Running);
    let running = running.count();
    let how = not_running.iter().map(|it| {
        // The processes of a paused container do not run, so it serves nobody.
        let paused = match it.state {
            RunState::Paused => ": somebody paused it with `docker pause`, and it serves nobody",
            _ => "",
        };
        format!("{} ({}{paused})", it.name, it.status)
    });
    let how: Vec<String> = how.collect();
    format!("{running} containers run, but not {}", how.join(", "))
}

/// The names of the database's containers that run.
fn databases(members: &Members) -> Vec<&str> {
    let leftovers = members.leftovers.iter().map(|it| &it.container);
    let all = members.services.iter().chain(leftovers);
    let running = all.filter(|it| it.service == DATABASE && it.state.is_live());
    running.map(|it| it.name.as_str()).collect()
}

/// Leftovers that run beside the container that counts.
fn live_leftovers(members: &Members) -> impl Iterator<Item = String> {
    let leftovers = members.leftovers.iter();
    let live = leftovers.filter(|it| it.container.state.is_live());
    live.map(|Leftover { container, why }| {
        let (name, state) = (&container.name, &container.state);
        format!("{name} {state} and is left over: it {why}")
    })
}

/// A word of Docker about a container that this agent does not know.
fn unknown_word(container: &Container) -> Option<String> {
    let name = &container.name;
    match (&container.state, &container.health) {
        (state @ RunState::Unknown(_), _) => Some(format!("{name} {state}")),
        (_, Health::Unknown(word)) => Some(format!(
            "{name} is not known to be healthy: Docker gives its health as `{word}`"
        )),
        _ => None,
    }
}

/// The required services without a container, of `services` and of those that others depend on.
fn missing<'a>(containers: &'a [Container], services: &'a [String]) -> Vec<&'a str> {
    let needed = containers.iter().flat_map(Container::dependencies);
    let known = services.iter().chain(needed.map(|it| &it.service));
    let has = |service: &str| containers.iter().any(|it| it.service == service);
    let missing = known.filter(|it| is_required(it) && !has(it));
    missing
        .map(String::as_str)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Those of `services` that are not required and have no container that counts. An update may have dropped them.
fn gone(members: &Members, services: &[String]) -> Vec<String> {
    let counts = |service: &str| members.services.iter().any(|it| it.service == service);
    let leftovers = || members.leftovers.iter();
    let leftover_of = |service: &str| leftovers().find(|it| it.container.service == service);
    let gone = services.iter().filter(|it| !is_required(it) && !counts(it));
    gone.filter_map(|service| match leftover_of(service) {
        // `live_leftovers` reports it.
        Some(leftover) if leftover.container.state.is_live() => None,
        Some(Leftover { container: Container { name, .. }, why }) => Some(format!(
            "{name} does not count any more: it {why}; remove it with `docker rm {name}`"
        )),
        None => Some(format!(
            "there is no container any more of {service}, which the last start started; the PBX runs without it"
        )),
    })
    .collect()
}

/// Whether a container may have ended with code 0, because it does one thing and ends.
fn may_complete(container: &Container, containers: &[Container]) -> bool {
    let service = &container.service;
    let needs = containers.iter().flat_map(Container::dependencies);
    let mut needs = needs.filter(|it| it.service == *service).peekable();
    match needs.peek() {
        None => !was_ever_required(service),
        Some(_) => needs.any(|it| it.condition == Condition::CompletedSuccessfully),
    }
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
        let members = Members {
            services: containers.to_vec(),
            leftovers: left_over.collect(),
        };
        ProjectState::of(&members, services)
    }

    fn reason(state: &ProjectState) -> &str {
        match state {
            ProjectState::Broken { reason, .. } => reason,
            _ => "",
        }
    }

    fn does_not_run(state: &ProjectState) -> bool {
        reason(state).contains("containers run, but not ")
    }

    fn ended(state: &ProjectState) -> Option<&str> {
        match state {
            ProjectState::Broken { ended, .. } => ended.as_deref(),
            _ => None,
        }
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
            ProjectState::Broken {
                reason: "1 containers run, but not portsip.s1 (Exited (137) 1 second ago)".into(),
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
                if odd.0 == RunState::Paused {
                    assert!(reason(&state).contains("`docker pause`"), "{state:?}");
                }
                let nothing_ended = does_not_run(&state) && ended(&state).is_none();
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
        let nothing_ended = does_not_run(&state) && ended(&state).is_none();
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
        assert!(does_not_run(&state) && ended(&state).is_none());
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
        let missing = "there is no container any more of nats, voicemail: ";
        assert!(reason(&state).starts_with(missing), "{state:?}");
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
        assert!(does_not_run(&needed), "{needed:?}");
        for service in ["ai", "databoard"] {
            let mut all = project(&[UP, DONE]);
            all[1].service = service.to_owned();
            let state = of(&all);
            assert!(does_not_run(&state), "{state:?}");
        }
        let failed = of(&project(&[UP, ENDED]));
        assert!(does_not_run(&failed), "{failed:?}");
    }

    #[test]
    fn an_unhealthy_container_is_named() {
        let mut all = project(&[UP, UP]);
        all[1].health = Health::Unhealthy;
        assert_eq!(reason(&of(&all)), "unhealthy: portsip.s1");
        all[1].health = Health::Starting;
        assert_eq!(of(&all), ProjectState::Running);
    }

    #[test]
    fn a_container_that_had_to_complete_need_not_run() {
        let mut all = project(&[DONE]);
        all.push(container("app", "s0:service_completed_successfully:false"));
        assert_eq!(of(&all), ProjectState::Running);
        all[0].status = "Exited (1) 3 seconds ago".into();
        assert!(does_not_run(&of(&all)));
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
        assert!(does_not_run(&state) && ended(&state).is_none(), "{state:?}");
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
        for state in [RunState::Running, RunState::Paused, RunState::Restarting] {
            let both = judged(&now, &[database("old", state)], &[]);
            assert!(reason(&both).starts_with("two databases run"), "{both:?}");
            assert!(reason(&both).ends_with(": new, old"), "{both:?}");
        }
        let one = judged(&now, &[database("old", RunState::Exited)], &[]);
        assert!(does_not_run(&one), "{one:?}");
    }
}
