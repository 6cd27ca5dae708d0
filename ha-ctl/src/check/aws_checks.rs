//! What EC2 says of the instances and the addresses, and what it allows the nodes. The questions are asked on each
//! node by `cib-gen ec2-facts`, because ha-ctl has no AWS SDK and the credentials that matter are the nodes'.

use std::net::Ipv4Addr;

use cib_gen::ec2_facts::{Ec2Facts, Refusal, Way};
use ipnet::Ipv4Net;

use super::aws_volume_checks as volume;
use super::inspection::NoFacts;
use super::{Inspection, Said, SaidOf, Site};
use crate::cluster::{Level, difference};

/// What EC2 says of the site, from the first node that could ask.
pub(super) fn facts(all: &[Inspection]) -> Option<&Ec2Facts> {
    all.iter().find_map(|it| it.ec2.as_ref()?.as_ref().ok())
}

/// The node that an instance is.
pub(super) fn node_of(all: &[Inspection], site: &Site, facts: &Ec2Facts, id: &str) -> String {
    let is_here = |it: &&Inspection| match &it.ec2 {
        Some(Ok(own)) => own.answers.here.as_deref() == Some(id),
        _ => false,
    };
    if let Some(it) = all.iter().find(is_here) {
        return it.node.clone();
    }
    let node = facts.nodes.iter().find(|node| node.id == id);
    let address = node.map(|node| node.address.to_string());
    let mut machines = site.machines.iter();
    let machine = machines.find(|it| it.address.is_some() && it.address == address);
    match (machine, node) {
        (Some(machine), _) => machine.name.clone(),
        (None, Some(node)) => node.hostname.clone(),
        (None, None) => id.to_owned(),
    }
}

/// Every answer that is missing.
fn refusals(facts: &Ec2Facts) -> Vec<&Refusal> {
    let answers = &facts.answers;
    let asked = [
        answers.instances.as_ref().err(),
        answers.volume.as_ref().err(),
        answers.vip.as_ref().err(),
        answers.rules.as_ref().err(),
        facts.elastic_ip.as_ref().err(),
    ];
    let asked = asked.into_iter().flatten();
    asked.chain(&facts.not_looked_at).collect()
}

pub(super) fn api(it: &Inspection, _: &Site) -> Vec<Said> {
    let facts = match &it.ec2 {
        None => return Vec::new(),
        Some(Err(NoFacts::NotInstalled)) => {
            return vec![(
                Level::Note,
                "EC2 was not asked: cib-gen, which asks it, is not on the node yet".to_owned(),
                Some("sudo apt install ./portsip-ha.deb   (there)".to_owned()),
            )];
        }
        Some(Err(NoFacts::Failed(said))) => {
            return vec![(
                Level::Error,
                format!("EC2 could not be asked: {said}"),
                Some("sudo cib-gen ec2-facts vars.yml   (there)".to_owned()),
            )];
        }
        Some(Ok(facts)) => facts,
    };
    let calls = facts
        .answers
        .calls
        .iter()
        .filter_map(|it| it.refused.as_ref());
    let open = refusals(facts).into_iter().chain(calls);
    let open = open.filter(|it| !it.denied && !it.not_found);
    let mut said: Vec<Said> = open
        .map(|it| {
            let found = format!("EC2 gave no answer: {}", it.said);
            let again = Some("ha-ctl check   asks again".to_owned());
            (Level::Warning, found, again)
        })
        .collect();
    said.dedup();
    said
}

/// What a policy lacks. A call that is refused stops the PBX one day; a look only hides something.
pub(super) fn permissions(it: &Inspection, site: &Site) -> Vec<Said> {
    let Some(Ok(facts)) = &it.ec2 else {
        return Vec::new();
    };
    let policy = || {
        Some(format!(
            "give the nodes the policy that `{}` prints (docs/aws.md, \"The policy anew\")",
            site.rendering("iam-policy")
        ))
    };
    let denied = |it: &&Refusal| it.denied;
    let calls = facts.answers.calls.iter();
    let calls: Vec<(String, &Refusal)> = calls
        .filter_map(|it| {
            let refused = it.refused.as_ref().filter(denied)?;
            Some((format!("{} ({})", it.call, it.on), refused))
        })
        .collect();
    let mut said = Vec::new();
    if let Some((_, first)) = calls.first() {
        let names: Vec<&str> = calls.iter().map(|(name, _)| name.as_str()).collect();
        let found = format!("EC2 does not allow {}: {}", names.join(", "), first.said);
        said.push((Level::Error, found, policy()));
    }
    let looks = refusals(facts).into_iter().filter(denied);
    said.extend(looks.map(|it| {
        let found = format!("not looked at: {}", it.said);
        (Level::Warning, found, policy())
    }));
    said.dedup();
    said
}

