//! The constraint that DRBD's fence-peer handler (crm-fence-peer.sh) places while a copy of the data is old: only
//! the node with the new copy may be promoted. DRBD deletes it when the other copy is up to date.

use super::constraints::{is_our_resource, resources};
use super::pairs::section;
use crate::cluster::Cluster;
use crate::xml::Element;

/// Whether an element is such a constraint, of whatever resource.
pub(crate) fn is_by_handler(element: &Element) -> bool {
    element.name == "rsc_location"
        && (element.get("id")).is_some_and(|id| id.starts_with("drbd-fence-by-handler-"))
}

/// What is told of such a constraint on our data.
pub(super) fn notes(cluster: &Cluster, configuration: &Element) -> Vec<String> {
    let Some(drbd) = &cluster.drbd else {
        return Vec::new();
    };
    let constraints = section(configuration, "constraints").children.iter();
    let is_about_ours =
        |one: &&Element| resources(one).iter().any(|id| is_our_resource(cluster, id));
    let note = |constraint: &Element| {
        let all = constraint.all().into_iter();
        let mut owners = all.filter(|e| e.name == "expression" && e.is("operation", "ne"));
        let owner = owners.next()?.get("value")?;
        let peers = drbd.peers.iter().map(|peer| peer.name.as_str());
        let old: Vec<&str> = peers.filter(|peer| *peer != owner).collect();
        Some(format!(
            "constraint {} is DRBD's own and stays: the copy of the data on {} is not up to date, and only {owner} \
             may be promoted. DRBD deletes it by itself when that copy is up to date again\n  help: to see how far \
             it is: {}",
            constraint.get("id").unwrap_or_default(),
            old.join(", "),
            drbd.status_command()
        ))
    };
    constraints
        .filter(|one| is_by_handler(one))
        .filter(is_about_ours)
        .filter_map(note)
        .collect()
}
