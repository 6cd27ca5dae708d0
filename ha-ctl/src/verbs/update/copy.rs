//! On a LAN: the copy of the data that stays as it was before the update, and is the way back. Its node is in standby, so
//! that Pacemaker leaves DRBD down there, whatever happens; it votes all the same.

use std::time::Duration;

use cib_gen::vars::DrbdVersion;
use tokio::time::{Instant, sleep};

use super::back_lan;
use super::found::{Found, find};
use crate::cli::Wanted;
use crate::commands;
use crate::deploy::{Drbd, System};
use crate::exit::{Exit, Failure};
use crate::lock::Lock;
use crate::output::{print, say};
use crate::reach::{Missing, Node};
use crate::run::Run;
use crate::update::{CopyAtRest, CopyFacts, Facts, Record, look_at_copy};
use crate::verbs::deploy::confirmed;
use crate::verbs::guard::guard;
use crate::verbs::show::answer;
use crate::verbs::signals::Signals;

/// For the cluster to bring DRBD down on a node, or up again and connected.
const SOON: Duration = Duration::from_secs(180);
/// How often a copy is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// With DRBD 9 nothing of this has been tried.
pub(super) fn refuse_drbd(found: &Found) -> Result<(), Failure> {
    let stopped = match found.runs() {
        true => "",
        false => ". The PBX is stopped, as it was before: ha-ctl start -s pbx",
    };
    match &found.site.system {
        System::Lan(lan) if lan.drbd.version != DrbdVersion::EightFour => {
            Err(Failure::failed(format!(
                "ha-ctl update is for DRBD 8.4 as yet, and these nodes have DRBD 9. Nothing was changed\n  help: by hand, with a \
                 backup of your own before, which is the only way back: docs/lan.md, \"With DRBD 9\"{stopped}"
            )))
        }
        _ => Ok(()),
    }
}

/// Before the PBX is stopped: without a second copy that is whole, there would be no way back.
pub(super) fn refuse(found: &Found) -> Result<(), Failure> {
    let Some(drbd) = found.site.drbd() else {
        return Ok(());
    };
    let left = |found: &str, help: &str| {
        Err(Failure::failed(format!(
            "{found}. The PBX and its data were left as they are\n  help: {help}"
        )))
    };
    if found.unfinished().is_some() {
        // Its copy is at rest, or will be.
        return Ok(());
    }
    let of = |record: Option<&Record>| record.and_then(|it| it.copy.clone());
    if let Some(copy) = of(found.taken_back()) {
        return left(
            &format!(
                "{} is in standby since an update that was not ended",
                copy.node
            ),
            "ha-ctl update --rollback   ends it: the PBX runs as before",
        );
    }
    if let Some(copy) = of(found.ended()) {
        return left(
            &format!(
                "{} has the data of before the last update, and is no second copy of what is there now",
                copy.node
            ),
            "ha-ctl update --accept   brings it up to date; after that there is no way back from the last update",
        );
    }
    let (Some((node, facts)), Some((other, _))) = (found.active(), found.others().next()) else {
        return left(
            "the other node with a copy of the data cannot be used, and without a copy there is no way back",
            "ha-ctl show",
        );
    };
    if !facts.copy.states.are_whole(drbd.holders.len()) {
        return left(
            &format!(
                "the copies of the data are not all connected and up to date, and without a second one there is no way back \
                 ({}: {})",
                node.name, facts.copy.states
            ),
            "ha-ctl show",
        );
    }
    let is_in_standby = |name: &str| {
        found
            .state
            .nodes
            .iter()
            .any(|it| it.name == name && it.standby)
    };
    if is_in_standby(&other.name) {
        return left(
            &format!("{} is in standby", other.name),
            &format!("sudo pcs node unstandby {}", other.name),
        );
    }
    Ok(())
}

