//! To the new version.

use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;
use tokio::time::{Instant, sleep};

use super::answers::answers;
use super::copy;
use super::fetch::{fetch_first, fetch_on_others, image, profiles, project};
use super::found::{Found, find, is_default};
use super::gap::Gap;
use super::others::bring_others;
use super::plan::{plan, refuse};
use crate::caller::{caller, now};
use crate::cli::Wanted;
use crate::commands;
use crate::exit::{Exit, Failure};
use crate::output::{print, say};
use crate::reach::Command;
use crate::run::Run;
use crate::update::{Image, Keeper, Record, Stage, keep, with_image};
use crate::verbs::deploy::{confirmed, left};
use crate::verbs::guard::guard;
use crate::verbs::signals::Signals;

/// What the vendor's guide calls the snapshot before an update.
const DESCRIPTION: &str = "pbx-ha-volumes-backup";
/// EC2 begins no second snapshot of a volume before that, and the PBX is not to wait for it.
const BETWEEN_SNAPSHOTS: Duration = Duration::from_secs(15);

/// Updates.
pub(super) async fn update(
    mut seen: Found,
    wanted: &Wanted,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    refuse(&seen, wanted)?;
    if makes_snapshots(&seen) {
        let vars = seen.vars.clone();
        let keeper = keeper(&vars, wanted);
        let may = signals.end_what_looks(keeper.may_begin()).await;
        may.map_err(|mut failure| {
            failure.text += "\nThat was asked before anything else. Nothing was changed";
            failure
        })?;
    }
    print(&plan(&seen, wanted))?;
    seen.say_missing();
    if wanted.dry_run {
        return Ok(Exit::Problems);
    }
    if !wanted.yes && !confirmed()? {
        say("nothing was changed. With --yes, ha-ctl update does not ask");
        return Ok(Exit::Problems);
    }
    let run = Run::new(false);
    let fetched = tokio::select! {
        fetched = fetch_first(&mut seen, wanted, &run) => fetched,
        () = signals.received() => return Err(left(&run)),
    };
    run.judge(fetched)?;
    // Nothing of the PBX is changed by an image beside its own.
    let new = seen.new_image()?;
    if !is_new(&seen, &new) {
        copy::refuse(&seen)?;
    }
    let fetched = tokio::select! {
        fetched = fetch_on_others(&mut seen, wanted, &new, &run) => fetched,
        () = signals.received() => return Err(left(&run)),
    };
    run.judge(fetched)?;
    let mut before = None;
    if !is_new(&seen, &new)
        && seen.runs()
        && seen.site.drbd().is_none()
        && seen
            .unfinished()
            .is_none_or(|it| it.stage == Stage::Stopped)
    {
        let (vars, id) = (seen.vars.clone(), new_id());
        let keeper = keeper(&vars, wanted);
        let snapshot = tokio::select! {
            snapshot = while_it_runs(&keeper, &id, &new) => run.judge(snapshot)?,
            () = signals.received() => return Err(left(&run)),
        };
        before = Some((id, snapshot));
    }
    let contact = &seen.contact;
    let _lock = guard(contact.fleet(), &contact.node(), &seen.state, "update").await?;
    // What was seen so far may be hours old.
    let mut found = signals.end_what_looks(find(wanted)).await?;
    found.expect_as(&seen)?;
    let lagging = updated(&mut found, wanted, &new, before, &run, signals).await;
    let lagging = run.judge(lagging)?;
    let lagging = lagging
        .into_iter()
        .chain(found.missing.iter().map(|it| it.name.clone()));
    let lagging: Vec<String> = lagging.collect();
    if lagging.is_empty() {
        return Ok(Exit::Done);
    }
    say(&format!(
        "{} cannot take over until the same command is run again",
        lagging.join(", ")
    ));
    Ok(Exit::NodesMissing)
}

/// Whether the volume is to be kept, as far as that is known before the image is fetched. A node that was away is brought
/// along without the rights for it.
fn makes_snapshots(found: &Found) -> bool {
    let is_here = found.new_image().is_ok_and(|new| is_new(found, &new));
    let open = found.unfinished();
    found.site.drbd().is_none() && !is_here && open.is_none_or(|it| it.stage == Stage::Stopped)
}

