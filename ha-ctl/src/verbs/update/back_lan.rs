//! The way back on a LAN: the copy of the data that stayed as it was before becomes the one that counts, and the other one
//! gives up what it has and follows. Everything is stopped meanwhile, so that DRBD is in nobody's hands but these.

use super::along;
use super::answers::answers;
use super::back::{containers_of_before, half_way};
use super::copy::{agreed, is_way_back, wait_for};
use super::found::{Found, is_default};
use super::gap::Gap;
use crate::cli::Wanted;
use crate::commands;
use crate::deploy::Drbd;
use crate::exit::{Exit, Failure};
use crate::output::print;
use crate::reach::{Missing, Node};
use crate::run::Run;
use crate::update::{
    CLONE, CopyAtRest, CopyFacts, Record, Stage, become_source, down, follow, followed,
    forget_constraint, look_at_copy, meet, with_image,
};
use crate::verbs::deploy::left;
use crate::verbs::show::answer;
use crate::verbs::signals::Signals;

/// Whether there is a copy to go back to, on a node that can be used. The other one may be lost with its node.
pub(super) fn refuse(found: &Found, record: &Record) -> Result<(), Failure> {
    let online = found.state.online();
    let mut nodes = found.nodes.iter().map(|(node, _)| &node.name);
    if let Some(node) = nodes.find(|it| !online.contains(&it.as_str())) {
        return Err(Failure::failed(format!(
            "{node} can be reached, and is not in the cluster. Nothing was changed\n  help: sudo pcs cluster start   (there), or \
             take its power; and when ha-ctl show calls it online or offline, the same command"
        )));
    }
    if record.stage != Stage::Back {
        return is_way_back(found, record);
    }
    let copy = record.copy.as_ref().map(|it| &it.node);
    match copy.or(record.source.as_ref()) {
        Some(name) if of(found, name).is_none() => {
            let missing = found.missing.iter().find(|it| it.name == *name);
            Err(Failure::failed(format!(
                "{name} has the data that goes back, and cannot be used. Nothing was changed\n{}\n  help: {}",
                missing.map(Missing::text).unwrap_or_default(),
                if_lost(record)
            )))
        }
        _ => Ok(()),
    }
}

