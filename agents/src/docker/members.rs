//! Which containers of a project are the PBX, and which are left over from before an update. Pure.
//!
//! Of each service, only the newest container counts. Others stay behind when `docker compose` is interrupted while it
//! replaces a container, or when somebody creates a second one. A service that a newer PBX does not have any more
//! (`databoard`) leaves a container of an older image than the rest.

use std::collections::BTreeMap;

use super::container::Container;
use super::run_state::RunState;
use super::version::is_older;

/// The services of the vendor's compose file that a PBX must have, beside the database.
const PROGRAMS: &str = "nats callmanager mediaserver gateway webserver wsspublisher voicemail virtualreceptionist \
    notificationcenter provision conference callqueue callpark announcement loadbalancer ai";
pub(super) const DATABASE: &str = "database";
/// What versions before 22.3 had in the place of `ai`.
const FORMER: &str = "databoard";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Members {
    /// The PBX: one container of each service.
    pub(super) services: Vec<Container>,
    /// Neither started nor monitored.
    pub(super) leftovers: Vec<Leftover>,
}

/// A container that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leftover {
    pub(super) container: Container,
    /// Why it does not count: a sentence without its subject.
    pub(super) why: String,
}

/// Whether a PBX of some version has this service.
pub(super) fn was_ever_required(service: &str) -> bool {
    is_required(service) || service == FORMER
}

/// Whether a PBX must have this service.
pub(super) fn is_required(service: &str) -> bool {
    service == DATABASE || is_program(service)
}

/// Whether it is one of the vendor's programs. The database has an image of its own, and so may what somebody has added.
fn is_program(service: &str) -> bool {
    PROGRAMS.split(' ').any(|program| program == service)
}

impl Members {
    /// The containers that a start starts: the newest of each service. Those of `docker compose run` are left out.
    pub(super) fn to_start(all: Vec<Container>) -> Self {
        Self::chosen_by(all, |of_service| of_service.len() - 1)
    }

    /// The containers of which the PBX consists as it runs. A newer container that was never started does not count
    /// beside one that runs; the next start takes it.
    pub(super) fn as_it_runs(all: Vec<Container>) -> Self {
        Self::chosen_by(all, |of_service| {
            let newest = of_service.len() - 1;
            let is_new = of_service[newest].state == RunState::Created;
            let running = of_service.iter().rposition(|it| it.state.is_live());
            running.filter(|_| is_new).unwrap_or(newest)
        })
    }

    /// `choose` gets the containers of one service, the oldest first, and returns the position of the one that counts.
    fn chosen_by(all: Vec<Container>, choose: impl Fn(&[Container]) -> usize) -> Self {
        let mut by_service: BTreeMap<String, Vec<Container>> = BTreeMap::new();
        for container in all.into_iter().filter(|container| !container.one_off) {
            let of_service = by_service.entry(container.service.clone()).or_default();
            of_service.push(container);
        }
        let mut members = Self::default();
        for (service, mut of_service) in by_service {
            // Of two that were created in the same second, the one that runs is last.
            of_service.sort_by_cached_key(|it| (it.created, it.state.is_live(), it.id.clone()));
            let position = choose(&of_service);
            let counts = of_service.remove(position);
            let name = &counts.name;
            for (at, container) in of_service.into_iter().enumerate() {
                let why = match at < position {
                    true => {
                        format!("is older than {name}, which is the container of {service} too")
                    }
                    false => format!("was never started, and {name} of {service} runs"),
                };
                members.leftovers.push(Leftover { container, why });
            }
            members.services.push(counts);
        }
        if let Some(version) = newest_version(&members.services) {
            let is_former = |it: &mut Container| {
                let own = it.version.as_deref().unwrap_or_default();
                it.service == FORMER && is_older(own, &version)
            };
            let former = members.services.extract_if(.., is_former);
            members.leftovers.extend(former.map(|container| Leftover {
                container,
                why: format!("is of a version before {version}, which has no such service"),
            }));
        }
        members
    }
}

/// The containers of the vendor's programs.
fn programs(services: &[Container]) -> impl Iterator<Item = &Container> {
    services.iter().filter(|it| is_program(&it.service))
}

/// The vendor's programs whose image has a version, with the version.
fn versions(services: &[Container]) -> impl Iterator<Item = (&Container, &str)> {
    programs(services).filter_map(|it| Some((it, it.version.as_deref()?)))
}

/// The newest version of the vendor's programs.
pub(super) fn newest_version(services: &[Container]) -> Option<String> {
    let versions = versions(services).map(|(_, version)| version);
    let newest = versions.reduce(|one, other| if is_older(one, other) { other } else { one });
    newest.map(str::to_owned)
}

/// The containers of the vendor's programs whose image is older than `version`, and the oldest version of these.
pub(super) fn older_than(services: &[Container], version: &str) -> Option<(Vec<String>, String)> {
    let old = || versions(services).filter(|(_, own)| is_older(own, version));
    let own = old().map(|(_, own)| own);
    let oldest = own.reduce(|one, other| if is_older(other, one) { other } else { one })?;
    let names = old().map(|(container, _)| container.name.clone());
    Some((names.collect(), oldest.to_owned()))
}

