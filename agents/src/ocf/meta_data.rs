//! The meta-data of an agent, as OCF 1.1 wants it.

use quick_xml::escape::escape;

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

pub(super) fn document(agent: &Description, parameters: &[Parameter]) -> String {
    let name = agent.name;
    let version = env!("CARGO_PKG_VERSION");
    let descriptions = descriptions("  ", agent.short, agent.long);
    let parameters: String = parameters.iter().map(parameter).collect();
    let actions: String = agent.actions.iter().chain(ALWAYS).map(action).collect();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE {DOCTYPE}>
<resource-agent name="{name}" version="{version}">
  <version>1.1</version>
{descriptions}  <parameters>
{parameters}  </parameters>
  <actions>
{actions}  </actions>
</resource-agent>"#
    )
}

fn descriptions(indent: &str, short: &str, long: &str) -> String {
    let (short, long) = (escape(short), escape(long));
    format!(
        "{indent}<longdesc lang=\"en\">{long}</longdesc>\n\
         {indent}<shortdesc lang=\"en\">{short}</shortdesc>\n"
    )
}

fn parameter(parameter: &Parameter) -> String {
    let Parameter {
        name,
        content,
        marks,
        ..
    } = parameter;
    let mut attributes = String::new();
    if marks.contains(&Mark::Unique) {
        attributes += &format!(" unique-group=\"{name}\"");
    }
    if marks.contains(&Mark::Reloadable) {
        attributes += " reloadable=\"1\"";
    }
    let required = u8::from(parameter.presence == Presence::Required);
    let default = match parameter.presence {
        Presence::Default(default) => format!(" default=\"{}\"", escape(default)),
        Presence::Required | Presence::Optional => String::new(),
    };
    let descriptions = descriptions("      ", parameter.short, parameter.long);
    format!(
        r#"    <parameter name="{name}"{attributes} required="{required}">
{descriptions}      <content type="{content}"{default}/>
    </parameter>
"#
    )
}

fn action(action: &Advice) -> String {
    let Advice {
        name,
        timeout,
        monitor,
    } = action;
    let monitor = monitor.map_or_else(String::new, |(depth, interval)| {
        format!(" interval=\"{interval}s\" depth=\"{depth}\"")
    });
    format!("    <action name=\"{name}\" timeout=\"{timeout}s\"{monitor}/>\n")
}
