//! Watches a step until it has ended. Whoever watches can go away: the step goes on.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Seen, State, Step};
use crate::exit::Failure;
use crate::output::say;
use crate::reach::Node;

/// For how many seconds the node itself waits for the end, before it is said what is waited for.
const WAIT: u8 = 10;
/// Between two looks when the node does not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How often in a row the node may not answer.
const MOST_ERRORS: u32 = 10;
/// How much of a step's last line is shown.
const WIDTH: usize = 60;
/// How many lines of a step that has failed are shown.
const LINES: u8 = 15;

/// Watches a step to its end.
///
/// # Errors
/// It has failed, with its last lines; or the node does not answer any more, and the step goes on.
pub async fn watch(node: &Node, step: &Step) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut errors = 0;
    let (name, what) = (&node.name, &step.what);
    loop {
        let seen = match look(node, step, 1, WAIT).await {
            Ok(seen) => seen,
            Err(why) if errors == MOST_ERRORS => return Err(lost(node, step, &why)),
            Err(_) => {
                errors += 1;
                sleep(PAUSE).await;
                continue;
            }
        };
        errors = 0;
        let seconds = begun.elapsed().as_secs();
        match seen.state {
            State::Running { .. } => {
                // Warnings of cib-gen have been said.
                let last = seen.lines.last().filter(|it| !it.starts_with("WARNING"));
                let last = last.map(|line| format!(": {}", short(line)));
                let last = last.unwrap_or_default();
                say(&format!("{name}: {what}: {seconds} s{last}"));
            }
            State::Done => {
                say(&format!("{name}: {what}: done ({seconds} s)"));
                return Ok(());
            }
            // Another step than the one that was asked for was watched, and has succeeded.
            State::New => return Ok(()),
            State::Failed { status, .. } => {
                let seen = look(node, step, LINES, 0).await.unwrap_or(seen);
                return Err(failed(node, step, status, &seen));
            }
        }
    }
}

/// The beginning of a line, as much as fits beside the rest.
fn short(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// Looks at a step.
///
/// # Errors
/// Why the node cannot say.
pub(crate) async fn look(node: &Node, step: &Step, lines: u8, wait: u8) -> Result<Seen, String> {
    match node.run(&step.look(lines, wait)).await {
        Err(cause) => Err(cause.found()),
        Ok(answer) if !answer.is_success() => Err(answer.said()),
        Ok(answer) => Ok(Seen::parse(&answer.stdout)),
    }
}

fn failed(node: &Node, step: &Step, status: Option<i32>, seen: &Seen) -> Failure {
    let (name, what, unit) = (&node.name, &step.what, step.unit());
    let how = match status {
        Some(status) => format!("failed with {status}"),
        None => "was ended before its end".to_owned(),
    };
    Failure::failed(format!(
        "{what} on {name} {how}. Its last lines:{}\n  help: all of it: journalctl --unit {unit}   (there). When that \
         is mended, the same command again goes on",
        seen.said()
    ))
}

fn lost(node: &Node, step: &Step, why: &str) -> Failure {
    let (name, what, unit) = (&node.name, &step.what, step.unit());
    Failure::incomplete(format!(
        "{what}: {name} {why}. The step goes on there, unless the node went down\n  help: look again: the same command, \
         which watches the step or does it again; or journalctl --follow --unit {unit}   (there)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_two_letters() {
        assert_eq!(short("  Setting up pcs ...\n"), "Setting up pcs ...");
        assert_eq!(short(&"ä".repeat(100)), format!("{}...", "ä".repeat(60)));
    }
}
