//! `master`: the node where the PBX's resources run.

use super::gather::{Ask, gather};
use crate::cli::ShowArgs;
use crate::cluster::State;
use crate::exit::{Exit, Failure};
use crate::output::{print, print_json, say};

/// Prints the node's name.
///
/// # Errors
/// No node could be reached, or no node is the master.
pub(super) async fn master(args: &ShowArgs) -> Result<Exit, Failure> {
    let fleet = super::fleet(&args.site)?;
    let gathered = gather(&fleet, Ask::State).await?;
    let master = gathered.state.master();
    if args.json {
        print_json(&serde_json::json!({ "master": master }))?;
        return Ok(if master.is_some() {
            Exit::Done
        } else {
            Exit::Failed
        });
    }
    let Some(master) = master else {
        return Err(none(&gathered.state));
    };
    print(&format!("{master}\n"))?;
    if gathered.state.is_away(master) {
        say(&format!(
            "warning: {master} is lost, and that is where the PBX ran last. Another node takes over when it is fenced\n  \
             help: ha-ctl show"
        ));
        return Ok(Exit::Incomplete);
    }
    Ok(Exit::Done)
}

fn none(state: &State) -> Failure {
    let single = state
        .resources
        .iter()
        .filter(|it| !it.is_fencing() && it.clone.is_none());
    let each = single.map(|it| match it.nodes[..] {
        [] => format!("  {}: {}", it.id, it.role),
        _ => format!("  {}: {} {}", it.id, it.role, it.nodes.join(", ")),
    });
    let each: Vec<String> = each.collect();
    Failure::failed(format!(
        "no node is the master now: the resources do not run on one node\n{}\n  help: ha-ctl show   says why",
        each.join("\n")
    ))
}
