//! The keys of vars.yml: the one list that the reader, the messages and the tests share.

use super::System;
use crate::mistake::{At, Code, Mistake};

/// How many nodes a cluster can have.
pub const MOST_NODES: usize = 9;

/// A key that vars.yml may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As it is written. That of a node has `N` for its number: `pbx0N_hostname`.
    pub name: &'static str,
    /// The system that it belongs to; `None` for both.
    pub system: Option<System>,
    /// Whether the cluster can not be built without it.
    pub required: bool,
    /// A value that would be accepted. That of a node ends with what is added to its number.
    pub example: &'static str,
}

const fn aws(required: bool, name: &'static str, example: &'static str) -> Key {
    Key {
        name,
        system: Some(System::Aws),
        required,
        example,
    }
}

const fn lan(required: bool, name: &'static str, example: &'static str) -> Key {
    Key {
        system: Some(System::Lan),
        ..aws(required, name, example)
    }
}

const fn both(required: bool, name: &'static str, example: &'static str) -> Key {
    Key {
        system: None,
        ..aws(required, name, example)
    }
}

const MUST: bool = true;
const MAY: bool = false;

/// Every key: those of all nodes first.
pub const KEYS: &[Key] = &[
    aws(MUST, "pbx0N_instance_id", "i-08807c762627239b8"),
    both(MAY, "pbx0N_hostname", "pbx01"),
    both(MAY, "pbx0N_private_ip", "192.168.1.131"),
    lan(MAY, "pbx0N_fencing_options", "ip=192.168.1.231"),
    aws(MAY, "private_vip_address", "172.31.16.130"),
    aws(MAY, "eip_address", "54.151.30.9"),
    aws(MUST, "eip_allocation_id", "eipalloc-02c7cf64a5cd449cf"),
    aws(MUST, "ebs_volume_id", "vol-0e06e1e9da3c49b67"),
    lan(MUST, "vip", "192.168.1.130"),
    both(MUST, "pbx_image", "portsip/pbx:22"),
    lan(MUST, "pbx_datapath_disk", "/dev/sdb"),
    lan(MUST, "pbx_datapath_size", "36G"),
    aws(
        MUST,
        "ssh_private_key_file",
        "/home/ubuntu/.ssh/aws-portsip-pbx-ha.pem",
    ),
    both(MAY, "subnet_cidr", "192.168.1.0/24"),
    aws(MAY, "vpc_cidr", "172.31.0.0/16"),
    aws(MAY, "admin_cidr", "203.0.113.0/24"),
    aws(MAY, "region", "us-west-1"),
    aws(
        MAY,
        "ebs_device",
        "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67",
    ),
    both(MAY, "fencing", "none"),
    both(MAY, "fencing_action", "off"),
    lan(MAY, "fencing_options", "lanplus=1 username=fencing"),
    both(MAY, "data_path", "/var/lib/portsip"),
    both(MAY, "sip_transport", "tcp"),
    both(MAY, "sip_port", "5063"),
    both(MAY, "web_port", "8887"),
    aws(MAY, "privip_agent", "ocf:portsip:awsvip"),
];

/// Keys of older guides, and the key or the answer that they have today.
const OLD: &[(&str, Old)] = &[
    ("eip", Old::Named("eip_address")),
    (
        "pcs_hacluster_pwd",
        Old::Password(
            "pcs asks for the password of hacluster when it is needed (`cib-gen --format corosync`)",
        ),
    ),
    (
        "db_pwd",
        Old::Password(
            "the database's password is in the file database_password beside the compose file, readable by root alone",
        ),
    ),
];

