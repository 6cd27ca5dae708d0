//! One run of a verb that changes something. Every change goes through [`Run::change`]; a dry run collects there
//! what it would do, so that plan and act cannot differ. A run that follows a plan says so if they do.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::exit::{Exit, Failure};
use crate::output::{Progress, say};
use crate::reach::{Answer, Command, Node, TIMED_OUT, patient};
use crate::steps::{State, Step, look, watch};

/// For how long it is tried to reach a node again whose connection was cut.
const PATIENCE: Duration = Duration::from_secs(20);

/// A run, dry or not.
#[derive(Debug, Default)]
pub struct Run {
    dry: bool,
    planned: RefCell<Vec<Planned>>,
    /// What was announced before, if anything was.
    announced: Option<Vec<Planned>>,
    changed: Cell<bool>,
    /// A change was sent to a node.
    tried: Cell<bool>,
    watched: RefCell<Vec<(String, String)>>,
}

/// What a dry run would have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// On which node.
    pub node: String,
    /// What: `write /etc/sysctl.d/60-portsip-ha.conf`.
    pub what: String,
    /// It goes on already, and is waited for.
    pub goes_on: bool,
}

impl Planned {
    /// For people.
    pub fn text(&self) -> String {
        match self.goes_on {
            true => format!("{} (it is going on, and is waited for)", self.what),
            false => self.what.clone(),
        }
    }
}

impl Run {
    /// A dry run changes nothing.
    pub fn new(dry: bool) -> Run {
        Run {
            dry,
            ..Run::default()
        }
    }

    /// Does what a dry run has announced. What was not among it is said when it is done.
    pub fn of(plan: &Run) -> Run {
        Run {
            announced: Some(plan.planned()),
            ..Run::default()
        }
    }

    /// Whether nothing is changed.
    pub fn is_dry(&self) -> bool {
        self.dry
    }

    /// Changes something on a node; a dry run notes it.
    ///
    /// # Errors
    /// The command failed or was lost. Whether it was carried out then is not known in the second case.
    pub async fn change(&self, node: &Node, command: &Command) -> Result<Answer, Failure> {
        if self.dry {
            self.note(node, &command.what, false);
            return Ok(Answer::default());
        }
        self.compare(node, &command.what);
        let unknown = |found: String| {
            self.changed.set(true);
            Failure::incomplete(format!(
                "{}: {} {found}. It may have been done all the same\n  help: look again: ha-ctl show, or ha-ctl extend list for an extended server",
                command.what, node.name,
            ))
        };
        self.tried.set(true);
        match patient(node, command, PATIENCE).await {
            Err(cause) if cause.was_not_sent() => self.judge(Err(Failure::failed(format!(
                "{}: {} {}. It was not done there\n  help: {}",
                command.what,
                node.name,
                cause.found(),
                "the same command again, when the node can be reached: ha-ctl check --only ssh",
            )))),
            Err(cause) => Err(unknown(cause.found())),
            Ok(answer) if answer.status == TIMED_OUT => {
                let limit = command.limit.as_secs();
                Err(unknown(format!("has not ended it within {limit} s")))
            }
            Ok(answer) if answer.is_success() => {
                self.changed.set(true);
                Ok(answer)
            }
            Ok(answer) => self.judge(Err(Failure::failed(format!(
                "{} on {} failed: {}",
                command.what,
                node.name,
                answer.said()
            )))),
        }
    }

    /// What a verb came to: once something was changed, no failure is "nothing was changed".
    ///
    /// # Errors
    /// The failure, with the exit status that is true of this run.
    pub fn judge<T>(&self, ended: Result<T, Failure>) -> Result<T, Failure> {
        ended.map_err(|mut failure| {
            if self.changed.get() && failure.exit == Exit::Failed {
                failure.exit = Exit::Incomplete;
            }
            failure
        })
    }

