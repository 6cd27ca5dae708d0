//! The resources whose failures are tried out: what has to run together on one node, what merely runs
//! somewhere, and what fences.

use crate::cluster::{Action, Agent, Cluster, ConstraintKind, OnFail, Operation, Resource, Role};

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tested {
    /// The id of its primitive.
    pub(super) id: String,
    /// What it is to the cluster.
    pub(super) kind: Kind,
    /// Whether it runs on every node that has the data, and is promoted on one.
    pub(super) promotable: bool,
    /// Its monitors.
    pub(super) monitors: Vec<Monitor>,
    /// Whether a stop that fails is only shown.
    pub(super) stop_ignored: bool,
    /// Whether no number of failures bans it from a node: it is restarted there again and again.
    pub(super) never_banned: bool,
}

/// What a resource is to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The service needs it: all of these run on one node.
    Service,
    /// Nothing needs it.
    Optional,
    /// It fences.
    Device,
}

impl Tested {
    pub(super) fn is_service(&self) -> bool {
        self.kind == Kind::Service
    }
}

/// A monitor of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Monitor {
    /// Seconds from one to the next.
    pub(super) interval: u32,
    /// Whether it looks after what is not promoted.
    pub(super) unpromoted: bool,
    /// Whether its failure is only shown.
    pub(super) ignored: bool,
}

/// The resources of a cluster.
pub(super) fn tested(cluster: &Cluster) -> Vec<Tested> {
    let tested = |resource: &Resource| {
        let primitive = resource.primitive();
        let mut operations = primitive.operations.iter();
        Tested {
            id: primitive.id.clone(),
            kind: kind(cluster, resource),
            promotable: matches!(resource, Resource::Promotable(_)),
            monitors: operations.clone().filter_map(monitor).collect(),
            stop_ignored: operations.any(|op| op.action == Action::Stop && ignored(op)),
            never_banned: never_banned(resource),
        }
    };
    cluster.resources.iter().map(tested).collect()
}

/// What is only near something, and in no other constraint, nothing needs. Whatever else is no
/// fencing device is the service's, in a constraint or not: that something has been forgotten in
/// the constraints must not be taken for an intention.
fn kind(cluster: &Cluster, resource: &Resource) -> Kind {
    if matches!(resource.primitive().agent, Agent::Stonith { .. }) {
        return Kind::Device;
    }
    let named = |near: bool| {
        (cluster.constraints.iter())
            .filter(|c| matches!(c.kind, ConstraintKind::Near { .. }) == near)
            .flat_map(|c| &c.sets)
            .any(|set| !(near && set.promoted) && set.resources.contains(&resource.id()))
    };
    if named(true) && !named(false) {
        Kind::Optional
    } else {
        Kind::Service
    }
}

/// By its own settings; the cluster's default is a number.
fn never_banned(resource: &Resource) -> bool {
    let own = match resource {
        Resource::Primitive(primitive) => &primitive.meta,
        Resource::Promotable(promotable) => &promotable.meta,
    };
    let mut settings = own.iter();
    settings.any(|one| one.name == "migration-threshold" && one.value == "INFINITY")
}

fn monitor(operation: &Operation) -> Option<Monitor> {
    let Action::Monitor { interval, role, .. } = operation.action else {
        return None;
    };
    let unpromoted = role == Some(Role::Unpromoted);
    Some(Monitor {
        interval,
        unpromoted,
        ignored: ignored(operation),
    })
}

fn ignored(operation: &Operation) -> bool {
    operation.on_fail == Some(OnFail::Ignore)
}
