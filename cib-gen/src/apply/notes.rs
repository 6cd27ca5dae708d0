//! The notes below a plan: what is kept though vars.yml does not ask for it, and what only a person can do.

use super::drbd_fencing;
use super::merge::find;
use super::pairs::{boolean, pairs, property, section};
use super::watchdog;
use crate::cluster::{Agent, Cluster, Primitive};
use crate::vars::DrbdVersion;
use crate::xml::Element;

/// Before the commands that delete what is set and not asked for.
const KEPT: &str = "kept, though vars.yml does not ask for it: set by hand or by an earlier \
    vars.yml. Write it into vars.yml, or delete it with:";

/// Where SBD guards the nodes and is no longer asked for.
const SBD_STAYS: &str = "vars.yml no longer asks for SBD, and the nodes still have it \
    (stonith-watchdog-timeout is set). To end it, when the cluster is configured; the PBX is down from the \
    second step to the last:
    sudo pcs stonith sbd disable
    sudo pcs cluster stop --all
    sudo pcs cluster start --all --wait=120";

/// Where the resource file of DRBD is one of another way of fencing.
const DRBD_FILE: &str = "what DRBD does without quorum depends on fencing, and each node has a file of \
    its own for that. On every other node too, one after the other: sudo cib-gen apply vars.yml";

/// The notes on a change of the configuration.
pub(super) fn notes(cluster: &Cluster, old: &Element, new: &Element) -> Vec<String> {
    let mut notes: Vec<String> = drbd_file(cluster, old).into_iter().collect();
    notes.extend(drbd_fencing::notes(cluster, new));
    match (watchdog::wanted(cluster), watchdog::timeout(new)) {
        (None, _) if watchdog::guards(new) => notes.push(SBD_STAYS.to_owned()),
        (Some(wanted), Some(value))
            if watchdog::seconds(value) != watchdog::seconds(&wanted.value) =>
        {
            notes.push(format!(
                "{} {value} stays: it is not shorter than {}",
                wanted.name, wanted.value
            ));
        }
        _ => {}
    }
    let resources = section(new, "resources");
    let commands: Vec<String> = (cluster.primitives())
        .filter_map(|primitive| Some((primitive, find(resources, &primitive.id)?)))
        .flat_map(|(primitive, there)| kept(primitive, there))
        .collect();
    if !commands.is_empty() {
        notes.push(format!("{KEPT}{}", commands.concat()));
    }
    notes
}

/// What deletes each parameter that is not asked for. Its value may be a secret and is not said.
fn kept(model: &Primitive, there: &Element) -> Vec<String> {
    let names = pairs(there, "instance_attributes").filter_map(|pair| pair.get("name"));
    let command = match model.agent {
        Agent::Stonith { .. } => "stonith",
        Agent::Ocf { .. } => "resource",
    };
    let line = |name: &str| format!("\n    sudo pcs {command} update {} {name}=", model.id);
    names.filter(|name| !model.asks(name)).map(line).collect()
}

/// Whether fencing is turned on or off, which DRBD's own file has to follow.
fn drbd_file(cluster: &Cluster, old: &Element) -> Option<String> {
    const NAME: &str = "stonith-enabled";
    (cluster.drbd.as_ref()).filter(|drbd| drbd.version == DrbdVersion::Nine)?;
    let wanted = cluster.properties.iter().find(|p| p.name == NAME)?;
    let is_other = boolean(property(old, NAME)?)? != boolean(&wanted.value)?;
    is_other.then(|| DRBD_FILE.to_owned())
}
