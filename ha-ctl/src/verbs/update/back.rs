//! The way back. Before the data was touched, the containers of the version before are enough. After it, the volume goes
//! back to a snapshot: as another volume, and the old one is kept.

use cib_gen::ec2_facts::Ec2Facts;

use super::found::{Found, is_default};
use super::gap::{Gap, Switch};
use crate::check::ask_ec2;
use crate::cli::Wanted;
use crate::commands;
use crate::deploy::{Site, all, apply, copy_vars};
use crate::exit::{Exit, Failure};
use crate::output::{print, say};
use crate::reach::{Missing, Node};
use crate::run::Run;
use crate::update::{Facts, Keeper, NOTE, Record, Stage, back, with_image};
use crate::verbs::deploy::{confirmed, left};
use crate::verbs::guard::guard;
use crate::verbs::signals::Signals;

/// Goes back.
pub(super) async fn go_back(
    mut found: Found,
    wanted: &Wanted,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let record = refuse(&found)?;
    let snapshot = match record.stage {
        Stage::Begun | Stage::Changing => None,
        _ => Some(snapshot(&record)?),
    };
    print(&plan(&found, &record, snapshot.as_deref()))?;
    if wanted.dry_run {
        return Ok(Exit::Problems);
    }
    if !wanted.yes && !confirmed()? {
        say("nothing was changed. With --yes, ha-ctl update --rollback does not ask");
        return Ok(Exit::Problems);
    }
    let run = Run::new(false);
    let ended = match snapshot {
        None => to_the_containers_before(&found, &run, signals).await,
        Some(snapshot) => {
            to_a_snapshot(&mut found, wanted, record.clone(), &snapshot, &run, signals).await
        }
    };
    run.judge(ended)?;
    print(&format!("the PBX answers in the version {}\n", record.from))?;
    Ok(Exit::Done)
}

/// A node that is away would come back with containers of the version that is left.
fn refuse(found: &Found) -> Result<Record, Failure> {
    let Some(record) = found.record.clone() else {
        return Err(Failure::failed(
            "no update is on record in the cluster, so there is none to go back from. Nothing was changed",
        ));
    };
    if let [missing, ..] = &found.missing[..] {
        let each: Vec<String> = found.missing.iter().map(Missing::text).collect();
        return Err(Failure::failed(format!(
            "{} cannot be used, and could take over later with the version {}. Nothing was changed\n{}",
            missing.name,
            record.to,
            each.join("\n")
        )));
    }
    let lacks = |facts: &&(Node, Facts)| {
        let (_, facts) = facts;
        let is_before = facts.containers.iter().all(|it| it.version == record.from);
        let has_old = facts
            .old
            .as_ref()
            .is_some_and(|it| it.version == record.from);
        !(is_before || has_old && facts.has_kept)
    };
    if let Some((node, _)) = found.nodes.iter().find(lacks) {
        return Err(Failure::failed(format!(
            "{} has neither containers of the version {} nor what was kept of it. Nothing was changed\n  help: sudo docker image \
             ls   (there); /etc/portsip/pbx.before-update",
            node.name, record.from
        )));
    }
    Ok(record)
}

/// The one at rest is the later one.
fn snapshot(record: &Record) -> Result<String, Failure> {
    let snapshot = record.rest.clone().or_else(|| record.before.clone());
    snapshot.ok_or_else(|| {
        Failure::failed(format!(
            "the data may be of the version {} already, and no snapshot of it is on record. Nothing was changed\n  help: a \
             backup of your own",
            record.to
        ))
    })
}

