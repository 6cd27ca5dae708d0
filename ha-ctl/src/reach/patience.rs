//! A command that is tried again for a while where the connection was cut.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::cause::Cause;
use super::command::{Answer, Command};
use super::node::Node;
use super::ssh::jitter;

/// How many times as long as after the first attempt it is waited before the next one, at most.
const SLOWEST: u32 = 4;

/// Runs a command; as long as the node cannot be reached, and it does no harm to send the command once more, again,
/// for at most `limit`.
///
/// # Errors
/// It was not run, or the connection was lost meanwhile. Where one of the attempts may have been carried out, that is
/// said of all.
pub async fn patient(node: &Node, command: &Command, limit: Duration) -> Result<Answer, Cause> {
    let begun = Instant::now();
    let (mut pauses, mut may_be_done) = (1, false);
    loop {
        let cause = match node.run(command).await {
            Ok(answer) => return Ok(answer),
            Err(cause) => cause,
        };
        may_be_done |= !cause.was_not_sent();
        let may_repeat = command.is_repeatable || !may_be_done;
        if !cause.is_cut() || !may_repeat || begun.elapsed() >= limit {
            return Err(match cause {
                Cause::Cut { what, said, .. } => Cause::Cut {
                    what,
                    sent: may_be_done,
                    said,
                },
                cause => cause,
            });
        }
        sleep(jitter() * pauses).await;
        pauses = (pauses + 1).min(SLOWEST);
    }
}
