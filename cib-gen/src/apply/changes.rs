//! The difference between two CIBs, in words: a line for each thing that differs.

use std::collections::BTreeMap;

use super::merge::{agent_of, check_level, holds_always};
use crate::xml::{Element, Error};

/// What the new CIB has that the old has not, or has otherwise.
pub(super) fn changes(old: &Element, new: &Element) -> Result<Vec<String>, Error> {
    let (old, new) = (old.need("configuration")?, new.need("configuration")?);
    let nothing = Element::default();
    let section = |of: &'_ Element, name: &str| of.child(name).cloned().unwrap_or_default();
    let mut lines = Vec::new();
    for (name, called) in [("crm_config", "property "), ("rsc_defaults", "default ")] {
        let (old, new) = (section(old, name), section(new, name));
        lines.extend(pairs(&sets(&old), &sets(&new), called));
    }
    let old_resources = section(old, "resources");
    let mut renamed = Vec::new();
    for resource in section(new, "resources").all() {
        let Some(id) = resource.get("id") else {
            continue;
        };
        let old = (old_resources.all().into_iter())
            .find(|old| old.name == resource.name && old.is("id", id));
        match (resource.name.as_str(), old) {
            ("primitive", None) => lines.push(format!("{id}: new, {}", agent_of(resource))),
            ("clone", None) => {
                let of = resource.child("primitive").unwrap_or(&nothing);
                let of = of.get("id").unwrap_or_default();
                lines.push(
                    match parent(&old_resources, of).and_then(|old| old.get("id")) {
                        Some(old) => {
                            renamed.push(old.to_owned());
                            format!("{old}: renamed to {id}, which restarts nothing")
                        }
                        None => format!("{id}: new, promotable clone of {of}"),
                    },
                );
            }
            ("primitive" | "clone", Some(old)) => {
                let called = format!("{id}: ");
                let (before, after) = (agent_of(old), agent_of(resource));
                if before != after {
                    lines.push(format!("{id}: {before} -> {after}"));
                }
                for name in ["instance_attributes", "meta_attributes"] {
                    lines.extend(pairs(&named(old, name), &named(resource, name), &called));
                }
                lines.extend(operations(id, old, resource));
            }
            _ => {}
        }
    }
    let new_resources = section(new, "resources");
    for resource in old_resources.all() {
        let is_it =
            |new: &&Element| new.name == resource.name && new.get("id") == resource.get("id");
        if let Some(id) = resource.get("id")
            && matches!(
                resource.name.as_str(),
                "primitive" | "clone" | "group" | "master"
            )
            && !renamed.iter().any(|renamed| renamed == id)
            && !new_resources.all().iter().any(is_it)
        {
            lines.push(format!("{id}: deleted"));
        }
    }
    let (old_constraints, new_constraints) =
        (section(old, "constraints"), section(new, "constraints"));
    for constraint in &new_constraints.children {
        let Some(id) = constraint.get("id") else {
            continue;
        };
        match old_constraints.children.iter().find(|c| c.is("id", id)) {
            None => lines.push(format!("constraint {id}: new")),
            Some(old) if in_words(old) != in_words(constraint) => lines.push(format!(
                "constraint {id}: {} -> {}",
                in_words(old),
                in_words(constraint)
            )),
            Some(_) => {}
        }
    }
    for (name, called) in [
        ("constraints", "constraint"),
        ("fencing-topology", "fencing level"),
        ("tags", "tag"),
    ] {
        lines.extend(deleted(&section(old, name), &section(new, name), called));
    }
    Ok(lines)
}

/// The clone of a primitive, if it is in one.
pub(super) fn parent<'a>(resources: &'a Element, primitive: &str) -> Option<&'a Element> {
    let is_clone = |e: &&Element| matches!(e.name.as_str(), "clone" | "master");
    let mut clones = resources.all().into_iter().filter(is_clone);
    clones.find(|clone| clone.children("primitive").any(|p| p.is("id", primitive)))
}

/// What is directly in a section of the old, and not in that of the new.
fn deleted(old: &Element, new: &Element, called: &str) -> Vec<String> {
    let gone = (old.children.iter())
        .filter(|old| {
            !new.children
                .iter()
                .any(|new| new.get("id") == old.get("id"))
        })
        .filter_map(|old| old.get("id"));
    gone.map(|id| format!("{called} {id}: deleted")).collect()
}

/// The name-value pairs of the sets directly in an element.
type Pairs = BTreeMap<String, String>;

fn sets(element: &Element) -> Pairs {
    pairs_of(element.children.iter())
}

fn named(element: &Element, name: &str) -> Pairs {
    pairs_of(element.children.iter().filter(|set| set.name == name))
}

/// Of several sets that always hold the first counts.
fn pairs_of<'a>(sets: impl Iterator<Item = &'a Element>) -> Pairs {
    let mut pairs = Pairs::new();
    let sets = sets.filter(|set| holds_always(set));
    for pair in sets.flat_map(|set| &set.children) {
        if let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) {
            let known = pairs.entry(name.to_owned());
            known.or_insert_with(|| value.to_owned());
        }
    }
    pairs
}