/// The PBX has stopped, and everything is written: the other copy stays as it is now.
pub(super) async fn leave_at_rest(
    found: &mut Found,
    record: &mut Record,
    drbd: &Drbd,
    run: &Run,
) -> Result<(), Failure> {
    let resource = drbd.name.clone();
    // The PBX may have run since an earlier run has left it at rest.
    bring_back(found, record, run).await?;
    let copies = drbd.holders.len();
    wait_for(
        found.active_node()?,
        &resource,
        "all copies are up to date",
        |copy| copy.states.are_whole(copies),
    )
    .await?;
    let Some((other, _)) = found.others().next() else {
        return Err(Failure::failed("the other copy of the data cannot be used"));
    };
    let node = other.name.clone();
    record.copy = Some(CopyAtRest {
        node: node.clone(),
        generation: String::new(),
    });
    found.write(record.clone(), run).await?;
    found.change(run, &commands::standby(&node)).await?;
    let Some((other, _)) = found.others().next() else {
        return Ok(());
    };
    let at_rest = wait_for(other, &resource, "DRBD is down there", |copy| {
        copy.states.is_down() && !copy.generation.is_empty()
    });
    let generation = at_rest.await?.generation;
    // What it was told last was complete.
    wait_for(
        found.active_node()?,
        &resource,
        "the other copy is away",
        |copy| copy.states.connections == ["WFConnection"],
    )
    .await?;
    record.copy = Some(CopyAtRest { node, generation });
    Ok(())
}

/// The copy that was left at rest follows the other one again.
pub(super) async fn bring_back(found: &Found, record: &Record, run: &Run) -> Result<(), Failure> {
    match &record.copy {
        Some(copy) => found
            .change(run, &commands::unstandby(&copy.node))
            .await
            .map(drop),
        None => Ok(()),
    }
}

