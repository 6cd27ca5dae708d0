//! The cluster as a shell script of pcs commands, as a person would type them for a new cluster. A cluster
//! that has our resources already is changed by `cib-gen apply`.

use std::collections::BTreeSet;

use super::shell::{Command, comment, opening, quoted};
use super::{
    DEFAULTS, WATCHDOG_TIMEOUT, action, agent_name, check_level, constraint_option, is_colocation,
    operation_options, promoted_option,
};
use crate::cluster::{
    Agent, Ban, Cluster, Constraint, FailureRule, Primitive, Resource, Setting, Watchdog,
};

/// What the script does before and after its commands.
const OPENING: &str = include_str!("opening.sh");
const CLOSING: &str = include_str!("closing.sh");

/// The script.
pub fn pcs(cluster: &Cluster) -> String {
    let mut script = format!("#!/bin/sh\n{}{OPENING}", opening(&cluster.warnings));
    script += &new_cluster(cluster);
    let properties = cluster.properties.iter();
    let (timeout, properties): (Vec<&Setting>, Vec<&Setting>) =
        properties.partition(|property| property.name == WATCHDOG_TIMEOUT);
    if let (Some(watchdog), [timeout]) = (&cluster.corosync.watchdog, &timeout[..]) {
        script += &sbd(cluster, watchdog, timeout);
    }
    script += "\n";
    script += &about(String::new(), properties.iter().copied());
    script += &edit("property set", properties.iter().copied());
    script += &about(String::new(), &cluster.resource_defaults);
    let defaults = format!("resource defaults set create id={DEFAULTS} meta");
    script += &edit(&defaults, &cluster.resource_defaults);
    script += "\n";
    let mut explained = "";
    for resource in &cluster.resources {
        let model = resource.primitive();
        let clone = match resource {
            Resource::Primitive(_) => None,
            Resource::Promotable(clone) => Some(clone),
        };
        // Fencing devices of one kind are explained once.
        if model.why != explained {
            let of_clone = clone.iter().flat_map(|clone| &clone.meta);
            let settings = model.parameters.iter().chain(&model.meta);
            script += &about(
                format!("{}: {}.", model.id, model.why),
                settings.chain(of_clone),
            );
            explained = model.why;
        }
        script += &primitive(model);
        if let Some(clone) = clone {
            let promotable = format!("resource promotable {} {} meta", model.id, clone.id);
            // That one pcs writes itself.
            let meta = (clone.meta.iter()).filter(|setting| setting.name != "promotable");
            script += &edit(&promotable, meta);
        }
    }
    script += "\n";
    script.extend(cluster.bans.iter().map(ban));
    script.extend(cluster.failure_rules.iter().map(failure_rule));
    script.extend(cluster.constraints.iter().map(constraint));
    script + &CLOSING.replacen("$ours", &ours(cluster).join(" "), 1)
}

/// The resources whose agents are of this project.
fn ours(cluster: &Cluster) -> Vec<&str> {
    let is_ours = |p: &&Primitive| {
        matches!(
            p.agent,
            Agent::Ocf {
                provider: "portsip",
                ..
            }
        )
    };
    let ours = cluster.primitives().filter(is_ours);
    ours.map(|p| p.id.as_str()).collect()
}

/// A command on the copy of the configuration, with settings at its end.
fn edit<'a>(command: &str, settings: impl IntoIterator<Item = &'a Setting>) -> String {
    editing(command)
        .words(settings.into_iter().map(word))
        .text()
}

fn editing(command: &str) -> Command {
    Command::new(&format!("pcs -f \"$cib\" {command}"))
}

fn word(setting: &Setting) -> String {
    quoted(&format!("{}={}", setting.name, setting.value))
}

/// What a command is for, and why its settings have their values.
fn about<'a>(what: String, settings: impl IntoIterator<Item = &'a Setting>) -> String {
    let reason = |s: &Setting| Some(format!("{}: {}.", s.name, s.why?));
    let reasons = settings.into_iter().filter_map(reason);
    let all: Vec<String> = std::iter::once(what).chain(reasons).collect();
    comment(&all.join(" "))
}

/// Ends the script where the cluster has other nodes, or something of ours already.
fn new_cluster(cluster: &Cluster) -> String {
    let resources = cluster.resources.iter();
    let ids = resources.flat_map(|r| BTreeSet::from([r.id(), &r.primitive().id]));
    let ids: Vec<&str> = ids.chain([DEFAULTS]).collect();
    let names = names(cluster);
    let mut nodes: Vec<String> = (names.iter())
        .map(|name| format!("node/@uname=\"{name}\""))
        .collect();
    // Fencing devices know the nodes that vars.yml names, and could fence no other.
    if (cluster.primitives()).any(|p| matches!(p.agent, Agent::Stonith { .. })) {
        nodes.push(format!(
            "count(node[not(@type=\"remote\")])={}",
            nodes.len()
        ));
    }
    format!(
        "! has \"/*[contains(' {ids} ', concat(' ', @id, ' ')) or @name='{WATCHDOG_TIMEOUT}']\" ||\n    \
             fail 'the cluster is configured already (pcs config)' 'sudo cib-gen apply vars.yml'\n\
         has {nodes} ||\n    \
             fail {told} \"write the names that 'pcs status nodes' shows into vars.yml or --nodes\"\n",
        ids = ids.join(" "),
        nodes = quoted(&format!("nodes[{}]", nodes.join(" and "))),
        told = quoted(&format!(
            "the nodes of the cluster are not {}",
            names.join(" ")
        )),
    )
}

