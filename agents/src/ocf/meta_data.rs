//! The meta-data of an agent, as OCF 1.1 wants it.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::params::{Mark, Parameter, Presence};
use super::{Advice, Description, RELOAD_AGENT};

/// The actions that every agent has beside those in its description.
pub(super) const ALWAYS: &[Advice] = &[
    Advice::timeout(RELOAD_AGENT, 20),
    Advice::timeout("validate-all", 20),
    Advice::timeout("meta-data", 5),
];

/// The DTD of OCF 1.0, which ocf-tester validates against, with what is new in OCF 1.1: two attributes,
/// and the action `reload-agent`. A declaration here takes precedence over the DTD's own.
const DOCTYPE: &str = "resource-agent SYSTEM \"ra-api-1.dtd\" [\
     <!ATTLIST parameter unique-group CDATA #IMPLIED reloadable (0|1) \"0\">\
     <!ATTLIST action name NMTOKEN #REQUIRED>]";

/// The meta-data as a document.
pub(super) fn document(agent: &Description, parameters: &[Parameter]) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    writer.write_event(Event::DocType(BytesText::from_escaped(DOCTYPE)))?;
    writer
        .create_element("resource-agent")
        .with_attribute(("name", agent.name))
        .with_attribute(("version", env!("CARGO_PKG_VERSION")))
        .write_inner_content(|w| {
            w.create_element("version")
                .write_text_content(BytesText::new("1.1"))?;
            descriptions(w, agent.short, agent.long)?;
            w.create_element("parameters")
                .write_inner_content(|w| parameters.iter().try_for_each(|p| parameter(w, p)))?;
            w.create_element("actions").write_inner_content(|w| {
                agent
                    .actions
                    .iter()
                    .chain(ALWAYS)
                    .try_for_each(|a| action(w, a))
            })?;
            Ok(())
        })?;
    Ok(String::from_utf8_lossy(&writer.into_inner()).into_owned())
}

fn descriptions(w: &mut Writer<Vec<u8>>, short: &str, long: &str) -> io::Result<()> {
    for (element, text) in [("longdesc", long), ("shortdesc", short)] {
        w.create_element(element)
            .with_attribute(("lang", "en"))
            .write_text_content(BytesText::new(text))?;
    }
    Ok(())
}

fn parameter(w: &mut Writer<Vec<u8>>, parameter: &Parameter) -> io::Result<()> {
    let mut element = w
        .create_element("parameter")
        .with_attribute(("name", parameter.name));
    if parameter.marks.contains(&Mark::Unique) {
        element = element.with_attribute(("unique-group", parameter.name));
    }
    if parameter.marks.contains(&Mark::Reloadable) {
        element = element.with_attribute(("reloadable", "1"));
    }
    let required = parameter.presence == Presence::Required;
    element
        .with_attribute(("required", if required { "1" } else { "0" }))
        .write_inner_content(|w| {
            descriptions(w, parameter.short, parameter.long)?;
            let mut content = w
                .create_element("content")
                .with_attribute(("type", parameter.content));
            if let Presence::Default(default) = parameter.presence {
                content = content.with_attribute(("default", default));
            }
            content.write_empty()?;
            Ok(())
        })?;
    Ok(())
}

fn action(w: &mut Writer<Vec<u8>>, action: &Advice) -> io::Result<()> {
    let seconds = |n: u32| format!("{n}s");
    let mut element = w
        .create_element("action")
        .with_attribute(("name", action.name))
        .with_attribute(("timeout", seconds(action.timeout).as_str()));
    if let Some(interval) = action.interval {
        element = element.with_attribute(("interval", seconds(interval).as_str()));
    }
    if let Some(depth) = action.depth {
        element = element.with_attribute(("depth", depth.to_string().as_str()));
    }
    element.write_empty()?;
    Ok(())
}
