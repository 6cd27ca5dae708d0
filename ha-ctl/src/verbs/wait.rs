//! Waits until resources are as they were asked to be. It ends in one of four ways, and never calls something failed
//! that still goes on.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::contact::Contact;
use super::signals::Signals;
use crate::cluster::State;
use crate::commands;
use crate::exit::Failure;
use crate::output::Progress;
use crate::reach::TIMED_OUT;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// It runs.
    Started,
    /// It runs nowhere.
    Stopped,
}

impl Goal {
    pub(super) fn verb(self) -> &'static str {
        match self {
            Goal::Started => "start",
            Goal::Stopped => "stop",
        }
    }

    pub(super) fn past(self) -> &'static str {
        match self {
            Goal::Started => "started",
            Goal::Stopped => "stopped",
        }
    }

    /// Whether it is reached.
    pub(super) fn is_reached(self, state: &State, resource: &str) -> bool {
        let mut instances = state.instances(resource).peekable();
        if instances.peek().is_none() {
            return false;
        }
        match self {
            Goal::Stopped => instances.all(|it| !it.is_active() && it.role == "Stopped"),
            // A clone does not run on a node that is away.
            Goal::Started => {
                let (active, rest): (Vec<_>, Vec<_>) = instances.partition(|it| it.is_active());
                let is_away = |name: &String| state.is_away(name);
                !active.is_empty()
                    && !active.iter().any(|it| it.nodes.iter().any(is_away))
                    && active
                        .iter()
                        .all(|it| it.is_started() || is_unpromoted(&it.role))
                    && rest.iter().all(|it| it.role == "Stopped")
            }
        }
    }
}

fn is_unpromoted(role: &str) -> bool {
    ["Unpromoted", "Slave"].contains(&role)
}

/// How the waiting ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// As it should be.
    Reached(State),
    /// Not as it should be, and the cluster has nothing left to do.
    Settled(State),
    /// The time is over, and the cluster goes on.
    Late(State),
    /// Somebody has interrupted ha-ctl, or its terminal is gone.
    Interrupted,
}

/// Resources that are waited for.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    pub(super) contact: &'a Contact,
    /// The one that was asked for, and others with it.
    pub(super) resources: &'a [String],
    pub(super) goal: Goal,
    pub(super) limit: Duration,
}

/// How often the cluster is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When the cluster is asked for the first time whether it has nothing left to do. It has to begin first.
const SETTLED_EVERY: Duration = Duration::from_secs(4);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(5);
/// After how many errors in a row another node is asked, and after how long without any answer it is given up.
const ERRORS: u32 = 3;
const LOST_AFTER: Duration = Duration::from_secs(120);

