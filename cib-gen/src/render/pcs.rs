//! The cluster as a shell script of pcs commands.
//!
//! pcs takes half a second for each command, so there is one for each resource and
//! constraint, and one for each set of properties. Looks into the configuration are left
//! to cibadmin, which takes a hundredth of that.

use std::fmt::Write;

use super::shell::{comment, opening, quoted};
use super::{
    DEFAULTS, SCHEMA, WATCHDOG_TIMEOUT, action, agent_name, check_level, constraint_option,
    is_colocation, operation_options, promoted_option,
};
use crate::cluster::{Agent, Cluster, Constraint, Primitive, Resource, Setting, notes, owned};

/// What the script does before and after its commands.
const OPENING: &str = include_str!("opening.sh");
const CLOSING: &str = include_str!("closing.sh");

/// The script.
pub fn pcs(cluster: &Cluster) -> String {
    let mut script = String::from("#!/bin/sh\n");
    script += &opening(&cluster.warnings);
    script += OPENING;
    let _ = writeln!(script, "# The schema in which all of this can be written.");
    let _ = writeln!(script, "needed={SCHEMA}\n");
    script += "configure() {\n";
    let nodes: Vec<String> = cluster
        .corosync
        .nodes
        .iter()
        .map(|n| quoted(&n.name))
        .collect();
    let fenced = (cluster.primitives()).any(|p| matches!(p.agent, Agent::Stonith { .. }));
    line(&mut script, &format!("nodes {}", nodes.join(" ")));
    if fenced {
        line(&mut script, &format!("no_other_nodes {}", nodes.join(" ")));
    }
    drbd_file(&mut script, cluster);
    watchdog(&mut script, cluster, &nodes.join(" "));
    let properties: Vec<Setting> = (cluster.properties.iter())
        .filter(|property| property.name != WATCHDOG_TIMEOUT)
        .cloned()
        .collect();
    settings(&mut script, "properties", &properties);
    settings(
        &mut script,
        &format!("defaults {DEFAULTS}"),
        &cluster.resource_defaults,
    );
    for resource in &cluster.resources {
        match resource {
            Resource::Primitive(resource) => primitive(&mut script, resource, None),
            Resource::Promotable(clone) => {
                primitive(&mut script, &clone.primitive, Some((clone.id, &clone.meta)));
            }
        }
    }
    for chain in &cluster.constraints {
        constraint(&mut script, chain);
    }
    no_longer_wanted(&mut script, cluster);
    script += "}\n";
    script += CLOSING;
    script
}

fn line(script: &mut String, text: &str) {
    script.push_str("    ");
    script.push_str(text);
    script.push('\n');
}

fn indented(script: &mut String, comments: &str) {
    for comment in comments.lines() {
        line(script, comment);
    }
}

/// A note, if DRBD's file is one of another way of fencing. It compares with what is configured, so it comes
/// before the properties.
fn drbd_file(script: &mut String, cluster: &Cluster) {
    let Some(drbd) = &cluster.drbd else {
        return;
    };
    let mut options = drbd.sections.iter().flat_map(|section| &section.options);
    let action = options.find(|option| option.name == "on-no-quorum");
    let fenced = (cluster.properties.iter()).find(|property| property.name == "stonith-enabled");
    if let (Some(action), Some(fenced)) = (action, fenced) {
        let (fenced, action) = (quoted(&fenced.value), quoted(&action.value));
        let command = format!(
            "drbd_file {fenced} {action} \\\n        {}",
            quoted(notes::DRBD_FILE)
        );
        line(script, &command);
    }
}

/// The watchdog's timeout, which is set only where SBD runs; or a note, if one is set and not asked for.
fn watchdog(script: &mut String, cluster: &Cluster, nodes: &str) {
    let mut properties = cluster.properties.iter();
    let timeout = properties.find(|property| property.name == WATCHDOG_TIMEOUT);
    let (Some(watchdog), Some(timeout)) = (&cluster.corosync.watchdog, timeout) else {
        line(script, &format!("no_watchdog {}", quoted(notes::SBD_STAYS)));
        return;
    };
    script.push('\n');
    if let Some(why) = timeout.why {
        indented(script, &comment(&format!("{}: {why}.", timeout.name)));
    }
    let (device, timeout) = (quoted(watchdog.device), quoted(&timeout.value));
    line(script, &format!("watchdog {device} {timeout} {nodes}"));
}

