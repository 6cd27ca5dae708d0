//! The command line of `extend`. Options that say something about one server may repeat, and their order counts.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Subcommand};

use super::{GrowArgs, ShowArgs, SiteArgs, seconds};
use crate::extend::{FIELDS, Field, Kind, address};

/// Arguments of `extend`.
#[derive(Debug, Clone, Args)]
pub struct ExtendArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: ExtendVerb,
}

/// What to do with extended servers.
#[derive(Debug, Clone, Subcommand)]
pub enum ExtendVerb {
    /// Makes extended servers of machines with a stock Ubuntu or Debian
    ///
    /// The machines are reached as the nodes are: the same user, key and password. First each is looked at: its system is
    /// that of the nodes, it has the address, it reaches the PBX, it is no node of the cluster and has no PostgreSQL, its
    /// clock and its disk. What will be done is said, and asked for. Without a terminal nothing is changed, and it ends
    /// with 3, unless --yes is given. Then, and only what is missing: Docker and Compose; net.ipv4.ip_unprivileged_port_start,
    /// and the files that keep unattended-upgrades, needrestart and Docker from stopping the server; the directory of
    /// its data; the image that the PBX runs from, in the same version; a Compose project in /etc/portsip/TYPE with the
    /// vendor's command line, which Docker starts again after a reboot. It ends when the server's ports are open.
    ///
    /// The server has to be in the portal under the same name before, and its address has to be allowed there: what to
    /// do is printed when it is time for it.
    ///
    /// It may be interrupted, and run again. A server that the vendor's extend.sh has set up, with the same type, name and
    /// address, is taken into the list as it is, and goes on running.
    ///
    /// The vendor's `-s disk-only`, without a name and an address, is `ha-ctl grow`: it makes no server, but has the file
    /// system of the data take over what its disk has become larger by.
    Run(ExtendRunArgs),
    /// Lists the extended servers, how they are, and the version of their image
    List(ShowArgs),
    /// Starts extended servers, and waits until they answer
    Start(ServersArgs),
    /// Stops extended servers. They stay stopped until they are started again, after a reboot too
    ///
    /// A server has 300 s to end its calls.
    Stop(ServersArgs),
    /// Stops extended servers, starts them again, and waits until they answer
    Restart(ServersArgs),
    /// Upgrades extended servers to the image that the PBX runs from
    ///
    /// After the PBX itself. First the image is fetched on all, while they go on; then one server of a type is made anew
    /// after the other, each when the one before answers, so that never all of a type are down. A type with a single
    /// server that answers is down meanwhile: that is said, and asked for. If a server does not answer after its
    /// upgrade, the others of its type are left as they are.
    Upgrade(ExtendUpgradeArgs),
    /// Removes extended servers: the container, its data, and the server from the list
    ///
    /// It asks before. Docker and the image stay on the machine. What was made for the server in the portal has to be
    /// removed there.
    Rm(ExtendRmArgs),
}

/// Arguments of `extend run`.
#[derive(Debug, Clone, Default, Args)]
pub struct ExtendRunArgs {
    /// The cluster.
    #[command(flatten)]
    pub site: SiteArgs,

    /// The servers.
    #[command(flatten)]
    pub servers: Triples,

    /// A file that names the servers: a list `servers`, each with type, name, address and, if it has one,
    /// public_address
    #[arg(long, value_name = "FILE", conflicts_with_all = ["type", "name", "address", "public-address"])]
    pub from: Option<PathBuf>,

    /// Does not ask before it changes something
    #[arg(long, short, conflicts_with = "dry_run")]
    pub yes: bool,

    /// Only says what would be done. Ends with 3 if something would change
    #[arg(long)]
    pub dry_run: bool,
}

/// Which servers of the list. Without any of these, all of them.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct SelectArgs {
    /// The servers of this type
    #[arg(short = 's', long = "type", value_name = "TYPE")]
    pub kind: Option<Kind>,

    /// The server with this address
    #[arg(short, long, value_name = "ADDRESS", value_parser = address)]
    pub address: Option<Ipv4Addr>,
}

/// Arguments of the verbs that start and stop extended servers.
#[derive(Debug, Clone, Default, Args)]
pub struct ServersArgs {
    /// The cluster.
    #[command(flatten)]
    pub site: SiteArgs,

    /// The servers.
    #[command(flatten)]
    pub select: SelectArgs,

    /// Only says what would be done. Ends with 3 if something would change
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `extend upgrade`.
#[derive(Debug, Clone, Default, Args)]
pub struct ExtendUpgradeArgs {
    /// The cluster and the servers.
    #[command(flatten)]
    pub servers: ServersArgs,

    /// How many seconds to wait before a server is stopped. Disable it in the portal before, and it gets no new calls
    ///
    /// Beyond that a server has 300 s to end its calls.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub drain: Option<Duration>,

    /// Does not ask before it changes something
    #[arg(long, short, conflicts_with = "dry_run")]
    pub yes: bool,
}

/// Arguments of `extend rm`.
#[derive(Debug, Clone, Default, Args)]
pub struct ExtendRmArgs {
    /// The cluster and the servers.
    #[command(flatten)]
    pub servers: ServersArgs,

