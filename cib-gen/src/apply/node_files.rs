//! What is not in the CIB: Corosync's settings and the resource file of DRBD, each compared with the model, and
//! whether DRBD is in a state in which its file may be changed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::{Cluster, Drbd, Setting};

/// What differs in corosync.conf, and in what Corosync runs with.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Corosync<'a> {
    /// What pcs changes in the running cluster.
    pub totem: Vec<&'a Setting>,
    /// The same in words.
    pub changes: Vec<String>,
    /// What no command changes in a running cluster, and why.
    pub notes: Vec<String>,
}

/// Compares corosync.conf, and what corosync-cmapctl prints of the running Corosync, with a cluster.
pub fn corosync<'a>(cluster: &'a Cluster, conf: &str, running: &str) -> Corosync<'a> {
    let mut found = Corosync::default();
    let values = conf_values(conf);
    let value = |path: &str| {
        values
            .iter()
            .find(|(known, _)| known == path)
            .map(|(_, value)| value.as_str())
    };
    match value("totem.cluster_name") {
        Some(name) if name != cluster.corosync.name => {
            found.notes.push(format!(
                "the cluster is called {name} in corosync.conf, and not {}. pcs renames only a cluster that is \
                 stopped, and nothing depends on the name: it is kept",
                cluster.corosync.name
            ));
        }
        _ => {}
    }
    if let Some(transport) = value("totem.transport")
        && transport != "knet"
    {
        found.notes.push(format!(
            "corosync.conf has the transport {transport}, and not knet. A transport is chosen when a cluster is \
             set up, and pcs cannot change it: it is kept"
        ));
    }
    for member in &cluster.corosync.nodes {
        let mut addresses = values
            .iter()
            .filter(|(path, _)| path == "nodelist.node.ring0_addr");
        let address = member.address.to_string();
        if !addresses
            .any(|(_, value)| *value == address || value.eq_ignore_ascii_case(&member.name))
        {
            found.notes.push(format!(
                "corosync.conf does not have the address {address} of {}. pcs changes addresses only while the \
                 cluster is stopped: sudo pcs cluster link update 0 {}={address}",
                member.name, member.name
            ));
        }
    }
    // "totem.token (u32) = 2000"
    let running: BTreeMap<&str, &str> = running
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, value)| (key.split(' ').next().unwrap_or(key), value.trim()))
        .collect();
    for setting in &cluster.corosync.totem {
        let path = format!("totem.{}", setting.name);
        let (written, runs) = (value(&path), running.get(path.as_str()).copied());
        let wanted = Some(setting.value.as_str());
        if written == wanted && runs == wanted {
            continue;
        }
        let (file, has) = match written == wanted {
            false => ("corosync.conf", written),
            true => ("the running Corosync", runs),
        };
        let has = has.unwrap_or("Corosync's default");
        found.changes.push(format!(
            "{file}: {} {has} -> {}",
            setting.name, setting.value
        ));
        found.totem.push(setting);
    }
    let off = not_joined(&running);
    if !off.is_empty() && !found.totem.is_empty() {
        found.totem.clear();
        found.notes.push(format!(
            "left for later, because pcs changes it on all nodes at once, and these are off: {}\n    {}\n  help: \
             when they are back (sudo pcs status nodes), run apply again",
            off.join(", "),
            std::mem::take(&mut found.changes).join("\n    ")
        ));
    }
    found
}

/// The nodes of the running Corosync that are not in its membership.
fn not_joined<'a>(running: &BTreeMap<&str, &'a str>) -> Vec<&'a str> {
    let ids = running.iter().filter_map(|(key, id)| {
        let node = key
            .strip_prefix("nodelist.node.")?
            .strip_suffix(".nodeid")?;
        Some((node, *id))
    });
    let off = ids.filter(|(_, id)| {
        let status = running.get(format!("runtime.members.{id}.status").as_str());
        status != Some(&"joined")
    });
    off.map(|(node, id)| {
        let name = running.get(format!("nodelist.node.{node}.name").as_str());
        name.copied().unwrap_or(id)
    })
    .collect()
}

/// The settings of corosync.conf, each with the names of its sections.
fn conf_values(conf: &str) -> Vec<(String, String)> {
    let mut sections: Vec<&str> = Vec::new();
    let mut values = Vec::new();
    for line in conf
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
    {
        if let Some(section) = line.strip_suffix('{') {
            sections.push(section.trim());
        } else if line == "}" {
            sections.pop();
        } else if let Some((name, value)) = line.split_once(':') {
            values.push((
                format!("{}.{}", sections.join("."), name.trim()),
                value.trim().to_owned(),
            ));
        }
    }
    values
}