/// Fencing stops the instance that vars.yml names: it has to be the machine.
pub(super) fn identity(it: &Inspection, site: &Site) -> Vec<Said> {
    let Some(Ok(facts)) = &it.ec2 else {
        return Vec::new();
    };
    let Some(here) = facts.answers.here.as_deref() else {
        let found = "the instance metadata does not answer, and the agents need it".to_owned();
        let command = "curl -sS -m 3 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
                       http://169.254.169.254/latest/api/token   (there)";
        return vec![(Level::Error, found, Some(command.to_owned()))];
    };
    let mut instances = site.instances.iter();
    let found = match instances.find(|(id, _)| id == here) {
        None => {
            format!("this machine is the instance {here}, which vars.yml does not have")
        }
        Some((_, Some(name))) if *name != it.node => {
            format!("this machine is the instance {here}, which is {name} in vars.yml")
        }
        Some(_) => return Vec::new(),
    };
    let command = "correct pbx01_instance_id and so on in vars.yml; there: sudo dmidecode -s system-uuid, or \
                   cat /sys/devices/virtual/dmi/id/board_asset_tag";
    vec![(Level::Error, found, Some(command.to_owned()))]
}

pub(super) fn instances(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some(facts) = facts(all) else {
        return Vec::new();
    };
    let replace =
        || Some("replace the node: docs/aws.md and README, \"Replacing a node\"".to_owned());
    let gone = facts.gone.iter().map(|it| {
        let why = match it.terminated {
            true => "is terminated".to_owned(),
            false => format!("is not known to EC2 in {}", facts.region),
        };
        (None, (Level::Error, format!("{} {why}", it.id), replace()))
    });
    let answered = facts.answers.instances.iter().flatten();
    let leaving = answered.filter(|it| it.state == "shutting-down").map(|it| {
        let node = node_of(all, site, facts, &it.id);
        let found = format!("EC2 is terminating {}", it.id);
        (Some(node), (Level::Error, found, replace()))
    });
    gone.chain(leaving).collect()
}

pub(super) fn subnet(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some(facts) = facts(all) else {
        return Vec::new();
    };
    let named: Vec<String> = facts
        .nodes
        .iter()
        .map(|node| node_of(all, site, facts, &node.id))
        .collect();
    let differ = |what, of: fn(&cib_gen::ec2_facts::NodeAnswer) -> &str| {
        let values = facts.nodes.iter().map(of);
        difference(what, values.zip(named.iter().map(String::as_str)))
    };
    let found = [
        differ("VPC", |node| node.vpc.as_deref().unwrap_or("none")),
        differ("subnet", |node| &node.subnet),
        differ("zone", |node| &node.zone),
    ];
    // The widest difference says it all.
    let found = found.into_iter().flatten().next();
    let command =
        "launch the instances in one subnet: neither the virtual address nor the volume can follow";
    found
        .map(|found| (None, (Level::Error, found, Some(command.to_owned()))))
        .into_iter()
        .collect()
}

pub(super) fn stop_protection(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some(facts) = facts(all) else {
        return Vec::new();
    };
    let protected = facts.stop_protected.iter().map(|id| {
        let found = "EC2 is told never to stop it, so that fencing fails".to_owned();
        let command = format!(
            "aws ec2 modify-instance-attribute --region {} --no-disable-api-stop --instance-id {id}",
            facts.region
        );
        let node = node_of(all, site, facts, id);
        (Some(node), (Level::Error, found, Some(command)))
    });
    protected.collect()
}

pub(super) fn spot(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some(facts) = facts(all) else {
        return Vec::new();
    };
    let instances = facts.answers.instances.iter().flatten();
    let spot = instances.filter(|it| it.spot).map(|it| {
        let found = "EC2 may take this spot instance away at any time, and one that was requested once cannot be \
                     stopped, so that fencing fails";
        let command = "replace the node by an on-demand instance: README, \"Replacing a node\"";
        let node = node_of(all, site, facts, &it.id);
        (
            Some(node),
            (Level::Error, found.to_owned(), Some(command.to_owned())),
        )
    });
    spot.collect()
}

/// Our agents ask with tokens, from the machine itself: any setting that lets them is good.
pub(super) fn metadata(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some(facts) = facts(all) else {
        return Vec::new();
    };
    let mut said = Vec::new();
    for it in facts.answers.instances.iter().flatten() {
        let (level, found, option) = if !it.metadata {
            let found = "the instance metadata is turned off, and the agents need it".to_owned();
            (Level::Error, found, "--http-endpoint enabled")
        } else if !it.tokens_required {
            let found = "the instance metadata answers without a token; nothing here needs that";
            (Level::Note, found.to_owned(), "--http-tokens required")
        } else if let Some(hops) = it.hop_limit.filter(|hops| *hops > 2) {
            let found = format!(
                "the instance metadata, with the credentials of the role, passes {hops} hops; one is enough here"
            );
            (Level::Note, found, "--http-put-response-hop-limit 1")
        } else {
            continue;
        };
        let command = format!(
            "aws ec2 modify-instance-metadata-options --region {} --instance-id {} {option}",
            facts.region, it.id
        );
        let node = node_of(all, site, facts, &it.id);
        said.push((Some(node), (level, found, Some(command))));
    }
    said
}

