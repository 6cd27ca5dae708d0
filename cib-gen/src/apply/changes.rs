//! The difference between two configurations, in words: a line for each thing that differs.

use std::collections::BTreeMap;

use super::merge::{agent_of, check_level, operations};
use super::pairs::{boolean, pairs, property, section};
use crate::xml::Element;

/// What the new configuration has that the old has not, or has otherwise.
pub(super) fn changes(old: &Element, new: &Element) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, set, called) in [
        ("crm_config", "cluster_property_set", "property "),
        ("rsc_defaults", "meta_attributes", "default "),
    ] {
        let [old, new] = [old, new].map(|of| values(section(of, name), set));
        lines.extend(differences(&old, &new, called));
    }
    let [old_resources, new_resources] = [old, new].map(|of| section(of, "resources"));
    for resource in new_resources.all() {
        let id = id(resource);
        match (resource.name.as_str(), same(old_resources, resource)) {
            ("primitive", None) => lines.push(format!("{id}: new, {}", agent_of(resource))),
            ("clone", None) => {
                let of = clone_of(resource);
                lines.push(
                    match parent(old_resources, of).and_then(|old| old.get("id")) {
                        Some(old) => format!("{old}: renamed to {id}, which restarts nothing"),
                        None => format!("{id}: new, promotable clone of {of}"),
                    },
                );
            }
            ("primitive" | "clone", Some(old)) => {
                let (before, after) = (agent_of(old), agent_of(resource));
                if before != after {
                    lines.push(format!("{id}: {before} -> {after}"));
                }
                for set in ["instance_attributes", "meta_attributes"] {
                    let [old, new] = [old, resource].map(|of| values(of, set));
                    lines.extend(differences(&old, &new, &format!("{id}: ")));
                }
                lines.extend(of_operations(id, old, resource));
            }
            _ => {}
        }
    }
    for gone in old.all() {
        let called = match gone.name.as_str() {
            "primitive" | "group" => "",
            "clone" | "master" if parent(new_resources, clone_of(gone)).is_none() => "",
            "fencing-level" => "fencing level ",
            "tag" => "tag ",
            name if name.starts_with("rsc_") => "constraint ",
            _ => continue,
        };
        if same(new, gone).is_none() {
            lines.push(format!("{called}{}: deleted", id(gone)));
        }
    }
    for constraint in &section(new, "constraints").children {
        let (id, after) = (id(constraint), in_words(constraint));
        match same(old, constraint).map(in_words) {
            None => lines.push(format!("constraint {id}: new")),
            Some(before) if before == after => {}
            Some(before) => lines.push(format!("constraint {id}: {before} -> {after}")),
        }
    }
    lines
}

/// What a change takes away from fencing. The user has to agree to that.
pub(super) fn less_fencing(old: &Element, new: &Element) -> Vec<String> {
    let is_enabled = |of| property(of, "stonith-enabled").and_then(boolean) != Some(false);
    let mut lines = Vec::new();
    if is_enabled(old) && !is_enabled(new) {
        lines.push("stonith-enabled becomes false, and no node is fenced any more".to_owned());
    }
    let devices = |of: &Element| of.get("devices").unwrap_or_default().to_owned();
    let is_fencing = |one: &&Element| one.is("class", "stonith") || one.name == "fencing-level";
    for one in old.all().into_iter().filter(is_fencing) {
        let (id, before) = (id(one), devices(one));
        match same(new, one).map(devices) {
            None if one.name == "primitive" => {
                lines.push(format!("the fencing device {id} is deleted"));
            }
            None => lines.push(format!("the fencing level {id} is deleted")),
            Some(left) if left == before => {}
            Some(left) => lines.push(format!(
                "the fencing level {id} has the devices {left} left, of {before}"
            )),
        }
    }
    lines
}

fn id(element: &Element) -> &str {
    element.get("id").unwrap_or_default()
}

/// The element of the same kind and id below another.
fn same<'a>(all: &'a Element, one: &Element) -> Option<&'a Element> {
    let mut all = all.all().into_iter();
    all.find(|other| other.name == one.name && other.get("id") == one.get("id"))
}

/// The clone of a primitive, if it is in one.
pub(super) fn parent<'a>(resources: &'a Element, primitive: &str) -> Option<&'a Element> {
    let is_clone = |e: &&Element| matches!(e.name.as_str(), "clone" | "master");
    let mut clones = resources.all().into_iter().filter(is_clone);
    clones.find(|clone| clone.children("primitive").any(|p| p.is("id", primitive)))
}

