//! The VPC as a routed network, which is what a real one is: every node hangs on a port of its
//! own, the router answers for everybody (proxy ARP) and delivers an address to the one interface
//! it is assigned to. Around it the Internet gateway (stateless 1:1 translation) and the Internet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use crate::netns;
use crate::site::{self, Host, INSTANCES, Instance};
use crate::tap::Tap;
use crate::world::{Error, Network};

/// The address of the metadata service.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Jumbo frames, as in every VPC (EC2 User Guide, "Network MTU for your EC2 instance"); the Internet
/// takes 1500.
pub const MTU: u16 = 9001;
/// The Internet gateway's device in the VPC.
const GATEWAY: &str = "igw";
/// The Internet's side of the gateway.
const GATEWAY_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// The device in the VPC's namespace behind which a node sits: `vpc-n1`.
pub fn port(instance: &Host) -> String {
    format!("vpc-{}", instance.short)
}

/// The other end of a container node's cable while the node has no power.
fn plug(instance: &Host) -> String {
    format!("plug-{}", instance.short)
}

/// Makes the VPC and the Internet, without any port.
///
/// # Errors
/// A namespace exists already, or `ip` fails.
pub fn build() -> Result<(), Error> {
    let (vpc, internet) = (netns::vpc(), netns::internet());
    netns::add(&vpc)?;
    netns::add(&internet)?;
    netns::in_namespace(&vpc, || {
        for (key, value) in [
            ("net/ipv6/conf/all/disable_ipv6", "1"),
            ("net/ipv6/conf/default/disable_ipv6", "1"),
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
            ("net/ipv4/conf/all/send_redirects", "0"),
            ("net/ipv4/conf/default/send_redirects", "0"),
        ] {
            netns::set_parameter(key, value)?;
        }
        Ok(())
    })?;
    netns::ip_batch(
        &netns::vpc(),
        &format!(
            "link set lo up\n\
             addr add {router}/32 dev lo\n\
             addr add {other_router}/32 dev lo\n\
             addr add {resolver}/32 dev lo\n\
             addr add {link_local_resolver}/32 dev lo\n\
             addr add {METADATA}/32 dev lo\n\
             addr add {ec2}/32 dev lo\n\
             route add unreachable {subnet}\n\
             link add {GATEWAY} type veth peer name eth0 netns {internet}\n\
             addr add {GATEWAY_ADDRESS}/24 dev {GATEWAY}\n\
             link set {GATEWAY} up\n",
            router = site::ROUTER,
            other_router = site::OTHER_ROUTER,
            resolver = site::RESOLVERS[0],
            link_local_resolver = site::RESOLVERS[1],
            ec2 = site::EC2_ADDRESS,
            subnet = site::SUBNET_CIDR,
        ),
    )?;
    netns::ip_batch(
        &internet,
        &format!(
            "link set lo up\n\
             addr add {client}/24 dev eth0\n\
             link set eth0 up\n\
             route add default via {GATEWAY_ADDRESS}\n",
            client = site::CLIENT,
        ),
    )
}

/// Makes the port of a kernel node.
///
/// # Errors
/// The port exists.
pub fn add_tap(instance: &Instance) -> Result<Tap, Error> {
    let tap = Tap::add(netns::vpc(), port(instance))?;
    add_port(&tap.device)?;
    Ok(tap)
}

/// Makes a device of the VPC's namespace a port of the VPC. The device exists: one end of a veth
/// pair for a container node, a tap device for a kernel node.
fn add_port(device: &str) -> Result<(), Error> {
    netns::in_namespace(&netns::vpc(), || {
        netns::set_parameter(&format!("net/ipv4/conf/{device}/rp_filter"), "0")?;
        netns::set_parameter(&format!("net/ipv4/conf/{device}/send_redirects"), "0")?;
        netns::set_parameter(&format!("net/ipv4/conf/{device}/proxy_arp"), "1")?;
        // By default the router would wait up to 0.8 s before it answers for another.
        netns::set_parameter(&format!("net/ipv4/neigh/{device}/proxy_delay"), "0")
    })?;
    netns::ip_batch(&netns::vpc(), &format!("link set {device} mtu {MTU} up\n"))
}

