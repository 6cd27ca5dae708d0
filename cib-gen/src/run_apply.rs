//! `cib-gen apply`: asks the cluster, has the change judged, says what it is, and makes it. Everything that
//! changes something is in [`make`] and below it, which a dry run does not reach.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use cib_gen::apply::guard::{self, Judgement};
use cib_gen::apply::{Plan, Takeover, commands, watchdog};
use cib_gen::cli::{ApplyArgs, Format};
use cib_gen::cluster::Cluster;
use cib_gen::scheduler::Scheduler;
use cib_gen::xml::Element;

use crate::apply_on_node::{OnNode, fit_watchdog, on_node};
use crate::tools::{self, Tools};
use crate::{DIFFERENT, Failure, cib_of, site, warn, write};

/// How often a patch is made again because the cluster's status has changed.
const MAX_PATCHES: u32 = 20;

pub(crate) fn apply(args: &ApplyArgs) -> Result<ExitCode, Failure> {
    let mut cluster = Cluster::of(&site(&args.site, Format::Pcs)?);
    let (name, cib) = cib_of(args.cib.as_deref())?;
    warn(&cluster);
    // With CIB_file, Pacemaker's tools take a file for the cluster, which need not be this node's.
    let here = args.cib.is_none() && std::env::var_os("CIB_file").is_none();
    let no_cib = |error| Failure::NoCib {
        name: name.clone(),
        error,
    };
    let mut plan = Plan::of(&cluster, &cib).map_err(no_cib)?;
    if here && plan.refusals.is_empty() {
        let fits = fit_watchdog(&mut cluster, &plan.old)?;
        plan = Plan::of(&cluster, &cib).map_err(no_cib)?;
        match fits {
            Ok(note) => plan.notes.extend(note),
            Err(refusal) => plan.refusals.push(refusal),
        }
    } else {
        plan.notes.extend(watchdog::not_asked(&cluster, &plan.old));
    }
    if !plan.refusals.is_empty() {
        write(&plan.text(None))?;
        return Ok(ExitCode::from(DIFFERENT));
    }
    let tools = Tools::new()?;
    let mut on_node = match here {
        true => on_node(&cluster, &tools)?,
        false => OnNode::default(),
    };
    let judgement = guard::judge(&tools, &cluster, &plan)?;
    let mut refused = judgement.faults.clone();
    refused.extend(not_accepted(&tools, &plan)?);
    if !refused.is_empty() {
        let lines: Vec<String> = refused
            .iter()
            .map(|fault| format!("refused: {fault}\n"))
            .collect();
        write(&lines.concat())?;
        return Ok(ExitCode::from(DIFFERENT));
    }
    let mut text = plan.text(
        judgement
            .transitions
            .as_ref()
            .map(|(without, with)| (without, with)),
    );
    if !on_node.changes.is_empty() {
        if plan.is_empty() {
            text = text.replacen("nothing would change\n", "", 1);
        }
        let lines: Vec<String> = on_node
            .changes
            .drain(..)
            .map(|change| format!("{change}\n"))
            .collect();
        text = lines.concat() + &text;
    }
    let notes: Vec<String> = on_node
        .notes
        .iter()
        .map(|note| format!("\nnote: {note}\n"))
        .collect();
    write(&(text + &notes.concat()))?;
    if plan.is_empty() && on_node.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let disturbs = judgement.disturbs() || plan.takeover.is_some() || on_node.disturbs();
    if args.dry_run || !is_confirmed(args, disturbs)? {
        return Ok(ExitCode::from(DIFFERENT));
    }
    make(&tools, &plan, &judgement, &on_node)?;
    Ok(ExitCode::SUCCESS)
}

/// What crm_verify says of the new configuration, and does not say of the old one.
fn not_accepted(tools: &Tools, plan: &Plan) -> Result<Option<String>, Failure> {
    if plan.is_empty() {
        return Ok(None);
    }
    let new = tools.complaints(&commands::without_nodes(&plan.new))?;
    if new.is_empty() {
        return Ok(None);
    }
    let old = tools.complaints(&commands::without_nodes(&plan.old))?;
    let new: Vec<String> = new.into_iter().filter(|line| !old.contains(line)).collect();
    Ok((!new.is_empty()).then(|| {
        format!(
            "crm_verify does not accept the new configuration:\n    {}",
            new.join("\n    ")
        )
    }))
}