/// Where the node with the only data that counts is lost.
pub(super) fn if_lost(record: &Record) -> String {
    let away = record.away.iter();
    let unstandby: String = away
        .map(|node| format!("sudo pcs node unstandby {node}, "))
        .collect();
    format!(
        "bring it back; if it is lost for good: {unstandby}docs/lan.md, \"If one of the two is lost for good\", then sudo \
         crm_attribute --type crm_config --set-name portsip-ha-notes --name update --delete, and ha-ctl start -s for each resource \
         that ha-ctl show calls disabled"
    )
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
) -> Result<Vec<String>, Failure> {
    if record.stage != Stage::Back {
        is_way_back(found, &record)?;
        record.stage = Stage::Back;
    }
    found.write(record.clone(), run).await?;
    let mut gap = Gap::default();
    gap.begin();
    let set_aside = along::set_aside(found, &record, run);
    set_aside.await.map_err(half_way)?;
    found.stop("pbx", run, signals).await.map_err(half_way)?;
    if let (Some(_), Some(drbd)) = (&record.copy, found.site.drbd().cloned()) {
        found.stop(CLONE, run, signals).await.map_err(half_way)?;
        gap.ended("stop");
        check(found, &mut record, &drbd, run, signals).await?;
        let turned = tokio::select! {
            turned = turn(found, &record, &drbd, run) => turned,
            () = signals.received() => Err(left(run)),
        };
        turned.map_err(half_way)?;
        record.source = record.copy.take().map(|it| it.node);
        found.write(record.clone(), run).await.map_err(half_way)?;
        gap.ended("copies");
    }
    let vars = with_image(&found.vars, &record.image_before);
    let changed = tokio::select! {
        changed = async {
            containers_of_before(found, found.nodes.iter(), &record, run).await?;
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
    answers(found, run).await.map_err(half_way)?;
    gap.ended("start");
    print(&format!(
        "the PBX answers in the version {}\n{}",
        record.from,
        gap.text().unwrap_or_default(),
    ))?;
    if !is_default(found.vars_file.as_ref()) {
        print(&format!(
            "write pbx_image: {} into your vars.yml. The nodes' own have it\n",
            record.image_before
        ))?;
    }
    let left = along::settle(found, record, run, signals).await?;
    if left.is_empty() {
        print("the other copy of the data is brought up to date: ha-ctl show   says when it is\n")?;
    }
    Ok(left)
}

/// Everything is stopped: whether the copy is still the one of before, and nobody has taken its node out of standby
/// meanwhile. From then on it may be changed here. If it is not, the way is forwards again.
async fn check(
    found: &mut Found,
    record: &mut Record,
    drbd: &Drbd,
    run: &Run,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let Some(copy) = record.copy.clone() else {
        return Ok(());
    };
    if copy.generation.is_empty() {
        // It was looked at by an earlier run, which has begun to have it count.
        return Ok(());
    }
    let node = of(found, &copy.node).ok_or_else(|| lacks(&copy.node));
    let answer = answer(node.map_err(half_way)?, look_at_copy(&drbd.name)).await;
    let seen = CopyFacts::parse(&answer.map_err(half_way)?.stdout);
    if !seen.is_known() {
        return Err(half_way(Failure::incomplete(format!(
            "DRBD on {} does not say what its copy of the data is ({})",
            copy.node, seen.states
        ))));
    }
    if seen.is_at_rest(&copy.generation) {
        record.copy = Some(CopyAtRest {
            generation: String::new(),
            ..copy
        });
        return found.write(record.clone(), run).await.map_err(half_way);
    }
    forwards_again(found, record, run, signals).await?;
    Err(Failure::incomplete(format!(
        "the copy of the data on {} is not the one of before any more ({}), so that there is no way back. The PBX is stopped\n  \
         help: {}   goes forwards again",
        copy.node,
        seen.states,
        record.command()
    )))
}

/// Whether the node with the copy of before is lost before the other copy was touched: then the data of the new version is
/// whole.
pub(super) fn goes_forwards(found: &Found, record: &Record) -> bool {
    let online = found.state.online();
    let is_lost = |name: &str| of(found, name).is_none() && !online.contains(&name);
    let copy = record.copy.as_ref();
    record.stage == Stage::Back
        && copy.is_some_and(|it| !it.generation.is_empty() && is_lost(&it.node))
}

/// Who asks for the way back is not taken the other way.
pub(super) fn refuse_forwards(record: &Record) -> Failure {
    let copy = record.copy.as_ref().map(|it| it.node.as_str());
    let copy = copy.unwrap_or_default();
    Failure::failed(format!(
        "{copy} has the data of before, and is not in the cluster. The other copy, of the version {}, was not touched. Nothing was \
         changed\n  help: bring {copy} back, then the same command; or forwards again: ha-ctl update --accept, after which THERE IS \
         NO WAY BACK, not even when {copy} is there again",
        record.to
    ))
}

/// Gives the way back up: with DRBD running, the update can go on.
pub(super) async fn forwards(
    seen: Found,
    wanted: &Wanted,
    mut record: Record,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let copy = record.copy.as_ref().map(|it| it.node.clone());
    let copy = copy.unwrap_or_default();
    print(&format!(
        "{copy} has the data of before, and is not in the cluster. The other copy, of the version {}, was not touched. To do:\n  \
         give the way back up: THERE IS NONE from this update after that, not even when {copy} is there again\n  start DRBD. Then \
         {}   starts the PBX\n",
        record.to,
        record.command()
    ))?;
    let Some((_lock, mut found)) = agreed(&seen, wanted, signals).await? else {
        return Ok(Exit::Problems);
    };
    let run = Run::new(false);
    let given_up = forwards_again(&mut found, &mut record, &run, signals).await;
    run.judge(given_up)?;
    print(&format!(
        "there is no way back any more, and the PBX is stopped. To go on: {}\n",
        record.command()
    ))?;
    Ok(Exit::Incomplete)
}

async fn forwards_again(
    found: &mut Found,
    record: &mut Record,
    run: &Run,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let copy = record.copy.take().map(|it| it.node);
    let away = std::mem::take(&mut record.away).into_iter().chain(copy);
    for node in away.filter(|it| along::is_member(found, it)) {
        let unstandby = commands::unstandby(&node);
        found.change(run, &unstandby).await.map_err(half_way)?;
    }
    // Without DRBD no node has the data, and neither way would begin.
    let started = found.start(&[CLONE], run, signals).await;
    started.map_err(half_way)?;
    record.stage = Stage::Migrating;
    found.write(record.clone(), run).await.map_err(half_way)
}

fn of<'a>(found: &'a Found, name: &str) -> Option<&'a Node> {
    along::reached(found, name).map(|(node, _)| node)
}

fn lacks(node: &str) -> Failure {
    Failure::failed(format!(
        "{node} has the data of before, and cannot be used\n  help: ha-ctl check --only ssh"
    ))
}

/// Pacemaker has DRBD down on both nodes. It can be done again from its beginning at any time. A copy on a node that is lost
/// does not follow by itself when it comes back: DRBD calls the two a split brain. `along` has it follow.
async fn turn(found: &Found, record: &Record, drbd: &Drbd, run: &Run) -> Result<(), Failure> {
    let Some(copy) = &record.copy else {
        return Ok(());
    };
    let source = of(found, &copy.node).ok_or_else(|| lacks(&copy.node))?;
    let others = found.nodes.iter().map(|(node, _)| node);
    let others: Vec<&Node> = others.filter(|node| node.name != copy.node).collect();
    let resource = drbd.name.as_str();
    for other in &others {
        run.change(other, &down(resource)).await?;
        wait_for(other, resource, "DRBD is down there", |it| {
            it.states.is_down()
        })
        .await?;
    }
    run.step(source, &become_source(resource)).await?;
    for other in &others {
        let waits = run.step(other, &follow(resource)).await;
        waits.map_err(|mut failure| {
            failure.text += &format!(
                "\n  help: if its disk is broken: take {}'s power, and when the cluster calls it offline, the same command goes on \
                 without it",
                other.name
            );
            failure
        })?;
        run.change(source, &meet(resource)).await?;
        run.step(other, &followed(resource)).await?;
    }
    run.change(source, &down(resource)).await?;
    for other in &others {
        run.change(other, &down(resource)).await?;
    }
    let unstandby = commands::unstandby(&copy.node);
    found.change(run, &unstandby).await.map(drop)
}
