//! The way back. As long as the data was not touched, there is nothing to go back from but a PBX that is stopped. After
//! that, the volume goes back to a snapshot: as another volume, and the old one is kept. On a LAN: `back_lan`.

use cib_gen::ec2_facts::Ec2Facts;

use super::found::{Found, find, is_default};
use super::gap::Gap;
use super::{along, back_lan, copy};
use crate::check::ask_ec2;
use crate::cli::Wanted;
use crate::deploy::{Site, all, apply};
use crate::exit::{Exit, Failure};
use crate::output::{print, say};
use crate::reach::{Missing, Node};
use crate::run::Run;
use crate::update::{Facts, Keeper, Project, Record, Stage, unwrite, with_image};
use crate::verbs::deploy::{confirmed, left};
use crate::verbs::guard::guard;
use crate::verbs::signals::Signals;

/// To what it goes back.
enum Way {
    /// Nothing of the PBX and its data was touched.
    Pbx,
    /// On AWS.
    Snapshot(String),
    /// On a LAN.
    Copy,
    /// All of it is back but the nodes that were away.
    Along,
}

/// Goes back.
pub(super) async fn go_back(
    seen: Found,
    wanted: &Wanted,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let record = refuse(&seen)?;
    let vars = seen.vars.clone();
    let keeper = Keeper {
        vars: &vars,
        profile: wanted.profile.as_deref(),
    };
    if let (Stage::Stopped, Some(copy), None) = (record.stage, &record.copy, seen.state.master()) {
        return Err(Failure::failed(format!(
            "the node with the data is lost, and the copy on {} was just being left at rest. Nothing was changed\n  help: bring \
             that node back; if it is lost for good: sudo pcs node unstandby {}, then docs/lan.md, \"If one of the two is lost \
             for good\"",
            copy.node, copy.node
        )));
    }
    let way = match (is_untouched(&seen, &record), seen.site.drbd()) {
        (true, _) => Way::Pbx,
        _ if record.stage == Stage::Returned => Way::Along,
        (false, Some(_)) => {
            back_lan::refuse(&seen, &record)?;
            Way::Copy
        }
        (false, None) => Way::Snapshot(signals.end_what_looks(snapshot(&keeper, &record)).await?),
    };
    print(&plan(&seen, &record, &way))?;
    if wanted.dry_run {
        return Ok(Exit::Problems);
    }
    if !wanted.yes && !confirmed()? {
        say("nothing was changed. With --yes, ha-ctl update --rollback does not ask");
        return Ok(Exit::Problems);
    }
    let run = Run::new(false);
    let mut volume = None;
    if let Way::Snapshot(snapshot) = &way {
        let restoring = new_volume(&seen, &keeper, &record, snapshot);
        volume = Some(tokio::select! {
            volume = restoring => volume?,
            () = signals.received() => return Err(left(&run)),
        });
    }
    let contact = &seen.contact;
    let _lock = guard(
        contact.fleet(),
        &contact.node(),
        &seen.state,
        "update --rollback",
    )
    .await?;
    let mut found = signals.end_what_looks(find(wanted)).await?;
    found.expect_as(&seen)?;
    let ended = match (way, volume) {
        (Way::Along, _) => bring_along(&mut found, record, &run, signals).await,
        (Way::Copy, _) => back_lan::to_the_copy(&mut found, record, &run, signals).await,
        (_, Some(volume)) => to_a_snapshot(&mut found, &volume, record, &run, signals).await,
        (_, None) => to_the_pbx_before(&found, &record, &run, signals).await,
    };
    Ok(match run.judge(ended)?.is_empty() {
        true => Exit::Done,
        false => Exit::NodesMissing,
    })
}

