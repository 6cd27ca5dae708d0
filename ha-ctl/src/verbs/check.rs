//! `check`: what would make a deployment or the next failover fail, and what mends it.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use serde::Serialize;

use super::of_vars::OfVars;
use super::running;
use crate::check::{
    CHECKS, Check, Finding, Inspection, Passage, Selection, Site, ask_ec2, findings, inspect,
    passages, probe,
};
use crate::cli::CheckArgs;
use crate::cluster::Level;
use crate::exit::{Exit, Failure};
use crate::inventory::Machine;
use crate::log;
use crate::output::{print, print_json, say};
use crate::reach::{Answer, CONNECT, Cause, Command, Fleet, Missing, Node, TIMED_OUT};
use crate::run::Run;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    nodes: Vec<&'a String>,
    findings: &'a [Finding],
    /// Who gets through to whom.
    network: Vec<Passage>,
}

/// Checks the nodes.
///
/// # Errors
/// A name that no check has, or a mistake in vars.yml.
pub(super) async fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    let selection = Selection::new(&args.only, &args.ignore)?;
    let inventory = super::inventory(&args.site)?;
    let fleet = super::fleet_of(&inventory, &args.site)?;
    let of_vars = OfVars::of(&inventory)?;
    let names: Vec<String> = inventory
        .machines
        .iter()
        .map(|it| it.name.clone())
        .collect();
    let site = of_vars.site(&inventory.machines);
    let vars = of_vars.aws.as_deref().filter(|_| selection.has_any("aws"));
    let mut missing = Vec::new();
    let looking = fleet
        .machines()
        .iter()
        .map(|machine| look(&fleet, machine, &site, vars));
    let (mut nodes, mut inspections) = (Vec::new(), Vec::new());
    for looked in join_all(looking).await {
        match looked {
            Ok((node, inspection)) => {
                nodes.push(node);
                inspections.push(inspection);
            }
            Err(why) => missing.push(why),
        }
    }
    let is_about_network = selection.has_any("network");
    if is_about_network {
        listen(&nodes, &mut inspections, &site).await;
    }
    let notices = running::notices(&nodes, &names).await;
    let with = |notices| Site { notices, ..site };
    let mut found = findings(&inspections, &missing, &with(&notices), &selection);
    if args.fix {
        let run = Run::new(args.dry_run);
        fix(&found, &nodes, &run).await;
        if run.is_dry() {
            let (text, exit) = run.plan();
            print(&text)?;
            return Ok(exit);
        }
        inspections = look_at(&nodes, &fleet, &site, vars, &mut missing).await;
        if is_about_network {
            listen(&nodes, &mut inspections, &site).await;
        }
        let notices = running::notices(&nodes, &names).await;
        found = findings(&inspections, &missing, &with(&notices), &selection);
    }
    match args.json {
        true => print_json(&Checked {
            nodes: names
                .iter()
                .filter(|name| !missing.iter().any(|it| it.name == **name))
                .collect(),
            findings: &found,
            network: passages(&inspections, &site),
        })?,
        false => print(&text(&found, &names, inspections.len(), &selection, &site))?,
    }
    Ok(exit(&found, &missing))
}

/// Mends what can be mended. What cannot is found again afterwards.
async fn fix(found: &[Finding], nodes: &[Node], run: &Run) {
    for it in found.iter().filter(|it| it.fixable) {
        let setting = Check::named(it.name).and_then(|check| check.fix);
        let node = nodes
            .iter()
            .find(|node| it.node.as_ref() == Some(&node.name));
        let (Some(setting), Some(node)) = (setting, node) else {
            continue;
        };
        // The other nodes are done too, and the second look shows what has not become right.
        match run.change(node, &setting.write()).await {
            Ok(_) if run.is_dry() => {}
            Ok(_) => say(&format!(
                "{} on {}: wrote {}",
                it.name, node.name, setting.path
            )),
            Err(failure) => say(&failure.text),
        }
    }
}

/// A node that could not be looked at is worse than what was found on the others.
fn exit(found: &[Finding], missing: &[Missing]) -> Exit {
    let is_problem = found.iter().any(|it| it.level != Level::Note);
    match (missing.is_empty(), is_problem) {
        (false, _) => Exit::NodesMissing,
        (true, true) => Exit::Problems,
        (true, false) => Exit::Done,
    }
}

