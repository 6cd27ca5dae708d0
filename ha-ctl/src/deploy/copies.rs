//! The copies of the data, on a LAN: the storage of DRBD on every node that has one, and DRBD up, until Pacemaker has it.
//! What a node does is in `copies.sh`.

use std::time::Duration;

use cib_gen::vars::DrbdVersion;

use super::site::{Drbd, Site};
use super::vars_file::FILE;
use super::{Deployment, Facts, all, storage};
use crate::check::module_fault;
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::Command;
use crate::run::Run;
use crate::steps::Step;

/// The metadata of a large disk is written once.
const LIMIT: Duration = Duration::from_secs(1800);

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let Some(drbd) = deployment.site.drbd() else {
        return Ok(());
    };
    // Then Pacemaker has them.
    if deployment.is_in_use() {
        return Ok(());
    }
    refuse(deployment, drbd)?;
    // Also where the data is just being prepared: a node may have been rebooted meanwhile, and without the others the
    // writes of the one that prepares it stand still.
    if !storage::is_needed(deployment, run).await? {
        return Ok(());
    }
    let make = &make(&deployment.site, drbd);
    let making = deployment.each_with_data();
    all(making.map(|(node, _)| run.step(node, make))).await
}

/// A kernel without this DRBD is no matter of a package that could be installed now.
fn refuse(deployment: &Deployment, drbd: &Drbd) -> Result<(), Failure> {
    let each = deployment.each_with_data().filter_map(|(node, facts)| {
        let (found, help) = module_fault(facts.drbd(), drbd.version)?;
        Some(format!("{}: {found}\n  help: {help}", node.name))
    });
    let each: Vec<String> = each.collect();
    match each.is_empty() {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "the data cannot be kept on these nodes. Nothing was changed\n{}",
            each.join("\n")
        ))),
    }
}

/// DRBD down on every node, once the data is prepared: from then on Pacemaker brings it up.
pub(super) async fn hand_over(
    deployment: &Deployment,
    run: &Run,
    was_needed: bool,
) -> Result<(), Failure> {
    let Some(drbd) = deployment.site.drbd() else {
        return Ok(());
    };
    let down = &down(drbd);
    let up = deployment.each_with_data();
    let up = up.filter(|(_, facts)| was_needed || Facts::has_device(facts));
    all(up.map(|(node, _)| async move { run.change(node, down).await.map(drop) })).await
}

fn down(drbd: &Drbd) -> Command {
    Command::change(
        "take DRBD down: Pacemaker brings it up",
        format!("drbdadm down {}", quoted(&drbd.name)),
    )
}

fn make(site: &Site, drbd: &Drbd) -> Step {
    let create = match drbd.version {
        // As many as cib-gen has in its comments: room for more nodes.
        DrbdVersion::Nine => "drbdadm create-md --max-peers=8",
        DrbdVersion::EightFour => "drbdadm create-md",
    };
    Step {
        name: "copies",
        what: format!(
            "make the copies of the data (DRBD {} on {}, only where that is empty; what is there is kept)",
            drbd.version, drbd.disk
        ),
        script: format!(
            "set -eu\n\
             resource={} disk={} group={} volume={} size={}\n\
             create={}\n\
             drbd_file() {{ cib-gen --format drbd {} {FILE}; }}\n{}",
            quoted(&drbd.name),
            quoted(&drbd.disk),
            quoted(&drbd.volume_group),
            quoted(&drbd.logical_volume),
            quoted(&drbd.size),
            quoted(create),
            site.options(),
            include_str!("copies.sh")
        ),
        limit: LIMIT,
        once: false,
    }
}

#[cfg(test)]
#[path = "copies_tests.rs"]
mod tests;