fn pairs(old: &Pairs, new: &Pairs, called: &str) -> Vec<String> {
    let change = |(name, value): (&String, &String)| match old.get(name) {
        Some(old) if old == value => None,
        Some(old) if called.ends_with(": ") => Some(format!("{called}{name} {old} -> {value}")),
        None if called.ends_with(": ") => Some(format!("{called}{name} {value}: new")),
        Some(old) => Some(format!("{called}{name}: {old} -> {value}")),
        None => Some(format!("{called}{name} {value}: new")),
    };
    let gone = old.iter().filter(|(name, _)| !new.contains_key(*name));
    let gone = gone.map(|(name, value)| format!("{called}{name} {value}: deleted"));
    new.iter().filter_map(change).chain(gone).collect()
}

/// What becomes of the operations of a resource. One is the same if name, role and interval are;
/// if one of a name and role goes and one comes, it is the same at another interval.
fn operations(id: &str, old: &Element, new: &Element) -> Vec<String> {
    let all = |of: &'_ Element| -> Vec<Element> {
        let all = of.children("operations").flat_map(|all| &all.children);
        all.cloned().collect()
    };
    let (old, new) = (all(old), all(new));
    let same = |a: &Element, b: &Element, names: &[&str]| {
        names.iter().all(|name| a.get(name) == b.get(name))
    };
    let exactly = ["name", "role", "interval"];
    let roughly = ["name", "role"];
    let gone: Vec<&Element> = (old.iter())
        .filter(|old| !new.iter().any(|new| same(old, new, &exactly)))
        .collect();
    let come: Vec<&Element> = (new.iter())
        .filter(|new| !old.iter().any(|old| same(old, new, &exactly)))
        .collect();
    let mut lines = Vec::new();
    let mut replaced = Vec::new();
    for op in &new {
        let before = old.iter().find(|old| same(old, op, &exactly)).or_else(|| {
            let of = |all: &[&Element]| all.iter().filter(|o| same(o, op, &roughly)).count();
            let one = of(&gone) == 1 && of(&come) == 1;
            let old = gone.iter().find(|old| one && same(old, op, &roughly));
            old.copied()
        });
        match before {
            None => lines.push(format!("{id}: {}: new", operation_name(op))),
            Some(before) => {
                replaced.push(before);
                lines.extend(operation(id, before, op));
            }
        }
    }
    for op in gone {
        if !replaced.iter().any(|replaced| std::ptr::eq(*replaced, op)) {
            lines.push(format!("{id}: {}: deleted", operation_name(op)));
        }
    }
    lines
}

/// What becomes of one operation.
fn operation(id: &str, old: &Element, new: &Element) -> Vec<String> {
    let mut changes: Vec<(&str, Option<&str>, Option<&str>)> = Vec::new();
    for (name, _) in new.attributes.iter().chain(&old.attributes) {
        if !matches!(name.as_str(), "id" | "name") && !changes.iter().any(|c| c.0 == name) {
            changes.push((name, old.get(name), new.get(name)));
        }
    }
    changes.push(("OCF_CHECK_LEVEL", check_level(old), check_level(new)));
    let of = operation_name(old);
    let old_name = old.get("name").unwrap_or_default();
    let line = |(name, old, new): (&str, Option<&str>, Option<&str>)| match (old, new) {
        _ if old == new => None,
        (Some(before), Some(after)) if name == "interval" => {
            let of = old_name;
            Some(format!("{id}: {name} of {of} {before} -> {after}"))
        }
        (Some(old), Some(new)) => Some(format!("{id}: {name} of {of} {old} -> {new}")),
        (None, Some(new)) => Some(format!("{id}: {name} of {of} {new}: new")),
        (Some(old), None) => Some(format!("{id}: {name} of {of} {old}: deleted")),
        (None, None) => None,
    };
    changes.into_iter().filter_map(line).collect()
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
    let options = |of: &Element, but: &[&str]| -> Vec<String> {
        let all = of.attributes.iter();
        let own = all.filter(|(name, _)| !but.contains(&name.as_str()));
        own.map(|(name, value)| format!("{name}={value}")).collect()
    };
    let kind = constraint.name.strip_prefix("rsc_");
    let mut words = vec![kind.unwrap_or(&constraint.name).to_owned()];
    words.extend(options(constraint, &["id"]));
    let sets: Vec<String> = (constraint.children("resource_set"))
        .map(|set| {
            let ids: Vec<&str> = (set.children("resource_ref"))
                .filter_map(|resource| resource.get("id"))
                .collect();
            let options = options(set, &["id"]);
            if options.is_empty() {
                ids.join(", ")
            } else {
                format!("{} ({})", ids.join(", "), options.join(" "))
            }
        })
        .collect();
    if !sets.is_empty() {
        words.push(format!("of {}", sets.join("; ")));
    }
    words.join(" ")
}
