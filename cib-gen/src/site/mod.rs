//! The site: everything decided that does not depend on Pacemaker. Names and addresses of
//! the nodes are known here, and what contradicts itself has been refused.

mod aws;
mod fencing;
mod lan;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::ids::{DataPath, ImageName, InstanceId, NodeName, Region};
use crate::mistake::{At, Code, Mistake, Mistakes};
use crate::nodes::{FoundNode, GivenNode, Known};
use crate::vars::{NodeVars, SipTransport, Topology, Vars};

pub use aws::{AwsFencing, AwsSite, VolumeDevice};
pub use lan::{LanFencing, LanSite};

/// Where the vendor keeps the data of the PBX.
const DATA_PATH: &str = "/var/lib/portsip";

/// Where the vendor's web portal listens.
pub(crate) const WEB_PORT: u16 = 8887;

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The nodes pbx01, pbx02 and so on.
    pub nodes: Vec<Node>,
    /// What is special to the place.
    pub place: Place,
    /// The PBX.
    pub pbx: Pbx,
}

/// Where the nodes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// EC2.
    Aws(AwsSite),
    /// One LAN.
    Lan(LanSite),
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The name in the cluster.
    pub name: NodeName,
    /// Primary private address.
    pub address: Ipv4Addr,
}

/// The PBX.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pbx {
    /// The image its containers are made from.
    pub image: ImageName,
    /// Its data, and where the volume is mounted.
    pub data_path: DataPath,
    /// Over what it is asked whether it answers SIP.
    pub sip_transport: SipTransport,
    /// The port of that transport; `None` where SIP is not asked.
    pub sip_port: Option<u16>,
    /// The port of its web portal.
    pub web_port: u16,
}

impl Vars {
    /// The instances, in the order of the nodes; none on a LAN.
    pub fn instances(&self) -> Vec<InstanceId> {
        match &self.topology {
            Topology::Aws(aws) => aws.instance_ids.iter().map(|id| id.value.clone()).collect(),
            Topology::Lan(_) => Vec::new(),
        }
    }

    /// The region that vars.yml names.
    pub fn region(&self) -> Option<&Region> {
        match &self.topology {
            Topology::Aws(aws) => aws.region.as_ref().map(|region| &region.value),
            Topology::Lan(_) => None,
        }
    }

    /// Whether a name or an address of a node is not in the file: then it must come from
    /// `--nodes` or from EC2.
    pub fn lacks_nodes(&self) -> bool {
        let known = |node: &NodeVars| node.hostname.is_some() && node.private_ip.is_some();
        !self.nodes.iter().all(known)
    }

    /// Whether an address of the cluster is not in the file: then it must come from EC2.
    pub fn lacks_addresses(&self) -> bool {
        match &self.topology {
            Topology::Aws(aws) => aws.private_vip_address.is_none() || aws.eip_address.is_none(),
            Topology::Lan(_) => false,
        }
    }

