//! Which routes there should be, given what the kernel has. Nothing is asked or changed here but
//! the list of name servers, which is read from two files.

use std::fs;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::netlink::{Address, NextHop, Route};

/// The mark of our routes: nobody else may touch them, and we touch no others. Neither the kernel
/// (include/uapi/linux/rtnetlink.h), nor iproute2 (etc/iproute2/rt_protos), nor FRR (186 to 199),
/// OVN (84) or Calico (80) uses this number.
pub(super) const PROTOCOL: u8 = 145;

/// Higher than what others give their routes. Ours win over default routes because they are more
/// specific, whatever the metric; somebody else's routes to the same destinations win over ours,
/// such as those of a VPN that takes all traffic.
const METRIC: u32 = 100_000;

/// The Internet in two halves: more specific than any default route, less than any other.
const HALVES: [Ipv4Net; 2] = [
    Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 1),
    Ipv4Net::new_assert(Ipv4Addr::new(128, 0, 0, 0), 1),
];

/// Where EC2 answers for instance metadata, time (.123) and names (.253).
const LINK_LOCAL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16);

/// Whether it is one of our routes that make `address` the source of what leaves.
pub(super) fn is_half_of(route: &Route, address: Ipv4Addr) -> bool {
    is_half(route) && route.source == Some(address)
}

fn is_half(route: &Route) -> bool {
    is_ours(route) && HALVES.contains(&route.destination)
}

/// Whether both halves are there.
pub(super) fn has_both_halves(routes: &[Route], address: Ipv4Addr) -> bool {
    HALVES.iter().all(|half| {
        routes
            .iter()
            .any(|route| is_half_of(route, address) && route.destination == *half)
    })
}

fn is_ours(route: &Route) -> bool {
    route.protocol == PROTOCOL
}

/// The routes that a resource with this address has made. What keeps the node's own source
/// belongs to all such resources, and goes with the last of them.
pub(super) fn of_resource(routes: &[Route], address: Ipv4Addr) -> Vec<&Route> {
    let others = routes
        .iter()
        .any(|route| is_half(route) && !is_half_of(route, address));
    routes
        .iter()
        .filter(|route| {
            is_half_of(route, address) || (is_ours(route) && !is_half(route) && !others)
        })
        .collect()
}

/// The default route to follow: of those that leave by the interface, the one in use.
pub(super) fn default_route(routes: &[Route], interface: u32) -> Option<(&Route, &NextHop)> {
    routes
        .iter()
        .filter(|route| route.is_default() && route.tos == 0)
        .filter_map(|route| {
            let hop = route.hops.iter().find(|hop| hop.interface == interface)?;
            Some((route, hop))
        })
        // The first of several.
        .min_by_key(|(route, _)| route.metric)
}

/// The routes that there should be to have `address` as the source of what leaves like `hop`
/// of the default route `model`; first those that keep the node's own source.
pub(super) fn routes(
    address: Ipv4Addr,
    (model, hop): (&Route, &NextHop),
    addresses: &[Address],
    present: &[Route],
    name_servers: &[Ipv4Addr],
) -> Vec<Route> {
    let to = |destination: Ipv4Net, source: Ipv4Addr| {
        model.like(hop, destination, source, PROTOCOL, METRIC)
    };
    let mut wanted = Vec::new();
    if let Some(own) = own_source(address, (model, hop), addresses) {
        wanted.push(to(LINK_LOCAL, own));
        let apart = name_servers
            .iter()
            .filter(|server| !has_other_way(**server, present));
        wanted.extend(apart.map(|server| to(Ipv4Net::from(*server), own)));
    }
    wanted.extend(HALVES.map(|half| to(half, address)));
    wanted
}

/// The address that the node sends from without us: what the default route prescribes, or what
/// the kernel would choose, an address of the gateway's subnet first.
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
    addresses
        .iter()
        .filter(|a| a.interface == hop.interface && a.ip() != address)
        .min_by_key(|a| {
            let beside_gateway = hop.gateway().is_some_and(|g| a.net.contains(&g));
            (!beside_gateway, a.secondary)
        })
        .map(Address::ip)
}

/// Whether a route of somebody else's is more specific than our halves: a name server of the
/// node's subnet. A route to the one address is left out of this: DHCP clients add and
/// remove such, and with ours beside it nothing changes when they do.
fn has_other_way(server: Ipv4Addr, present: &[Route]) -> bool {
    present.iter().any(|route| {
        !is_ours(route)
            && (2..32).contains(&route.destination.prefix_len())
            && route.destination.contains(&server)
    })
}

/// The name servers of this node. A standby asks them from its own address too, so they answer
/// that one. In a VPC it is the address after the network's first two (EC2 User Guide, "Amazon DNS
/// server"), mostly outside of the node's subnet. Behind systemd-resolved /etc/resolv.conf names only
/// the stub on this host; what that asks is in the other file (systemd-resolved.service(8)).
pub(super) fn name_servers() -> Vec<Ipv4Addr> {
    let mut all = Vec::new();
    for path in ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"] {
        // Without the file there is nothing to keep apart.
        for server in servers_in(&fs::read_to_string(path).unwrap_or_default()) {
            if !all.contains(&server) {
                all.push(server);
            }
        }
    }
    all
}

/// resolv.conf(5)
fn servers_in(text: &str) -> impl Iterator<Item = Ipv4Addr> {
    text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let server: Ipv4Addr = match words.next()? {
            "nameserver" => words.next()?.parse().ok()?,
            _ => return None,
        };
        let own_way =
            server.is_loopback() || server.is_unspecified() || LINK_LOCAL.contains(&server);
        (!own_way).then_some(server)
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
