//! `cib-gen apply`: asks the cluster, has the change judged, says what it is, and makes it. Everything that
//! changes something is in [`make`] and below it, which a dry run does not reach.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use cib_gen::apply::agents::{self, Question};
use cib_gen::apply::guard::{self, Judgement};
use cib_gen::apply::{Plan, Takeover, commands, end, watchdog};
use cib_gen::cli::{ApplyArgs, Format};
use cib_gen::cluster::Cluster;
use cib_gen::scheduler::Scheduler;
use cib_gen::xml::Element;
use nix::sys::signal::{SigSet, Signal};

use crate::apply_on_node::{self, OnNode, fit_watchdog};
use crate::tools::{self, Answer, Tools};
use crate::{DIFFERENT, Failure, cib_of, say, site, warn, write};

/// How often a patch is made again because the cluster's status has changed.
const MAX_PATCHES: u32 = 20;

const CONFIGURATION: &str = "configuration";

/// What ends the maintenance mode of a cluster.
const END_MAINTENANCE: &str = "sudo pcs property set maintenance-mode=";

/// A change as the user is told of it.
#[derive(Debug)]
struct Change<'a> {
    plan: Plan,
    judgement: Judgement,
    on_node: OnNode<'a>,
    refused: bool,
    text: String,
}

pub(crate) fn apply(args: &ApplyArgs) -> Result<ExitCode, Failure> {
    let site = site(&args.site, Format::Pcs)?;
    let cluster = Cluster::of(&site);
    let image = site.pbx.image.to_string();
    let tools = Tools::new()?;
    let mut change = look(args, &cluster, &image, &tools)?;
    warn(&cluster);
    loop {
        write(&change.text)?;
        let Change {
            plan, judgement, ..
        } = &change;
        if !change.refused && plan.is_empty() && change.on_node.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let needs_a_yes = judgement.disturbs()
            || plan.takeover.is_some()
            || !plan.less_fencing.is_empty()
            || change.on_node.disturbs();
        let asks = needs_a_yes && !args.yes;
        if args.dry_run || change.refused {
            say("nothing was changed");
            return Ok(ExitCode::from(DIFFERENT));
        }
        if asks && !is_confirmed() {
            return Ok(ExitCode::from(DIFFERENT));
        }
        if !asks {
            break;
        }
        // The user may have read for an hour, and the PBX may run elsewhere by now.
        let now = look(args, &cluster, &image, &tools)?;
        let is_as_shown = now.text == change.text;
        change = now;
        if is_as_shown {
            break;
        }
        say("the cluster has changed since the question. Now:\n");
    }
    make(&tools, &change)?;
    Ok(ExitCode::SUCCESS)
}

/// Compares the cluster with what vars.yml asks for, and has the change judged.
fn look<'a>(
    args: &ApplyArgs,
    cluster: &'a Cluster,
    image: &str,
    tools: &Tools,
) -> Result<Change<'a>, Failure> {
    let (name, cib) = cib_of(args.cib.as_deref())?;
    let no_cib = |error| Failure::NoCib {
        name: name.clone(),
        error,
    };
    let mut plan = Plan::of(cluster, &cib).map_err(no_cib)?;
    let mut fitted = cluster.clone();
    let mut on_node = OnNode::default();
    // With CIB_file, Pacemaker's tools take a file for the cluster, which need not be this node's.
    let of_a_file = args.cib.is_some() || std::env::var_os("CIB_file").is_some();
    if of_a_file {
        plan.notes.extend(watchdog::not_asked(cluster, &plan.old));
    } else if plan.refusals.is_empty() {
        let fits = fit_watchdog(&mut fitted, &plan.old)?;
        plan = Plan::of(&fitted, &cib).map_err(no_cib)?;
        match fits {
            Ok(notes) => plan.notes.extend(notes),
            Err(refusal) => plan.refusals.push(refusal),
        }
        if plan.refusals.is_empty() {
            on_node = apply_on_node::on_node(cluster, tools)?;
        }
    }
    let mut judgement = Judgement::default();
    let mut refusals = plan.refusals.clone();
    if refusals.is_empty() {
        judgement = guard::judge(tools, &fitted, &plan)?;
        refusals.append(&mut judgement.faults);
        refusals.extend(not_accepted(tools, &plan)?);
    }
    if of_a_file {
        plan.notes.extend(agents::not_asked(&plan.questions()));
    } else if refusals.is_empty() {
        refusals = ask_agents(&mut plan)?;
        plan.notes.extend(other_image(image));
    }
    let refused = refusals.iter().map(|why| format!("refused: {why}\n"));
    let mut text: String = refused.collect();
    if refusals.is_empty() {
        text = plan.text(judgement.transitions.as_ref());
        if plan.is_empty() && !on_node.changes.is_empty() {
            text = text.replacen("nothing would change\n", "", 1);
        }
        let changes = on_node.changes.iter().map(|change| format!("{change}\n"));
        let notes = on_node.notes.iter().map(|note| format!("\nnote: {note}\n"));
        text = changes.chain([text]).chain(notes).collect();
    }
    Ok(Change {
        plan,
        judgement,
        on_node,
        refused: !refusals.is_empty(),
        text,
    })
}

