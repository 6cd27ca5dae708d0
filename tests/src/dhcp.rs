//! The VPC's DHCP server: each port leads to one instance, whose interface gets its primary address,
//! and nothing else, ever. Secondary addresses are the guest's own business, as on EC2.
//!
//! Source: Amazon VPC User Guide, "DHCP option sets in Amazon VPC"; leases of an hour and MTU 9001
//! are what EC2 is seen to give. Leases here are shorter, so that every test lives through renewals.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable as _, Encodable as _};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};
use serde::{Deserialize, Serialize};

use crate::site::{self, Instance};
use crate::vpc;
use crate::world::Error;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Larger than any request: the options of a client fit in an Ethernet frame.
const LONGEST_REQUEST: usize = 1500;

/// What the server gives with an address, from the next request on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// How long it lasts, in seconds. Clients renew it after half of that.
    pub seconds: u32,
    /// The default gateway.
    pub router: Ipv4Addr,
    /// The interface's MTU.
    pub mtu: u16,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            seconds: 60,
            router: site::ROUTER,
            mtu: vpc::MTU,
        }
    }
}

/// The server, for all instances.
#[derive(Debug, Clone, Default)]
pub struct Dhcp(Arc<Mutex<Lease>>);

impl Dhcp {
    /// What is sent with an address at the moment.
    pub fn lease(&self) -> Lease {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is sent, from the next request on.
    pub fn set_lease(&self, lease: Lease) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lease;
    }

    /// Starts to answer on the port of `instance`. The caller's thread is in the VPC's namespace.
    ///
    /// # Errors
    /// The port does not exist.
    pub fn serve(&self, instance: &'static Instance) -> Result<(), Error> {
        let socket = listen(&vpc::port(instance))
            .map_err(|e| format!("no DHCP for {}: {e}", instance.short))?;
        let server = self.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; LONGEST_REQUEST];
            loop {
                let answered =
                    socket
                        .recv_from(&mut buffer)
                        .map_err(Error::from)
                        .and_then(|(length, _)| {
                            answer(&socket, &buffer[..length], instance, server.lease())
                        });
                if let Err(e) = answered {
                    tracing::warn!("DHCP for {}: {e}", instance.short);
                }
            }
        });
        Ok(())
    }
}

/// A socket that receives only what comes in on `device`: the port identifies the instance.
fn listen(device: &str) -> Result<UdpSocket, Error> {
    let fd: OwnedFd = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    setsockopt(&fd, sockopt::Broadcast, &true)?;
    setsockopt(&fd, sockopt::BindToDevice, &device.into())?;
    let address =
        nix::sys::socket::SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SERVER_PORT));
    nix::sys::socket::bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &address)?;
    Ok(fd.into())
}

fn answer(
    socket: &UdpSocket,
    request: &[u8],
    instance: &Instance,
    lease: Lease,
) -> Result<(), Error> {
    let request = Message::from_bytes(request)?;
    let Some(reply) = reply(&request, instance, lease) else {
        return Ok(());
    };
    // A client without an address receives only broadcasts; a client that renews has an address.
    let to = match request.ciaddr() {
        address if address.is_unspecified() => Ipv4Addr::BROADCAST,
        address => address,
    };
    socket.send_to(&reply.to_vec()?, (to, CLIENT_PORT))?;
    Ok(())
}

/// RFC 2131, section 4.3, for a server that has one address for each client.
fn reply(request: &Message, instance: &Instance, lease: Lease) -> Option<Message> {
    if request.opcode() != Opcode::BootRequest {
        return None;
    }
    let options = request.opts();
    let for_another = matches!(
        options.get(OptionCode::ServerIdentifier),
        Some(DhcpOption::ServerIdentifier(server)) if *server != site::ROUTER
    );
    if for_another {
        return None;
    }
    let wanted = match options.get(OptionCode::RequestedIpAddress) {
        Some(DhcpOption::RequestedIpAddress(address)) => *address,
        _ => request.ciaddr(),
    };
    let kind = match options.msg_type()? {
        MessageType::Discover => MessageType::Offer,
        MessageType::Request if wanted == instance.private_ip => MessageType::Ack,
        MessageType::Request => MessageType::Nak,
        _ => return None,
    };
    let mut reply = Message::default();
    reply
        .set_opcode(Opcode::BootReply)
        .set_xid(request.xid())
        .set_flags(request.flags())
        .set_giaddr(request.giaddr())
        .set_chaddr(request.chaddr());
    let options = reply.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ServerIdentifier(site::ROUTER));
    if kind == MessageType::Nak {
        return Some(reply);
    }
    let subnet = site::subnet();
    options.insert(DhcpOption::AddressLeaseTime(lease.seconds));
    options.insert(DhcpOption::SubnetMask(subnet.netmask()));
    options.insert(DhcpOption::BroadcastAddr(subnet.broadcast()));
    options.insert(DhcpOption::Router(vec![lease.router]));
    options.insert(DhcpOption::DomainNameServer(vec![site::RESOLVER]));
    options.insert(DhcpOption::DomainName(site::DOMAIN.to_owned()));
    options.insert(DhcpOption::Hostname(instance.hostname.to_owned()));
    options.insert(DhcpOption::InterfaceMtu(lease.mtu));
    reply.set_yiaddr(instance.private_ip);
    Some(reply)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::site::INSTANCES;

    fn ask(kind: MessageType, wanted: Option<Ipv4Addr>) -> Option<Message> {
        let mut request = Message::default();
        request.set_opcode(Opcode::BootRequest).set_xid(7);
        request.opts_mut().insert(DhcpOption::MessageType(kind));
        if let Some(address) = wanted {
            request
                .opts_mut()
                .insert(DhcpOption::RequestedIpAddress(address));
        }
        reply(&request, &INSTANCES[0], Lease::default())
    }

    #[test]
    fn an_instance_is_offered_its_primary_address_and_no_other() {
        let offer = ask(MessageType::Discover, None).unwrap();
        assert_eq!(offer.yiaddr(), INSTANCES[0].private_ip);
        let ack = ask(MessageType::Request, Some(INSTANCES[0].private_ip)).unwrap();
        assert_eq!(ack.opts().msg_type(), Some(MessageType::Ack));
        assert_eq!(
            ack.opts().get(OptionCode::AddressLeaseTime),
            Some(&DhcpOption::AddressLeaseTime(60))
        );
        let nak = ask(MessageType::Request, Some(site::VIP)).unwrap();
        assert_eq!(nak.opts().msg_type(), Some(MessageType::Nak));
        assert!(nak.yiaddr().is_unspecified());
    }

    #[test]
    fn a_client_that_gives_its_address_back_gets_no_answer() {
        assert!(ask(MessageType::Release, None).is_none());
    }
}
