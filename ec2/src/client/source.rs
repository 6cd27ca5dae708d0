//! From which address of this node a connection is made. The kernel may choose the virtual address. After EC2 has
//! moved that address to another node, no answer to it arrives here, so the interface's other addresses are tried too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use socket2::{Domain, Protocol, Socket, Type};

/// The shortest time limit of an attempt: zero would mean no limit.
const SHORTEST: Duration = Duration::from_millis(1);

/// The source addresses that are tried for a destination.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Sources {
    /// The interface by which the kernel would send.
    interface: String,
    /// Its addresses, the kernel's choice first. Empty: the kernel chooses, as there is only one possible address.
    addresses: Vec<Ipv4Addr>,
}

impl Sources {
    /// The sources for `to`. Fails if this node has no route to it.
    fn towards(to: SocketAddr) -> io::Result<Self> {
        match to {
            SocketAddr::V4(to) if !to.ip().is_loopback() => {
                Ok(Self::of(kernel_choice(to)?, &interface_addresses()))
            }
            _ => Ok(Self::default()),
        }
    }

    fn of(chosen: Ipv4Addr, known: &[(String, Ipv4Addr)]) -> Self {
        let carrier = known.iter().find(|(_, address)| *address == chosen);
        let Some((interface, _)) = carrier.filter(|_| !chosen.is_loopback()) else {
            return Self::default();
        };
        let all = known.iter().filter(|(name, _)| name == interface);
        let others = all.map(|(_, address)| *address).filter(|a| *a != chosen);
        Self {
            interface: interface.clone(),
            addresses: [chosen].into_iter().chain(others).collect(),
        }
    }

    /// For an error: the addresses that were tried.
    fn tried(&self) -> String {
        let interface = &self.interface;
        match self.addresses.as_slice() {
            [] => String::new(),
            [only] => format!(", asked from {only}, the only address of {interface}"),
            all => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                format!(", asked from {} of {interface}", all.join(" and "))
            }
        }
    }
}

/// Connects to `to` before `until`, from one source address after the other. An error is the last attempt's, with the
/// addresses that were tried.
pub(crate) fn connect(to: SocketAddr, until: Instant) -> io::Result<TcpStream> {
    let sources = Sources::towards(to).map_err(|error| {
        io::Error::new(error.kind(), format!("no route to {}: {error}", to.ip()))
    })?;
    let mut list: Vec<_> = sources.addresses.iter().copied().map(Some).collect();
    if list.is_empty() {
        list.push(None);
    }
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for (tried, from) in list.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        // Each attempt gets an equal share of the time that is left.
        let share = left / u32::try_from(list.len() - tried).unwrap_or(1);
        match open(*from, to, share.max(SHORTEST)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    let cause = match last.kind() {
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => last.to_string(),
    };
    let message = format!("{cause}{}", sources.tried());
    Err(io::Error::new(last.kind(), message))
}

fn open(from: Option<Ipv4Addr>, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(from) = from {
        socket.bind(&SocketAddrV4::new(from, 0).into())?;
    }
    socket.connect_timeout(&to.into(), limit)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// The source address that the kernel would choose. To connect a UDP socket sends nothing.
fn kernel_choice(to: SocketAddrV4) -> io::Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(to)?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// All IPv4 addresses of this host with their interfaces, in the kernel's order. If they cannot be listed, none:
/// then the kernel's choice is the only one.
fn interface_addresses() -> Vec<(String, Ipv4Addr)> {
    let entries = getifaddrs().into_iter().flatten();
    let addresses = entries.filter_map(|entry| {
        let address = entry.address?.as_sockaddr_in()?.ip();
        // An address with a label is listed under the label: `ens5:vip`.
        let name = entry.interface_name.split(':').next()?.to_owned();
        Some((name, address))
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: Ipv4Addr = Ipv4Addr::new(172, 31, 16, 133);
    const VIP: Ipv4Addr = Ipv4Addr::new(172, 31, 16, 130);

    fn known() -> Vec<(String, Ipv4Addr)> {
        [
            ("lo", Ipv4Addr::LOCALHOST),
            ("ens5", PRIMARY),
            ("docker0", Ipv4Addr::new(172, 17, 0, 1)),
            ("ens5", VIP),
        ]
        .map(|(name, address)| (name.to_owned(), address))
        .to_vec()
    }

    #[test]
    fn the_kernels_choice_is_tried_first_then_the_other_addresses_of_its_interface() {
        for (chosen, addresses) in [(VIP, [VIP, PRIMARY]), (PRIMARY, [PRIMARY, VIP])] {
            let expected = Sources {
                interface: "ens5".to_owned(),
                addresses: addresses.to_vec(),
            };
            assert_eq!(Sources::of(chosen, &known()), expected);
        }
    }

    #[test]
    fn where_only_one_source_is_possible_the_kernel_chooses() {
        let any = Sources::default();
        assert_eq!(Sources::of(Ipv4Addr::LOCALHOST, &known()), any);
        assert_eq!(Sources::of(VIP, &[]), any);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        assert_eq!(Sources::towards(local).ok(), Some(any));
    }

    #[test]
    fn an_error_names_the_addresses_that_were_tried() {
        let only = Sources::of(VIP, &[("ens5".to_owned(), VIP)]);
        assert!(
            only.tried()
                .contains("172.31.16.130, the only address of ens5")
        );
        let both = Sources::of(VIP, &known()).tried();
        assert!(
            both.contains("from 172.31.16.130 and 172.31.16.133 of ens5"),
            "{both}"
        );
    }
}
