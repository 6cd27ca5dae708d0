//! What the cluster is asked, with Pacemaker's own tools on this node. An agent does not wait long for
//! them: Pacemaker waits for the agent.

use std::process::{Output, Stdio};
use std::time::Duration;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use tokio::process::Command;

use ec2::Deadline;

/// An answer takes some tens of milliseconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The properties that turn fencing on and off. Pacemaker 3.0.2 took on the second name and still knows the first.
const FENCING: [&str; 2] = ["stonith-enabled", "fencing-enabled"];

/// Whether the cluster fences nodes that it has lost.
pub async fn is_fencing_on(deadline: Deadline) -> Result<bool, String> {
    for name in FENCING {
        let query = [
            "--type",
            "crm_config",
            "--name",
            name,
            "--query",
            "--quiet",
            "--default",
            // The value that Pacemaker takes when there is none.
            "true",
        ];
        let answer = ask(deadline, "crm_attribute", &query).await?;
        let said = text(&answer.stdout);
        match said.to_ascii_lowercase().as_str() {
            _ if !answer.status.success() => return Err(failed("crm_attribute", &answer)),
            "true" | "yes" | "on" | "1" | "y" => {}
            "false" | "no" | "off" | "0" | "n" => return Ok(false),
            _ => return Err(format!("crm_attribute says that {name} is `{said}`")),
        }
    }
    Ok(true)
}

/// The cluster's status as `crm_mon` writes it in XML.
pub async fn status(deadline: Deadline) -> Result<String, String> {
    let answer = ask(deadline, "crm_mon", &["--one-shot", "--output-as=xml"]).await?;
    if !answer.status.success() {
        return Err(failed("crm_mon", &answer));
    }
    Ok(text(&answer.stdout))
}

/// The other nodes on which the resource runs, as far as Pacemaker knows. It counts a start that is under way as
/// running, so this node is among those that it names while the resource starts here.
///
/// A node that was stopped in maintenance is offline in good order, and what ran there runs on. Only the history of the
/// node's actions tells; Pacemaker deletes it when the node is fenced.
pub async fn other_nodes_that_run(
    resource: &str,
    deadline: Deadline,
) -> Result<Vec<String>, String> {
    let query = ["--resource", resource, "--locate"];
    let answer = ask(deadline, "crm_resource", &query).await?;
    let mut nodes = located(&text(&answer.stdout));
    // The exit status for a resource that runs nowhere differs between versions.
    if !answer.status.success() && !text(&answer.stderr).contains("NOT running") {
        return Err(failed("crm_resource", &answer));
    }
    let answer = ask(deadline, "cibadmin", &["--query", "--scope", "status"]).await?;
    if !answer.status.success() {
        return Err(failed("cibadmin", &answer));
    }
    nodes.extend(last_seen_running(&text(&answer.stdout), resource)?);
    // Pacemaker's name for this node comes with each action.
    if let Ok(here) = std::env::var("OCF_RESKEY_CRM_meta_on_node") {
        nodes.retain(|node| *node != here);
    }
    nodes.sort();
    nodes.dedup();
    Ok(nodes)
}

/// The nodes on which the last action that has ended shows the resource running.
fn last_seen_running(status: &str, resource: &str) -> Result<Vec<String>, String> {
    let mut reader = Reader::from_str(status);
    let mut node = None;
    let mut is_resource = false;
    let mut last: Option<(i64, bool)> = None;
    let mut nodes = Vec::new();
    loop {
        let event = reader
            .read_event()
            .map_err(|error| format!("cibadmin's answer: {error}"))?;
        match &event {
            Event::Eof => return Ok(nodes),
            Event::Start(element) | Event::Empty(element) => match element.name().as_ref() {
                "node_state" => node = attribute(element, "uname"),
                "lrm_resource" => {
                    is_resource = attribute(element, "id").as_deref() == Some(resource);
                    last = None;
                }
                "lrm_rsc_op" if is_resource => {
                    let call: i64 = attribute(element, "call-id")
                        .and_then(|id| id.parse().ok())
                        .unwrap_or(-1);
                    if call >= 0 && last.is_none_or(|(before, _)| before <= call) {
                        last = Some((call, shows_running(element)));
                    }
                }
                _ => {}
            },
            Event::End(end) if end.name().as_ref() == "lrm_resource" => {
                if last.take().is_some_and(|(_, runs)| runs) {
                    nodes.extend(node.clone());
                }
                is_resource = false;
            }
            _ => {}
        }
    }
}

