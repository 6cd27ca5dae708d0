//! `cib-gen apply`: asks the cluster, has the change judged, says what it is, and makes it. Everything that
//! changes something is in [`make`] and below it, which a dry run does not reach.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use cib_gen::apply::guard::{self, Judgement};
use cib_gen::apply::node_files::{self, DrbdFile};
use cib_gen::apply::{Plan, Takeover, commands};
use cib_gen::cli::{ApplyArgs, Format};
use cib_gen::cluster::{Cluster, Setting, notes};
use cib_gen::scheduler::Scheduler;
use cib_gen::xml::Element;

use crate::tools::{self, Tools};
use crate::{DIFFERENT, Failure, cib_of, site, warn, write};

/// How often a patch is made again because the cluster's status has changed.
const MAX_PATCHES: u32 = 20;
const COROSYNC_CONF: &str = "/etc/corosync/corosync.conf";

/// What differs on this node, beside the CIB.
#[derive(Debug, Default)]
struct OnNode<'a> {
    changes: Vec<String>,
    notes: Vec<String>,
    totem: Vec<&'a Setting>,
    /// The DRBD resource file and its new content.
    drbd: Option<(String, String)>,
}

pub(crate) fn apply(args: &ApplyArgs) -> Result<ExitCode, Failure> {
    let cluster = Cluster::of(&site(&args.site, Format::Pcs)?);
    let (name, cib) = cib_of(args.cib.as_deref())?;
    warn(&cluster);
    let plan = Plan::of(&cluster, &cib).map_err(|error| Failure::NoCib { name, error })?;
    // With CIB_file, Pacemaker's tools take a file for the cluster, which need not be this node's.
    let mut on_node = match args.cib.is_some() || std::env::var_os("CIB_file").is_some() {
        false => on_node(&cluster)?,
        true => OnNode::default(),
    };
    if !plan.refusals.is_empty() {
        write(&plan.text(None))?;
        return Ok(ExitCode::from(DIFFERENT));
    }
    let tools = Tools::new()?;
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
    if plan.is_empty() && on_node.totem.is_empty() && on_node.drbd.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    if args.dry_run || !is_confirmed(args, &plan, &judgement)? {
        return Ok(ExitCode::from(DIFFERENT));
    }
    make(&tools, &plan, &judgement, &on_node)?;
    Ok(ExitCode::SUCCESS)
}

/// What differs in the files of this node.
fn on_node(cluster: &Cluster) -> Result<OnNode<'_>, Failure> {
    let mut found = OnNode::default();
    if let Some(conf) = read_if_there(COROSYNC_CONF)? {
        let corosync = node_files::corosync(cluster, &conf);
        found.changes.extend(corosync.changes);
        found.notes.extend(corosync.notes);
        found.totem = corosync.totem;
    }
    if let Some(drbd) = &cluster.drbd {
        let path = format!("/etc/drbd.d/{}.res", drbd.name);
        match read_if_there(&path)?.map(|file| node_files::drbd(drbd, &cluster.warnings, &file)) {
            None | Some(DrbdFile::Same) => {}
            Some(DrbdFile::Options { wanted, changes }) => {
                found.changes.extend(changes.iter().map(|change| format!("{path}: {change}")));
                found.notes.push(format!("apply writes {path} on this node alone. {}", notes::DRBD_FILE));
                found.drbd = Some((path, wanted));
            }
            Some(DrbdFile::OtherStorage(differences)) => found.notes.push(format!(
                "{path} names other storage or peers than vars.yml, so it is left as it is:\n    {}\n  help: \
                 if what the file says is right, compare its options with: cib-gen --format drbd vars.yml",
                differences.join("\n    ")
            )),
        }
    }
    Ok(found)
}

fn read_if_there(path: &str) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::Read {
            name: path.to_owned(),
            error,
        }),
    }
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
fn is_confirmed(args: &ApplyArgs, plan: &Plan, judgement: &Judgement) -> Result<bool, Failure> {
    if args.yes || !judgement.disturbs() && plan.takeover.is_none() {
        return Ok(true);
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        eprintln!(
            "not changed: this restarts or takes over something, and there is no terminal to ask\n  help: --yes"
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
    if !on_node.totem.is_empty() {
        tools::run(&commands::update_totem(&on_node.totem))?;
        eprintln!("changed: corosync.conf, on every node");
    }
    if let Some((path, content)) = &on_node.drbd {
        write_drbd_file(Path::new(path), content)?;
        eprintln!("changed: {path}, on this node alone. See the note above for the others");
    }
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
            Ok(()) => return Ok(()),
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

/// Writes the file in one step and has DRBD follow it. If DRBD refuses, the old file is written again.
fn write_drbd_file(path: &Path, content: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::Unfinished(format!("could not write {}: {error}", path.display()))
    };
    let old = fs::read_to_string(path).map_err(failed)?;
    replace(path, content).map_err(failed)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if let Err(error) = tools::run(&commands::adjust(&name)) {
        replace(path, &old).map_err(failed)?;
        return Err(Failure::Unfinished(format!(
            "DRBD does not accept the new {}, and the old file was written again. Nothing else was changed: {error}",
            path.display()
        )));
    }
    Ok(())
}

fn replace(path: &Path, content: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let permissions = fs::metadata(path)?.permissions();
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content.as_bytes())?;
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
