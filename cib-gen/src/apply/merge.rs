//! The CIB after `apply`: what is there is brought to what vars.yml says, what is missing is added. Devices
//! and constraints with our names that vars.yml no longer asks for are deleted. Everything else is kept.

use std::collections::BTreeSet;

use super::{remove, takeover, watchdog};
use crate::cluster::{Agent, Cluster, Constraint, Primitive, Promotable, Resource, Setting};
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
        section(configuration, "rsc_defaults"),
        ("meta_attributes", render::DEFAULTS),
        &cluster.resource_defaults,
    );
    let resources = configuration.child_or_new("resources");
    let wanted_resources = wanted.need("resources")?;
    for resource in &cluster.resources {
        let id = &resource.primitive().id;
        let Some(wanted) = find(wanted_resources, id) else {
            continue;
        };
        match find_mut(resources, id) {
            Some(there) => primitive(there, wanted, resource.primitive()),
            None => resources.children.push(wanted.clone()),
        }
        meta(resources, id, &resource.primitive().meta);
        if let Resource::Promotable(promotable) = resource {
            clone(resources, promotable);
        }
    }
    let constraints = configuration.child_or_new("constraints");
    let wanted = wanted.need("constraints")?;
    for (constraint, wanted) in cluster.constraints.iter().zip(&wanted.children) {
        self::constraint(constraints, constraint, wanted);
    }
    remove::constraints(cluster, constraints);
    let mut taken = BTreeSet::new();
    merged
        .child_or_new("configuration")
        .each(&mut |element| own_id(element, &mut taken));
    Ok(merged)
}

/// An id is unique in a CIB. An element that was added gets another id if its own is taken and nothing refers
/// to it.
fn own_id(element: &mut Element, taken: &mut BTreeSet<String>) {
    let Some(id) = element.get("id").map(str::to_owned) else {
        return;
    };
    let referred_to = !matches!(
        element.name.as_str(),
        "nvpair"
            | "op"
            | "resource_set"
            | "instance_attributes"
            | "meta_attributes"
            | "cluster_property_set"
    );
    if referred_to || taken.insert(id.clone()) {
        return;
    }
    let mut others = (1..).map(|n: u32| format!("{id}-{n}"));
    if let Some(other) = others.find(|other| taken.insert(other.clone())) {
        element.set("id", &other);
    }
}

/// A section that a CIB need not have. The schema wants the sections in an order.
fn section<'a>(configuration: &'a mut Element, name: &str) -> &'a mut Element {
    let at = configuration.children.iter().position(|c| c.name == name);
    let at = at.unwrap_or_else(|| {
        let after = (configuration.children.iter()).position(|c| c.name == "constraints");
        let at = after.map_or(configuration.children.len(), |after| after + 1);
        configuration.children.insert(at, Element::new(name, &[]));
        at
    });
    &mut configuration.children[at]
}

pub(super) fn is_clone_of(resources: &Element, promotable: &Promotable) -> bool {
    let below = resources.all();
    let clone = below
        .iter()
        .find(|e| e.name == "clone" && e.is("id", promotable.id));
    clone.is_some_and(|clone| {
        let mut primitives = clone.children("primitive");
        primitives.any(|primitive| primitive.is("id", &promotable.primitive.id))
    })
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

fn find_mut<'a>(element: &'a mut Element, id: &str) -> Option<&'a mut Element> {
    if element.name == "primitive" && element.is("id", id) {
        return Some(element);
    }
    (element.children.iter_mut()).find_map(|child| find_mut(child, id))
}

/// Whether a set always holds. A set with a rule holds sometimes and belongs to the user. A set with an
/// `id-ref` has no pairs of its own.
pub(super) fn holds_always(set: &Element) -> bool {
    set.child("rule").is_none() && set.get("id-ref").is_none()
}

/// Gives each name the wanted value in every set that always holds. A name that is in none of them is added.
fn settings(section: &mut Element, (name, id): (&str, &str), wanted: &[Setting]) {
    for setting in wanted {
        let mut found = false;
        let sets = section.children.iter_mut();
        for set in sets.filter(|set| set.name == name && holds_always(set)) {
            let pairs = set.children.iter_mut();
            for pair in pairs.filter(|pair| pair.is("name", &setting.name)) {
                pair.set("value", &setting.value);
                found = true;
            }
        }
        if !found {
            let set = set_of(section, name, id);
            let id = format!("{}-{}", set.get("id").unwrap_or_default(), setting.name);
            set.children.push(Element::new(
                "nvpair",
                &[
                    ("id", &id),
                    ("name", &setting.name),
                    ("value", &setting.value),
                ],
            ));
        }
    }
}

