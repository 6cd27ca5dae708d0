//! Starting the PBX: what has to be so before anything is started, and how long Docker is waited for.

use std::time::{Duration, Instant};

use super::Pbx;
use super::data::Data;
use super::note::Started;
use crate::docker::{DockerError, OrderError, Plan, Project, processes};
use crate::ocf::{Exit, Failure};

/// How long a start waits for a Docker that does not answer: at boot it comes up after Pacemaker. Longer, and another
/// node has to start the PBX.
const BOOT: Duration = Duration::from_secs(45);

/// How often Docker is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(300);

/// How often a start is tried again when Docker itself is at fault, and after what time.
const TRIES: u32 = 4;
const NEXT_TRY: Duration = Duration::from_secs(1);

/// What keeps a start from going on.
enum Obstacle {
    Docker(DockerError),
    Other(Failure),
}

impl From<DockerError> for Obstacle {
    fn from(error: DockerError) -> Self {
        Self::Docker(error)
    }
}

impl From<Failure> for Obstacle {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl Pbx {
    pub(super) async fn start_all(&self) -> Result<(), Failure> {
        let data = Data::at(&self.parameters.data_path)?;
        let deadline = self.call.deadline;
        self.call.steps.acting(&format!(
            "starting the containers of project {}",
            self.parameters.project
        ));
        let mut tries = TRIES;
        let mut away_since = None;
        loop {
            let error = match self.start_once(&data).await {
                Ok(()) => return Ok(()),
                Err(Obstacle::Other(failure)) => return Err(failure),
                Err(Obstacle::Docker(error)) => error,
            };
            if error.is_unreachable() {
                // What runs already is left alone.
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= BOOT || !deadline.sleep(LOOK).await {
                    return Err(Failure::generic(error.to_string()));
                }
            } else if error.is_internal() && tries > 0 {
                tracing::warn!("{error}; trying again");
                tries -= 1;
                if !deadline.sleep(NEXT_TRY).await {
                    return Err(Failure::generic(error.to_string()));
                }
            } else {
                return Err(failure_of(&error));
            }
        }
    }

    async fn start_once(&self, data: &Data) -> Result<(), Obstacle> {
        let deadline = self.call.deadline;
        let project = self.connect(BOOT).await?;
        let plan = project.plan(deadline.end()).await?;
        plan.fits(data.version()?.as_deref())?;
        self.nobody_else_uses(data, &project, &plan).await?;
        let mut started = Started::by_plan(&plan);
        // Without it, a stop could not end the containers when Docker does not answer.
        self.must_note(&started)?;
        let done = project.start(&plan, self.parameters.stop_grace, deadline.end());
        let done = done.await;
        started.was_answered(&done);
        // Now too, because what answered before this start must not count if the wait is cut off.
        self.note(&started);
        done?;
        tracing::info!("the containers of project {} run", self.parameters.project);
        started.answered = self.wait_for_answers().await;
        self.note(&started);
        Ok(())
    }

    /// Two programs that write the same data would destroy them.
    async fn nobody_else_uses(
        &self,
        data: &Data,
        project: &Project,
        plan: &Plan,
    ) -> Result<(), Failure> {
        let ours = plan.all_ids();
        let users = data.users(&processes::of_containers());
        let Some(other) = users.iter().find(|id| !ours.contains(id)) else {
            return Ok(());
        };
        let short = &other[..12];
        let name = project
            .name_of(other)
            .await
            .unwrap_or_else(|| short.to_owned());
        Err(Failure::generic(format!(
            "the container {name} uses {} and is not of project {}: stop it before the PBX starts here",
            self.parameters.data_path.display(),
            self.parameters.project
        )))
    }
}

fn failure_of(error: &DockerError) -> Failure {
    let exit = match error {
        // Other nodes have a Docker and containers of their own.
        DockerError::TooOld { .. }
        | DockerError::NoContainers { .. }
        | DockerError::OldImage { .. }
        | DockerError::Order(OrderError::Unknown { .. }) => Exit::Installed,
        DockerError::Order(_) => Exit::Configured,
        _ => Exit::Generic,
    };
    Failure {
        exit,
        reason: error.to_string(),
    }
}