pub(super) fn way(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some(facts) = facts(all) else {
        return Vec::new();
    };
    let mut said = Vec::new();
    for (id, way) in &facts.ways {
        let found = match way {
            Way::Own => continue,
            Way::Lent => {
                "its public address is lent by EC2 and goes when fencing stops the instance while it has the \
                 cluster's Elastic IP: it would come back without a way to EC2"
            }
            Way::Moves => {
                "its only public address is the cluster's own Elastic IP, which moves away with the PBX"
            }
            Way::None => {
                "it has no way to EC2 that was seen: no public address, NAT gateway or VPC endpoint"
            }
        };
        let place = facts.nodes.iter().find(|node| node.id == *id);
        let (vpc, subnet) = place.map_or(("VPC", "SUBNET"), |node| {
            (node.vpc.as_deref().unwrap_or("VPC"), node.subnet.as_str())
        });
        let command = format!(
            "aws ec2 create-vpc-endpoint --region {region} --vpc-id {vpc} --vpc-endpoint-type Interface --service-name \
             com.amazonaws.{region}.ec2 --subnet-ids {subnet} --private-dns-enabled --security-group-ids GROUP   (GROUP has \
             to let the nodes in on port 443, or none of them reaches EC2 any more. Other ways: step 1 of the README)",
            region = facts.region
        );
        let node = node_of(all, site, facts, id);
        said.push((
            Some(node),
            (Level::Warning, found.to_owned(), Some(command)),
        ));
    }
    said
}

/// In each subnet EC2 reserves the first four addresses and the last
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html>).
fn fits(vip: Ipv4Addr, subnet: Ipv4Net) -> bool {
    subnet.contains(&vip)
        && vip.to_bits() - subnet.network().to_bits() >= 4
        && vip != subnet.broadcast()
}

pub(super) fn vip(all: &[Inspection], _: &Site) -> Vec<SaidOf> {
    let Some((facts, vip)) = facts(all).and_then(|facts| Some((facts, facts.vip?))) else {
        return Vec::new();
    };
    let choose = |found: String| {
        let command = "write a free address of the nodes' subnet as private_vip_address";
        (None, (Level::Error, found, Some(command.to_owned())))
    };
    let subnets = facts.nodes.iter().filter_map(|it| it.subnet_cidr.as_ref());
    let mut subnets = subnets.filter_map(|text| Some((text, text.parse::<Ipv4Net>().ok()?)));
    if let Some((subnet, _)) = subnets.find(|(_, subnet)| !fits(vip, *subnet)) {
        let found = format!("{vip} is not in the subnet {subnet}, or EC2 reserves it there");
        return vec![choose(found)];
    }
    let Ok(Some(holder)) = &facts.answers.vip else {
        return Vec::new();
    };
    let at = match (&holder.instance, holder.description.as_str()) {
        (Some(instance), _) => format!("{} of {instance}", holder.interface),
        (None, "") => holder.interface.clone(),
        (None, description) => format!("{} ({description})", holder.interface),
    };
    let is_node = facts
        .nodes
        .iter()
        .any(|node| Some(&node.id) == holder.instance.as_ref());
    if holder.primary {
        return vec![choose(format!(
            "{vip} is the primary address of {at}, which never moves"
        ))];
    }
    match is_node {
        true => Vec::new(),
        false => vec![choose(format!("{vip} is in use: {at} has it"))],
    }
}

pub(super) fn elastic_ip(all: &[Inspection], _: &Site) -> Vec<SaidOf> {
    let Some(facts) = facts(all) else {
        return Vec::new();
    };
    let address = match &facts.elastic_ip {
        Ok(address) => address,
        Err(refusal) if refusal.not_found => {
            let command = Some("aws ec2 describe-addresses".to_owned());
            return vec![(None, (Level::Error, refusal.said.clone(), command))];
        }
        Err(_) => return Vec::new(),
    };
    let elsewhere = address.leads_to.as_ref();
    let elsewhere = elsewhere.filter(|id| !facts.nodes.iter().any(|node| node.id == **id));
    elsewhere
        .map(|id| {
            let found = format!("it leads to {id}, which is none of the nodes, and is moved away from there");
            let command = "aws ec2 describe-addresses   if that is not meant, write another eip_allocation_id";
            (None, (Level::Warning, found, Some(command.to_owned())))
        })
        .into_iter()
        .collect()
}

/// What cib-gen refuses, unless a check before has found why.
pub(super) fn vars(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some(mistakes) = facts(all).and_then(|facts| facts.mistakes.as_deref()) else {
        return Vec::new();
    };
    let others = [
        instances(all, site),
        subnet(all, site),
        vip(all, site),
        elastic_ip(all, site),
        volume::zone(all, site),
        volume::state(all, site),
        volume::multi_attach(all, site),
    ];
    let mut others = others.iter().flatten();
    if others.any(|(_, (level, ..))| *level == Level::Error) {
        return Vec::new();
    }
    let command = "mend vars.yml as it says".to_owned();
    vec![(
        None,
        (Level::Error, mistakes.trim().to_owned(), Some(command)),
    )]
}
