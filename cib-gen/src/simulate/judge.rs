//! What came of a case, in words, and whether it is right.

use std::collections::BTreeMap;

use super::parts::{Kind, Part};
use crate::scheduler::{Action, Instance, Transition};

/// What happened in a case: one transition after the other, until nothing is done any more.
#[derive(Debug)]
pub(super) struct Story {
    /// Never empty.
    pub(super) steps: Vec<Transition>,
    /// Whether it came to rest.
    pub(super) rest: bool,
    /// What was done when the failure was forgotten, where that was tried.
    pub(super) forgotten: Option<Transition>,
}

/// What is right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    /// Where everything is to run.
    pub(super) place: Place<'a>,
    /// What must not have been touched.
    pub(super) untouched: Untouched,
    /// The node that must be fenced, no other may be.
    pub(super) fenced: Option<&'a str>,
    /// Whether that may come after its work was taken over: it had let go of it.
    pub(super) fenced_late: bool,
    /// A node that may be fenced.
    pub(super) may_fence: Option<&'a str>,
    /// A resource that must have been stopped and started.
    pub(super) restarted: Option<&'a str>,
    /// A resource that must not run on a node.
    pub(super) gone: Option<(&'a str, &'a str)>,
    /// A node that need not have a copy of what runs on every node.
    pub(super) spared: Option<&'a str>,
}

/// Where everything is to run: always on one node.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    Anywhere,
    On(&'a str),
    NotOn(&'a str),
    Nowhere,
}

/// What must not have been touched where it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Untouched {
    Nothing,
    Service,
    /// All but what nothing needs: that may come back to the active node, which it is to be near.
    Needed,
    Everything,
}

impl<'a> Expected<'a> {
    /// Everything is there, and nothing is fenced.
    pub(super) fn at(place: Place<'a>) -> Expected<'a> {
        Expected {
            place,
            untouched: Untouched::Nothing,
            fenced: None,
            fenced_late: false,
            may_fence: None,
            restarted: None,
            gone: None,
            spared: None,
        }
    }
}

impl Story {
    pub(super) fn first(&self) -> &Transition {
        &self.steps[0]
    }

    pub(super) fn end(&self) -> &Transition {
        &self.steps[self.steps.len() - 1]
    }

    pub(super) fn actions(&self) -> impl Iterator<Item = &Action> {
        self.steps.iter().flat_map(|step| &step.actions)
    }

    fn fenced(&self) -> Vec<&str> {
        let mut nodes: Vec<&str> = Vec::new();
        for action in self.actions() {
            if let Action::Fence { node, .. } = action
                && !nodes.contains(&node.as_str())
            {
                nodes.push(node);
            }
        }
        nodes
    }

    /// The node where all of the service runs, if it is one.
    pub(super) fn ends_on<'a>(&'a self, parts: &'a [Part]) -> Option<&'a str> {
        one_node(&places(parts, &self.end().after))
    }
}

/// Where each resource of the service does its work.
type Places<'a> = BTreeMap<&'a str, Option<&'a str>>;

fn places<'a>(parts: &'a [Part], instances: &'a [Instance]) -> Places<'a> {
    let service = parts.iter().filter(|part| part.kind == Kind::Service);
    service
        .map(|part| {
            let works = |i: &&Instance| i.resource == part.id && works(&i.role);
            let at = instances.iter().find(works);
            (part.id.as_str(), at.and_then(|i| i.node.as_deref()))
        })
        .collect()
}

fn works(role: &str) -> bool {
    matches!(role, "Started" | "Promoted")
}

fn one_node<'a>(places: &Places<'a>) -> Option<&'a str> {
    let mut nodes = places.values();
    let first = *nodes.next()?;
    first.filter(|_| nodes.all(|node| *node == first))
}

