//! The command line. Here rather than in the binary, so that man page and completions can be
//! made from it.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::ids::Region;
use crate::nodes::GivenNode;

/// Prints the cluster that vars.yml describes: as pcs commands for a shell, or as CIB XML
#[derive(Debug, Clone, Parser)]
#[command(name = "cib-gen", version, after_long_help = AFTER_HELP)]
pub struct Cli {
    /// The vendor's vars.yml; `-` reads standard input
    #[arg(value_name = "VARS_FILE")]
    pub vars_file: PathBuf,

    /// What to print
    #[arg(long, short, value_enum, default_value_t = Format::Pcs)]
    pub format: Format,

    /// Names and private addresses of the three nodes, where vars.yml does not have them
    ///
    /// Three of them, with commas or as three options: the first is pbx01, the second pbx02,
    /// the third pbx03. A name is what `uname -n` prints on the node.
    #[arg(long, value_name = "NAME=ADDRESS", value_delimiter = ',')]
    pub nodes: Vec<GivenNode>,

    /// Does not ask EC2 for anything
    ///
    /// Without this, EC2 is asked (DescribeInstances) when vars.yml and --nodes do not give the
    /// name and address of every node.
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

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A shell script of pcs commands, to be run as root on one node
    Pcs,
    /// CIB XML for cibadmin
    Cib,
}

const AFTER_HELP: &str = "\
Examples:
  cib-gen vars.yml | sudo sh
      configures the cluster that runs on this node
  cib-gen --offline --nodes ip-172-31-16-133=172.31.16.133,ip-172-31-16-134=172.31.16.134,ip-172-31-16-135=172.31.16.135 vars.yml
      asks nobody; ip-172-31-16-133 is the name of pbx01_instance_id, and so on
  cib-gen --format cib vars.yml | sudo cibadmin --modify --allow-create --scope configuration --xml-pipe
      the same cluster, as XML

Exit status:
  0  printed
  1  could not find out: EC2 did not answer, vars.yml could not be read
  2  a mistake in vars.yml or in the options; nothing was printed on standard output";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
