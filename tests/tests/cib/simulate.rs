//! crm_simulate in an image: what Pacemaker would do, and where everything would run then.

use std::collections::BTreeMap;

use cib_gen::scheduler::{Action, Transition};

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
    // What happens, and what the scheduler does then, are two runs: cib_gen::scheduler::runs.
    let (later, now): (Vec<&str>, Vec<&str>) = (events.iter().copied())
        .partition(|event| event.starts_with("--op-fail") || event.starts_with("--save-graph"));
    let happens = ["--xml-file", from, "--save-input", "changed.xml"];
    let simulates = ["--simulate", "--output-as=xml", "--xml-file", "changed.xml"];
    let simulates = [&simulates[..], &["--save-output", to], &later].concat();
    let line = |arguments: &[&str]| format!("crm_simulate {}", arguments.join(" "));
    let happens = if now.is_empty() {
        format!("cp {from} changed.xml")
    } else {
        format!("{} > happens.txt", line(&[&happens[..], &now].concat()))
    };
    let script = format!("{happens} || exit 1; {}", line(&simulates));
    // It ends with an error where an action was told to fail; what it prints says the same.
    let output = bench.try_run(&["sh", "-c", &script]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let transition = Transition::read(&text, String::new())
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    let works = |role: &str| matches!(role, "Started" | "Promoted");
    let running = transition.after.into_iter().filter(|i| works(&i.role));
    let action = |action: Action| match action {
        Action::Operation {
            resource,
            operation,
            node,
        } => format!("{resource} {operation} on {node}"),
        Action::Fence { node, how } => format!("Fencing {node} ({how})"),
    };
    Outcome {
        nodes: running
            .filter_map(|i| Some((i.resource, i.node?)))
            .collect(),
        actions: transition.actions.into_iter().map(action).collect(),
        text,
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
