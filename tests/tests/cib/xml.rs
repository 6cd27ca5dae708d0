//! XML of Pacemaker's in a form that can be compared: what means nothing (the order of
//! attributes, of name-value pairs and of operations) is brought into one order.

use std::collections::BTreeSet;

use cib_gen::xml::Element;

fn parse(text: &str) -> Element {
    Element::parse(text).unwrap_or_else(|e| panic!("{e}:\n{text}"))
}

/// Elements in which the order of what is in them means nothing.
fn is_a_set(element: &Element) -> bool {
    matches!(
        element.name.as_str(),
        "instance_attributes" | "meta_attributes" | "cluster_property_set" | "operations"
    )
}

fn in_order(element: &mut Element) {
    element.attributes.sort();
    element.children.iter_mut().for_each(in_order);
    if is_a_set(element) {
        element.children.sort();
    }
}

/// Ids that nothing refers to, and that mean nothing.
fn without_ids(element: &mut Element) {
    if is_a_set(element) || matches!(element.name.as_str(), "nvpair" | "op" | "resource_set") {
        element.attributes.retain(|(name, _)| name != "id");
    }
    element.children.iter_mut().for_each(without_ids);
}

fn configuration_of(cib: &str) -> Element {
    let cib = parse(cib);
    cib.need("configuration")
        .unwrap_or_else(|e| panic!("{e}"))
        .clone()
}

/// Written out with one element on each line, to see differences.
fn lines(element: &Element, depth: usize) -> String {
    let mut line = format!("{:1$}{2}", "", depth * 2, element.name);
    for (name, value) in &element.attributes {
        line += &format!(" {name}={value:?}");
    }
    line.push('\n');
    for child in &element.children {
        line += &lines(child, depth + 1);
    }
    line
}

/// The configuration of a CIB, written out, without what only the cluster itself writes into it: its nodes,
/// and that SBD runs.
pub(crate) fn written(cib: &str) -> String {
    let mut configuration = configuration_of(cib);
    configuration.child_or_new("nodes").children.clear();
    configuration.each(&mut |element| {
        (element.children).retain(|pair| !pair.is("name", "have-watchdog"));
    });
    in_order(&mut configuration);
    lines(&configuration, 0)
}

/// The configuration of a CIB, written out.
pub(crate) fn configuration(cib: &str) -> String {
    let mut configuration = configuration_of(cib);
    in_order(&mut configuration);
    lines(&configuration, 0)
}

/// The same without ids that mean nothing.
pub(crate) fn meaning(cib: &str) -> String {
    let mut configuration = configuration_of(cib);
    without_ids(&mut configuration);
    in_order(&mut configuration);
    lines(&configuration, 0)
}

fn operation_keys(element: &Element) -> impl Iterator<Item = &str> {
    let all = element.all().into_iter();
    all.filter_map(|e| e.get("operation_key"))
}

/// The operations that have to be over before one begins, by the transition graph of Pacemaker.
pub(crate) fn prerequisites(graph: &str, operation: &str) -> BTreeSet<String> {
    let graph = parse(graph);
    let mut found = BTreeSet::new();
    let mut open = vec![operation.to_owned()];
    while let Some(key) = open.pop() {
        for synapse in &graph.children {
            let mut actions = synapse.children("action_set");
            if actions.any(|action| operation_keys(action).any(|k| k == key)) {
                for input in synapse.children("inputs").flat_map(operation_keys) {
                    if found.insert(input.to_owned()) {
                        open.push(input.to_owned());
                    }
                }
            }
        }
    }
    found
}