/// How a resource file of DRBD differs from the model.
#[derive(Debug, PartialEq, Eq)]
pub enum DrbdFile {
    /// It has every option of the model.
    Same,
    /// Only options differ that each node decides for itself. The differences, a line for each.
    Local(Vec<String>),
    /// A person has to change it.
    ByHand {
        /// The differences, a line for each.
        changes: Vec<String>,
        /// The options among them that have to be equal on all nodes.
        shared: Vec<String>,
        /// Options that the model does not have, and that a new file would lose.
        foreign: Vec<String>,
    },
    /// It names other storage or other peers. To write over that could lose the data.
    OtherStorage(Vec<String>),
}

/// The options of a connection that each node decides for itself. When two nodes connect, DRBD compares most
/// others, and ends the connection if they differ (receive_protocol and receive_SyncParam in drbd_receiver.c).
const LOCAL: [&str; 5] = [
    "connect-int",
    "ko-count",
    "ping-int",
    "rr-conflict",
    "timeout",
];

/// Compares what `drbdadm dump` prints of a resource file and of the model's one.
pub fn drbd(model: &Drbd, has: &str, wants: &str) -> DrbdFile {
    let (has, wants) = (statements(has), statements(wants));
    let (storage, wanted_storage) = (storage(&has), storage(&wants));
    if storage != wanted_storage {
        let line = |verb: &'static str| {
            move |(whose, what): &(String, String)| {
                // A value in a section of a connection may be a secret.
                let name = what.split(' ').next().filter(|_| whose.contains('/'));
                format!("{whose}: {verb} {}", name.unwrap_or(what))
            }
        };
        let gone = storage.difference(&wanted_storage).map(line("without"));
        let new = wanted_storage.difference(&storage).map(line("with"));
        return DrbdFile::OtherStorage(gone.chain(new).collect());
    }
    let (has, wants) = (options(&has), options(&wants));
    let (mut changes, mut shared, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
    for (option, value) in has.iter().chain(&wants).collect::<BTreeMap<_, _>>() {
        let (section, name) = option;
        let (old, new) = (has.get(option), wants.get(option));
        if old == new {
            continue;
        }
        if new.is_none() && !is_former(model, section, name, value) {
            foreign.push(format!("{section} {name}")); // its value may be a secret
            continue;
        }
        let [old, new] = [old, new].map(|value| value.map_or("DRBD's default", String::as_str));
        changes.push(format!("{section} {name} {old} -> {new}"));
        if section != "options" && !LOCAL.contains(&name.as_str()) {
            shared.push(format!("{section} {name}"));
        }
    }
    if changes.is_empty() {
        DrbdFile::Same
    } else if shared.is_empty() && foreign.is_empty() {
        DrbdFile::Local(changes)
    } else {
        DrbdFile::ByHand {
            changes,
            shared,
            foreign,
        }
    }
}

/// Whether cib-gen writes this option for another way of fencing.
fn is_former(model: &Drbd, section: &str, name: &str, value: &str) -> bool {
    let sections = model.otherwise.iter().filter(|other| other.name == section);
    let mut options = sections.flat_map(|other| &other.options);
    options.any(|option| option.name == name && option.value == value)
}

/// A statement of a resource: its section, its name and its value.
type Statement = (String, String, String);

fn options(statements: &[Statement]) -> BTreeMap<(String, String), String> {
    let is_option = |section: &str| {
        !section.is_empty() && !section.starts_with("on ") && !section.starts_with("connection")
    };
    let options = statements.iter().filter(|(section, ..)| is_option(section));
    options
        .map(|(section, name, value)| ((section.clone(), name.clone()), value.clone()))
        .collect()
}

/// What each host stores where, and how its peers reach it. A host has what the resource says, unless it says
/// otherwise itself.
fn storage(statements: &[Statement]) -> BTreeSet<(String, String)> {
    let mut hosts: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (section, name, value) in statements {
        if section.starts_with("on ") {
            hosts.entry(section).or_default().insert(name, value);
        } else if section.starts_with("connection") {
            all.insert((section.clone(), format!("{name} {value}")));
        }
    }
    for (_, name, value) in statements.iter().filter(|(section, ..)| section.is_empty()) {
        for host in hosts.values_mut() {
            host.entry(name).or_insert(value);
        }
    }
    for (host, settings) in hosts {
        // The path of a device may be left out. Its minor number is always there.
        let settings = settings
            .iter()
            .map(|(name, value)| match value.split_once("minor ") {
                Some((_, minor)) => format!("{name} minor {minor}"),
                None => format!("{name} {value}"),
            });
        all.extend(settings.map(|setting| (host.to_owned(), setting)));
    }
    all
}