fn names(cluster: &Cluster) -> Vec<&str> {
    let nodes = cluster.corosync.nodes.iter();
    nodes.map(|node| node.name.as_str()).collect()
}

/// The watchdog's timeout. A lost node counts as dead when it is over, so it is never shorter than twice the
/// time that SBD has.
fn sbd(cluster: &Cluster, watchdog: &Watchdog, timeout: &Setting) -> String {
    let Watchdog {
        device,
        timeout: seconds,
        ..
    } = watchdog;
    let names: Vec<String> = names(cluster).into_iter().map(quoted).collect();
    let why =
        format!("A node that reads {WATCHDOG_TIMEOUT} and runs no SBD stops Pacemaker at once.");
    format!(
        "\n{about}\
         sbd=$(pcs stonith sbd status) || :\n\
         for node in {names}; do\n    \
             case $sbd in *\"\n$node: YES | YES | YES\"*) ;; *)\n        \
             fail \"SBD is not installed, enabled and running on $node: $sbd\" {help} ;; esac\n\
         done\n\
         twice=$(. /etc/default/sbd && echo $((2 * ${{SBD_WATCHDOG_TIMEOUT:-{seconds}}}))) # a slow watchdog has more\n\
         [ \"$twice\" -ge {least} ] || twice={least}\n\
         pcs -f \"$cib\" property set \"{WATCHDOG_TIMEOUT}=${{twice}}s\"\n",
        about = about(why, [timeout]),
        names = names.join(" "),
        help = quoted(&format!(
            "cib-gen --format corosync vars.yml | sudo sh; SBD needs {device} on every node"
        )),
        least = timeout.value.trim_end_matches('s'),
    )
}

fn primitive(resource: &Primitive) -> String {
    let Primitive {
        id,
        parameters,
        meta,
        ..
    } = resource;
    let quoted_id = quoted(id);
    let create = match &resource.agent {
        Agent::Stonith { name } => format!("stonith create {quoted_id} {}", quoted(name)),
        // All operations are written here; the agent's suggestions are not wanted beside them.
        agent @ Agent::Ocf { .. } => {
            format!(
                "resource create {quoted_id} {} --no-default-ops",
                agent_name(agent)
            )
        }
    };
    let mut command = editing(&create).words(parameters.iter().map(word));
    for operation in &resource.operations {
        let (name, _) = action(operation.action);
        // 0s is pcs's default.
        let options = operation_options(operation).into_iter();
        let options = options.filter(|option| *option != ("interval", "0s".to_owned()));
        let options = options.map(|(name, value)| format!("{name}={value}"));
        let level = check_level(operation);
        let words: Vec<String> = options.chain(level.iter().map(word)).collect();
        command = command.words([format!("op {name} {}", words.join(" "))]);
    }
    let mut commands = command.text();
    if !meta.is_empty() {
        commands += &edit(&format!("resource meta {quoted_id}"), meta);
    }
    commands
}

fn constraint(constraint: &Constraint) -> String {
    let Constraint {
        id,
        kind,
        why,
        sets,
    } = constraint;
    let name = if is_colocation(*kind) {
        "colocation"
    } else {
        "order"
    };
    let mut command = editing(&format!("constraint {name}"));
    for set in sets {
        let resources = set.resources.iter().map(|id| quoted(id));
        command = command.words(["set".to_owned()]).words(resources);
        if set.promoted {
            let (option, value) = promoted_option(*kind);
            command = command.words([format!("{option}={value}")]);
        }
    }
    let (option, value) = constraint_option(*kind);
    let options = format!("setoptions id={id} {option}={value}");
    comment(&format!("{id}: {why}.")) + &command.words([options]).text()
}

fn ban(ban: &Ban) -> String {
    let words = [ban.id, ban.resource, &ban.node].map(quoted);
    let options = ["-INFINITY", "resource-discovery=never"].map(str::to_owned);
    let command = editing("constraint location add")
        .words(words)
        .words(options);
    comment(&format!("{}: {}.", ban.id, ban.why)) + &command.text()
}

fn failure_rule(rule: &FailureRule) -> String {
    let FailureRule {
        id,
        resource,
        counts,
        failures,
        score,
        why,
    } = rule;
    let options = [
        format!("id={id}-rule"),
        format!("constraint-id={id}"),
        "role=Promoted".to_owned(),
        format!("score=-{score}"),
    ];
    let mut command = editing("constraint location").words([quoted(resource), "rule".to_owned()]);
    command = command.words(options);
    for (n, count) in counts.iter().enumerate() {
        let or = (n > 0).then(|| "or".to_owned());
        let expression = format!("{} gte number {failures}", quoted(count));
        command = command.words(or).words([expression]);
    }
    comment(&format!("{id}: {why}.")) + &command.text()
}
