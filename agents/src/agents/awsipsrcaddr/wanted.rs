//! Which routes there should be, given those that the kernel has. Nothing is changed here; only the list of name
//! servers is read, from two files.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::netlink::{Address, NextHop, Route};

/// Marks the routes of this agent: nobody else may change them, and the agent changes no others. Neither the kernel
/// (include/uapi/linux/rtnetlink.h), nor iproute2 (etc/iproute2/rt_protos), nor FRR (186 to 199),
/// OVN (84) or Calico (80) uses this number.
pub(super) const PROTOCOL: u8 = 145;
/// Higher than the metric of other routes. The agent's routes win over default routes because they are more specific,
/// whatever the metric. Other routes to the same destinations, such as those of a VPN that takes all traffic, win over
/// the agent's.
const METRIC: u32 = 100_000;

/// The Internet in two halves: more specific than any default route, less than any other.
const HALVES: [Ipv4Net; 2] = [
    Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 1),
    Ipv4Net::new_assert(Ipv4Addr::new(128, 0, 0, 0), 1),
];

/// Where EC2 answers for instance metadata, time (.123) and names (.253).
const LINK_LOCAL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16);

/// Whether it is one of the two routes that make `address` the source of packets to the Internet.
pub(super) fn is_half_of(route: &Route, address: Ipv4Addr) -> bool {
    is_half(route) && route.source == Some(address)
}

fn is_half(route: &Route) -> bool {
    is_of_agent(route) && HALVES.contains(&route.destination)
}

/// Whether both halves are there.
pub(super) fn has_both_halves(routes: &[Route], address: Ipv4Addr) -> bool {
    let halves = routes.iter().filter(|route| is_half_of(route, address));
    HALVES
        .iter()
        .all(|half| halves.clone().any(|it| it.destination == *half))
}

fn is_of_agent(route: &Route) -> bool {
    route.protocol == PROTOCOL
}

/// The routes of the resource with this address. Routes that keep the node's own source belong to all such resources
/// and are deleted with the last of them.
pub(super) fn of_resource(routes: &[Route], address: Ipv4Addr) -> Vec<&Route> {
    let others = routes
        .iter()
        .any(|it| is_half(it) && !is_half_of(it, address));
    let is_own =
        |it: &&Route| is_half_of(it, address) || (is_of_agent(it) && !is_half(it) && !others);
    routes.iter().filter(is_own).collect()
}

/// The default route to follow: of those that leave by the interface, the one in use.
pub(super) fn default_route(routes: &[Route], interface: u32) -> Option<(&Route, &NextHop)> {
    let defaults = routes.iter().filter(|it| it.is_default() && it.tos == 0);
    let here = defaults.filter_map(|route| {
        let hop = route.hops.iter().find(|hop| hop.interface == interface)?;
        Some((route, hop))
    });
    // The first of several.
    here.min_by_key(|(route, _)| route.metric)
}

/// The routes that there should be to have `address` as the source of what leaves like `hop`
/// of the default route `model`; first those that keep the node's own source.
pub(super) fn routes(
    address: Ipv4Addr,
    (model, hop): (&Route, &NextHop),
    addresses: &[Address],
    present: &[Route],
    name_servers: &BTreeSet<Ipv4Addr>,
) -> Vec<Route> {
    let to = |destination: Ipv4Net, source: Ipv4Addr| {
        model.like(hop, destination, source, PROTOCOL, METRIC)
    };
    let mut wanted = Vec::new();
    if let Some(own) = own_source(address, (model, hop), addresses) {
        wanted.push(to(LINK_LOCAL, own));
        let apart = name_servers
            .iter()
            .filter(|it| !has_other_way(**it, present));
        wanted.extend(apart.map(|server| to(Ipv4Net::from(*server), own)));
    }
    wanted.extend(HALVES.map(|half| to(half, address)));
    wanted
}

/// The address that the node sends from without this agent: the one that the default route prescribes, or the one
/// that the kernel would choose, an address of the gateway's subnet first.
pub(super) fn own_source(
    address: Ipv4Addr,
    (model, hop): (&Route, &NextHop),
    addresses: &[Address],
) -> Option<Ipv4Addr> {
    if let Some(source) = model.source.filter(|source| *source != address) {
        return Some(source);
    }
    // After its own subnet's first address has gone for a moment, the virtual address may be the first
    // of the subnet, and the node's own a secondary one.
    let others = addresses
        .iter()
        .filter(|it| it.interface == hop.interface && it.ip() != address);
    let best = others.min_by_key(|it| {
        let beside_gateway = hop
            .gateway()
            .is_some_and(|gateway| it.net.contains(&gateway));
        (!beside_gateway, it.secondary)
    });
    best.map(Address::ip)
}

/// Whether another route to the name server is more specific than the halves, as for a name server of the node's
/// subnet. A route to its address alone does not count: DHCP clients add and remove such routes, and with the agent's
/// route beside it nothing changes when they do.
fn has_other_way(server: Ipv4Addr, present: &[Route]) -> bool {
    present.iter().any(|route| {
        !is_of_agent(route)
            && (2..32).contains(&route.destination.prefix_len())
            && route.destination.contains(&server)
    })
}

/// The name servers of this node. A standby asks them from its own address too, so they answer that address. In a VPC the
/// name server is the address after the network's first two (EC2 User Guide, "Amazon DNS server"), mostly outside of the
/// node's subnet. Behind systemd-resolved /etc/resolv.conf names only the stub on this host; the servers that the stub
/// asks are in the other file (systemd-resolved.service(8)).
pub(super) fn name_servers() -> BTreeSet<Ipv4Addr> {
    let files = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
    let texts = files.map(|path| fs::read_to_string(path).unwrap_or_default());
    texts.iter().flat_map(|text| servers_in(text)).collect()
}

/// resolv.conf(5)
fn servers_in(text: &str) -> impl Iterator<Item = Ipv4Addr> {
    text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        let server: Ipv4Addr = words.next()?.parse().ok()?;
        let has_own_way =
            server.is_loopback() || server.is_unspecified() || LINK_LOCAL.contains(&server);
        (!has_own_way).then_some(server)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_that_a_default_route_would_reach() {
        let text = "\
# by a DHCP client
search us-west-1.compute.internal
nameserver 172.31.0.2
nameserver\t10.0.0.2 # comment
nameserver 127.0.0.53
nameserver 169.254.169.253
nameserver fd00:ec2::253
nameservers 192.0.2.1
;nameserver 192.0.2.2
nameserver
options edns0
";
        assert_eq!(
            servers_in(text).collect::<Vec<_>>(),
            [Ipv4Addr::new(172, 31, 0, 2), Ipv4Addr::new(10, 0, 0, 2)]
        );
    }
}
