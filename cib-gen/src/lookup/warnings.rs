//! What EC2 knows of the nodes that makes a failover fail one day, in words.

use cib_gen::ids::{EbsDevice, InstanceId};
use cib_gen::vars::AwsVars;
use ec2::{AwsError, ErrorKind, Gone, NodeFacts, SiteFacts};

use super::named;

pub(super) fn of(instances: &[InstanceId], vars: &AwsVars, facts: &SiteFacts) -> Vec<String> {
    let names = |ids: &[&str]| {
        let names: Vec<String> = ids.iter().map(|id| named(instances, id)).collect();
        names.join(", ")
    };
    let mut warnings = Vec::new();
    let mut warn = |ids: &[&str], what: &str| {
        if !ids.is_empty() {
            warnings.push(format!("WARNING: {}: {what}", names(ids)));
        }
    };

    let protected: Vec<&str> = (facts.checks.stop_protected.iter())
        .map(|id| id.as_str())
        .collect();
    warn(
        &protected,
        "EC2 is told never to stop it (stop protection), so fencing fails: when this node is lost, \
         no other takes over. Turn the protection off: aws ec2 modify-instance-attribute \
         --no-disable-api-stop --instance-id ID",
    );
    let leaving: Vec<&str> = (facts.nodes.iter().filter(|node| node.shutting_down))
        .map(|node| node.instance_id.as_str())
        .collect();
    warn(
        &leaving,
        "EC2 is terminating it. It never comes back, and it cannot be fenced: replace the node \
         (README, \"Replacing a node\")",
    );
    for (trouble, text) in [
        (
            Trouble::Lent,
            "its public address is lent by EC2 and goes when the instance is stopped; fencing stops a \
             node while it has the cluster's Elastic IP, and then EC2 lends it no other. The node comes \
             back without a way to EC2, as a standby that cannot take over",
        ),
        (
            Trouble::Moves,
            "its only public address is the cluster's own Elastic IP, which moves away with the PBX. \
             Then it has no way to EC2 and cannot take over again. Associate that Elastic IP with the \
             virtual address only",
        ),
        (
            Trouble::NoWay,
            "it has no public address, and neither a NAT gateway nor a VPC endpoint for EC2 was seen in \
             this VPC: the agents cannot reach EC2 there, unless the nodes reach it through a proxy or \
             an endpoint of another VPC",
        ),
    ] {
        let ids: Vec<&str> = (facts.nodes.iter())
            .filter(|node| trouble_of(node, vars, facts) == Some(trouble))
            .map(|node| node.instance_id.as_str())
            .collect();
        let mend = "Give each node a way of its own (README, \"A way to EC2\")";
        warn(&ids, &format!("{text}. {mend}"));
    }
    if let Some((id, device)) = attached_otherwise(vars, facts) {
        warn(
            &[id],
            &format!(
                "it has {} as {device} now, and ebs_device says otherwise: the file system would not be \
                 found. Detach the volume before the cluster starts it, or write ebs_device: {}",
                vars.ebs_volume_id.value,
                EbsDevice::xen_name(device).unwrap_or_default()
            ),
        );
    }
    if let Some(denial) = &facts.checks.stop_denial {
        let ids: Vec<&str> = denial.instances.iter().map(|id| id.as_str()).collect();
        let (nodes, error) = (names(&ids), &denial.error);
        warnings.push(match denial.is_of_fencing {
            true => format!(
                "WARNING: {nodes}: EC2 does not let the nodes stop it, so a lost node could not be fenced, and \
                 nothing would be taken over: {error}. Give the nodes the policy of `cib-gen --format iam-policy`"
            ),
            false => format!(
                "NOTE: {nodes}: EC2 does not let the credentials in use here stop it: {error}. Fencing uses the \
                 nodes' own credentials, which were not looked at: run `sudo cib-gen apply --dry-run` on a node"
            ),
        });
    }
    warnings.extend(associated_elsewhere(vars, facts));
    let volume = "whether EC2 has the volume, and the nodes can attach it";
    let elastic_ip = "whether EC2 has the Elastic IP, and where it leads";
    let not_looked_at = (facts
        .volume
        .as_ref()
        .err()
        .map(|error| (volume, error))
        .into_iter())
    .chain(
        facts
            .elastic_ip
            .as_ref()
            .err()
            .map(|error| (elastic_ip, error)),
    )
    // An id that EC2 does not know is a mistake in vars.yml.
    .filter(|(_, error)| error.kind != ErrorKind::NotFound)
    .chain((facts.checks.errors.iter()).map(|error| ("for what may hinder a failover", error)));
    warnings.extend(not_looked_at.map(|(what, error): (_, &AwsError)| {
        format!(
            "WARNING: could not look {what}: {error}. The policy of `cib-gen --format iam-policy` allows these \
             looks"
        )
    }));
    warnings
}