/// Connects to a node and looks at it. When its clock was read is known only as exactly as that took.
async fn look(
    fleet: &Fleet,
    machine: &Machine,
    site: &Site<'_>,
    vars: Option<&str>,
) -> Result<(Node, Inspection), Missing> {
    let first = Command::look("logging in", ":");
    let (node, _) = fleet.connect(machine, CONNECT, &first).await?;
    let looked = inspection(&node, site, vars).await;
    let looked = looked.map_err(|cause| fleet.missing(&node.name, cause))?;
    Ok((node, looked))
}

async fn inspection(node: &Node, site: &Site<'_>, vars: Option<&str>) -> Result<Inspection, Cause> {
    let asking = async {
        match vars {
            None => Ok(None),
            Some(vars) => node.run(&ask_ec2(vars)).await.map(Some),
        }
    };
    let looking = async {
        let before = now();
        let command = inspect(&node.name, site);
        let answer = node.run(&command).await?;
        log::line(&answer.stdout);
        complete(&node.name, &command, &answer, (before, now()))
    };
    let (looked, asked) = tokio::join!(looking, asking);
    let mut looked: Inspection = looked?;
    if let Some(answer) = asked? {
        log::line(&answer.stdout);
        looked.add_ec2(&answer);
    }
    Ok(looked)
}

/// What the rest would have been of an inspection that was cut short is not known: the node counts as one that was
/// not looked at.
fn complete(
    node: &str,
    command: &Command,
    answer: &Answer,
    between: (f64, f64),
) -> Result<Inspection, Cause> {
    let inspection = Inspection::parse(node, &answer.stdout, between);
    if answer.is_success() && inspection.is_complete() {
        return Ok(inspection);
    }
    let said = match answer.status {
        TIMED_OUT => format!("it did not end within {} s", command.limit.as_secs()),
        _ => format!("it did not come to its end: {}", answer.said()),
    };
    let what = command.what.clone();
    Err(Cause::Lost { what, said })
}

/// Has the nodes listen to each other, all at the same time, and notes when each did so. What a lost connection
/// hides is not found.
async fn listen(nodes: &[Node], inspections: &mut [Inspection], site: &Site<'_>) {
    let listening = nodes.iter().zip(&*inspections).map(|(node, it)| {
        let command = probe(it, inspections, site);
        async move { Some((node.run(&command?).await.ok()?, now())) }
    });
    let heard = join_all(listening).await;
    for (it, heard) in inspections.iter_mut().zip(heard) {
        if let Some((answer, end)) = heard {
            log::line(&answer.stdout);
            it.add_heard(&answer.stdout, end);
        }
    }
}

/// Looks at all nodes again. One that is lost meanwhile joins those that are missing.
async fn look_at(
    nodes: &[Node],
    fleet: &Fleet,
    site: &Site<'_>,
    vars: Option<&str>,
    missing: &mut Vec<Missing>,
) -> Vec<Inspection> {
    let looking = nodes.iter().map(|node| async move {
        let looked = inspection(node, site, vars).await;
        looked.map_err(|cause| fleet.missing(&node.name, cause))
    });
    let looked = join_all(looking).await.into_iter();
    looked
        .filter_map(|it: Result<_, Missing>| it.map_err(|why| missing.push(why)).ok())
        .collect()
}

/// Seconds of this machine's clock.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// The findings, each below the nodes that it is about, then a count.
fn text(
    found: &[Finding],
    nodes: &[String],
    looked: usize,
    selection: &Selection,
    site: &Site,
) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for (about, it) in by_nodes(found, nodes) {
        if about != last {
            text += &format!("{}{about}:\n", if text.is_empty() { "" } else { "\n" });
            last = about;
        }
        text += &format!("  {:<7} {}: {}\n", level(it.level), it.name, it.found);
        text += &format!("          wanted: {}\n", it.wanted);
        if let Some(command) = &it.command {
            text += &format!("          help: {command}\n");
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let checks = CHECKS
        .iter()
        .filter(|check| selection.has(check.name) && site.knows(check.name))
        .count();
    let count = |level| found.iter().filter(|it| it.level == level).count();
    let counts = [
        (Level::Error, "error"),
        (Level::Warning, "warning"),
        (Level::Note, "note"),
    ]
    .map(|(level, word)| (count(level), word));
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, word)| format!("{count} {word}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    let result = if counts.is_empty() {
        "nothing found".to_owned()
    } else {
        counts.join(", ")
    };
    let fixable = found.iter().filter(|it| it.fixable).count();
    if fixable > 0 {
        text += &format!(
            "ha-ctl check --fix mends {fixable} of them
"
        );
    }
    text + &format!(
        "{looked} of {} nodes looked at, {checks} checks: {result}\n",
        nodes.len()
    )
}

