//! One run of a verb that changes something. Every change goes through [`Run::change`]; a dry run collects there
//! what it would do, so that plan and act cannot differ.

use std::cell::RefCell;

use crate::exit::{Exit, Failure};
use crate::reach::{Answer, Command, Node};

/// A run, dry or not.
#[derive(Debug, Default)]
pub struct Run {
    dry: bool,
    planned: RefCell<Vec<String>>,
}

impl Run {
    /// A dry run changes nothing.
    pub fn new(dry: bool) -> Run {
        Run {
            dry,
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
            self.planned
                .borrow_mut()
                .push(format!("{}: {}", node.name, command.what));
            return Ok(Answer::default());
        }
        let answer = node.run(command).await.map_err(|cause| {
            Failure::incomplete(format!(
                "{}: {} {}. It may have been done all the same\n  help: look again: ha-ctl show",
                command.what,
                node.name,
                cause.found()
            ))
        })?;
        match answer.is_success() {
            true => Ok(answer),
            false => Err(Failure::failed(format!(
                "{} on {} failed: {}",
                command.what,
                node.name,
                answer.said()
            ))),
        }
    }

    /// What a dry run would have done, and its exit status.
    pub fn plan(&self) -> (String, Exit) {
        let planned = self.planned.borrow();
        match planned.is_empty() {
            true => ("nothing would change\n".to_owned(), Exit::Done),
            false => {
                let lines = planned.iter().map(|line| format!("  {line}\n"));
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
}
