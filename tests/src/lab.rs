//! The lab as programs use it: the command `lab`, the demo and the tests. It lives in a background
//! process, so it outlives who started it. Labs of different names are up at the same time.

mod turn;

pub use turn::{Turn, own, turn};

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::control::{self, Moment, Reply, Request, Status};
use crate::dhcp::Lease;
use crate::ec2::{ActiveFault, Event, Injection, Principal};
use crate::image::{self, Image, check};
use crate::node::kernel::disk::kernel_disk;
use crate::node::kernel::program::Kernel;
use crate::progress::Progress;
use crate::site::{Host, Site};
use crate::world::Error;
use crate::{cgroup, name, netns, paths, remains, run, ssh};

/// How long the background process may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);
/// How long a copy to a node may take.
const COPY_WITHIN: Duration = Duration::from_secs(120);

/// The environment variable that names [`Options::drbd_modules`], if the options do not.
const DRBD_MODULES: &str = "PORTSIP_HA_DRBD_MODULES";

/// What kind of lab.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Nodes that get a kernel of their own (`n1`); the others are containers.
    pub kernel: Vec<String>,
    /// EC2's transitions take moments instead of as long as on EC2.
    pub fast: bool,
    /// Which site. A LAN's nodes all have a kernel of their own, and there is no EC2.
    pub site: Site,
    /// The modules of a LAN's kernels, if not those of the package `user-mode-linux`, whose DRBD is 8.4: a whole
    /// directory of modules, on which depmod has run.
    pub drbd_modules: Option<PathBuf>,
    /// How many machines there are beside the cluster's, for extended servers: at most twenty, and none on a LAN.
    #[serde(default)]
    pub extended: usize,
}

impl Options {
    /// All machines of the lab: the cluster's, and then the others.
    pub(crate) fn hosts(&self) -> Vec<&'static Host> {
        let extended = self.site.extended();
        let extended = extended.into_iter().take(self.extended);
        self.site.hosts().into_iter().chain(extended).collect()
    }

    /// With what the environment says; paths as the lab's process, which has another working directory, needs them.
    fn complete(mut self) -> Result<Self, Error> {
        if self.site == Site::Lan {
            self.drbd_modules = self
                .drbd_modules
                .or_else(|| std::env::var_os(DRBD_MODULES).map(PathBuf::from))
                .map(std::path::absolute)
                .transpose()?;
        }
        Ok(self)
    }
}

/// A lab that is up.
#[derive(Debug, Clone)]
pub struct Lab {
    site: Site,
    image: Image,
}

impl Lab {
    /// Builds what is missing in the cache, starts the lab and waits until sshd and pcsd answer on
    /// every node. What a lab that died left is removed first.
    ///
    /// # Errors
    /// A lab is up, this machine lacks something, or a node does not boot; then nothing is left.
    pub fn up(options: &Options, progress: &dyn Progress) -> Result<Self, Error> {
        let missing = check::missing();
        if !missing.is_empty() {
            return Err(format!("this machine cannot run the lab yet:\n{missing}").into());
        }
        if control::listening() {
            return Err(format!(
                "the lab '{}' is up already; `lab down` ends it",
                name::current()
            )
            .into());
        }
        let options = &options.clone().complete()?;
        let image = image::node_image(options.site, progress)?;
        crate::pbx::docker_data(&image)?;
        if options.site == Site::Lan || !options.kernel.is_empty() {
            let kernel = Kernel::of(options.drbd_modules.as_deref(), progress)?;
            kernel_disk(&image, &kernel, progress)?;
        }
        if remains::exist() {
            progress.step("removing what an earlier lab left");
            remains::remove()?;
        }
        let started = start(options, progress);
        if let Err(e) = started {
            // The reason is what matters; the second failure, if any, goes with it.
            return Err(match remains::remove() {
                Ok(()) => e,
                Err(second) => format!("{e}\nand cleaning up failed: {second}").into(),
            });
        }
        progress.finish();
        Ok(Self {
            site: options.site,
            image,
        })
    }

    /// Which site it is.
    pub fn site(&self) -> Site {
        self.site
    }

    /// The lab that is up.
    ///
    /// # Errors
    /// None is, or its process has died.
    pub fn connect() -> Result<Self, Error> {
        let site = ask_for_status()?.site;
        let image = paths::noted("image").ok_or_else(|| {
            format!(
                "the lab has not noted its image in {}; is it of the same build as this command?",
                paths::state("image").display()
            )
        })?;
        Ok(Self {
            site,
            image: Image::at(image),
        })
    }

    /// Ends the lab and removes everything it left, also when its process has died; no error if
    /// there is nothing.
    ///
    /// # Errors
    /// Something cannot be removed; with everything that cannot.
    pub fn down() -> Result<(), Error> {
        remains::remove()
    }

