//! What is not in the CIB: Corosync's settings and the resource file of DRBD, each compared with the model, and
//! whether DRBD is in a state in which its file may be changed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::{Cluster, Drbd, Setting};
use crate::vars::DrbdVersion;

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
    let off: Vec<&str> = running
        .iter()
        .filter_map(|(key, id)| {
            let node = key
                .strip_prefix("nodelist.node.")?
                .strip_suffix(".nodeid")?;
            let name = running.get(&*format!("nodelist.node.{node}.name"));
            let status = running.get(&*format!("runtime.members.{id}.status"));
            (status != Some(&"joined")).then_some(*name.unwrap_or(id))
        })
        .collect();
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

/// The settings of corosync.conf, each with the names of its sections.
pub fn conf_values(conf: &str) -> Vec<(String, String)> {
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
    /// A person has to change it, or leave it: what differs, why, and the commands.
    ByHand(String),
}

/// The options of a connection that each node decides for itself. When two nodes connect, DRBD compares most
/// others, and ends the connection if they differ (receive_protocol and receive_SyncParam in drbd_receiver.c).
const LOCAL: [&str; 7] = [
    "disk c-min-rate",
    "disk fencing",
    "net connect-int",
    "net ko-count",
    "net ping-int",
    "net rr-conflict",
    "net timeout",
];