fn plan(found: &Found, record: &Record, snapshot: Option<&str>) -> String {
    let mut text = format!(
        "the update from {} to {} is on record, begun by {}\n",
        record.from, record.to, record.by
    );
    let names = found.nodes.iter().map(|(node, _)| node.name.as_str());
    let names: Vec<&str> = names.collect();
    let names = names.join(", ");
    match snapshot {
        None => {
            text += &format!(
                "its data was not touched. To do, in this order:\n  stop the PBX, if it runs\n  make the containers of {} again: \
                 {names}\n  start the PBX\n",
                record.from
            );
        }
        Some(snapshot) => {
            text += &format!(
                "THE DATA GOES BACK to {snapshot}: what came since is LOST to the PBX (calls, recordings, settings). It stays \
                 on the volume of now, which is kept.\nThe new volume loads its blocks from the snapshot when they are first \
                 read: for hours it is slower.\nto do, in this order:\n  a volume from {snapshot}, like the one of now\n  stop \
                 the PBX, and detach the volume of now\n  make the containers of {} again: {names}\n  vars.yml and the cluster \
                 with the new volume\n  start the PBX\n",
                record.from
            );
        }
    }
    text
}

/// Where the containers are not those of before.
async fn containers_before(found: &Found, record: &Record, run: &Run) -> Result<(), Failure> {
    let step = &back();
    let changed = found.nodes.iter().filter(|(_, facts)| {
        let is_before = facts.containers.iter().all(|it| it.version == record.from);
        // .env may name the new image already.
        !is_before || facts.is_kept()
    });
    all(changed.map(|(node, _)| async move { run.step(node, step).await })).await
}

async fn to_the_containers_before(
    found: &Found,
    run: &Run,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let Some(record) = &found.record else {
        return Ok(());
    };
    let _lock = lock(found).await?;
    let mut gap = Gap::default();
    let switch = Switch::new(found, run);
    if record.stage == Stage::Changing || !found.runs() {
        if found.runs() {
            gap.begin();
            switch.stop("pbx", signals).await.map_err(half_way)?;
        }
        let made = tokio::select! {
            made = containers_before(found, record, run) => made,
            () = signals.received() => Err(left(run)),
        };
        made.map_err(half_way)?;
        switch.start(&["pbx"], signals).await.map_err(half_way)?;
        gap.ended("all of it");
    }
    forget(found, run).await?;
    tell(&gap)
}

async fn to_a_snapshot(
    found: &mut Found,
    wanted: &Wanted,
    mut record: Record,
    snapshot: &str,
    run: &Run,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let vars = found.vars.clone();
    let keeper = Keeper {
        vars: &vars,
        profile: wanted.profile.as_deref(),
    };
    let name = record.name_of("back");
    let restoring = keeper.restore(snapshot, &name);
    let volume = tokio::select! {
        volume = restoring => volume?,
        () = signals.received() => return Err(left(run)),
    };
    let old = volume_of(&found.site)?;
    let new_vars = with_image(&vars.replace(&old, &volume), &record.image_before);
    if old != volume {
        may_change(found, &new_vars, &old, &volume).await?;
    }
    let _lock = lock(found).await?;
    record.stage = Stage::Back;
    found.write(record.clone(), run).await?;
    let mut gap = Gap::default();
    gap.begin();
    let switch = Switch::new(found, run);
    switch.stop("pbx", signals).await.map_err(half_way)?;
    switch.stop("ebs", signals).await.map_err(half_way)?;
    gap.ended("stop");
    let changed = tokio::select! {
        changed = bring_over(found, &record, &new_vars, run) => changed,
        () = signals.received() => Err(left(run)),
    };
    changed.map_err(half_way)?;
    gap.ended("containers and cluster");
    switch
        .start(&["ebs", "pbx"], signals)
        .await
        .map_err(half_way)?;
    gap.ended("start");
    forget(found, run).await?;
    tell(&gap)?;
    let mut text =
        format!("the volume is {volume} now. {old} is kept, with what came after the snapshot\n");
    if !is_default(found.vars_file.as_ref()) {
        text +=
            &format!("write ebs_volume_id: {volume} into your vars.yml. The nodes' own have it\n");
    }
    print(&text)
}