    /// Has a long step done on a node, and watches it to its end. One that runs is watched, one that has succeeded
    /// with the same inputs is skipped if it is done once, one that has failed is done again.
    ///
    /// # Errors
    /// It has failed, or the node does not answer any more while it goes on.
    pub async fn step(&self, node: &Node, step: &Step) -> Result<(), Failure> {
        let (name, what) = (&node.name, &step.what);
        let seen = look(node, step, 1, 0).await;
        let seen = seen.map_err(|why| Failure::failed(format!("{what}: {name} {why}")))?;
        match seen.state {
            State::Done if step.once => return Ok(()),
            State::Running { same } if self.dry => {
                self.note(node, what, true);
                if !same {
                    self.note(node, what, false);
                }
                return Ok(());
            }
            State::Running { same } => {
                say(&format!("{name}: {what}: an earlier run has begun it"));
                self.watch(node, step).await?;
                if same {
                    return Ok(());
                }
            }
            State::Failed { status, same: true } if !self.dry => {
                let how = status.map_or_else(
                    || "was ended before its end".to_owned(),
                    |status| format!("failed with {status}"),
                );
                say(&format!("{name}: {what}: an earlier run {how}; again"));
            }
            State::Done | State::New | State::Failed { .. } => {}
        }
        self.change(node, &step.start()).await?;
        match self.dry {
            true => Ok(()),
            false => {
                say(&format!("{name}: {what}: begun"));
                self.watch(node, step).await
            }
        }
    }

    /// Has a node read what another one prints: a part of a step that was announced.
    ///
    /// # Errors
    /// It has failed on one of the two, or was lost.
    pub async fn pipe(
        &self,
        from: &Node,
        printing: &Command,
        to: &Node,
        reading: &Command,
    ) -> Result<(), Failure> {
        let doing = format!("{}: {} from {}", to.name, reading.what, from.name);
        let mut progress = Progress::begin(&doing);
        say(&format!("{doing}: begun"));
        let begun = Instant::now();
        self.tried.set(true);
        let moved = |bytes: u64| progress.update(&format!("{doing}: {} MB", bytes / 1_000_000));
        let ended = from.pipe(printing, to, reading, moved).await;
        let failed = |why: String| Failure::failed(format!("{doing}: {why}"));
        match ended {
            Ok(answer) if answer.is_success() => {
                self.changed.set(true);
                say(&format!("{doing}: done ({} s)", begun.elapsed().as_secs()));
                Ok(())
            }
            Ok(answer) => Err(failed(answer.said())),
            Err(cause) => Err(failed(cause.found())),
        }
    }

