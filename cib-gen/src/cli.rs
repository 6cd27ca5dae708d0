//! The command line. Here rather than in the binary, so that man page and completions can be
//! made from it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::ids::{Region, SnapshotId};
use crate::nodes::GivenNode;
pub use crate::render::Format;

/// Prints what has to be configured for the cluster that vars.yml describes
///
/// From the vendor's vars.yml, of the AWS system or of the LAN system: pcs commands for a shell,
/// CIB XML, the commands that set up Corosync, the DRBD resource file, an IAM policy, the rules
/// of a security group, a picture, or the model itself. cib-gen only prints; with `apply`
/// it changes the cluster that runs on this node.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "cib-gen",
    version,
    after_long_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    /// What to do other than print
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The site. Required unless a subcommand has its own
    #[command(flatten)]
    pub site: Option<SiteArgs>,

    /// What to print
    #[arg(long, short, value_enum, default_value_t = Format::Pcs)]
    pub format: Format,
}

/// What vars.yml says, and what else there is to know of the site.
#[derive(Debug, Clone, Args)]
pub struct SiteArgs {
    /// The vendor's vars.yml; `-` reads standard input
    #[arg(value_name = "VARS_FILE")]
    pub vars_file: PathBuf,

    /// Names and private addresses of the nodes, where vars.yml does not have them
    ///
    /// One for each node, with commas or as options of their own: the first is pbx01, the second
    /// pbx02, and so on. A name is what `uname -n` prints on the node.
    #[arg(long, value_name = "NAME=ADDRESS", value_delimiter = ',')]
    pub nodes: Vec<GivenNode>,

    /// Does not ask EC2 for anything
    ///
    /// Without this, EC2 is asked (DescribeInstances, DescribeSubnets, DescribeAddresses) for
    /// what vars.yml and --nodes do not give: names and addresses of the nodes, the virtual
    /// address, the Elastic IP, and for an IAM policy the account and the interfaces. Where the
    /// cluster is configured, it is asked in any case. Whenever it is asked, a volume or an Elastic
    /// IP that it does not know is a mistake (DescribeVolumes, DescribeAddresses), and what may
    /// hinder a failover is a warning on standard error (DescribeInstanceAttribute,
    /// DescribeRouteTables, DescribeVpcEndpoints, a dry run of StopInstances, which stops nothing):
    /// an instance that may not be stopped, a node without a way to EC2 after a stop. If nothing is
    /// missing, EC2 has six seconds to answer, and else eight.
    #[arg(long)]
    pub offline: bool,

    /// The AWS region
    ///
    /// The key `region` of vars.yml goes first; then this; then what the AWS configuration or
    /// the instance metadata say, if EC2 is asked. It is written into the cluster.
    #[arg(long, value_name = "REGION")]
    pub region: Option<Region>,

    /// The profile of the AWS configuration to ask EC2 with. It is not written into the cluster
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
}

/// What to do other than print.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Brings the cluster that runs on this node to what vars.yml says
    ///
    /// Also takes over a cluster that the vendor's scripts made. First it says what changes and
    /// what restarts: restarts are what Pacemaker's own scheduler says (crm_simulate). It refuses
    /// if something that runs would not run any more. What somebody else has changed meanwhile
    /// is never overwritten. It can be run again at any time, also after it was interrupted.
    ///
    /// Before it changes anything it asks the agents of this package, on this node, whether they could
    /// run with new parameters (crm_resource --validate). What one of them refuses is not done. The
    /// containers of the PBX and their image are not part of the cluster: apply does not change them.
    ///
    /// Before anything restarts or moves, and before a takeover, it asks. Without a terminal it
    /// then changes nothing and ends with 3, unless --yes is given. A change that restarts
    /// nothing is made without asking.
    ///
    /// Beside the CIB it compares corosync.conf and the DRBD resource file of this node, and
    /// changes in them what can be changed while the cluster runs.
    Apply(ApplyArgs),
    /// Has Pacemaker's scheduler go through failures, and says where everything ends
    ///
    /// Start, each node failing, in standby, rebooted and coming back, each resource failing on each
    /// node, quorum lost, two failures at once. Ends with 3 if anything does not recover or moves
    /// without need. Needs no cluster, but Pacemaker's tools (crm_simulate).
    Simulate(SimulateArgs),
    /// Prints as JSON what EC2 says of the site, and which calls the credentials in use here may make
    ///
    /// For `ha-ctl check`, which runs it on every node and judges. Nothing is changed: the calls that would change
    /// something are dry runs; AssignPrivateIpAddresses and UnassignPrivateIpAddresses, which have none, name the
    /// first address of the subnet, which EC2 never assigns.
    #[command(name = "ec2-facts")]
    Ec2Facts(SiteArgs),
    /// Prints as JSON what EC2 says of instances that are to be extended servers
    ///
    /// For `ha-ctl extend run`, which runs it on a node and judges. Nothing is changed.
    #[command(name = "ec2-servers")]
    Ec2Servers(Ec2ServersArgs),
    /// Makes the volume larger, and prints as JSON from what size to what size
    ///
    /// For `ha-ctl grow`, with an operator's credentials: the nodes' may not do it (--format iam-policy-operator has the
    /// rights). It ends when the new size counts, which takes seconds; EC2 goes on to optimize the volume for minutes to
    /// hours. It can be run again at any time. A volume cannot be made smaller.
    #[command(name = "ec2-enlarge")]
    Ec2Enlarge(Ec2EnlargeArgs),
    /// Begins a snapshot of the volume, unless there is one of that name, and prints as JSON how far it is
    ///
    /// For `ha-ctl update`, with an operator's credentials (--format iam-policy-operator has the rights). A snapshot has
    /// what the volume had when it began, however long EC2 takes to complete it. Nothing deletes it.
    #[command(name = "ec2-snapshot")]
    Ec2Snapshot(Ec2SnapshotArgs),
    /// Begins a volume from a snapshot, unless there is one of that name, and prints as JSON how it is
    ///
    /// For `ha-ctl update --rollback`, with an operator's credentials. It has the size, type, zone and key of the volume of
    /// vars.yml, which is not touched. Nothing attaches it.
    #[command(name = "ec2-restore")]
    Ec2Restore(Ec2RestoreArgs),
}

