//! A resource of a cluster that is started or stopped: the changes, each by one command, what stops with it, and how
//! long to wait for it.

use std::time::Duration;

use super::contact::Contact;
use super::gather::{Ask, gather};
use super::guard::guard;
use super::resource::refuse;
use super::show::{answer, configuration};
use super::signals::Signals;
use super::wait::{Ended, Goal, Wait};
use crate::cli::ResourceArgs;
use crate::cluster::{Begin, Configuration, State};
use crate::commands;
use crate::exit::{Exit, Failure};
use crate::lock::Lock;
use crate::output::{print, say, tell};
use crate::run::Run;

/// A resource that can be started and stopped.
pub(super) struct Target<'a> {
    pub(super) args: &'a ResourceArgs,
    pub(super) contact: Contact,
    pub(super) state: State,
    pub(super) run: Run,
    configuration: Configuration,
    /// The resource, and what stops with it.
    stopped: Vec<String>,
    /// Nobody else changes the cluster meanwhile. A dry run does not need that.
    _lock: Option<Lock>,
}

/// What else a limit has in it: the cluster's own decisions.
const DECISIONS: Duration = Duration::from_secs(60);

impl<'a> Target<'a> {
    /// Looks at the cluster, and refuses what could not be carried out.
    pub(super) async fn find(args: &'a ResourceArgs, verb: &str) -> Result<Target<'a>, Failure> {
        let fleet = super::fleet(&args.site)?;
        let gathered = gather(&fleet, Ask::State).await?;
        let (node, state) = (gathered.node, gathered.state);
        refuse(&state, &args.resource)?;
        let what = format!("{verb} -s {}", args.resource);
        let lock = match args.dry_run {
            true => None,
            false => Some(guard(&fleet, &node, &state, &what).await?),
        };
        let configuration = configuration(&node).await?;
        Ok(Target {
            args,
            contact: Contact::new(fleet, node),
            state,
            run: Run::new(args.dry_run),
            configuration,
            stopped: vec![args.resource.clone()],
            _lock: lock,
        })
    }

    /// The same for one that will be stopped: what stops with it is said before anything is done.
    pub(super) async fn find_to_stop(
        args: &'a ResourceArgs,
        verb: &str,
    ) -> Result<Target<'a>, Failure> {
        let mut target = Target::find(args, verb).await?;
        target.find_what_stops_too().await;
        Ok(target)
    }

    /// Asks the cluster what stops with the resource, and says it.
    async fn find_what_stops_too(&mut self) {
        let resource = &self.args.resource;
        // What the cluster would do now is above all the failover that it waits with.
        if !self.state.unclean().is_empty() {
            return;
        }
        let listed = match answer(&self.contact.node(), commands::stops_too(resource)).await {
            Ok(answer) => answer.stdout,
            Err(failure) => {
                say(&format!(
                    "what stops with {resource} is not known: {failure}"
                ));
                return;
            }
        };
        let others = ran_before(&self.state, resource, &listed);
        if !others.is_empty() {
            say(&format!(
                "{resource} is needed by others, which stop with it: {}",
                others.join(", ")
            ));
        }
        self.stopped.extend(others);
    }

    /// A line of the vendor's; a dry run prints its plan alone.
    pub(super) fn line(&self, text: &str) {
        if !self.run.is_dry() {
            tell(text);
        }
    }

    pub(super) async fn enable(&self) -> Result<(), Failure> {
        self.line(&format!("enable resource {}", self.args.resource));
        self.say_what_is_waited_for("starts nothing");
        let enable = commands::enable(&self.args.resource);
        let node = self.contact.node();
        self.run.change(&node, &enable).await.map(drop)
    }

    pub(super) async fn disable(&self) -> Result<(), Failure> {
        self.line(&format!("disable resource {}", self.args.resource));
        self.say_what_is_waited_for("takes what ran there for running");
        let disable = commands::disable(&self.args.resource);
        let node = self.contact.node();
        self.run.change(&node, &disable).await.map(drop)
    }

