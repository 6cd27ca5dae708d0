//! XML as a tree that can be compared: what means nothing (the order of attributes, of
//! name-value pairs and of operations) is brought into one order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    children: Vec<Element>,
}

impl Element {
    fn open(start: &BytesStart<'_>) -> Element {
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.expect("an attribute");
            let value = quick_xml::escape::unescape(&attribute.value).expect("known entities");
            (attribute.key.as_ref().to_string(), value.into_owned())
        });
        Element {
            name: start.name().as_ref().to_string(),
            attributes: attributes.collect(),
            children: Vec::new(),
        }
    }

    /// The element of a document.
    pub(crate) fn parse(text: &str) -> Element {
        let mut reader = Reader::from_str(text);
        let mut open = vec![Element::default()];
        loop {
            match reader.read_event().expect("well-formed XML") {
                Event::Start(start) => open.push(Element::open(&start)),
                Event::Empty(start) => {
                    let element = Element::open(&start);
                    open.last_mut().expect("a parent").children.push(element);
                }
                Event::End(_) => {
                    let mut element = open.pop().expect("an open element");
                    if matches!(
                        element.name.as_str(),
                        "instance_attributes"
                            | "meta_attributes"
                            | "cluster_property_set"
                            | "operations"
                    ) {
                        element.children.sort();
                    }
                    open.last_mut().expect("a parent").children.push(element);
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let mut document = open.pop().expect("the document");
        document.children.pop().expect("an element")
    }

    /// This element and all below it.
    fn all(&self) -> Vec<&Element> {
        let below = self.children.iter().flat_map(Element::all);
        std::iter::once(self).chain(below).collect()
    }

    fn operation_keys(&self) -> impl Iterator<Item = &String> {
        self.all()
            .into_iter()
            .filter_map(|e| e.attributes.get("operation_key"))
    }

    /// The first child of that name.
    pub(crate) fn child(&self, name: &str) -> &Element {
        self.children
            .iter()
            .find(|child| child.name == name)
            .unwrap_or_else(|| panic!("<{}> has no <{name}>", self.name))
    }
}

/// Written out with one element on each line, to see differences.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn lines(element: &Element, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{:1$}{2}", "", depth * 2, element.name)?;
            for (name, value) in &element.attributes {
                write!(f, " {name}={value:?}")?;
            }
            writeln!(f)?;
            element
                .children
                .iter()
                .try_for_each(|c| lines(c, depth + 1, f))
        }
        lines(self, 0, f)
    }
}

/// The configuration of a CIB, written out.
pub(crate) fn configuration(cib: &str) -> String {
    Element::parse(cib).child("configuration").to_string()
}

/// The operations that have to be over before one begins, by the transition graph of Pacemaker.
pub(crate) fn prerequisites(graph: &str, operation: &str) -> BTreeSet<String> {
    let graph = Element::parse(graph);
    let mut found = BTreeSet::new();
    let mut open = vec![operation.to_owned()];
    while let Some(key) = open.pop() {
        for synapse in &graph.children {
            let does = |element: &Element| element.operation_keys().any(|k| *k == key);
            if synapse
                .children
                .iter()
                .any(|c| c.name == "action_set" && does(c))
            {
                for input in synapse.child("inputs").operation_keys() {
                    if found.insert(input.clone()) {
                        open.push(input.clone());
                    }
                }
            }
        }
    }
    found
}