    /// Runs a shell script as root on a node.
    ///
    /// # Errors
    /// It has not ended after `limit`. A node that cannot be reached gives exit status 255.
    pub fn ssh(&self, node: &Host, script: &str, limit: Duration) -> Result<Output, Error> {
        ssh::run(&self.image, node, script, limit)
    }

    /// Runs a shell script on a node as its user, who writes `sudo` where root is needed.
    ///
    /// # Errors
    /// As [`Lab::ssh`].
    pub fn ssh_as_user(&self, node: &Host, script: &str, limit: Duration) -> Result<Output, Error> {
        ssh::run_as_user(&self.image, node, script, limit)
    }

    /// Copies a file or directory to a node.
    ///
    /// # Errors
    /// The node refuses or cannot be reached.
    pub fn copy_to(&self, node: &Host, local: &Path, remote: &Path) -> Result<(), Error> {
        ssh::copy_to(&self.image, node, local, remote, COPY_WITHIN)
    }

    /// The private key that the nodes' user logs in with.
    pub fn ssh_key(&self) -> PathBuf {
        self.image.ssh_key()
    }

    /// A command that opens a shell on a node, or runs `command` there with this process's stdin
    /// and stdout.
    pub fn session(&self, node: &Host, command: &[String]) -> Command {
        ssh::session(&self.image, node, command)
    }

    /// Cuts the power, and returns when it is off; EC2 does not notice.
    ///
    /// # Errors
    /// Some process of the node does not die.
    pub fn power_off(&self, node: &Host) -> Result<(), Error> {
        let result = done(&Request::PowerOff(node.id.to_owned()));
        ssh::close_connection(node);
        result
    }

    /// Starts the instance if EC2 has stopped it, else gives the machine its power back. Returns
    /// when it is booting.
    ///
    /// # Errors
    /// It has power, or is on its way to another state.
    pub fn power_on(&self, node: &Host) -> Result<(), Error> {
        ssh::close_connection(node);
        done(&Request::PowerOn(node.id.to_owned()))
    }

    /// Lets no packet pass between this node and the others; EC2, metadata and clients reach it, on a LAN the router.
    ///
    /// # Errors
    /// The lab's process cannot change the VPC.
    pub fn partition(&self, node: &Host) -> Result<(), Error> {
        done(&Request::Partition(node.id.to_owned()))
    }

    /// Stops a node as it is, as a hypervisor that hangs does; its clock goes on.
    ///
    /// # Errors
    /// It has no power.
    pub fn freeze(&self, node: &Host) -> Result<(), Error> {
        let result = done(&Request::Freeze(node.id.to_owned()));
        // A command on a connection that stands still would hold its caller for a minute, whatever its limit.
        ssh::close_connection(node);
        result
    }

    /// Lets a node that was frozen go on.
    ///
    /// # Errors
    /// The kernel of this machine refuses.
    pub fn thaw(&self, node: &Host) -> Result<(), Error> {
        done(&Request::Thaw(node.id.to_owned()))
    }

    /// Ends every partition.
    ///
    /// # Errors
    /// The lab's process cannot change the VPC.
    pub fn heal(&self) -> Result<(), Error> {
        done(&Request::Heal)
    }

    /// Has DHCP give something else with an address, from the next request on.
    ///
    /// # Errors
    /// The lab's process has died.
    pub fn set_lease(&self, lease: Lease) -> Result<(), Error> {
        done(&Request::Lease(lease))
    }

    /// Gives a policy of IAM, as cib-gen prints it, to the nodes' role or to a user.
    ///
    /// # Errors
    /// It is none as cib-gen prints them, or this is no site on EC2.
    pub fn put_policy(&self, of: Principal, document: &str) -> Result<(), Error> {
        let document = document.to_owned();
        done(&Request::PutPolicy { of, document })
    }

    /// Injects a fault of EC2, a volume or the metadata service; returns its number.
    ///
    /// # Errors
    /// The lab's process has died.
    pub fn inject(&self, injection: &Injection) -> Result<u64, Error> {
        match control::ask(&Request::Inject(injection.clone()))? {
            Reply::Faults(faults) if faults.len() == 1 => Ok(faults[0].number),
            other => Err(unexpected(&other)),
        }
    }