fn keeper<'a>(vars: &'a str, wanted: &'a Wanted) -> Keeper<'a> {
    Keeper {
        vars,
        profile: wanted.profile.as_deref(),
    }
}

/// Whether everything where the data is has the new version.
pub(super) fn is_new(found: &Found, new: &Image) -> bool {
    let has_containers = found.active().is_some_and(|(_, facts)| facts.is_of(new));
    // The vendor's initdt writes the version; if it does not, what is on record counts.
    let ended = found.ended().is_some_and(|it| it.to == new.version);
    has_containers && found.unfinished().is_none() && (found.data() == new.version || ended)
}

fn new_id() -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let now = OffsetDateTime::now_utc();
    now.format(&format).unwrap_or_default()
}

async fn while_it_runs(keeper: &Keeper<'_>, id: &str, new: &Image) -> Result<String, Failure> {
    let begun = Instant::now();
    let name = format!("update-{id}-before");
    let description = format!("{DESCRIPTION} before the update to {}", new.version);
    let snapshot = keeper.begin(&name, &description).await?;
    let what = "EC2 makes a snapshot of the volume, while the PBX runs";
    completed(
        keeper.is_completed(&snapshot, what).await?,
        what,
        snapshot.id(),
    )?;
    sleep(BETWEEN_SNAPSHOTS.saturating_sub(begun.elapsed())).await;
    Ok(snapshot.id().to_owned())
}

fn completed(is_completed: bool, what: &str, id: &str) -> Result<(), Failure> {
    match is_completed {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "{what}: EC2 says that {id} has failed\n  help: aws ec2 describe-snapshots --snapshot-ids {id}"
        ))),
    }
}

/// All of it, and the nodes that are left behind. The lock is held.
async fn updated(
    found: &mut Found,
    wanted: &Wanted,
    new: &Image,
    before: Option<(String, String)>,
    run: &Run,
    signals: &mut Signals,
) -> Result<Vec<String>, Failure> {
    if is_new(found, new) {
        if found.others().all(|(_, facts)| facts.is_of(new)) {
            let digest = new.digest.as_deref().unwrap_or("not from a registry");
            print(&format!(
                "nothing to update: {} is {} here ({digest}), and all nodes that were reached have it\n",
                image(wanted),
                new.version
            ))?;
        }
        if !found.runs() && !wanted.leave_stopped {
            found.start(&["pbx"], run, signals).await?;
        }
        let record = found.ended().cloned();
        let id = record.map_or_else(new_id, |it| it.id);
        let is_behind = found.others().any(|(_, facts)| !facts.is_of(new));
        let lagging = bring_others(found, wanted, new, &id, run).await;
        // An earlier run may not have come to it, or not on a node that was away.
        if is_behind || found.site.image != image(wanted) {
            found
                .bring_vars(&with_image(&found.vars, image(wanted)), run)
                .await?;
        }
        return Ok(lagging);
    }
    let open = found.unfinished().cloned();
    let has_begun = open.is_some();
    if !has_begun {
        copy::refuse(found)?;
    }
    let mut record = match open {
        Some(mut record) if record.stage > Stage::Stopped => {
            if copy::is_lost(found, &record) {
                say(
                    "the other copy of the data is not the one of before any more: THERE IS NO WAY BACK from this update",
                );
                record.copy = None;
            }
            record
        }
        _ => new_record(found, wanted, new, before),
    };
    let mut gap = Gap::default();
    let is_ready = record.stage == Stage::Migrated
        && found.runs()
        && found.active().is_some_and(|(_, facts)| facts.is_of(new));
    if !is_ready {
        let ran = found.runs() || has_begun;
        away(found, wanted, &mut record, ran, &mut gap, run, signals).await?;
    }
    if !wanted.leave_stopped {
        answers(found, run).await.map_err(half_way)?;
        gap.ended("start");
    }
    record.stage = Stage::Done;
    found.write(record.clone(), run).await?;
    tell_end(found, wanted, &record, &gap)?;
    let lagging = bring_others(found, wanted, new, &record.id, run).await;
    let vars = with_image(&found.vars, &record.image);
    if found.site.image != record.image {
        found.bring_vars(&vars, run).await?;
    }
    Ok(lagging)
}