    /// Keeps the directory of the data on the machine: recordings, logs
    #[arg(long)]
    pub keep_data: bool,

    /// Removes servers from the list that cannot be reached, because their machines are gone
    #[arg(long)]
    pub forget: bool,

    /// Does not ask before it removes something
    #[arg(long, short, conflicts_with = "dry_run")]
    pub yes: bool,
}

/// The servers of `extend run`: `-s TYPE -n NAME -a ADDRESS [-A PUBLIC_ADDRESS]`, again for each other one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Triples {
    /// The options, in the order of the command line.
    pub options: Vec<(Field, String)>,
}

/// The vendor's word for the data itself.
const DISK: &str = "disk-only";

impl Triples {
    /// Whether no server is meant, but the data.
    pub fn is_disk(&self) -> bool {
        matches!(&self.options[..], [(Field::Type, word)] if word == DISK)
    }
}

impl From<&ExtendRunArgs> for GrowArgs {
    fn from(args: &ExtendRunArgs) -> GrowArgs {
        GrowArgs {
            size: None,
            site: args.site.clone(),
            profile: None,
            yes: args.yes,
            dry_run: args.dry_run,
        }
    }
}

/// Name, letter, value and help of the option of a field.
fn option(field: Field) -> (&'static str, char, &'static str, &'static str) {
    match field {
        Field::Type => ("type", 's', "TYPE", "What the server does"),
        Field::Name => (
            "name",
            'n',
            "NAME",
            "The name that the server has in the portal",
        ),
        Field::Address => (
            "address",
            'a',
            "ADDRESS|INSTANCE_ID",
            "The server's own, private address, or on AWS the id of its instance. For several servers, -s, -n and -a are \
             repeated",
        ),
        Field::PublicAddress => (
            "public-address",
            'A',
            "ADDRESS",
            "The public address of a media server that telephones on the Internet use",
        ),
    }
}

impl Args for Triples {
    fn augment_args(command: Command) -> Command {
        FIELDS.into_iter().fold(command, |command, field| {
            let (name, letter, value, help) = option(field);
            command.arg(
                Arg::new(name)
                    .short(letter)
                    .long(name)
                    .value_name(value)
                    .help(help)
                    .action(ArgAction::Append),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Triples {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut all: Vec<(usize, Field, String)> = Vec::new();
        for field in FIELDS {
            let (name, ..) = option(field);
            let places = matches.indices_of(name).into_iter().flatten();
            let values = matches.get_many::<String>(name).into_iter().flatten();
            all.extend(
                places
                    .zip(values)
                    .map(|(place, value)| (place, field, value.clone())),
            );
        }
        all.sort_by_key(|(place, ..)| *place);
        let options = all.into_iter().map(|(_, field, value)| (field, value));
        Ok(Triples {
            options: options.collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser as _;

    use super::super::{Cli, Verb};
    use super::*;
    use crate::extend::of_options;

    fn parsed(line: &str) -> Result<ExtendVerb, clap::Error> {
        let words = ["ha-ctl", "extend"].into_iter().chain(line.split(' '));
        let Verb::Extend(args) = Cli::try_parse_from(words)?.verb else {
            panic!("another verb");
        };
        Ok(args.verb)
    }

    #[test]
    fn the_vendors_lines_are_understood() {
        let line = "run -s media-server-only -n media-server-1 -a 192.168.1.21 -A 104.101.137.60 -s vr-server-only -n \
                    vr-server-1 -a 192.168.1.24";
        let ExtendVerb::Run(args) = parsed(line).unwrap() else {
            panic!("another verb");
        };
        let wanted = of_options(&args.servers.options).unwrap();
        let names: Vec<String> = wanted
            .iter()
            .map(|it| format!("{} {}", it.name, it.at))
            .collect();
        assert_eq!(
            names,
            ["media-server-1 192.168.1.21", "vr-server-1 192.168.1.24"]
        );
        let ExtendVerb::Stop(args) = parsed("stop -s ivr-server-only -a 192.168.1.24").unwrap()
        else {
            panic!("another verb");
        };
        assert_eq!(args.select.kind, Some(Kind::Ivr));
        assert!(matches!(parsed("rm").unwrap(), ExtendVerb::Rm(_)));
        for (line, is_disk) in [
            ("run -s disk-only", true),
            ("run -s media-server-only", false),
            ("run -s disk-only -n a -a 192.168.1.24", false),
        ] {
            let ExtendVerb::Run(args) = parsed(line).unwrap() else {
                panic!("another verb");
            };
            assert_eq!(args.servers.is_disk(), is_disk, "{line}");
        }
    }

    #[test]
    fn what_is_no_type_or_address_is_refused() {
        assert!(parsed("start -s disk-only").is_err());
        assert!(parsed("start -a pbx01").is_err());
        assert!(parsed("run --from servers.yml -s media-server-only").is_err());
    }
}