fn settings(script: &mut String, command: &str, settings: &[Setting]) {
    script.push('\n');
    for setting in settings {
        if let Some(why) = setting.why {
            indented(script, &comment(&format!("{}: {why}.", setting.name)));
        }
    }
    let words: Vec<String> = settings.iter().map(word).collect();
    line(script, &format!("{command} {}", words.join(" ")));
}

fn word(setting: &Setting) -> String {
    quoted(&format!("{}={}", setting.name, setting.value))
}

fn primitive(script: &mut String, resource: &Primitive, clone: Option<(&str, &[Setting])>) {
    script.push('\n');
    indented(
        script,
        &comment(&format!("{}: {}.", resource.id, resource.why)),
    );
    let of_clone = clone.iter().flat_map(|(_, meta)| meta.iter());
    for setting in resource
        .parameters
        .iter()
        .chain(&resource.meta)
        .chain(of_clone)
    {
        if let Some(why) = setting.why {
            indented(script, &comment(&format!("{}: {why}.", setting.name)));
        }
    }
    let agent = agent_name(&resource.agent);
    let mut command = format!("resource {} {}", quoted(&resource.id), quoted(&agent));
    for parameter in &resource.parameters {
        let _ = write!(command, " \\\n        {}", word(parameter));
    }
    if !resource.operations.is_empty() {
        command += " \\\n        op";
    }
    for operation in &resource.operations {
        let (name, _) = action(operation.action);
        let _ = write!(command, " \\\n        {name}");
        for (option, value) in operation_options(operation)
            .into_iter()
            .chain(check_level(operation))
        {
            let _ = write!(command, " {}", quoted(&format!("{option}={value}")));
        }
    }
    line(script, &command);
    not_asked_for(script, resource);
    metas(script, &resource.id, &resource.meta);
    if let Some((id, meta)) = clone {
        line(
            script,
            &format!("promotable {} {}", quoted(id), quoted(&resource.id)),
        );
        metas(script, id, meta);
    }
}

/// Parameters that are there and that vars.yml does not ask for.
fn not_asked_for(script: &mut String, resource: &Primitive) {
    let id = quoted(&resource.id);
    let gone = resource.harmful_when_left().iter();
    let gone: Vec<&str> = gone.copied().filter(|name| !resource.asks(name)).collect();
    if !gone.is_empty() {
        line(script, &format!("without {id} {}", gone.join(" ")));
    }
    let names = resource.parameters.iter().map(|p| quoted(&p.name));
    let words: Vec<String> = std::iter::once(format!("kept {id}")).chain(names).collect();
    line(script, &words.join(" "));
}

/// Fencing devices and constraints of ours that the cluster no longer has.
fn no_longer_wanted(script: &mut String, cluster: &Cluster) {
    let constraints: Vec<&str> = (owned::CONSTRAINTS.iter().copied())
        .filter(|id| !cluster.constraints.iter().any(|c| c.id == *id))
        .collect();
    let devices: Vec<String> = owned::devices()
        .filter(|id| !cluster.primitives().any(|p| p.id == *id))
        .collect();
    script.push('\n');
    indented(
        script,
        &comment("What an earlier vars.yml asked for and this one does not."),
    );
    line(script, &format!("no_devices {}", devices.join(" ")));
    if !constraints.is_empty() {
        line(script, &format!("no_constraints {}", constraints.join(" ")));
    }
    line(script, &format!("name_kept {}", quoted(notes::KEPT)));
}

/// Meta attributes of a resource or a clone, if it has any.
fn metas(script: &mut String, id: &str, meta: &[Setting]) {
    if !meta.is_empty() {
        let words: Vec<String> = meta.iter().map(word).collect();
        line(script, &format!("meta {} {}", quoted(id), words.join(" ")));
    }
}

fn constraint(script: &mut String, constraint: &Constraint) {
    script.push('\n');
    indented(
        script,
        &comment(&format!("{}: {}.", constraint.id, constraint.why)),
    );
    let kind = if is_colocation(constraint.kind) {
        "colocation"
    } else {
        "order"
    };
    let (option, value) = constraint_option(constraint.kind);
    let mut command = format!(
        "constraint {kind} {} {option}={value}",
        quoted(constraint.id)
    );
    for set in &constraint.sets {
        let resources: Vec<String> = set.resources.iter().map(|id| quoted(id)).collect();
        let _ = write!(command, " \\\n        set {}", resources.join(" "));
        if set.promoted {
            let (option, value) = promoted_option(constraint.kind);
            let _ = write!(command, " {option}={value}");
        }
    }
    line(script, &command);
}
