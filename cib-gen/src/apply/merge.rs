//! The CIB after `apply`: what is there is brought to what vars.yml says, what is missing is added. Devices
//! and constraints with our names that vars.yml no longer asks for are deleted. Everything else is kept.

use std::collections::BTreeSet;

use super::changes::parent;
use super::pairs::{self, settings};
use super::{remove, takeover, watchdog};
use crate::cluster::{Agent, Cluster, Primitive, Promotable, Resource, Setting};
use crate::render;
use crate::xml::{Element, Error};

/// The CIB after `apply`.
pub(super) fn merge(cluster: &Cluster, cib: &Element) -> Result<Element, Error> {
    let wanted = render::cib_element(cluster);
    let wanted = wanted.need("configuration")?;
    let mut merged = cib.clone();
    let configuration = merged.child_or_new("configuration");
    takeover::prepare(cluster, configuration);
    remove::devices(cluster, configuration);
    let stays = |property: &Setting| {
        property.name == render::WATCHDOG_TIMEOUT
            && watchdog::timeout(configuration)
                .is_some_and(|value| watchdog::is_enough(value, &property.value))
    };
    let properties = cluster.properties.iter();
    let properties: Vec<Setting> = properties.filter(|p| !stays(p)).cloned().collect();
    settings(
        configuration.child_or_new("crm_config"),
        ("cluster_property_set", "cib-bootstrap-options"),
        &properties,
    );
    settings(
        defaults(configuration),
        ("meta_attributes", render::DEFAULTS),
        &cluster.resource_defaults,
    );
    let resources = configuration.child_or_new("resources");
    let wanted_resources = wanted.need("resources")?;
    for resource in &cluster.resources {
        let model = resource.primitive();
        if let Some(wanted) = find(wanted_resources, &model.id) {
            match find_mut(resources, &model.id) {
                Some(there) => primitive(there, wanted, model),
                None => resources.children.push(wanted.clone()),
            }
        }
        meta(resources, &model.id, &model.meta);
        if let Resource::Promotable(promotable) = resource {
            clone(resources, promotable);
        }
    }
    let constraints = configuration.child_or_new("constraints");
    // A constraint that is not as it is wanted is deleted and made again.
    for wanted in &wanted.need("constraints")?.children {
        if !constraints
            .children
            .iter()
            .any(|there| has_all(there, wanted))
        {
            (constraints.children).retain(|there| there.get("id") != wanted.get("id"));
            constraints.children.push(wanted.clone());
        }
    }
    remove::constraints(cluster, constraints);
    let mut taken = BTreeSet::new();
    merged
        .child_or_new("configuration")
        .each(&mut |element| own_id(element, &mut taken));
    Ok(merged)
}

/// Whether no other element refers to an element of that name by its id.
fn has_free_id(name: &str) -> bool {
    let free = [
        "nvpair",
        "op",
        "resource_set",
        "instance_attributes",
        "meta_attributes",
    ];
    free.contains(&name) || name == "cluster_property_set"
}

/// An id is unique in a CIB. An element that was added gets another id if its own is taken and nothing refers
/// to it.
fn own_id(element: &mut Element, taken: &mut BTreeSet<String>) {
    let Some(id) = element.get("id").map(str::to_owned) else {
        return;
    };
    if !has_free_id(&element.name) || taken.insert(id.clone()) {
        return;
    }
    let mut others = (1..).map(|n: u32| format!("{id}-{n}"));
    if let Some(other) = others.find(|other| taken.insert(other.clone())) {
        element.set("id", &other);
    }
}

/// The section rsc_defaults, which a CIB need not have. The schema wants the sections in an order.
fn defaults(configuration: &mut Element) -> &mut Element {
    if configuration.child("rsc_defaults").is_none() {
        let after = (configuration.children.iter()).position(|c| c.name == "constraints");
        let at = after.map_or(configuration.children.len(), |after| after + 1);
        (configuration.children).insert(at, Element::new("rsc_defaults", &[]));
    }
    configuration.child_or_new("rsc_defaults")
}