/// A stop that failed leaves the resource running; "not running" and "not installed" are the other answers.
fn shows_running(action: &BytesStart<'_>) -> bool {
    let code = attribute(action, "rc-code").unwrap_or_default();
    match attribute(action, "operation").as_deref() {
        Some("stop") => code != "0",
        _ => !matches!(code.as_str(), "5" | "7"),
    }
}

pub(crate) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let value = element.try_get_attribute(name).ok()??.value;
    Some(value.into_owned())
}

/// `resource ebs is running on: pbx01`, a line for each node, in newer versions with a mark before it.
fn located(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.split_once("is running on: "))
        .filter_map(|(_, node)| node.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

async fn ask(deadline: Deadline, tool: &str, arguments: &[&str]) -> Result<Output, String> {
    let answer = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(deadline.at_most(TIMEOUT).remaining(), answer).await {
        Ok(answer) => answer.map_err(|error| format!("{tool}: {error}")),
        Err(_) => Err(format!("{tool} gave no answer in time")),
    }
}

fn failed(tool: &str, answer: &Output) -> String {
    let said = text(&answer.stderr);
    let said = said.lines().next().unwrap_or("no reason given");
    format!("{tool} ended with {}: {said}", answer.status)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_last_action_tells_where_the_resource_was_left() {
        let node = |name: &str, actions: &[(&str, i64, &str)]| {
            let actions: String = actions
                .iter()
                .map(|(operation, call, code)| {
                    format!(
                        r#"<lrm_rsc_op operation="{operation}" call-id="{call}" rc-code="{code}"/>"#
                    )
                })
                .collect();
            format!(
                r#"<node_state uname="{name}"><lrm><lrm_resources><lrm_resource id="pbx"><lrm_rsc_op operation="start" call-id="90" rc-code="0"/></lrm_resource><lrm_resource id="ebs">{actions}</lrm_resource></lrm_resources></lrm></node_state>"#
            )
        };
        let runs = |actions: &[(&str, i64, &str)]| {
            let status = format!("<status>{}</status>", node("pbx01", actions));
            last_seen_running(&status, "ebs").unwrap() == ["pbx01"]
        };
        assert!(runs(&[("monitor", 12, "0"), ("start", 10, "0")]));
        assert!(runs(&[("start", 10, "0"), ("monitor", 12, "190")]));
        assert!(runs(&[("start", 10, "0"), ("stop", 13, "1")]));
        assert!(!runs(&[("start", 10, "0"), ("stop", 13, "0")]));
        assert!(!runs(&[("monitor", 4, "7")]));
        assert!(!runs(&[("monitor", 4, "7"), ("start", -1, "193")]));
        assert!(!runs(&[]));
        let empty = r#"<status><node_state uname="pbx01"/></status>"#;
        assert!(last_seen_running(empty, "ebs").unwrap().is_empty());
    }

    #[test]
    fn where_a_resource_runs_is_read_from_each_version() {
        let old = "resource ebs is running on: pbx01 \n";
        let new = "  * resource ebs is running on: pbx01\n  * resource ebs is running on: pbx02 Promoted\n";
        assert_eq!(located(old), ["pbx01"]);
        assert_eq!(located(new), ["pbx01", "pbx02"]);
        assert!(located("resource ebs is NOT running\n").is_empty());
    }
}