    /// With a node that is lost and not fenced yet, most of what a person asks for waits for the fencing.
    fn say_what_is_waited_for(&self, meanwhile: &str) {
        let unclean = self.state.unclean();
        if !unclean.is_empty() {
            say(&format!(
                "{} is UNCLEAN and not fenced yet: until it is, the cluster {meanwhile}. ha-ctl show   says since \
                 when",
                unclean.join(", ")
            ));
        }
    }

    pub(super) fn note_name(&self) -> String {
        format!("restart.{}", self.args.resource)
    }

    /// The note of a restart that has not ended.
    pub(super) fn note(&self) -> Option<String> {
        let notes = self.configuration.notes().into_iter();
        notes
            .filter(|note| note.name == self.note_name())
            .map(|note| note.text)
            .next()
    }

    pub(super) async fn forget_note(&self) -> Result<(), Failure> {
        let delete = commands::delete_note(&self.note_name());
        let node = self.contact.node();
        self.run.change(&node, &delete).await.map(drop)
    }

    pub(super) fn wait(&self, goal: Goal) -> Wait<'_> {
        let resources = match goal {
            // What needs the resource has stopped before it.
            Goal::Stopped => &self.stopped[..1],
            Goal::Started => &self.stopped[..],
        };
        Wait {
            contact: &self.contact,
            resources,
            goal,
            limit: self.args.timeout.unwrap_or_else(|| self.limit(goal)),
        }
    }

    /// Everything that stops, or that does not run yet, one after the other; and a node that is fenced because
    /// something does not stop there.
    fn limit(&self, goal: Goal) -> Duration {
        let begin = match goal {
            Goal::Started => Begin::Start,
            Goal::Stopped => Begin::Stop,
        };
        let down = self.state.resources.iter().filter(|it| {
            goal == Goal::Started && !it.is_active() && !it.is_fencing() && it.clone.is_none()
        });
        let down = down
            .map(|it| &it.id)
            .filter(|id| !self.stopped.contains(id));
        let times = self.stopped.iter().chain(down);
        let times = times.map(|it| self.configuration.time(it, begin));
        times.sum::<Duration>() + self.configuration.fencing() + DECISIONS
    }

    /// Waits for the last step, and says how it ended. Nothing was done where `done` is empty.
    pub(super) async fn ended(
        &self,
        goal: Goal,
        done: &str,
        signals: &mut Signals,
    ) -> Result<Exit, Failure> {
        if self.run.is_dry() {
            return self.planned();
        }
        let resource = &self.args.resource;
        match self.wait(goal).run(signals).await? {
            Ended::Reached(state) => {
                let nodes = state.instances(resource).flat_map(|it| it.nodes.clone());
                let nodes: Vec<String> = nodes.collect();
                match goal {
                    Goal::Stopped => {
                        self.line(&not_running(resource));
                        say(&format!(
                            "it stays stopped until somebody starts it: ha-ctl start -s {resource}"
                        ));
                    }
                    Goal::Started if done.is_empty() => say(&format!(
                        "{resource} was not stopped: it runs on {}",
                        nodes.join(", ")
                    )),
                    Goal::Started => say(&format!(
                        "{resource} was {done}: it runs on {}",
                        nodes.join(", ")
                    )),
                }
                Ok(Exit::Done)
            }
            Ended::Settled(state) => Err(Failure::incomplete(format!(
                "{}\n  help: {}; then ha-ctl {} -s {resource}",
                self.not_reached(goal, &state),
                in_the_way(resource),
                goal.verb()
            ))),
            Ended::Late(state) => Err(Failure::incomplete(format!(
                "{}. The cluster goes on with it\n  help: look again: ha-ctl status",
                self.still_going(goal, &state)
            ))),
            Ended::Interrupted => Err(Failure::incomplete(format!(
                "interrupted. The cluster goes on to {} {resource}\n  help: look again: ha-ctl status",
                goal.verb()
            ))),
        }
    }

    pub(super) fn planned(&self) -> Result<Exit, Failure> {
        let (text, exit) = self.run.plan();
        print(&text)?;
        Ok(exit)
    }

    /// The cluster has nothing left to do, and something is not as it should be.
    pub(super) fn not_reached(&self, goal: Goal, state: &State) -> String {
        let late = self.not_yet(goal, state);
        let of_these = |operation: &str| {
            late.iter()
                .any(|id| operation.starts_with(&format!("{id}_")))
        };
        let reasons = state.failures.iter().filter(|it| !it.degraded);
        let reasons = reasons.filter(|it| of_these(&it.operation));
        let reasons: String = reasons
            .map(|it| format!("\n  {} on {}: {}", it.operation, it.node, it.reason))
            .collect();
        format!(
            "{} did not {}: {}, and the cluster has nothing more to do{reasons}",
            late.join(", "),
            goal.verb(),
            roles(state, &late),
        )
    }

    pub(super) fn still_going(&self, goal: Goal, state: &State) -> String {
        let limit = self.wait(goal).limit.as_secs();
        let late = self.not_yet(goal, state);
        format!(
            "{} has not {} within {limit} s: {}",
            late.join(", "),
            goal.past(),
            roles(state, &late)
        )
    }

    fn not_yet(&self, goal: Goal, state: &State) -> Vec<String> {
        let resources = self.wait(goal).resources.iter();
        let late = resources.filter(|it| !goal.is_reached(state, it));
        late.cloned().collect()
    }
}