/// The primitive in a clone.
fn clone_of(clone: &Element) -> &str {
    id(section(clone, "primitive"))
}

pub(super) type Values = BTreeMap<String, String>;

/// What the pairs directly in an element say.
pub(super) fn values(element: &Element, set: &str) -> Values {
    let mut values = Values::new();
    for pair in pairs(element, set) {
        if let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) {
            values
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    }
    values
}

fn differences(old: &Values, new: &Values, called: &str) -> Vec<String> {
    let colon = if called.ends_with(": ") { "" } else { ":" };
    let change = |(name, value): (&String, &String)| match old.get(name) {
        Some(old) if old == value => None,
        Some(old) => Some(format!("{called}{name}{colon} {old} -> {value}")),
        None => Some(format!("{called}{name} {value}: new")),
    };
    let gone = old.iter().filter(|(name, _)| !new.contains_key(*name));
    let gone = gone.map(|(name, value)| format!("{called}{name} {value}: deleted"));
    new.iter().filter_map(change).chain(gone).collect()
}

/// What becomes of the operations of a resource. An operation is the same if name, role and interval are; one
/// that goes and one of that name and role that comes are the same at another interval.
fn of_operations(id: &str, old: &Element, new: &Element) -> Vec<String> {
    fn key(op: &Element) -> [Option<&str>; 3] {
        ["name", "role", "interval"].map(|name| op.get(name))
    }
    let [old, new] = [old, new].map(operations);
    let stays = |old: &&Element| new.iter().any(|new| key(new) == key(old));
    let (stay, mut gone): (Vec<&Element>, Vec<&Element>) = old.into_iter().partition(stays);
    let mut lines = Vec::new();
    for op in &new {
        let before = match stay.iter().find(|old| key(old) == key(op)) {
            Some(before) => Some(*before),
            None => (gone.iter().position(|old| key(old)[..2] == key(op)[..2]))
                .map(|at| gone.remove(at)),
        };
        match before {
            None => lines.push(format!("{id}: {}: new", operation_name(op))),
            Some(before) => {
                let [old, new] = [before, *op].map(|of| of_operation(of, before));
                lines.extend(differences(&old, &new, &format!("{id}: ")));
            }
        }
    }
    let gone = gone.into_iter().map(operation_name);
    lines.extend(gone.map(|name| format!("{id}: {name}: deleted")));
    lines
}

/// What an operation says, with the name that it had before.
fn of_operation(op: &Element, before: &Element) -> Values {
    let attributes = op
        .attributes
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "id" | "name"));
    let attributes = attributes.map(|(name, value)| (name.as_str(), value.as_str()));
    let level = check_level(op).map(|level| ("OCF_CHECK_LEVEL", level));
    let called = |name: &str| match name {
        "interval" => before.get("name").unwrap_or_default().to_owned(),
        _ => operation_name(before),
    };
    let values = attributes.chain(level);
    values
        .map(|(name, value)| (format!("{name} of {}", called(name)), value.to_owned()))
        .collect()
}

/// `start`, `monitor every 10s`, `monitor every 10s (Promoted)`.
fn operation_name(op: &Element) -> String {
    let mut name = op.get("name").unwrap_or_default().to_owned();
    match op.get("interval") {
        Some("0" | "0s") | None => {}
        Some(interval) => name += &format!(" every {interval}"),
    }
    if let Some(role) = op.get("role") {
        name += &format!(" ({role})");
    }
    name
}

/// `colocation score=INFINITY of ebs, datapath_fs; drbd_devpath-clone (role=Promoted)`.
pub(super) fn in_words(constraint: &Element) -> String {
    let options = |of: &Element| -> String {
        let own = of.attributes.iter().filter(|(name, _)| name != "id");
        own.map(|(name, value)| format!(" {name}={value}"))
            .collect()
    };
    let set = |set: &Element| {
        let ids = set.children("resource_ref").filter_map(|one| one.get("id"));
        let ids = ids.collect::<Vec<_>>().join(", ");
        match options(set) {
            none if none.is_empty() => ids,
            options => format!("{ids} ({})", options.trim_start()),
        }
    };
    let kind = constraint
        .name
        .strip_prefix("rsc_")
        .unwrap_or(&constraint.name);
    let sets: Vec<String> = constraint.children("resource_set").map(set).collect();
    let of = if sets.is_empty() { "" } else { " of " };
    format!("{kind}{}{of}{}", options(constraint), sets.join("; "))
}
