//! Which resource starts directly after which, from the constraints of the cluster.

use super::tree_layout::Pair;
use crate::cluster::{Cluster, Constraint, ConstraintKind, Resource};

/// The resources that a mandatory constraint names, in the order of the cluster.
pub(super) fn bound(cluster: &Cluster) -> Vec<&Resource> {
    let mandatory = |c: &&Constraint| !matches!(c.kind, ConstraintKind::Near { .. });
    let mandatory: Vec<&Constraint> = cluster.constraints.iter().filter(mandatory).collect();
    let named = |resource: &&Resource| mandatory.iter().any(|c| names(c, resource.id()));
    cluster.resources.iter().filter(named).collect()
}

pub(super) fn names(constraint: &Constraint, id: &str) -> bool {
    let mut sets = constraint.sets.iter();
    sets.any(|set| set.resources.contains(&id))
}

/// Each resource with a resource that starts after it, without the pairs that follow from others.
pub(super) fn pairs(cluster: &Cluster, resources: &[&Resource]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let orders = (cluster.constraints.iter()).filter(|c| c.kind == ConstraintKind::InOrder);
    for order in orders {
        let ids = order.sets.iter().flat_map(|set| &set.resources);
        let chain: Vec<usize> = ids
            .filter_map(|id| resources.iter().position(|r| r.id() == *id))
            .collect();
        pairs.extend(chain.windows(2).map(|pair| (pair[0], pair[1])));
    }
    pairs.sort_unstable();
    pairs.dedup();
    let follows = |&(from, to): &Pair| {
        let mut steps = pairs.iter().filter(|pair| pair.0 == from && pair.1 != to);
        steps.any(|&(_, step)| leads_to(&pairs, step, to))
    };
    pairs.iter().copied().filter(|p| !follows(p)).collect()
}

/// Whether `to` starts after `from`, directly or not. The orders of a cluster form no circle.
fn leads_to(pairs: &[Pair], from: usize, to: usize) -> bool {
    let mut next = pairs.iter().filter(|pair| pair.0 == from);
    next.any(|&(_, step)| step == to || leads_to(pairs, step, to))
}
