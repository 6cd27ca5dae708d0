//! To the new version.

use std::time::Duration;

use futures_util::future::join_all;
use time::OffsetDateTime;
use time::macros::format_description;

use super::found::{Found, is_default};
use super::gap::{Gap, Switch};
use crate::caller::{caller, now};
use crate::cli::Wanted;
use crate::commands;
use crate::deploy::{System, all, copy_vars};
use crate::exit::{Exit, Failure};
use crate::hand_on::Sources;
use crate::output::{print, say};
use crate::reach::Command;
use crate::run::Run;
use crate::update::{
    Facts, Image, Keeper, Record, Stage, bring_compose_file, containers, fetch, fetch_same,
    handed_on, keep, migrate, project, with_image,
};
use crate::verbs::deploy::{confirmed, left};
use crate::verbs::guard::guard;
use crate::verbs::show::answer;
use crate::verbs::signals::Signals;

/// What the vendor's guide calls the snapshot before an update.
const DESCRIPTION: &str = "pbx-ha-volumes-backup";
/// For how long a snapshot that was begun while the PBX ran still shortens the second one.
const FRESH: Duration = Duration::from_secs(3600);
/// How many times as large as the image that is there a new one may be.
const ROOM: u64 = 2;

/// Updates.
pub(super) async fn update(
    mut found: Found,
    wanted: &Wanted,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let image = wanted.image.as_deref().unwrap_or_default();
    refuse(&found, wanted)?;
    print(&plan(&found, wanted))?;
    found.say_missing();
    if wanted.dry_run {
        return Ok(Exit::Problems);
    }
    if !wanted.yes && !confirmed()? {
        say("nothing was changed. With --yes, ha-ctl update does not ask");
        return Ok(Exit::Problems);
    }
    let run = Run::new(false);
    let fetched = tokio::select! {
        fetched = fetch_first(&mut found, image, wanted, &run) => fetched,
        () = signals.received() => return Err(left(&run)),
    };
    run.judge(fetched)?;
    // Nothing of the PBX is changed by an image beside its own.
    let new = found.new_image()?;
    let fetched = tokio::select! {
        fetched = fetch_on_others(&mut found, image, &new, &run) => fetched,
        () = signals.received() => return Err(left(&run)),
    };
    run.judge(fetched)?;
    let done = updated(&mut found, wanted, &new, &run, signals).await;
    run.judge(done)?;
    Ok(match found.missing.is_empty() {
        true => Exit::Done,
        false => Exit::NodesMissing,
    })
}

/// What could not be carried out.
fn refuse(found: &Found, wanted: &Wanted) -> Result<(), Failure> {
    if let System::Lan(_) = found.site.system {
        return Err(Failure::failed(
            "ha-ctl update is for AWS as yet: on a LAN there is no snapshot, and without one there is no way back. \
             Nothing was changed",
        ));
    }
    let lacks = |facts: &Facts| !facts.has_certificate_manager && wanted.compose_file.is_none();
    let mut lacking = found.nodes.iter().filter(|(_, facts)| lacks(facts));
    if wanted.certificate_manager
        && let Some((node, _)) = lacking.next()
    {
        return Err(Failure::failed(format!(
            "-c: the compose file on {} has no container portsip.certmanager. Nothing was changed\n  help: --compose-file \
             FILE, with one that has it",
            node.name
        )));
    }
    for (node, facts) in &found.nodes {
        let now = facts.pbx().map(|it| it.image.clone());
        let bytes = [&facts.tagged, &facts.old].into_iter().flatten();
        let mut bytes = bytes.filter(|it| Some(&it.id) == now.as_ref());
        // What is not known is not refused.
        let (Some(free), Some(image)) = (facts.free, bytes.next()) else {
            continue;
        };
        let needed = ROOM * image.bytes / 1024;
        if free < needed {
            return Err(Failure::failed(format!(
                "Docker on {} has {} MB free, and a new image needs {} MB while it is fetched. Nothing was changed\n  help: sudo \
                 docker system df   (there)",
                node.name,
                free / 1024,
                needed / 1024
            )));
        }
    }
    Ok(())
}