/// Makes the port of a container node, with the cable not yet plugged into the node.
///
/// # Errors
/// The port exists.
pub fn add_cable(instance: &Instance) -> Result<(), Error> {
    let (port, plug) = (port(instance), plug(instance));
    netns::ip_batch(
        &netns::vpc(),
        &format!(
            "link add {port} mtu {MTU} type veth peer name {plug} mtu {MTU}\nlink set {plug} address {}\n",
            instance.mac
        ),
    )?;
    add_port(&port)
}

/// Gives a container node that is about to boot a fresh network namespace with its interface, which
/// has no address: the node asks DHCP for one.
///
/// # Errors
/// `ip` fails.
pub fn plug_in(instance: &Host) -> Result<(), Error> {
    unplug(instance)?;
    let node = netns::of_node(instance.short);
    netns::add(&node)?;
    netns::ip_batch(
        &netns::vpc(),
        &format!("link set {} netns {node} name ens5\n", plug(instance)),
    )
}

/// Takes a container node's interface away with everything that the node had configured; no
/// error if it is unplugged already.
///
/// # Errors
/// `ip` fails.
pub fn unplug(instance: &Host) -> Result<(), Error> {
    let node = netns::of_node(instance.short);
    if !netns::exists(&node) {
        return Ok(());
    }
    // The interface may be missing when an earlier attempt stopped half way.
    let _ = netns::ip_batch(
        &node,
        &format!(
            "link set ens5 netns {} name {}\n",
            netns::vpc(),
            plug(instance)
        ),
    );
    netns::delete(&node)
}

/// What the VPC delivers at the moment.
#[derive(Debug, Default)]
pub struct Vpc {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    network: Network,
    partitioned: BTreeSet<String>,
    /// Routes in the kernel: address to port.
    routes: BTreeMap<Ipv4Addr, String>,
}

impl Vpc {
    /// Delivers as `network` says, from now on.
    ///
    /// # Errors
    /// `nft` or `ip` fails.
    pub fn set_network(&self, network: &Network) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.network = network.clone();
        state.apply()
    }

    /// Cuts a node (by its short name) off from the other nodes, or joins it again. EC2, the
    /// metadata and the Internet still reach it.
    ///
    /// # Errors
    /// `nft` fails.
    pub fn set_partitioned(&self, short: &str, cut: bool) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if cut {
            state.partitioned.insert(short.to_owned());
        } else {
            state.partitioned.remove(short);
        }
        state.apply()
    }

    /// Short names of the nodes that are cut off.
    pub fn partitioned(&self) -> BTreeSet<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.partitioned.clone()
    }
}

impl State {
    fn apply(&mut self) -> Result<(), Error> {
        let rules = ruleset(&self.network, &self.partitioned);
        netns::nft(&netns::vpc(), &rules)?;
        let wanted = deliveries(&self.network);
        let mut batch = String::new();
        for (address, port) in &self.routes {
            if wanted.get(address).map(|i| crate::vpc::port(i)).as_ref() != Some(port) {
                let _ = writeln!(batch, "route del {address}/32 dev {port}");
                let _ = writeln!(batch, "neigh del {address} dev {port}");
            }
        }
        let mut routes = BTreeMap::new();
        for (address, instance) in wanted {
            let port = port(instance);
            if self.routes.get(&address) != Some(&port) {
                // The neighbour entry is permanent: EC2 delivers to the interface, whether the
                // guest answers ARP for the address or not.
                let _ = writeln!(
                    batch,
                    "route replace {address}/32 dev {port} src {}\n\
                     neigh replace {address} lladdr {} dev {port} nud permanent",
                    site::ROUTER,
                    instance.mac
                );
            }
            routes.insert(address, port);
        }
        if !batch.is_empty() {
            netns::ip_batch(&netns::vpc(), &batch)?;
        }
        self.routes = routes;
        Ok(())
    }
}

