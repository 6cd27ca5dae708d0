//! The site: everything decided that does not depend on Pacemaker. Names and addresses of
//! the nodes are known here, and what contradicts itself has been refused.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::ids::{
    AllocationId, DataPath, DevicePath, FilePath, ImageName, InstanceId, NodeName, Region, VolumeId,
};
use crate::mistake::{At, Mistake, Mistakes};
use crate::nodes::{FoundNode, GivenNode, Known};
use crate::vars::{AwsVars, FencingAction, FencingWord, NodeVars, PrivipAgent, Topology, Vars};

/// Where the vendor keeps the data of the PBX.
const DATA_PATH: &str = "/var/lib/portsip";

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// What is special to the place.
    pub place: Place,
    /// The PBX.
    pub pbx: Pbx,
    /// The operator's key for the nodes.
    pub ssh_private_key_file: FilePath,
}

/// Where the nodes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// EC2.
    Aws(AwsSite),
}

/// A site in EC2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSite {
    /// The nodes pbx01, pbx02 and pbx03.
    pub nodes: [Node; 3],
    /// The virtual address: a secondary private address of the active node.
    pub vip: Ipv4Addr,
    /// The Elastic IP, associated with the virtual address.
    pub elastic_ip: Ipv4Addr,
    /// Its allocation.
    pub allocation: AllocationId,
    /// The volume with the data.
    pub volume: VolumeId,
    /// The device it appears as.
    pub device: DevicePath,
    /// The region. Without one, what runs on a node takes the node's own.
    pub region: Option<Region>,
    /// How a lost node is kept from the data.
    pub fencing: AwsFencing,
    /// What assigns the virtual address.
    pub privip_agent: PrivipAgent,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The name in the cluster.
    pub name: NodeName,
    /// Primary private address.
    pub address: Ipv4Addr,
    /// The instance.
    pub instance: InstanceId,
}

/// How a lost node is kept from the data, in EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwsFencing {
    /// EC2 stops the instance; then this.
    Ec2(FencingAction),
    /// Not at all, because the user asked for it by name.
    None,
}

/// The PBX.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pbx {
    /// The image its containers are made from.
    pub image: ImageName,
    /// Its data, and where the volume is mounted.
    pub data_path: DataPath,
}

impl Vars {
    /// The instances, in the order of the nodes.
    pub fn instances(&self) -> Vec<InstanceId> {
        let Topology::Aws(aws) = &self.topology;
        aws.instance_ids.iter().map(|id| id.value.clone()).collect()
    }

    /// The region that vars.yml names.
    pub fn region(&self) -> Option<&Region> {
        let Topology::Aws(aws) = &self.topology;
        aws.region.as_ref().map(|region| &region.value)
    }

    /// The instances whose name or address vars.yml does not say: what must come from
    /// `--nodes` or from EC2.
    pub fn unnamed_instances(&self) -> Vec<InstanceId> {
        let Topology::Aws(aws) = &self.topology;
        let pairs = self.nodes.iter().zip(&aws.instance_ids);
        pairs
            .filter(|(node, _)| node.hostname.is_none() || node.private_ip.is_none())
            .map(|(_, id)| id.value.clone())
            .collect()
    }

