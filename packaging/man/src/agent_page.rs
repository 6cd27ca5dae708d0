//! The manual page of an agent, from its meta-data
//! (<https://github.com/ClusterLabs/OCF-spec/blob/main/ra/1.1/resource-agent-api.md>). The end of the
//! page is the same for all agents: `agent_page_end.roff`.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

use clap_mangen::roff::{Roff, bold, italic, roman};
use serde::Deserialize;

/// An agent.
#[derive(Deserialize)]
struct Agent {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "@version")]
    version: String,
    shortdesc: String,
    longdesc: String,
    parameters: Parameters,
    actions: Actions,
}

#[derive(Deserialize)]
struct Parameters {
    parameter: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "@required")]
    required: String,
    #[serde(rename = "@unique-group")]
    unique_group: Option<String>,
    #[serde(rename = "@reloadable")]
    reloadable: Option<String>,
    longdesc: String,
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "@type")]
    kind: String,
    #[serde(rename = "@default")]
    default: Option<String>,
}

#[derive(Deserialize)]
struct Actions {
    action: Vec<Action>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "@timeout")]
    timeout: String,
    #[serde(rename = "@interval")]
    interval: Option<String>,
    /// The value of `OCF_CHECK_LEVEL`.
    #[serde(rename = "@depth")]
    depth: Option<String>,
}

/// File name and text of the page. Runs the agent's binary to get its meta-data.
///
/// # Errors
/// The binary cannot be run or fails, or its output is not the meta-data of an agent.
pub(crate) fn of(binary: &Path, date: &str) -> Result<(String, String), Box<dyn Error>> {
    let command = format!("{} meta-data", binary.display());
    let output = Command::new(binary)
        .arg("meta-data")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{command}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command}: {}", output.status).into());
    }
    let meta_data = String::from_utf8(output.stdout)?;
    page(&meta_data, date).map_err(|error| format!("{command}: {error}").into())
}

fn page(meta_data: &str, date: &str) -> Result<(String, String), quick_xml::DeError> {
    let agent: Agent = quick_xml::de::from_str(meta_data)?;
    let title = format!("ocf_portsip_{}", agent.name);
    let heading = [
        &title.to_uppercase(),
        "7",
        date,
        &format!("portsip-ha {}", agent.version),
        "Resource agents of portsip-ha",
    ];
    let mut actions: Vec<&str> = agent.actions.action.iter().map(|a| &*a.name).collect();
    actions.dedup();
    let program = format!("/usr/lib/ocf/resource.d/portsip/{}", agent.name);
    let mut page = Roff::new();
    // A word such as OCF_CHECK_LEVEL is not broken, and lines need not end together.
    page.control("TH", heading)
        .control("nh", [])
        .control("ad", ["l"])
        .control("SH", ["NAME"])
        .text([roman(format!("{title} - {}", agent.shortdesc))])
        .control("SH", ["SYNOPSIS"])
        .text([
            bold(program),
            roman(format!(" {{ {} }}", actions.join(" | "))),
        ])
        .control("SH", ["DESCRIPTION"]);
    for paragraph in agent.longdesc.split("\n\n") {
        page.control("PP", []).text([roman(paragraph)]);
    }
    page.control("SH", ["PARAMETERS"]);
    for parameter in &agent.parameters.parameter {
        page.control("TP", [])
            .text([bold(&parameter.name)])
            .text([roman(&parameter.longdesc)])
            .control("IP", [])
            .text([roman(properties(parameter))]);
    }
    page.control("SH", ["ACTIONS"]);
    for action in &agent.actions.action {
        let interval = action.interval.iter();
        let interval: String = interval.map(|time| format!(", interval {time}")).collect();
        let advice = format!("Timeout {}{interval}.", action.timeout);
        page.control("TP", [])
            .text([bold(&action.name)])
            .text([roman(format!("{} {advice}", description(action)))]);
    }
    page.control("SH", ["EXAMPLE"])
        .text([roman("The resource alone, with its required parameters:")])
        .control("PP", [])
        .control("nf", [])
        .text([roman(format!(
            "pcs resource create my-{0} ocf:portsip:{0} \\",
            agent.name
        ))]);
    for parameter in (agent.parameters.parameter.iter()).filter(|p| p.required == "1") {
        let value = italic(parameter.name.to_uppercase());
        page.text([
            roman(format!("    {}=", parameter.name)),
            value,
            roman(" \\"),
        ]);
    }
    page.text([roman(operations(&agent.actions.action))])
        .control("fi", []);
    let end = include_str!("agent_page_end.roff").replace("AGENT", &agent.name);
    Ok((format!("{title}.7"), page.render() + &end))
}