fn new_record(
    found: &Found,
    wanted: &Wanted,
    new: &Image,
    before: Option<(String, String)>,
) -> Record {
    // An earlier run of the same update may have made the first snapshot.
    let open = found.unfinished().filter(|it| it.to == new.version);
    let open = open.and_then(|it| Some((it.id.clone(), it.before.clone()?)));
    let (id, before) = match before.or(open) {
        Some((id, snapshot)) => (id, Some(snapshot)),
        None => (new_id(), None),
    };
    let env = found
        .active()
        .and_then(|(_, facts)| facts.env_image.clone());
    let copy = found.unfinished().and_then(|it| it.copy.clone());
    Record {
        id,
        image: image(wanted).to_owned(),
        image_before: env.unwrap_or_else(|| found.site.image.clone()),
        from: found.version().to_owned(),
        to: new.version.clone(),
        before,
        copy,
        options: wanted.options.clone(),
        by: format!("{} at {}", caller(), now()),
        ..Record::default()
    }
}

/// From the PBX that stops to the one that starts. Until the data is touched, the PBX is started again as it was if
/// anything fails.
async fn away(
    found: &mut Found,
    wanted: &Wanted,
    record: &mut Record,
    ran: bool,
    gap: &mut Gap,
    run: &Run,
    signals: &mut Signals,
) -> Result<(), Failure> {
    if record.stage == Stage::Stopped {
        found.write(record.clone(), run).await?;
    }
    if found.runs() {
        gap.begin();
    }
    // Also where an earlier run has told it to stop: it may be about to.
    if let Err(why) = found.stop("pbx", run, signals).await {
        return Err(match (record.stage, ran) {
            (Stage::Stopped, true) => start_old(found, record, run, why).await,
            (Stage::Stopped, false) => stays_stopped(found, record, run, why).await,
            _ => half_way(why),
        });
    }
    gap.ended("stop");
    if record.stage == Stage::Stopped {
        let ready = tokio::select! {
            ready = at_rest(found, record, wanted, run) => ready,
            () = signals.received() => Err(Failure::incomplete("interrupted")),
        };
        if let Err(why) = ready {
            return Err(match ran {
                true => start_old(found, record, run, why).await,
                false => stays_stopped(found, record, run, why).await,
            });
        }
        gap.ended(match found.site.drbd() {
            None => "snapshot",
            Some(_) => "copy at rest",
        });
    }
    let changed = tokio::select! {
        changed = migration(found, record, wanted, gap, run) => changed,
        () = signals.received() => Err(left(run)),
    };
    changed.map_err(half_way)?;
    if !wanted.leave_stopped {
        let started = found.start(&["pbx"], run, signals).await;
        started.map_err(half_way)?;
    }
    Ok(())
}

/// What changes nothing of the PBX and of its data.
async fn at_rest(
    found: &mut Found,
    record: &mut Record,
    wanted: &Wanted,
    run: &Run,
) -> Result<(), Failure> {
    let data = commands::quoted(&found.site.data_path);
    let flush = Command::change("flush the data to the volume", format!("sync -f {data}"));
    run.change(found.active_node()?, &flush.repeatable())
        .await?;
    if let Some(drbd) = found.site.drbd().cloned() {
        copy::leave_at_rest(found, record, &drbd, run).await?;
        record.stage = Stage::Migrating;
        return found.write(record.clone(), run).await;
    }
    let vars = found.vars.clone();
    let keeper = keeper(&vars, wanted);
    let description = format!("{DESCRIPTION} at rest, before the update to {}", record.to);
    // An earlier attempt may have left one of the same update, and the PBX may have run since.
    let name = record.name_of(&format!("rest-{}", new_id()));
    let snapshot = keeper.begin(&name, &description).await?;
    record.rest = Some(snapshot.id().to_owned());
    if !wanted.shorter_gap {
        let what = "EC2 makes a snapshot of the volume at rest";
        completed(
            keeper.is_completed(&snapshot, what).await?,
            what,
            snapshot.id(),
        )?;
    }
    record.stage = Stage::Migrating;
    found.write(record.clone(), run).await
}