/// The containers of the vendor's programs that have another image than the newest of them. A tag moves, so two
/// images may have the same tag and the same version.
pub(super) fn of_another_image(services: &[Container]) -> Vec<String> {
    let newest = programs(services).max_by_key(|it| it.created);
    let others = programs(services).filter(|it| newest.is_some_and(|new| new.image != it.image));
    others.map(|it| it.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::order::tests::container;
    use super::*;

    fn made(service: &str, name: &str, created: i64, version: &str) -> Container {
        Container {
            id: format!("id-{name}"),
            name: name.to_owned(),
            created,
            version: (!version.is_empty()).then(|| version.to_owned()),
            ..container(service, "")
        }
    }

    fn names(containers: &[Container]) -> Vec<&str> {
        containers.iter().map(|it| it.name.as_str()).collect()
    }

    #[test]
    fn only_the_newest_container_of_a_service_counts() {
        let all = vec![
            made("gateway", "portsip.gateway", 100, "22.3.0"),
            made("gateway", "0123456789ab_portsip.gateway", 200, "22.4.0"),
            made("nats", "portsip.nats", 100, "22.4.0"),
            Container {
                one_off: true,
                ..made("nats", "portsip-nats-run-1", 300, "22.4.0")
            },
        ];
        let counted = Members::to_start(all);
        assert_eq!(
            names(&counted.services),
            ["0123456789ab_portsip.gateway", "portsip.nats"]
        );
        let left = &counted.leftovers;
        assert_eq!(
            (left.len(), left[0].container.name.as_str()),
            (1, "portsip.gateway")
        );
        assert!(
            left[0].why.contains("0123456789ab_portsip.gateway"),
            "{}",
            left[0].why
        );
    }

    #[test]
    fn of_two_containers_of_one_second_the_one_that_runs_counts_whatever_their_order() {
        let runs = made("ai", "portsip.ai", 100, "");
        let ended = Container {
            state: RunState::Exited,
            ..made("ai", "z", 100, "")
        };
        for all in [vec![runs.clone(), ended.clone()], vec![ended, runs]] {
            assert_eq!(names(&Members::to_start(all).services), ["portsip.ai"]);
        }
    }

    #[test]
    fn a_newer_container_that_was_never_started_counts_only_for_a_start() {
        let of = |name: &str, created: i64, state: RunState| Container {
            state,
            ..made("ai", name, created, "")
        };
        let new = || of("new", 300, RunState::Created);
        let old = || of("old", 100, RunState::Running);
        let ended = || of("ended", 200, RunState::Exited);
        for all in [
            vec![new(), old()],
            vec![old(), ended(), new()],
            vec![new(), ended(), old()],
        ] {
            assert_eq!(names(&Members::to_start(all.clone()).services), ["new"]);
            let now = Members::as_it_runs(all);
            assert_eq!(names(&now.services), ["old"]);
            assert!(!now.leftovers.iter().any(|it| it.container.state.is_live()));
        }
        for (all, counts) in [
            (vec![new(), ended()], "new"),
            (vec![ended(), old()], "ended"),
            (vec![old(), of("newer", 200, RunState::Paused)], "newer"),
        ] {
            assert_eq!(names(&Members::as_it_runs(all).services), [counts]);
        }
    }

    #[test]
    fn what_a_newer_pbx_has_no_more_is_left_over_and_what_it_has_is_not() {
        let all = vec![
            made("databoard", "portsip.databoard", 100, "22.2.1"),
            made("gateway", "portsip.gateway", 100, "22.2.1"),
            made("callmanager", "portsip.callmanager", 200, "22.4.0"),
            made("crm", "crm", 100, "1.0"),
        ];
        let counted = Members::to_start(all);
        assert_eq!(
            names(&counted.services),
            ["portsip.callmanager", "crm", "portsip.gateway"]
        );
        assert_eq!(counted.leftovers[0].container.name, "portsip.databoard");
    }

    #[test]
    fn the_databoard_of_a_pbx_that_has_one_counts() {
        let all = vec![
            made("databoard", "portsip.databoard", 100, "22.2.1"),
            made("callmanager", "portsip.callmanager", 100, "22.2.1"),
        ];
        assert_eq!(Members::to_start(all).leftovers, []);
    }

    #[test]
    fn programs_that_are_older_are_named_with_the_oldest_version() {
        let all = vec![
            made("database", "portsip.database", 100, "14.12"),
            made("gateway", "portsip.gateway", 100, "22.3.0"),
            made("ai", "portsip.ai", 100, "22.2.9"),
            made("nats", "portsip.nats", 100, "22.4.0"),
            made("crm", "crm", 100, "1.0"),
            made("provision", "portsip.provision", 100, ""),
        ];
        assert_eq!(newest_version(&all).as_deref(), Some("22.4.0"));
        let names = vec!["portsip.gateway".to_owned(), "portsip.ai".to_owned()];
        assert_eq!(older_than(&all, "22.4"), Some((names, "22.2.9".to_owned())));
        assert_eq!(older_than(&all, "22.2.1"), None);
        assert_eq!(older_than(&all, "unknown"), None);
    }

    #[test]
    fn programs_of_another_image_than_the_newest_are_named() {
        let image = |container: Container, image: &str| Container {
            image: image.to_owned(),
            ..container
        };
        let mut all = vec![
            image(made("database", "portsip.database", 300, ""), "d"),
            image(made("nats", "portsip.nats", 200, "22.4.0"), "b"),
            image(made("ai", "portsip.ai", 100, "22.4.0"), "a"),
        ];
        assert_eq!(of_another_image(&all), ["portsip.ai"]);
        all[2].image = "b".to_owned();
        assert_eq!(of_another_image(&all), [""; 0]);
    }
}
