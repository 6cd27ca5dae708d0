//! What the cluster is asked, with Pacemaker's own tools on this node. An agent does not wait long for
//! them: Pacemaker waits for the agent.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};
use std::time::Duration;

use roxmltree::{Document, Node};
use tokio::process::Command;

use ec2::Deadline;

/// An answer takes some tens of milliseconds.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The properties that turn fencing on and off. Pacemaker 3.0.2 took on the second name and still knows the first.
const FENCING: [&str; 2] = ["stonith-enabled", "fencing-enabled"];

pub(crate) async fn is_fencing_on(deadline: Deadline) -> Result<bool, String> {
    for name in FENCING {
        // `true` is the value that Pacemaker takes when there is none.
        let query = format!("--type crm_config --name {name} --query --quiet --default true");
        let query: Vec<&str> = query.split(' ').collect();
        let said = succeeded(
            "crm_attribute",
            ask(deadline, "crm_attribute", &query).await?,
        )?;
        match said.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" | "y" => {}
            "false" | "no" | "off" | "0" | "n" => return Ok(false),
            _ => return Err(format!("crm_attribute says that {name} is `{said}`")),
        }
    }
    Ok(true)
}

/// The other nodes on which the resource runs, as far as Pacemaker knows. It counts a start that is under way as
/// running, so this node is among those that it names while the resource starts here.
///
/// A node that was stopped in maintenance is offline in good order, and what ran there runs on. Only the history of the
/// node's actions tells; Pacemaker deletes it when the node is fenced.
pub(crate) async fn other_nodes_that_run(
    resource: &str,
    deadline: Deadline,
) -> Result<Vec<String>, String> {
    let query = ["--resource", resource, "--locate"];
    let answer = ask(deadline, "crm_resource", &query).await?;
    let mut nodes: BTreeSet<String> = located(&text(&answer.stdout)).collect();
    // The exit status for a resource that runs nowhere differs between versions.
    if !text(&answer.stderr).contains("NOT running") {
        succeeded("crm_resource", answer)?;
    }
    let answer = ask(deadline, "cibadmin", &["--query", "--scope", "status"]).await?;
    nodes.extend(last_seen_running(
        &succeeded("cibadmin", answer)?,
        resource,
    )?);
    // Pacemaker's name for this node comes with each action.
    if let Ok(here) = std::env::var("OCF_RESKEY_CRM_meta_on_node") {
        nodes.remove(&here);
    }
    Ok(nodes.into_iter().collect())
}

/// The nodes on which the last action that has ended shows the resource running.
fn last_seen_running(status: &str, resource: &str) -> Result<Vec<String>, String> {
    let status = parse("cibadmin", status)?;
    let runs = |history: &Node<'_, '_>| {
        let ended = elements(*history, "lrm_rsc_op").filter_map(|action| {
            let call: i64 = action.attribute("call-id")?.parse().ok()?;
            (call >= 0).then_some((call, shows_running(action)))
        });
        ended
            .max_by_key(|(call, _)| *call)
            .is_some_and(|(_, runs)| runs)
    };
    let nodes = elements(status.root(), "node_state").filter(|node| {
        let mut histories = elements(*node, "lrm_resource");
        histories.any(|it| it.attribute("id") == Some(resource) && runs(&it))
    });
    Ok(nodes
        .filter_map(|node| node.attribute("uname"))
        .map(str::to_owned)
        .collect())
}

/// A stop that failed leaves the resource running; "not running" and "not installed" are the other answers.
fn shows_running(action: Node<'_, '_>) -> bool {
    let code = action.attribute("rc-code").unwrap_or_default();
    match action.attribute("operation") {
        Some("stop") => code != "0",
        _ => !matches!(code, "5" | "7"),
    }
}

/// `resource ebs is running on: pbx01`, a line for each node, in newer versions with a mark before it.
fn located(text: &str) -> impl Iterator<Item = String> {
    let nodes = text
        .lines()
        .filter_map(|line| line.split_once("is running on: "));
    nodes.filter_map(|(_, node)| Some(node.split_whitespace().next()?.to_owned()))
}

/// Whether Pacemaker manages the resource now. A recurring monitor also runs while it does not, and must not change
/// anything then: somebody works on the resource. An error says why Pacemaker does not manage it, or does not tell.
pub(crate) async fn is_managed(resource: &str, deadline: Deadline) -> Result<(), String> {
    let status = async {
        let answer = ask(deadline, "crm_mon", &["--one-shot", "--output-as=xml"]).await?;
        why_not_managed(&succeeded("crm_mon", answer)?, resource)
    };
    match status.await {
        Ok(None) => Ok(()),
        Ok(Some(reason)) => Err(reason),
        Err(why) => Err(format!(
            "Pacemaker does not tell whether it manages {resource}: {why}"
        )),
    }
}