/// What is wrong with a story, if anything is: the first that was found.
pub(super) fn fault(parts: &[Part], story: &Story, expected: &Expected<'_>) -> Option<String> {
    if !story.rest {
        return Some("it does not come to rest".to_owned());
    }
    touched(
        parts,
        &story.first().before,
        story.actions(),
        expected.untouched,
    )
    .map(|what| format!("{what} without need"))
    .or_else(|| fencing(parts, story, expected))
    .or_else(|| blocked(story))
    .or_else(|| place(parts, story, expected.place))
    .or_else(|| resources(parts, story, expected))
    .or_else(|| {
        let forgotten = story.forgotten.as_ref()?;
        let actions = forgotten.actions.iter();
        touched(parts, &forgotten.before, actions, Untouched::Needed)
            .map(|what| format!("when the failure has expired, {what} without need"))
    })
}

/// The first thing that was done to what ran.
fn touched<'a>(
    parts: &[Part],
    before: &[Instance],
    actions: impl Iterator<Item = &'a Action>,
    untouched: Untouched,
) -> Option<String> {
    let meant = |instance: &Instance| {
        let part = parts.iter().find(|part| part.id == instance.resource);
        let is = |kind| part.is_some_and(|part| part.kind == kind);
        match untouched {
            Untouched::Nothing => false,
            Untouched::Service => is(Kind::Service) && works(&instance.role),
            Untouched::Needed => !is(Kind::Bystander),
            Untouched::Everything => true,
        }
    };
    let ran: Vec<&Instance> = before.iter().filter(|i| meant(i)).collect();
    actions.into_iter().find_map(|action| match action {
        Action::Operation {
            resource,
            operation,
            node,
        } => {
            let it = |i: &&Instance| i.resource == *resource && i.node.as_ref() == Some(node);
            ran.iter().find(|i| it(i))?;
            Some(format!("{operation} of {resource} on {node}"))
        }
        Action::Fence { .. } => None,
    })
}

/// Whether the right node was fenced, and in time.
fn fencing(parts: &[Part], story: &Story, expected: &Expected<'_>) -> Option<String> {
    let fenced = story.fenced();
    if let Some(other) =
        (fenced.iter()).find(|n| Some(**n) != expected.fenced && Some(**n) != expected.may_fence)
    {
        return Some(format!("{other} is fenced without need"));
    }
    let lost = expected.fenced?;
    let service = |id: &str| {
        parts
            .iter()
            .any(|part| part.id == id && part.kind == Kind::Service)
    };
    for action in story.actions() {
        match action {
            Action::Fence { node, .. } if node == lost => return None,
            Action::Operation {
                resource,
                operation,
                node,
            } if !expected.fenced_late
                && node != lost
                && matches!(operation.as_str(), "start" | "promote")
                && service(resource) =>
            {
                return Some(format!(
                    "{resource} starts on {node} and nothing makes sure that {lost} is dead"
                ));
            }
            _ => {}
        }
    }
    Some(format!("{lost} is not fenced"))
}

/// What the cluster has given up.
fn blocked(story: &Story) -> Option<String> {
    let given_up = story.end().after.iter().find(|instance| instance.blocked)?;
    let node = given_up.node.as_deref().unwrap_or("no node");
    Some(format!(
        "{} on {node} is blocked: nothing is done about it until a person does",
        given_up.resource
    ))
}

fn place(parts: &[Part], story: &Story, place: Place<'_>) -> Option<String> {
    let places = places(parts, &story.end().after);
    let one = one_node(&places);
    let stopped: Vec<&str> = (places.iter())
        .filter_map(|(id, node)| node.is_none().then_some(*id))
        .collect();
    match (place, one) {
        (Place::Nowhere, _) if stopped.len() == places.len() => None,
        (Place::Nowhere, _) => Some("something still runs".to_owned()),
        _ if !stopped.is_empty() => Some(format!("{} does not run", stopped.join(", "))),
        (_, None) => Some("it is not all on one node".to_owned()),
        (Place::On(node), Some(one)) if one != node => {
            Some(format!("it moved away from {node} without need"))
        }
        (Place::NotOn(node), Some(one)) if one == node => Some(format!("it stays on {node}")),
        _ => None,
    }
}