/// pcs has these words, and the vendor shows them.
pub(super) fn not_running(resource: &str) -> String {
    format!("resource '{resource}' is not running on any node")
}

pub(super) fn in_the_way(resource: &str) -> String {
    format!("ha-ctl show   says what is in the way; then sudo pcs resource cleanup {resource}")
}

/// The resources of pcs's list that ran, in the cluster's order. An instance of a clone has the clone's name.
fn ran_before(state: &State, resource: &str, listed: &str) -> Vec<String> {
    let is_listed = |id: &str| listed.lines().any(|line| line.trim() == id);
    let mut ran: Vec<String> = Vec::new();
    for it in state.resources.iter().filter(|it| it.is_active()) {
        let name = it.clone.as_ref().unwrap_or(&it.id);
        let is_meant = name == resource || it.id == resource;
        if (is_listed(name) || is_listed(&it.id)) && !is_meant && !ran.contains(name) {
            ran.push(name.clone());
        }
    }
    ran
}

/// `it is Stopped`, or `it is Started on n1`; with their names where there are several.
fn roles(state: &State, resources: &[String]) -> String {
    let of_one = |resource: &String| {
        let each = state.instances(resource).map(|it| match it.nodes[..] {
            [] => it.role.clone(),
            _ => format!("{} on {}", it.role, it.nodes.join(", ")),
        });
        let each: Vec<String> = each.collect();
        let name = if resources.len() == 1 { "it" } else { resource };
        format!("{name} is {}", each.join("; "))
    };
    let each: Vec<String> = resources.iter().map(of_one).collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_stops_too_is_what_ran_in_the_clusters_order() {
        let lan = include_str!("../../tests/recorded/lan-pacemaker-3.xml");
        let state = State::parse(lan).unwrap();
        let listed = "datapath_fs\ndrbd_devpath\npbx\nsrc_pkt_ip\nvip\nno-such\n";
        assert_eq!(
            ran_before(&state, "vip", listed),
            ["drbd_devpath-clone", "src_pkt_ip", "datapath_fs", "pbx"]
        );
        assert!(ran_before(&state, "drbd_devpath-clone", "drbd_devpath\n").is_empty());
        let stopped = lan.replacen(
            "<node name=\"pbx01\" id=\"pbx01\" cached=\"true\"/>\n    </resource>\n  </resources>",
            "</resource></resources>",
            1,
        );
        assert_ne!(stopped, lan);
        let state = State::parse(&stopped).unwrap();
        assert!(ran_before(&state, "vip", "pbx\n").is_empty());
    }
}
