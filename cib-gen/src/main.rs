//! The command: reads vars.yml, asks EC2 where it must, and prints a rendering, changes the cluster or
//! simulates it.

mod apply_on_node;
mod disk;
mod lookup;
mod run_apply;
mod tools;

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, error::ErrorKind};

use cib_gen::apply::Plan;
use cib_gen::cli::{
    Cli, Command, Ec2EnlargeArgs, Ec2RestoreArgs, Ec2ServersArgs, Ec2SnapshotArgs, Format,
    SimulateArgs, SiteArgs,
};
use cib_gen::nodes::Known;
use cib_gen::simulate;
use cib_gen::vars::MOST_BYTES;
use cib_gen::{Cluster, Mistakes, Site, Vars, render};

/// The exit status when something does not recover, would change, or was not changed.
const DIFFERENT: u8 = 3;

/// Why nothing was printed, or why the cluster is not as vars.yml says.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Mistakes(#[from] Mistakes),
    #[error("error: could not read {name}: {error}\n")]
    Read { name: String, error: io::Error },
    #[error("error: {0}\n")]
    LookUp(#[from] lookup::Error),
    #[error("error: {0}\n")]
    Tool(#[from] tools::Error),
    #[error("error: the CIB of {name} cannot be used: {error}\n")]
    NoCib {
        name: String,
        error: cib_gen::xml::Error,
    },
    /// What the cluster answered later cannot be read.
    #[error("error: the CIB of the running cluster cannot be used: {0}\n")]
    LiveCib(#[from] cib_gen::xml::Error),
    /// Somebody else changed the configuration, and it was left as it is.
    #[error(
        "error: somebody else has changed the configuration meanwhile. It was not overwritten\n  help: run \
         apply again\n"
    )]
    ChangedMeanwhile,
    /// The change is made as far as it says, and not to its end.
    #[error("error: {0}\n")]
    Unfinished(String),
    #[error("error: could not write to standard output: {0}\n")]
    Write(io::Error),
}