    /// Puts together what vars.yml says and what else is known. vars.yml goes first, then
    /// `--nodes`, then EC2.
    ///
    /// # Errors
    /// What is still unknown, and what contradicts itself.
    pub fn resolve(&self, known: &Known) -> Result<Site, Mistakes> {
        let Topology::Aws(aws) = &self.topology;
        let mut mistakes = Vec::new();
        if !matches!(known.given.len(), 0 | 3) {
            mistakes.push(Mistake::elsewhere(
                match known.given.len() {
                    1 => "--nodes names 1 node".to_owned(),
                    n => format!("--nodes names {n} nodes"),
                },
                "none, or three in the order pbx01, pbx02, pbx03",
            ));
        }
        let nodes = [0, 1, 2].map(|n| {
            let id = &aws.instance_ids[n];
            let found = known.found.iter().find(|f| f.instance == id.value);
            node(
                n,
                &self.nodes[n],
                id,
                known.given.get(n),
                found,
                &mut mistakes,
            )
        });
        let nodes: Vec<(Node, Written)> = nodes.into_iter().flatten().collect();
        different(&nodes, &mut mistakes);
        let subnets = subnets(aws, &known.found);
        addresses(aws, &nodes, &subnets, &mut mistakes);
        let fencing = fencing(aws, &mut mistakes);
        let nodes: Result<[(Node, Written); 3], _> = nodes.try_into();
        let data_path = match &self.data_path {
            Some(path) => Ok(path.value.clone()),
            None => DATA_PATH.parse(),
        };
        match (nodes, data_path) {
            (Ok(nodes), Ok(data_path)) if mistakes.is_empty() => Ok(Site {
                place: Place::Aws(AwsSite {
                    nodes: nodes.map(|(node, _)| node),
                    vip: aws.private_vip_address.value,
                    elastic_ip: aws.eip_address.value,
                    allocation: aws.eip_allocation_id.value.clone(),
                    volume: aws.ebs_volume_id.value.clone(),
                    device: match &aws.ebs_device {
                        Some(device) => device.value.clone(),
                        None => aws.ebs_volume_id.value.nvme_link(),
                    },
                    region: match &aws.region {
                        Some(region) => Some(region.value.clone()),
                        None => known.region.clone(),
                    },
                    fencing,
                    privip_agent: aws
                        .privip_agent
                        .as_ref()
                        .map_or_else(Default::default, |a| a.value),
                }),
                pbx: Pbx {
                    image: self.pbx_image.value.clone(),
                    data_path,
                },
                ssh_private_key_file: aws.ssh_private_key_file.value.clone(),
            }),
            _ => Err(Mistakes::new(self.source.clone(), mistakes)),
        }
    }
}

/// Where what is known of a node was written, as far as it was in the file.
struct Written {
    instance: At<()>,
    name: Option<At<()>>,
    address: Option<At<()>>,
}

impl Written {
    /// A mistake in the node's address, shown where the address or else the node is written.
    fn address_mistake(&self, found: String, write: &str) -> Mistake {
        Mistake::at(
            self.address.as_ref().unwrap_or(&self.instance),
            found,
            write,
        )
    }
}

/// One node from the three sources.
fn node(
    n: usize,
    vars: &NodeVars,
    id: &At<InstanceId>,
    given: Option<&GivenNode>,
    found: Option<&FoundNode>,
    mistakes: &mut Vec<Mistake>,
) -> Option<(Node, Written)> {
    let number = n + 1;
    let name = (vars.hostname.as_ref().map(|h| h.value.clone()))
        .or_else(|| given.map(|g| g.name.clone()))
        .or_else(|| found.map(|f| f.name.clone()));
    let address = (vars.private_ip.as_ref().map(|a| a.value))
        .or_else(|| given.map(|g| g.address))
        .or_else(|| found.map(|f| f.address));
    let unknown = match (name.is_none(), address.is_none()) {
        (true, true) => Some(("the host name and the private address", "both are")),
        (true, false) => Some(("the host name", "the first is")),
        (false, true) => Some(("the private address", "the second is")),
        (false, false) => None,
    };
    if let Some((what, keys)) = unknown {
        mistakes.push(Mistake::at(
            id,
            format!("{what} of {} (pbx0{number}) can not be told from this file", id.value),
            format!(
                "pbx0{number}_hostname: (as `uname -n` prints it there) and pbx0{number}_private_ip: \
                 ({keys} missing); or give --nodes; or leave out --offline to ask EC2"
            ),
        ));
    }
    Some((
        Node {
            name: name?,
            address: address?,
            instance: id.value.clone(),
        },
        Written {
            instance: id.with(()),
            name: vars.hostname.as_ref().map(|h| h.with(())),
            address: vars.private_ip.as_ref().map(|a| a.with(())),
        },
    ))
}

/// No two nodes may share an instance, a name or an address.
fn different(nodes: &[(Node, Written)], mistakes: &mut Vec<Mistake>) {
    for (n, (node, written)) in nodes.iter().enumerate() {
        for (earlier, _) in &nodes[..n] {
            if node.instance == earlier.instance {
                mistakes.push(Mistake::at(
                    &written.instance,
                    format!("{} is already another node", node.instance),
                    "the id of another instance; a cluster is three of them",
                ));
            }
            if node.name == earlier.name && node.instance != earlier.instance {
                mistakes.push(Mistake::at(
                    written.name.as_ref().unwrap_or(&written.instance),
                    format!("{} is already the name of another node", node.name),
                    "a name of its own for each node",
                ));
            }
            if node.address == earlier.address && node.instance != earlier.instance {
                mistakes.push(written.address_mistake(
                    format!("{} is already the address of another node", node.address),
                    "the address of this node",
                ));
            }
        }
    }
}

