//! How a lost node is fenced on a LAN: a device that would switch the wrong machine is refused here.

use super::lan_site::LanFencing;
use super::{Resolver, value_or};
use crate::ids::{FenceAgent, FencingOptions, Target};
use crate::mistake::{At, Code};
use crate::vars::{FencingAction, LanFencingWord, LanVars};

impl Resolver<'_> {
    /// The fencing of a site, if nothing of it is missing.
    pub(super) fn lan_fencing(&mut self, lan: &LanVars) -> Option<LanFencing> {
        let (word, fencing) = match lan.fencing.as_ref().map(|at| (at, &at.value)) {
            Some((at, LanFencingWord::Agent(agent))) => {
                let before = self.mistakes.len();
                let fencing = self.fencing_by_agent(lan, at, agent);
                return (self.mistakes.len() == before).then_some(fencing);
            }
            Some((_, LanFencingWord::None)) => ("none", LanFencing::None),
            Some((_, LanFencingWord::Sbd)) | None => ("sbd", LanFencing::Watchdog),
        };
        self.refuse_fencing_action(word);
        let of_nodes = lan.node_fencing_options.iter().flatten();
        for at in lan.fencing_options.iter().chain(of_nodes) {
            let found = format!("options of a fence agent have no effect with `fencing: {word}`");
            let help = "delete this line, or name the agent: `fencing: fence_ipmilan`";
            self.mistake(Code::Contradiction, at, found, help);
        }
        Some(fencing)
    }

    /// A fence agent: one device for all nodes, or one for each.
    fn fencing_by_agent(
        &mut self,
        lan: &LanVars,
        at_agent: &At<LanFencingWord>,
        agent: &FenceAgent,
    ) -> LanFencing {
        let mut options = FencingOptions::default();
        if let Some(at) = &lan.fencing_options {
            options = at.value.clone();
            if options.has("plug") {
                let found = "`plug` is one machine's, and these are the options of all nodes";
                let help = "move it to pbx01_fencing_options and so on";
                self.mistake(Code::Contradiction, at, found, help);
            }
        }
        let of_nodes = &lan.node_fencing_options;
        let written: Vec<&At<FencingOptions>> = of_nodes.iter().flatten().collect();
        if written.is_empty() {
            self.refuse_one_for_all(at_agent, agent);
        } else if written.len() < of_nodes.len() {
            for (n, _) in of_nodes.iter().enumerate().filter(|(_, o)| o.is_none()) {
                let number = n + 1;
                let found = format!(
                    "pbx0{number}_fencing_options is missing: nothing could fence pbx0{number}"
                );
                self.mistake(Code::Missing, written[0], found, example(number, agent));
            }
        } else {
            for at in &written {
                if let Some((name, _)) = at.value.iter().find(|(name, _)| options.has(name)) {
                    let found = format!("`{name}` is in `fencing_options` too");
                    self.mistake(Code::Contradiction, at, found, "delete one of the two");
                }
            }
            self.check_targets(lan, agent, &options, &written);
        }
        LanFencing::Agent {
            agent: agent.clone(),
            action: value_or(&self.vars.shared.fencing_action, FencingAction::Reboot),
            options,
            of_nodes: written.into_iter().map(|at| at.value.clone()).collect(),
        }
    }

    /// One device for all nodes must know the nodes by their names.
    fn refuse_one_for_all(&mut self, at: &At<LanFencingWord>, agent: &FenceAgent) {
        let found = match agent.target() {
            Target::Name => return,
            Target::Address => format!(
                "one device of `{agent}` switches one machine, whichever node Pacemaker asks it to fence"
            ),
            Target::Plug => format!(
                "`{agent}` switches plugs, and vars.yml does not say which node has which plug"
            ),
            Target::Unknown => format!(
                "`{agent}` is not told which machine is which node; one device could switch the wrong one"
            ),
        };
        let example = example(1, agent);
        let help = format!(
            "{example}, and the same for each other node; options that they share stay in `fencing_options`"
        );
        self.mistake(Code::Missing, at, found, help);
    }

    /// Each node has a target, and no two have the same.
    fn check_targets(
        &mut self,
        lan: &LanVars,
        agent: &FenceAgent,
        common: &FencingOptions,
        written: &[&At<FencingOptions>],
    ) {
        let mut earlier: Vec<Vec<(&str, String)>> = Vec::new();
        for (n, at) in written.iter().enumerate() {
            let number = n + 1;
            let target = target(agent, common, &at.value);
            let address = address(common, &at.value);
            let lacks = match agent.target() {
                Target::Address => address.is_none(),
                Target::Plug => !at.value.has("plug"),
                Target::Name | Target::Unknown => false,
            };
            let same = earlier.iter().position(|other| *other == target);
            if lacks {
                let found =
                    format!("nothing here says what `{agent}` is to switch for pbx0{number}");
                self.mistake(Code::Missing, at, found, example(number, agent));
            } else if let Some(other) = same.filter(|_| agent.target() != Target::Name) {
                let other = other + 1;
                let found = format!(
                    "`{agent}` would switch the same machine for pbx0{number} as for pbx0{other}"
                );
                self.mistake(Code::SameNode, at, found, example(number, agent));
            }
            if let (Target::Address, Some(address)) = (agent.target(), &address) {
                let mut nodes = self.nodes.iter().map(|(node, _)| node);
                let node = nodes.find(|node| node.address.to_string() == *address);
                let is_vip = lan.vip.value.to_string() == *address;
                let whose = node.map(|node| format!("the node {}", node.name));
                if let Some(whose) = whose.or(is_vip.then(|| "the PBX".to_owned())) {
                    let found = format!(
                        "{address} is the address of {whose} itself: a lost machine does not answer there"
                    );
                    self.mistake(Code::Contradiction, at, found, example(number, agent));
                }
            }
            earlier.push(target);
        }
    }
}

/// What to write for a node.
fn example(number: usize, agent: &FenceAgent) -> String {
    let options = match agent.target() {
        Target::Address => "ip=(the address of its management board)",
        Target::Plug => "plug=(the plug of this node on the device)",
        Target::Name | Target::Unknown => {
            "(what tells this node from the others: its board's `ip`, or its `plug`)"
        }
    };
    format!("write pbx0{number}_fencing_options: {options}")
}

/// Options of a device that do not say which machine is meant.
const NOT_TARGET: &str = "cipher cmd_prompt delay identity_file lanplus login method privlvl secure ssl \
    ssl_insecure timeout username";

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
                    && !NOT_TARGET.split(' ').any(|other| other == *name)
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
