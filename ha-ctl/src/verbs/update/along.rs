//! Nodes that were away on the way back. They are in standby, because they may have containers of the new version, and on
//! a LAN data of it. The same command brings them along when they can be reached again.

use std::iter::once;
use std::time::Duration;

use super::back::{containers_of_before, half_way, lacks_what_was_before};
use super::copy::wait_for;
use super::found::Found;
use crate::cluster::State;
use crate::commands;
use crate::deploy::Drbd;
use crate::exit::Failure;
use crate::output::{print, say};
use crate::reach::{Command, Node};
use crate::run::Run;
use crate::update::{Facts, Record, Stage, down, follow, followed, meet};
use crate::verbs::deploy::{self, left};
use crate::verbs::signals::Signals;

/// For Pacemaker to stop what it runs on a node that is put in standby.
const STANDBY: Duration = Duration::from_secs(180);

/// Puts the nodes that are away in standby, after that was written down.
pub(super) async fn set_aside(found: &Found, record: &Record, run: &Run) -> Result<(), Failure> {
    for node in record.away.iter().filter(|it| is_member(found, it)) {
        found.change(run, &commands::standby(node)).await?;
    }
    Ok(())
}

/// Whether the cluster knows a node of vars.yml. One that is to be replaced may have left it.
pub(super) fn is_member(found: &Found, name: &str) -> bool {
    found.state.nodes.iter().any(|it| it.name == name)
}

pub(super) fn plan(found: &Found, record: &Record) -> String {
    let mut text = "the PBX runs as before, and is left as it is. To do:\n".to_owned();
    if record.away.is_empty() {
        text += "  take the update off the record\n";
    }
    for name in &record.away {
        text += &match (reached(found, name), found.site.drbd()) {
            _ if *name == found.active => format!("  nothing on {name}, where the PBX is\n"),
            (None, _) => format!("  nothing on {name}, which is still away\n"),
            (Some(_), None) => format!(
                "  make the containers of {} again on {name}, and take it out of standby\n",
                record.from
            ),
            (Some(_), Some(_)) => format!(
                "  make the containers of {} again on {name}\n  have its copy of the data follow the other one: what it has of \
                 its own is LOST\n  take it out of standby\n",
                record.from
            ),
        };
    }
    text
}

/// The PBX runs. Brings along the nodes that were away, and takes the update off the record, unless one is left: then that
/// is on record.
///
/// Returns the nodes that are left.
pub(super) async fn settle(
    found: &mut Found,
    record: Record,
    run: &Run,
    signals: &mut Signals,
) -> Result<Vec<String>, Failure> {
    let settled = tokio::select! {
        settled = settle_each(found, record, run) => settled,
        () = signals.received() => Err(left(run)),
    };
    settled.map_err(half_way)
}

async fn settle_each(
    found: &mut Found,
    mut record: Record,
    run: &Run,
) -> Result<Vec<String>, Failure> {
    if record.away.is_empty() {
        found.forget_all(run).await?;
        return Ok(Vec::new());
    }
    record.stage = Stage::Returned;
    found.write(record.clone(), run).await?;
    // The PBX may be on another node by now than before it went back.
    let state = state(found).await?;
    for node in &state.nodes {
        let is_master = state.master() == Some(&node.name);
        if record.away.contains(&node.name) && !node.standby && !is_master {
            let standby = match node.online {
                true => standby_and_wait(&node.name),
                false => commands::standby(&node.name),
            };
            found.change(run, &standby).await?;
        }
    }
    for name in record.away.clone() {
        if is_left(found, &state, &record, &name, run).await {
            continue;
        }
        record.away.retain(|it| *it != name);
        found.write(record.clone(), run).await?;
    }
    if record.away.is_empty() {
        found.forget_all(run).await?;
        return Ok(Vec::new());
    }
    print(&format!(
        "{} is not to take over: {}\n",
        record.away.join(", "),
        record.commands()
    ))?;
    Ok(record.away)
}

/// Brings one along. Says why it is left, if it is.
async fn is_left(found: &Found, state: &State, record: &Record, name: &str, run: &Run) -> bool {
    let reached = reached(found, name);
    // Somebody has taken it out of standby, and it has taken over.
    if state.master() == Some(name) {
        let is_of_before = reached.is_some_and(|(_, facts)| facts.is_of_version(&record.from));
        if !is_of_before {
            say(&format!(
                "the PBX is on {name}, whose containers are not of the version {}\n  help: sudo pcs node standby {name}, and \
                 when the PBX runs elsewhere, the same command",
                record.from
            ));
        }
        return !is_of_before;
    }
    let Some(it) = reached else {
        let is_missing = found.missing.iter().any(|it| it.name == name);
        // Otherwise the cluster has no such node any more.
        return is_missing || state.nodes.iter().any(|it| it.name == name);
    };
    if !state.online().contains(&name) {
        say(&format!(
            "{name} is not in the cluster\n  help: sudo pcs cluster start   (there)"
        ));
        return true;
    }
    let (node, facts) = it;
    if facts.lacks(record) {
        say(&lacks_what_was_before(node, record));
        return true;
    }
    let brought = bring_along(found, state, record, it, run).await;
    match (brought, found.site.drbd()) {
        (Ok(()), None) => say(&format!("{name} can take over again")),
        (Ok(()), Some(_)) => say(&format!(
            "{name} is out of standby, and its copy of the data catches up: ha-ctl show   says when it can take over"
        )),
        (Err(failure), _) => {
            say(&format!("error: {failure}"));
            return true;
        }
    }
    false
}

async fn bring_along(
    found: &Found,
    state: &State,
    record: &Record,
    it: &(Node, Facts),
    run: &Run,
) -> Result<(), Failure> {
    let (node, _) = it;
    containers_of_before(found, once(it), record, run).await?;
    if let Some(drbd) = found.site.drbd() {
        drop_and_follow(found, state, drbd, node, run).await?;
    }
    let unstandby = commands::unstandby(&node.name);
    found.change(run, &unstandby).await.map(drop)
}

/// Pacemaker has stopped DRBD on this node, and starts nothing on it in standby.
async fn drop_and_follow(
    found: &Found,
    state: &State,
    drbd: &Drbd,
    node: &Node,
    run: &Run,
) -> Result<(), Failure> {
    let source = state.master().and_then(|name| reached(found, name));
    let Some((source, _)) = source else {
        return Err(Failure::failed(
            "no node that can be used has the data in use\n  help: ha-ctl show",
        ));
    };
    let resource = drbd.name.as_str();
    run.change(node, &down(resource)).await?;
    wait_for(node, resource, "DRBD is down there", |it| {
        it.states.is_down()
    })
    .await?;
    run.step(node, &follow(resource)).await?;
    run.change(source, &meet(resource)).await?;
    run.step(node, &followed(resource)).await?;
    run.change(node, &down(resource)).await.map(drop)
}

fn standby_and_wait(node: &str) -> Command {
    let mut command = commands::standby(node);
    command.script += &format!(" --wait={}", STANDBY.as_secs());
    command.limit = STANDBY + Duration::from_secs(20);
    command
}

pub(super) async fn state(found: &Found) -> Result<State, Failure> {
    deploy::state(&found.contact.node()).await
}

pub(super) fn reached<'a>(found: &'a Found, name: &str) -> Option<&'a (Node, Facts)> {
    found.nodes.iter().find(|(node, _)| node.name == name)
}
