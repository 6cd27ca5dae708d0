//! What is kept though vars.yml does not ask for it, and what only a person can do.

use super::merge::{find, holds_always};
use super::watchdog;
use crate::cluster::{Agent, Cluster, Primitive, notes};
use crate::xml::{Element, Error};

/// The notes on a change of the CIB.
pub(super) fn notes(cluster: &Cluster, old: &Element, new: &Element) -> Result<Vec<String>, Error> {
    let (old, new) = (old.need("configuration")?, new.need("configuration")?);
    let mut notes: Vec<String> = drbd_file(cluster, old).into_iter().collect();
    match (watchdog::wanted(cluster), watchdog::timeout(new)) {
        (None, _) if watchdog::guards(new) => notes.push(notes::SBD_STAYS.to_owned()),
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
    let nothing = Element::default();
    let resources = new.child("resources").unwrap_or(&nothing);
    let commands: Vec<String> = (cluster.primitives())
        .filter_map(|primitive| Some((primitive, find(resources, &primitive.id)?)))
        .flat_map(|(primitive, there)| kept(primitive, there))
        .collect();
    if !commands.is_empty() {
        notes.push(format!("{}{}", notes::KEPT, commands.concat()));
    }
    Ok(notes)
}

/// What deletes each parameter that is not asked for. Its value may be a secret and is not said.
fn kept(model: &Primitive, there: &Element) -> Vec<String> {
    let sets = there.children("instance_attributes");
    let pairs = sets
        .filter(|set| holds_always(set))
        .flat_map(|set| &set.children);
    let names = pairs.filter_map(|pair| pair.get("name"));
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
    cluster.drbd.as_ref()?;
    let wanted = cluster.properties.iter().find(|p| p.name == NAME)?;
    let opposite = if wanted.value == "false" {
        "true"
    } else {
        "false"
    };
    let sets = old.child("crm_config")?.children("cluster_property_set");
    let mut pairs = sets
        .filter(|set| holds_always(set))
        .flat_map(|set| &set.children);
    let changes = pairs.any(|pair| pair.is("name", NAME) && pair.is("value", opposite));
    changes.then(|| notes::DRBD_FILE.to_owned())
}