fn properties(parameter: &Parameter) -> String {
    let mut properties = parameter.content.kind.clone();
    properties += match parameter.required == "1" {
        true => ", required",
        false => ", optional",
    };
    if parameter.unique_group.is_some() {
        properties += ", unique: no two resources may have the same";
    }
    if parameter.reloadable.as_deref() == Some("1") {
        properties += ", may change while the resource runs";
    }
    if let Some(default) = &parameter.content.default {
        properties += &format!("; default {default}");
    }
    format!("({properties})")
}

/// What the OCF contract says of an action. What an agent adds is in its description.
fn description(action: &Action) -> String {
    let text = match (action.name.as_str(), action.depth.as_deref()) {
        ("start", _) => "Starts the resource. Does nothing if it runs here already.",
        ("stop", _) => "Stops the resource. Does nothing if it does not run here.",
        ("monitor", None | Some("0")) => {
            "Checks whether the resource runs here and is healthy, from what this node knows."
        }
        ("monitor", Some(depth)) => {
            return format!(
                "With OCF_CHECK_LEVEL={depth}, checks more; the description says what."
            );
        }
        ("reload-agent", _) => {
            "Pacemaker calls this instead of stop and start when only parameters have changed that \
             may change while the resource runs. Checks the parameters; the next action uses them."
        }
        ("validate-all", _) => {
            "Checks the parameters. With OCF_CHECK_LEVEL=10 it also checks what the resource needs \
             on this node and around it. Changes nothing."
        }
        ("meta-data", _) => {
            "Prints the XML that this page was made from. Needs no parameters and no privileges."
        }
        _ => "",
    };
    text.to_owned()
}

/// The operations of the example, with the times that the agent advises.
fn operations(actions: &[Action]) -> String {
    let mut operations = "    op".to_owned();
    for action in actions {
        let usual = action.depth.as_deref().is_none_or(|depth| depth == "0");
        if usual && ["start", "stop", "monitor"].contains(&&*action.name) {
            operations += &format!(" {}", action.name);
            if let Some(interval) = &action.interval {
                operations += &format!(" interval={interval}");
            }
            operations += &format!(" timeout={}", action.timeout);
        }
    }
    operations
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    const SAMPLE: &str = r#"<?xml version="1.0"?>
        <resource-agent name="sample" version="0.1.0">
          <version>1.1</version>
          <longdesc lang="en">Ports &lt; 1024 &amp; others.</longdesc>
          <shortdesc lang="en">a sample</shortdesc>
          <parameters>
            <parameter name="volume_id" unique-group="volume_id" required="1">
              <longdesc lang="en">The volume.</longdesc>
              <shortdesc lang="en">volume</shortdesc>
              <content type="string"/>
            </parameter>
            <parameter name="grace" reloadable="1" required="0">
              <longdesc lang="en">Seconds.</longdesc>
              <shortdesc lang="en">grace</shortdesc>
              <content type="integer" default="20"/>
            </parameter>
          </parameters>
          <actions>
            <action name="start" timeout="30s"/>
            <action name="monitor" timeout="30s" interval="10s" depth="0"/>
            <action name="monitor" timeout="30s" interval="60s" depth="10"/>
          </actions>
        </resource-agent>"#;

    #[test]
    fn the_page_has_what_the_meta_data_says() {
        let (file, page) = super::page(SAMPLE, "2026-11-20").unwrap();
        assert_eq!(file, "ocf_portsip_sample.7");
        for part in [
            ".TH OCF_PORTSIP_SAMPLE 7 2026-11-20 \"portsip-ha 0.1.0\" \"Resource agents",
            "ocf_portsip_sample \\- a sample",
            "Ports < 1024 & others.",
            "{ start | monitor }",
            "(string, required, unique: no two resources may have the same)",
            "(integer, optional, may change while the resource runs; default 20)",
            "With OCF_CHECK_LEVEL=10, checks more",
            "    volume_id=\\fIVOLUME_ID\\fR \\\\\n    op start timeout=30s monitor interval=10s timeout=30s\n",
        ] {
            assert!(page.contains(part), "no {part} in {page}");
        }
    }

    #[test]
    fn text_that_is_not_meta_data_is_refused() {
        for text in ["", "usage: sample", "<resource-agent/>", "<a><b></a>"] {
            assert!(super::page(text, "2026-11-20").is_err(), "{text}");
        }
    }
}
