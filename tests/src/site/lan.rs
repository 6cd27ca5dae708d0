//! The site on a LAN, behind a router that maps a public address to the virtual one.

use std::net::Ipv4Addr;

use super::{Host, Site};

const fn host(
    short: &'static str,
    hostname: &'static str,
    mac: &'static str,
    last_byte: u8,
) -> Host {
    Host {
        site: Site::Lan,
        short,
        hostname,
        id: hostname,
        mac,
        private_ip: Ipv4Addr::new(192, 168, 1, last_byte),
    }
}

/// The three machines.
pub static HOSTS: [Host; 3] = [
    host("n1", "pbx01", "52:54:00:a1:01:31", 131),
    host("n2", "pbx02", "52:54:00:a1:01:32", 132),
    host("n3", "pbx03", "52:54:00:a1:01:33", 133),
];

/// The user that the administrator made when the machine was installed; sudo asks for a password.
pub const USER: &str = "pbx";
/// The user's password.
pub const PASSWORD: &str = "lab-pbx";
/// What the machines' interface is called, as on many a virtual machine.
pub const INTERFACE: &str = "enp1s0";
/// The machines' domain (RFC 8375).
pub const DOMAIN: &str = "home.arpa";
/// Bits of the LAN's network prefix.
pub const PREFIX: u8 = 24;
/// The router, which is the resolver too.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
/// The virtual address.
pub const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 130);
/// The public address that the router maps to the virtual one.
pub const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
/// The router's own address on the Internet's side.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// A telephone on the Internet.
pub const TELEPHONE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// The second disk of each machine, empty at first: `pbx_datapath_disk`.
pub const DATA_DISK: &str = "/dev/ubdb";

/// The LAN's addresses.
pub fn subnet() -> ipnet::Ipv4Net {
    ipnet::Ipv4Net::new_assert(ROUTER, PREFIX).trunc()
}
