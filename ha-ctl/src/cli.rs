//! The command line. In the library, so that manual pages and completions can be made from it.

mod extend;
mod update;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use cib_gen::nodes::GivenNode;

use crate::grow::gib;

pub use update::{COMPOSE_FILE, UpdateArgs, Wanted};

pub use extend::{
    ExtendArgs, ExtendRmArgs, ExtendRunArgs, ExtendUpgradeArgs, ExtendVerb, SelectArgs, ServersArgs,
};

/// Deploys the cluster of a PortSIP PBX, looks at it, and starts, stops and restarts what runs there
///
/// Runs on any node of the cluster, or on a machine that reaches the nodes by ssh. On a node, what concerns the
/// cluster needs no ssh. sudo is called where it is needed, so ha-ctl runs as a normal user too.
///
/// One change at a time: start, stop, restart, extend, update, grow, check --fix and deploy hold a lock, the unit
/// portsip-ha-lock.scope, on every node that is online and can be logged in to without a question. Whoever comes second
/// is told who has it, and changes nothing. It is gone with its ha-ctl, and a minute after its connection. Where it could
/// not be taken is said; only deploy needs it on every node.
///
/// A connection that is cut is made again, for up to 20 s for a change and up to two minutes for a long step. A change
/// that may have been carried out is sent again only where doing it twice is doing it once; otherwise ha-ctl ends with 5
/// and says how to look again.
#[derive(Debug, Clone, Parser)]
#[command(name = "ha-ctl", version, after_long_help = AFTER_HELP)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Checks the nodes for what would make a deployment or the next failover fail
    ///
    /// Each finding has a name that stays, what was found, what is wanted, and the command that mends it. `(there)`
    /// behind a command means: on that node. Ends with 3 if there is an error or a warning, with 4 if a node could
    /// not be looked at. It changes nothing, unless --fix is given.
    ///
    /// On EC2, each node asks EC2 with its own credentials (`cib-gen ec2-facts`). Where no cluster runs, the nodes
    /// listen to each other for a moment on ports of Corosync, pcsd and DRBD that are free.
    Check(CheckArgs),
    /// Makes a cluster that runs the PBX from three machines with a stock system, on AWS or in a LAN
    ///
    /// First it looks at all nodes and at EC2, and says what it will do; then it asks. Without a terminal it changes
    /// nothing and ends with 3, unless --yes is given. Then, in this order, and only what is missing: the package and
    /// everything that it depends on; on a LAN, the watchdog, LVM, DRBD's tools and SBD; files that keep
    /// unattended-upgrades, needrestart, Docker and systemd-networkd from stopping the PBX; vars.yml, for root alone;
    /// the nodes' host keys, for ha-ctl on each of them; the cluster; the PBX as a Docker Compose project in
    /// /etc/portsip/pbx; its images; on a LAN, the copies of the data; the volume, or DRBD in its place; the containers;
    /// the resources, fencing among them. It ends when the PBX answers.
    ///
    /// A file system is made only on a volume or a DRBD device without any signature. One that is there is kept, with
    /// its data and the password of its database; an image that is older than the data is refused. On a LAN, a disk is
    /// taken only if nothing is on it, and DRBD's metadata that is there is kept. No copy is ever forced to become the
    /// one that counts.
    ///
    /// Long steps are units of systemd on the nodes, portsip-ha-step-NAME.service: they go on when the connection is
    /// cut or ha-ctl is ended. The same command, on the same or another machine, then watches what goes on, does again
    /// what has failed, and ends in the same cluster. Run on a cluster that is deployed, it does only what is missing
    /// there, and brings the cluster to a changed vars.yml as `cib-gen apply` does. Two cannot change a cluster at a
    /// time: the second one says who does.
    Deploy(DeployArgs),
    /// Shows the cluster, and everything about it that needs somebody's attention
    ///
    /// First the list that `pcs status` shows. Then, only where there is something to say: failed operations with
    /// the agents' reasons, nodes that could not take over now and why, what is temporary, which nodes were fenced,
    /// data that fills up, versions that differ between the nodes, nodes that could not be asked.
    Show(ShowArgs),
    /// Lists the resources and where they run
    Status(ShowArgs),
    /// Prints the name of the node where the PBX's resources run
    Master(ShowArgs),
    /// Starts a resource that was stopped, and waits until it runs
    Start(ResourceArgs),
    /// Stops a resource, and waits until it is stopped. It stays stopped until it is started again
    ///
    /// What needs the resource stops with it, and is named before.
    Stop(ResourceArgs),
    /// Stops a resource, starts it again, and waits for both
    ///
    /// What needs the resource stops with it, is named before, and is waited for after. Whatever happens after the stop
    /// has begun, the resource is told to start again. A note in the cluster says so while it lasts: if ha-ctl itself
    /// is killed, `show` displays it, and the next `start` or `restart` of the resource ends what was left.
    Restart(ResourceArgs),
    /// Sets up extended servers, and starts, stops, upgrades and removes them: media, queue, meeting and IVR servers
    ///
    /// An extended server is a machine beside the cluster that runs one service of the PBX. It belongs to the PBX at the
    /// virtual address, whichever node is active. The list of the servers is on every node, in
    /// /etc/portsip/extended-servers.json, and the newest counts: any node can be lost. A command works on several
    /// servers at once; one that cannot be reached does not stop the others, is named at the end, and the exit status is
    /// 4 then.
    ///
    /// TYPE is media-server-only, queue-server-only, meeting-server-only or vr-server-only, for which ivr-server-only
    /// may be written too.
    Extend(ExtendArgs),
    /// Makes the data larger, while the PBX runs
    ///
    /// With SIZE, EC2 makes the volume larger first, which takes the operator's own credentials on the machine where
    /// ha-ctl runs (`cib-gen --format iam-policy-operator`); without it, what EC2 has made larger already counts. Then the
    /// file system grows.
    ///
    /// On a LAN the logical volume grows on every node with the data, then DRBD, then the file system: to SIZE, or without
    /// it as far as the smallest of the disks lets it. All copies have to be connected and up to date, and stay so.
    ///
    /// Only what is missing is done, so that it can be interrupted and run again. It asks before, because nothing of this
    /// can be made smaller again. Without a terminal it changes nothing and ends with 3, unless --yes is given.
    #[command(after_long_help = EXIT_OF_A_CHANGE)]
    Grow(GrowArgs),
    /// Brings the PBX to a new version, and back
    ///
    /// The image is fetched on all nodes and a snapshot of the volume is made while the PBX runs. Then comes one gap: the
    /// PBX stops, its addresses and its data stay where they are; a second snapshot, which has little left to copy; the
    /// data is brought to the new version (initdt), the containers are made anew on all nodes, and the PBX starts. It may
    /// run or be stopped before: it runs afterwards, unless --leave-stopped is given. EC2 makes the snapshots with the
    /// operator's own credentials on the machine where ha-ctl runs (`cib-gen --format iam-policy-operator`).
    ///
    /// An image that is older than the data is refused before anything stops. As long as the data was not touched, every
    /// failure starts the PBX again as it was; one that was stopped before stays stopped. A note in the cluster says how far
    /// it has come: the same command goes on from there, on any node, and brings along nodes that were away; --rollback goes back. A name such as portsip/pbx:22 may
    /// mean a newer image the next time, and then the same command is a new update, which stops the PBX. With the whole
    /// version, such as portsip/pbx:22.6.3, it is not.
    ///
    /// The way back is there until the next update. Before the data was touched it is the containers of before. After it,
    /// the data goes back to the snapshot, on another volume: what came since is lost to the PBX. It is said, and asked for.
    /// The volume of now is kept.
    ///
    /// On a LAN there is no snapshot: the other copy of the data stays as it is when the PBX has stopped, with its node in
    /// standby, and there is no second copy until --accept. --rollback has that copy count, and the other one gives up what
    /// it has. DRBD 9 is refused as yet.
    #[command(after_long_help = EXIT_OF_A_CHANGE)]
    Update(UpdateArgs),
    /// Writes scripts with the vendor's names that only call ha-ctl: ha_ctl.sh, deploy_pbx.sh,
    /// install_dependencies.sh, extend.sh, update.sh
    ///
    /// For runbooks. A script of the vendor's that is there is kept, with .vendor after its name. The vendor's
    /// deploy_pbx.sh is `ha-ctl deploy` with res/vars.yml of the directory, and install_dependencies.sh is
    /// `ha-ctl check`, because `ha-ctl deploy` installs what is needed.
    VendorScripts(VendorScriptsArgs),
}