    /// Puts together what vars.yml says and what else is known. vars.yml goes first, then
    /// `--nodes`, then EC2.
    ///
    /// # Errors
    /// What is still unknown, and what contradicts itself.
    pub fn resolve(&self, known: &Known) -> Result<Site, Mistakes> {
        let mut mistakes = Vec::new();
        let count = self.nodes.len();
        if !known.given.is_empty() && known.given.len() != count {
            mistakes.push(Mistake::elsewhere(
                Code::NodeCount,
                match known.given.len() {
                    1 => format!("--nodes names 1 node of {count}"),
                    n => format!("--nodes names {n} nodes, and vars.yml is about {count}"),
                },
                format!("none, or {count} in the order pbx01, pbx02, pbx03"),
            ));
        }
        let nodes: Vec<(Node, Written)> = (0..count)
            .filter_map(|n| self.node(n, known, &mut mistakes))
            .collect();
        different(&nodes, &mut mistakes);
        let place = match &self.topology {
            Topology::Aws(vars) => {
                aws::place(self, vars, &nodes, known, &mut mistakes).map(Place::Aws)
            }
            Topology::Lan(vars) => {
                lan::place(self, vars, &nodes, known, &mut mistakes).map(Place::Lan)
            }
        };
        let data_path = match &self.data_path {
            Some(path) => Ok(path.value.clone()),
            None => DATA_PATH.parse(),
        };
        let sip_transport = self.sip_transport.as_ref().map(|t| t.value);
        let sip_transport = sip_transport.unwrap_or_default();
        if let Some(port) = &self.sip_port
            && sip_transport == SipTransport::None
        {
            mistakes.push(Mistake::at(
                Code::Contradiction,
                port,
                "`sip_port` means nothing with `sip_transport: none`",
                "nothing; delete this line, or name the transport of that port",
            ));
        }
        let sip_port = self.sip_port.as_ref().map(|port| port.value);
        match (place, data_path) {
            (Some(place), Ok(data_path)) if mistakes.is_empty() => Ok(Site {
                nodes: nodes.into_iter().map(|(node, _)| node).collect(),
                place,
                pbx: Pbx {
                    image: self.pbx_image.value.clone(),
                    data_path,
                    sip_transport,
                    sip_port: sip_port.or(sip_transport.port()),
                    web_port: self.web_port.as_ref().map_or(WEB_PORT, |port| port.value),
                },
            }),
            _ => Err(Mistakes::new(self.source.clone(), mistakes)),
        }
    }

    /// One node from the three sources.
    fn node(
        &self,
        n: usize,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<(Node, Written)> {
        let vars = &self.nodes[n];
        let id = match &self.topology {
            Topology::Aws(aws) => Some(&aws.instance_ids[n]),
            Topology::Lan(_) => None,
        };
        let given: Option<&GivenNode> = known.given.get(n);
        let found: Option<&FoundNode> = known
            .found
            .iter()
            .find(|found| id.is_some_and(|id| id.value == found.instance));
        let name = (vars.hostname.as_ref().map(|h| h.value.clone()))
            .or_else(|| given.map(|g| g.name.clone()))
            .or_else(|| found.map(|f| f.name.clone()));
        let address = (vars.private_ip.as_ref().map(|a| a.value))
            .or_else(|| given.map(|g| g.address))
            .or_else(|| found.map(|f| f.address));
        let number = n + 1;
        let hostname = format!("pbx0{number}_hostname: (what `uname -n` prints there)");
        let private_ip = format!("pbx0{number}_private_ip: (its address)");
        let unknown = match (&name, &address) {
            (None, None) => Some((
                "host name and address",
                format!("{hostname} and {private_ip}"),
            )),
            (None, Some(_)) => Some(("host name", hostname)),
            (Some(_), None) => Some(("address", private_ip)),
            (Some(_), Some(_)) => None,
        };
        let instance = id.map(|id| id.with(()));
        let written = Written {
            node: (instance.clone())
                .or_else(|| vars.hostname.as_ref().map(|h| h.with(())))
                .or_else(|| vars.private_ip.as_ref().map(|a| a.with(()))),
            name: vars.hostname.as_ref().map(|h| h.with(())),
            address: vars.private_ip.as_ref().map(|a| a.with(())),
        };
        if let Some((what, keys)) = unknown {
            let of = id.map_or(String::new(), |id| format!(" ({})", id.value));
            let ask = if id.is_some() {
                "; or leave out --offline to ask EC2"
            } else {
                ""
            };
            mistakes.push(written.mistake(
                Code::UnknownNode,
                None,
                format!("{what} of pbx0{number}{of} can not be told from this file"),
                format!("{keys}; or give --nodes{ask}"),
            ));
        }
        let node = Node {
            name: name?,
            address: address?,
        };
        Some((node, written))
    }
}

/// Where what is known of a node was written, as far as it was in the file.
struct Written {
    /// Where the node is first spoken of.
    node: Option<At<()>>,
    name: Option<At<()>>,
    address: Option<At<()>>,
}

impl Written {
    /// A mistake at a place of the node's, or else where the node is first spoken of.
    fn mistake(
        &self,
        code: Code,
        place: Option<&At<()>>,
        found: impl Into<String>,
        write: impl Into<String>,
    ) -> Mistake {
        match place.or(self.node.as_ref()) {
            Some(place) => Mistake::at(code, place, found, write),
            None => Mistake::elsewhere(code, found, write),
        }
    }

