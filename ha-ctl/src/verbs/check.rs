//! `check`: what would make a deployment or the next failover fail, and what mends it.

mod mend;
mod text;

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use serde::Serialize;

use super::of_vars::OfVars;
use super::running;
use super::signals::Signals;
use crate::check::{
    Finding, Inspection, Passage, Selection, Site, ask_ec2, findings, inspect, passages, probe,
};
use crate::cli::CheckArgs;
use crate::cluster::Level;
use crate::exit::{Exit, Failure};
use crate::inventory::Machine;
use crate::log;
use crate::output::{Progress, print, print_json};
use crate::reach::{Answer, CONNECT, Cause, Command, Fleet, Missing, Node, TIMED_OUT};
use crate::run::Run;
use mend::mend;
use text::text;

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
    let inventory = match super::inventory(&args.site) {
        Ok(inventory) => inventory,
        // Before the deployment, EC2 alone knows how the nodes are called.
        Err(failure) => {
            let asked = super::deploy::site(&args.site, None).await;
            asked
                .map(|(inventory, ..)| inventory)
                .map_err(|_| failure)?
        }
    };
    let fleet = super::fleet_of(&inventory, &args.site)?;
    let of_vars = OfVars::of(&inventory)?;
    let names = inventory.machines.iter().map(|it| it.name.clone());
    let mut checking = Checking {
        fleet: &fleet,
        site: of_vars.site(&inventory.machines),
        vars: of_vars.aws.as_deref().filter(|_| selection.has_any("aws")),
        names: names.collect(),
        selection,
        nodes: Vec::new(),
        inspections: Vec::new(),
        missing: Vec::new(),
    };
    let mut signals = Signals::new();
    let mut found = signals.end_what_looks(checking.first()).await?;
    if args.fix {
        let run = Run::new(args.dry_run);
        mend(
            &checking.nodes,
            &checking.missing,
            &found,
            &run,
            &mut signals,
        )
        .await?;
        if run.is_dry() {
            let (text, exit) = run.plan();
            print(&text)?;
            return Ok(exit);
        }
        found = tokio::select! {
            found = checking.again() => found,
            () = signals.received() => return Err(interrupted()),
        };
    }
    match args.json {
        true => print_json(&checking.as_json(&found))?,
        false => print(&text(
            &found,
            &checking.names,
            checking.inspections.len(),
            &checking.selection,
            &checking.site,
        ))?,
    }
    Ok(exit(&found, &checking.missing))
}

fn interrupted() -> Failure {
    Failure::incomplete(
        "interrupted. What was mended stays\n  help: ha-ctl check   says what is left",
    )
}

/// What is checked, and what was seen.
struct Checking<'a> {
    fleet: &'a Fleet,
    site: Site<'a>,
    /// vars.yml, where EC2 is asked.
    vars: Option<&'a str>,
    names: Vec<String>,
    selection: Selection,
    nodes: Vec<Node>,
    inspections: Vec<Inspection>,
    missing: Vec<Missing>,
}

impl Checking<'_> {
    /// Connects to the nodes and looks at them.
    async fn first(&mut self) -> Result<Vec<Finding>, Failure> {
        let machines = self.fleet.machines().iter();
        let looking = machines.map(|machine| look(self.fleet, machine, &self.site, self.vars));
        for looked in join_all(looking).await {
            match looked {
                Ok((node, inspection)) => {
                    self.nodes.push(node);
                    self.inspections.push(inspection);
                }
                Err(why) => self.missing.push(why),
            }
        }
        Ok(self.findings().await)
    }

    /// Looks at all nodes again. One that is lost meanwhile joins those that are missing.
    async fn again(&mut self) -> Vec<Finding> {
        let looking = self.nodes.iter().map(|node| async {
            let looked = inspection(node, &self.site, self.vars).await;
            looked.map_err(|cause| self.fleet.missing(&node.name, cause))
        });
        let looked = join_all(looking).await;
        self.inspections.clear();
        for it in looked {
            match it {
                Ok(inspection) => self.inspections.push(inspection),
                Err(why) => self.missing.push(why),
            }
        }
        self.findings().await
    }

    async fn findings(&mut self) -> Vec<Finding> {
        if self.selection.has_any("network") {
            listen(&self.nodes, &mut self.inspections, &self.site).await;
        }
        let mut running = running::running(&self.nodes, &self.names).await;
        // Of a node that answers, its links say why the cluster does not see it.
        let is_missing = |name: &String| self.missing.iter().any(|it| it.name == *name);
        running.away.retain(is_missing);
        let site = Site {
            notices: &running.notices,
            away: &running.away,
            ..self.site
        };
        findings(&self.inspections, &self.missing, &site, &self.selection)
    }

    fn as_json<'a>(&'a self, found: &'a [Finding]) -> Checked<'a> {
        let is_missing = |name: &&String| self.missing.iter().any(|it| it.name == **name);
        Checked {
            nodes: self.names.iter().filter(|name| !is_missing(name)).collect(),
            findings: found,
            network: passages(&self.inspections, &self.site),
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
    let progress = Progress::begin(&format!("{}: logging in", machine.name));
    let (node, _) = fleet.connect(machine, CONNECT, &first).await?;
    drop(progress);
    let looked = inspection(&node, site, vars).await;
    let looked = looked.map_err(|cause| fleet.missing(&node.name, cause))?;
    Ok((node, looked))
}

async fn inspection(node: &Node, site: &Site<'_>, vars: Option<&str>) -> Result<Inspection, Cause> {
    let _progress = Progress::begin(&format!("{}: looking at the node", node.name));
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
    let _progress = Progress::begin("the nodes listen to each other");
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

/// Seconds of this machine's clock.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

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
}
