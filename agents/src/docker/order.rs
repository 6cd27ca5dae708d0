//! The order that `depends_on` prescribes: who waits for whom. Pure.

use std::collections::BTreeMap;

use super::container::{Condition, Container};
use super::counted::is_vendors;

/// Why there is no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A service depends on one of the vendor's that has no container.
    #[error(
        "{service} depends on the service {unknown}, which has no container in the project: \
         make it with `docker compose create --no-recreate`"
    )]
    Unknown {
        /// The service that depends.
        service: String,
        /// The service that is not there.
        unknown: String,
    },
    /// Services wait for each other.
    #[error("services depend on each other in a circle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// A label is not what Compose writes.
    #[error("the depends_on label of {service} has a part that is not understood: {part}")]
    Label {
        /// The service that has the label.
        service: String,
        /// The part of the label.
        part: String,
    },
}

/// Who waits for whom. Containers are known by their position in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    needs: Vec<Vec<(usize, Condition)>>,
    depth: Vec<usize>,
}

impl Order {
    /// The order of these containers.
    ///
    /// # Errors
    ///
    /// When a service of the vendor's is not there, or services wait for each other. Any other service that is not
    /// there is not waited for: its profile is inactive, and the label does not tell that it is optional
    /// (`required: false`).
    pub(super) fn of(containers: &[Container]) -> Result<Self, OrderError> {
        let mut by_service: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (position, container) in containers.iter().enumerate() {
            by_service
                .entry(&container.service)
                .or_default()
                .push(position);
        }
        let mut needs = Vec::with_capacity(containers.len());
        for container in containers {
            let mut of_this = Vec::new();
            for dependency in container.depends_on.as_ref().map_err(Clone::clone)? {
                let Some(there) = by_service.get(dependency.service.as_str()) else {
                    if is_vendors(&dependency.service) {
                        return Err(OrderError::Unknown {
                            service: container.service.clone(),
                            unknown: dependency.service.clone(),
                        });
                    }
                    continue;
                };
                of_this.extend(there.iter().map(|needed| (*needed, dependency.condition)));
            }
            needs.push(of_this);
        }
        let depth = depths(&needs).map_err(|circle| {
            OrderError::Cycle(
                circle
                    .into_iter()
                    .map(|position| containers[position].service.clone())
                    .collect(),
            )
        })?;
        Ok(Self { needs, depth })
    }

    /// The services that others depend on and that have no container, each with one that depends on it.
    pub(super) fn not_there(containers: &[Container]) -> BTreeMap<&str, &str> {
        let there = |service: &str| containers.iter().any(|it| it.service == service);
        containers
            .iter()
            .flat_map(|it| {
                it.depends_on
                    .iter()
                    .flatten()
                    .map(|needed| (&it.service, needed))
            })
            .filter(|(_, needed)| !there(&needed.service))
            .map(|(service, needed)| (needed.service.as_str(), service.as_str()))
            .collect()
    }

    /// No order: nobody waits for anybody.
    pub(super) fn none(containers: &[Container]) -> Self {
        Self {
            needs: vec![Vec::new(); containers.len()],
            depth: vec![0; containers.len()],
        }
    }

    /// What a container needs before it starts.
    pub(super) fn needs(&self, container: usize) -> &[(usize, Condition)] {
        &self.needs[container]
    }

    /// The containers that need this one.
    pub(super) fn needed_by(&self, container: usize) -> impl Iterator<Item = usize> {
        (0..self.needs.len()).filter(move |other| {
            self.needs[*other]
                .iter()
                .any(|(needed, _)| *needed == container)
        })
    }

    /// Whether a container waits for this one to reach a condition.
    pub(super) fn is_awaited(&self, container: usize, condition: Condition) -> bool {
        self.needs
            .iter()
            .flatten()
            .any(|need| *need == (container, condition))
    }

    /// How many containers must come up one after the other before this one can.
    pub(super) fn depth(&self, container: usize) -> usize {
        self.depth[container]
    }
}