/// Which cluster, and how its nodes are reached.
#[derive(Debug, Clone, Default, Args)]
pub struct SiteArgs {
    /// The vendor's vars.yml
    ///
    /// Without it: /etc/portsip/vars.yml, or else /opt/portsip-pbx-ha-guide/res/vars.yml. On a node of the
    /// cluster none is needed.
    #[arg(value_name = "VARS_FILE")]
    pub vars_file: Option<PathBuf>,

    /// Names and addresses of the nodes, where neither vars.yml nor this machine's cluster has them
    ///
    /// One for each node, with commas or as options of their own, pbx01 first.
    #[arg(long, value_name = "NAME=ADDRESS", value_delimiter = ',')]
    pub nodes: Vec<GivenNode>,

    /// As whom to log in on the nodes
    ///
    /// Without it: what ~/.ssh/config says, or else the user in whose home directory the key of vars.yml is, or
    /// else who runs this.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// The private key to log in with, instead of the one that vars.yml names
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,

    /// Accepts the host key of a node that is not known yet, and remembers it
    ///
    /// Without it, ssh shows the fingerprint and asks on a terminal. A key that has changed is never accepted.
    #[arg(long)]
    pub accept_new_host_keys: bool,

    /// A file with the password for sudo in its first line, readable by its owner alone
    ///
    /// Without it, where sudo asks, ha-ctl asks once for all nodes, on a terminal.
    #[arg(long, value_name = "FILE")]
    pub sudo_password_file: Option<PathBuf>,
}