/// Arguments of `ec2-snapshot`.
#[derive(Debug, Clone, Args)]
pub struct Ec2SnapshotArgs {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// The value of the snapshot's tag `portsip-ha`, by which it is found again
    #[arg(long, value_name = "NAME")]
    pub name: String,

    /// The snapshot's description
    #[arg(long, value_name = "TEXT", default_value = "pbx-ha-volumes-backup")]
    pub description: String,

    /// Only looks at this snapshot
    #[arg(long, value_name = "SNAPSHOT_ID")]
    pub id: Option<SnapshotId>,

    /// Only asks whether these credentials may make one
    #[arg(long, conflicts_with = "id")]
    pub dry_run: bool,
}

/// Arguments of `ec2-restore`.
#[derive(Debug, Clone, Args)]
pub struct Ec2RestoreArgs {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// The snapshot, which has to be completed
    #[arg(long, value_name = "SNAPSHOT_ID")]
    pub snapshot: SnapshotId,

    /// The value of the volume's tag `portsip-ha`, by which it is found again
    #[arg(long, value_name = "NAME")]
    pub name: String,
}

/// Arguments of `ec2-enlarge`.
#[derive(Debug, Clone, Args)]
pub struct Ec2EnlargeArgs {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// How large, in GiB
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..))]
    pub gib: i32,
}

/// Arguments of `ec2-servers`.
#[derive(Debug, Clone, Args)]
pub struct Ec2ServersArgs {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// Instance ids, or private addresses in the VPC of the nodes, with commas
    #[arg(
        long,
        value_name = "ID|ADDRESS",
        value_delimiter = ',',
        required = true
    )]
    pub servers: Vec<String>,
}

/// Arguments of `apply`.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// Only says what would change, and what would restart. Ends with 3 if something would change
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// Does not ask before something restarts
    #[arg(long, short, conflicts_with = "dry_run")]
    pub yes: bool,

    /// The CIB to compare with, from `cibadmin --query` or `pcs cluster cib`. Without it, that of
    /// the cluster that runs on this node
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    pub cib: Option<PathBuf>,
}

/// Arguments of `simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// Judges what `cib-gen apply` would make of a CIB: a file from `cibadmin --query` or `pcs cluster
    /// cib`, or `live` for the cluster that runs on this node. Without it, the cluster of vars.yml alone
    #[arg(long, value_name = "FILE|live")]
    pub cib: Option<PathBuf>,

    /// Prints what Pacemaker would do in each case, not only where it ends
    #[arg(long, short)]
    pub verbose: bool,
}

const AFTER_HELP: &str = "\
Examples:
  cib-gen vars.yml | sudo sh
      configures the new cluster that runs on this node
  sudo cib-gen apply --dry-run vars.yml
      what a changed vars.yml would change in the cluster, and what would restart
  sudo cib-gen apply vars.yml
      changes it
  cib-gen simulate vars.yml
      what the cluster would do when something fails; with --cib live, what runs here and vars.yml together
  cib-gen --format corosync vars.yml | sudo sh
      makes the nodes a cluster; asks for the password of the user hacluster
  cib-gen --format drbd vars.yml | sudo tee /etc/drbd.d/pbxdata.res
      the DRBD resource, on every node
  cib-gen --format security-group vars.yml | sh -s sg-0e2bea9ea4033f893
      adds the rules that the group does not have, with an administrator's credentials
  cib-gen --format graph vars.yml > cluster.svg
      a picture for the runbook
  cib-gen --offline --nodes ip-172-31-16-133=172.31.16.133,ip-172-31-16-134=172.31.16.134,ip-172-31-16-135=172.31.16.135 vars.yml
      asks nobody; ip-172-31-16-133 is the name of pbx01_instance_id, and so on
  cib-gen --format cib vars.yml | sudo cibadmin --modify --allow-create --scope configuration --xml-pipe
      the same cluster, as XML

Exit status:
  0  printed; with `apply`, done, or nothing to do; with `simulate`, everything recovers
  1  could not find out: EC2 did not answer, a file could not be read, a tool is missing
  2  a mistake in vars.yml or in the options; nothing was printed on standard output
  3  with `apply`, refused, not confirmed or a dry run; with `simulate`, something does not recover";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
