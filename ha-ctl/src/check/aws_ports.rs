//! The security groups of the nodes, against the rules of `cib-gen --format security-group`.

use std::collections::BTreeMap;

use cib_gen::ec2_facts::{Ec2Facts, InboundRule, InstanceAnswer, WantedRule};
use ipnet::Ipv4Net;

use super::aws_checks::{facts, node_of};
use super::{Inspection, SaidOf, Site};
use crate::cluster::Level;

/// What the nodes need among each other: pcsd and Corosync.
const AMONG_NODES: [(&str, i32); 2] = [("tcp", 2224), ("udp", 5405)];
const ANYWHERE: &str = "0.0.0.0/0";

pub(super) fn ports(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some(facts) = facts(all) else {
        return Vec::new();
    };
    let (Ok(instances), Ok(rules)) = (&facts.answers.instances, &facts.answers.rules) else {
        return Vec::new();
    };
    let mut said = among_nodes(facts, instances, rules, |id| node_of(all, site, facts, id));
    // Nodes with the same groups lack the same.
    let mut by_groups: BTreeMap<&[String], Vec<String>> = BTreeMap::new();
    for it in instances.iter().filter(|it| !it.groups.is_empty()) {
        let node = node_of(all, site, facts, &it.id);
        by_groups.entry(&it.groups).or_default().push(node);
    }
    for (groups, nodes) in by_groups {
        let own: Vec<&InboundRule> = of_groups(rules, groups).collect();
        let missing = facts.wanted_rules.iter();
        let missing = missing.filter(|wanted| !own.iter().any(|rule| allows(rule, wanted)));
        let missing: Vec<&WantedRule> = missing.collect();
        if missing.is_empty() {
            continue;
        }
        let level = match missing.iter().all(|rule| rule.protocol == "icmp") {
            true => Level::Note,
            false => Level::Warning,
        };
        let each: Vec<String> = missing.iter().map(|rule| text(rule)).collect();
        let found = format!("{} does not let in {}", groups.join(", "), each.join("; "));
        let command = format!("{} | sh -s {}", site.rendering("security-group"), groups[0]);
        let node = (nodes.len() < instances.len()).then(|| nodes[0].clone());
        said.push((node, (level, found, Some(command))));
    }
    said
}

/// Who does not get through to whom.
fn among_nodes(
    facts: &Ec2Facts,
    instances: &[InstanceAnswer],
    rules: &[InboundRule],
    name: impl Fn(&str) -> String,
) -> Vec<SaidOf> {
    let mut said = Vec::new();
    for to in instances.iter().filter(|it| !it.groups.is_empty()) {
        let own: Vec<&InboundRule> = of_groups(rules, &to.groups).collect();
        for from in instances.iter().filter(|from| from.id != to.id) {
            let address = facts.nodes.iter().find(|node| node.id == from.id);
            let Some(address) = address.map(|node| Ipv4Net::from(node.address)) else {
                continue;
            };
            let closed = AMONG_NODES.into_iter().filter(|(protocol, port)| {
                !own.iter().any(|rule| {
                    covers(rule, protocol, (*port, *port))
                        && (from_contains(rule, address)
                            || rule.from_groups.iter().any(|it| from.groups.contains(it)))
                })
            });
            let closed: Vec<String> = closed
                .map(|(protocol, port)| format!("{port}/{protocol}"))
                .collect();
            if !closed.is_empty() {
                let found = format!(
                    "{} does not let {} in on {}",
                    to.groups.join(", "),
                    name(&from.id),
                    closed.join(" and ")
                );
                let command = format!(
                    "aws ec2 authorize-security-group-ingress --region {} --group-id {} --protocol -1 --source-group {}",
                    facts.region,
                    to.groups[0],
                    from.groups.first().unwrap_or(&to.groups[0])
                );
                said.push((Some(name(&to.id)), (Level::Error, found, Some(command))));
            }
        }
    }
    said
}

fn of_groups<'a>(
    rules: &'a [InboundRule],
    groups: &'a [String],
) -> impl Iterator<Item = &'a InboundRule> {
    rules.iter().filter(|rule| groups.contains(&rule.group))
}

/// Whether one rule lets in all that is wanted. A group as the source stands for the addresses within the VPC: the
/// nodes and the extended servers are its members.
fn allows(rule: &InboundRule, wanted: &WantedRule) -> bool {
    let (first, last) = wanted.ports;
    if !covers(rule, &wanted.protocol, (first.into(), last.into())) {
        return false;
    }
    let Ok(source) = wanted.from.parse() else {
        return true;
    };
    let is_within = wanted.from != ANYWHERE && !rule.from_groups.is_empty();
    is_within || rule.from_others || from_contains(rule, source)
}

fn from_contains(rule: &InboundRule, source: Ipv4Net) -> bool {
    let from = rule.from.iter().filter_map(|text| text.parse().ok());
    from.into_iter().any(|net: Ipv4Net| net.contains(&source))
}

/// Whether a rule is about all of these ports. ICMP has a type and a code in their place, of which -1 is any.
pub(crate) fn covers(rule: &InboundRule, protocol: &str, (first, last): (i32, i32)) -> bool {
    let is_same = match rule.protocol.as_str() {
        "-1" => return true,
        "6" => protocol == "tcp",
        "17" => protocol == "udp",
        "1" => protocol == "icmp",
        name => name == protocol,
    };
    is_same
        && match rule.ports {
            None => true,
            Some((kind, code)) if protocol == "icmp" => {
                [first, -1].contains(&kind) && [last, -1].contains(&code)
            }
            Some((low, high)) => low <= first && last <= high,
        }
}

fn text(rule: &WantedRule) -> String {
    let (first, last) = rule.ports;
    let ports = match (rule.protocol.as_str(), first == last) {
        ("icmp", _) => format!("icmp type {first} code {last}"),
        (protocol, true) => format!("{first}/{protocol}"),
        (protocol, false) => format!("{first}-{last}/{protocol}"),
    };
    format!("{ports} from {} ({})", rule.from, rule.what)
}
