//! What an update refuses, and what it says before it asks.

use super::copy;
use super::fetch::image;
use super::forward::is_new;
use super::found::Found;
use crate::cli::{COMPOSE_FILE, Wanted};
use crate::exit::Failure;
use crate::update::{Facts, Image, Stage};

/// How many times as large as the image that is there a new one may be.
const ROOM: u64 = 2;
/// Of an update that goes on.
const NO_WAY_BACK: &str =
    "  THERE IS NO WAY BACK from this update: no copy of the data of before is left\n";

/// What could not be carried out.
pub(super) fn refuse(found: &Found, wanted: &Wanted) -> Result<(), Failure> {
    copy::refuse_drbd(found)?;
    if let Some(record) = found.unfinished().filter(|it| it.stage >= Stage::Back) {
        return Err(Failure::failed(format!(
            "a way back has begun, and has to come to its end first. Nothing was changed\n  help: {}",
            record.commands()
        )));
    }
    if let Some(record) = found.unfinished()
        && record.options.contains(COMPOSE_FILE)
        && wanted.compose_file.is_none()
    {
        return Err(Failure::failed(format!(
            "the update was begun with another compose file. Nothing was changed\n  help: {}",
            record.command()
        )));
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
        // What is not known is not refused.
        let (Some(free), Some(bytes)) = (facts.free, facts.bytes) else {
            continue;
        };
        let needed = ROOM * bytes / 1024;
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

/// What there is to do where the node with the data has the new version.
fn for_others(found: &Found, wanted: &Wanted, new: &Image) -> String {
    let lagging = found.others().filter(|(_, facts)| !facts.is_of(new));
    let lagging: Vec<&str> = lagging.map(|(node, _)| node.name.as_str()).collect();
    let starts = !found.runs() && !wanted.leave_stopped;
    match (lagging.is_empty(), starts) {
        (true, true) => "  start the PBX\n".to_owned(),
        (true, false) => "  nothing more\n".to_owned(),
        (false, _) => {
            let start = if starts { "  start the PBX\n" } else { "" };
            format!(
                "{start}  make the containers anew on {}\n",
                lagging.join(", ")
            )
        }
    }
}

/// The PBX stops, and the data of before is kept.
fn stop_and_keep(found: &Found, wanted: &Wanted) -> String {
    let is_on_lan = found.site.drbd().is_some();
    let open = found.unfinished();
    let goes_on = open.filter(|record| record.stage > Stage::Stopped);
    let mut text = String::new();
    if found.runs() {
        if !is_on_lan && goes_on.is_none() {
            text += "  a snapshot of the volume, while the PBX runs\n";
        }
        text += "  stop the PBX: its addresses and its data stay where they are\n";
    }
    let others: Vec<&str> = found.others().map(|(node, _)| node.name.as_str()).collect();
    let others = others.join(", ");
    text += &match goes_on {
        Some(record) if is_on_lan && (record.copy.is_none() || copy::is_lost(found, record)) => {
            NO_WAY_BACK.to_owned()
        }
        Some(_) => String::new(),
        None if is_on_lan && others.is_empty() => {
            "  REFUSED: the other node with the data cannot be used, and without a second copy there is no way back\n"
                .to_owned()
        }
        None if is_on_lan => format!(
            "  put {others} in standby: the copy of the data there stays as it is then, and is the way back. UNTIL `ha-ctl \
             update --accept` THERE IS NO SECOND COPY of the data, and {others} cannot take over\n"
        ),
        None if wanted.shorter_gap => {
            "  a snapshot of the volume at rest; it is NOT waited for, so that the way back may be the one before\n"
                .to_owned()
        }
        None => "  a snapshot of the volume at rest; it is waited for\n".to_owned(),
    };
    text
}

pub(super) fn plan(found: &Found, wanted: &Wanted) -> String {
    let image = image(wanted);
    let mut text = String::new();
    if let Some(record) = found.unfinished() {
        text += &format!(
            "an update from {} to {} was begun by {}, and is continued: {}\n",
            record.from,
            record.to,
            record.by,
            record.stage.words()
        );
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
    text += &match found.new_image() {
        Ok(new) if is_new(found, &new) => format!(
            "and then, if the registry has no newer image under this name:\n{}and IF IT HAS, a new update:\n",
            for_others(found, wanted, &new)
        ),
        _ => "and then, if it is another image than the PBX's:\n".to_owned(),
    };
    text += &stop_and_keep(found, wanted);
    text += &format!("  bring the data to the new version: {}\n", found.active);
    text += match wanted.leave_stopped {
        false => "  make its containers anew, start the PBX, and wait until it answers\n",
        true => "  make its containers anew. The PBX stays stopped (--leave-stopped)\n",
    };
    text += "  make the containers of the other nodes anew\n";
    text
}
