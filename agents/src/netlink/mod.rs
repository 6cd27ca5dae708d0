//! What the kernel is asked and told by netlink (rtnetlink(7)): the addresses of this host and
//! the routes of its main table. Which routes there should be is decided elsewhere.

mod routes;

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use nix::errno::Errno;
use rtnetlink::{Error, Handle};

pub use routes::{NextHop, Route, Write};

/// The kernel could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {said}")]
pub struct NetlinkError {
    doing: String,
    said: io::Error,
}

fn failed(doing: impl Into<String>) -> impl FnOnce(Error) -> NetlinkError {
    let doing = doing.into();
    |error| {
        let said = match error {
            Error::NetlinkError(error) => error.to_io(),
            other => io::Error::other(other.to_string()),
        };
        NetlinkError { doing, said }
    }
}

impl NetlinkError {
    /// The kernel's error (netlink(7), rtnetlink(7)); none if the kernel was not reached.
    pub fn errno(&self) -> Option<Errno> {
        self.said.raw_os_error().map(Errno::from_raw)
    }
}

/// An address of an interface.
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

/// A netlink socket in the network namespace of the thread that opened it.
pub struct Kernel {
    handle: Handle,
}

impl Kernel {
    /// Opens the socket. It needs a runtime, which serves it until this is dropped.
    pub fn open() -> Result<Self, NetlinkError> {
        let opened = rtnetlink::new_connection();
        let doing = "open a netlink socket".to_owned();
        let (connection, handle, _) = opened.map_err(|said| NetlinkError { doing, said })?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// All IPv4 addresses of this host, those of one interface in the order in which the kernel considers them as a source.
    pub async fn addresses(&self) -> Result<Vec<Address>, NetlinkError> {
        let mut request = self.handle.address().get();
        request.message_mut().header.family = AddressFamily::Inet;
        let all: Result<Vec<AddressMessage>, _> = request.execute().try_collect().await;
        let all = all.map_err(failed("read the addresses of this host"))?;
        Ok(all.iter().filter_map(Address::of).collect())
    }
}

/// The name of an interface, or its number if it has gone.
pub fn name_of(interface: u32) -> String {
    match nix::net::if_::if_indextoname(interface) {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => format!("interface {interface}"),
    }
}