    /// Whether [`Run::step`] would begin a step, or watch it.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn needs(&self, node: &Node, step: &Step) -> Result<bool, Failure> {
        let seen = look(node, step, 1, 0).await;
        let seen =
            seen.map_err(|why| Failure::failed(format!("{}: {} {why}", step.what, node.name)))?;
        Ok(!(step.once && seen.state == State::Done))
    }

    async fn watch(&self, node: &Node, step: &Step) -> Result<(), Failure> {
        // What goes on is not "nothing was changed".
        self.changed.set(true);
        let watched = (node.name.clone(), step.unit());
        self.watched.borrow_mut().push(watched.clone());
        let ended = watch(node, step).await;
        self.watched.borrow_mut().retain(|it| *it != watched);
        ended
    }

    fn note(&self, node: &Node, what: &str, goes_on: bool) {
        self.planned.borrow_mut().push(Planned {
            node: node.name.clone(),
            what: what.to_owned(),
            goes_on,
        });
    }

    /// A change that the plan does not have is no reason to stop in the middle, and is not hidden.
    fn compare(&self, node: &Node, what: &str) {
        if !self.is_announced(node, what) {
            say(&format!("{}: {what}: this was not in the plan", node.name));
        }
    }

    fn is_announced(&self, node: &Node, what: &str) -> bool {
        let is_it = |it: &Planned| it.node == node.name && it.what == what;
        let announced = self.announced.as_ref();
        announced.is_none_or(|announced| announced.iter().any(is_it))
    }

    /// Whether anything was changed, or may have been: a command that fails can have done half of it.
    pub fn has_changed(&self) -> bool {
        self.changed.get() || self.tried.get()
    }

    /// The nodes and units of the steps that are being watched.
    pub fn watched(&self) -> Vec<(String, String)> {
        self.watched.borrow().clone()
    }

    /// What a dry run would have done.
    pub fn planned(&self) -> Vec<Planned> {
        self.planned.borrow().clone()
    }

    /// What a dry run would have done, as text, and its exit status.
    pub fn plan(&self) -> (String, Exit) {
        let planned = self.planned.borrow();
        match planned.is_empty() {
            true => ("nothing would change\n".to_owned(), Exit::Done),
            false => {
                let lines = planned
                    .iter()
                    .map(|it| format!("  {}: {}\n", it.node, it.text()));
                (
                    format!("would be done:\n{}", lines.collect::<String>()),
                    Exit::Problems,
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::reach::test_node;

    #[tokio::test]
    async fn a_dry_run_collects_and_runs_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("made");
        let mut touch = Command::look("make a file", format!("touch {}", file.display()));
        touch.sudo = false;
        let run = Run::new(true);
        assert_eq!(
            run.plan(),
            ("nothing would change\n".to_owned(), Exit::Done)
        );
        run.change(&test_node("n1"), &touch).await.unwrap();
        assert!(!file.exists());
        assert_eq!(
            run.plan(),
            (
                "would be done:\n  n1: make a file\n".to_owned(),
                Exit::Problems
            )
        );
        Run::new(false)
            .change(&test_node("n1"), &touch)
            .await
            .unwrap();
        assert!(file.exists());
    }

    #[tokio::test]
    async fn a_change_that_fails_says_where_and_what_came_back() {
        let mut command = Command::look("enable resource pbx", "echo no such resource >&2; exit 1");
        command.sudo = false;
        let failed = Run::new(false)
            .change(&test_node("n1"), &command)
            .await
            .unwrap_err();
        assert_eq!(
            failed.text,
            "enable resource pbx on n1 failed: no such resource"
        );
        assert_eq!(failed.exit, Exit::Failed);
    }

    #[tokio::test]
    async fn a_change_that_did_not_end_in_time_may_have_been_done() {
        let mut command = Command::look("enable resource pbx", "sleep 100");
        command.sudo = false;
        command.limit = std::time::Duration::from_millis(50);
        let failed = Run::new(false)
            .change(&test_node("n1"), &command)
            .await
            .unwrap_err();
        assert_eq!(failed.exit, Exit::Incomplete);
        assert!(failed.text.contains("may have been done"), "{failed}");
    }

    #[tokio::test]
    async fn once_something_was_changed_no_failure_is_called_nothing_changed() {
        let run = Run::new(false);
        let command = |script: &str| {
            let mut command = Command::look("change", script);
            command.sudo = false;
            command
        };
        let judged = || {
            run.judge::<()>(Err(Failure::failed("it failed")))
                .unwrap_err()
        };
        assert_eq!(judged().exit, Exit::Failed);
        run.change(&test_node("n1"), &command(":")).await.unwrap();
        let failed = run.change(&test_node("n1"), &command("exit 1")).await;
        assert_eq!(failed.unwrap_err().exit, Exit::Incomplete);
        assert_eq!(judged().exit, Exit::Incomplete);
    }

    #[tokio::test]
    async fn what_was_announced_for_one_node_is_not_announced_for_another() {
        let mut command = Command::look("make a file", ":");
        command.sudo = false;
        let plan = Run::new(true);
        plan.change(&test_node("n1"), &command).await.unwrap();
        let run = Run::of(&plan);
        assert!(run.is_announced(&test_node("n1"), "make a file"));
        assert!(!run.is_announced(&test_node("n2"), "make a file"));
        assert!(!run.is_announced(&test_node("n1"), "make another"));
        assert!(Run::new(false).is_announced(&test_node("n1"), "anything"));
    }
}
