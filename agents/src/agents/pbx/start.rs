//! Starting the PBX: what has to be so before anything is started, and how long Docker is waited for.

use std::time::{Duration, Instant};

use super::Pbx;
use super::data::{Access, Data};
use super::note::Started;
use super::others::others;
use crate::docker::{DockerError, Plan, Project};
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

/// Since when Docker has not answered.
#[derive(Debug, Default)]
struct Away(Option<Instant>);

impl Away {
    fn answered(&mut self) {
        self.0 = None;
    }

    /// It has not answered now either. Whether that is so for too long.
    fn is_too_long(&mut self, now: Instant) -> bool {
        now.duration_since(*self.0.get_or_insert(now)) >= BOOT
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
        let mut away = Away::default();
        loop {
            let error = match self.start_once(&data, &mut away).await {
                Ok(()) => return Ok(()),
                Err(Obstacle::Other(failure)) => return Err(failure),
                Err(Obstacle::Docker(error)) => error,
            };
            if error.is_unreachable() {
                // What runs already is left alone.
                if away.is_too_long(Instant::now()) || !deadline.sleep(LOOK).await {
                    return Err(Failure::generic(error.to_string()));
                }
                continue;
            }
            away.answered();
            if error.is_internal() && tries > 0 {
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

    async fn start_once(&self, data: &Data, away: &mut Away) -> Result<(), Obstacle> {
        let deadline = self.call.deadline;
        let project = self.connect(BOOT).await?;
        // Only this tells that Docker is back: one that hangs may still say what its version is.
        let plan = project.plan(deadline.end()).await?;
        away.answered();
        plan.fits(data.version()?.as_deref())?;
        self.nobody_else_writes(data, &project, &plan).await?;
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
        let ours = plan.all_ids();
        let is_ours = |id: &str| ours.iter().any(|it| it == id);
        if let Some(held) = self.held_by_others(data, &project, is_ours).await {
            tracing::warn!("{held}");
        }
        started.answered = self.wait_for_answers().await;
        self.note(&started);
        Ok(())
    }

    /// Two programs that write the same data would destroy them. One that only reads does not.
    async fn nobody_else_writes(
        &self,
        data: &Data,
        project: &Project,
        plan: &Plan,
    ) -> Result<(), Failure> {
        let ours = plan.all_ids();
        let others = others(data, |id| ours.iter().any(|it| it == id));
        let Some((other, _)) = others.iter().find(|(_, access)| *access == Access::Writes) else {
            return Ok(());
        };
        Err(Failure::generic(format!(
            "the container {} uses {} and is not of project {}: stop it before the PBX starts here",
            self.name_of(project, other).await,
            self.parameters.data_path.display(),
            self.parameters.project
        )))
    }
}

fn failure_of(error: &DockerError) -> Failure {
    let exit = match error {
        // Other nodes have a Docker and containers of their own, with labels that another Compose may have written.
        DockerError::TooOld { .. }
        | DockerError::NoContainers { .. }
        | DockerError::OldImage { .. }
        | DockerError::Order(_) => Exit::Installed,
        _ => Exit::Generic,
    };
    Failure {
        exit,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::OrderError;

    #[test]
    fn the_time_without_docker_begins_anew_after_every_answer() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut away = Away::default();
        for seconds in [0, 20, 44] {
            assert!(!away.is_too_long(after(seconds)), "{seconds} s");
        }
        away.answered();
        for seconds in [60, 90, 104] {
            assert!(!away.is_too_long(after(seconds)), "{seconds} s");
        }
        assert!(away.is_too_long(after(105)));
    }

    #[test]
    fn labels_that_give_no_order_are_a_fault_of_this_node_alone() {
        for error in [
            OrderError::Cycle(vec!["nats".into(), "ai".into(), "nats".into()]),
            OrderError::Label {
                service: "ai".into(),
                part: "nats:service_happy".into(),
            },
        ] {
            let failure = failure_of(&error.into());
            assert_eq!(failure.exit, Exit::Installed, "{}", failure.reason);
        }
    }
}
