//! The IPv4 addresses of this host.

use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};

use super::{Kernel, NetlinkError, failed};

#[derive(Debug, Clone, Copy)]
pub struct Address {
    /// The address, with the prefix length that it has on the interface.
    pub net: Ipv4Net,
    pub interface: u32,
    /// Whether the kernel has another address of the same subnet before it, which it prefers as a source.
    pub secondary: bool,
}

impl Address {
    pub fn ip(&self) -> Ipv4Addr {
        self.net.addr()
    }

    fn of(message: &AddressMessage) -> Option<Self> {
        let mut ip = None;
        let mut flags = AddressFlags::empty();
        for attribute in &message.attributes {
            match attribute {
                // Where there is a peer, IFA_ADDRESS is the peer's.
                AddressAttribute::Local(IpAddr::V4(address)) => ip = Some(*address),
                AddressAttribute::Flags(all) => flags = *all,
                _ => {}
            }
        }
        Some(Self {
            net: Ipv4Net::new(ip?, message.header.prefix_len).ok()?,
            interface: message.header.index,
            secondary: flags.contains(AddressFlags::Secondary),
        })
    }
}

impl Kernel {
    /// All IPv4 addresses of this host, those of one interface in the order in which the kernel considers them as a source.
    pub async fn addresses(&self) -> Result<Vec<Address>, NetlinkError> {
        let mut request = self.handle.address().get();
        request.message_mut().header.family = AddressFamily::Inet;
        let all: Result<Vec<AddressMessage>, _> = request.execute().try_collect().await;
        let all = all.map_err(failed("read the addresses of this host"))?;
        Ok(all.iter().filter_map(Address::of).collect())
    }
}