async fn migration(
    found: &mut Found,
    record: &mut Record,
    wanted: &Wanted,
    gap: &mut Gap,
    run: &Run,
) -> Result<(), Failure> {
    let Some((node, facts)) = found.active() else {
        return Ok(());
    };
    let profiles = profiles(facts, wanted);
    let project = project(found, wanted, profiles.as_deref());
    run.change(node, &keep(&record.id)).await?;
    run.change(node, &project.write()).await?;
    if record.stage == Stage::Migrating {
        let step = project.migrate(wanted.certificate_manager);
        run.step(node, &step).await?;
    }
    gap.ended("data");
    let step = project.containers();
    if record.stage == Stage::Migrating {
        record.stage = Stage::Migrated;
        found.write(record.clone(), run).await?;
    }
    run.step(found.active_node()?, &step).await?;
    gap.ended("containers");
    Ok(())
}

/// Nothing of the PBX was changed, and it is started again. The update leaves the record.
async fn start_old(found: &Found, record: &Record, run: &Run, why: Failure) -> Failure {
    say(&format!("{why}\nthe PBX is started again as it was"));
    // The node with the data may be lost by now, and another one can start the PBX.
    let restored = async {
        let started = found.start(&["pbx"], run, &mut Signals::new()).await;
        copy::bring_back(found, record, run).await?;
        // As long as it is on record, --rollback ends what is left of it.
        found.forget(run).await?;
        started
    };
    match restored.await {
        Ok(()) => Failure::incomplete(format!(
            "{why}\nThe PBX runs as before\n  help: the same command tries again"
        )),
        Err(failure) => Failure::incomplete(format!(
            "{why}\nerror: {failure}\nThe PBX may be stopped. Nothing of it was changed\n  help: ha-ctl start -s pbx"
        )),
    }
}

/// The PBX was stopped before, by somebody.
async fn stays_stopped(found: &Found, record: &Record, run: &Run, why: Failure) -> Failure {
    let restored = async {
        copy::bring_back(found, record, run).await?;
        found.forget(run).await
    };
    if let Err(failure) = restored.await {
        say(&format!("error: {failure}"));
    }
    Failure::incomplete(format!(
        "{why}\nThe PBX is stopped, as it was before, and nothing of it was changed\n  help: the same command tries again; \
         ha-ctl start -s pbx"
    ))
}

fn half_way(mut failure: Failure) -> Failure {
    failure.exit = Exit::Incomplete;
    failure.text += "\nThe update has not come to its end: ha-ctl show   says how far it is. The same command goes on from there; \
                     ha-ctl update --rollback goes back";
    failure
}

fn tell_end(found: &Found, wanted: &Wanted, record: &Record, gap: &Gap) -> Result<(), Failure> {
    let mut text = match wanted.leave_stopped {
        false => format!("the PBX answers in the version {}\n", record.to),
        true => format!(
            "the PBX is of the version {} and stopped: ha-ctl start -s pbx\n",
            record.to
        ),
    };
    text += &gap.text().unwrap_or_default();
    if found.site.image != record.image && !is_default(found.vars_file.as_ref()) {
        text += &format!(
            "pbx_image in your vars.yml is another one: write {} there. The nodes' own have it\n",
            record.image
        );
    }
    if let Some(snapshot) = record.rest.as_ref().or(record.before.as_ref()) {
        text += &format!(
            "the way back, until the next update: ha-ctl update --rollback   (snapshot {snapshot}, version {})\n",
            record.from
        );
    }
    if let Some(copy) = &record.copy {
        text += &format!(
            "the way back: ha-ctl update --rollback   (the copy of the data on {}, version {})\nTHERE IS NO SECOND COPY of the \
             data meanwhile, and {} cannot take over. When the new version is good: ha-ctl update --accept\n",
            copy.node, record.from, copy.node
        );
    }
    if found.site.drbd().is_some() && record.copy.is_none() {
        text += "THERE IS NO WAY BACK from this update: no copy of the data of before is left\n";
    }
    text += "extended servers come after the PBX: ha-ctl extend upgrade\n";
    print(&text)
}
