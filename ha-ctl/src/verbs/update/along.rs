//! Nodes that were away on the way back. They are in standby, because they may have containers of the new version, and on
//! a LAN data of it. The same command brings them along when they can be reached again.

use super::copy::wait_for;
use super::found::Found;
use crate::commands;
use crate::exit::Failure;
use crate::output::{print, say};
use crate::reach::{Missing, Node};
use crate::run::Run;
use crate::update::{Facts, Record, Stage, down, follow, followed, meet};

/// Puts the nodes that are away in standby, after that was written down.
pub(super) async fn set_aside(found: &Found, record: &Record, run: &Run) -> Result<(), Failure> {
    for node in &record.away {
        found.change(run, &commands::standby(node)).await?;
    }
    Ok(())
}

pub(super) fn plan(found: &Found, record: &Record) -> String {
    let mut text = "the PBX runs as before, and is left as it is. To do:\n".to_owned();
    for name in &record.away {
        text += &match (reached(found, name), found.site.drbd()) {
            (None, _) => format!("  nothing on {name}, which is still away\n"),
            (Some(_), None) => format!(
                "  make the containers of {} again on {name}, and take it out of standby\n",
                record.from
            ),
            (Some(_), Some(_)) => format!(
                "  have the copy of the data on {name} follow the other one: what it has of its own is LOST\n  make the \
                 containers of {} again there, and take it out of standby\n",
                record.from
            ),
        };
    }
    text
}

/// The PBX runs, and the nodes that were reached have the containers of before. Takes those that were away out of standby,
/// and the update off the record, unless one is still away: then that is written down.
///
/// Returns the nodes that are left.
pub(super) async fn settle(
    found: &mut Found,
    mut record: Record,
    run: &Run,
) -> Result<Vec<String>, Failure> {
    let mut left = Vec::new();
    for name in std::mem::take(&mut record.away) {
        match reached(found, &name) {
            None if is_away(found, &name) => left.push(name),
            // The cluster has no such node any more.
            None => {}
            Some(node) => match bring_along(found, node, run).await {
                Ok(()) => say(&format!("{name} can take over again")),
                Err(failure) => {
                    say(&format!("error: {failure}"));
                    left.push(name);
                }
            },
        }
    }
    if left.is_empty() {
        found.forget_all(run).await?;
        return Ok(left);
    }
    record.stage = Stage::Returned;
    record.away.clone_from(&left);
    let text = record.commands();
    found.write(record, run).await?;
    print(&format!(
        "{} cannot take over, and is in standby: {text}\n",
        left.join(", ")
    ))?;
    Ok(left)
}

/// The node is in standby, so that Pacemaker does nothing with DRBD there.
async fn bring_along(found: &Found, node: &Node, run: &Run) -> Result<(), Failure> {
    if let Some(drbd) = found.site.drbd() {
        let resource = drbd.name.as_str();
        // Somebody may have taken it out of standby.
        found.change(run, &commands::standby(&node.name)).await?;
        run.change(node, &down(resource)).await?;
        wait_for(node, resource, "DRBD is down there", |it| {
            it.states.is_down()
        })
        .await?;
        run.step(node, &follow(resource)).await?;
        run.change(found.active_node()?, &meet(resource)).await?;
        run.step(node, &followed(resource)).await?;
        run.change(node, &down(resource)).await?;
    }
    let unstandby = commands::unstandby(&node.name);
    found.change(run, &unstandby).await.map(drop)
}

fn reached<'a>(found: &'a Found, name: &str) -> Option<&'a Node> {
    let mut nodes = found.nodes.iter();
    let reached = nodes.find(|(node, _): &&(Node, Facts)| node.name == name);
    reached.map(|(node, _)| node)
}

fn is_away(found: &Found, name: &str) -> bool {
    let mut missing = found.missing.iter();
    missing.any(|it: &Missing| it.name == name)
}