/// The statements that `drbdadm dump` prints, one in a line. The first volume is often left out.
fn statements(dump: &str) -> Vec<Statement> {
    let mut sections: Vec<&str> = Vec::new();
    let mut statements = Vec::new();
    for line in dump.lines().map(str::trim) {
        if let Some(section) = line.strip_suffix('{') {
            sections.push(section.trim());
        } else if line == "}" {
            sections.pop();
        } else if let Some(statement) = line.strip_suffix(';') {
            let within = sections
                .iter()
                .skip(1)
                .filter(|section| **section != "volume 0");
            let within: Vec<&str> = within.copied().collect();
            let (name, value) = statement.split_once(' ').unwrap_or((statement, ""));
            let value: Vec<&str> = value.split_whitespace().collect();
            statements.push((within.join("/"), name.to_owned(), value.join(" ")));
        }
    }
    statements
}

/// What `drbdsetup status --json` says of a resource on this node.
#[derive(Debug, PartialEq, Eq)]
pub enum DrbdState {
    /// It is down.
    Down,
    /// Every copy is connected and up to date.
    Healthy,
    /// What is not, a line for each.
    Degraded(Vec<String>),
}

/// Reads what `drbdsetup status --json` prints.
///
/// # Errors
/// It is no JSON.
pub fn drbd_state(model: &Drbd, status: &str) -> Result<DrbdState, serde_json::Error> {
    let resources: Vec<Value> = serde_json::from_str(status)?;
    let Some(resource) = resources
        .iter()
        .find(|resource| resource["name"] == model.name)
    else {
        return Ok(DrbdState::Down);
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (devices, peers) = (list(&resource["devices"]), list(&resource["connections"]));
    let mut faults = Vec::new();
    if devices.is_empty()
        || devices
            .iter()
            .any(|device| device["disk-state"] != "UpToDate")
    {
        faults.push("the copy of this node is not UpToDate".to_owned());
    }
    if peers.len() + 1 < model.peers.len() {
        faults.push(format!(
            "it has {} peers of {}",
            peers.len(),
            model.peers.len() - 1
        ));
    }
    for peer in peers {
        let disks = list(&peer["peer_devices"]);
        let is_behind = |disk: &Value| disk["peer-disk-state"] != "UpToDate";
        if peer["connection-state"] != "Connected"
            || disks.is_empty()
            || disks.iter().any(is_behind)
        {
            let name = peer["name"].as_str().unwrap_or("a peer");
            faults.push(format!("{name} is not Connected and UpToDate"));
        }
    }
    Ok(if faults.is_empty() {
        DrbdState::Healthy
    } else {
        DrbdState::Degraded(faults)
    })
}

/// The commands of `drbdadm --dry-run adjust` that do more than change options: the first words of each. The rest
/// of one may be a secret.
pub fn more_than_options(commands: &str) -> Vec<String> {
    let words = |line: &str| {
        line.split_whitespace()
            .take(3)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let options = ["drbdsetup resource-options ", "drbdsetup net-options "];
    let is_more =
        |line: &String| !line.is_empty() && !options.iter().any(|only| line.starts_with(only));
    commands.lines().map(words).filter(is_more).collect()
}

/// What a person has to do with a file that apply leaves as it is.
pub fn by_hand(model: &Drbd, path: &str, file: &DrbdFile) -> Option<String> {
    let name = model.name;
    let (changes, shared, foreign) = match file {
        DrbdFile::Same | DrbdFile::Local(_) => return None,
        DrbdFile::OtherStorage(differences) => {
            return Some(format!(
                "{path} names other storage or peers than vars.yml, so it is left as it is:\n    {}\n  help: if what \
                 the file says is right, compare its options with: cib-gen --format drbd vars.yml",
                differences.join("\n    ")
            ));
        }
        DrbdFile::ByHand {
            changes,
            shared,
            foreign,
        } => (changes, shared, foreign),
    };
    let mut why = String::new();
    if !shared.is_empty() {
        why += &format!(
            "\n  these have to be equal on all nodes, or DRBD ends the connection between two of them: {}",
            shared.join(", ")
        );
    }
    let write = if foreign.is_empty() {
        format!("cib-gen --format drbd vars.yml | sudo tee {path}")
    } else {
        why += &format!(
            "\n  it has options that vars.yml does not know, and a file of cib-gen's would lose them: {}",
            foreign.join(", ")
        );
        format!("sudoedit {path}")
    };
    let nodes: Vec<&str> = model.peers.iter().map(|peer| peer.name.as_str()).collect();
    Some(format!(
        "{path} is left as it is. What differs from vars.yml:\n    {}{why}\n  help: on {}, while `sudo drbdadm \
         status {name}` shows every peer Connected and UpToDate:\n    \
         1. on every node: {write}\n    \
         2. on every node, to see what the next step runs: sudo drbdadm --dry-run adjust {name}\n    \
         3. on one node right after the other: sudo drbdadm adjust {name}\n    \
         4. only where `sudo drbdadm status {name}` shows StandAlone: sudo drbdadm connect {name}",
        changes.join("\n    "),
        nodes.join(", ")
    ))
}
