//! The commands that `apply` runs, as data, and the versions of a CIB, by which a change is refused that
//! would overwrite another one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::cluster::Setting;
use crate::xml::Element;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The program.
    pub tool: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Seconds that it may take.
    pub limit: u32,
}

/// How many seconds a tool may take. Most take a fraction of a second.
pub const LIMIT: u32 = 60;

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.tool, self.arguments.join(" "))
    }
}

fn invocation(tool: &'static str, arguments: &[&str]) -> Invocation {
    Invocation {
        tool,
        arguments: arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect(),
        limit: LIMIT,
    }
}

/// Asks for the CIB.
pub fn query() -> Invocation {
    invocation("cibadmin", &["--query"])
}

/// Checks a CIB file. It ends with an error for a warning too.
pub fn verify(cib: &Path) -> Invocation {
    invocation(
        "crm_verify",
        &["--verbose", "--xml-file", &cib.to_string_lossy()],
    )
}

/// Prints the patch from one CIB file to another; it ends with 1 if they differ.
pub fn difference(old: &Path, new: &Path) -> Invocation {
    let (old, new) = (old.to_string_lossy(), new.to_string_lossy());
    invocation("crm_diff", &["--original", &old, "--new", &new])
}

/// Applies a patch. It is refused unless the CIB has the version that the patch was made from.
pub fn patch(file: &Path) -> Invocation {
    invocation(
        "cibadmin",
        &["--patch", "--xml-file", &file.to_string_lossy()],
    )
}

/// Deletes what the cluster knows of a resource, so that each node probes it.
pub fn probe_anew(resource: &str) -> Invocation {
    invocation("crm_resource", &["--refresh", "--resource", resource])
}

/// Has one of our agents say whether it could run on this node with these parameters. It changes nothing, and takes at
/// most 20 seconds.
pub fn validate(agent: &str, parameters: &BTreeMap<String, String>) -> Invocation {
    let of = [
        "--validate=10",
        "--class",
        "ocf",
        "--provider",
        "portsip",
        "--agent",
        agent,
    ];
    let mut command = invocation("crm_resource", &of);
    // crm_resource does not take an empty value, and to an agent it is the same as none.
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        command
            .arguments
            .extend(["--option".to_owned(), format!("{name}={value}")]);
    }
    command
}

/// Prints the image from which this node's containers of the PBX were made.
pub fn image_of_containers() -> Invocation {
    let format = "{{.Config.Image}}";
    let mut command = invocation(
        "docker",
        &["inspect", "--format", format, "portsip.callmanager"],
    );
    command.limit = 5;
    command
}

/// Waits until Pacemaker has nothing more to do. Shorter than the limit for every command.
pub fn settle() -> Invocation {
    invocation("crm_resource", &["--wait", "--timeout=50"])
}

/// Changes totem settings of the running cluster, on all its nodes. pcs gives each node a minute for each of three
/// requests; if it were ended between two nodes, their files would differ.
pub fn update_totem(settings: &[&Setting]) -> Invocation {
    let mut command = invocation("pcs", &["cluster", "config", "update", "totem"]);
    command.limit = 300;
    let words = settings
        .iter()
        .map(|setting| format!("{}={}", setting.name, setting.value));
    command.arguments.extend(words);
    command
}

/// Prints what Corosync runs with.
pub fn corosync_map() -> Invocation {
    invocation("corosync-cmapctl", &[])
}

/// Asks every node for its SBD and prints [`Sbd`](super::watchdog::Sbd) of each. `pcs stonith sbd config` shows the
/// timeout of one node only, so pcs's own library is asked. A node that is off takes two times the limit in it.
pub fn sbd_of_nodes() -> Invocation {
    // Isolated: nothing of the directory that root happens to be in is imported.
    invocation("python3", &["-I", "-c", include_str!("sbd_of_nodes.py")])
}

/// Prints a resource of DRBD as its files have it, or as another file has it.
pub fn dump(resource: &str, file: Option<&Path>) -> Invocation {
    let file = file.map(|file| format!("--config-file={}", file.display()));
    let words: Vec<&str> = file
        .iter()
        .map(String::as_str)
        .chain(["dump", resource])
        .collect();
    invocation("drbdadm", &words)
}

/// Prints the state of DRBD on this node.
pub fn drbd_status() -> Invocation {
    invocation("drbdsetup", &["status", "--json"])
}

/// Has DRBD on this node follow its resource file.
pub fn adjust(resource: &str) -> Invocation {
    invocation("drbdadm", &["adjust", resource])
}

/// Prints the commands of [`adjust`], and runs none.
pub fn adjust_dry_run(resource: &str) -> Invocation {
    invocation("drbdadm", &["--dry-run", "adjust", resource])
}

/// The version of a configuration: `admin_epoch` and `epoch`. A mere change of the status leaves it.
pub fn version(cib: &Element) -> (u64, u64) {
    let number = |name| {
        cib.get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    (number("admin_epoch"), number("epoch"))
}

/// A CIB with another configuration, as the next version.
pub fn next(cib: &Element, configuration: &Element) -> Element {
    let mut next = cib.clone();
    next.set("epoch", &(version(cib).1 + 1).to_string());
    configuration.clone_into(next.child_or_new("configuration"));
    next
}

/// What crm_verify is asked about: the configuration alone. That a node is off is a warning to crm_verify, and
/// no mistake in the configuration.
pub fn without_nodes(cib: &Element) -> Element {
    let mut cib = cib.clone();
    cib.child_or_new("status").children.clear();
    let configuration = cib.child_or_new("configuration");
    configuration.child_or_new("nodes").children.clear();
    // Where SBD runs, the cluster sets this itself. A file need not have it.
    let properties = configuration.child_or_new("crm_config");
    let has =
        |properties: &Element, name| properties.all().iter().any(|pair| pair.is("name", name));
    if has(properties, crate::render::WATCHDOG_TIMEOUT) && !has(properties, "have-watchdog") {
        let pair = [
            ("id", "verify-watchdog"),
            ("name", "have-watchdog"),
            ("value", "true"),
        ];
        let set = properties.child_or_new("cluster_property_set");
        set.children.push(Element::new("nvpair", &pair));
    }
    cib
}
