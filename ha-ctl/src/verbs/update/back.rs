//! The way back. As long as the data was not touched, there is nothing to go back from but a PBX that is stopped. After
//! that, the data goes back too: `back_aws`, `back_lan`.

use super::found::{Found, find};
use super::{along, back_aws, back_lan, copy};
use crate::cli::Wanted;
use crate::deploy::all;
use crate::exit::{Exit, Failure};
use crate::output::{print, say};
use crate::reach::{Missing, Node};
use crate::run::Run;
use crate::update::{Facts, Keeper, OLD_TAG, Project, Record, Stage, unwrite, with_image};
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
        _ if record.stage == Stage::Returned || is_back(&seen, &record) => Way::Along,
        (false, Some(_)) if back_lan::goes_forwards(&seen, &record) => {
            return Err(back_lan::refuse_forwards(&record));
        }
        (false, Some(_)) => {
            back_lan::refuse(&seen, &record)?;
            Way::Copy
        }
        (false, None) => Way::Snapshot(
            signals
                .end_what_looks(back_aws::snapshot(&keeper, &record))
                .await?,
        ),
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
        let restoring = back_aws::new_volume(&seen, &keeper, &record, snapshot);
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
        (_, Some(volume)) => {
            back_aws::to_a_snapshot(&mut found, &volume, record, &run, signals).await
        }
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
    if record.stage == Stage::Returned {
        return Ok(record);
    }
    let online = found.state.online();
    let (online, offline): (Vec<&Missing>, Vec<&Missing>) = found
        .missing
        .iter()
        .partition(|it| online.contains(&it.name.as_str()));
    if let [missing, ..] = online[..] {
        let each: Vec<String> = online.iter().map(|it| it.text()).collect();
        let copy = record.copy.as_ref();
        let why = match copy.is_some_and(|it| it.node == missing.name) {
            true => "has the data of before, is in the cluster, and cannot be used".to_owned(),
            false => format!(
                "is in the cluster, cannot be used, and could take over with the version {}",
                record.to
            ),
        };
        return Err(Failure::failed(format!(
            "{} {why}. Nothing was changed\n{}\n  help: if it was lost just now: when ha-ctl show says that it was fenced, the \
             same command",
            missing.name,
            each.join("\n")
        )));
    }
    let mut nodes = found.nodes.iter();
    if let Some((node, _)) = nodes.find(|(_, facts)| facts.lacks(&record)) {
        return Err(Failure::failed(format!(
            "{}. Nothing was changed",
            lacks_what_was_before(node, &record)
        )));
    }
    for missing in offline {
        if !record.away.contains(&missing.name) {
            record.away.push(missing.name.clone());
        }
    }
    Ok(record)
}

/// For people: why a node cannot go back.
pub(super) fn lacks_what_was_before(node: &Node, record: &Record) -> String {
    format!(
        "{} has neither containers of the version {} nor what was kept of it: the image {OLD_TAG}, and \
         /etc/portsip/pbx.before-update\n  help: both from another node: docker save {OLD_TAG} there, docker load here, and a copy \
         of that directory; then the same command",
        node.name, record.from
    )
}

/// Whether neither the data nor the containers where it is are of another version than before.
fn is_untouched(found: &Found, record: &Record) -> bool {
    record.stage == Stage::Stopped || found.taken_back() == Some(record)
}

/// Whether an earlier run has come to its end, and did not live to write that down. No agent starts the PBX of before on
/// data of the new version.
fn is_back(found: &Found, record: &Record) -> bool {
    // The version may be the same before and after. What was kept says which image it was.
    let is_of_before = |(node, facts): &(Node, Facts)| match facts.kept.as_ref() {
        _ if record.away.contains(&node.name) => true,
        Some(kept) if *kept == record.id => facts.is_of_old(),
        _ => facts.is_of_version(&record.from),
    };
    record.stage == Stage::Back
        && record.copy.is_none()
        && found.runs()
        && found.data() == record.from
        && found.nodes.iter().all(is_of_before)
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
             read: for hours it is slower.\nto do, in this order:\n  a volume from {snapshot}, like the one of now, or the \
             one that an earlier run has made\n  stop the PBX and its addresses, and detach the volume of now\n  make the containers of {} again: {names}\n  vars.yml and the cluster \
             with the new volume\n  start the PBX, perhaps on another node\n",
            record.from
        ),
    };
    let away = record.away.iter();
    for node in away.filter(|name| along::reached(found, name).is_none()) {
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
    let vars = back_aws::with_volume_of_cluster(found)?;
    let vars = with_image(&vars, &record.image_before);
    found.bring_vars(&vars, run).await.map_err(half_way)?;
    along::settle(found, record, run, signals).await
}

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
