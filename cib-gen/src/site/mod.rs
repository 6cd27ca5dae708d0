//! The site: everything decided that does not depend on Pacemaker. Names and addresses of
//! the nodes are known here, and keys that contradict each other have been refused.

mod aws_site;
mod lan_fencing;
mod lan_site;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::ids::{DataPath, ImageName, NodeName};
use crate::mistake::{At, Code, Mistake, Mistakes};
use crate::nodes::Known;
use crate::vars::{Draft, SipTransport, Topology, Vars};

pub use aws_site::{AwsFencing, AwsSite, VolumeDevice};
pub use lan_site::{LanFencing, LanSite};

/// Where the vendor keeps the data of the PBX.
const DATA_PATH: &str = "/var/lib/portsip";

/// Where the vendor's web portal listens.
pub(crate) const WEB_PORT: u16 = 8887;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub nodes: Vec<Node>,
    pub place: Place,
    pub pbx: Pbx,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Aws(AwsSite),
    Lan(LanSite),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: NodeName,
    pub address: Ipv4Addr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pbx {
    pub image: ImageName,
    /// Its data, and where the volume is mounted.
    pub data_path: DataPath,
    /// How it is asked whether it answers SIP.
    pub sip_transport: SipTransport,
    /// The port of that transport; `None` where SIP is not tested.
    pub sip_port: Option<u16>,
    pub web_port: u16,
    /// The keys of vars.yml that say how it is asked, with their values. They are set in the cluster also where
    /// the agent's default is the same: an earlier vars.yml may have set another value there.
    pub written: Vec<(&'static str, String)>,
}

impl Vars {
    /// Reads the bytes of a file called `name`. An error has every mistake in it: also keys that contradict each
    /// other, which only a site shows.
    pub fn parse(name: &str, bytes: impl AsRef<[u8]>) -> Result<Vars, Mistakes> {
        let Draft {
            source,
            vars,
            mut mistakes,
        } = Draft::read(name, bytes.as_ref());
        match vars {
            Some(vars) if mistakes.is_empty() => Ok(vars),
            vars => {
                mistakes.extend(vars.into_iter().flat_map(contradictions));
                Err(Mistakes::new(source, mistakes))
            }
        }
    }

    /// Puts together what vars.yml says and what else is known. vars.yml goes first, then
    /// `--nodes`, then EC2. An error says what is still unknown, and which keys contradict each other.
    pub fn resolve(&self, known: &Known) -> Result<Site, Mistakes> {
        let mut mistakes = Vec::new();
        let (count, given) = (self.node_count(), known.given.len());
        if given != 0 && given != count {
            let found = match given {
                1 => format!("--nodes names 1 node of {count}"),
                _ => format!("--nodes names {given} nodes, and vars.yml has {count}"),
            };
            let help = format!(
                "name all {count} in the order pbx01, pbx02 and so on, or leave out --nodes"
            );
            mistakes.push(Mistake::elsewhere(Code::NodeCount, found, help));
        }
        let nodes: Vec<(Node, Written)> = (0..count)
            .filter_map(|n| self.node(n, known, &mut mistakes))
            .collect();
        let mut resolver = Resolver {
            vars: self,
            known,
            nodes: &nodes,
            mistakes,
        };
        resolver.different();
        let place = match &self.topology {
            Topology::Aws(aws) => resolver.aws_site(aws).map(Place::Aws),
            Topology::Lan(lan) => resolver.lan_site(lan).map(Place::Lan),
        };
        match (place, resolver.pbx(), resolver.mistakes) {
            (Some(place), Some(pbx), mistakes) if mistakes.is_empty() => Ok(Site {
                nodes: nodes.into_iter().map(|(node, _)| node).collect(),
                place,
                pbx,
            }),
            (.., mistakes) => Err(Mistakes::new(self.source.clone(), mistakes)),
        }
    }

    /// One node from the three sources.
    fn node(
        &self,
        n: usize,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<(Node, Written)> {
        let (hostname, private_ip) = (&self.shared.hostnames[n], &self.shared.private_ips[n]);
        let id = match &self.topology {
            Topology::Aws(aws) => Some(&aws.instance_ids[n]),
            Topology::Lan(_) => None,
        };
        let given = known.given.get(n);
        let given = given.map(|node| (node.name.clone(), node.address));
        let mut found = known.found.iter();
        let found = found.find(|found| id.is_some_and(|id| id.value == found.instance_id));
        let found = found.and_then(|node| Some((node.hostname.parse().ok()?, node.private_ip)));
        let (other_name, other_address) = given.or(found).unzip();
        let name = hostname.as_ref().map(|at| at.value.clone()).or(other_name);
        let address = private_ip.as_ref().map(|at| at.value).or(other_address);
        let at_name = hostname.as_ref().map(|at| at.with(()));
        let at_address = private_ip.as_ref().map(|at| at.with(()));
        let at_node = id.map(|id| id.with(()));
        let at_node = at_node.or(at_name.clone()).or(at_address.clone());
        let number = n + 1;
        let hostname = format!("pbx0{number}_hostname: (what `uname -n` prints there)");
        let private_ip = format!("pbx0{number}_private_ip: (its address)");
        let both = format!("{hostname} and {private_ip}");
        let unknown = match (&name, &address) {
            (None, None) => Some(("host name and no address", both)),
            (None, Some(_)) => Some(("host name", hostname)),
            (Some(_), None) => Some(("address", private_ip)),
            (Some(_), Some(_)) => None,
        };
        if let Some((what, keys)) = unknown {
            let of = id.map_or(String::new(), |id| format!(" ({})", id.value));
            let ask = id.map_or("", |_| ", or leave out --offline to ask EC2");
            let found = format!("pbx0{number}{of} has no {what} in this file");
            let help = format!("add {keys}, or give --nodes{ask}");
            mistakes.push(mistake_at(Code::UnknownNode, &at_node, found, help));
        }
        let written = Written {
            name: at_name.or(at_node.clone()),
            address: at_address.or(at_node),
        };
        let (name, address) = (name?, address?);
        Some((Node { name, address }, written))
    }
}

/// The contradictions in a file that has other mistakes too, so that one run shows all of them. What is
/// not known need not be asked for yet.
fn contradictions(mut vars: Vars) -> Vec<Mistake> {
    let hostnames = &mut vars.shared.hostnames;
    let written = hostnames.iter().flatten();
    let written: Vec<String> = written.map(|name| name.value.to_string()).collect();
    for (n, hostname) in hostnames.iter_mut().enumerate() {
        let name = format!("pbx0{}", n + 1);
        if hostname.is_none() && !written.contains(&name) {
            *hostname = name.parse().ok().map(At::nowhere);
        }
    }
    let in_file = |mistake: &&Mistake| {
        let nowhere = mistake.place.as_ref().is_none_or(At::is_nowhere);
        !nowhere && !matches!(mistake.code, Code::UnknownNode | Code::UnknownAddress)
    };
    match vars.resolve(&Known::default()) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().filter(in_file).cloned().collect(),
    }
}

/// Where the name and the address of a node were written, or else where the node is first spoken of.
struct Written {
    name: Option<At<()>>,
    address: Option<At<()>>,
}

/// What a site is put together from, and the mistakes found so far.
struct Resolver<'a> {
    vars: &'a Vars,
    known: &'a Known,
    nodes: &'a [(Node, Written)],
    mistakes: Vec<Mistake>,
}

