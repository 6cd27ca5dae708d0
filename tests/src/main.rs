//! `lab`: the command for people. What it does is in the library; here is how it is said.

mod fault;
mod run_demo;
mod status;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use clap::{Parser, Subcommand};
use lab::bench;
use lab::ec2::Principal;
use lab::lab::{Lab, Options};
use lab::progress::{Progress as _, Stderr};
use lab::site::{self, Host, Instance, Site};
use lab::world::Error;
use lab::{daemon, image, netns, paths};

/// Three real machines on this one: EC2 instances with a model of EC2 and a VPC, or machines of a LAN.
#[derive(Parser)]
#[command(name = "lab", version, arg_required_else_help = true)]
struct Args {
    /// Which lab: each name is a lab of its own. [default: $PORTSIP_HA_LAB, or `lab`]
    #[arg(long, global = true)]
    name: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start three nodes; the first time builds their image
    Up {
        /// Three machines of a LAN with kernels of their own and a disk each, instead of EC2 instances
        #[arg(long, conflicts_with_all = ["kernel", "fast"])]
        lan: bool,
        /// The modules of the LAN's kernels: a whole directory of modules, with DRBD 9 in it. [default:
        /// $PORTSIP_HA_DRBD_MODULES, or those of the package user-mode-linux, with DRBD 8.4]
        #[arg(long, value_name = "DIR", requires = "lan")]
        drbd_modules: Option<PathBuf>,
        /// A node that gets a kernel of its own (slower; needed for DRBD, SBD, lost writes)
        #[arg(long, value_name = "NODE", value_parser = instance)]
        kernel: Vec<&'static Instance>,
        /// EC2's transitions take moments instead of as long as on EC2
        #[arg(long)]
        fast: bool,
        /// Machines beside the cluster's, for extended servers: x1 to x20
        #[arg(long, value_name = "COUNT", default_value_t = 0, conflicts_with = "lan",
              value_parser = clap::value_parser!(u8).range(0..=20))]
        extended: u8,
    },
    /// The main job: a cluster from nothing, a power cut, a timeline and a verdict
    Demo {
        /// The package to install on the nodes (`make deb`)
        #[arg(long, value_name = "FILE")]
        deb: PathBuf,
        /// On three machines of a LAN, with DRBD and watchdogs, instead of EC2 instances
        #[arg(long)]
        lan: bool,
        /// Leave the lab up, whatever the verdict
        #[arg(long)]
        keep: bool,
    },
    /// What our agents cost beside those that they replace: a table, and what misses its target
    Bench(bench::Extent),
    /// What cib-gen takes to write each rendering: a table, and what misses its target
    BenchRenderings(bench::renderings::Extent),
    /// Remove everything, also what a crash left
    Down,
    /// Who has power; what EC2 says, who holds the volume and the addresses; a LAN's password and addresses
    Status,
    /// A shell on a node, or one command
    Ssh {
        /// n1, or its host name (ip-172-31-16-133, pbx01), or its id (i-08807c762627239b8)
        node: String,
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Take a node's power away; EC2 still says that it is running
    PowerOff { node: String },
    /// Give it back, or start the instance if EC2 has stopped it
    PowerOn { node: String },
    /// Let no packet pass between a node and the others
    Partition { node: String },
    /// End every partition
    Heal,
    /// Stop a node as it is, as a hypervisor that hangs does
    Freeze { node: String },
    /// Let it go on
    Thaw { node: String },
    /// Have something go wrong in EC2, with volumes or in the metadata service
    #[command(subcommand)]
    Fault(fault::Verb),
    /// Give the nodes' role, or the operator, a policy of IAM as cib-gen prints it
    Policy {
        /// The policy; `-` is standard input
        file: PathBuf,
        /// It is the operator's
        #[arg(long)]
        operator: bool,
    },
    /// What happened since the start
    Events,
    /// A node's console
    Logs { node: String },
    /// Run a command as a client on the Internet
    ExecInet {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run a command at the router of the LAN
    ExecLan {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run a command at the router of the VPC
    ExecVpc {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Build the images if they are missing, and print their paths: the nodes', and the tools of both Debians
    Image,
    /// Say what this machine lacks
    Check,
    #[command(hide = true)]
    Serve { options: String },
}

fn site(lan: bool) -> Site {
    if lan { Site::Lan } else { Site::Ec2 }
}

fn instance(name: &str) -> Result<&'static Instance, String> {
    site::instance(name).ok_or_else(|| nodes_of(Site::Ec2))
}

/// The node of a lab's site that a person means.
fn node(lab: &Lab, name: &str) -> Result<&'static Host, Error> {
    let site = lab.site();
    site.host(name)
        .ok_or_else(|| format!("there is no node {name}: {}", nodes_of(site)).into())
}

fn nodes_of(site: Site) -> String {
    let names = site.hosts().map(|host| host.short);
    format!("the nodes are {}", names.join(", "))
}

fn main() -> ExitCode {
    let args = Args::parse();
    let chosen = args.name.as_deref().map_or(Ok(()), lab::name::choose);
    match chosen.and_then(|()| run(args.verb)) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("lab: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode, Error> {
    match verb {
        Verb::Up {
            lan,
            drbd_modules,
            kernel,
            fast,
            extended,
        } => {
            let options = Options {
                kernel: kernel.iter().map(|i| i.short.to_owned()).collect(),
                fast,
                site: site(lan),
                drbd_modules,
                extended: extended.into(),
            };
            let _own = lab::lab::own()?;
            return interruptible(move || {
                Lab::up(&options, &Stderr::new())?;
                println!("Up. Next: {}.", commands(&["status", "ssh n1", "down"]));
                Ok(ExitCode::SUCCESS)
            });
        }
        Verb::Demo { deb, lan, keep } => {
            package_exists(&deb)?;
            let _own = lab::lab::own()?;
            return interruptible(move || run_demo::run(&deb, site(lan), keep));
        }
        Verb::Bench(extent) => {
            let _own = lab::lab::own()?;
            return interruptible(move || measure(&extent));
        }
        Verb::BenchRenderings(extent) => return measure_renderings(&extent),
        Verb::Down => Lab::down()?,
        Verb::Status => {
            let now = Lab::connect()?.status()?;
            let violations = now.violations();
            print!("{}", status::text(&now));
            for violation in &violations {
                println!("VIOLATION: {violation}");
            }
            if !violations.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Verb::Ssh {
            node: name,
            command,
        } => {
            let lab = Lab::connect()?;
            return replace_by(lab.session(node(&lab, &name)?, &command));
        }
        Verb::PowerOff { node } => with(&node, Lab::power_off)?,
        Verb::PowerOn { node } => with(&node, Lab::power_on)?,
        Verb::Partition { node } => with(&node, Lab::partition)?,
        Verb::Freeze { node } => with(&node, Lab::freeze)?,
        Verb::Thaw { node } => with(&node, Lab::thaw)?,
        Verb::Heal => Lab::connect()?.heal()?,
        Verb::Fault(verb) => fault::run(&Lab::connect()?, verb)?,
        Verb::Policy { file, operator } => {
            let document = match file.as_os_str() == "-" {
                true => std::io::read_to_string(std::io::stdin()),
                false => std::fs::read_to_string(&file),
            };
            let document = document.map_err(|e| format!("cannot read {}: {e}", file.display()))?;
            let (operators_key, _) = site::OPERATOR_KEY;
            let of = match operator {
                true => Principal::User(operators_key.to_owned()),
                false => Principal::Role,
            };
            Lab::connect()?.put_policy(of, &document)?;
        }
        Verb::Events => print!("{}", events(&Lab::connect()?)?),
        Verb::Logs { node: name } => {
            // The lab's process may have died.
            let host = [Site::Ec2, Site::Lan]
                .into_iter()
                .find_map(|site| site.host(&name))
                .ok_or_else(|| format!("there is no node {name}: {}", nodes_of(Site::Ec2)))?;
            let disks = paths::noted("disks").unwrap_or_else(paths::disks);
            let path = disks.join(host.short).join("console.log");
            let text = std::fs::read_to_string(&path)
                .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
            print!("{text}");
        }
        Verb::ExecInet { command } => return replace_by(inside(&netns::internet(), &command)),
        Verb::ExecLan { command } => return replace_by(inside(&netns::lan(), &command)),
        Verb::ExecVpc { command } => return replace_by(inside(&netns::vpc(), &command)),
        Verb::Image => {
            for site in [Site::Ec2, Site::Lan] {
                println!("{}", image::node_rootfs(site)?.display());
            }
            for suite in [image::Suite::Bookworm, image::Suite::Trixie] {
                println!("{}", image::tools_rootfs(suite)?.display());
            }
        }
        Verb::Check => {
            let missing = image::check::missing();
            if !missing.is_empty() {
                print!("{missing}");
                return Ok(ExitCode::FAILURE);
            }
            println!("This machine has everything the lab needs.");
        }
        Verb::Serve { options } => {
            tracing_subscriber::fmt()
                .with_env_filter(
                    tracing_subscriber::EnvFilter::try_from_default_env()
                        .unwrap_or_else(|_| "info".into()),
                )
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .init();
            daemon::serve(&serde_json::from_str(&options)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Commands of this lab as they are typed, with its name where it has one.
fn commands(verbs: &[&str]) -> String {
    let lab = match lab::name::current() {
        lab::name::DEFAULT => "lab".to_owned(),
        name => format!("lab --name {name}"),
    };
    let typed: Vec<String> = verbs.iter().map(|verb| format!("`{lab} {verb}`")).collect();
    typed.join(", ")
}

/// Does something to one node of the lab that is up.
fn with(name: &str, act: impl Fn(&Lab, &Host) -> Result<(), Error>) -> Result<(), Error> {
    let lab = Lab::connect()?;
    act(&lab, node(&lab, name)?)
}

/// Does `work`; Ctrl-C meanwhile leaves nothing of the lab behind.
fn interruptible(
    work: impl FnOnce() -> Result<ExitCode, Error> + Send + 'static,
) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            done = tokio::task::spawn_blocking(work) => done?,
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                eprintln!("lab: interrupted, removing what was started");
                Lab::down()?;
                // The work is still waiting for processes that are gone.
                std::process::exit(130);
            }
        }
    })
}

fn measure_renderings(extent: &bench::renderings::Extent) -> Result<ExitCode, Error> {
    let progress = Stderr::new();
    let report = bench::renderings::run(extent, &progress)?;
    progress.finish();
    let table = report.to_string();
    print!("{table}");
    if let Some(readme) = &extent.readme {
        bench::write_into(readme, "renderings", &table)?;
    }
    Ok(if report.met() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn measure(extent: &bench::Extent) -> Result<ExitCode, Error> {
    package_exists(&extent.deb)?;
    let report = bench::run(extent, &Stderr::new())?;
    let table = report.markdown();
    print!("{table}");
    if let Some(readme) = &extent.readme {
        bench::write_into(readme, "bench", &table)?;
    }
    let missed = report.missed();
    for target in &missed {
        eprintln!("missed: {target}");
    }
    Ok(if missed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn package_exists(deb: &Path) -> Result<(), Error> {
    if deb.is_file() {
        return Ok(());
    }
    Err(format!(
        "there is no package at {}; `make deb` makes it",
        deb.display()
    )
    .into())
}

fn inside(namespace: &str, command: &[String]) -> Command {
    let mut enter = Command::new("nsenter");
    enter
        .arg(format!("--net={}", netns::path(namespace).display()))
        .args(command);
    enter
}

/// Becomes the other program: its terminal, its signals, its exit status.
fn replace_by(mut command: Command) -> Result<ExitCode, Error> {
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    Err(format!(
        "cannot run {}: {error}",
        command.get_program().to_string_lossy()
    )
    .into())
}

fn events(lab: &Lab) -> Result<String, Error> {
    let (ec2, own) = lab.all_events()?;
    let mut all: Vec<(SystemTime, String)> = ec2
        .into_iter()
        .map(|event| (event.at, format!("EC2: {}", event.what)))
        .chain(
            own.into_iter()
                .map(|moment| (moment.at, format!("lab: {}", moment.what))),
        )
        .collect();
    all.sort();
    let clock = time::macros::format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
    all.into_iter()
        .map(|(at, what)| {
            let at = time::OffsetDateTime::from(at).format(clock)?;
            Ok(format!("{at} UTC  {what}\n"))
        })
        .collect()
}