    /// A mistake in the node's address, or else where the node is first spoken of.
    fn address_mistake(&self, code: Code, found: String, write: &str) -> Mistake {
        self.mistake(code, self.address.as_ref(), found, write)
    }
}

/// No two nodes may share a name or an address. Pacemaker takes names that differ in case only for
/// the same node.
fn different(nodes: &[(Node, Written)], mistakes: &mut Vec<Mistake>) {
    for (n, (node, written)) in nodes.iter().enumerate() {
        let earlier = || nodes[..n].iter().map(|(node, _)| node);
        if let Some(same) = earlier().find(|e| e.name.is_same(&node.name)) {
            let found = if same.name == node.name {
                format!("{} is already the name of another node", node.name)
            } else {
                format!(
                    "{} is already the name of another node, {}: Pacemaker does not tell capitals from small letters",
                    node.name, same.name
                )
            };
            mistakes.push(written.mistake(
                Code::SameNode,
                written.name.as_ref(),
                found,
                "a name of its own for each node",
            ));
        }
        if earlier().any(|e| e.address == node.address) {
            mistakes.push(written.address_mistake(
                Code::SameNode,
                format!("{} is already the address of another node", node.address),
                "the address of this node",
            ));
        }
    }
}

/// The virtual address is nobody's, private, and with all nodes in the subnet where that is
/// known. `reserved` says which addresses of a subnet can not be used.
fn virtual_address(
    vip: &At<Ipv4Addr>,
    nodes: &[(Node, Written)],
    subnet: Option<Ipv4Net>,
    reserved: fn(Ipv4Net, Ipv4Addr) -> Option<&'static str>,
    mistakes: &mut Vec<Mistake>,
) {
    let free = "a private address of the nodes' subnet that nothing else uses";
    let address = vip.value;
    if let Some((node, _)) = nodes.iter().find(|(node, _)| node.address == address) {
        mistakes.push(Mistake::at(
            Code::VipTaken,
            vip,
            format!("{address} is the address of the node {}", node.name),
            free,
        ));
    }
    let Some(subnet) = subnet else {
        if !private(address) {
            mistakes.push(Mistake::at(
                Code::VipPublic,
                vip,
                format!("{address} is a public address"),
                format!("{free}; or subnet_cidr, if the nodes really have public addresses"),
            ));
        }
        return;
    };
    if !subnet.contains(&address) {
        mistakes.push(Mistake::at(
            Code::VipOutside,
            vip,
            format!("{address} is outside the subnet {subnet}"),
            free,
        ));
    } else if let Some(why) = reserved(subnet, address) {
        mistakes.push(Mistake::at(
            Code::VipOutside,
            vip,
            format!("{address} is reserved: {why}"),
            free,
        ));
    }
    for (node, written) in nodes {
        if !subnet.contains(&node.address) {
            mistakes.push(written.address_mistake(
                Code::OtherSubnet,
                format!("{} of {} is outside the subnet {subnet}", node.address, node.name),
                "an address of the subnet; the nodes share one, so that an address can move between them",
            ));
        }
    }
}

/// What `fencing_action` means nothing beside.
fn no_action(vars: &Vars, with: &str, mistakes: &mut Vec<Mistake>) {
    if let Some(action) = &vars.fencing_action {
        mistakes.push(Mistake::at(
            Code::Contradiction,
            action,
            format!("`fencing_action` means nothing with `fencing: {with}`"),
            "nothing; delete this line, or name what fences",
        ));
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

#[cfg(test)]
mod tests;