/// Arguments of the verbs that show something.
#[derive(Debug, Clone, Default, Args)]
pub struct ShowArgs {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `check`.
#[derive(Debug, Clone, Default, Args)]
pub struct CheckArgs {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// Prints JSON
    #[arg(long)]
    pub json: bool,

    /// Only this check, or this group of checks: `apt.lock`, `apt`
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Not this check, or this group of checks
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub ignore: Vec<String>,

    /// Mends what is safe to mend, and checks again
    ///
    /// That is: os.unprivileged-ports, apt.unattended, apt.needrestart and lan.drbd-boot, each by a file of its own on
    /// the node; one that is there already is left as it is. lan.watchdog, by the service portsip-ha-softdog of the
    /// package. cluster.sample, where it is exactly the sample cluster of the distribution and has no resources.
    /// cluster.pcsd-key, where pcsd does not run and no file with something in it is lost: the cluster does not need
    /// pcsd, only `pcs` does. No disk, no route and no container is touched, and nothing that runs the PBX is
    /// restarted. Meanwhile nobody else can change the cluster with ha-ctl.
    #[arg(long)]
    pub fix: bool,

    /// With --fix, only says what would be done. Ends with 3 if something would change
    #[arg(long, short = 'n', requires = "fix")]
    pub dry_run: bool,
}

/// Arguments of `vendor-scripts`.
#[derive(Debug, Clone, Args)]
pub struct VendorScriptsArgs {
    /// Where to write them, such as /opt/portsip-pbx-ha-guide
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Arguments of `deploy`.
#[derive(Debug, Clone, Default, Args)]
pub struct DeployArgs {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// The package file to install on the nodes that do not have it in this version
    ///
    /// Without it, the package has to be installed on every node, in the same version.
    #[arg(long, value_name = "FILE")]
    pub package: Option<PathBuf>,

    /// With the vendor's certificate manager, which gets certificates from Let's Encrypt
    ///
    /// A container more, portsip.certmanager, with its data on the volume. It needs port 443/tcp from the Internet.
    /// A compose file of yours has to have the service; the example of the package has it.
    #[arg(long, short = 'c')]
    pub certificate_manager: bool,

    /// Does not ask before it changes something
    #[arg(long, short, conflicts_with = "dry_run")]
    pub yes: bool,