/// Each finding once, with the nodes that have it; those of one node first, in the order of the nodes.
fn by_nodes<'a>(found: &'a [Finding], nodes: &[String]) -> Vec<(String, &'a Finding)> {
    let mut merged: Vec<(Vec<usize>, &Finding)> = Vec::new();
    for it in found {
        let number = nodes.iter().position(|name| it.node.as_ref() == Some(name));
        let same = |other: &&mut (Vec<usize>, &Finding)| {
            (other.1.name, &other.1.found, &other.1.command) == (it.name, &it.found, &it.command)
        };
        match merged.iter_mut().find(same) {
            Some((known, _)) => known.extend(number),
            None => merged.push((number.into_iter().collect(), it)),
        }
    }
    // What is about all of them, or about the set, comes last.
    let is_about_all = |numbers: &[usize]| numbers.is_empty() || numbers.len() == nodes.len();
    merged.sort_by_key(|(numbers, _)| match is_about_all(numbers) {
        true => (true, Vec::new()),
        false => (false, numbers.clone()),
    });
    let about = |numbers: &[usize]| match is_about_all(numbers) {
        true => "all nodes".to_owned(),
        false => {
            let names: Vec<&str> = numbers.iter().map(|n| nodes[*n].as_str()).collect();
            names.join(", ")
        }
    };
    merged
        .into_iter()
        .map(|(numbers, it)| (about(&numbers), it))
        .collect()
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::reach::Cause;

    #[test]
    fn what_all_nodes_have_is_printed_once() {
        let nodes = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let finding = |node: &str, found: &str| Finding {
            name: "apt.needrestart",
            level: Level::Warning,
            node: Some(node.to_owned()),
            found: found.to_owned(),
            wanted: String::new(),
            command: None,
            fixable: true,
        };
        let all = ["a", "b", "c"].map(|node| finding(node, "may restart"));
        let found = [&all[..], &[finding("b", "other"), finding("c", "other")]].concat();
        let shown = by_nodes(&found, &nodes);
        let about: Vec<&str> = shown.iter().map(|(about, _)| about.as_str()).collect();
        assert_eq!(about, ["b, c", "all nodes"]);
    }

    #[test]
    fn a_node_whose_inspection_was_cut_short_was_not_looked_at() {
        let command = inspect("n1", &Site::default());
        let printed = include_str!("../../tests/recorded/inspection.txt");
        let answer = |stdout: &str, status| Answer {
            stdout: stdout.to_owned(),
            stderr: String::new(),
            status,
        };
        complete("n1", &command, &answer(printed, 0), (0.0, 0.0)).unwrap();
        let half = printed.split_once("service ").unwrap().0;
        for (answer, said) in [
            (answer(half, TIMED_OUT), "did not end within 40 s"),
            (answer(half, 0), "did not come to its end"),
        ] {
            let cause = complete("n1", &command, &answer, (0.0, 0.0)).unwrap_err();
            assert_eq!(cause.name(), "ssh.reach");
            assert!(cause.found().contains(said), "{}", cause.found());
        }
    }

    #[test]
    fn what_check_prints() {
        let nodes = ["ip-172-31-16-133".to_owned(), "ip-172-31-16-134".to_owned()];
        let printed = include_str!("../../tests/recorded/inspection.txt");
        let inspection = Inspection::parse(&nodes[0], printed, (0.0, 0.0));
        let missing = [Missing {
            name: nodes[1].clone(),
            cause: Cause::NewHostKey,
            by_hand: "ssh ubuntu@172.31.16.134".to_owned(),
        }];
        let site = Site::default();
        let selection =
            Selection::new(&[], &["apt.needrestart".to_owned(), "cluster".to_owned()]).unwrap();
        let found = findings(&[inspection], &missing, &site, &selection);
        insta::assert_snapshot!(text(&found, &nodes, 1, &selection, &site));
        assert_eq!(exit(&found, &missing), Exit::NodesMissing);
        assert_eq!(exit(&found, &[]), Exit::Problems);
        assert_eq!(exit(&[], &[]), Exit::Done);
    }
}
