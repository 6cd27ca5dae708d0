//! crm_simulate: what Pacemaker would do, and where everything would run then.

use std::collections::BTreeMap;

use crate::bench::Bench;

/// What came of a simulation.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The node of each resource that runs.
    pub(crate) nodes: BTreeMap<String, String>,
    /// The actions in the order in which they were done: `eip start on n1`, `Fencing n1 (reboot)`.
    pub(crate) actions: Vec<String>,
    /// All that was printed.
    pub(crate) text: String,
}

impl Outcome {
    /// The node that has all of the named resources, if one has.
    pub(crate) fn node_of_all(&self, resources: &[&str]) -> Option<&str> {
        let mut nodes = resources.iter().map(|r| self.nodes.get(*r));
        let first = nodes.next()??;
        nodes
            .all(|node| node == Some(first))
            .then_some(first.as_str())
    }

    /// When an action was done.
    pub(crate) fn when(&self, action: &str) -> usize {
        self.actions
            .iter()
            .position(|a| a.starts_with(action))
            .unwrap_or_else(|| panic!("there was no `{action}`:\n{}", self.text))
    }
}

/// Simulates with some events from the CIB in `from`, and leaves the state after them in `to`.
pub(crate) fn simulate(bench: &Bench, from: &str, events: &[&str], to: &str) -> Outcome {
    let mut command = vec![
        "crm_simulate",
        "--simulate",
        "--xml-file",
        from,
        "--save-output",
        to,
    ];
    command.extend(events);
    // It ends with an error where an action was told to fail; what it prints says the same.
    let output = bench.try_run(&command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (before, after) = text
        .split_once("Revised Cluster Status:")
        .unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
    let nodes = after.lines().filter_map(|line| {
        let (resource, state) = line.trim().strip_prefix("* ")?.split_once("):")?;
        let (id, _) = resource.split_once(char::is_whitespace)?;
        let node = state.trim().strip_prefix("Started ")?;
        let node = node.split_whitespace().next()?;
        Some((id.to_owned(), node.to_owned()))
    });
    let executed = before.split("Executing Cluster Transition:").nth(1);
    let actions = executed.unwrap_or_default().lines().filter_map(|line| {
        let action = line.trim().strip_prefix("* ")?;
        let action = action.strip_prefix("Resource action:").unwrap_or(action);
        Some(action.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    Outcome {
        nodes: nodes.collect(),
        actions: actions.collect(),
        text: text.clone(),
    }
}

/// Has the simulation believe that a promotable resource is at its best on a node, and that it
/// can be promoted on the others too: what its agent would have said, had it run.
pub(crate) fn promotable_on(bench: &Bench, file: &str, resource: &str, best: &str) {
    let state = "<node_state ";
    let text = bench.read(file);
    let mut parts = text.split(state);
    let mut with = parts.next().unwrap_or_default().to_owned();
    for (n, part) in parts.enumerate() {
        let (opening, rest) = part.split_once('>').expect("the end of a node_state");
        let score = match opening.contains(&format!("uname=\"{best}\"")) {
            true => 10_000,
            false => 1_000,
        };
        with += &format!(
            "{state}{opening}><transient_attributes id=\"attributes-{n}\">\
             <instance_attributes id=\"score-{n}\"><nvpair id=\"score-{n}-of\" \
             name=\"master-{resource}\" value=\"{score}\"/></instance_attributes>\
             </transient_attributes>{rest}"
        );
    }
    bench.write(file, &with);
}
