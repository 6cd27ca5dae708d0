//! The way back on a LAN: the copy of the data that stayed as it was before becomes the one that counts, and the other one
//! gives up what it has and follows. Everything is stopped meanwhile, so that DRBD is in nobody's hands but these.

use super::back::{containers_of_before, half_way};
use super::copy::{at_rest, wait_for};
use super::found::Found;
use super::gap::Gap;
use crate::commands;
use crate::deploy::Drbd;
use crate::exit::Failure;
use crate::output::print;
use crate::reach::{Missing, Node};
use crate::run::Run;
use crate::update::{
    CLONE, CopyAtRest, Record, Stage, become_source, down, follow, followed, forget_constraint,
    meet, with_image,
};
use crate::verbs::deploy::left;
use crate::verbs::signals::Signals;

/// Whether there is a copy to go back to, and both copies can be used.
pub(super) fn refuse(found: &Found, record: &Record) -> Result<(), Failure> {
    if is_back(record) {
        return Ok(());
    }
    at_rest(found, record)?;
    if !found.missing.is_empty() {
        let each: Vec<String> = found.missing.iter().map(Missing::text).collect();
        return Err(Failure::failed(format!(
            "both copies of the data are needed for the way back. Nothing was changed\n{}",
            each.join("\n")
        )));
    }
    Ok(())
}

/// Whether the data is back already.
fn is_back(record: &Record) -> bool {
    record.stage == Stage::Back && record.copy.is_none()
}

pub(super) fn plan(record: &Record, nodes: &str) -> String {
    let data = match &record.copy {
        None => "the data is back already. To do, in this order:\n".to_owned(),
        Some(copy) => format!(
            "THE DATA GOES BACK to the copy on {}: what came since is LOST (calls, recordings, settings).\nto do, in this \
             order:\n  stop the PBX, its addresses and DRBD\n  have the copy on {} count, and the other one follow it\n",
            copy.node, copy.node
        ),
    };
    format!(
        "{data}  make the containers of {} again: {nodes}\n  start DRBD and the PBX\n",
        record.from
    )
}

pub(super) async fn to_the_copy(
    found: &mut Found,
    mut record: Record,
    run: &Run,
    signals: &mut Signals,
) -> Result<(), Failure> {
    record.stage = Stage::Back;
    found.write(record.clone(), run).await?;
    let mut gap = Gap::default();
    gap.begin();
    found.stop("pbx", run, signals).await.map_err(half_way)?;
    if let (Some(copy), Some(drbd)) = (record.copy.clone(), found.site.drbd().cloned()) {
        found.stop(CLONE, run, signals).await.map_err(half_way)?;
        gap.ended("stop");
        let turned = tokio::select! {
            turned = turn(found, &copy, &drbd, run) => turned,
            () = signals.received() => Err(left(run)),
        };
        turned.map_err(half_way)?;
        record.copy = None;
        found.write(record.clone(), run).await.map_err(half_way)?;
        gap.ended("copies");
    }
    let vars = with_image(&found.vars, &record.image_before);
    let changed = tokio::select! {
        changed = async {
            containers_of_before(found, &record, run).await?;
            found.bring_vars(&vars, run).await
        } => changed,
        () = signals.received() => Err(left(run)),
    };
    changed.map_err(half_way)?;
    gap.ended("containers");
    if let Some(drbd) = found.site.drbd() {
        let forget = forget_constraint(&drbd.name);
        found.change(run, &forget).await.map_err(half_way)?;
    }
    let started = found.start(&[CLONE, "pbx"], run, signals).await;
    started.map_err(half_way)?;
    gap.ended("start");
    found.forget_all(run).await?;
    print(&format!(
        "the PBX answers in the version {}\n{}the copies of the data are brought up to date: ha-ctl show   says when the \
         other node can take over\n",
        record.from,
        gap.text().unwrap_or_default()
    ))
}

/// Pacemaker has DRBD down on both nodes. It can be done again from its beginning at any time.
async fn turn(found: &Found, copy: &CopyAtRest, drbd: &Drbd, run: &Run) -> Result<(), Failure> {
    let nodes = || found.nodes.iter().map(|(node, _)| node);
    let source = nodes().find(|node| node.name == copy.node);
    let other = nodes().find(|node| node.name != copy.node);
    let (Some(source), Some(other)): (Option<&Node>, Option<&Node>) = (source, other) else {
        return Err(Failure::failed("both copies of the data are needed"));
    };
    let resource = drbd.name.as_str();
    run.change(other, &down(resource)).await?;
    wait_for(other, resource, "DRBD is down there", |it| {
        it.states.is_down()
    })
    .await?;
    run.step(source, &become_source(resource)).await?;
    run.step(other, &follow(resource)).await?;
    run.change(source, &meet(resource)).await?;
    run.step(other, &followed(resource)).await?;
    run.change(source, &down(resource)).await?;
    run.change(other, &down(resource)).await?;
    found
        .change(run, &commands::unstandby(&copy.node))
        .await
        .map(drop)
}
