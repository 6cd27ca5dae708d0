//! What Pacemaker would do for a change, in words: what it would do anyway is not told.

use crate::scheduler::{Action, Instance, Transition};

/// The actions that only the second transition has.
pub(super) fn added<'a>(without: &Transition, with: &'a Transition) -> Vec<&'a Action> {
    let is_new = |action: &&Action| !without.actions.contains(action);
    with.actions.iter().filter(is_new).collect()
}

/// What is done to the resources, a line for each node and kind.
pub(super) fn effects(without: &Transition, with: &Transition) -> Vec<String> {
    let mut lines = Vec::new();
    let mut operations: Vec<(&str, &str, &str)> = Vec::new();
    for action in added(without, with) {
        match action {
            Action::Operation {
                resource,
                operation,
                node,
            } => {
                operations.push((resource, operation, node));
            }
            Action::Fence { node, how } => lines.push(format!("would be fenced: {node} ({how})")),
        }
    }
    // In the order of the CIB.
    let place = |id: &str| with.after.iter().position(|i| i.resource == id);
    let mut ids: Vec<&str> = operations.iter().map(|(id, ..)| *id).collect();
    ids.sort_by_key(|id| (place(id), *id));
    ids.dedup();
    let mut grouped: Vec<((&str, String), Vec<&str>)> = Vec::new();
    for id in ids {
        let its = operations.iter().filter(|(of, ..)| *of == id);
        let its: Vec<(&str, &str)> = its
            .map(|(_, operation, node)| (*operation, *node))
            .collect();
        for what in done(&its, |node| is_at(&with.before, id, node)) {
            match grouped.iter_mut().find(|(known, _)| *known == what) {
                Some((_, ids)) => ids.push(id),
                None => grouped.push((what, vec![id])),
            }
        }
    }
    for ((verb, place), ids) in grouped {
        lines.push(format!("would {verb}: {} {place}", ids.join(", ")));
    }
    let starts = |of: &Transition| {
        let is_start = |action: &Action| matches!(action, Action::Operation { operation, .. } if operation == "start");
        of.actions.iter().any(is_start)
    };
    if lines.is_empty() {
        let nothing = match (starts(without), with.before.is_empty()) {
            (true, _) => {
                "nothing would restart; what Pacemaker starts, it starts without the change too"
            }
            (false, true) => "nothing runs, and nothing would start",
            (false, false) => "nothing would restart",
        };
        lines.push(nothing.to_owned());
    }
    lines
}

fn is_at(instances: &[Instance], resource: &str, node: &str) -> bool {
    (instances.iter()).any(|i| i.resource == resource && i.node.as_deref() == Some(node))
}

/// What becomes of a resource by the operations on it, each with its node.
fn done<'a>(operations: &[(&'a str, &str)], ran: impl Fn(&str) -> bool) -> Vec<(&'a str, String)> {
    let is_done = |operation, node| operations.contains(&(operation, node));
    let is_restarted = |node| is_done("stop", node) && is_done("start", node);
    let nodes = |wanted: &str| {
        let its = operations
            .iter()
            .filter(move |(operation, _)| *operation == wanted);
        its.map(|(_, node)| *node).collect::<Vec<_>>()
    };
    let mut from = nodes("stop").into_iter().filter(|node| !is_restarted(node));
    let mut words = Vec::new();
    for node in nodes("start") {
        words.push(match is_restarted(node) {
            true => ("restart", format!("on {node}")),
            false => match from.next() {
                Some(from) => ("move", format!("from {from} to {node}")),
                None => ("start", format!("on {node}")),
            },
        });
    }
    words.extend(from.map(|node| ("stop", format!("on {node}"))));
    for (operation, node) in operations {
        let is_told = match *operation {
            // The cluster forgets what it knew of a resource that does not run there.
            "start" | "stop" | "delete" => false,
            // A restart of what is promoted has a demotion and a promotion in it.
            "promote" | "demote" => !(is_restarted(node) && ran(node)),
            _ => true,
        };
        if is_told {
            let operation = operation.strip_suffix("-agent").unwrap_or(operation);
            words.push((operation, format!("on {node}")));
        }
    }
    words
}
