//! What the cluster is asked, with Pacemaker's own tools on this node. An agent does not wait long for
//! them: Pacemaker waits for the agent.

use std::process::Output;
use std::time::Duration;

use tokio::process::Command;

use crate::ocf::Deadline;

/// An answer takes some tens of milliseconds.
const LIMIT: Duration = Duration::from_secs(5);

/// The properties that turn fencing on and off. Pacemaker 3.0.2 took on the second name and still knows the first.
const FENCING: [&str; 2] = ["stonith-enabled", "fencing-enabled"];

/// Whether the cluster fences nodes that it has lost.
///
/// # Errors
/// Why Pacemaker can't be asked.
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

/// The other nodes on which the resource runs, as far as Pacemaker knows. It counts a start that is under way as
/// running, so this node is among those that it names while the resource starts here.
///
/// # Errors
/// Why Pacemaker can't be asked.
pub async fn other_nodes_that_run(
    resource: &str,
    deadline: Deadline,
) -> Result<Vec<String>, String> {
    let query = ["--resource", resource, "--locate"];
    let answer = ask(deadline, "crm_resource", &query).await?;
    let mut nodes = located(&text(&answer.stdout));
    // Pacemaker's name for this node comes with each action.
    if let Ok(here) = std::env::var("OCF_RESKEY_CRM_meta_on_node") {
        nodes.retain(|node| *node != here);
    }
    // The exit status for a resource that runs nowhere differs between versions.
    if answer.status.success() || text(&answer.stderr).contains("NOT running") {
        return Ok(nodes);
    }
    Err(failed("crm_resource", &answer))
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
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(deadline.at_most(LIMIT).remaining(), answer).await {
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
mod tests {
    use super::*;

    #[test]
    fn where_a_resource_runs_is_read_from_each_version() {
        let old = "resource ebs is running on: pbx01 \n";
        let new = "  * resource ebs is running on: pbx01\n  * resource ebs is running on: pbx02 Promoted\n";
        assert_eq!(located(old), ["pbx01"]);
        assert_eq!(located(new), ["pbx01", "pbx02"]);
        assert!(located("resource ebs is NOT running\n").is_empty());
    }
}