/// Why the resource is not managed, by the output of crm_mon; none if it is managed.
fn why_not_managed(status: &str, resource: &str) -> Result<Option<String>, String> {
    let status = parse("crm_mon", status)?;
    let is = |element: &Node<'_, '_>, name: &str| element.attribute(name) == Some("true");
    if elements(status.root(), "cluster_options").any(|it| is(&it, "maintenance-mode")) {
        return Ok(Some("the cluster is in maintenance mode".to_owned()));
    }
    // An instance of a clone has its number after the name.
    let name = |id: &str| id.split(':').next().map(str::to_owned);
    let is_it = |it: &Node<'_, '_>| {
        it.attribute("id")
            .is_some_and(|id| name(id) == name(resource))
    };
    let instances: Vec<_> = elements(status.root(), "resource").filter(is_it).collect();
    if instances.is_empty() {
        return Err("crm_mon shows no such resource".to_owned());
    }
    if instances
        .iter()
        .any(|it| !is(it, "managed") || is(it, "maintenance"))
    {
        return Ok(Some(format!("{resource} is not managed by Pacemaker now")));
    }
    let runs_on = |node: &str| {
        let mut nodes = instances.iter().flat_map(|it| elements(*it, "node"));
        nodes.any(|it| it.attribute("name") == Some(node))
    };
    let in_maintenance = elements(status.root(), "node").filter(|it| is(it, "maintenance"));
    let mut nodes = in_maintenance.filter_map(|it| it.attribute("name"));
    Ok(nodes
        .find(|it| runs_on(it))
        .map(|node| format!("the node {node} is in maintenance")))
}

fn parse<'a>(tool: &str, xml: &'a str) -> Result<Document<'a>, String> {
    Document::parse(xml).map_err(|error| format!("{tool}'s answer: {error}"))
}

fn elements<'a, 'input>(
    below: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    below.descendants().filter(move |it| it.has_tag_name(name))
}

async fn ask(deadline: Deadline, tool: &str, arguments: &[&str]) -> Result<Output, String> {
    let mut command = Command::new(tool);
    let answer = command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(deadline.at_most(TIMEOUT).remaining(), answer).await {
        Ok(answer) => answer.map_err(|error| format!("{tool}: {error}")),
        Err(_) => Err(format!("{tool} gave no answer in time")),
    }
}

fn succeeded(tool: &str, answer: Output) -> Result<String, String> {
    if answer.status.success() {
        return Ok(text(&answer.stdout));
    }
    let said = text(&answer.stderr);
    let said = said.lines().next().unwrap_or("no reason given");
    Err(format!("{tool} ended with {}: {said}", answer.status))
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
        let located = |text| located(text).collect::<Vec<_>>();
        assert_eq!(located(old), ["pbx01"]);
        assert_eq!(located(new), ["pbx01", "pbx02"]);
        assert!(located("resource ebs is NOT running\n").is_empty());
    }

    fn status(cluster: &str, node: &str, managed: &str) -> String {
        format!(
            r#"<pacemaker-result api-version="2.25" request="crm_mon"><summary>
            <cluster_options stonith-enabled="true" maintenance-mode="{cluster}"/></summary>
            <nodes><node name="n1" id="1" online="true" maintenance="{node}"/>
            <node name="n2" id="2" online="true" maintenance="true"/></nodes>
            <resources><group id="g" number_resources="2" managed="true">
            <resource id="vip" managed="false" blocked="false"><node name="n1" id="1"/></resource>
            <resource id="pbx" role="Started" managed="{managed}" blocked="false" nodes_running_on="1">
            <node name="n1" id="1" cached="true"/></resource></group></resources></pacemaker-result>"#
        )
    }

    #[test]
    fn a_managed_resource_is_told_from_one_that_somebody_works_on() {
        let judge = |text: &str| why_not_managed(text, "pbx").unwrap();
        assert_eq!(judge(&status("false", "false", "true")), None);
        for (text, says) in [
            (status("true", "false", "true"), "maintenance mode"),
            (status("false", "true", "true"), "n1 is in maintenance"),
            (status("false", "false", "false"), "not managed"),
        ] {
            let reason = judge(&text).unwrap();
            assert!(reason.contains(says), "{reason}");
        }
    }

    #[test]
    fn what_says_nothing_of_the_resource_is_an_error() {
        let text = status("false", "false", "true");
        for (text, resource) in [(text.as_str(), "other"), ("", "pbx"), ("<a><b></a>", "pbx")] {
            assert!(why_not_managed(text, resource).is_err(), "{text}");
        }
        assert_eq!(why_not_managed(&text, "pbx:0"), Ok(None));
    }
}
