//! What came of a case, in words, and whether it is right.

use std::collections::BTreeMap;

use super::tested::{Kind, Tested};
use crate::scheduler::{Action, Instance, Transition};

/// What happened in a case: one transition after the other, until nothing is done any more.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Never empty.
    pub(super) steps: Vec<Transition>,
    pub(super) rest: bool,
    /// What was done when the failure had expired, where that was tried.
    pub(super) expired: Option<Transition>,
}

/// What is right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) place: Place<'a>,
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
    /// On no node that is online.
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

    pub(super) fn untouched(self, untouched: Untouched) -> Self {
        Expected { untouched, ..self }
    }

    pub(super) fn fenced(self, node: &'a str) -> Self {
        let fenced = Some(node);
        Expected { fenced, ..self }
    }

    pub(super) fn may_fence(self, node: &'a str) -> Self {
        let may_fence = Some(node);
        Expected { may_fence, ..self }
    }

    pub(super) fn restarted(self, resource: &'a str) -> Self {
        let restarted = Some(resource);
        Expected { restarted, ..self }
    }

    pub(super) fn gone(self, resource: &'a str, node: &'a str) -> Self {
        let gone = Some((resource, node));
        Expected { gone, ..self }
    }

    pub(super) fn spared(self, node: &'a str) -> Self {
        let spared = Some(node);
        Expected { spared, ..self }
    }
}

impl Outcome {
    fn first(&self) -> &Transition {
        &self.steps[0]
    }

    fn end(&self) -> &Transition {
        &self.steps[self.steps.len() - 1]
    }

    pub(super) fn cib(&self) -> &str {
        &self.end().cib
    }

    pub(super) fn actions(&self) -> impl Iterator<Item = &Action> {
        self.steps.iter().flat_map(|step| &step.actions)
    }

    fn fenced(&self) -> Vec<&str> {
        let mut nodes: Vec<&str> = Vec::new();
        for action in self.actions() {
            match action {
                Action::Fence { node, .. } if !nodes.contains(&node.as_str()) => nodes.push(node),
                _ => {}
            }
        }
        nodes
    }

    /// The node where all of the service runs, if it is one.
    pub(super) fn ends_on<'a>(&'a self, tested: &'a [Tested]) -> Option<&'a str> {
        one_node(&places(tested, &self.end().after))
    }
}

/// Where each resource of the service does its work.
type Places<'a> = BTreeMap<&'a str, Option<&'a str>>;