/// What our agents on this node have against the change. What is left to do is noted.
fn ask_agents(plan: &mut Plan) -> Result<Vec<String>, Failure> {
    let mut refusals = Vec::new();
    for question in plan.questions() {
        let Question {
            resource, agent, ..
        } = &question;
        match tools::ask_agent(&question.command)? {
            Answer::CouldRun => plan.notes.extend(question.of_other_nodes()),
            Answer::NotAsked(said) => plan.notes.push(format!(
                "{resource}: {agent} was not asked whether it could run so: {said}"
            )),
            Answer::Refuses(said) => {
                let node = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
                refusals.push(format!(
                    "{resource} would not run with these parameters: {agent} says on this node, {}:\n    {said}\n  \
                     help: mend that, or the value in vars.yml, and run apply again",
                    node.trim()
                ));
            }
        }
    }
    Ok(refusals)
}

/// The note where vars.yml names another image than this node's containers have. Without an answer of Docker there is
/// none: the image is not what apply is for.
fn other_image(wanted: &str) -> Option<String> {
    let made_from = tools::run(&commands::image_of_containers()).ok()?;
    let made_from = made_from.trim();
    (!made_from.is_empty() && made_from != wanted).then(|| {
        format!(
            "pbx_image is {wanted}, and the containers of this node were made from {made_from}. apply changes no \
             image: it is not part of the cluster\n  help: README.md, \"Changing the address, the image or the data path\""
        )
    })
}

/// What crm_verify says of the new configuration, and does not say of the old one.
fn not_accepted(tools: &Tools, plan: &Plan) -> Result<Option<String>, Failure> {
    let mut new = tools.complaints(&commands::without_nodes(&plan.new))?;
    if !new.is_empty() {
        let old = tools.complaints(&commands::without_nodes(&plan.old))?;
        new.retain(|line| !old.contains(line));
    }
    let lines = new.join("\n    ");
    Ok((!new.is_empty())
        .then(|| format!("crm_verify does not accept the new configuration:\n    {lines}")))
}

/// Asks the user.
fn is_confirmed() -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        say(
            "not changed: the change restarts something, takes over the cluster, takes away from fencing or changes DRBD, and \
             there is no terminal to ask\n  help: --yes",
        );
        return false;
    }
    let _ = write!(io::stderr(), "Go on? [y/N] ");
    let mut answer = String::new();
    // A terminal that is gone says nothing, and that is no yes.
    let _ = io::stdin().read_line(&mut answer);
    let yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        say("not changed");
    }
    yes
}

/// Makes the change. A terminal that is closed, or Ctrl-C, does not end it in the middle: each step has a limit
/// of time, and SIGTERM ends it.
fn make(tools: &Tools, change: &Change<'_>) -> Result<(), Failure> {
    let held = SigSet::from_iter([Signal::SIGHUP, Signal::SIGINT]);
    held.thread_block()
        .map_err(|error| Failure::Unfinished(format!("could not hold back signals: {error}")))?;
    let plan = &change.plan;
    change.on_node.make()?;
    match &plan.takeover {
        Some(takeover) => take_over(tools, plan, takeover, &change.judgement)?,
        // Only files of this node change.
        None if plan.changes.is_empty() => {}
        None => push(tools, &plan.old, plan.new.need(CONFIGURATION)?)?,
    }
    if plan.in_users_maintenance {
        say(&format!(
            "the cluster is still in maintenance mode, as it was before: Pacemaker starts, stops and monitors \
             nothing\n  help: to end it: {END_MAINTENANCE}"
        ));
    }
    say("done");
    Ok(())
}