/// What there is to go back from, with the nodes that are away and must not take over when they come back.
fn refuse(found: &Found) -> Result<Record, Failure> {
    let record = found.unfinished().or_else(|| found.taken_back());
    let record = record.or_else(|| found.ended()).cloned();
    let Some(mut record) = record else {
        return Err(Failure::failed(
            "no update is on record in the cluster, so there is none to go back from. Nothing was changed",
        ));
    };
    if let Some((node, _)) = found.nodes.iter().find(|(_, facts)| facts.is_migrating) {
        return Err(Failure::failed(format!(
            "initdt goes on on {}. Nothing was changed\n  help: wait for its end: journalctl --follow --unit \
             portsip-ha-step-migrate   (there); or end it: sudo systemctl stop portsip-ha-step-migrate",
            node.name
        )));
    }
    if is_untouched(found, &record) {
        return Ok(record);
    }
    let online = found.state.online();
    let (online, offline): (Vec<&Missing>, Vec<&Missing>) = found
        .missing
        .iter()
        .partition(|it| online.contains(&it.name.as_str()));
    if let [missing, ..] = online[..] {
        let each: Vec<String> = online.iter().map(|it| it.text()).collect();
        return Err(Failure::failed(format!(
            "{} is in the cluster, cannot be used, and could take over with the version {}. Nothing was changed\n{}",
            missing.name,
            record.to,
            each.join("\n")
        )));
    }
    let lacks = |facts: &&(Node, Facts)| {
        let (_, facts) = facts;
        let has_old = facts
            .old
            .as_ref()
            .is_some_and(|it| it.version == record.from);
        !(facts.is_of_version(&record.from) || has_old && facts.kept.is_some())
    };
    if let Some((node, _)) = found.nodes.iter().find(lacks) {
        return Err(Failure::failed(format!(
            "{} has neither containers of the version {} nor what was kept of it. Nothing was changed\n  help: sudo docker image \
             ls   (there), and /etc/portsip/pbx.before-update. Without this node: sudo pcs cluster stop   (there)",
            node.name, record.from
        )));
    }
    for missing in offline {
        if !record.away.contains(&missing.name) && record.stage != Stage::Returned {
            record.away.push(missing.name.clone());
        }
    }
    Ok(record)
}

/// Whether neither the data nor the containers where it is are of another version than before.
fn is_untouched(found: &Found, record: &Record) -> bool {
    record.stage == Stage::Stopped || found.taken_back() == Some(record)
}

/// The one at rest is the later one. One that EC2 could not complete is none.
async fn snapshot(keeper: &Keeper<'_>, record: &Record) -> Result<String, Failure> {
    let mut why = String::new();
    if let Some(rest) = &record.rest {
        let snapshot = keeper.look(rest).await?;
        let what = "EC2 completes the snapshot at rest";
        if keeper.is_completed(&snapshot, what).await? {
            return Ok(rest.clone());
        }
        why = format!("EC2 could not complete {rest}, which was begun at rest. ");
    }
    let Some(before) = &record.before else {
        return Err(Failure::failed(format!(
            "{why}The data may be of the version {} already, and there is no snapshot of it. Nothing was changed\n  help: a \
             backup of your own",
            record.to
        )));
    };
    if !why.is_empty() {
        say(&format!(
            "{why}{before} has what the volume had while the PBX still ran"
        ));
    }
    Ok(before.clone())
}