impl Resolver<'_> {
    fn mistake<T>(
        &mut self,
        code: Code,
        place: &At<T>,
        found: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.mistakes.push(Mistake::at(code, place, found, help));
    }

    fn pbx(&mut self) -> Option<Pbx> {
        let shared = &self.vars.shared;
        let transport = value_or(&shared.sip_transport, SipTransport::Udp);
        if let Some(port) = &shared.sip_port
            && transport == SipTransport::None
        {
            let found = "`sip_port` has no effect with `sip_transport: none`";
            let help = "delete this line, or name the transport of that port";
            self.mistake(Code::Contradiction, port, found, help);
        }
        let sip_port = shared.sip_port.as_ref().map(|port| port.value.get());
        let web_port = shared.web_port.as_ref().map(|port| port.value.get());
        let written_transport = shared.sip_transport.as_ref().map(|t| t.value.to_string());
        let written = [
            ("sip_transport", written_transport),
            ("sip_port", sip_port.map(|port| port.to_string())),
            ("web_port", web_port.map(|port| port.to_string())),
        ];
        let written = written.into_iter();
        Some(Pbx {
            image: shared.pbx_image.value.clone(),
            data_path: value_or(&shared.data_path, DATA_PATH.parse().ok()?),
            sip_transport: transport,
            sip_port: sip_port.or(transport.port()),
            web_port: web_port.unwrap_or(WEB_PORT),
            written: written
                .filter_map(|(key, value)| Some((key, value?)))
                .collect(),
        })
    }

    /// No two nodes may share a name or an address. Pacemaker takes names that differ in case only for
    /// the same node.
    fn different(&mut self) {
        for (n, (node, written)) in self.nodes.iter().enumerate() {
            let Node { name, address } = node;
            let earlier = || self.nodes[..n].iter().map(|(node, _)| node);
            let same_name = earlier().find(|e| e.name.is_same(name));
            let same_address = earlier().any(|e| e.address == *address);
            if let Some(same) = same_name {
                let mut found = format!("{name} is already the name of another node");
                if same.name != *name {
                    let other = &same.name;
                    found +=
                        &format!(", {other}: Pacemaker does not tell capitals from small letters");
                }
                let help = "give each node a name of its own";
                (self.mistakes).push(mistake_at(Code::SameNode, &written.name, found, help));
            }
            if same_address {
                let found = format!("{address} is already the address of another node");
                let help = "write the address of this node";
                (self.mistakes).push(mistake_at(Code::SameNode, &written.address, found, help));
            }
        }
    }

    /// The virtual address is no node's own, it is private, and it is in one subnet with all nodes where the
    /// subnet is known. `reserved` says which addresses of a subnet cannot be used.
    fn check_virtual_address(
        &mut self,
        vip: &At<Ipv4Addr>,
        subnet: Option<Ipv4Net>,
        reserved: fn(Ipv4Net, Ipv4Addr) -> Option<&'static str>,
    ) {
        let help = "write a private address of the nodes' subnet that nothing else uses";
        let address = vip.value;
        if let Some((node, _)) = self.nodes.iter().find(|(node, _)| node.address == address) {
            let found = format!("{address} is the address of the node {}", node.name);
            self.mistake(Code::VipTaken, vip, found, help);
        }
        let Some(subnet) = subnet else {
            if !private(address) {
                let found = format!("{address} is a public address");
                let help = format!(
                    "{help}; or add subnet_cidr, if the nodes really have public addresses"
                );
                self.mistake(Code::VipPublic, vip, found, help);
            }
            return;
        };
        let outside = match subnet.contains(&address) {
            true => reserved(subnet, address).map(|why| format!("{address} is reserved: {why}")),
            false => Some(format!("{address} is outside the subnet {subnet}")),
        };
        let outside = outside.map(|found| Mistake::at(Code::VipOutside, vip, found, help));
        self.mistakes.extend(outside);
        for (Node { name, address }, written) in self.nodes {
            if !subnet.contains(address) {
                let found = format!("{address} of {name} is outside the subnet {subnet}");
                let help = "write an address of the subnet, which all nodes share so that an address can move";
                (self.mistakes).push(mistake_at(Code::OtherSubnet, &written.address, found, help));
            }
        }
    }

    /// `fencing_action` has no effect where no device fences.
    fn refuse_fencing_action(&mut self, word: &str) {
        if let Some(action) = &self.vars.shared.fencing_action {
            let found = format!("`fencing_action` has no effect with `fencing: {word}`");
            let help = "delete this line, or change `fencing`";
            self.mistake(Code::Contradiction, action, found, help);
        }
    }
}

/// A mistake at a place in the file, if there is one.
fn mistake_at(
    code: Code,
    place: &Option<At<()>>,
    found: String,
    help: impl Into<String>,
) -> Mistake {
    let place = place.clone();
    Mistake {
        place,
        ..Mistake::elsewhere(code, found, help)
    }
}

/// The value of a key, or what holds where the file does not have the key.
fn value_or<T: Clone>(written: &Option<At<T>>, default: T) -> T {
    written.as_ref().map_or(default, |at| at.value.clone())
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