pub(super) fn is_clone_of(resources: &Element, promotable: &Promotable) -> bool {
    parent(resources, &promotable.primitive.id)
        .is_some_and(|clone| clone.name == "clone" && clone.is("id", promotable.id))
}

/// A resource agent as people write it.
pub(super) fn agent_of(primitive: &Element) -> String {
    let words = ["class", "provider", "type"];
    let words = words.iter().filter_map(|name| primitive.get(name));
    words.collect::<Vec<_>>().join(":")
}

pub(super) fn find<'a>(resources: &'a Element, primitive: &str) -> Option<&'a Element> {
    let all = resources.all().into_iter();
    let mut found = all.filter(|e| e.name == "primitive" && e.is("id", primitive));
    found.next()
}

/// A primitive or a clone.
fn find_mut<'a>(element: &'a mut Element, id: &str) -> Option<&'a mut Element> {
    if matches!(element.name.as_str(), "primitive" | "clone") && element.is("id", id) {
        return Some(element);
    }
    (element.children.iter_mut()).find_map(|child| find_mut(child, id))
}

/// Gives a primitive the wanted agent, parameters and operations. Parameters that only cib-gen writes and that
/// do harm are deleted; others are kept. If an operation differs, all operations with a wanted name are
/// replaced.
fn primitive(there: &mut Element, wanted: &Element, model: &Primitive) {
    match &model.agent {
        Agent::Stonith { name } => there.set("type", name),
        Agent::Ocf { provider, name } => {
            there.set("provider", provider);
            there.set("type", name);
        }
    }
    let id = format!("{}-instance_attributes", model.id);
    settings(there, ("instance_attributes", &id), &model.parameters);
    let stays = |pair: &Element| !pair.get("name").is_some_and(|name| model.deletes(name));
    for set in &mut there.children {
        set.children.retain(stays);
    }
    let (has, wants) = (operations(there), operations(wanted));
    if (wants.iter()).all(|wanted| has.iter().any(|op| has_all(op, wanted))) {
        return;
    }
    let is_wanted =
        |op: &Element| (wants.iter()).any(|wanted| op.get("name") == wanted.get("name"));
    let operations = there.child_or_new("operations");
    operations.children.retain(|op| !is_wanted(op));
    operations.children.extend(wants.into_iter().cloned());
}

pub(super) fn operations(primitive: &Element) -> Vec<&Element> {
    let all = primitive.children("operations");
    all.flat_map(|all| all.children("op")).collect()
}

/// Whether an element has all that another has, but for ids that mean nothing.
fn has_all(there: &Element, wanted: &Element) -> bool {
    let mut attributes =
        (wanted.attributes.iter()).filter(|(name, _)| name != "id" || !has_free_id(&wanted.name));
    there.name == wanted.name
        && attributes.all(|(name, value)| there.is(name, value))
        && (wanted.children.is_empty()
            || there.children.len() == wanted.children.len()
                && (there.children.iter().zip(&wanted.children)).all(|(a, b)| has_all(a, b)))
}

/// The `OCF_CHECK_LEVEL` of a monitor.
pub(super) fn check_level(op: &Element) -> Option<&str> {
    pairs::value(op, "instance_attributes", "OCF_CHECK_LEVEL")
}

/// Meta attributes of a resource or of a clone.
fn meta(resources: &mut Element, id: &str, wanted: &[Setting]) {
    if let Some(resource) = find_mut(resources, id) {
        let set = format!("{id}-meta_attributes");
        settings(resource, ("meta_attributes", &set), wanted);
    }
}

/// Puts a primitive that is in no clone yet into one, at the end, where pcs puts it.
fn clone(resources: &mut Element, promotable: &Promotable) {
    let id = &promotable.primitive.id;
    let alone = |e: &Element| e.name == "primitive" && e.is("id", id);
    if let Some(at) = resources.children.iter().position(alone) {
        let primitive = resources.children.remove(at);
        let clone = Element::new("clone", &[("id", promotable.id)]).with([primitive]);
        resources.children.push(clone);
    }
    meta(resources, promotable.id, &promotable.meta);
}