async fn bring_over(found: &Found, record: &Record, vars: &str, run: &Run) -> Result<(), Failure> {
    containers_before(found, record, run).await?;
    let copy = &copy_vars(vars);
    let nodes = found.nodes.iter();
    all(nodes.map(|(node, _)| async move { run.change(node, copy).await.map(drop) })).await?;
    run.step(found.active_node()?, &apply(&found.site, true))
        .await
}

/// The nodes' role names the volume. This is asked before anything stops: a volume that may not be detached is a stop that
/// fails, and the node is fenced for it.
async fn may_change(found: &Found, new_vars: &str, old: &str, new: &str) -> Result<(), Failure> {
    let asked = [
        (found.vars.as_str(), "DetachVolume", old),
        (new_vars, "AttachVolume", new),
    ];
    for (vars, call, volume) in asked {
        let answer = found.active_node()?.run(&ask_ec2(vars)).await;
        let facts = answer
            .ok()
            .and_then(|it| serde_json::from_str::<Ec2Facts>(&it.stdout).ok());
        let Some(facts) = facts else {
            return Err(Failure::incomplete(format!(
                "{new} is there, and whether the nodes may attach it could not be asked. The PBX was left as it is\n  help: the \
                 same command again"
            )));
        };
        let mut calls = facts.answers.calls.iter();
        let is_denied = calls
            .any(|it| it.call == call && it.refused.as_ref().is_some_and(|refused| refused.denied));
        if is_denied {
            return Err(Failure::incomplete(format!(
                "the nodes' role may not do {call} with {volume}: its policy has to name both volumes now. The PBX was left as \
                 it is\n  help: docs/aws.md, \"The policy anew\", with this in the place of its first line:\n    {}\n  Then the \
                 same command again",
                policy_of_both(old, new)
            )));
        }
    }
    Ok(())
}

/// The policy of the nodes with a second volume beside theirs.
fn policy_of_both(old: &str, new: &str) -> String {
    format!(
        "cib-gen --format iam-policy vars.yml | sed 's#\"\\(arn:[^\"]*/\\){old}\"#\"\\1{old}\", \"\\1{new}\"#' > policy.json"
    )
}

fn volume_of(site: &Site) -> Result<String, Failure> {
    let volume = site.volume().map(str::to_owned);
    volume.ok_or_else(|| Failure::failed("this is no site with a volume of EC2"))
}

async fn lock(found: &Found) -> Result<crate::lock::Lock, Failure> {
    let contact = &found.contact;
    guard(
        contact.fleet(),
        &contact.node(),
        &found.state,
        "update --rollback",
    )
    .await
}

async fn forget(found: &Found, run: &Run) -> Result<(), Failure> {
    let delete = commands::delete_note(NOTE);
    run.change(&found.contact.node(), &delete).await.map(drop)
}

fn tell(gap: &Gap) -> Result<(), Failure> {
    match gap.text() {
        Some(text) => print(&format!("{text}\n")),
        None => Ok(()),
    }
}

fn half_way(mut failure: Failure) -> Failure {
    failure.exit = Exit::Incomplete;
    failure.text += "\nThe way back has not come to its end. The same command goes on from there";
    failure
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_policy_of_both_volumes_is_one() {
        let (_, sed) = policy_of_both("vol-1", "vol-2")
            .split_once("| ")
            .map(|(a, b)| (a.to_owned(), b.replace(" > policy.json", "")))
            .unwrap();
        let policy =
            r#"{ "Resource": [ "arn:aws:ec2:r:1:volume/vol-1", "arn:aws:ec2:r:1:instance/i-1" ] }"#;
        let script = format!("echo '{policy}' | {sed}");
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output();
        let value: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        let resources = value["Resource"].as_array().unwrap();
        assert_eq!(resources.len(), 3, "{value}");
        assert_eq!(resources[1], "arn:aws:ec2:r:1:volume/vol-2");
    }
}
