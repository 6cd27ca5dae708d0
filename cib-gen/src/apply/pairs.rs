//! The name-value pairs in the sets of a CIB that always hold, and how Pacemaker reads their values.

use crate::cluster::Setting;
use crate::xml::Element;

static NOTHING: Element = Element {
    name: String::new(),
    attributes: Vec::new(),
    children: Vec::new(),
};

/// A section of a configuration; an empty one, if it is not there.
pub(super) fn section<'a>(configuration: &'a Element, name: &str) -> &'a Element {
    configuration.child(name).unwrap_or(&NOTHING)
}

/// Whether a set always holds. A set with a rule holds sometimes and belongs to the user. A set with an
/// `id-ref` has no pairs of its own.
pub(super) fn holds_always(set: &Element) -> bool {
    set.child("rule").is_none() && set.get("id-ref").is_none()
}

/// The pairs in the sets of that name directly in an element. Of several with one name the first counts.
pub(super) fn pairs<'a>(element: &'a Element, set: &'a str) -> impl Iterator<Item = &'a Element> {
    let sets = element.children(set).filter(|set| holds_always(set));
    sets.flat_map(|set| set.children("nvpair"))
}

/// The value of a pair in the sets of that name directly in an element.
pub(super) fn value<'a>(element: &'a Element, set: &'a str, name: &str) -> Option<&'a str> {
    let pair = pairs(element, set).find(|pair| pair.is("name", name))?;
    pair.get("value")
}

/// The value of a cluster property.
pub(super) fn property<'a>(configuration: &'a Element, name: &str) -> Option<&'a str> {
    value(
        section(configuration, "crm_config"),
        "cluster_property_set",
        name,
    )
}

/// A boolean as Pacemaker reads it (`crm_str_to_boolean`); none, if it is no boolean.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "y" | "1" => Some(true),
        "false" | "off" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// Gives each name the wanted value in every set that always holds. A name that is in none of them is added.
pub(super) fn settings(section: &mut Element, (name, id): (&str, &str), wanted: &[Setting]) {
    for setting in wanted {
        let sets = section.children.iter_mut();
        let sets = sets.filter(|set| set.name == name && holds_always(set));
        let pairs = sets.flat_map(|set| &mut set.children);
        let mut found = false;
        for pair in pairs.filter(|pair| pair.is("name", &setting.name)) {
            pair.set("value", &setting.value);
            found = true;
        }
        if !found {
            let set = set_of(section, name, id);
            let id = format!("{}-{}", set.get("id").unwrap_or_default(), setting.name);
            set.children.push(pair(&id, &setting.name, &setting.value));
        }
    }
}

/// A new pair.
pub(super) fn pair(id: &str, name: &str, value: &str) -> Element {
    Element::new("nvpair", &[("id", id), ("name", name), ("value", value)])
}

/// The first set that always holds; of meta attributes, the set with our id, because another resource may
/// refer to a set of the user's. A new set is put where pcs puts it: parameters before operations, all others
/// at the end.
pub(super) fn set_of<'a>(element: &'a mut Element, name: &str, id: &str) -> &'a mut Element {
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