impl Wait<'_> {
    /// Waits.
    ///
    /// # Errors
    /// The cluster could not be looked at any more. What was asked for goes on.
    pub(super) async fn run(&self, signals: &mut Signals) -> Result<Ended, Failure> {
        tokio::select! {
            biased;
            () = signals.received() => Ok(Ended::Interrupted),
            ended = self.watch() => ended,
        }
    }

    async fn watch(&self) -> Result<Ended, Failure> {
        let begun = Instant::now();
        let (mut asked, mut answered, mut errors) = (begun, begun, 0);
        let mut progress = Progress::begin(&self.progress(Duration::ZERO, None));
        loop {
            let looked = self.look().await;
            match &looked {
                Ok(state) => {
                    (answered, errors) = (Instant::now(), 0);
                    if self.is_reached(state) {
                        return Ok(Ended::Reached(state.clone()));
                    }
                    if begun.elapsed() > self.limit {
                        return Ok(Ended::Late(state.clone()));
                    }
                    if asked.elapsed() > SETTLED_EVERY {
                        asked = Instant::now();
                        if self.is_settled().await {
                            return Ok(self.settled(state).await);
                        }
                    }
                }
                Err(why) => {
                    errors += 1;
                    if begun.elapsed() > self.limit || answered.elapsed() > LOST_AFTER {
                        return Err(self.lost(why));
                    }
                    if errors >= ERRORS {
                        self.contact.take_another().await;
                    }
                }
            }
            progress.update(&self.progress(begun.elapsed(), looked.err()));
            sleep(LOOK_EVERY).await;
        }
    }

    fn is_reached(&self, state: &State) -> bool {
        let mut resources = self.resources.iter();
        resources.all(|resource| self.goal.is_reached(state, resource))
    }

    /// What the cluster has done last may be what was waited for.
    async fn settled(&self, before: &State) -> Ended {
        match self.look().await {
            Ok(state) if self.is_reached(&state) => Ended::Reached(state),
            Ok(state) => Ended::Settled(state),
            Err(_) => Ended::Settled(before.clone()),
        }
    }

    async fn look(&self) -> Result<State, String> {
        let mut command = commands::state();
        command.limit = LOOK;
        match self.contact.node().run(&command).await {
            Err(cause) => Err(cause.found()),
            Ok(answer) if !answer.is_success() => Err(answer.said()),
            Ok(answer) => State::parse(&answer.stdout).map_err(|error| error.to_string()),
        }
    }

    async fn is_settled(&self) -> bool {
        let answer = self.contact.node().run(&commands::settled()).await;
        answer.is_ok_and(|answer| answer.is_success() && answer.status != TIMED_OUT)
    }

    fn progress(&self, since: Duration, error: Option<String>) -> String {
        let text = format!(
            "waiting for {} to {}: {} s of at most {} s",
            self.resources.join(", "),
            self.goal.verb(),
            since.as_secs(),
            self.limit.as_secs()
        );
        let error =
            error.map(|why| format!(". {} cannot say it now: {why}", self.contact.node().name));
        text + &error.unwrap_or_default()
    }

    fn lost(&self, why: &str) -> Failure {
        Failure::incomplete(format!(
            "could not look at the cluster on {} any more, while {} was to {}: {why}. The cluster goes on with it\n  \
             help: look again: ha-ctl status",
            self.contact.node().name,
            self.resources.join(", "),
            self.goal.verb()
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn state(role: &str, node: &str) -> State {
        let node = if node.is_empty() {
            String::new()
        } else {
            format!(r#"<node name="{node}"/>"#)
        };
        State::parse(&format!(
            r#"<pacemaker-result><summary/><nodes/><resources>
               <resource id="pbx" resource_agent="ocf:portsip:pbx" role="{role}">{node}</resource>
               </resources></pacemaker-result>"#
        ))
        .unwrap()
    }

    #[test]
    fn what_is_on_its_way_is_neither_started_nor_stopped() {
        for (role, node, started, stopped) in [
            ("Started", "n1", true, false),
            ("Stopped", "", false, true),
            ("Starting", "n1", false, false),
            ("Stopping", "n1", false, false),
        ] {
            let state = state(role, node);
            assert_eq!(Goal::Started.is_reached(&state, "pbx"), started, "{role}");
            assert_eq!(Goal::Stopped.is_reached(&state, "pbx"), stopped, "{role}");
        }
        assert!(!Goal::Stopped.is_reached(&state("Stopped", ""), "other"));
    }

    #[test]
    fn what_ran_on_a_node_that_is_lost_is_not_started() {
        let mut state = state("Started", "n1");
        assert!(Goal::Started.is_reached(&state, "pbx"));
        let recorded = include_str!("../../tests/recorded/one-node-dead.xml");
        let mut dead = State::parse(recorded).unwrap().nodes;
        dead.retain(|node| !node.online);
        "n1".clone_into(&mut dead[0].name);
        state.nodes = dead;
        assert!(!Goal::Started.is_reached(&state, "pbx"));
        assert!(!Goal::Stopped.is_reached(&state, "pbx"));
    }

    #[test]
    fn a_clone_is_started_when_each_of_its_instances_is() {
        let lan = include_str!("../../tests/recorded/lan-pacemaker-3.xml");
        let state = State::parse(lan).unwrap();
        assert!(Goal::Started.is_reached(&state, "drbd_devpath-clone"));
        let starting = lan.replacen("role=\"Unpromoted\"", "role=\"Starting\"", 1);
        let state = State::parse(&starting).unwrap();
        assert!(!Goal::Started.is_reached(&state, "drbd_devpath-clone"));
    }
}