fn plan(found: &Found, record: &Record, way: &Way) -> String {
    let mut text = format!(
        "the update from {} to {} is on record, begun by {}: {}\n",
        record.from,
        record.to,
        record.by,
        record.stage.words()
    );
    let names = found.nodes.iter().map(|(node, _)| node.name.as_str());
    let names: Vec<&str> = names.collect();
    let names = names.join(", ");
    text += &match way {
        Way::Pbx => {
            "its data was not touched. To do:\n  start the PBX, if it is stopped, and take the update off the record\n"
                .to_owned()
        }
        Way::Copy => back_lan::plan(record, &names),
        Way::Along => return text + &along::plan(found, record),
        Way::Snapshot(snapshot) => format!(
            "THE DATA GOES BACK to {snapshot}: what came since is LOST to the PBX (calls, recordings, settings). It stays \
             on the volume of now, which is kept.\nThe new volume loads its blocks from the snapshot when they are first \
             read: for hours it is slower.\nto do, in this order:\n  a volume from {snapshot}, like the one of now\n  stop \
             the PBX, and detach the volume of now\n  make the containers of {} again: {names}\n  vars.yml and the cluster \
             with the new volume\n  start the PBX\n",
            record.from
        ),
    };
    for node in &record.away {
        text += &format!(
            "  {node} is away and may have containers of {}: it is put in standby, so that it does not take \
             over. When it is there again, the same command brings it along\n",
            record.to
        );
    }
    text
}

async fn to_the_pbx_before(
    found: &Found,
    record: &Record,
    run: &Run,
    signals: &mut Signals,
) -> Result<Vec<String>, Failure> {
    run.change(found.active_node()?, &unwrite(&record.id))
        .await?;
    if !found.runs() {
        found.start(&["pbx"], run, signals).await?;
    }
    copy::bring_back(found, record, run).await?;
    found.forget(run).await?;
    print(&format!(
        "the PBX answers in the version {}, and nothing is left of the update\n",
        found.version()
    ))?;
    Ok(Vec::new())
}

/// All of it is back but the nodes that were away: those that can be reached now.
async fn bring_along(
    found: &mut Found,
    record: Record,
    run: &Run,
    signals: &mut Signals,
) -> Result<Vec<String>, Failure> {
    let vars = with_image(&found.vars, &record.image_before);
    let brought = async {
        // The PBX runs on another one.
        let nodes = found.nodes.iter();
        let nodes = nodes.filter(|(node, _)| record.away.contains(&node.name));
        containers_of_before(found, nodes, &record, run).await?;
        found.bring_vars(&vars, run).await?;
        along::settle(found, record, run).await
    };
    tokio::select! {
        brought = brought => brought.map_err(half_way),
        () = signals.received() => Err(half_way(left(run))),
    }
}

/// The volume that the data goes back to, and vars.yml with it.
#[derive(Debug)]
struct NewVolume {
    old: String,
    id: String,
    vars: String,
}

/// Makes it, and finds out everything that could stand in its way while the PBX still runs.
async fn new_volume(
    found: &Found,
    keeper: &Keeper<'_>,
    record: &Record,
    snapshot: &str,
) -> Result<NewVolume, Failure> {
    let id = keeper.restore(snapshot, &record.name_of("back")).await?;
    let old = volume_of(&found.site)?;
    // A device may be named by the volume, without its hyphen.
    let vars = found.vars.replace(&old, &id);
    let vars = vars.replace(&old.replacen('-', "", 1), &id.replacen('-', "", 1));
    let vars = with_image(&vars, &record.image_before);
    let volume = NewVolume { old, id, vars };
    // In the middle of the way back, the old one is detached.
    if volume.old != volume.id && record.stage != Stage::Back {
        may_change(found, &volume).await?;
    }
    Ok(volume)
}

