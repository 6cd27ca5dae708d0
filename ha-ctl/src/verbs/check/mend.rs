//! `check --fix`: mends what is safe to mend, one node after the other.

use super::super::guard;
use super::super::signals::Signals;
use super::interrupted;
use crate::check::{Check, Finding};
use crate::exit::Failure;
use crate::lock::{Lock, lock_where_possible};
use crate::output::say;
use crate::reach::{Missing, Node};
use crate::run::Run;

/// Keeps others from changing the cluster meanwhile, wherever a node can be reached.
async fn lock(nodes: &[Node], missing: &[Missing]) -> Result<Lock, Failure> {
    let all: Vec<&Node> = nodes.iter().collect();
    let (lock, mut not_held) = lock_where_possible(&all, "check --fix").await?;
    let unreached = missing.iter();
    not_held.extend(unreached.map(|it| (it.name.clone(), it.cause.found())));
    guard::say_where(&lock, not_held);
    Ok(lock)
}

/// Mends what can be mended. What cannot is found again afterwards.
pub(super) async fn mend(
    nodes: &[Node],
    missing: &[Missing],
    found: &[Finding],
    run: &Run,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let mut fixable = found.iter().filter(|it| it.fixable).peekable();
    let _lock = match run.is_dry() || fixable.peek().is_none() {
        true => None,
        false => Some(signals.end_what_looks(lock(nodes, missing)).await?),
    };
    for it in fixable {
        // A change that was begun is not cut off.
        if signals.have_come() {
            return Err(interrupted());
        }
        let fix = Check::named(it.name).and_then(|check| check.fix);
        let mut nodes = nodes.iter();
        let node = nodes.find(|node| it.node.as_ref() == Some(&node.name));
        let (Some(fix), Some(node)) = (fix, node) else {
            continue;
        };
        let command = (fix.command)();
        // The other nodes are done too, and the second look shows what has not become right.
        match run.change(node, &command).await {
            Ok(_) if run.is_dry() => {}
            Ok(_) => say(&format!(
                "{} on {}: {}: done",
                it.name, node.name, command.what
            )),
            Err(failure) => say(&failure.text),
        }
    }
    Ok(())
}
