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
    /// Whether the cluster is looked at a day later too, when every failure has expired.
    pub(super) expires: bool,
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
            expires: false,
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

    pub(super) fn expires(self) -> Self {
        let expires = true;
        Expected { expires, ..self }
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

    /// Whether an operation was done, on one node or on any.
    fn did(&self, wanted: &str, id: &str, on: Option<&str>) -> bool {
        let mut operations = self.actions().filter_map(Action::operation);
        operations.any(|(operation, resource, node)| {
            operation == wanted && resource == id && on.is_none_or(|on| on == node)
        })
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

/// Where each resource of the service is started or promoted.
type Places<'a> = BTreeMap<&'a str, Option<&'a str>>;

fn places<'a>(tested: &'a [Tested], instances: &'a [Instance]) -> Places<'a> {
    let node = |resource: &Tested| {
        let mut active = instances.iter().filter(|instance| is_active(instance));
        let instance = active.find(|instance| instance.resource == resource.id)?;
        instance.node.as_deref()
    };
    let service = tested.iter().filter(|resource| resource.is_service());
    service
        .map(|resource| (resource.id.as_str(), node(resource)))
        .collect()
}

fn is_active(instance: &Instance) -> bool {
    matches!(instance.role.as_str(), "Started" | "Promoted")
}

fn one_node<'a>(places: &Places<'a>) -> Option<&'a str> {
    let mut nodes = places.values();
    let first = *nodes.next()?;
    first.filter(|_| nodes.all(|node| *node == first))
}

/// Judges one outcome.
pub(super) struct Judge<'a> {
    pub(super) tested: &'a [Tested],
    /// The nodes on which nothing may run but what fences.
    pub(super) voters: &'a [&'a str],
    pub(super) outcome: &'a Outcome,
}

