//! Watches a step until it has ended. Whoever watches can go away: the step goes on.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Seen, State, Step};
use crate::exit::Failure;
use crate::output::{Progress, say};
use crate::reach::{Answer, Cause, Node, patient};

/// For how many seconds the node itself waits for the end, before it says how it goes; and where somebody sees that.
const WAIT: u8 = 10;
const WAIT_SEEN: u8 = 2;
/// For how long it is tried to reach a node again whose connection was cut, or that cannot say how the step is.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks when the node answers, and cannot say it.
const PAUSE: Duration = Duration::from_secs(1);
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
    let mut answered = begun;
    let (name, what) = (&node.name, &step.what);
    let mut progress = Progress::begin(&format!("{name}: {what}"));
    let wait = if progress.is_seen() { WAIT_SEEN } else { WAIT };
    loop {
        let seen = match look_patiently(node, step, wait).await {
            Ok(seen) => seen,
            Err(why) if answered.elapsed() >= PATIENCE => return Err(lost(node, step, &why)),
            Err(_) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        answered = Instant::now();
        let seconds = begun.elapsed().as_secs();
        match seen.state {
            State::Running { .. } => {
                // Warnings of cib-gen have been said.
                let last = seen.lines.last().filter(|it| !it.starts_with("WARNING"));
                let last = last.map(|line| format!(": {}", short(line)));
                let last = last.unwrap_or_default();
                progress.update(&format!("{name}: {what}: {seconds} s{last}"));
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
    seen(node.run(&step.look(lines, wait)).await)
}

/// The same, where it is worth waiting for a node that is away.
async fn look_patiently(node: &Node, step: &Step, wait: u8) -> Result<Seen, String> {
    seen(patient(node, &step.look(1, wait), PATIENCE).await)
}

fn seen(answer: Result<Answer, Cause>) -> Result<Seen, String> {
    match answer {
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