/// What has become of a key.
enum Old {
    /// It has another name.
    Named(&'static str),
    /// It held a password; where that belongs.
    Password(&'static str),
}

/// The node and the name without its number: `pbx02_hostname` is (2, `pbx0N_hostname`).
fn of_node(name: &str) -> Option<(usize, String)> {
    let rest = name.strip_prefix("pbx")?;
    let (number, suffix) = rest.split_once('_')?;
    let number = (number.len() == 2).then(|| number.parse().ok())??;
    Some((number, format!("pbx0N_{suffix}")))
}

/// The number of the node that a key is of, whichever key it is.
pub(super) fn node_number(name: &str) -> Option<usize> {
    of_node(name)
        .filter(|(_, general)| named_exactly(general).is_some())
        .map(|(number, _)| number)
}

fn named_exactly(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key of that name.
pub(super) fn named(name: &str) -> Option<&'static Key> {
    match of_node(name) {
        Some((number, general)) if (1..=MOST_NODES).contains(&number) => named_exactly(&general),
        _ => named_exactly(name).filter(|key| !key.name.starts_with("pbx0N")),
    }
}

/// The system that a file with these keys is of: that of more of them.
pub(super) fn system<'a>(names: impl Iterator<Item = &'a str>) -> Option<System> {
    let (mut aws, mut lan) = (0, 0);
    for name in names {
        match named(name).map(|key| key.system) {
            Some(Some(System::Aws)) => aws += 1,
            Some(Some(System::Lan)) => lan += 1,
            None if name == "eip" => aws += 1,
            Some(None) | None => {}
        }
    }
    match (aws, lan) {
        (0, 0) => None,
        _ if lan > aws => Some(System::Lan),
        _ => Some(System::Aws),
    }
}

/// What to say of a file that has none of the keys that tell the systems apart.
pub(super) fn no_system(end: &At<()>) -> Mistake {
    let needed = |system| {
        let keys = KEYS
            .iter()
            .filter(|k| k.required && k.system == Some(system));
        keys.flat_map(names).collect::<Vec<_>>().join(" ")
    };
    Mistake::at(
        Code::NoSystem,
        end,
        "the file says neither of AWS nor of a LAN where the cluster is",
        format!(
            "the keys of the AWS system ({}) or those of the LAN system ({}), and pbx_image",
            needed(System::Aws),
            needed(System::Lan)
        ),
    )
}

/// The names that a key has in a file, for the first three nodes.
pub fn names(key: &Key) -> Vec<String> {
    if key.name.starts_with("pbx0N") {
        (1..=3)
            .map(|n| key.name.replace('N', &n.to_string()))
            .collect()
    } else {
        vec![key.name.to_owned()]
    }
}

/// What to write for a key, by its name in the file.
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
    let (here, there) = match system {
        System::Aws => ("AWS", "LAN"),
        System::Lan => ("LAN", "AWS"),
    };
    let found =
        format!("`{name}` is a key of the {there} system, and this file is of the {here} system");
    let write = match (name.as_str(), system) {
        ("vip", System::Aws) => line("private_vip_address"),
        ("private_vip_address", System::Lan) => line("vip"),
        ("pbx_datapath_disk" | "pbx_datapath_size", System::Aws) => format!(
            "nothing; delete this line. On AWS the data is on an EBS volume: {}",
            line("ebs_volume_id")
        ),
        _ => "nothing; delete this line".to_owned(),
    };
    Mistake::at(Code::OtherSystem, key, found, write)
}

/// What to say of a key that is none.
pub(super) fn unknown(key: &At<String>) -> Mistake {
    let name = &key.value;
    let found = format!("`{name}` is not a key of vars.yml");
    if let Some((_, old)) = OLD.iter().find(|(other, _)| other == name) {
        return match old {
            Old::Named(now) => Mistake::at(
                Code::OtherSystem,
                key,
                format!("`{name}` is the name that older guides had for `{now}`"),
                line(now),
            ),
            Old::Password(instead) => Mistake::at(
                Code::Secret,
                key,
                format!("`{name}` is a password, and any reader of this file has it: {instead}"),
                "nothing; delete this line",
            ),
        };
    }
    if let Some(number) = node_number(name) {
        return Mistake::at(
            Code::NodeCount,
            key,
            format!("there is no node {number}: nodes are numbered 01 to 0{MOST_NODES}"),
            "the keys of 3, 5, 7 or 9 nodes, numbered from pbx01 on",
        );
    }
    match nearest(name) {
        Some(near) => Mistake::at(
            Code::UnknownKey,
            key,
            format!("{found}; did you mean `{near}`?"),
            line(&near),
        ),
        None => {
            let names: Vec<&str> = KEYS.iter().map(|k| k.name).collect();
            Mistake::at(
                Code::UnknownKey,
                key,
                found,
                format!("one of {}", names.join(" ")),
            )
        }
    }
}

/// The key that differs least, if it differs by a third of its letters at most, or holds
/// the word whole.
fn nearest(name: &str) -> Option<String> {
    // A word that is no name is long only by accident, and measuring it takes time.
    if name.len() > 64 {
        return None;
    }
    let name = name.to_lowercase().replace('-', "_");
    let known: Vec<String> = KEYS.iter().flat_map(names).collect();
    let distance = |key: &String| strsim::osa_distance(key, &name);
    known
        .iter()
        .min_by_key(|key| distance(key))
        .filter(|key| distance(key) <= key.len() / 3)
        .or_else(|| {
            known
                .iter()
                .find(|key| name.len() > 3 && key.contains(name.as_str()))
        })
        .cloned()
}