/// The instances that can be no node, and why.
pub(super) fn gone(instances: &[InstanceId], facts: &SiteFacts) -> String {
    let nodes = facts.gone.iter().map(|(id, why)| {
        let node = named(instances, id.as_str());
        match why {
            Gone::Terminated => format!("{node}: it is terminated"),
            Gone::Unknown => format!("{node}: there is none of that id"),
        }
    });
    nodes.collect::<Vec<_>>().join("; ")
}

/// Why a node may not reach EC2 after a stop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Lent,
    Moves,
    NoWay,
}

pub(super) fn trouble_of(node: &NodeFacts, vars: &AwsVars, facts: &SiteFacts) -> Option<Trouble> {
    let written = vars.eip_address.as_ref().map(|eip| eip.value);
    let cluster = written.or_else(|| facts.elastic_ip.as_ref().ok()?.public);
    let mut ways = facts.checks.private_path.iter();
    let private_way = ways.find(|(id, _)| *id == node.instance_id);
    let private_way = private_way.map(|(_, way)| *way);
    match node.public {
        Some(public) if public.elastic && cluster == Some(public.address) => Some(Trouble::Moves),
        Some(public) if public.elastic => None,
        _ if private_way == Some(true) => None,
        Some(_) => Some(Trouble::Lent),
        // If nothing is known of the subnet, it has a way, or the node would not work today.
        None => (private_way == Some(false)).then_some(Trouble::NoWay),
    }
}

/// Where the volume is now by another name than a Xen instance will show it by. On Nitro instances the
/// name does not matter.
fn attached_otherwise<'a>(vars: &AwsVars, facts: &'a SiteFacts) -> Option<(&'a str, &'a str)> {
    let Some(EbsDevice::Xen(written)) = vars.ebs_device.as_ref().map(|device| &device.value) else {
        return None;
    };
    let volume = vars.ebs_volume_id.value.to_string();
    facts.nodes.iter().find_map(|node| {
        let (_, device) = node.volumes.iter().find(|(id, _)| *id == volume)?;
        let other = EbsDevice::xen_name(device)? != written.to_string();
        other.then_some((node.instance_id.as_str(), device.as_str()))
    })
}

