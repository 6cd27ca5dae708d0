//! What is not in the CIB: corosync.conf, and the resource file of DRBD. Both are compared with the model
//! word by word; comments and the order of settings mean nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::{Cluster, Drbd, Setting};
use crate::render;

/// What differs in corosync.conf.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Corosync<'a> {
    /// What pcs changes in the running cluster.
    pub totem: Vec<&'a Setting>,
    /// The same in words.
    pub changes: Vec<String>,
    /// What no command changes in a running cluster, and why.
    pub notes: Vec<String>,
}

/// Compares corosync.conf with a cluster.
pub fn corosync<'a>(cluster: &'a Cluster, conf: &str) -> Corosync<'a> {
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
    for setting in &cluster.corosync.totem {
        let has = value(&format!("totem.{}", setting.name));
        if has != Some(setting.value.as_str()) {
            let has = has.unwrap_or("Corosync's default");
            found.changes.push(format!(
                "corosync.conf: {} {has} -> {}",
                setting.name, setting.value
            ));
            found.totem.push(setting);
        }
    }
    found
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
    /// It means the same.
    Same,
    /// Only options differ, which DRBD follows while it runs.
    Options {
        /// The file as it should be.
        wanted: String,
        /// The differences, a line for each.
        changes: Vec<String>,
    },
    /// It names other storage or other peers. To write over that could lose the data.
    OtherStorage(Vec<String>),
}

/// Compares a resource file with the model.
pub fn drbd(model: &Drbd, warnings: &[String], file: &str) -> DrbdFile {
    let wanted = render::drbd(model, warnings);
    let (has, wants) = (statements(file), statements(&wanted));
    let (storage, wanted_storage) = (storage(&has), storage(&wants));
    if storage != wanted_storage {
        let lines = differences(&storage, &wanted_storage);
        return DrbdFile::OtherStorage(lines.collect());
    }
    let is_option =
        |(path, _): &&(String, String)| !path.contains("/on ") && !path.contains("/connection");
    let options = |all: &[(String, String)]| -> BTreeSet<(String, String)> {
        let options = all
            .iter()
            .filter(is_option)
            .filter(|(_, statement)| !is_storage(statement));
        options.cloned().collect()
    };
    let (has, wants) = (options(&has), options(&wants));
    if has == wants {
        return DrbdFile::Same;
    }
    let changes = differences(&has, &wants).collect();
    DrbdFile::Options { wanted, changes }
}

fn differences<'a>(
    has: &'a BTreeSet<(String, String)>,
    wants: &'a BTreeSet<(String, String)>,
) -> impl Iterator<Item = String> + 'a {
    let line = |verb: &'static str| {
        move |(path, statement): &(String, String)| format!("{path}: {verb} {statement}")
    };
    let gone = has.difference(wants).map(line("without"));
    gone.chain(wants.difference(has).map(line("with")))
}

fn is_storage(statement: &str) -> bool {
    let word = statement.split(' ').next().unwrap_or_default();
    ["device", "disk", "meta-disk", "address", "node-id"].contains(&word)
}

/// What each host stores where, and how its peers reach it. A host has what the resource says, unless it says
/// otherwise itself.
fn storage(statements: &[(String, String)]) -> BTreeSet<(String, String)> {
    let mut hosts: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    for (path, statement) in statements {
        if let (Some((_, host)), Some((name, value))) =
            (path.split_once("/on "), statement.split_once(' '))
        {
            hosts
                .entry(host)
                .or_default()
                .insert(name, value.to_owned());
        }
    }
    for (path, statement) in statements {
        if let (false, true, Some((name, value))) = (
            path.contains('/'),
            is_storage(statement),
            statement.split_once(' '),
        ) {
            for host in hosts.values_mut() {
                host.entry(name).or_insert_with(|| value.to_owned());
            }
        }
    }
    let all = hosts.into_iter().flat_map(|(host, settings)| {
        settings.into_iter().map(move |(name, value)| {
            // The minor number is in the name of the device too.
            let value = value.split(" minor ").next().unwrap_or_default();
            let value = value.strip_prefix("ipv4 ").unwrap_or(value);
            (host.to_owned(), format!("{name} {value}"))
        })
    });
    let connections = statements
        .iter()
        .filter(|(path, _)| path.contains("/connection"));
    all.chain(connections.cloned()).collect()
}

/// The statements of a file, each with the names of its sections.
fn statements(file: &str) -> Vec<(String, String)> {
    let mut sections: Vec<String> = Vec::new();
    let mut statements = Vec::new();
    let mut said = String::new();
    for line in file.lines() {
        for c in line
            .split('#')
            .next()
            .unwrap_or_default()
            .chars()
            .chain(['\n'])
        {
            if !matches!(c, '{' | ';' | '}') {
                said.push(c);
                continue;
            }
            let words = said
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .replace('"', "");
            match c {
                '{' => sections.push(words),
                ';' => statements.push((sections.join("/"), words)),
                _ => drop(sections.pop()),
            }
            said.clear();
        }
    }
    statements
}