/// Compares what `drbdadm dump` prints of a resource file and of the model's one.
pub fn drbd(model: &Drbd, path: &str, has: &str, wants: &str) -> DrbdFile {
    let (has, wants) = (statements(has), statements(wants));
    let (stored, to_store) = (storage(&has), storage(&wants));
    if stored != to_store {
        let differences = stored.symmetric_difference(&to_store).map(|line| {
            let side = if stored.contains(line) {
                "the file"
            } else {
                "vars.yml"
            };
            format!("\n    {side}: {line}")
        });
        return DrbdFile::ByHand(format!(
            "{path} names other storage or peers than vars.yml, so it is left as it is:{}\n  help: if what the file \
             says is right, compare its options with: cib-gen --format drbd vars.yml",
            differences.collect::<String>()
        ));
    }
    let (has, wants) = (options(&has), options(&wants));
    let (mut changes, mut shared, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
    for (option, value) in has.iter().chain(&wants).collect::<BTreeMap<_, _>>() {
        let values = [has.get(option), wants.get(option)];
        match values {
            [old, new] if old == new => {}
            // Its value may be a secret.
            [_, None] if !is_former(model, option, value) => foreign.push(option.as_str()),
            _ => {
                let [old, new] = values.map(|value| value.map_or("DRBD's default", String::as_str));
                changes.push(format!("{option} {old} -> {new}"));
                let of_node = ["options ", "handlers "];
                if !of_node.iter().any(|section| option.starts_with(section))
                    && !LOCAL.contains(&option.as_str())
                {
                    shared.push(option.as_str());
                }
            }
        }
    }
    if changes.is_empty() {
        DrbdFile::Same
    } else if shared.is_empty() && foreign.is_empty() {
        DrbdFile::Local(changes)
    } else {
        DrbdFile::ByHand(by_hand(model, path, &changes, &shared, &foreign))
    }
}

/// The commands for a file that apply does not write: options that have to be equal on all nodes, or options that
/// the model does not have.
fn by_hand(
    model: &Drbd,
    path: &str,
    changes: &[String],
    shared: &[&str],
    foreign: &[&str],
) -> String {
    let (name, status) = (model.name, model.status_command());
    let mut why = String::new();
    if !shared.is_empty() {
        why += "\n  these have to be equal on all nodes, or DRBD ends the connection between two of them: ";
        why += &shared.join(", ");
    }
    let mut write = format!("cib-gen --format drbd vars.yml | sudo tee {path}");
    if !foreign.is_empty() {
        why += "\n  it has options that vars.yml does not know, and a file of cib-gen's would lose them: ";
        why += &foreign.join(", ");
        write = format!("sudoedit {path}");
    }
    let nodes: Vec<&str> = model.peers.iter().map(|peer| peer.name.as_str()).collect();
    format!(
        "{path} is left as it is. What differs from vars.yml:\n    {}{why}\n  help: on {}, while `{status}` shows every peer Connected and UpToDate:\n    \
         1. on every node: {write}\n    \
         2. on every node, to see what the next step runs: sudo drbdadm --dry-run adjust {name}\n    \
         3. on one node right after the other: sudo drbdadm adjust {name}\n    \
         4. only where `{status}` shows StandAlone: sudo drbdadm connect {name}",
        changes.join("\n    "),
        nodes.join(", ")
    )
}

/// Whether cib-gen writes this option for another way of fencing.
fn is_former(model: &Drbd, option: &str, value: &str) -> bool {
    let mut sections = model.otherwise.iter();
    sections.any(|section| {
        let mut options = section.options.iter();
        options.any(|other| {
            option == format!("{} {}", section.name, other.name) && value == other.value
        })
    })
}

/// A statement of a resource: its section, its name and its value.
type Statement = (String, String, String);

/// What each host stores where, and how its peers reach it. A host has what the resource says, unless it says
/// otherwise itself.
fn storage(statements: &[Statement]) -> BTreeSet<String> {
    let mut hosts: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (section, name, value) in statements {
        if section.starts_with("on ") {
            hosts.entry(section).or_default().insert(name, value);
        } else if section.starts_with("connection/") || section.starts_with("connection-mesh/") {
            all.insert(format!("{section}: {name}")); // its value may be a secret
        } else if section.starts_with("connection") {
            all.insert(format!("{section}: {name} {value}"));
        }
    }
    for (_, name, value) in statements.iter().filter(|(section, ..)| section.is_empty()) {
        for host in hosts.values_mut() {
            host.entry(name).or_insert(value);
        }
    }
    for (host, settings) in hosts {
        for (name, value) in settings {
            // The path of a device may be left out. Its minor number is always there.
            let value = value.find("minor ").map_or(value, |at| &value[at..]);
            all.insert(format!("{host}: {name} {value}"));
        }
    }
    all
}

/// The options, "section name", with their values.
fn options(statements: &[Statement]) -> BTreeMap<String, String> {
    let options = statements.iter().filter(|(section, ..)| {
        !section.is_empty() && !section.starts_with("on ") && !section.starts_with("connection")
    });
    options
        .map(|(section, name, value)| (format!("{section} {name}"), value.clone()))
        .collect()
}

/// The statements that `drbdadm dump` prints, one in a line. The first volume is often left out.
fn statements(dump: &str) -> Vec<Statement> {
    let mut sections: Vec<&str> = Vec::new();
    let mut statements = Vec::new();
    for line in dump.lines().map(str::trim) {
        if let Some(section) = line.strip_suffix(" {") {
            sections.push(section);
        } else if line == "}" {
            sections.pop();
        } else if let Some(statement) = line.strip_suffix(';') {
            let within = sections
                .iter()
                .skip(1)
                .filter(|section| **section != "volume 0");
            let within: Vec<&str> = within.copied().collect();
            let (name, value) = statement.split_once(' ').unwrap_or((statement, ""));
            statements.push((within.join("/"), name.to_owned(), value.trim().to_owned()));
        }
    }
    statements
}

/// Whether every copy of a resource is connected and up to date, as `drbdsetup status --json` prints it, or the
/// file /proc/drbd of DRBD 8.4. None, if the resource is down on this node.
///
/// # Errors
/// It is no JSON.
pub fn is_healthy(model: &Drbd, status: &str) -> Result<Option<bool>, serde_json::Error> {
    if model.version == DrbdVersion::EightFour {
        return Ok(is_healthy_84(model, status));
    }
    let resources: Vec<Value> = serde_json::from_str(status)?;
    let resource = resources
        .iter()
        .find(|resource| resource["name"] == model.name);
    let (mut left, mut states) = (Vec::from_iter(resource), Vec::new());
    while let Some(value) = left.pop() {
        left.extend(value.as_array().into_iter().flatten());
        for (key, value) in value.as_object().into_iter().flatten() {
            match (key.as_str(), value.as_str()) {
                ("connection-state" | "disk-state" | "peer-disk-state", Some(state)) => {
                    states.push(state)
                }
                _ => left.push(value),
            }
        }
    }
    // The state of the own disk, and two for each peer.
    let all = states.len() + 1 == 2 * model.peers.len();
    let good = states
        .iter()
        .all(|state| ["Connected", "UpToDate"].contains(state));
    Ok(resource.map(|_| all && good))
}

/// ` 1: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----`, a line for each device.
fn is_healthy_84(model: &Drbd, proc_drbd: &str) -> Option<bool> {
    let minor = format!("{}: ", model.minor);
    let mut lines = proc_drbd.lines().map(str::trim_start);
    let state = lines.find_map(|line| line.strip_prefix(&minor))?;
    let has = |word| state.split(' ').any(|has| has == word);
    (!has("cs:Unconfigured")).then(|| has("cs:Connected") && has("ds:UpToDate/UpToDate"))
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
    let options = [
        "resource-options ",
        "net-options ",
        "disk-options ",
        "peer-device-options ",
    ];
    let of_options = |line: &str| {
        let command = line.strip_prefix("drbdsetup ");
        let command = command.or_else(|| line.strip_prefix("drbdsetup-84 "));
        command.is_some_and(|command| options.iter().any(|only| command.starts_with(only)))
    };
    let is_more = |line: &String| !line.is_empty() && !of_options(line);
    commands.lines().map(words).filter(is_more).collect()
}