fn main() -> ExitCode {
    // Before any thread: the AWS SDK looks for the operator's files below HOME.
    ec2::prepare_environment();
    run(Cli::parse()).unwrap_or_else(|failure| {
        say(failure.to_string().trim_end());
        match failure {
            Failure::Mistakes(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    })
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match (cli.command, cli.site) {
        (Some(Command::Apply(args)), _) => run_apply::apply(&args),
        (Some(Command::Simulate(args)), _) => simulate(&args),
        (Some(Command::Ec2Facts(args)), _) => ec2_facts(&args),
        (Some(Command::Ec2Servers(args)), _) => ec2_servers(&args),
        (Some(Command::Ec2Enlarge(args)), _) => ec2_enlarge(&args),
        (Some(Command::Ec2Snapshot(args)), _) => ec2_snapshot(&args),
        (Some(Command::Ec2Restore(args)), _) => ec2_restore(&args),
        (None, Some(args)) => print(&args, cli.format),
        (None, None) => Cli::command()
            .error(ErrorKind::MissingRequiredArgument, "VARS_FILE is missing")
            .exit(),
    }
}

fn print(args: &SiteArgs, format: Format) -> Result<ExitCode, Failure> {
    let site = site(args, format)?;
    let cluster = Cluster::of(&site);
    let rendering = render::render(&site, &cluster, format)?;
    warn(&cluster);
    write(&rendering)?;
    Ok(ExitCode::SUCCESS)
}

fn ec2_facts(args: &SiteArgs) -> Result<ExitCode, Failure> {
    let (vars, mut known) = vars(args)?;
    let facts = lookup::ec2_facts(&mut known, &vars, args.profile.as_deref())?;
    print_json(&facts)
}

fn ec2_servers(args: &Ec2ServersArgs) -> Result<ExitCode, Failure> {
    let (vars, known) = vars(&args.site)?;
    let profile = args.site.profile.as_deref();
    print_json(&lookup::ec2_servers(&known, &vars, profile, &args.servers)?)
}

fn ec2_enlarge(args: &Ec2EnlargeArgs) -> Result<ExitCode, Failure> {
    let (vars, known) = vars(&args.site)?;
    let profile = args.site.profile.as_deref();
    print_json(&lookup::enlarge_volume(&known, &vars, profile, args.gib)?)
}

fn ec2_snapshot(args: &Ec2SnapshotArgs) -> Result<ExitCode, Failure> {
    let (vars, known) = vars(&args.site)?;
    match args.dry_run {
        true => print_json(&lookup::may_keep_volume(&known, &vars, args)?),
        false => print_json(&lookup::keep_volume(&known, &vars, args)?),
    }
}

fn ec2_restore(args: &Ec2RestoreArgs) -> Result<ExitCode, Failure> {
    let (vars, known) = vars(&args.site)?;
    print_json(&lookup::restore_volume(&known, &vars, args)?)
}

fn print_json(value: &impl serde::Serialize) -> Result<ExitCode, Failure> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Failure::Write(error.into()))?;
    write(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Where a CIB comes from, and the CIB: of a file, or of the cluster that runs on this node.
fn cib_of(file: Option<&Path>) -> Result<(String, String), Failure> {
    let Some(file) = file else {
        return Ok(("the running cluster".to_owned(), tools::query_cib()?));
    };
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(cib) => Ok((name, cib)),
        Err(error) => Err(Failure::Read { name, error }),
    }
}

fn simulate(args: &SimulateArgs) -> Result<ExitCode, Failure> {
    // Nothing is printed that configures a cluster, as with the model itself.
    let cluster = Cluster::of(&site(&args.site, Format::Json)?);
    let merged = match args.cib.as_deref() {
        None => None,
        Some(file) => {
            let (name, cib) = cib_of(Some(file).filter(|file| *file != Path::new("live")))?;
            let plan = Plan::of(&cluster, &cib).map_err(|error| Failure::NoCib { name, error })?;
            if !plan.refusals.is_empty() {
                write(&plan.text(None))?;
                return Ok(ExitCode::from(DIFFERENT));
            }
            Some(plan.new)
        }
    };
    let report = simulate::simulate(&cluster, merged.as_ref(), &tools::Tools::new()?)?;
    warn(&cluster);
    write(&report.text(args.verbose))?;
    let is_faultless = report.faults().next().is_none();
    Ok(ExitCode::from(if is_faultless { 0 } else { DIFFERENT }))
}

/// What a rendering says in its comments, where nobody reads them: its reader may be a shell.
fn warn(cluster: &Cluster) {
    for warning in &cluster.warnings {
        say(warning);
    }
}

/// Says something on standard error. A terminal that is gone must not end a change in the middle.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    let written = stdout.write_all(text.as_bytes());
    written
        .and_then(|()| stdout.flush())
        .map_err(Failure::Write)
}

/// A vars.yml, and what the options say beside it.
fn vars(args: &SiteArgs) -> Result<(Vars, Known), Failure> {
    let (name, bytes) = read(&args.vars_file)?;
    let known = Known {
        given: args.nodes.clone(),
        region: args.region.clone(),
        ..Known::default()
    };
    Ok((Vars::parse(&name, &bytes)?, known))
}

/// The site that a vars.yml and the options describe. Some renderings need to know more of it.
fn site(args: &SiteArgs, format: Format) -> Result<Site, Failure> {
    let (vars, mut known) = vars(args)?;
    known.disk = disk::look_at(&known, &vars);
    let profile = args.profile.as_deref();
    let warnings = match args.offline {
        false => lookup::look_up(&mut known, &vars, profile, format)?,
        true => Vec::new(),
    };
    let site = vars.resolve(&known)?;
    for warning in warnings {
        say(&warning);
    }
    Ok(site)
}

/// The name and the bytes of a file. What is too long to be one is not read to its end.
fn read(file: &Path) -> Result<(String, Vec<u8>), Failure> {
    let most = MOST_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let (name, file): (_, io::Result<Box<dyn Read>>) = match file == Path::new("-") {
        true => ("<stdin>".to_owned(), Ok(Box::new(io::stdin()))),
        false => {
            let opened = std::fs::File::open(file);
            (
                file.display().to_string(),
                opened.map(|file| Box::new(file) as _),
            )
        }
    };
    match file.and_then(|file| file.take(most).read_to_end(&mut bytes)) {
        Ok(_) => Ok((name, bytes)),
        Err(error) => Err(Failure::Read { name, error }),
    }
}
