//! `start`, `stop` and `restart` of one resource, with the vendor's lines, each waited for to its end.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;

use super::gather::{Ask, gather};
use super::show::answer;
use super::wait::{Ended, Goal, Wait};
use crate::cli::ResourceArgs;
use crate::cluster::{Configuration, State};
use crate::commands;
use crate::exit::{Exit, Failure};
use crate::output::{print, say, tell};
use crate::reach::Node;
use crate::run::Run;

/// A resource of a cluster that can be started and stopped.
struct Target<'a> {
    args: &'a ResourceArgs,
    node: Arc<Node>,
    state: State,
    configuration: Configuration,
    run: Run,
    /// Whether it is started again after it was stopped.
    restarts: bool,
}

/// Starts a resource.
///
/// # Errors
/// It was not started, or not to its end.
pub(super) async fn start(args: &ResourceArgs) -> Result<Exit, Failure> {
    let target = Target::find(args, false).await?;
    target.line(&format!("try to start resource {}", args.resource));
    let disabled = target
        .state
        .instances(&args.resource)
        .any(|it| it.is_disabled());
    let runs = target
        .state
        .instances(&args.resource)
        .any(|it| it.is_started());
    if disabled || !runs {
        target.enable().await?;
    }
    target.forget_note().await?;
    target.ended(Goal::Started, "started").await
}

/// Stops a resource.
///
/// # Errors
/// It was not stopped, or not to its end.
pub(super) async fn stop(args: &ResourceArgs) -> Result<Exit, Failure> {
    let target = Target::find(args, false).await?;
    target.line(&format!("try to stop resource {}", args.resource));
    if !target
        .state
        .instances(&args.resource)
        .all(|it| it.is_disabled())
    {
        target.disable().await?;
    }
    target.forget_note().await?;
    target.ended(Goal::Stopped, "stopped").await
}

/// Stops a resource and starts it again.
///
/// # Errors
/// It was not restarted, or not to its end.
pub(super) async fn restart(args: &ResourceArgs) -> Result<Exit, Failure> {
    let target = Target::find(args, true).await?;
    let resource = &args.resource;
    target.line(&format!("try to restart resource {resource}"));
    if let Some(note) = target.note() {
        say(&format!(
            "an earlier restart has not ended ({note}); it is ended now"
        ));
    }
    let note = commands::write_note(&target.note_name(), &who_and_when());
    target.run.change(&target.node, &note).await?;
    target.disable().await?;
    if target.run.is_dry() {
        target.enable().await?;
        target.forget_note().await?;
        return target.planned();
    }
    let ended = target.wait(Goal::Stopped).run().await?;
    match ended {
        Ended::Reached(_) => target.line(&not_running(resource)),
        // The restart does not depend on who watches it: what was stopped is started again in any case.
        Ended::Interrupted => {
            target.enable().await?;
            target.forget_note().await?;
            return Err(Failure::incomplete(format!(
                "interrupted. {resource} was told to stop and then to start again; the cluster goes on with it\n  \
                 help: look again: ha-ctl status"
            )));
        }
        Ended::Settled(state) => return Err(target.not_reached(Goal::Stopped, &state)),
        Ended::Late(state) => return Err(target.still_going(Goal::Stopped, &state)),
    }
    target.enable().await?;
    target.forget_note().await?;
    target.ended(Goal::Started, "restarted").await
}

/// pcs has these words, and the vendor shows them.
fn not_running(resource: &str) -> String {
    format!("resource '{resource}' is not running on any node")
}

/// Who restarts, from where, and since when.
fn who_and_when() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let who = variable("SUDO_USER")
        .or_else(|| variable("USER"))
        .unwrap_or_else(|| "root".to_owned());
    let host = nix::unistd::gethostname().unwrap_or_default();
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    let now = OffsetDateTime::now_utc()
        .format(&format)
        .unwrap_or_default();
    format!("{who} on {} at {now}", host.to_string_lossy())
}

impl<'a> Target<'a> {
    /// Looks at the cluster, and refuses what could not be carried out.
    async fn find(args: &'a ResourceArgs, restarts: bool) -> Result<Target<'a>, Failure> {
        let fleet = super::fleet(&args.site)?;
        let gathered = gather(&fleet, Ask::State).await?;
        let (node, state) = (gathered.node, gathered.state);
        refuse(&state, &args.resource)?;
        let configuration = answer(&node, commands::configuration()).await?;
        let configuration = Configuration::parse(&configuration.stdout).map_err(|error| {
            let name = &node.name;
            Failure::failed(format!(
                "what cibadmin printed on {name} cannot be used: {error}"
            ))
        })?;
        Ok(Target {
            args,
            node,
            state,
            configuration,
            run: Run::new(args.dry_run),
            restarts,
        })
    }

    /// A line of the vendor's; a dry run prints its plan alone.
    fn line(&self, text: &str) {
        if !self.run.is_dry() {
            tell(text);
        }
    }

    async fn enable(&self) -> Result<(), Failure> {
        self.line(&format!("enable resource {}", self.args.resource));
        let enable = commands::enable(&self.args.resource);
        self.run.change(&self.node, &enable).await.map(drop)
    }

    async fn disable(&self) -> Result<(), Failure> {
        self.line(&format!("disable resource {}", self.args.resource));
        let disable = commands::disable(&self.args.resource);
        self.run.change(&self.node, &disable).await.map(drop)
    }

    fn note_name(&self) -> String {
        format!("restart.{}", self.args.resource)
    }

    fn note(&self) -> Option<String> {
        let notes = self.configuration.notes().into_iter();
        notes
            .filter(|note| note.name == self.note_name())
            .map(|note| note.text)
            .next()
    }

    /// Removes the note of a restart: this one's, or one that was interrupted.
    async fn forget_note(&self) -> Result<(), Failure> {
        let delete = commands::delete_note(&self.note_name());
        match self.restarts || self.note().is_some() {
            true => self.run.change(&self.node, &delete).await.map(drop),
            false => Ok(()),
        }
    }

    fn wait(&self, goal: Goal) -> Wait<'_> {
        let operation = match goal {
            Goal::Started => "start",
            Goal::Stopped => "stop",
        };
        let own = self.configuration.timeout(&self.args.resource, operation);
        Wait {
            node: &self.node,
            resource: &self.args.resource,
            goal,
            limit: self
                .args
                .timeout
                .unwrap_or(2 * own + Duration::from_secs(60)),
        }
    }