/// Whether the change may be made: nothing restarts, or the user has agreed.
fn is_confirmed(args: &ApplyArgs, disturbs: bool) -> Result<bool, Failure> {
    if args.yes || !disturbs {
        return Ok(true);
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        eprintln!(
            "not changed: this restarts or takes over something, or changes DRBD, and there is no terminal to ask\n  help: --yes"
        );
        return Ok(false);
    }
    eprint!("Go on? [y/N] ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::Read {
            name: "<stdin>".to_owned(),
            error,
        })?;
    let yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        eprintln!("not changed");
    }
    Ok(yes)
}

/// Makes the change.
fn make(
    tools: &Tools,
    plan: &Plan,
    judgement: &Judgement,
    on_node: &OnNode<'_>,
) -> Result<(), Failure> {
    on_node.make()?;
    match &plan.takeover {
        Some(takeover) => take_over(tools, plan, takeover, judgement)?,
        None if plan.changes.is_empty() => return Ok(()),
        None => push(tools, &plan.old, configuration(&plan.new)?)?,
    }
    eprintln!("done");
    Ok(())
}

fn configuration(cib: &Element) -> Result<&Element, Failure> {
    cib.need("configuration").map_err(|error| Failure::NoCib {
        name: "the running cluster".to_owned(),
        error,
    })
}

/// Pushes a configuration as a patch, unless the configuration is another one by now.
fn push(tools: &Tools, planned: &Element, configuration: &Element) -> Result<(), Failure> {
    for _ in 0..MAX_PATCHES {
        let text = tools::query_cib()?;
        let live = parse(&text)?;
        if commands::version(&live) != commands::version(planned) {
            return Err(Failure::ChangedMeanwhile);
        }
        let old = tools.write("old", &text)?;
        let new = tools.write("new", &commands::next(&live, configuration).to_string())?;
        match tools::run(&commands::patch(&tools.difference(&old, &new)?)) {
            Ok(_) => return Ok(()),
            Err(error) if tools::query_cib()? == text => return Err(error.into()),
            // The status has changed, or the configuration: look again.
            Err(_) => {}
        }
    }
    Err(Failure::Unfinished(format!(
        "the cluster's status changed {MAX_PATCHES} times while the change was made. Nothing was changed\n  \
         help: wait until `sudo pcs status` shows nothing that starts or stops, and run apply again"
    )))
}

fn parse(cib: &str) -> Result<Element, Failure> {
    Element::parse_as(cib, "cib").map_err(|error| Failure::NoCib {
        name: "the running cluster".to_owned(),
        error,
    })
}

/// Changes everything in maintenance mode, has what changed probed, and ends maintenance if the scheduler then
/// does no more than was said.
fn take_over(
    tools: &Tools,
    plan: &Plan,
    takeover: &Takeover,
    judgement: &Judgement,
) -> Result<(), Failure> {
    push(tools, &plan.old, &takeover.begin(configuration(&plan.new)?))?;
    eprintln!(
        "changed, in maintenance mode. Probing anew: {}",
        takeover.probed.join(", ")
    );
    let probed = takeover.probed.iter().map(|id| commands::probe_anew(id));
    for command in probed.chain([commands::settle()]) {
        tools::run(&command).map_err(|error| stays_in_maintenance(&[error.to_string()]))?;
    }
    let live = parse(&tools::query_cib()?)?;
    let after = tools.ask(&takeover.end(&live).to_string(), &[])?;
    let unexpected = judgement.unexpected(&after);
    if !unexpected.is_empty() {
        return Err(stays_in_maintenance(&unexpected));
    }
    push(tools, &live, &takeover.end(configuration(&live)?))
}

fn stays_in_maintenance(why: &[String]) -> Failure {
    Failure::Unfinished(format!(
        "the cluster stays in maintenance mode, and goes on running what it ran:\n    {}\n  help: what a probe \
         says: sudo crm_resource --resource ID --force-check   on the node where it runs\n  help: run apply \
         again to probe again and end the maintenance\n  help: to end the maintenance as it is: sudo pcs property \
         set maintenance-mode=",
        why.join("\n    ")
    ))
}
