//! The time without the PBX: stopping it, starting it, and what took how long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::found::Found;
use crate::cluster::{Begin, Configuration};
use crate::commands;
use crate::exit::Failure;
use crate::reach::Node;
use crate::run::Run;
use crate::verbs::contact::Contact;
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
        let begun = self.begun?;
        let parts = self.parts.iter();
        let parts: Vec<String> = parts
            .map(|(part, took)| format!("{part} {:.1}", took.as_secs_f32()))
            .collect();
        Some(format!(
            "the PBX was away for {:.1} s: {}",
            begun.elapsed().as_secs_f32(),
            parts.join(", ")
        ))
    }
}

/// Starts and stops resources, and waits.
pub(super) struct Switch<'a> {
    contact: &'a Contact,
    configuration: &'a Configuration,
    run: &'a Run,
}

impl<'a> Switch<'a> {
    /// Of this cluster.
    pub(super) fn new(found: &'a Found, run: &'a Run) -> Switch<'a> {
        Switch {
            contact: &found.contact,
            configuration: &found.configuration,
            run,
        }
    }

    fn node(&self) -> Arc<Node> {
        self.contact.node()
    }

    /// Stops a resource.
    pub(super) async fn stop(&self, resource: &str, signals: &mut Signals) -> Result<(), Failure> {
        self.run
            .change(&self.node(), &commands::disable(resource))
            .await?;
        self.wait(resource, Goal::Stopped, signals).await
    }

    /// Starts resources: what needs others, last.
    pub(super) async fn start(
        &self,
        resources: &[&str],
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        for resource in resources {
            let enable = commands::enable(resource);
            self.run.change(&self.node(), &enable).await?;
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
            contact: self.contact,
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