fn plan(found: &Found, wanted: &Wanted) -> String {
    let image = wanted.image.as_deref().unwrap_or_default();
    let mut text = String::new();
    if let Some(record) = found.record.as_ref().filter(|it| it.is_going_on()) {
        text += &format!("an update has begun, and is continued: {record}\n");
    }
    let (version, data) = (found.version(), found.data());
    let runs = if found.runs() { "runs" } else { "is stopped" };
    text += &format!(
        "the PBX {runs}, in the version {version}, on {}; its data is of the version {data}\n",
        found.active
    );
    let names = found.nodes.iter().map(|(node, _)| node.name.as_str());
    let names: Vec<&str> = names.collect();
    let names = names.join(", ");
    text += &format!("to do, in this order:\n  fetch {image}: {names}\n");
    text += "and if it is another version, or a node has not the PBX's:\n";
    if found.runs() {
        text += "  a snapshot of the volume, while the PBX runs\n  stop the PBX: its addresses and its data stay where they are\n";
    }
    let waits = match wanted.shorter_gap {
        false => "; it is waited for",
        true => "; it is NOT waited for, so that the way back may be the one before",
    };
    text += &format!(
        "  a snapshot of the volume at rest{waits}\n  bring the data to the new version: {}\n  make the containers anew: {names}\n",
        found.active
    );
    text += match wanted.leave_stopped {
        false => "  start the PBX, and wait until it answers\n",
        true => "  the PBX stays stopped (--leave-stopped)\n",
    };
    text
}

/// The image where the data is.
async fn fetch_first(
    found: &mut Found,
    image: &str,
    wanted: &Wanted,
    run: &Run,
) -> Result<(), Failure> {
    if let Some(content) = &wanted.compose_file {
        let bring = &bring_compose_file(content);
        let bringing = found.nodes.iter();
        all(bringing.map(|(node, _)| async move { run.change(node, bring).await.map(drop) }))
            .await?;
    }
    run.step(found.active_node()?, &fetch(image)).await?;
    found.look_again().await
}

/// The same image on the others.
async fn fetch_on_others(
    found: &mut Found,
    image: &str,
    new: &Image,
    run: &Run,
) -> Result<(), Failure> {
    let digest = found.active().and_then(|(_, facts)| facts.digest.clone());
    let step = &fetch_same(image, &new.version, digest.as_deref());
    let others = found.nodes.iter().filter(|(node, facts)| {
        let has_it = facts.tagged.as_ref().is_some_and(|it| it.id == new.id);
        node.name != found.active && !has_it
    });
    let fetching = others.map(|(node, _)| async move { (node, run.step(node, step).await) });
    let mut refused = Vec::new();
    for (node, fetched) in join_all(fetching).await {
        match fetched {
            Err(failure) if failure.exit != Exit::Failed => return Err(failure),
            Err(failure) => refused.push((node.name.clone(), failure)),
            Ok(()) => {}
        }
    }
    found.look_again().await?;
    // The registry may have given another image of the same version.
    let lacking = found.nodes.iter().filter(|(_, facts)| {
        let tagged = facts.tagged.as_ref();
        tagged.is_none_or(|it| it.id != new.id)
    });
    let (images, sources) = (
        &handed_on(image, &new.version),
        &Sources::new(vec![found.active_node()?]),
    );
    let handing = lacking.map(|(node, _)| {
        let refusal = refused.iter().find(|(name, _)| *name == node.name);
        let failure = match refusal {
            Some((_, failure)) => failure.clone(),
            None => Failure::failed(format!("the registry gave {} another image", node.name)),
        };
        async move { sources.hand_on(images, node, failure, run).await }
    });
    all(handing).await?;
    found.look_again().await
}

/// Whether everything where the data is has the new version.
fn is_new(found: &Found, new: &Image) -> bool {
    let active = found.active().map(|(_, facts)| facts);
    let has_containers = active.is_some_and(|it| it.is_made_from(&new.id));
    let is_going_on = found.record.as_ref().is_some_and(Record::is_going_on);
    has_containers && found.data() == new.version && !is_going_on
}

