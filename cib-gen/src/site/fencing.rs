//! How a lost node is fenced on a LAN: a device that would switch the wrong machine is refused here.

use super::lan::LanFencing;
use super::{Node, Written, no_action};
use crate::ids::{FenceAgent, FencingOptions, Target};
use crate::mistake::{At, Code, Mistake};
use crate::vars::{FencingAction, LanFencingWord, LanVars, Vars};

/// The fencing of a site, if nothing of it is missing.
pub(super) fn of(
    vars: &Vars,
    lan: &LanVars,
    nodes: &[(Node, Written)],
    mistakes: &mut Vec<Mistake>,
) -> Option<LanFencing> {
    let of_nodes = &lan.node_fencing_options;
    let word = lan.fencing.as_ref();
    let (at, agent) = match word.map(|at| (at, &at.value)) {
        Some((at, LanFencingWord::Agent(agent))) => (at, agent),
        other => {
            let (word, fencing) = match other {
                Some((_, LanFencingWord::None)) => ("none", LanFencing::None),
                _ => ("sbd", LanFencing::Watchdog),
            };
            no_action(vars, word, mistakes);
            let options = lan.fencing_options.iter().chain(of_nodes.iter().flatten());
            mistakes.extend(options.map(|at| {
                Mistake::at(
                    Code::Contradiction,
                    at,
                    format!("options of a fence agent mean nothing with `fencing: {word}`"),
                    "nothing; delete this line, or name the agent: `fencing: fence_ipmilan`",
                )
            }));
            return Some(fencing);
        }
    };
    let before = mistakes.len();
    let nothing = FencingOptions::default();
    let common = lan.fencing_options.as_ref();
    if let Some(at) = common
        && at.value.has("plug")
    {
        mistakes.push(Mistake::at(
            Code::Contradiction,
            at,
            "`plug` is one machine's, and these are the options of all nodes",
            "it in pbx01_fencing_options and so on",
        ));
    }
    let options = common.map_or(&nothing, |at| &at.value);
    let written: Vec<&At<FencingOptions>> = of_nodes.iter().flatten().collect();
    if written.is_empty() {
        if agent.target() != Target::Name {
            mistakes.push(one_for_all(at, agent));
        }
    } else if written.len() < of_nodes.len() {
        for (n, _) in of_nodes.iter().enumerate().filter(|(_, o)| o.is_none()) {
            mistakes.push(Mistake::at(
                Code::Missing,
                written[0],
                format!(
                    "pbx0{0}_fencing_options is missing: nothing could fence pbx0{0}",
                    n + 1
                ),
                format!("pbx0{}_fencing_options: {}", n + 1, example(agent)),
            ));
        }
    } else {
        for at in &written {
            if let Some((name, _)) = at.value.iter().find(|(name, _)| options.has(name)) {
                mistakes.push(Mistake::at(
                    Code::Contradiction,
                    at,
                    format!("`{name}` is in `fencing_options` too"),
                    "it in one of the two",
                ));
            }
        }
        targets(lan, nodes, agent, options, &written, mistakes);
    }
    (mistakes.len() == before).then(|| LanFencing::Agent {
        agent: agent.clone(),
        action: (vars.fencing_action.as_ref()).map_or(FencingAction::Reboot, |a| a.value),
        options: options.clone(),
        of_nodes: written.into_iter().map(|at| at.value.clone()).collect(),
    })
}

/// What the options of a node look like.
fn example(agent: &FenceAgent) -> &'static str {
    match agent.target() {
        Target::Address => "ip=(the address of its management board)",
        Target::Plug => "plug=(the plug of this node on the device)",
        Target::Name | Target::Unknown => {
            "(what tells this node from the others: its board's `ip`, or its `plug`)"
        }
    }
}

/// One device for all nodes, of an agent that does not know nodes by their names.
fn one_for_all(at: &At<LanFencingWord>, agent: &FenceAgent) -> Mistake {
    let found = match agent.target() {
        Target::Address => format!(
            "one device of `{agent}` switches one machine, whichever node Pacemaker asks it to fence"
        ),
        Target::Plug => {
            format!("`{agent}` switches plugs, and nothing says which plug is which node's")
        }
        Target::Name | Target::Unknown => format!(
            "nothing tells `{agent}` which machine is which node; one device could switch the wrong one"
        ),
    };
    let write = format!(
        "options for each node: `pbx01_fencing_options: {}` and so on; what they have in common \
         stays in `fencing_options`",
        example(agent)
    );
    Mistake::at(Code::Missing, at, found, write)
}

