//! The way back on AWS: the volume goes back to a snapshot, as another volume, and the old one is kept.

use cib_gen::ec2_facts::Ec2Facts;

use super::along;
use super::answers::answers;
use super::back::{containers_of_before, half_way};
use super::found::{Found, is_default};
use super::gap::Gap;
use crate::check::ask_ec2;
use crate::cluster::State;
use crate::deploy::{Site, apply};
use crate::exit::Failure;
use crate::output::{print, say};
use crate::run::Run;
use crate::update::{Keeper, Record, Stage, with_image};
use crate::verbs::deploy::left;
use crate::verbs::signals::Signals;

/// The one at rest is the later one. One that EC2 could not complete is none.
pub(super) async fn snapshot(keeper: &Keeper<'_>, record: &Record) -> Result<String, Failure> {
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

/// The volume that the data goes back to, and vars.yml with it.
#[derive(Debug)]
pub(super) struct NewVolume {
    old: String,
    id: String,
    vars: String,
}

/// Makes it, and finds out everything that could stand in its way while the PBX still runs.
pub(super) async fn new_volume(
    found: &Found,
    keeper: &Keeper<'_>,
    record: &Record,
    snapshot: &str,
) -> Result<NewVolume, Failure> {
    let id = keeper.restore(snapshot, &record.name_of("back")).await?;
    let old = volume_of(&found.site)?;
    let vars = with_image(&with_volume(&found.vars, &old, &id), &record.image_before);
    let volume = NewVolume { old, id, vars };
    // In the middle of the way back, the old one is detached.
    if volume.old != volume.id && record.stage != Stage::Back {
        may_change(found, &volume).await?;
    }
    Ok(volume)
}

/// vars.yml with another volume.
fn with_volume(vars: &str, old: &str, new: &str) -> String {
    // A device may be named by the volume, without its hyphen.
    let vars = vars.replace(old, new);
    vars.replace(&old.replacen('-', "", 1), &new.replacen('-', "", 1))
}

/// vars.yml with the volume that the cluster has: the one that was given may name the volume of before the way back.
pub(super) fn with_volume_of_cluster(found: &Found) -> Result<String, Failure> {
    let now = found.configuration.parameter("ebs", "volume_id");
    let (Some(written), Some(now)) = (found.site.volume(), now) else {
        return Ok(found.vars.clone());
    };
    if written != now && !is_default(found.vars_file.as_ref()) {
        print(&format!(
            "the volume is {now} now, and {written} is kept: write ebs_volume_id: {now} into your vars.yml, and make both \
             policies anew from it (docs/aws.md)\n"
        ))?;
    }
    Ok(with_volume(&found.vars, written, &now))
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

pub(super) async fn to_a_snapshot(
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
    answers(found, run).await.map_err(half_way)?;
    gap.ended("start");
    let state = along::state(found).await.ok();
    let mut text = format!(
        "the PBX answers in the version {} on {}\n{}the volume is {} now\n",
        record.from,
        state.as_ref().and_then(State::master).unwrap_or("a node"),
        gap.text().unwrap_or_default(),
        volume.id
    );
    if volume.old != volume.id {
        text += &format!(
            "{} is kept, with what came after the snapshot\nboth policies name their volume: cib-gen --format iam-policy \
             vars.yml, and iam-policy-operator (docs/aws.md, \"The policy anew\" and \"The operator's policy\")\n",
            volume.old
        );
        if !is_default(found.vars_file.as_ref()) {
            text += &format!(
                "write ebs_volume_id: {} and pbx_image: {} into your vars.yml. The nodes' own have it\n",
                volume.id, record.image_before
            );
        }
    }
    print(&text)?;
    along::settle(found, record, run, signals).await
}

async fn bring_over(found: &Found, record: &Record, vars: &str, run: &Run) -> Result<(), Failure> {
    containers_of_before(found, found.nodes.iter(), record, run).await?;
    found.bring_vars(vars, run).await?;
    run.step(found.active_node()?, &apply(&found.site, true))
        .await
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