/// Until the copy on a node is as it should be.
pub(super) async fn wait_for(
    node: &Node,
    resource: &str,
    what: &str,
    is_so: impl Fn(&CopyFacts) -> bool,
) -> Result<CopyFacts, Failure> {
    let until = Instant::now() + SOON;
    loop {
        let found = answer(node, look_at_copy(resource)).await?;
        let copy = CopyFacts::parse(&found.stdout);
        if is_so(&copy) {
            return Ok(copy);
        }
        if Instant::now() > until {
            return Err(Failure::incomplete(format!(
                "on {}, it is not so after {} s that {what}: {}\n  help: ha-ctl show; sudo cat /proc/drbd   (there)",
                node.name,
                SOON.as_secs(),
                copy.states
            )));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Whether the copy that is on record is the one of before: DRBD is down there, and has been since.
///
/// # Errors
/// Why it is not.
pub(super) fn is_way_back(found: &Found, record: &Record) -> Result<(), Failure> {
    let refused = |why: String| {
        Err(Failure::failed(format!(
            "{why}. Nothing was changed\n  help: a backup of your own"
        )))
    };
    let Some(copy) = &record.copy else {
        return refused(format!(
            "the data may be of the version {} already, and no copy of before is left",
            record.to
        ));
    };
    let holder = |(node, _): &&(Node, Facts)| node.name == copy.node;
    let Some((_, facts)) = found.nodes.iter().find(holder) else {
        let missing = found.missing.iter().find(|it| it.name == copy.node);
        return Err(Failure::failed(format!(
            "{} has the data of before, and cannot be used. Nothing was changed\n{}",
            copy.node,
            missing.map(Missing::text).unwrap_or_default()
        )));
    };
    match facts.copy.is_at_rest(&copy.generation) {
        true => Ok(()),
        false if facts.copy.is_alone(&copy.generation) => Err(Failure::failed(format!(
            "the copy of the data on {} is the one of before, and DRBD runs on it, because its node was taken out of standby. Nothing \
             was changed\n  help: sudo pcs node standby {}, then the same command",
            copy.node, copy.node
        ))),
        false => refused(format!(
            "the copy of the data on {} is not the one of before any more ({}, {}; on record is {})",
            copy.node, facts.copy.states, facts.copy.generation, copy.generation
        )),
    }
}

/// Whether somebody has taken the node of the copy out of standby meanwhile, so that there is no way back any more.
pub(super) fn is_lost(found: &Found, record: &Record) -> bool {
    let Some(copy) = &record.copy else {
        return false;
    };
    let mut holders = found.nodes.iter();
    let holder = holders.find(|(node, _)| node.name == copy.node);
    holder
        .is_some_and(|(_, facts)| facts.copy.is_known() && !facts.copy.is_at_rest(&copy.generation))
}

/// Asks, takes the lock and looks again; nothing if nobody said yes.
pub(super) async fn agreed(
    seen: &Found,
    wanted: &Wanted,
    signals: &mut Signals,
) -> Result<Option<(Lock, Found)>, Failure> {
    if wanted.dry_run {
        return Ok(None);
    }
    if !wanted.yes && !confirmed()? {
        say("nothing was changed. With --yes, ha-ctl update --accept does not ask");
        return Ok(None);
    }
    let contact = &seen.contact;
    let lock = guard(
        contact.fleet(),
        &contact.node(),
        &seen.state,
        "update --accept",
    )
    .await?;
    let found = signals.end_what_looks(find(wanted)).await?;
    found.expect_as(seen)?;
    Ok(Some((lock, found)))
}

/// `--accept`: the copy of before follows the other one again, and the way back is gone.
pub(super) async fn accept(
    seen: Found,
    wanted: &Wanted,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    if let Some(record) = seen.unfinished()
        && back_lan::goes_forwards(&seen, record)
    {
        let record = record.clone();
        return back_lan::forwards(seen, wanted, record, signals).await;
    }
    let with_copy = |record: Option<&Record>| record.filter(|it| it.copy.is_some()).cloned();
    let Some(mut record) = with_copy(seen.ended()) else {
        let going_on = seen.unfinished().is_some();
        return Err(Failure::failed(match with_copy(seen.taken_back()) {
            Some(_) => {
                "the update was not ended, and the PBX of before runs. Nothing was changed\n  help: ha-ctl update --rollback   \
                 takes it off the record, and brings the other copy of the data up to date"
            }
            None if going_on => {
                "the update has not ended. Nothing was changed\n  help: ha-ctl show"
            }
            None => "no copy of the data of before an update is left. Nothing was changed",
        }));
    };
    let (Some(drbd), Some(copy)) = (seen.site.drbd().cloned(), record.copy.take()) else {
        return Ok(Exit::Done);
    };
    print(&format!(
        "{} has the data of before the update from {} to {}. To do:\n  bring it up to date. After that THERE IS NO WAY BACK \
         from this update\n",
        copy.node, record.from, record.to
    ))?;
    let Some((_lock, found)) = agreed(&seen, wanted, signals).await? else {
        return Ok(Exit::Problems);
    };
    let run = Run::new(false);
    let node = found.active_node()?;
    let accepted = async {
        found.change(&run, &commands::unstandby(&copy.node)).await?;
        let is_connected = |copy: &CopyFacts| {
            let catches_up = ["Connected", "SyncSource", "PausedSyncS", "WFBitMapS"];
            let mut states = copy.states.connections.iter();
            !copy.states.is_down() && states.all(|it| catches_up.contains(&it.as_str()))
        };
        let what = format!("DRBD is connected with {}", copy.node);
        wait_for(node, &drbd.name, &what, is_connected).await?;
        found.rewrite(&record, &run).await
    };
    let accepted = tokio::select! {
        accepted = accepted => accepted,
        () = signals.received() => Err(Failure::incomplete("interrupted\n  help: the same command again")),
    };
    run.judge(accepted)?;
    print(&format!(
        "{} catches up. ha-ctl show   says when it can take over\n",
        copy.node
    ))?;
    Ok(Exit::Done)
}
