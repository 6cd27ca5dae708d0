//! Which machines the cluster has and where they are: from vars.yml, from the command line, or from the cluster that
//! runs on this machine.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cib_gen::Vars;
use cib_gen::apply::node_files::conf_values;
use cib_gen::nodes::GivenNode;
use cib_gen::vars::{MOST_BYTES, Topology};

use crate::exit::Failure;
use crate::output::say;

/// Where vars.yml is looked for: where this package has it, then where the vendor's kit is unpacked.
pub const DEFAULT_VARS: [&str; 2] = [
    "/etc/portsip/vars.yml",
    "/opt/portsip-pbx-ha-guide/res/vars.yml",
];
const COROSYNC_CONF: &str = "/etc/corosync/corosync.conf";

/// One machine of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name in the cluster.
    pub name: String,
    /// Its own address, where it is known.
    pub address: Option<String>,
    /// Whether this is the machine where ha-ctl runs.
    pub is_here: bool,
}

impl Machine {
    /// Where ssh connects to.
    pub fn host(&self) -> String {
        self.address.clone().unwrap_or_else(|| self.name.clone())
    }
}

/// The machines, and what vars.yml says of them.
#[derive(Debug)]
pub struct Inventory {
    /// In the order of vars.yml, or of corosync.conf.
    pub machines: Vec<Machine>,
    /// The file and what it says, if there is one.
    pub vars: Option<(PathBuf, Vars)>,
}

/// What is known of this machine.
#[derive(Debug, Clone, Default)]
pub struct Here {
    /// `uname -n`.
    pub hostname: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its corosync.conf.
    pub corosync_conf: Option<String>,
}

impl Here {
    /// Looks at this machine.
    pub fn look() -> Here {
        let addresses = nix::ifaddrs::getifaddrs().into_iter().flatten();
        let addresses = addresses.filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|it| IpAddr::from(it.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::from(it.ip())))
        });
        let hostname = nix::unistd::gethostname().unwrap_or_default();
        Here {
            hostname: hostname.to_string_lossy().into_owned(),
            addresses: addresses.collect(),
            corosync_conf: fs::read_to_string(COROSYNC_CONF).ok(),
        }
    }

    fn is(&self, name: &str, address: Option<&str>) -> bool {
        match address.and_then(|address| address.parse::<IpAddr>().ok()) {
            Some(address) => !address.is_loopback() && self.addresses.contains(&address),
            None => name == self.hostname,
        }
    }
}

impl Inventory {
    /// From a vars.yml, the nodes of `--nodes`, and this machine.
    ///
    /// # Errors
    /// The file has mistakes (each with its line), or nothing says which machines the cluster has.
    pub fn find(
        file: Option<&Path>,
        given: &[GivenNode],
        here: &Here,
    ) -> Result<Inventory, Failure> {
        match file {
            Some(file) => {
                let vars = read(file)?;
                Inventory::of(Some((file.to_owned(), vars)), given, here)
            }
            None => {
                // What cannot be looked for may be there.
                let mut files = DEFAULT_VARS.iter().map(PathBuf::from);
                let file = files.find(|file| !matches!(file.try_exists(), Ok(false)));
                Inventory::by_default(file, given, here)
            }
        }
    }

    /// A file that nobody has named is not needed where the cluster itself says which machines it has.
    fn by_default(
        file: Option<PathBuf>,
        given: &[GivenNode],
        here: &Here,
    ) -> Result<Inventory, Failure> {
        let Some(file) = file else {
            return Inventory::of(None, given, here);
        };
        let vars = read(&file).map(|vars| (file.clone(), vars));
        let failure = match vars.and_then(|vars| Inventory::of(Some(vars), given, here)) {
            Err(failure) => failure,
            inventory => return inventory,
        };
        let without = Inventory::of(None, given, here).map_err(|_| failure.clone())?;
        // On a node only root may read it, which is no fault of anything.
        if is_readable(&file) {
            let why = failure.text.lines().next().unwrap_or_default();
            let why = why.trim_start_matches("error: ");
            say(&format!("goes on without {}: {why}", file.display()));
        }
        Ok(without)
    }

    /// From what was read.
    ///
    /// # Errors
    /// Nothing says which machines the cluster has.
    pub fn of(
        vars: Option<(PathBuf, Vars)>,
        given: &[GivenNode],
        here: &Here,
    ) -> Result<Inventory, Failure> {
        // A cluster that this machine is no member of, such as the distribution's sample, says nothing.
        let conf = here.corosync_conf.as_deref();
        let members = conf.map(members).unwrap_or_default();
        let is_member = members
            .iter()
            .any(|(name, address)| here.is(name, address.as_deref()));
        let named = match &vars {
            _ if !given.is_empty() => {
                let given = given.iter();
                given
                    .map(|node| (node.name.to_string(), Some(node.address.to_string())))
                    .collect()
            }
            Some((_, vars)) if !vars.lacks_nodes() => written(vars),
            _ if is_member => members,
            _ => Vec::new(),
        };
        let count = vars.as_ref().map(|(_, vars)| vars.node_count());
        if named.is_empty() || count.is_some_and(|count| count != named.len()) {
            return Err(unknown(
                vars.as_ref().map(|(file, _)| file.as_path()),
                count,
                named.len(),
            ));
        }
        let machines = named.into_iter().map(|(name, address)| Machine {
            is_here: here.is(&name, address.as_deref()),
            name,
            address,
        });
        Ok(Inventory {
            machines: machines.collect(),
            vars,
        })
    }