async fn updated(
    found: &mut Found,
    wanted: &Wanted,
    new: &Image,
    run: &Run,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let begun = found.record.clone().filter(Record::is_going_on);
    if let Some(record) = begun.filter(|it| it.stage > Stage::Begun && it.to != new.version) {
        return Err(Failure::failed(format!(
            "an update to {} has come half way, and {} is {}. The PBX and its data were left as they are\n  help: ha-ctl update \
             {}   goes on with it; ha-ctl update --rollback goes back",
            record.to,
            wanted.image.as_deref().unwrap_or_default(),
            new.version,
            record.image
        )));
    }
    if is_new(found, new) {
        return bring_along(found, wanted, new, run, signals).await;
    }
    let mut record = new_record(found, wanted, new);
    found.write(record.clone(), run).await?;
    let keeper_vars = found.vars.clone();
    let keeper = Keeper {
        vars: &keeper_vars,
        profile: wanted.profile.as_deref(),
    };
    if found.runs() && record.stage == Stage::Begun {
        let snapshot = before(&keeper, &record, new);
        let before = tokio::select! {
            before = snapshot => before?,
            () = signals.received() => return Err(left(run)),
        };
        say(&format!(
            "{before} has what the volume had while the PBX ran"
        ));
        record.before = Some(before);
        found.write(record.clone(), run).await?;
    }
    // Whoever has changed the cluster meanwhile has ended with it.
    let _lock = guard(
        found.contact.fleet(),
        &found.contact.node(),
        &found.state,
        "update",
    )
    .await?;
    let keep = &keep();
    let keeping = found.nodes.iter().filter(|(_, facts)| {
        let is_old = !facts.is_made_from(&new.id);
        is_old && (record.stage == Stage::Begun || !facts.is_kept())
    });
    all(keeping.map(|(node, _)| async move { run.change(node, keep).await.map(drop) })).await?;
    let mut gap = Gap::default();
    let ran = found.runs();
    if ran {
        gap.begin();
        let stopped = Switch::new(found, run).stop("pbx", signals).await;
        if let Err(why) = stopped {
            return Err(start_old(found, run, why).await);
        }
        gap.ended("stop");
    }
    let ready = tokio::select! {
        ready = until_migration(found, &mut record, &keeper, wanted, run) => ready,
        () = signals.received() => Err(Failure::incomplete("interrupted")),
    };
    if let Err(why) = ready {
        return Err(match ran {
            true => start_old(found, run, why).await,
            false => why,
        });
    }
    gap.ended("snapshot");
    let migrated = tokio::select! {
        migrated = migration(found, &mut record, wanted, &mut gap, run) => migrated,
        () = signals.received() => Err(left(run)),
    };
    migrated.map_err(half_way)?;
    if !wanted.leave_stopped {
        let started = Switch::new(found, run).start(&["pbx"], signals).await;
        started.map_err(half_way)?;
        answers(found).await.map_err(half_way)?;
        gap.ended("start");
    }
    record.stage = Stage::Done;
    found.write(record.clone(), run).await?;
    tell_end(found, wanted, &record, &gap)
}

/// The record of an update that goes on, or a new one. One in which nothing was changed yet is not older than its
/// snapshots are of use.
fn new_record(found: &Found, wanted: &Wanted, new: &Image) -> Record {
    let begun = found.record.clone().filter(Record::is_going_on);
    let at = OffsetDateTime::now_utc();
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let id = |at: OffsetDateTime| at.format(&format).unwrap_or_default();
    let is_fresh = |record: &Record| record.to == new.version && record.id > id(at - FRESH);
    match begun {
        Some(record) if record.stage > Stage::Begun || is_fresh(&record) => record,
        _ => Record {
            id: id(at),
            image: wanted.image.clone().unwrap_or_default(),
            image_before: found.site.image.clone(),
            from: found.version().to_owned(),
            to: new.version.clone(),
            by: format!("{} at {}", caller(), now()),
            ..Record::default()
        },
    }
}

async fn before(keeper: &Keeper<'_>, record: &Record, new: &Image) -> Result<String, Failure> {
    let name = record.name_of("before");
    let description = format!("{DESCRIPTION} before the update to {}", new.version);
    let kept = keeper.begin(&name, &description).await?;
    let what = "EC2 makes a snapshot of the volume, while the PBX runs";
    keeper.wait(kept, &name, what).await
}

/// What changes nothing of the data: the PBX of before can be started again after all of it.
async fn until_migration(
    found: &mut Found,
    record: &mut Record,
    keeper: &Keeper<'_>,
    wanted: &Wanted,
    run: &Run,
) -> Result<(), Failure> {
    if record.stage == Stage::Begun {
        let node = found.active_node()?;
        let data = commands::quoted(&found.site.data_path);
        let flush = Command::change("flush the data to the volume", format!("sync -f {data}"));
        run.change(node, &flush.repeatable()).await?;
        // The PBX may have run since the last attempt: a name of its own.
        let at = OffsetDateTime::now_utc().unix_timestamp();
        let name = record.name_of(&format!("rest-{at}"));
        let description = format!("{DESCRIPTION} at rest, before the update to {}", record.to);
        let kept = keeper.begin(&name, &description).await?;
        record.rest = Some(kept.id.clone());
        if !wanted.shorter_gap {
            let what = "EC2 makes a snapshot of the volume at rest";
            keeper.wait(kept, &name, what).await?;
        }
        record.stage = Stage::Changing;
        found.write(record.clone(), run).await?;
    }
    if record.stage == Stage::Changing {
        let writing = found.nodes.iter().map(|(node, facts)| {
            let profiles = profiles(facts, wanted);
            let project = project(&record.image, profiles.as_deref());
            async move { run.change(node, &project).await.map(drop) }
        });
        all(writing).await?;
        record.stage = Stage::Migrating;
        found.write(record.clone(), run).await?;
    }
    Ok(())
}

/// With the certificate manager, if it is asked for.
fn profiles(facts: &Facts, wanted: &Wanted) -> Option<String> {
    const CERTIFICATE_MANAGER: &str = "certmanager";
    wanted.certificate_manager.then(|| {
        let others = facts.profiles.split(',');
        let others = others.filter(|it| !it.is_empty() && *it != CERTIFICATE_MANAGER);
        let all: Vec<&str> = others.chain([CERTIFICATE_MANAGER]).collect();
        all.join(",")
    })
}

