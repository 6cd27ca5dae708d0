//! Fencing devices and constraints with our names that vars.yml no longer asks for.

use super::constraints::NAMES;
use super::pairs::section;
use crate::cluster::{Cluster, owned};
use crate::xml::Element;

/// Deletes our fencing devices that vars.yml no longer asks for.
pub(super) fn devices(cluster: &Cluster, configuration: &mut Element) {
    let is_wanted = |id: &Element| cluster.primitives().any(|wanted| id.is("id", &wanted.id));
    let all = section(configuration, "resources").all().into_iter();
    let gone: Vec<String> = all
        .filter(|element| is_our_device(element) && !is_wanted(element))
        .filter_map(|device| device.get("id").map(str::to_owned))
        .collect();
    for id in &gone {
        delete_with_references(configuration, id);
    }
}

/// Whether an element is a fencing device with a name that cib-gen gives.
pub(super) fn is_our_device(element: &Element) -> bool {
    element.name == "primitive"
        && element.is("class", "stonith")
        && element.get("id").is_some_and(owned::is_device)
}

/// Deletes our constraints that vars.yml no longer asks for.
pub(super) fn constraints(cluster: &Cluster, constraints: &mut Element) {
    let constraints_of = cluster.constraints.iter().map(|wanted| wanted.id);
    let wanted: Vec<&str> = constraints_of
        .chain(cluster.bans.iter().map(|ban| ban.id))
        .chain(cluster.failure_rules.iter().map(|rule| rule.id))
        .collect();
    (constraints.children).retain(|there| {
        let id = there.get("id").unwrap_or_default();
        !owned::CONSTRAINTS.contains(&id) || wanted.contains(&id)
    });
}

/// Deletes a resource and everything that refers to it alone: in the schema, every reference must have a
/// target.
fn delete_with_references(element: &mut Element, id: &str) {
    element.children.retain_mut(|child| {
        if is_about(child, id) {
            return false;
        }
        if child.name == "fencing-level" {
            let devices = child.get("devices").unwrap_or_default().split(',');
            let others: Vec<&str> = devices.filter(|device| *device != id).collect();
            let others = others.join(",");
            child.set("devices", &others);
            return !others.is_empty();
        }
        let had_any = !child.children.is_empty();
        delete_with_references(child, id);
        let emptied = had_any && child.children.is_empty();
        !(emptied && means_nothing_empty(&child.name))
    });
}

/// Whether an element is the resource, or refers to that resource alone.
pub(super) fn is_about(element: &Element, id: &str) -> bool {
    match element.name.as_str() {
        "primitive" | "resource_ref" | "obj_ref" => element.is("id", id),
        _ => (NAMES.iter().chain(&["reference"])).any(|name| element.is(name, id)),
    }
}

fn means_nothing_empty(name: &str) -> bool {
    let names = ["resource_set", "tag", "group", "clone"];
    names.contains(&name) || name.starts_with("rsc_") && name != "rsc_defaults"
}