    /// The key that vars.yml names.
    pub fn key(&self) -> Option<PathBuf> {
        let (_, vars) = self.vars.as_ref()?;
        match &vars.topology {
            Topology::Aws(aws) => Some(PathBuf::from(aws.ssh_private_key_file.value.to_string())),
            Topology::Lan(_) => None,
        }
    }
}

/// Names and addresses as vars.yml has them.
fn written(vars: &Vars) -> Vec<(String, Option<String>)> {
    let both = vars.shared.hostnames.iter().zip(&vars.shared.private_ips);
    both.filter_map(|(name, address)| {
        let (name, address) = (name.as_ref()?, address.as_ref()?);
        Some((name.value.to_string(), Some(address.value.to_string())))
    })
    .collect()
}

/// Names and addresses of the nodes of a corosync.conf.
fn members(conf: &str) -> Vec<(String, Option<String>)> {
    let values = conf_values(conf);
    let all = |path: &str| -> Vec<String> {
        let found = values.iter().filter(|(known, _)| known == path);
        found.map(|(_, value)| value.clone()).collect()
    };
    let (names, addresses) = (all("nodelist.node.name"), all("nodelist.node.ring0_addr"));
    match names.len() == addresses.len() {
        true => names
            .into_iter()
            .zip(addresses.into_iter().map(Some))
            .collect(),
        // Which address is whose is not said: the names have to lead to the nodes.
        false => names.into_iter().map(|name| (name, None)).collect(),
    }
}

fn unknown(file: Option<&Path>, count: Option<usize>, found: usize) -> Failure {
    let help = "help: run ha-ctl on a node of the cluster, or name the nodes: --nodes NAME=ADDRESS,NAME=ADDRESS,... \
                (pbx01 first), or write pbx01_hostname and pbx01_private_ip and so on into vars.yml";
    let text = match (file, count) {
        (Some(file), Some(count)) if found > 0 => {
            format!(
                "{} has {count} nodes, and {found} are known\n  {help}",
                file.display()
            )
        }
        (Some(file), _) => format!(
            "{} does not say how the nodes are called and where they are, and this machine is none of them\n  {help}",
            file.display()
        ),
        (None, _) => format!(
            "which cluster? There is no vars.yml ({}), and this machine is no node of a cluster\n  {help}",
            DEFAULT_VARS.join(", ")
        ),
    };
    Failure::usage(text)
}

/// The vars.yml that is meant where none is named.
pub fn default_file() -> Option<PathBuf> {
    let mut files = DEFAULT_VARS.iter().map(PathBuf::from);
    files.find(|file| file.exists())
}

/// Whether this user can read a file, as root if sudo asks for nothing.
fn is_readable(file: &Path) -> bool {
    bytes(file).is_ok()
}

/// Reads a vars.yml.
///
/// # Errors
/// It cannot be read, or has mistakes (each with its line).
pub fn read(file: &Path) -> Result<Vars, Failure> {
    let name = file.display().to_string();
    parse(&name, &text(file)?)
}

/// What a vars.yml has in it.
///
/// # Errors
/// It cannot be read.
pub fn text(file: &Path) -> Result<Vec<u8>, Failure> {
    bytes(file).map_err(|error| {
        let help = match error.kind() {
            io::ErrorKind::PermissionDenied => "\n  help: run ha-ctl with sudo",
            _ => "",
        };
        Failure::usage(format!("could not read {}: {error}{help}", file.display()))
    })
}

/// The vars.yml that has this in it.
///
/// # Errors
/// It has mistakes, each with its line.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Vars, Failure> {
    Vars::parse(name, bytes).map_err(|mistakes| Failure::usage(mistakes.to_string().trim_end()))
}

/// On a node that ha-ctl has deployed, only root may read vars.yml.
fn bytes(file: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let most = MOST_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read = fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mut sudo = std::process::Command::new("sudo");
            sudo.args(["-n", "head", "--bytes", &most.to_string(), "--"]);
            match sudo.arg(file).stdin(std::process::Stdio::null()).output() {
                Ok(output) if output.status.success() => Ok(output.stdout),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "inventory_tests.rs"]
mod tests;
