//! The time without the PBX: stopping it, starting it, and what took how long.

use std::time::{Duration, Instant};

use super::found::Found;
use crate::cluster::Begin;
use crate::commands::{self, quoted};
use crate::exit::Failure;
use crate::reach::Command;
use crate::run::Run;
use crate::verbs::signals::Signals;
use crate::verbs::target::in_the_way;
use crate::verbs::wait::{Ended, Goal, Wait};

/// For the cluster's own decisions.
const DECISIONS: Duration = Duration::from_secs(60);

/// The time without the PBX.
#[derive(Debug, Default)]
pub(super) struct Gap {
    begun: Option<Instant>,
    parts: Vec<(&'static str, Duration)>,
    last: Option<Instant>,
}

impl Gap {
    /// The PBX is told to stop.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        (self.begun, self.last) = (Some(now), Some(now));
    }

    /// A part has ended.
    pub(super) fn ended(&mut self, part: &'static str) {
        if let Some(last) = self.last.replace(Instant::now()) {
            self.parts.push((part, last.elapsed()));
        }
    }

    /// For people; nothing where the PBX was stopped already.
    pub(super) fn text(&self) -> Option<String> {
        self.begun?;
        let all: Duration = self.parts.iter().map(|(_, took)| *took).sum();
        let parts = self.parts.iter();
        let parts: Vec<String> = parts
            .map(|(part, took)| format!("{part} {:.1}", took.as_secs_f32()))
            .collect();
        Some(format!(
            "the PBX was away for {:.1} s: {}\n",
            all.as_secs_f32(),
            parts.join(", ")
        ))
    }
}

impl Found {
    /// Stops a resource, and waits until it is.
    pub(super) async fn stop(
        &self,
        resource: &str,
        run: &Run,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        self.change(run, &commands::disable(resource)).await?;
        self.wait(resource, Goal::Stopped, signals).await
    }

    /// Starts resources, what needs others last, and waits until they run.
    pub(super) async fn start(
        &self,
        resources: &[&str],
        run: &Run,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        for resource in resources {
            // A start that has failed forbids the node for a while, and its cause may be gone.
            self.change(run, &forget_failures(resource)).await?;
            self.change(run, &commands::enable(resource)).await?;
        }
        for resource in resources {
            self.wait(resource, Goal::Started, signals).await?;
        }
        Ok(())
    }

    async fn wait(&self, resource: &str, goal: Goal, signals: &mut Signals) -> Result<(), Failure> {
        let begin = match goal {
            Goal::Started => Begin::Start,
            Goal::Stopped => Begin::Stop,
        };
        let wait = Wait {
            contact: &self.contact,
            resources: &[resource.to_owned()],
            goal,
            limit: self.configuration.time(resource, begin)
                + self.configuration.fencing()
                + DECISIONS,
        };
        let limit = wait.limit.as_secs();
        let why = match wait.run(signals).await? {
            Ended::Reached(_) => return Ok(()),
            Ended::Settled(_) => format!(
                "{resource} did not {}, and the cluster has nothing more to do\n  help: {}",
                goal.verb(),
                in_the_way(resource)
            ),
            Ended::Late(_) => format!(
                "{resource} has not {} within {limit} s. The cluster goes on with it\n  help: ha-ctl status",
                goal.past()
            ),
            Ended::Interrupted => format!("interrupted while {resource} was to {}", goal.verb()),
        };
        Err(Failure::incomplete(why))
    }
}

fn forget_failures(resource: &str) -> Command {
    Command::change(
        format!("forget failures of {resource}"),
        format!("pcs resource cleanup {}", quoted(resource)),
    )
    .repeatable()
}
