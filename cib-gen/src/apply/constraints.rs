//! Constraints that are not cib-gen's and name our resources: the vendor's scripts made them, or the user.

use crate::cluster::{Cluster, Resource, owned};
use crate::xml::Element;

/// The attributes of a constraint that name a resource.
pub(super) const NAMES: [&str; 4] = ["rsc", "with-rsc", "first", "then"];

/// Whether an id is that of a resource or a clone of ours.
pub(super) fn is_our_resource(cluster: &Cluster, id: &str) -> bool {
    let is_it = |resource: &Resource| resource.id() == id || resource.primitive().id == id;
    cluster.resources.iter().any(is_it)
}

/// The resources that a constraint names.
pub(super) fn resources(constraint: &Element) -> Vec<&str> {
    let all = constraint.all().into_iter();
    all.flat_map(|element| match element.name.as_str() {
        "resource_ref" => vec![element.get("id")],
        _ => NAMES.map(|name| element.get(name)).into(),
    })
    .flatten()
    .collect()
}

/// Whether a constraint is not ours and names a resource of ours.
pub(super) fn is_foreign(cluster: &Cluster, constraint: &Element) -> bool {
    let is_ours = constraint
        .get("id")
        .is_some_and(|id| owned::CONSTRAINTS.contains(&id));
    !is_ours && (resources(constraint).iter()).any(|id| is_our_resource(cluster, id))
}

/// Whether a foreign constraint orders or places our resources among themselves, which our constraints do.
pub(super) fn is_replaced_by_ours(cluster: &Cluster, constraint: &Element) -> bool {
    matches!(constraint.name.as_str(), "rsc_order" | "rsc_colocation")
        && is_foreign(cluster, constraint)
        && (resources(constraint).iter()).all(|id| is_our_resource(cluster, id))
}
