//! What a start will do, found out before anything is changed: the containers that count, their order, and what is
//! needed to end them if Docker does not answer later.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::container::{Container, Inspection};
use super::end_without_docker::ContainerRecord;
use super::error::{DockerError, Result, few};
use super::members::{Leftover, Members, newest_version, of_another_image, older_than};
use super::order::Order;
use super::{MAX_CONCURRENT, Project};

/// The containers that a start starts.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) containers: Vec<Container>,
    pub(super) order: Order,
    /// The inspection of each container.
    pub(super) found: Vec<Inspection>,
    leftovers: Vec<Leftover>,
    one_offs: Vec<Container>,
}

impl Plan {
    pub(crate) fn services(&self) -> Vec<String> {
        let containers = self.containers.iter();
        containers.map(|it| it.service.clone()).collect()
    }

    pub(crate) fn records(&self) -> Vec<ContainerRecord> {
        let all = self.containers.iter().zip(&self.found).enumerate();
        let record = |(at, (it, found))| ContainerRecord::of(it, found, self.order.depth(at));
        all.map(record).collect()
    }

    /// Whether a container belongs to the project, also if a start does not start it.
    pub(crate) fn has(&self, id: &str) -> bool {
        let leftovers = self.leftovers.iter().map(|it| &it.container);
        let all = self.containers.iter().chain(leftovers);
        all.chain(&self.one_offs).any(|it| it.id == id)
    }

    /// Refuses images that are older than the data, whose version is `data`, or than those of other containers. An older
    /// program may not understand the data, and may destroy it.
    pub(crate) fn check_images(&self, data: Option<&str>) -> Result {
        let others = of_another_image(&self.containers);
        if !others.is_empty() {
            tracing::warn!(
                "{}: another image than that of the other containers, because the tag has moved; \
                 `docker compose create` creates them again",
                few(&others, ", ")
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

    fn none_older_than(&self, wanted: &str, of: &str) -> Result {
        let Some((names, found)) = older_than(&self.containers, wanted) else {
            return Ok(());
        };
        let names = few(&names, ", ");
        Err(DockerError::Unusable(format!(
            "the image's version {found} is older than {wanted}, {of}: create the containers again with the image of \
             {wanted} (`docker compose create`): {names}"
        )))
    }
}

impl Project {
    /// Finds out what a start would do, and changes nothing.
    pub(crate) async fn plan(&self, deadline: Instant) -> Result<Plan> {
        self.by(deadline, "inspect", self.plan_in_time()).await
    }

    async fn plan_in_time(&self) -> Result<Plan> {
        self.engine.check_version()?;
        let project = &self.name;
        let all = self.engine.list(project).await?;
        let one_offs = all.iter().filter(|it| it.one_off).cloned().collect();
        let members = Members::to_start(all);
        let (containers, leftovers) = (members.services, members.leftovers);
        if containers.is_empty() {
            return Err(DockerError::Unusable(format!(
                "project {project} has no containers here: create them with `docker compose create --no-recreate`"
            )));
        }
        let order = Order::of(&containers)?;
        for (service, needed_by) in Order::missing(&containers) {
            tracing::warn!(
                "{needed_by} depends on the service {service}, which has no container in project {project}: not waited for"
            );
        }
        for Leftover { container, why } in &leftovers {
            let name = &container.name;
            tracing::warn!("{name} {why}: it is not started; remove it with `docker rm {name}`");
        }
        let inspections = stream::iter(&containers).map(|it| self.engine.inspect(it));
        let found = inspections.buffered(MAX_CONCURRENT).try_collect().await?;
        Ok(Plan {
            containers,
            order,
            found,
            leftovers,
            one_offs,
        })
    }

    /// Sets the restart policy of the plan's containers to `no`, and changes nothing else.
    pub(crate) async fn never_restart(&self, plan: &Plan, deadline: Instant) -> Result {
        let work = async {
            for (container, found) in plan.containers.iter().zip(&plan.found) {
                self.task(container, deadline.into())
                    .never_restart(found)
                    .await?;
            }
            Ok(())
        };
        self.by(deadline, "update", work).await
    }

    /// Keeps what is not part of the PBX from running beside it: stops leftovers, and sets the restart policy of
    /// these and of the containers of `docker compose run` to `no`.
    pub(super) async fn put_leftovers_aside(
        &self,
        plan: &Plan,
        grace: Duration,
        deadline: tokio::time::Instant,
    ) -> Result {
        let leftovers = plan.leftovers.iter().map(|it| (&it.container, true));
        let one_offs = plan.one_offs.iter().map(|it| (it, false));
        for (container, must_end) in leftovers.chain(one_offs) {
            let Some(found) = self.engine.inspect_if_there(container).await? else {
                continue;
            };
            let task = self.task(container, deadline);
            task.never_restart(&found).await?;
            if must_end && found.state.is_live() {
                tracing::warn!("stopping {}, which is left over and runs", container.name);
                let record = ContainerRecord::of(container, &found, 0);
                let left = deadline.saturating_duration_since(tokio::time::Instant::now());
                task.stop(&record, grace.min(left / 4)).await?;
            }
        }
        Ok(())
    }
}
