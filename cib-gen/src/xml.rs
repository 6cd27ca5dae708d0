//! XML as Pacemaker's tools write and read it: elements with attributes, and no text that means
//! anything. Comments are not kept.

use std::fmt;

use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// How deep elements are in each other at most.
const DEEPEST: usize = 100;

/// Why a text is not the document that was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is no XML: {0}")]
    Malformed(#[from] quick_xml::Error),
    #[error("it is no XML: it ends before its end")]
    Incomplete,
    #[error("its elements are in each other more than {DEEPEST} deep")]
    Deep,
    #[error("it has a <{0}> where a <{1}> is expected")]
    Other(String, &'static str),
    #[error("its <{0}> has no <{1}>")]
    Missing(String, &'static str),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
}

impl Element {
    pub fn new(name: &str, attributes: &[(&str, &str)]) -> Element {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Element {
            name: name.to_owned(),
            attributes: attributes.iter().map(own).collect(),
            children: Vec::new(),
        }
    }

    #[must_use]
    pub fn with(mut self, children: impl IntoIterator<Item = Element>) -> Element {
        self.children.extend(children);
        self
    }

    /// The element of a document.
    pub fn parse(text: &str) -> Result<Element, Error> {
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Element> = Vec::new();
        loop {
            let closed = match reader.read_event()? {
                Event::Start(_) if open.len() == DEEPEST => return Err(Error::Deep),
                Event::Start(start) => {
                    open.push(opened(&start)?);
                    continue;
                }
                Event::Empty(start) => opened(&start)?,
                Event::End(_) => open.pop().ok_or(Error::Incomplete)?,
                Event::Eof => return Err(Error::Incomplete),
                _ => continue,
            };
            match open.last_mut() {
                Some(parent) => parent.children.push(closed),
                None => return Ok(closed),
            }
        }
    }

    /// The element of a document that has to be of that name.
    pub fn parse_as(text: &str, name: &'static str) -> Result<Element, Error> {
        let element = Element::parse(text)?;
        if element.name != name {
            return Err(Error::Other(element.name, name));
        }
        Ok(element)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    pub fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        let known = self.attributes.iter_mut().find(|(known, _)| known == name);
        match known {
            Some((_, known)) => value.clone_into(known),
            None => self.attributes.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The elements of that name that are directly in it.
    pub fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first of them, which has to be there.
    pub fn need(&self, name: &'static str) -> Result<&Element, Error> {
        (self.child(name)).ok_or_else(|| Error::Missing(self.name.clone(), name))
    }

    /// The first of them, which is made if there is none.
    pub fn child_or_new(&mut self, name: &str) -> &mut Element {
        self.child_or(name, || Element::new(name, &[]))
    }

    /// The first of them; without one, a new one is put at the end.
    pub fn child_or(&mut self, name: &str, new: impl FnOnce() -> Element) -> &mut Element {
        let at = match self.children.iter().position(|child| child.name == name) {
            Some(at) => at,
            None => {
                self.children.push(new());
                self.children.len() - 1
            }
        };
        &mut self.children[at]
    }

    /// This element and all below it, parents first.
    pub fn all(&self) -> Vec<&Element> {
        let below = self.children.iter().flat_map(Element::all);
        std::iter::once(self).chain(below).collect()
    }

    pub fn each(&mut self, change: &mut impl FnMut(&mut Element)) {
        change(self);
        for child in &mut self.children {
            child.each(change);
        }
    }
}

fn opened(start: &BytesStart<'_>) -> Result<Element, Error> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
        attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(Element {
        name: start.name().as_ref().to_owned(),
        attributes,
        children: Vec::new(),
    })
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_element(self, 0, f)
    }
}

fn write_element(element: &Element, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let indent = depth * 2;
    write!(f, "{:indent$}<{}", "", element.name)?;
    for (name, value) in &element.attributes {
        write!(f, " {name}=\"{}\"", escape(value.as_str()))?;
    }
    if element.children.is_empty() {
        return writeln!(f, "/>");
    }
    writeln!(f, ">")?;
    for child in &element.children {
        write_element(child, depth + 1, f)?;
    }
    writeln!(f, "{:indent$}</{}>", "", element.name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_was_read_is_written_again() {
        let text = "<a>\n  <b c=\"1 &lt; 2 &amp; &quot;3&quot;\"/>\n  <d/>\n</a>\n";
        let element =
            Element::parse(&format!("<?xml version=\"1.0\"?><!-- x -->\n{text}")).unwrap();
        assert_eq!(element.child("b").unwrap().get("c"), Some("1 < 2 & \"3\""));
        assert_eq!(element.to_string(), text);
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        for text in ["", "<a>", "<a></b>", "plain", "<a b=c/>", "<a b=\"&x;\"/>"] {
            assert!(Element::parse(text).is_err(), "{text}");
        }
        assert!(matches!(
            Element::parse(&"<a>".repeat(1000)),
            Err(Error::Deep)
        ));
        let error = Element::parse_as("<html/>", "cib").unwrap_err();
        assert_eq!(
            error.to_string(),
            "it has a <html> where a <cib> is expected"
        );
    }
}