    /// Only says what would be done. Ends with 3 if something would change
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

/// Arguments of `grow`.
#[derive(Debug, Clone, Default, Args)]
pub struct GrowArgs {
    /// How large the whole volume of the data is to be, in GiB: 200 or 200G; 2T is 2048
    #[arg(value_name = "SIZE", value_parser = gib)]
    pub size: Option<u32>,

    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// The profile of the AWS configuration whose credentials EC2 is asked with for a larger volume
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,

    /// Does not ask before it changes something
    #[arg(long, short, conflicts_with = "dry_run")]
    pub yes: bool,

    /// Only says what would be done. Ends with 3 if something would change
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

/// Arguments of the verbs that start and stop a resource.
#[derive(Debug, Clone, Args)]
pub struct ResourceArgs {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// The resource, as `ha-ctl status` lists it, such as pbx
    #[arg(short = 's', long = "resource", value_name = "RESOURCE")]
    pub resource: String,

    /// How many seconds to wait for each step. Without it, what the cluster allows for all that stops or starts, for
    /// fencing a node, and a minute
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,

    /// Only says what would be done. Ends with 3 if something would change
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.trim_end_matches('s').parse() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("a number of seconds from 1 to 86400".to_owned()),
    }
}

const AFTER_HELP: &str = "\
Examples:
  ha-ctl show
      the cluster, on one of its nodes
  ha-ctl show --nodes pbx01=ADDRESS,pbx02=ADDRESS,pbx03=ADDRESS --user pbx
      the same from another machine
  ha-ctl check vars.yml
      what would make a deployment or the next failover fail
  ha-ctl deploy vars.yml --package portsip-ha.deb
      makes the cluster, from machines with a stock system
  ha-ctl restart -s pbx
      restarts the PBX where it runs; its addresses and its data stay
  ha-ctl update portsip/pbx:22.6.3 --profile PROFILE
      brings the PBX to this version; ha-ctl update --rollback goes back. On a LAN without --profile
  ha-ctl grow 200G --profile PROFILE
      makes the data 200 GiB large, while the PBX runs
  ha-ctl extend run -s media-server-only -n media-server-1 -a 192.168.1.21
      makes an extended server of a machine with a stock system

Exit status:
  0  done, or nothing to do
  1  failed, and nothing was changed
  2  a mistake in the command line or in vars.yml
  3  check found problems, a dry run would change something, or nobody said yes
  4  some node could not be reached; the others are done
  5  incomplete, or still going: what to look at is said";

const EXIT_OF_A_CHANGE: &str = "\
Exit status:
  0  done, or nothing to do
  1  refused or failed, and the PBX and its data are as before
  2  a mistake in the command line or in vars.yml
  3  a dry run, or nobody said yes; without a terminal: --yes
  4  done, but for a node that is away: the same command when it is there again
  5  not at its end: ha-ctl show, then the same command again";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::CommandFactory as _;

    use super::*;
    use crate::exit::Exit;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_vendors_words_are_understood() {
        let cli = Cli::try_parse_from(["ha-ctl", "restart", "-s", "pbx"]).unwrap();
        assert!(matches!(cli.verb, Verb::Restart(args) if args.resource == "pbx"));
        let cli = Cli::try_parse_from(["ha-ctl", "deploy", "-c"]).unwrap();
        assert!(matches!(cli.verb, Verb::Deploy(args) if args.certificate_manager));
        let cli = Cli::try_parse_from(["ha-ctl", "grow", "200G", "vars.yml"]).unwrap();
        assert!(matches!(cli.verb, Verb::Grow(args) if args.size == Some(200)));
        assert!(Cli::try_parse_from(["ha-ctl", "grow", "vars.yml"]).is_err());
        assert!(Cli::try_parse_from(["ha-ctl", "restart"]).is_err());
        assert!(Cli::try_parse_from(["ha-ctl", "stop", "-s", "pbx", "--timeout", "0"]).is_err());
    }

    #[test]
    fn the_help_lists_every_exit_status() {
        let all = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Problems,
            Exit::NodesMissing,
            Exit::Incomplete,
        ];
        for (n, exit) in all.into_iter().enumerate() {
            assert_eq!(exit as usize, n);
            assert!(AFTER_HELP.contains(&format!("\n  {n}  ")), "{n}");
        }
    }
}