impl<'a> Judge<'a> {
    fn tested(&self, id: &str) -> Option<&'a Tested> {
        self.tested.iter().find(|resource| resource.id == id)
    }

    /// What is wrong, if anything is: the first fault that was found.
    pub(super) fn fault(&self, expected: &Expected<'_>) -> Option<String> {
        if !self.outcome.rest {
            return Some("it does not come to rest".to_owned());
        }
        let (before, untouched) = (&self.outcome.first().before, expected.untouched);
        let touched = self.touched(before, self.outcome.actions(), untouched);
        (touched.map(|what| format!("{what} without need")))
            .or_else(|| self.wrong_fencing(expected))
            .or_else(|| self.blocked())
            .or_else(|| self.on_a_voter())
            .or_else(|| self.wrong_place(expected.place))
            .or_else(|| self.wrong_resource(expected))
            .or_else(|| {
                let expired = self.outcome.expired.as_ref()?;
                let actions = expired.actions.iter();
                let what = self.touched(&expired.before, actions, Untouched::Needed)?;
                Some(format!("when the failure has expired, {what} without need"))
            })
    }

    /// The first thing that was done to what ran and must not have been touched.
    fn touched(
        &self,
        before: &[Instance],
        mut actions: impl Iterator<Item = &'a Action>,
        untouched: Untouched,
    ) -> Option<String> {
        let is_protected = |instance: &Instance| {
            let resource = self.tested(&instance.resource);
            let kind = resource.map(|resource| resource.kind);
            match untouched {
                Untouched::Nothing => false,
                Untouched::Service => kind == Some(Kind::Service) && is_active(instance),
                Untouched::Needed => kind != Some(Kind::Optional),
                Untouched::Everything => true,
            }
        };
        actions.find_map(|action| {
            let (operation, resource, node) = action.operation()?;
            let mut ran = before.iter().filter(|instance| is_protected(instance));
            ran.find(|i| i.resource == resource && i.node.as_deref() == Some(node))?;
            Some(format!("{operation} of {resource} on {node}"))
        })
    }

    /// Whether the right node was fenced, and in time.
    fn wrong_fencing(&self, expected: &Expected<'_>) -> Option<String> {
        let allowed = [expected.fenced, expected.may_fence];
        let mut fenced = self.outcome.fenced().into_iter();
        if let Some(other) = fenced.find(|node| !allowed.contains(&Some(node))) {
            return Some(format!("{other} is fenced without need"));
        }
        let lost = expected.fenced?;
        for action in self.outcome.actions() {
            match action {
                Action::Fence { node, .. } if node == lost => return None,
                _ => {}
            }
            if let Some(("start" | "promote", resource, node)) = action.operation()
                && !expected.fenced_late
                && node != lost
                && self.tested(resource).is_some_and(Tested::is_service)
            {
                return Some(format!(
                    "{resource} starts on {node} and nothing makes sure that {lost} is dead"
                ));
            }
        }
        Some(format!("{lost} is not fenced"))
    }

    /// What the cluster has given up.
    fn blocked(&self) -> Option<String> {
        let mut instances = self.outcome.end().after.iter();
        let given_up = instances.find(|instance| instance.blocked)?;
        let node = given_up.node.as_deref().unwrap_or("no node");
        Some(format!(
            "{} on {node} is blocked: nothing is done about it until a person does",
            given_up.resource
        ))
    }

    /// What was started on a node that only votes.
    fn on_a_voter(&self) -> Option<String> {
        let started = self.outcome.actions().filter_map(Action::operation);
        let mut started = started.filter(|(operation, ..)| *operation == "start");
        let (_, id, node) = started.find(|(_, id, node)| {
            let kind = self.tested(id).map(|resource| resource.kind);
            self.voters.contains(node) && kind.is_some_and(|kind| kind != Kind::Device)
        })?;
        Some(format!("{id} starts on {node}, which only votes"))
    }

    fn wrong_place(&self, place: Place<'_>) -> Option<String> {
        let places = places(self.tested, &self.outcome.end().after);
        let stopped = places.iter().filter(|(_, node)| node.is_none());
        let stopped: Vec<&str> = stopped.map(|(id, _)| *id).collect();
        // Without quorum a lost node is not fenced, and counts as running what it ran.
        let online = &self.outcome.end().online;
        let runs = |node: &Option<&str>| node.is_some_and(|node| online.contains(node));
        match (place, one_node(&places)) {
            (Place::Nowhere, _) if !places.values().any(runs) => None,
            (Place::Nowhere, _) => Some("something still runs".to_owned()),
            _ if !stopped.is_empty() => Some(format!("{} does not run", stopped.join(", "))),
            (_, None) => Some("it is not all on one node".to_owned()),
            (Place::On(node), Some(actual)) if actual != node => {
                Some(format!("it moved away from {node} without need"))
            }
            (Place::NotOn(node), Some(actual)) if actual == node => {
                Some(format!("it stays on {node}"))
            }
            _ => None,
        }
    }

    /// What is asked of single resources.
    fn wrong_resource(&self, expected: &Expected<'_>) -> Option<String> {
        let (outcome, end) = (self.outcome, self.outcome.end());
        if let Some(id) = expected.restarted
            && !(outcome.did("stop", id, None) && outcome.did("start", id, None))
        {
            return Some(format!("{id} is not restarted"));
        }
        let runs_on = |id: &str, node: Option<&str>| {
            let mut instances = end.after.iter().filter(|instance| instance.resource == id);
            instances.any(|i| i.node.is_some() && (node.is_none() || i.node.as_deref() == node))
        };
        if let Some((id, node)) = expected.gone
            && runs_on(id, Some(node))
        {
            return Some(format!("{id} stays on {node}"));
        }
        if matches!(expected.place, Place::Nowhere) {
            return None;
        }
        for resource in self.tested {
            let id = &resource.id;
            if !resource.is_service() && !runs_on(id, None) {
                return Some(format!("{id} does not run"));
            }
            let lacks = |node: &&String| {
                let node = node.as_str();
                !runs_on(id, Some(node))
                    && expected.spared != Some(node)
                    && !self.voters.contains(&node)
            };
            if resource.promotable
                && let Some(node) = end.online.iter().find(lacks)
            {
                return Some(format!("{id} does not run on {node}"));
            }
        }
        None
    }

    /// What happened.
    pub(super) fn summary(&self) -> String {
        let before = places(self.tested, &self.outcome.first().before);
        let after = places(self.tested, &self.outcome.end().after);
        let mut summary = match (one_node(&before), one_node(&after)) {
            (_, None) if after.values().all(Option::is_none) => "everything stops".to_owned(),
            (_, None) => scattered(&after),
            (_, Some(at)) if !self.outcome.end().online.contains(at) => {
                format!("nothing starts while {at} is lost")
            }
            (None, Some(to)) => format!("everything starts on {to}"),
            (Some(from), Some(to)) if from != to => format!("everything moves to {to}"),
            (Some(_), Some(at)) => match self.restarted(at).join(", ").as_str() {
                "" => "nothing moves".to_owned(),
                restarted => format!("repaired in place: {restarted}"),
            },
        };
        let fenced = self.outcome.fenced();
        if !fenced.is_empty() {
            summary += &format!(" after fencing {}", fenced.join(", "));
        }
        if one_node(&before) != one_node(&after) {
            return summary;
        }
        let mut moved: Vec<String> = self.moved().collect();
        if summary != "nothing moves" || moved.is_empty() {
            moved.insert(0, summary);
        }
        moved.join("; ")
    }

    /// The resources beside the service that went to another node.
    fn moved(&self) -> impl Iterator<Item = String> {
        let others = self.tested.iter().filter(|resource| !resource.is_service());
        others.filter_map(|resource| {
            let node = |instances: &'a [Instance]| {
                let mut instances = instances.iter();
                instances
                    .find(|i| i.resource == resource.id)?
                    .node
                    .as_deref()
            };
            let from = node(&self.outcome.first().before)?;
            let to = node(&self.outcome.end().after)?;
            (from != to).then(|| format!("{} goes to {to}", resource.id))
        })
    }

    /// The resources that were stopped and started, of the service on its node, of the others on any.
    fn restarted(&self, at: &str) -> Vec<&'a str> {
        let is_restarted = |resource: &&Tested| {
            let is_elsewhere = !resource.is_service() || resource.promotable;
            let did = |operation, on| self.outcome.did(operation, &resource.id, Some(on));
            let mut nodes = self.outcome.first().online.iter().map(String::as_str);
            nodes.any(|on| (on == at || is_elsewhere) && did("stop", on) && did("start", on))
        };
        let restarted = self.tested.iter().filter(is_restarted);
        restarted.map(|resource| resource.id.as_str()).collect()
    }
}

/// A service that is not on one node: `eip, vip on n1; pbx stopped`.
fn scattered(places: &Places<'_>) -> String {
    let mut by_node: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for (id, node) in places {
        by_node.entry(*node).or_default().push(id);
    }
    let place = |(node, ids): (&Option<&str>, &Vec<&str>)| match node {
        Some(node) => format!("{} on {node}", ids.join(", ")),
        None => format!("{} stopped", ids.join(", ")),
    };
    by_node.iter().map(place).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
