//! The order that `depends_on` prescribes: which container waits for which. Pure.

use std::collections::BTreeMap;

use super::container::{Condition, Container};
use super::error::{DockerError, Result};
use super::members::is_required;

/// Which container waits for which. A container is given by its position in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    needs: Vec<Vec<(usize, Condition)>>,
    depth: Vec<usize>,
}

impl Order {
    /// The order of these containers. It is an error that a required service has no container, or that services depend
    /// on each other in a circle. Any other service without a container is not waited for: its profile is inactive, and
    /// the label does not tell that it is optional (`required: false`).
    pub(super) fn of(containers: &[Container]) -> Result<Self> {
        let missing = Self::missing(containers);
        if let Some((needed, service)) = missing.into_iter().find(|(it, _)| is_required(it)) {
            return Err(DockerError::Unusable(format!(
                "{service} depends on the service {needed}, which has no container in the project: create it with \
                 `docker compose create --no-recreate`"
            )));
        }
        let mut needs = Vec::with_capacity(containers.len());
        for container in containers {
            let mut of_this = Vec::new();
            let dependencies = container.depends_on.as_ref();
            for needed in dependencies.map_err(|error| DockerError::Unusable(error.clone()))? {
                let all = containers.iter().enumerate();
                let found = all.filter(|(_, it)| it.service == needed.service);
                of_this.extend(found.map(|(position, _)| (position, needed.condition)));
            }
            needs.push(of_this);
        }
        let mut depth = vec![None; needs.len()];
        for start in 0..needs.len() {
            visit(start, &needs, &mut depth, &mut Vec::new()).map_err(|circle| {
                let services = circle.iter().map(|at| containers[*at].service.as_str());
                let circle = services.collect::<Vec<_>>().join(" -> ");
                let reason = format!("services depend on each other in a circle: {circle}");
                DockerError::Unusable(reason)
            })?;
        }
        let depth = depth.into_iter().map(Option::unwrap_or_default).collect();
        Ok(Self { needs, depth })
    }

    /// The services without a container that others depend on, each with one that depends on it.
    pub(super) fn missing(containers: &[Container]) -> BTreeMap<&str, &str> {
        let has = |service: &str| containers.iter().any(|it| it.service == service);
        let mut missing = BTreeMap::new();
        for container in containers {
            for needed in container.dependencies().map(|it| it.service.as_str()) {
                if !has(needed) {
                    missing.entry(needed).or_insert(container.service.as_str());
                }
            }
        }
        missing
    }

    /// No order: no container waits for another.
    pub(super) fn none(containers: &[Container]) -> Self {
        Self {
            needs: vec![Vec::new(); containers.len()],
            depth: vec![0; containers.len()],
        }
    }

    pub(super) fn needs(&self, container: usize) -> &[(usize, Condition)] {
        &self.needs[container]
    }

    pub(super) fn needed_by(&self, container: usize) -> impl Iterator<Item = usize> {
        let all = self.needs.iter().enumerate();
        let dependents = all.filter(move |(_, of)| of.iter().any(|need| need.0 == container));
        dependents.map(|(position, _)| position)
    }

    /// Whether another container waits for this one to reach a condition.
    pub(super) fn is_awaited(&self, container: usize, condition: Condition) -> bool {
        let mut needs = self.needs.iter().flatten();
        needs.any(|need| *need == (container, condition))
    }

    /// How many containers must come up one after the other before this one can.
    pub(super) fn depth(&self, container: usize) -> usize {
        self.depth[container]
    }
}

/// Finds the longest chain of dependencies of a container, or a circle.
fn visit(
    at: usize,
    needs: &[Vec<(usize, Condition)>],
    depth: &mut [Option<usize>],
    path: &mut Vec<usize>,
) -> Result<usize, Vec<usize>> {
    if let Some(known) = depth[at] {
        return Ok(known);
    }
    if let Some(first) = path.iter().position(|passed| *passed == at) {
        let mut circle = path[first..].to_vec();
        circle.push(at);
        return Err(circle);
    }
    path.push(at);
    let mut deepest = 0;
    for (needed, _) in &needs[at] {
        deepest = deepest.max(visit(*needed, needs, depth, path)? + 1);
    }
    path.pop();
    depth[at] = Some(deepest);
    Ok(deepest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::super::container::Dependency;
    use super::super::run_state::{Health, RunState};
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

    /// The text of an error that is a fault of this node alone.
    #[track_caller]
    fn unusable(containers: &[Container]) -> String {
        match Order::of(containers).unwrap_err() {
            DockerError::Unusable(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_required_service_without_a_container_is_named() {
        let said = unusable(&[container("gateway", "nats:service_healthy:false")]);
        let named = "gateway depends on the service nats, which has no container";
        assert!(said.starts_with(named), "{said}");
    }

    #[test]
    fn a_label_that_cannot_be_read_is_a_fault_of_this_node_alone() {
        let said = unusable(&[container("ai", "nats:service_happy")]);
        assert!(said.contains("`nats:service_happy`"), "{said}");
    }

    #[test]
    fn a_circle_is_named_without_what_only_leads_to_it() {
        let said = unusable(&[
            container("entry", "a"),
            container("a", "b"),
            container("b", "c"),
            container("c", "a"),
        ]);
        assert!(said.ends_with("in a circle: a -> b -> c -> a"), "{said}");
    }

    #[test]
    fn a_service_that_waits_for_itself_is_a_circle() {
        let said = unusable(&[container("a", "a")]);
        assert!(said.ends_with("in a circle: a -> a"), "{said}");
    }
}
