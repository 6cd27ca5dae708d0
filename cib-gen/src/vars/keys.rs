//! What is known of the keys of vars.yml by their names: whose they are, what was meant by one that
//! does not exist, what to write for one.

use std::collections::BTreeSet;

use super::{KEYS, System};
use crate::mistake::{At, Code, Mistake};

/// How many nodes a cluster can have.
pub(crate) const MOST_NODES: usize = 9;

/// A key that vars.yml may have.
#[derive(Clone, Copy)]
pub(super) struct Key {
    /// As it is written. That of a node has `N` for its number: `pbx0N_hostname`.
    pub(super) name: &'static str,
    /// The system that it belongs to; `None` for both.
    pub(super) system: Option<System>,
    /// Whether the cluster cannot be built without it.
    pub(super) required: bool,
    /// A value that would be accepted. That of a node ends with what is added to its number.
    pub(super) example: &'static str,
}

/// A key of an older guide, and what became of it.
enum Old {
    Renamed(&'static str),
    /// It held a password; this says where the password belongs.
    Password(&'static str),
}

const OLD: &[(&str, Old)] = &[
    ("eip", Old::Renamed("eip_address")),
    (
        "pcs_hacluster_pwd",
        Old::Password("pcs asks for the password of hacluster (`cib-gen --format corosync`)"),
    ),
    (
        "db_pwd",
        Old::Password(
            "the database's password belongs into the file database_password beside the compose file, readable by root alone",
        ),
    ),
];

/// The node and the name without its number: `pbx02_hostname` is (2, `pbx0N_hostname`).
fn of_node(name: &str) -> Option<(usize, String)> {
    let rest = name.strip_prefix("pbx")?;
    let (number, suffix) = rest.split_once('_')?;
    let number = (number.len() == 2).then(|| number.parse().ok())??;
    Some((number, format!("pbx0N_{suffix}")))
}

/// The number of the node that a key is of, whichever key it is.
pub(super) fn node_number(name: &str) -> Option<usize> {
    let (number, general) = of_node(name)?;
    exactly(&general).map(|_| number)
}

fn exactly(name: &str) -> Option<Key> {
    let mut keys = KEYS.iter().filter(|key| key.name == name);
    let key = *keys.next()?;
    // Each system has a key `fencing`, with values of its own.
    let system = key.system.filter(|_| keys.next().is_none());
    Some(Key { system, ..key })
}

pub(super) fn named(name: &str) -> Option<Key> {
    match of_node(name) {
        Some((number, general)) if (1..=MOST_NODES).contains(&number) => exactly(&general),
        _ => exactly(name).filter(|key| !key.name.starts_with("pbx0N")),
    }
}

/// The system that a file with these keys is of: that of more of them.
pub(super) fn system<'a>(names: impl Iterator<Item = &'a str>) -> Option<System> {
    let systems = names.filter_map(|name| match name {
        "eip" => Some(System::Aws),
        name => named(name)?.system,
    });
    let (aws, lan): (Vec<_>, Vec<_>) = systems.partition(|system| *system == System::Aws);
    let more = if lan.len() > aws.len() { lan } else { aws };
    more.first().copied()
}

/// What to say of a file that has none of the keys that tell the systems apart.
pub(super) fn no_system(end: &At<()>) -> Mistake {
    let needed = |system| {
        let keys = (KEYS.iter()).filter(|k| k.required && k.system == Some(system));
        keys.flat_map(names).collect::<Vec<_>>().join(", ")
    };
    let help = format!(
        "add pbx_image and the keys of the AWS system ({}) or those of the LAN system ({})",
        needed(System::Aws),
        needed(System::Lan)
    );
    let found = "the file does not say whether the cluster is on AWS or on a LAN";
    Mistake::at(Code::NoSystem, end, found, help)
}

/// The names that a key has in a file, for the first three nodes.
pub(super) fn names(key: &Key) -> Vec<String> {
    let count = if key.name.starts_with("pbx0N") { 3 } else { 1 };
    (1..=count)
        .map(|n| key.name.replace('N', &n.to_string()))
        .collect()
}

/// A line with an accepted value for a key, by its name in the file.
pub(super) fn line(name: &str) -> String {
    let example = named(name).map_or("a value", |key| key.example);
    format!("{name}: {example}")
}

/// A good value for a key, and for each node another.
pub(super) fn stand_in(name: &str) -> Option<String> {
    let example = named(name)?.example;
    Some(match of_node(name) {
        Some((number, _)) if name.ends_with("_instance_id") => format!("i-{number:08x}"),
        _ => example.to_owned(),
    })
}

/// What to say of a key that belongs to the other system.
pub(super) fn foreign(key: &At<String>, system: System) -> Mistake {
    let name = &key.value;
    let (this, other) = match system {
        System::Aws => ("AWS", "LAN"),
        System::Lan => ("LAN", "AWS"),
    };
    let found =
        format!("`{name}` is a key of the {other} system, and this is a file of the {this} system");
    let instead = match (name.as_str(), system) {
        ("vip", System::Aws) => Some("private_vip_address"),
        ("private_vip_address", System::Lan) => Some("vip"),
        ("pbx_datapath_disk" | "pbx_datapath_size", System::Aws) => Some("ebs_volume_id"),
        _ => None,
    };
    let help = match instead {
        Some(instead) => format!("delete this line; the {this} system has `{instead}`"),
        None => "delete this line".to_owned(),
    };
    Mistake::at(Code::OtherSystem, key, found, help)
}

/// What to say of a key that does not exist.
pub(super) fn unknown(key: &At<String>) -> Mistake {
    let name = &key.value;
    let old = OLD.iter().find(|(old, _)| old == name).map(|(_, old)| old);
    let (code, found, help) = match (old, node_number(name)) {
        (Some(Old::Renamed(now)), _) => (
            Code::OtherSystem,
            format!("`{name}` is the name that older guides had for `{now}`"),
            format!("rename it to `{now}`"),
        ),
        (Some(Old::Password(place)), _) => (
            Code::Secret,
            format!("`{name}` is a password, and whoever reads this file knows it"),
            format!("delete this line; {place}"),
        ),
        (None, Some(number)) => (
            Code::NodeCount,
            format!("there is no node {number}: nodes are numbered 01 to 0{MOST_NODES}"),
            "number 3, 5, 7 or 9 nodes from pbx01 on".to_owned(),
        ),
        (None, None) => {
            let all: BTreeSet<&str> = KEYS.iter().map(|key| key.name).collect();
            let all = || format!("the keys are {}", Vec::from_iter(all).join(", "));
            let near =
                nearest(name).map(|near| format!("a key with a similar name exists: `{near}`"));
            let found = format!("`{name}` is not a key of vars.yml");
            (Code::UnknownKey, found, near.unwrap_or_else(all))
        }
    };
    Mistake::at(code, key, found, help)
}

/// The key that differs least, if it differs by a third of its letters at most, or holds
/// the word whole.
fn nearest(name: &str) -> Option<String> {
    // Nobody meant a key by a longer word, and comparing it takes time.
    if name.len() > 64 {
        return None;
    }
    let name = name.to_lowercase().replace('-', "_");
    let known: Vec<String> = KEYS.iter().flat_map(names).collect();
    let distance = |key: &String| strsim::osa_distance(key, &name);
    let near =
        (known.iter().min_by_key(|key| distance(key))).filter(|key| distance(key) <= key.len() / 3);
    let holds = |key: &&String| name.len() > 3 && key.contains(name.as_str());
    near.or_else(|| known.iter().find(holds)).cloned()
}