fn places<'a>(tested: &'a [Tested], instances: &'a [Instance]) -> Places<'a> {
    let service = tested.iter().filter(|one| one.kind == Kind::Service);
    service
        .map(|one| {
            let works = |i: &&Instance| i.resource == one.id && works(&i.role);
            let at = instances.iter().find(works);
            (one.id.as_str(), at.and_then(|i| i.node.as_deref()))
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

/// What is wrong with a outcome, if anything is: the first that was found.
pub(super) fn fault(
    tested: &[Tested],
    outcome: &Outcome,
    expected: &Expected<'_>,
) -> Option<String> {
    if !outcome.rest {
        return Some("it does not come to rest".to_owned());
    }
    let (before, untouched) = (&outcome.first().before, expected.untouched);
    let touched_now = touched(tested, before, outcome.actions(), untouched);
    (touched_now.map(|what| format!("{what} without need")))
        .or_else(|| fencing(tested, outcome, expected))
        .or_else(|| blocked(outcome))
        .or_else(|| place(tested, outcome, expected.place))
        .or_else(|| resources(tested, outcome, expected))
        .or_else(|| {
            let expired = outcome.expired.as_ref()?;
            let actions = expired.actions.iter();
            touched(tested, &expired.before, actions, Untouched::Needed)
                .map(|what| format!("when the failure has expired, {what} without need"))
        })
}

/// The first thing that was done to what ran.
fn touched<'a>(
    tested: &[Tested],
    before: &[Instance],
    actions: impl Iterator<Item = &'a Action>,
    untouched: Untouched,
) -> Option<String> {
    let meant = |instance: &Instance| {
        let one = tested.iter().find(|one| one.id == instance.resource);
        let is = |kind| one.is_some_and(|one| one.kind == kind);
        match untouched {
            Untouched::Nothing => false,
            Untouched::Service => is(Kind::Service) && works(&instance.role),
            Untouched::Needed => !is(Kind::Optional),
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
fn fencing(tested: &[Tested], outcome: &Outcome, expected: &Expected<'_>) -> Option<String> {
    let fenced = outcome.fenced();
    let allowed = [expected.fenced, expected.may_fence];
    if let Some(other) = fenced
        .into_iter()
        .find(|node| !allowed.contains(&Some(node)))
    {
        return Some(format!("{other} is fenced without need"));
    }
    let lost = expected.fenced?;
    let is_service = |one: &Tested, id: &str| one.id == id && one.kind == Kind::Service;
    let service = |id: &str| tested.iter().any(|one| is_service(one, id));
    for action in outcome.actions() {
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
fn blocked(outcome: &Outcome) -> Option<String> {
    let mut instances = outcome.end().after.iter();
    let given_up = instances.find(|instance| instance.blocked)?;
    let node = given_up.node.as_deref().unwrap_or("no node");
    Some(format!(
        "{} on {node} is blocked: nothing is done about it until a person does",
        given_up.resource
    ))
}

fn place(tested: &[Tested], outcome: &Outcome, place: Place<'_>) -> Option<String> {
    let places = places(tested, &outcome.end().after);
    let one = one_node(&places);
    let stopped: Vec<&str> = (places.iter())
        .filter_map(|(id, node)| node.is_none().then_some(*id))
        .collect();
    // Without quorum a lost node is not fenced, and counts as running what it ran.
    let online = &outcome.end().online;
    let runs = |node: &Option<&str>| node.is_some_and(|node| online.contains(node));
    match (place, one) {
        (Place::Nowhere, _) if !places.values().any(runs) => None,
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
fn resources(tested: &[Tested], outcome: &Outcome, expected: &Expected<'_>) -> Option<String> {
    let end = outcome.end();
    let did = |id: &str, wanted: &str| {
        outcome.actions().any(|action| {
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
    for one in tested {
        let nodes = nodes_of(&one.id);
        if one.kind != Kind::Service && nodes.is_empty() {
            return Some(format!("{} does not run", one.id));
        }
        let lacks = |node: &&String| {
            !nodes.contains(&node.as_str()) && expected.spared != Some(node.as_str())
        };
        if one.promotable
            && let Some(node) = end.online.iter().find(lacks)
        {
            return Some(format!("{} does not run on {node}", one.id));
        }
    }
    None
}

/// What happened, in words.
pub(super) fn words(tested: &[Tested], outcome: &Outcome) -> String {
    let before = places(tested, &outcome.first().before);
    let after = places(tested, &outcome.end().after);
    let mut said = match (one_node(&before), one_node(&after)) {
        (_, None) if after.values().all(Option::is_none) => "everything stops".to_owned(),
        (_, None) => scattered(&after),
        (_, Some(at)) if !outcome.end().online.contains(at) => {
            format!("nothing starts while {at} is lost")
        }
        (None, Some(to)) => format!("everything starts on {to}"),
        (Some(from), Some(to)) if from != to => format!("everything moves to {to}"),
        (Some(_), Some(at)) => {
            let restarted = restarted(tested, outcome, at);
            match restarted.is_empty() {
                true => "nothing moves".to_owned(),
                false => format!("repaired in place: {}", restarted.join(", ")),
            }
        }
    };
    let fenced = outcome.fenced();
    if !fenced.is_empty() {
        said += &format!(" after fencing {}", fenced.join(", "));
    }
    if one_node(&before) != one_node(&after) {
        return said;
    }
    let mut others = Vec::new();
    for one in tested.iter().filter(|one| one.kind != Kind::Service) {
        let node = |instances: &[Instance]| {
            let it = instances.iter().find(|i| i.resource == one.id);
            it.and_then(|i| i.node.clone())
        };
        let places = (node(&outcome.first().before), node(&outcome.end().after));
        if let (Some(from), Some(to)) = places
            && from != to
        {
            others.push(format!("{} goes to {to}", one.id));
        }
    }
    if said != "nothing moves" || others.is_empty() {
        others.insert(0, said);
    }
    others.join("; ")
}

/// The resources that were stopped and started, of the service on its node, of the others on any.
fn restarted<'a>(tested: &'a [Tested], outcome: &Outcome, at: &str) -> Vec<&'a str> {
    let did = |one: &Tested, wanted: &str, on: &str| {
        outcome.actions().any(|action| {
            matches!(action, Action::Operation { resource, operation, node }
                if *resource == one.id && operation == wanted && node == on)
        })
    };
    let restarted = |one: &&Tested| {
        let nodes = &outcome.first().online;
        let mut nodes = nodes.iter().map(String::as_str);
        nodes.any(|on| {
            let its = on == at || one.kind != Kind::Service || one.promotable;
            its && did(one, "stop", on) && did(one, "start", on)
        })
    };
    let tested = tested.iter().filter(restarted);
    tested.map(|one| one.id.as_str()).collect()
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