/// The longest way down from each, or a circle.
fn depths(needs: &[Vec<(usize, Condition)>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut depth: Vec<Option<usize>> = vec![None; needs.len()];
    for start in 0..needs.len() {
        visit(start, needs, &mut depth, &mut Vec::new())?;
    }
    Ok(depth.into_iter().map(Option::unwrap_or_default).collect())
}

fn visit(
    at: usize,
    needs: &[Vec<(usize, Condition)>],
    depth: &mut [Option<usize>],
    way: &mut Vec<usize>,
) -> Result<usize, Vec<usize>> {
    if let Some(known) = depth[at] {
        return Ok(known);
    }
    if let Some(first) = way.iter().position(|passed| *passed == at) {
        let mut circle = way[first..].to_vec();
        circle.push(at);
        return Err(circle);
    }
    way.push(at);
    let mut deepest = 0;
    for (needed, _) in &needs[at] {
        deepest = deepest.max(visit(*needed, needs, depth, way)? + 1);
    }
    way.pop();
    depth[at] = Some(deepest);
    Ok(deepest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::super::condition::{Health, RunState};
    use super::super::container::Dependency;
    use super::*;

    /// A container that runs, with a label as Compose writes it.
    pub(in super::super) fn container(service: &str, label: &str) -> Container {
        Container {
            id: format!("id-{service}"),
            name: format!("portsip.{service}"),
            service: service.to_owned(),
            created: 0,
            image: String::new(),
            version: None,
            state: RunState::Running,
            health: Health::None,
            status: "Up 5 seconds".to_owned(),
            depends_on: Dependency::parse_label(service, label),
            one_off: false,
        }
    }

    #[test]
    fn the_pbx_has_three_levels() {
        let core = "database:service_healthy:false,nats:service_healthy:false";
        let all = [
            container(
                "gateway",
                &format!("{core},callmanager:service_started:false"),
            ),
            container("callmanager", core),
            container("database", ""),
            container("nats", ""),
        ];
        let order = Order::of(&all).unwrap();
        let depths: Vec<_> = (0..4).map(|position| order.depth(position)).collect();
        assert_eq!(depths, [2, 1, 0, 0]);
        assert!(order.needs(0).contains(&(1, Condition::Started)));
        assert_eq!(order.needed_by(2).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(order.needed_by(0).count(), 0);
        assert!(order.is_awaited(3, Condition::Healthy));
        assert!(!order.is_awaited(1, Condition::Healthy));
    }

    #[test]
    fn all_containers_of_a_service_are_needed() {
        let all = [
            container("worker", ""),
            container("worker", ""),
            container("front", "worker:service_started:false"),
        ];
        let order = Order::of(&all).unwrap();
        assert_eq!(
            order.needs(2),
            [(0, Condition::Started), (1, Condition::Started)]
        );
    }

    #[test]
    fn a_service_of_others_that_is_not_there_is_not_waited_for() {
        let order = Order::of(&[container("gateway", "crm:service_healthy:false")]).unwrap();
        assert_eq!(order.needs(0), []);
    }

    #[test]
    fn a_service_of_the_vendor_that_is_not_there_is_named() {
        let error = Order::of(&[container("gateway", "nats:service_healthy:false")]).unwrap_err();
        assert_eq!(
            error,
            OrderError::Unknown {
                service: "gateway".into(),
                unknown: "nats".into()
            }
        );
    }

    #[test]
    fn a_circle_is_named_without_what_only_leads_to_it() {
        let all = [
            container("entry", "a"),
            container("a", "b"),
            container("b", "c"),
            container("c", "a"),
        ];
        let OrderError::Cycle(circle) = Order::of(&all).unwrap_err() else {
            panic!("not a cycle");
        };
        assert_eq!(circle, ["a", "b", "c", "a"]);
    }

    #[test]
    fn a_service_that_waits_for_itself_is_a_circle() {
        let error = Order::of(&[container("a", "a")]).unwrap_err();
        assert_eq!(error, OrderError::Cycle(vec!["a".into(), "a".into()]));
    }
}
