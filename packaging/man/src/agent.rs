//! What an agent says about itself: its meta-data, read.
//! <https://github.com/ClusterLabs/OCF-spec/blob/main/ra/1.1/resource-agent-api.md>

use std::path::Path;
use std::process::{Command, Stdio};

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// An agent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Agent {
    /// Its name, which is its file's name too.
    pub(crate) name: String,
    /// The version of the package it is of.
    pub(crate) version: String,
    /// What it is, in a few words.
    pub(crate) short: String,
    /// What one needs to know before using it.
    pub(crate) long: String,
    /// Its parameters, in their order.
    pub(crate) parameters: Vec<Parameter>,
    /// The operations that it advises.
    pub(crate) actions: Vec<Action>,
}

/// A parameter.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// `boolean`, `integer` or `string`.
    pub(crate) content: String,
    pub(crate) required: bool,
    /// Whether no other resource may have the same value.
    pub(crate) unique: bool,
    /// Whether it may change while the resource runs.
    pub(crate) reloadable: bool,
    pub(crate) default: Option<String>,
    pub(crate) short: String,
    pub(crate) long: String,
}

/// An advised operation. Times are written as in the meta-data: `20s`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Action {
    pub(crate) name: String,
    pub(crate) timeout: String,
    pub(crate) interval: Option<String>,
    /// The value of `OCF_CHECK_LEVEL`.
    pub(crate) depth: Option<String>,
}

impl Agent {
    /// Asks the binary.
    ///
    /// # Errors
    /// It cannot be run, fails, or prints something that is no meta-data.
    pub(crate) fn of(binary: &Path) -> Result<Self, String> {
        let asking = format!("{} meta-data", binary.display());
        let output = Command::new(binary)
            .arg("meta-data")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("{asking}: {error}"))?;
        if !output.status.success() {
            return Err(format!("{asking}: {}", output.status));
        }
        let document = String::from_utf8(output.stdout).map_err(|e| format!("{asking}: {e}"))?;
        Self::parse(&document).map_err(|error| format!("{asking}: {error}"))
    }

    /// Reads a document.
    ///
    /// # Errors
    /// It is no XML, or an element lacks an attribute that the page needs.
    pub(crate) fn parse(document: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(document);
        let mut agent = Self::default();
        let mut text = String::new();
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(element) => {
                    text.clear();
                    agent.begin(&element)?;
                }
                Event::Empty(element) => agent.begin(&element)?,
                Event::Text(part) => text.push_str(&part),
                Event::GeneralRef(entity) => text.push_str(&resolved(&entity)?),
                Event::End(element) => agent.describe(element.name().as_ref(), &text),
                Event::Eof => break,
                _ => {}
            }
        }
        if agent.name.is_empty() || agent.actions.is_empty() {
            return Err("this is not the meta-data of a resource agent".to_owned());
        }
        Ok(agent)
    }

    fn begin(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        match element.name().as_ref() {
            "resource-agent" => {
                self.name = required(element, "name")?;
                self.version = required(element, "version")?;
            }
            "parameter" => self.parameters.push(Parameter {
                name: required(element, "name")?,
                required: attribute(element, "required")?.as_deref() == Some("1"),
                unique: attribute(element, "unique-group")?.is_some(),
                reloadable: attribute(element, "reloadable")?.as_deref() == Some("1"),
                ..Parameter::default()
            }),
            "content" => {
                if let Some(parameter) = self.parameters.last_mut() {
                    parameter.content = required(element, "type")?;
                    parameter.default = attribute(element, "default")?;
                }
            }
            "action" => self.actions.push(Action {
                name: required(element, "name")?,
                timeout: required(element, "timeout")?,
                interval: attribute(element, "interval")?,
                depth: attribute(element, "depth")?,
            }),
            _ => {}
        }
        Ok(())
    }

    /// A description is the agent's until the first parameter begins.
    fn describe(&mut self, element: &str, text: &str) {
        let (short, long) = match self.parameters.last_mut() {
            Some(parameter) => (&mut parameter.short, &mut parameter.long),
            None => (&mut self.short, &mut self.long),
        };
        match element {
            "shortdesc" => text.clone_into(short),
            "longdesc" => text.clone_into(long),
            _ => {}
        }
    }
}

fn resolved(entity: &BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = entity.resolve_char_ref().map_err(|e| e.to_string())? {
        return Ok(character.to_string());
    }
    quick_xml::escape::resolve_xml_entity(entity)
        .map(ToOwned::to_owned)
        .ok_or_else(|| format!("there is no entity {}", &**entity))
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let found = element
        .try_get_attribute(name)
        .map_err(|error| error.to_string())?;
    found
        .map(|attribute| {
            attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map(|value| value.into_owned())
        })
        .transpose()
        .map_err(|error| error.to_string())
}

fn required(element: &BytesStart<'_>, name: &str) -> Result<String, String> {
    attribute(element, name)?.ok_or_else(|| {
        format!(
            "the element {} has no attribute {name}",
            element.name().as_ref()
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"<?xml version="1.0"?>
        <resource-agent name="sample" version="0.1.0">
          <version>1.1</version>
          <longdesc lang="en">Ports &lt; 1024 &amp; others.</longdesc>
          <shortdesc lang="en">a sample</shortdesc>
          <parameters>
            <parameter name="port" unique-group="port" reloadable="1" required="1">
              <longdesc lang="en">The port.</longdesc>
              <shortdesc lang="en">port</shortdesc>
              <content type="integer" default="5060"/>
            </parameter>
          </parameters>
          <actions><action name="monitor" timeout="30s" interval="10s" depth="0"/></actions>
        </resource-agent>"#;

    #[test]
    fn what_the_agent_says_is_read_whole() {
        let agent = Agent::parse(SAMPLE).unwrap();
        assert_eq!((&*agent.name, &*agent.short), ("sample", "a sample"));
        assert_eq!(agent.long, "Ports < 1024 & others.");
        let [port] = &agent.parameters[..] else {
            panic!("{agent:?}")
        };
        assert!(port.required && port.unique && port.reloadable);
        assert_eq!(port.default.as_deref(), Some("5060"));
        assert_eq!((&*port.short, &*port.long), ("port", "The port."));
        let [monitor] = &agent.actions[..] else {
            panic!("{agent:?}")
        };
        assert_eq!(monitor.interval.as_deref(), Some("10s"));
        assert_eq!(monitor.depth.as_deref(), Some("0"));
    }

    #[test]
    fn what_is_no_meta_data_is_refused() {
        for document in ["", "usage: sample", "<resource-agent/>", "<a><b></a>"] {
            assert!(Agent::parse(document).is_err(), "{document}");
        }
    }
}
