//! What Pacemaker leaves alone until somebody ends that: the cluster or a node in maintenance mode, and resources
//! that are not managed.

use std::collections::BTreeSet;

use super::pairs::{boolean, property};
use crate::xml::Element;

pub(super) const MAINTENANCE: &str = "maintenance-mode";

/// Whether the whole cluster is in maintenance mode.
pub(super) fn is_in_maintenance(configuration: &Element) -> bool {
    property(configuration, MAINTENANCE).and_then(boolean) == Some(true)
}

/// The CIB as it is when everything is managed again, and what is left alone until then.
pub(super) fn managed(cib: &Element) -> (Element, Vec<String>) {
    let mut cib = cib.clone();
    let mut left_alone = BTreeSet::new();
    manage(&mut cib, "", &mut left_alone);
    (cib, left_alone.into_iter().collect())
}

fn manage(element: &mut Element, owner: &str, left_alone: &mut BTreeSet<String>) {
    let called = match element.name.as_str() {
        "crm_config" | "rsc_defaults" => Some("the cluster"),
        "node" | "node_state" => element.get("uname"),
        "primitive" | "template" | "group" | "clone" | "master" | "bundle" => element.get("id"),
        _ => None,
    };
    let owner = called.unwrap_or(owner).to_owned();
    let count = element.children.len();
    let is_managed = |pair: &Element| match pair.get("name") {
        Some(MAINTENANCE | "maintenance") => pair.get("value").and_then(boolean) != Some(true),
        Some("is-managed") => pair.get("value").and_then(boolean) != Some(false),
        _ => true,
    };
    element.children.retain(is_managed);
    if element.children.len() < count {
        left_alone.insert(owner.clone());
    }
    for child in &mut element.children {
        manage(child, &owner, left_alone);
    }
}