/// The subnets that are known: the one of vars.yml, or those of the instances.
fn subnets(aws: &AwsVars, found: &[FoundNode]) -> Vec<Ipv4Net> {
    match &aws.subnet_cidr {
        Some(cidr) => vec![cidr.value],
        None => {
            let mut subnets: Vec<Ipv4Net> = found.iter().filter_map(|f| f.subnet).collect();
            subnets.sort();
            subnets.dedup();
            subnets
        }
    }
}

fn addresses(
    aws: &AwsVars,
    nodes: &[(Node, Written)],
    subnets: &[Ipv4Net],
    mistakes: &mut Vec<Mistake>,
) {
    let vip = &aws.private_vip_address;
    let free = "a private address of the nodes' subnet that nothing else uses";
    if let Some((node, _)) = nodes.iter().find(|(node, _)| node.address == vip.value) {
        mistakes.push(Mistake::at(
            vip,
            format!("{} is the address of the node {}", vip.value, node.name),
            free,
        ));
    }
    match subnets {
        [] if !private(vip.value) => mistakes.push(Mistake::at(
            vip,
            format!("{} is a public address", vip.value),
            format!("{free}; or subnet_cidr, if the VPC really uses public addresses"),
        )),
        [] => {}
        [subnet] => {
            if !subnet.contains(&vip.value) {
                mistakes.push(Mistake::at(
                    vip,
                    format!("{} is outside the subnet {subnet}", vip.value),
                    free,
                ));
            } else if reserved(*subnet, vip.value) {
                mistakes.push(Mistake::at(
                    vip,
                    format!("{} is reserved by AWS: the first four addresses and the last one of a subnet are", vip.value),
                    free,
                ));
            }
            for (node, written) in nodes {
                if !subnet.contains(&node.address) {
                    mistakes.push(written.address_mistake(
                        format!(
                            "{} of {} is outside the subnet {subnet}",
                            node.address, node.name
                        ),
                        "an address of the subnet; the three nodes share one",
                    ));
                }
            }
        }
        several => {
            let list: Vec<String> = several.iter().map(Ipv4Net::to_string).collect();
            mistakes.push(Mistake::at(
                &aws.instance_ids[0],
                format!(
                    "the instances are in {} subnets: {}",
                    list.len(),
                    list.join(", ")
                ),
                "three instances of one subnet, so that an address can move between them",
            ));
        }
    }
    let eip = &aws.eip_address;
    if private(eip.value) || eip.value == vip.value {
        mistakes.push(Mistake::at(
            eip,
            format!(
                "{} is not an Elastic IP: it is a private address",
                eip.value
            ),
            "the public address that belongs to eip_allocation_id",
        ));
    }
}

fn fencing(aws: &AwsVars, mistakes: &mut Vec<Mistake>) -> AwsFencing {
    let word = aws.fencing.as_ref().map(|f| f.value);
    match (word.unwrap_or(FencingWord::Aws), &aws.fencing_action) {
        (FencingWord::Aws, None) => AwsFencing::Ec2(FencingAction::Off),
        (FencingWord::Aws, Some(action)) => AwsFencing::Ec2(action.value),
        (FencingWord::None, None) => AwsFencing::None,
        (FencingWord::None, Some(action)) => {
            mistakes.push(Mistake::at(
                action,
                "`fencing_action` means nothing with `fencing: none`",
                "nothing; delete this line, or the line `fencing: none`",
            ));
            AwsFencing::None
        }
    }
}

/// RFC 1918 and the shared space of RFC 6598, which a VPC can use as well.
fn private(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || (a == 100 && (64..128).contains(&b))
}

/// AWS keeps the first four addresses and the last of every subnet (VPC User Guide,
/// "Subnet CIDR blocks").
fn reserved(subnet: Ipv4Net, address: Ipv4Addr) -> bool {
    u32::from(address) - u32::from(subnet.network()) < 4 || address == subnet.broadcast()
}

#[cfg(test)]
mod tests;
