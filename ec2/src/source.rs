//! From which address of this node a connection is made. The kernel's choice can be the virtual
//! address. When EC2 has moved that address away, no answer to it arrives here, and the node's own
//! address has to be tried too. What is said over the connection is not decided here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use socket2::{Domain, Protocol, Socket, Type};

/// How long an attempt waits at least: a limit of zero would be none.
const SHORTEST: Duration = Duration::from_millis(1);

/// The sources that are tried for a destination, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sources {
    /// Whatever the kernel chooses: only one address can be meant.
    AnyOne,
    /// The addresses of the interface by which the kernel would send.
    Of {
        /// The interface.
        interface: String,
        /// Its addresses, the one first that the kernel would choose.
        addresses: Vec<Ipv4Addr>,
    },
}

impl Sources {
    /// The sources for `to`.
    ///
    /// # Errors
    /// This node has no way there.
    pub(crate) fn towards(to: SocketAddr) -> io::Result<Self> {
        let SocketAddr::V4(to) = to else {
            return Ok(Self::AnyOne);
        };
        if to.ip().is_loopback() {
            return Ok(Self::AnyOne);
        }
        let chosen = kernels_choice(to)?;
        let known = interface_addresses();
        Ok(Self::like(chosen, &known))
    }

    fn like(chosen: Ipv4Addr, known: &[(String, Ipv4Addr)]) -> Self {
        let carrier = known.iter().find(|(_, address)| *address == chosen);
        let Some((interface, _)) = carrier.filter(|_| !chosen.is_loopback()) else {
            return Self::AnyOne;
        };
        let of_it = known.iter().filter(|(name, _)| name == interface);
        let others = of_it.map(|(_, address)| *address).filter(|a| *a != chosen);
        Self::Of {
            interface: interface.clone(),
            addresses: [chosen].into_iter().chain(others).collect(),
        }
    }

    fn list(&self) -> Vec<Option<Ipv4Addr>> {
        match self {
            Self::AnyOne => vec![None],
            Self::Of { addresses, .. } => addresses.iter().copied().map(Some).collect(),
        }
    }

    /// For a reason, after no attempt has had an answer.
    fn in_words(&self) -> String {
        let Self::Of {
            interface,
            addresses,
        } = self
        else {
            return String::new();
        };
        match addresses.as_slice() {
            [only] => format!(", asked from {only}, the only address of {interface}"),
            all => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                format!(", asked from {} of {interface}", all.join(" and "))
            }
        }
    }
}

/// Connects to `to` before `until`, from one source after the other.
///
/// # Errors
/// What the last attempt came to, and from which addresses there were attempts.
pub(crate) fn connect(to: SocketAddr, until: Instant) -> io::Result<TcpStream> {
    let sources = Sources::towards(to)
        .map_err(|error| io::Error::new(error.kind(), format!("no way to {}: {error}", to.ip())))?;
    let list = sources.list();
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for (tried, from) in list.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        // The later ones have what the earlier ones leave.
        let share = left / u32::try_from(list.len() - tried).unwrap_or(1);
        match open(*from, to, share.max(SHORTEST)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    let said = match last.kind() {
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => last.to_string(),
    };
    let words = format!("{said}{}", sources.in_words());
    Err(io::Error::new(last.kind(), words))
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

/// The source that the kernel would choose. To connect a UDP socket sends nothing.
fn kernels_choice(to: SocketAddrV4) -> io::Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(to)?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// All IPv4 addresses of this host, those of one interface in the order of the kernel.
fn interface_addresses() -> Vec<(String, Ipv4Addr)> {
    // Without the list the kernel's choice has to do.
    let Ok(all) = getifaddrs() else {
        return Vec::new();
    };
    all.filter_map(|entry| {
        let address = entry.address?.as_sockaddr_in()?.ip();
        // An address with a label of its own is listed under the label: `ens5:vip`.
        let name = entry.interface_name.split(':').next()?.to_owned();
        Some((name, address))
    })
    .collect()
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
    fn the_kernels_choice_is_tried_first_then_what_else_its_interface_has() {
        for (chosen, addresses) in [(VIP, [VIP, PRIMARY]), (PRIMARY, [PRIMARY, VIP])] {
            let expected = Sources::Of {
                interface: "ens5".to_owned(),
                addresses: addresses.to_vec(),
            };
            assert_eq!(Sources::like(chosen, &known()), expected);
        }
    }

    #[test]
    fn where_only_one_source_can_be_meant_none_is_prescribed() {
        assert_eq!(
            Sources::like(Ipv4Addr::LOCALHOST, &known()),
            Sources::AnyOne
        );
        assert_eq!(Sources::like(VIP, &[]), Sources::AnyOne);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        assert_eq!(Sources::towards(local).ok(), Some(Sources::AnyOne));
    }

    #[test]
    fn a_reason_names_the_addresses_that_were_tried() {
        let only = Sources::like(VIP, &[("ens5".to_owned(), VIP)]);
        assert!(
            only.in_words()
                .contains("172.31.16.130, the only address of ens5")
        );
        let both = Sources::like(VIP, &known()).in_words();
        assert!(
            both.contains("from 172.31.16.130 and 172.31.16.133 of ens5"),
            "{both}"
        );
    }
}