fn deliveries(network: &Network) -> BTreeMap<Ipv4Addr, &'static Instance> {
    network
        .private
        .iter()
        .filter_map(|(id, addresses)| Some((site::instance(id)?, addresses)))
        .flat_map(|(instance, addresses)| addresses.iter().map(move |a| (*a, instance)))
        .collect()
}

/// The whole packet filter, replaced in one transaction. It rewrites packets one by one, without
/// connection tracking: an association that changes takes effect for the next packet, also of a
/// conversation that is going on.
fn ruleset(network: &Network, partitioned: &BTreeSet<String>) -> String {
    let mut assigned: Vec<String> = deliveries(network)
        .into_iter()
        .map(|(address, instance)| format!("{} . {address}", port(instance)))
        .collect();
    // Nobody may send from an address of nobody, but a set needs an element.
    assigned.push("lo . 127.0.0.1".to_owned());
    let inward: Vec<String> = network
        .public
        .iter()
        .map(|(public, private)| format!("{public} : {private}"))
        .collect();
    let outward: BTreeMap<_, _> = network.public.iter().map(|(a, b)| (b, a)).collect();
    let outward: Vec<String> = outward
        .iter()
        .map(|(private, public)| format!("{private} : {public}"))
        .collect();
    let public = set_of(network.public.keys());
    let published = set_of(network.public.values().collect::<BTreeSet<_>>());
    let mut arrival = String::new();
    let mut departure = format!("oifname \"{GATEWAY}\" ip saddr != {published} drop\n");
    let _ = write!(
        arrival,
        "iifname \"vpc-*\" ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp dport 67 accept\n\
         iifname \"vpc-*\" iifname . ip saddr != @assigned counter drop\n\
         iifname \"{GATEWAY}\" ip daddr != {public} drop\n\
         iifname \"vpc-*\" ip daddr {public} ip saddr != {published} drop\n",
    );
    if !inward.is_empty() {
        // A node that calls a public address goes out and comes back through the gateway.
        let _ = write!(
            arrival,
            "iifname \"vpc-*\" ip daddr {public} ip saddr set ip saddr map {{ {outward} }}\n\
             ip daddr set ip daddr map {{ {inward} }}\n",
            outward = outward.join(", "),
            inward = inward.join(", "),
        );
        let _ = writeln!(
            departure,
            "oifname \"{GATEWAY}\" ip saddr set ip saddr map {{ {} }}",
            outward.join(", ")
        );
    }
    let mut passage = String::new();
    for short in partitioned {
        let _ = write!(
            passage,
            "iifname \"vpc-{short}\" oifname \"vpc-*\" drop\n\
             oifname \"vpc-{short}\" iifname \"vpc-*\" drop\n"
        );
    }
    format!(
        "add table ip vpc\ndelete table ip vpc\ntable ip vpc {{\n\
         set assigned {{ type ifname . ipv4_addr; elements = {{ {assigned} }}; }}\n\
         chain arrival {{ type filter hook prerouting priority raw; policy accept;\n{arrival}}}\n\
         chain passage {{ type filter hook forward priority filter; policy accept;\n{passage}}}\n\
         chain departure {{ type filter hook postrouting priority srcnat; policy accept;\n{departure}}}\n\
         }}\n",
        assigned = assigned.join(", "),
    )
}

/// An nft set; of the unspecified address, which no packet carries, when there is nothing in it.
fn set_of<'a>(addresses: impl IntoIterator<Item = &'a Ipv4Addr>) -> String {
    let mut list: Vec<String> = addresses.into_iter().map(ToString::to_string).collect();
    if list.is_empty() {
        list.push("0.0.0.0".to_owned());
    }
    format!("{{ {} }}", list.join(", "))
}

/// Every instance with the addresses it has at launch: what EC2 says before anybody asked it
/// for anything.
pub fn at_launch() -> Network {
    let mut network = Network::default();
    for instance in &INSTANCES {
        network.private.insert(
            instance.id.to_owned(),
            BTreeSet::from([instance.private_ip]),
        );
        network
            .public
            .insert(instance.public_ip, instance.private_ip);
    }
    network
}