/// The Elastic IP leads to something else than a node.
fn associated_elsewhere(vars: &AwsVars, facts: &SiteFacts) -> Option<String> {
    let association = facts.elastic_ip.as_ref().ok()?.association.as_ref()?;
    let instance = association.instance.as_ref();
    let is_node = |id: &ec2::InstanceId| vars.instance_ids.iter().any(|node| node.value == *id);
    if instance.is_some_and(is_node) {
        return None;
    }
    let at = match (instance, &association.interface) {
        (Some(instance), _) => format!("the instance {instance}"),
        (None, Some(interface)) => format!("the interface {interface}"),
        (None, None) => format!("something else ({})", association.id),
    };
    Some(format!(
        "WARNING: the Elastic IP {} is associated with {at}, which is none of the nodes: it is moved away from there \
         when the PBX starts. Check eip_allocation_id, if something else needs that address",
        vars.eip_allocation_id.value
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;

    use cib_gen::Vars;
    use cib_gen::vars::Topology;
    use ec2::{ElasticIp, PublicAddress, SiteChecks};

    use super::*;

    const VENDOR: &str = include_str!("../../tests/vars-vendor.yml");
    const EIP: Ipv4Addr = Ipv4Addr::new(54, 151, 30, 9);

    fn node(id: &InstanceId, public: Option<(Ipv4Addr, bool)>) -> NodeFacts {
        NodeFacts {
            instance_id: id.to_string().parse().unwrap(),
            instance_type: "t2.large".to_owned(),
            shutting_down: false,
            hostname: "ip-172-31-16-133".to_owned(),
            private_ip: Ipv4Addr::new(172, 31, 16, 133),
            public: public.map(|(address, elastic)| PublicAddress { address, elastic }),
            secondary: Vec::new(),
            interface: None,
            volumes: Vec::new(),
            zone: String::new(),
            vpc_id: None,
            subnet_id: "subnet-8cadc4e8".to_owned(),
            subnet_cidr: None,
        }
    }

    /// What is said of three nodes with these public addresses, when `change` was done to the facts.
    fn said(
        public: [Option<(Ipv4Addr, bool)>; 3],
        more: &str,
        change: impl FnOnce(&mut SiteFacts),
    ) -> Vec<String> {
        let vars = Vars::parse("vars.yml", format!("{VENDOR}{more}")).unwrap();
        let instances = vars.instances();
        let Topology::Aws(aws) = &vars.topology else {
            panic!("this is the AWS system");
        };
        let mut facts = SiteFacts {
            nodes: (instances.iter().zip(public))
                .map(|(id, public)| node(id, public))
                .collect(),
            gone: Vec::new(),
            elastic_ip: Ok(ElasticIp {
                public: Some(EIP),
                association: None,
            }),
            volume: Err(AwsError::new(ErrorKind::NotFound, "look", "no such volume")),
            account: None,
            region: "us-west-1".to_owned(),
            checks: SiteChecks::default(),
        };
        change(&mut facts);
        of(&instances, aws, &facts)
    }

    fn own(last: u8) -> Option<(Ipv4Addr, bool)> {
        Some((Ipv4Addr::new(54, 200, 1, last), true))
    }

    fn lent(last: u8) -> Option<(Ipv4Addr, bool)> {
        Some((Ipv4Addr::new(54, 183, 20, last), false))
    }

    fn ways(facts: &mut SiteFacts, way: bool) {
        let nodes = facts.nodes.iter();
        facts.checks.private_path = nodes.map(|node| (node.instance_id.clone(), way)).collect();
    }

    #[test]
    fn nothing_is_said_of_nodes_that_have_a_way_of_their_own() {
        let quiet = Vec::<String>::new();
        assert_eq!(said([own(1), own(2), own(3)], "", |_| {}), quiet);
        let by_nat = said([None, None, lent(3)], "", |facts| ways(facts, true));
        assert_eq!(by_nat, quiet);
        // Nobody could look at the routes; without any the node would not work today.
        assert_eq!(said([None, None, None], "", |_| {}), quiet);
    }

    #[test]
    fn each_way_that_a_stop_ends_is_told_with_its_nodes() {
        let [warning] = &said([own(1), lent(2), lent(3)], "", |f| ways(f, false))[..] else {
            panic!("one warning");
        };
        assert!(
            warning.starts_with(
                "WARNING: pbx02 (i-03411641c37513049), pbx03 (i-0c301db1a53ae3a4b): its public address is lent"
            ),
            "{warning}"
        );
        assert!(!warning.contains("pbx01"), "{warning}");
        let moves = said([Some((EIP, true)), own(2), own(3)], "", |_| {});
        assert!(moves[0].contains("pbx01 (i-08807c762627239b8): its only public address"));
        let none = said([own(1), own(2), None], "", |f| ways(f, false));
        assert!(none[0].contains("pbx03") && none[0].contains("no public address"));
    }

    #[test]
    fn what_fencing_can_not_do_is_told() {
        let all = [own(1), own(2), own(3)];
        let protected = said(all, "", |facts| {
            facts.checks.stop_protected = vec![facts.nodes[1].instance_id.clone()];
            facts.nodes[2].shutting_down = true;
        });
        assert_eq!(protected.len(), 2, "{protected:?}");
        assert!(protected[0].contains("pbx02") && protected[0].contains("--no-disable-api-stop"));
        assert!(protected[1].contains("pbx03") && protected[1].contains("Replacing a node"));
        let denied = said(all, "", |facts| {
            let refused = AwsError::new(ErrorKind::Forbidden, "look whether", "EC2 says no");
            facts.checks.errors.push(refused);
        });
        assert!(denied[0].contains("could not look") && denied[0].contains("EC2 says no"));
    }

    #[test]
    fn a_volume_that_a_xen_instance_shows_by_another_name_is_told() {
        let all = [own(1), own(2), own(3)];
        let attached = |device: &'static str| {
            move |facts: &mut SiteFacts| {
                let volume = "vol-0e06e1e9da3c49b67".to_owned();
                facts.nodes[0].volumes = vec![(volume, device.to_owned())];
            }
        };
        let xen = "ebs_device: /dev/xvdg\n";
        let told = said(all, xen, attached("/dev/sdf"));
        assert!(told[0].contains("pbx01") && told[0].contains("ebs_device: /dev/xvdf"));
        assert!(said(all, xen, attached("/dev/sdg")).is_empty());
        assert!(said(all, "", attached("/dev/sdg")).is_empty());
    }
}
