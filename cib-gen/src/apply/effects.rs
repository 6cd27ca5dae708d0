//! What Pacemaker would do for a change, in words: what it would do anyway is not told.

use std::collections::BTreeMap;

use crate::scheduler::{Action, Instance, Transition};

/// What is done to the resources, a line for each node and kind.
pub(super) fn effects(without: &Transition, with: &Transition) -> Vec<String> {
    let new: Vec<&Action> = (with.actions.iter())
        .filter(|action| !without.actions.contains(action))
        .collect();
    let mut of: BTreeMap<&str, Done> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for action in &new {
        match action {
            Action::Operation {
                resource,
                operation,
                node,
            } => {
                let done = of.entry(resource).or_insert_with(|| {
                    order.push(resource);
                    Done::default()
                });
                done.add(operation, node);
            }
            Action::Fence { node, how } => lines.push(format!("would be fenced: {node} ({how})")),
        }
    }
    // In the order of the CIB.
    let place = |id: &str| with.after.iter().position(|i| i.resource == id);
    order.sort_by_key(|id| place(id));
    let mut grouped: Vec<(String, Vec<&str>)> = Vec::new();
    for resource in &order {
        for what in of[resource].words(&ran(&with.before, resource)) {
            match grouped.iter_mut().find(|(known, _)| *known == what) {
                Some((_, resources)) => resources.push(resource),
                None => grouped.push((what, vec![resource])),
            }
        }
    }
    lines.extend(grouped.iter().map(|(what, resources)| {
        let (verb, place) = what.split_once(' ').unwrap_or((what, ""));
        format!("would {verb}: {} {place}", resources.join(", "))
    }));
    if lines.is_empty() {
        lines.push(if with.before.is_empty() {
            "nothing runs, and nothing would start".to_owned()
        } else {
            "nothing would restart".to_owned()
        });
    }
    lines
}

/// Where a resource ran.
fn ran(before: &[Instance], resource: &str) -> Vec<String> {
    let its = before.iter().filter(|i| i.resource == resource);
    its.filter_map(|i| i.node.clone()).collect()
}

/// What is done to a resource: where it is stopped, started and so on.
#[derive(Debug, Default)]
struct Done<'a> {
    stopped: Vec<&'a str>,
    started: Vec<&'a str>,
    other: Vec<(&'a str, &'a str)>,
}

impl<'a> Done<'a> {
    fn add(&mut self, operation: &'a str, node: &'a str) {
        match operation {
            "stop" => self.stopped.push(node),
            "start" => self.started.push(node),
            // The cluster forgets what it knew of a resource that does not run there.
            "delete" => {}
            other => self.other.push((other, node)),
        }
    }

    fn words(&self, ran: &[String]) -> Vec<String> {
        let mut words = Vec::new();
        let both = |node: &&str| self.stopped.contains(node);
        for node in self.started.iter().filter(|node| both(node)) {
            words.push(format!("restart on {node}"));
        }
        let mut from = self.stopped.iter().filter(|n| !self.started.contains(n));
        for to in self.started.iter().filter(|node| !both(node)) {
            match from.next() {
                Some(from) => words.push(format!("move from {from} to {to}")),
                None => words.push(format!("start on {to}")),
            }
        }
        words.extend(from.map(|node| format!("stop on {node}")));
        for (operation, node) in &self.other {
            // A restart of what is promoted has a demotion and a promotion in it.
            let part_of_it = matches!(*operation, "promote" | "demote")
                && self.stopped.contains(node)
                && self.started.contains(node)
                && ran.iter().any(|ran| ran == node);
            if !part_of_it {
                let operation = operation.strip_suffix("-agent").unwrap_or(operation);
                words.push(format!("{operation} on {node}"));
            }
        }
        words
    }
}