/// Pushes a configuration as a patch, unless the configuration is another one by now. Where the answer to a
/// patch was lost, the cluster may have the configuration already.
fn push(tools: &Tools, planned: &Element, wanted: &Element) -> Result<(), Failure> {
    let mut refused = None;
    for _ in 0..MAX_PATCHES {
        let text = tools::query_cib().map_err(|error| match &refused {
            None => Failure::from(error),
            Some(refused) => Failure::Unfinished(format!(
                "it is not known whether the configuration was changed: {refused}\n    {error}\n  help: run \
                 apply again"
            )),
        })?;
        let live = Element::parse_as(&text, "cib")?;
        if is_same(live.need(CONFIGURATION)?, wanted) {
            return Ok(());
        }
        if commands::version(&live) != commands::version(planned) {
            return Err(Failure::ChangedMeanwhile);
        }
        let old = tools.write("old", &text)?;
        let new = tools.write("new", &commands::next(&live, wanted).to_string())?;
        match tools::run(&commands::patch(&tools.difference(&old, &new)?)) {
            Ok(_) => return Ok(()),
            Err(error) if tools::query_cib().is_ok_and(|now| now == text) => {
                return Err(error.into());
            }
            // The status has changed, or the configuration: look again.
            Err(error) => refused = Some(error),
        }
    }
    Err(Failure::Unfinished(format!(
        "the cluster's status changed {MAX_PATCHES} times while the configuration was changed. The configuration \
         was not changed\n  help: wait until `sudo pcs status` shows nothing that starts or stops, and run apply \
         again"
    )))
}

/// Whether two configurations are the same, but for the order of attributes.
fn is_same(one: &Element, other: &Element) -> bool {
    let [one, other] = [one, other].map(|element| {
        let mut element = element.clone();
        element.each(&mut |element| element.attributes.sort());
        element
    });
    one == other
}

/// Changes everything in maintenance mode, has what changed probed, and ends maintenance if the scheduler then
/// does no more than was said.
fn take_over(
    tools: &Tools,
    plan: &Plan,
    takeover: &Takeover,
    judgement: &Judgement,
) -> Result<(), Failure> {
    say(
        "now the cluster goes into maintenance mode: what runs goes on running, and nothing watches it\n  help: if \
         this is interrupted, run apply again. The takeover then goes on",
    );
    let begun = takeover.begin(plan.new.need(CONFIGURATION)?);
    push(tools, &plan.old, &begun)?;
    say(&format!(
        "changed, in maintenance mode. Probing anew: {}",
        takeover.probed.join(", ")
    ));
    end_takeover(tools, takeover, judgement).map_err(|failure| {
        let why = failure.to_string();
        let why = why.trim_start_matches("error: ").trim_end();
        Failure::Unfinished(format!(
            "the cluster stays in maintenance mode, and goes on running what it ran:\n    {why}\n  help: what a \
             probe says: sudo crm_resource --resource ID --force-check   on the node where it runs\n  help: run \
             apply again to probe again and end the takeover\n  help: to end the maintenance as it is: \
             {END_MAINTENANCE}"
        ))
    })
}

fn end_takeover(tools: &Tools, takeover: &Takeover, judgement: &Judgement) -> Result<(), Failure> {
    let probed = takeover.probed.iter().map(|id| commands::probe_anew(id));
    for command in probed.chain([commands::settle()]) {
        tools::run(&command)?;
    }
    let live = Element::parse_as(&tools::query_cib()?, "cib")?;
    let after = tools.ask(&guard::as_managed(&live).to_string(), &[])?;
    let unexpected = judgement.unexpected(&after);
    if !unexpected.is_empty() {
        return Err(Failure::Unfinished(unexpected.join("\n    ")));
    }
    push(tools, &live, end(&live).need(CONFIGURATION)?)
}