/// Each node has a target, and no two have the same.
fn targets(
    lan: &LanVars,
    nodes: &[(Node, Written)],
    agent: &FenceAgent,
    common: &FencingOptions,
    written: &[&At<FencingOptions>],
    mistakes: &mut Vec<Mistake>,
) {
    let mut known: Vec<Vec<(&str, String)>> = Vec::new();
    for (n, at) in written.iter().enumerate() {
        let number = n + 1;
        let target = target(agent, common, &at.value);
        let address = address(common, &at.value);
        let plug = at.value.get("plug");
        let lacks = match agent.target() {
            Target::Address => address.is_none(),
            Target::Plug => plug.is_none(),
            Target::Name | Target::Unknown => false,
        };
        if lacks {
            mistakes.push(Mistake::at(
                Code::Missing,
                at,
                format!("nothing here says what `{agent}` is to switch for pbx0{number}"),
                format!("pbx0{number}_fencing_options: {}", example(agent)),
            ));
        } else if agent.target() != Target::Name
            && let Some(other) = known.iter().position(|other| *other == target)
        {
            mistakes.push(Mistake::at(
                Code::SameNode,
                at,
                format!(
                    "`{agent}` would switch the same machine for pbx0{number} as for pbx0{}",
                    other + 1
                ),
                format!("pbx0{number}_fencing_options: {}", example(agent)),
            ));
        }
        if agent.target() == Target::Address
            && let Some(address) = &address
        {
            let node = nodes
                .iter()
                .find(|(node, _)| node.address.to_string() == *address);
            let whose = match node {
                Some((node, _)) => Some(format!("the node {}", node.name)),
                None => (lan.vip.value.to_string() == *address).then(|| "the PBX".to_owned()),
            };
            mistakes.extend(whose.map(|whose| {
                Mistake::at(
                    Code::Contradiction,
                    at,
                    format!(
                        "{address} is the address of {whose} itself: a machine that is lost does \
                         not answer there"
                    ),
                    format!("pbx0{number}_fencing_options: {}", example(agent)),
                )
            }));
        }
        known.push(target);
    }
}

/// Options that say who asks and how, and not which machine is meant.
const HOW: &[&str] = &[
    "cipher",
    "cmd_prompt",
    "delay",
    "identity_file",
    "lanplus",
    "login",
    "method",
    "privlvl",
    "secure",
    "ssl",
    "ssl_insecure",
    "timeout",
    "username",
];

/// What a device would switch, as far as its options say: two of the same are one machine.
fn target<'a>(
    agent: &FenceAgent,
    common: &'a FencingOptions,
    own: &'a FencingOptions,
) -> Vec<(&'a str, String)> {
    let mut target: Vec<(&str, String)> = (common.iter().chain(own.iter()))
        .filter(|(name, _)| match agent.target() {
            Target::Address => matches!(*name, "ipport" | "systems_uri"),
            Target::Plug | Target::Name => matches!(*name, "ipport" | "plug"),
            Target::Unknown => {
                !matches!(*name, "ip" | "ipaddr")
                    && !HOW.contains(name)
                    && !name.ends_with("_script")
                    && !name.starts_with("pcmk_")
            }
        })
        .map(|(name, value)| (name, value.to_ascii_lowercase()))
        .collect();
    target.extend(address(common, own).map(|address| ("ip", address)));
    target.sort();
    target
}

/// Where the device is. `port_as_ip` makes an address of the plug.
fn address(common: &FencingOptions, own: &FencingOptions) -> Option<String> {
    let get = |name| own.get(name).or_else(|| common.get(name));
    let of_plug = get("port_as_ip").is_some_and(|on| matches!(on, "1" | "yes" | "true" | "on"));
    let address = if of_plug {
        get("plug")
    } else {
        get("ip").or_else(|| get("ipaddr"))
    };
    address.map(|address| address.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