/// The nodes' role names the volume. A volume that may not be detached is a stop that fails, and the node is fenced for it.
async fn may_change(found: &Found, volume: &NewVolume) -> Result<(), Failure> {
    let NewVolume { old, id, vars } = volume;
    let asked = [
        (found.vars.as_str(), old, &["DetachVolume"][..]),
        (vars.as_str(), id, &["AttachVolume", "DetachVolume"]),
    ];
    for (vars, volume, calls) in asked {
        let answer = found.active_node()?.run(&ask_ec2(vars)).await;
        let facts = answer.ok();
        let facts = facts.and_then(|it| serde_json::from_str::<Ec2Facts>(&it.stdout).ok());
        let unknown = |why: &str| {
            Failure::incomplete(format!(
                "{id} is there, and whether the nodes may use it is not known: {why}. The PBX was left as it is\n  help: the \
                 same command again"
            ))
        };
        let Some(facts) = facts else {
            return Err(unknown("cib-gen on the node with the data did not say it"));
        };
        if let Some(mistakes) = facts.mistakes {
            return Err(unknown(&format!(
                "vars.yml with the new volume is not right\n{}",
                mistakes.trim_end()
            )));
        }
        for call in calls {
            let said = facts.answers.calls.iter().find(|it| it.call == *call);
            match said.map(|it| it.refused.as_ref()) {
                None => return Err(unknown(&format!("EC2 did not say it of {call}"))),
                Some(Some(refused)) if refused.denied => {
                    return Err(Failure::incomplete(format!(
                        "the nodes' role may not do {call} with {volume}: its policy has to name both volumes now. The PBX was \
                         left as it is\n  help: docs/aws.md, \"The policy anew\", with this in the place of its first line:\n    \
                         {}\n  Then the same command again",
                        policy_of_both(old, id)
                    )));
                }
                // What it cannot do now, such as attach what is attached, it may do.
                Some(_) => {}
            }
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

async fn to_a_snapshot(
    found: &mut Found,
    volume: &NewVolume,
    mut record: Record,
    run: &Run,
    signals: &mut Signals,
) -> Result<Vec<String>, Failure> {
    record.stage = Stage::Back;
    found.write(record.clone(), run).await?;
    let mut gap = Gap::default();
    gap.begin();
    let set_aside = along::set_aside(found, &record, run);
    set_aside.await.map_err(half_way)?;
    found.stop("pbx", run, signals).await.map_err(half_way)?;
    found.stop("ebs", run, signals).await.map_err(half_way)?;
    gap.ended("stop");
    let changed = tokio::select! {
        changed = bring_over(found, &record, &volume.vars, run) => changed,
        () = signals.received() => Err(left(run)),
    };
    changed.map_err(half_way)?;
    gap.ended("containers and cluster");
    let started = found.start(&["ebs", "pbx"], run, signals).await;
    started.map_err(half_way)?;
    gap.ended("start");
    let mut text = format!(
        "the PBX answers in the version {}\n{}the volume is {} now\n",
        record.from,
        gap.text().unwrap_or_default(),
        volume.id
    );
    if volume.old != volume.id {
        text += &format!(
            "{} is kept, with what came after the snapshot\n",
            volume.old
        );
        if !is_default(found.vars_file.as_ref()) {
            text += &format!(
                "write ebs_volume_id: {} into your vars.yml. The nodes' own have it\n",
                volume.id
            );
        }
    }
    print(&text)?;
    along::settle(found, record, run).await
}

async fn bring_over(found: &Found, record: &Record, vars: &str, run: &Run) -> Result<(), Failure> {
    containers_of_before(found, found.nodes.iter(), record, run).await?;
    found.bring_vars(vars, run).await?;
    run.step(found.active_node()?, &apply(&found.site, true))
        .await
}

/// The containers of the version before, on every node.
pub(super) async fn containers_of_before(
    found: &Found,
    nodes: impl Iterator<Item = &(Node, Facts)>,
    record: &Record,
    run: &Run,
) -> Result<(), Failure> {
    let project = Project {
        image: &record.image_before,
        profiles: None,
        data_path: &found.site.data_path,
    };
    let step = &project.back();
    // Those that have nothing kept are of the version before.
    let changed = nodes.filter(|(_, facts)| {
        !facts.is_of_version(&record.from) || facts.kept.as_ref() == Some(&record.id)
    });
    all(changed.map(|(node, _)| async move { run.step(node, step).await })).await
}

pub(super) fn half_way(mut failure: Failure) -> Failure {
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
        let both = policy_of_both("vol-1", "vol-2");
        let (_, sed) = both.split_once("| ").unwrap();
        let sed = sed.replace(" > policy.json", "");
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