    /// The faults in force.
    ///
    /// # Errors
    /// The lab's process has died.
    pub fn faults(&self) -> Result<Vec<ActiveFault>, Error> {
        match control::ask(&Request::Faults)? {
            Reply::Faults(faults) => Ok(faults),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends one fault by its number, or all.
    ///
    /// # Errors
    /// There is none of that number.
    pub fn clear_faults(&self, number: Option<u64>) -> Result<(), Error> {
        done(&Request::ClearFaults(number))
    }

    /// Who has power, and what EC2 says.
    ///
    /// # Errors
    /// The lab's process has died.
    pub fn status(&self) -> Result<Status, Error> {
        ask_for_status()
    }

    /// What happened in EC2 since the start.
    ///
    /// # Errors
    /// The lab's process has died.
    pub fn events(&self) -> Result<Vec<Event>, Error> {
        self.all_events().map(|(ec2, _)| ec2)
    }

    /// What happened in EC2, and what people did to the lab, since the start.
    ///
    /// # Errors
    /// The lab's process has died.
    pub fn all_events(&self) -> Result<(Vec<Event>, Vec<Moment>), Error> {
        match control::ask(&Request::Events)? {
            Reply::Events { ec2, lab } => Ok((ec2, lab)),
            other => Err(unexpected(&other)),
        }
    }
}

fn ask_for_status() -> Result<Status, Error> {
    match control::ask(&Request::Status)? {
        Reply::Status(status) => Ok(status),
        other => Err(unexpected(&other)),
    }
}

fn done(request: &Request) -> Result<(), Error> {
    match control::ask(request)? {
        Reply::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(reply: &Reply) -> Error {
    format!("the lab's process answered {reply:?}; is it of the same build as this command?").into()
}

/// systemd and its services watch files, about ten times a machine, and all machines are root's here: with the kernel's
/// 128, of some twenty machines a few do not boot to their end.
const WATCHES: u32 = 1024;

fn allow_watches() -> Result<(), Error> {
    const KEY: &str = "fs/inotify/max_user_instances";
    let allowed = fs::read_to_string(Path::new("/proc/sys").join(KEY))?;
    match allowed.trim().parse::<u32>() {
        Ok(allowed) if allowed >= WATCHES => Ok(()),
        _ => netns::set_parameter(KEY, &WATCHES.to_string()),
    }
}

fn start(options: &Options, progress: &dyn Progress) -> Result<(), Error> {
    progress.step("background process");
    if options.extended > 0 {
        allow_watches()?;
    }
    let state = paths::state_dir();
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(&state)
        .map_err(|e| format!("cannot make {}: {e}", state.display()))?;
    let mut process = spawn(options)?;
    let deadline = Instant::now() + LISTENS_WITHIN;
    while !control::socket().exists() {
        let ended = match &mut process {
            Some(child) => child.try_wait()?.is_some(),
            None => false,
        };
        if ended || Instant::now() > deadline {
            return Err(format!(
                "the lab's background process does not start: {}",
                last_words()
            )
            .into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    control::follow(&Request::FollowStart, |reply| {
        if let Reply::Step(step) = reply {
            progress.step(&step);
        }
    })
    .map_err(|e| format!("the lab does not come up: {e}; {}", last_words()).into())
}

/// Starts `lab serve` detached: as a unit of its own where systemd rules, because only there it
/// may make control groups; in a session of its own elsewhere.
fn spawn(options: &Options) -> Result<Option<Child>, Error> {
    let log = paths::state("serve.log");
    let program = program()?;
    let serve = [
        "--name".to_owned(),
        name::current().to_owned(),
        "serve".to_owned(),
        serde_json::to_string(options)?,
    ];
    if cgroup::systemd() {
        let mut args = vec![
            "--quiet".to_owned(),
            "--collect".to_owned(),
            format!("--unit={}", cgroup::name()),
            "--property=Delegate=yes".to_owned(),
            "--property=TasksMax=infinity".to_owned(),
            format!("--property=StandardOutput=append:{}", log.display()),
            format!("--property=StandardError=append:{}", log.display()),
        ];
        for name in ["HOME", "XDG_CACHE_HOME", "PATH", "RUST_LOG", "SUITE"] {
            if let Ok(value) = std::env::var(name) {
                args.push(format!("--setenv={name}={value}"));
            }
        }
        args.push(program.display().to_string());
        args.extend(serve);
        run::run("systemd-run", &args)?;
        return Ok(None);
    }
    let log = fs::File::create(log)?;
    let child = Command::new(&program)
        .args(serve)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C at the terminal is for whoever waits for the start, who then cleans up.
        .process_group(0)
        .spawn()
        .map_err(|e| format!("cannot run {}: {e}", program.display()))?;
    Ok(Some(child))
}

/// The command `lab`: this program, or the one beside it.
fn program() -> Result<PathBuf, Error> {
    let own = std::env::current_exe()?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("lab"))
        .chain([own.clone()])
        .find(|path| path.is_file() && path.file_name() == Some("lab".as_ref()))
        .ok_or_else(|| {
            format!(
                "the program `lab` is not beside {}; `cargo build -p lab` makes it",
                own.display()
            )
            .into()
        })
}

fn last_words() -> String {
    let log = fs::read_to_string(paths::state("serve.log")).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(5).collect();
    if tail.is_empty() {
        return "its log is empty".to_owned();
    }
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    format!("its log ends with:\n{}", tail.join("\n"))
}