/// What is asked of single resources.
fn resources(parts: &[Part], story: &Story, expected: &Expected<'_>) -> Option<String> {
    let end = story.end();
    let did = |id: &str, wanted: &str| {
        story.actions().any(|action| {
            matches!(action, Action::Operation { resource, operation, .. }
                if resource == id && operation == wanted)
        })
    };
    if let Some(id) = expected.restarted
        && !(did(id, "stop") && did(id, "start"))
    {
        return Some(format!("{id} is not restarted"));
    }
    let nodes_of = |id: &str| -> Vec<&str> {
        let its = end.after.iter().filter(|i| i.resource == id);
        its.filter_map(|i| i.node.as_deref()).collect()
    };
    if let Some((id, node)) = expected.gone
        && nodes_of(id).contains(&node)
    {
        return Some(format!("{id} stays on {node}"));
    }
    if matches!(expected.place, Place::Nowhere) {
        return None;
    }
    for part in parts {
        let nodes = nodes_of(&part.id);
        if part.kind != Kind::Service && nodes.is_empty() {
            return Some(format!("{} does not run", part.id));
        }
        let lacks = |node: &&String| {
            !nodes.contains(&node.as_str()) && expected.spared != Some(node.as_str())
        };
        if part.promotable
            && let Some(node) = end.online.iter().find(lacks)
        {
            return Some(format!("{} does not run on {node}", part.id));
        }
    }
    None
}

/// What happened, in words.
pub(super) fn words(parts: &[Part], story: &Story) -> String {
    let before = places(parts, &story.first().before);
    let after = places(parts, &story.end().after);
    let mut said = match (one_node(&before), one_node(&after)) {
        (_, None) if after.values().all(Option::is_none) => "everything stops".to_owned(),
        (_, None) => scattered(&after),
        (None, Some(to)) => format!("everything starts on {to}"),
        (Some(from), Some(to)) if from != to => format!("everything moves to {to}"),
        (Some(_), Some(at)) => {
            let restarted = restarted(parts, story, at);
            if restarted.is_empty() {
                "nothing moves".to_owned()
            } else {
                format!("repaired in place: {}", restarted.join(", "))
            }
        }
    };
    let fenced = story.fenced();
    if !fenced.is_empty() {
        said += &format!(" after fencing {}", fenced.join(", "));
    }
    if one_node(&before) != one_node(&after) {
        return said;
    }
    let mut others = Vec::new();
    for part in parts.iter().filter(|part| part.kind != Kind::Service) {
        let node = |instances: &[Instance]| {
            let it = instances.iter().find(|i| i.resource == part.id);
            it.and_then(|i| i.node.clone())
        };
        match (node(&story.first().before), node(&story.end().after)) {
            (Some(from), Some(to)) if from != to => {
                others.push(format!("{} goes to {to}", part.id));
            }
            _ => {}
        }
    }
    if said != "nothing moves" || others.is_empty() {
        others.insert(0, said);
    }
    others.join("; ")
}

/// The resources that were stopped and started, of the service on its node, of the others on any.
fn restarted<'a>(parts: &'a [Part], story: &Story, at: &str) -> Vec<&'a str> {
    let did = |part: &Part, wanted: &str, on: &str| {
        story.actions().any(|action| {
            matches!(action, Action::Operation { resource, operation, node }
                if *resource == part.id && operation == wanted && node == on)
        })
    };
    let restarted = |part: &&Part| {
        let nodes = &story.first().online;
        let mut nodes = nodes.iter().map(String::as_str);
        nodes.any(|on| {
            let its = on == at || part.kind != Kind::Service || part.promotable;
            its && did(part, "stop", on) && did(part, "start", on)
        })
    };
    let parts = parts.iter().filter(restarted);
    parts.map(|part| part.id.as_str()).collect()
}

/// A service that is not on one node: `eip, vip on n1; pbx stopped`.
fn scattered(places: &Places<'_>) -> String {
    let mut by_node: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for (id, node) in places {
        by_node.entry(*node).or_default().push(id);
    }
    let one = |(node, ids): (&Option<&str>, &Vec<&str>)| match node {
        Some(node) => format!("{} on {node}", ids.join(", ")),
        None => format!("{} stopped", ids.join(", ")),
    };
    by_node.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