async fn migration(
    found: &mut Found,
    record: &mut Record,
    wanted: &Wanted,
    gap: &mut Gap,
    run: &Run,
) -> Result<(), Failure> {
    if record.stage == Stage::Migrating {
        let step = migrate(
            &record.image,
            &found.site.data_path,
            wanted.certificate_manager,
        );
        run.step(found.active_node()?, &step).await?;
        record.stage = Stage::Migrated;
        found.write(record.clone(), run).await?;
        gap.ended("data");
    }
    let containers = &containers();
    let making = found.nodes.iter();
    all(making.map(|(node, _)| async move { run.step(node, containers).await })).await?;
    if found.site.image != record.image {
        let vars = with_image(&found.vars, &record.image);
        let copy = &copy_vars(&vars);
        let copying = found.nodes.iter();
        all(copying.map(|(node, _)| async move { run.change(node, copy).await.map(drop) })).await?;
    }
    gap.ended("containers");
    Ok(())
}

/// The PBX answers, and not only its containers run: the monitor asks SIP and the portal.
async fn answers(found: &Found) -> Result<(), Failure> {
    let mut check = Command::look(
        "asking the PBX",
        "crm_resource --resource pbx --force-check=10 2>&1",
    );
    check.limit = Duration::from_secs(60);
    answer(found.active_node()?, check).await.map(drop)
}

/// What was changed so far can be started as it was.
async fn start_old(found: &Found, run: &Run, why: Failure) -> Failure {
    say(&format!("{why}\nthe PBX is started again as it was"));
    let (switch, mut signals) = (Switch::new(found, run), Signals::new());
    let help =
        "help: the same command tries again; ha-ctl update --rollback takes it off the record";
    match switch.start(&["pbx"], &mut signals).await {
        Ok(()) => Failure::incomplete(format!("{why}\nThe PBX runs as before\n  {help}")),
        Err(failure) => Failure::incomplete(format!(
            "{why}\nerror: {failure}\n  help: ha-ctl start -s pbx"
        )),
    }
}

fn half_way(mut failure: Failure) -> Failure {
    failure.exit = Exit::Incomplete;
    failure.text += "\nThe PBX does not run in the new version yet. The same command goes on from there; \
                     ha-ctl update --rollback goes back";
    failure
}

/// Nodes that were away during the update.
async fn bring_along(
    found: &Found,
    wanted: &Wanted,
    new: &Image,
    run: &Run,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let lagging = found
        .nodes
        .iter()
        .filter(|(_, facts)| !facts.is_made_from(&new.id));
    let names: Vec<String> = lagging.map(|(node, _)| node.name.clone()).collect();
    if names.is_empty() {
        print(&format!(
            "nothing to update: all nodes have the version {}\n",
            new.version
        ))?;
        return start_if_stopped(found, wanted, run, signals).await;
    }
    let _lock = guard(
        found.contact.fleet(),
        &found.contact.node(),
        &found.state,
        "update",
    )
    .await?;
    let (keep, containers) = (&keep(), &containers());
    let image = wanted.image.as_deref().unwrap_or_default();
    let active = found.active().map(|(_, facts)| facts.profiles.clone());
    let profiles = active.filter(|it| !it.is_empty());
    let project = &project(image, profiles.as_deref());
    let lagging = found
        .nodes
        .iter()
        .filter(|(node, _)| names.contains(&node.name));
    let working = lagging.map(|(node, _)| async move {
        run.change(node, keep).await?;
        run.change(node, project).await?;
        run.step(node, containers).await
    });
    all(working).await?;
    print(&format!(
        "{} has the version {} too now\n",
        names.join(", "),
        new.version
    ))?;
    start_if_stopped(found, wanted, run, signals).await
}

/// An update ends with a PBX that runs.
async fn start_if_stopped(
    found: &Found,
    wanted: &Wanted,
    run: &Run,
    signals: &mut Signals,
) -> Result<(), Failure> {
    match found.runs() || wanted.leave_stopped {
        true => Ok(()),
        false => Switch::new(found, run).start(&["pbx"], signals).await,
    }
}

fn tell_end(found: &Found, wanted: &Wanted, record: &Record, gap: &Gap) -> Result<(), Failure> {
    let mut text = match wanted.leave_stopped {
        false => format!("the PBX answers in the version {}\n", record.to),
        true => format!(
            "the PBX is of the version {} and stopped: ha-ctl start -s pbx\n",
            record.to
        ),
    };
    if let Some(gap) = gap.text() {
        text += &format!("{gap}\n");
    }
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
    text += "extended servers come after the PBX: ha-ctl extend upgrade\n";
    print(&text)
}