    /// Waits for the last step, and says how it ended.
    async fn ended(&self, goal: Goal, done: &str) -> Result<Exit, Failure> {
        if self.run.is_dry() {
            return self.planned();
        }
        let resource = &self.args.resource;
        match self.wait(goal).run().await? {
            Ended::Reached(state) => {
                let nodes = state.instances(resource).flat_map(|it| it.nodes.clone());
                let nodes: Vec<String> = nodes.collect();
                match goal {
                    Goal::Stopped => self.line(&not_running(resource)),
                    Goal::Started => say(&format!(
                        "{resource} was {done}: it runs on {}",
                        nodes.join(", ")
                    )),
                }
                Ok(Exit::Done)
            }
            Ended::Settled(state) => Err(self.not_reached(goal, &state)),
            Ended::Late(state) => Err(self.still_going(goal, &state)),
            Ended::Interrupted => Err(Failure::incomplete(format!(
                "interrupted. The cluster goes on to {} {resource}\n  help: look again: ha-ctl status",
                goal.verb()
            ))),
        }
    }

    fn planned(&self) -> Result<Exit, Failure> {
        let (text, exit) = self.run.plan();
        print(&text)?;
        Ok(exit)
    }

    /// The cluster has nothing left to do, and the resource is not as it should be.
    fn not_reached(&self, goal: Goal, state: &State) -> Failure {
        let resource = &self.args.resource;
        let reasons = state.failures.iter().filter(|it| !it.degraded);
        let reasons = reasons.filter(|it| it.operation.starts_with(&format!("{resource}_")));
        let reasons: String = reasons
            .map(|it| format!("\n  {} on {}: {}", it.operation, it.node, it.reason))
            .collect();
        let found = roles(state, resource);
        Failure::incomplete(format!(
            "{resource} did not {}: {found}, and the cluster has nothing more to do{reasons}\n  help: ha-ctl show   \
             says what is in the way; then sudo pcs resource cleanup {resource}",
            goal.verb()
        ))
    }

    fn still_going(&self, goal: Goal, state: &State) -> Failure {
        let resource = &self.args.resource;
        let limit = self.wait(goal).limit.as_secs();
        let then = match goal == Goal::Stopped && self.restarts {
            true => format!(". It is not started again by itself: ha-ctl start -s {resource}"),
            false => String::new(),
        };
        Failure::incomplete(format!(
            "{resource} has not {} within {limit} s: {}. The cluster goes on with it{then}\n  help: look again: \
             ha-ctl status",
            goal.past(),
            roles(state, resource)
        ))
    }
}

/// What cannot be carried out is refused before anything is changed.
fn refuse(state: &State, resource: &str) -> Result<(), Failure> {
    let mut instances = state.instances(resource).peekable();
    let Some(first) = instances.peek() else {
        let mut names: Vec<&str> = state
            .resources
            .iter()
            .filter(|it| !it.is_fencing())
            .map(|it| it.clone.as_deref().unwrap_or(&it.id))
            .collect();
        names.dedup();
        return Err(Failure::usage(format!(
            "there is no resource {resource} in the cluster\n  help: the resources are {}",
            names.join(", ")
        )));
    };
    if first.is_fencing() {
        return Err(Failure::usage(format!(
            "{resource} is a fencing device: without it, a lost node cannot be fenced and nothing takes over. \
             ha-ctl does not stop or start it\n  help: sudo pcs stonith disable {resource}"
        )));
    }
    let refused = |why: String| Err(Failure::failed(format!("{why}. Nothing was changed")));
    if state.maintenance {
        return refused(format!(
            "the cluster is in maintenance mode, so it would not start or stop {resource}\n  help: sudo pcs property \
             set maintenance-mode=   ends it"
        ));
    }
    if instances.any(|it| !it.managed) {
        return refused(format!(
            "{resource} is unmanaged, so the cluster would not start or stop it\n  help: sudo pcs resource manage \
             {resource} --monitor"
        ));
    }
    if !state.quorum {
        return refused(
            "the nodes that could be asked have no majority, so they would not start or stop anything\n  help: ha-ctl \
             show"
                .to_owned(),
        );
    }
    Ok(())
}

/// `Stopped`, or `Started on n1`.
fn roles(state: &State, resource: &str) -> String {
    let each = state.instances(resource).map(|it| match it.nodes[..] {
        [] => it.role.clone(),
        _ => format!("{} on {}", it.role, it.nodes.join(", ")),
    });
    let each: Vec<String> = each.collect();
    format!("it is {}", each.join("; "))
}

#[cfg(test)]
#[path = "resource_tests.rs"]
mod tests;