/// The first set that always holds; of meta attributes, the set with our id, because another resource may
/// refer to a set of the user's. A new set is put where pcs puts it: parameters before operations, all others
/// at the end.
fn set_of<'a>(element: &'a mut Element, name: &str, id: &str) -> &'a mut Element {
    let is_ours = |set: &Element| name != "meta_attributes" || set.is("id", id);
    let usable = |set: &Element| set.name == name && holds_always(set) && is_ours(set);
    let at = element.children.iter().position(usable);
    let at = at.unwrap_or_else(|| {
        let before = |c: &Element| name == "instance_attributes" && c.name == "operations";
        let at = element.children.iter().position(before);
        let at = at.unwrap_or(element.children.len());
        let set = Element::new(name, &[("id", id)]);
        element.children.insert(at, set);
        at
    });
    &mut element.children[at]
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
    let sets = (
        "instance_attributes",
        format!("{}-instance_attributes", model.id),
    );
    settings(there, (sets.0, &sets.1), &model.parameters);
    for set in there.children.iter_mut().filter(|set| set.name == sets.0) {
        let stays = |pair: &Element| !pair.get("name").is_some_and(|n| model.deletes(n));
        set.children.retain(stays);
    }
    let (has, wants) = (operations(there), operations(wanted));
    let same = |wanted: &&Element| has.iter().any(|op| has_all(op, wanted));
    if wants.iter().all(same) {
        return;
    }
    let named = |op: &Element| {
        wants
            .iter()
            .any(|wanted| op.get("name") == wanted.get("name"))
    };
    let operations = there.child_or_new("operations");
    operations.children.retain(|op| !named(op));
    operations.children.extend(wants.into_iter().cloned());
}

fn operations(primitive: &Element) -> Vec<&Element> {
    let all = primitive.children("operations");
    all.flat_map(|all| all.children("op")).collect()
}

/// Whether an operation has all attributes of another but its id.
fn has_all(op: &Element, wanted: &Element) -> bool {
    let mut attributes = wanted.attributes.iter().filter(|(name, _)| name != "id");
    let level = |of: &Element| check_level(of).map(str::to_owned);
    attributes.all(|(name, value)| op.is(name, value))
        && (check_level(wanted).is_none() || level(op) == level(wanted))
}

/// The `OCF_CHECK_LEVEL` of a monitor.
pub(super) fn check_level(op: &Element) -> Option<&str> {
    let sets = op.children("instance_attributes");
    let mut pairs = sets.flat_map(|set| set.children("nvpair"));
    let level = pairs.find(|pair| pair.is("name", "OCF_CHECK_LEVEL"))?;
    level.get("value")
}

/// Meta attributes of a resource or of a clone.
fn meta(resources: &mut Element, id: &str, wanted: &[Setting]) {
    let set = format!("{id}-meta_attributes");
    resources.each(&mut |element| {
        if element.is("id", id) && matches!(element.name.as_str(), "primitive" | "clone") {
            settings(element, ("meta_attributes", &set), wanted);
        }
    });
}

/// Puts a primitive that is in no clone yet into one, at the end, where pcs puts it.
fn clone(resources: &mut Element, promotable: &Promotable) {
    if !is_clone_of(resources, promotable) {
        let id = &promotable.primitive.id;
        let alone = |e: &Element| e.name == "primitive" && e.is("id", id);
        if let Some(at) = resources.children.iter().position(alone) {
            let primitive = resources.children.remove(at);
            let clone = Element::new("clone", &[("id", promotable.id)]).with([primitive]);
            resources.children.push(clone);
        }
    }
    meta(resources, promotable.id, &promotable.meta);
}

/// A constraint that is not as it is wanted is deleted and made again.
fn constraint(constraints: &mut Element, model: &Constraint, wanted: &Element) {
    let same = |there: &Element| same_constraint(there, wanted);
    if constraints.children.iter().any(same) {
        return;
    }
    constraints
        .children
        .retain(|there| !there.is("id", model.id));
    constraints.children.push(wanted.clone());
}

fn same_constraint(there: &Element, wanted: &Element) -> bool {
    let has = |there: &Element, wanted: &Element, but: &str| {
        let mut attributes = wanted.attributes.iter().filter(|(name, _)| name != but);
        attributes.all(|(name, value)| there.is(name, value))
    };
    let ids = |set: &Element| -> Vec<String> {
        let ids = set.children("resource_ref").filter_map(|r| r.get("id"));
        ids.map(str::to_owned).collect()
    };
    let sets = |of: &Element| of.children("resource_set").count();
    there.name == wanted.name
        && has(there, wanted, "")
        && sets(there) == sets(wanted)
        && (there.children("resource_set"))
            .zip(wanted.children("resource_set"))
            .all(|(there, wanted)| has(there, wanted, "id") && ids(there) == ids(wanted))
}
