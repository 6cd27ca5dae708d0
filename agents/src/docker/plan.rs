//! What a start will do, found out before anything is changed: the containers that count, their order, and what
//! has to be known to end them if Docker does not answer later.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;

use super::AT_ONCE;
use super::bring_up::{look, never_restart};
use super::container::{Container, Inspection};
use super::counted::{Leftover, counted, newest_version, of_another_image, older_than};
use super::daemon::Daemon;
use super::end::Known;
use super::error::{DockerError, few};
use super::order::Order;
use super::stop::stop_one;

/// The containers that a start starts.
#[derive(Debug)]
pub struct Plan {
    pub(super) containers: Vec<Container>,
    pub(super) order: Order,
    /// What an inspection showed of each container.
    pub(super) found: Vec<Inspection>,
    /// What is not started.
    leftovers: Vec<Leftover>,
    one_offs: Vec<Container>,
}

impl Plan {
    /// The names of the services.
    pub fn services(&self) -> Vec<String> {
        self.containers
            .iter()
            .map(|it| it.service.clone())
            .collect()
    }

    /// What has to be known to end the containers without Docker.
    pub fn known(&self) -> Vec<Known> {
        let all = self.containers.iter().zip(&self.found).enumerate();
        all.map(|(at, (container, found))| Known::of(container, found, self.order.depth(at)))
            .collect()
    }

    /// The ids of all containers of the project, also of those that are not started.
    pub fn all_ids(&self) -> Vec<String> {
        let leftovers = self.leftovers.iter().map(|it| &it.container);
        let all = self
            .containers
            .iter()
            .chain(leftovers)
            .chain(&self.one_offs);
        all.map(|it| it.id.clone()).collect()
    }

    /// Refuses images that are older than the data. An older program may not understand the data, and may
    /// destroy them.
    ///
    /// # Errors
    /// An image is older, or it is not of the version of the others.
    pub fn fits(&self, data: Option<&str>) -> Result<(), DockerError> {
        let others = of_another_image(&self.containers);
        if !others.is_empty() {
            tracing::warn!(
                "{}: their image is not that of the rest, the tag has moved: `docker compose create` makes them again",
                few(&others)
            );
        }
        if let Some(data) = data {
            self.none_older_than(data, "the version of the data")?;
        }
        let Some(newest) = newest_version(&self.containers) else {
            tracing::warn!(
                "the images have no label `version`, so they are not compared with the version of the data"
            );
            return Ok(());
        };
        self.none_older_than(&newest, "the version of other containers here")
    }

    fn none_older_than(&self, wanted: &str, of: &'static str) -> Result<(), DockerError> {
        let Some((names, theirs)) = older_than(&self.containers, wanted) else {
            return Ok(());
        };
        Err(DockerError::OldImage {
            names,
            theirs,
            wanted: wanted.to_owned(),
            of,
        })
    }
}

/// The containers that count and their order, without a look at each.
pub(super) async fn containers_in_order(
    daemon: &Daemon,
    project: &str,
) -> Result<(Vec<Container>, Order, Vec<Leftover>, Vec<Container>), DockerError> {
    daemon.check_version()?;
    let all = daemon.list(project).await?;
    let one_offs = all.iter().filter(|it| it.one_off).cloned().collect();
    let counted = counted(all);
    if counted.services.is_empty() {
        return Err(DockerError::NoContainers {
            project: project.to_owned(),
        });
    }
    let order = Order::of(&counted.services)?;
    for (service, needed_by) in Order::not_there(&counted.services) {
        tracing::warn!(
            "{needed_by} depends on the service {service}, which has no container in project {project}: not waited for"
        );
    }
    for Leftover { container, why } in &counted.leftovers {
        tracing::warn!(
            "{} {why}: it is not started, remove it with `docker rm {}`",
            container.name,
            container.name
        );
    }
    Ok((counted.services, order, counted.leftovers, one_offs))
}

/// Makes the plan, and changes nothing.
pub(super) async fn plan(daemon: &Daemon, project: &str) -> Result<Plan, DockerError> {
    let (containers, order, leftovers, one_offs) = containers_in_order(daemon, project).await?;
    let looks: Vec<_> = stream::iter(&containers)
        .map(|container| look(daemon, container))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let found = looks.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Plan {
        containers,
        order,
        found,
        leftovers,
        one_offs,
    })
}

/// Sets the restart policy of every container that counts to `no`.
pub(super) async fn never_restart_any(
    daemon: &Daemon,
    plan: &Plan,
    deadline: Instant,
) -> Result<(), DockerError> {
    for (container, found) in plan.containers.iter().zip(&plan.found) {
        never_restart(daemon, container, found, deadline).await?;
    }
    Ok(())
}

/// Keeps what is not part of the PBX from running beside it: leftovers are stopped, and Docker never starts
/// them or a container of `docker compose run` by itself.
pub(super) async fn put_leftovers_aside(
    daemon: &Daemon,
    plan: &Plan,
    grace: Duration,
    deadline: Instant,
) -> Result<(), DockerError> {
    let leftovers = plan.leftovers.iter().map(|it| (&it.container, true));
    let one_offs = plan.one_offs.iter().map(|it| (it, false));
    for (container, must_end) in leftovers.chain(one_offs) {
        let Some(found) = daemon.inspect(container).await? else {
            continue;
        };
        never_restart(daemon, container, &found, deadline).await?;
        if must_end && found.state.is_live() {
            tracing::warn!("stopping {}, which is left over and runs", container.name);
            let known = Known::of(container, &found, 0);
            let grace = grace.min(deadline.saturating_duration_since(Instant::now()) / 4);
            stop_one(daemon, container, &known, grace, deadline).await?;
        }
    }
    Ok(())
}
