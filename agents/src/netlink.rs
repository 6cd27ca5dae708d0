//! What the kernel is asked and told by netlink: which interface carries an address, and
//! the source address of its default routes. Nothing here decides what the source should be.
//!
//! Every call works in the network namespace of the thread it runs on.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::{Stream, StreamExt, TryStreamExt};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric,
    RouteNextHopFlags, RouteProtocol, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use rtnetlink::packet_core::{
    Emitable, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkMessage, NetlinkPayload, Parseable,
};
use rtnetlink::{Error, Handle};

use crate::meaning::Meaning;

/// Why the kernel could not be asked, or did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel refused, or could not be asked. [`NetlinkError::meaning`] says what it means.
    #[error("can not {doing}: {said}")]
    Kernel {
        /// What was being done, to what.
        doing: String,
        /// What the kernel said.
        said: io::Error,
    },
    /// A source address must be an address of this host; the routes are as they were.
    #[error("can not {doing}: {address} is not an address of this host")]
    NotOurAddress {
        /// What was being done, to what.
        doing: String,
        /// The address that was to become the source.
        address: Ipv4Addr,
    },
    /// The route is no longer in the table as it was read: read the routes again.
    #[error("can not {doing}: the route has changed since it was read")]
    Changed {
        /// What was being done, to what.
        doing: String,
    },
}

impl NetlinkError {
    /// What it means.
    pub fn meaning(&self) -> Meaning {
        match self {
            Self::Kernel { said, .. } => said.raw_os_error().map_or(Meaning::Unknown, |code| {
                Meaning::of_kernel(Errno::from_raw(code))
            }),
            Self::NotOurAddress { .. } => Meaning::InvalidValue,
            Self::Changed { .. } => Meaning::WrongState,
        }
    }
}

/// A network interface that carries an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name, such as `ens5`.
    pub name: String,
    /// Its first address that is not secondary and not the one asked for: what the kernel
    /// would take as the source of its own accord.
    pub primary: Option<Ipv4Addr>,
}

/// A default route of the main table, with everything that is needed to write it back.
#[derive(Clone, PartialEq, Eq)]
pub struct DefaultRoute {
    message: RouteMessage,
}

impl DefaultRoute {
    /// The gateway; none for a route that goes straight to the interface or to several.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.attribute(|attribute| match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(*address),
            _ => None,
        })
    }

    /// The source address that the route prescribes.
    pub fn source(&self) -> Option<Ipv4Addr> {
        self.attribute(|attribute| match attribute {
            RouteAttribute::PrefSource(RouteAddress::Inet(address)) => Some(*address),
            _ => None,
        })
    }

    /// The metric by which the kernel chooses between default routes: the lowest wins.
    pub fn metric(&self) -> u32 {
        self.attribute(|attribute| match attribute {
            RouteAttribute::Priority(metric) => Some(*metric),
            _ => None,
        })
        .unwrap_or(0)
    }

    /// The MTU, where the route sets one.
    pub fn mtu(&self) -> Option<u32> {
        self.attribute(|attribute| match attribute {
            RouteAttribute::Metrics(metrics) => metrics.iter().find_map(|metric| match metric {
                RouteMetric::Mtu(mtu) => Some(*mtu),
                _ => None,
            }),
            _ => None,
        })
    }

    /// Whether a DHCP client made it.
    pub fn is_from_dhcp(&self) -> bool {
        self.message.header.protocol == RouteProtocol::Dhcp
    }

    /// The route as a netlink message, to be kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.message.buffer_len()];
        self.message.emit(&mut bytes);
        bytes
    }

    /// A route that was kept.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let message = RouteMessage::parse(bytes).ok()?;
        is_main_default(&message).then_some(Self { message })
    }

    /// The route as the kernel described it.
    pub fn message(&self) -> &RouteMessage {
        &self.message
    }

    fn attribute<T>(&self, wanted: impl Fn(&RouteAttribute) -> Option<T>) -> Option<T> {
        self.message.attributes.iter().find_map(wanted)
    }

    /// Whether the kernel holds both under one key, of which NLM_F_REPLACE replaces the first.
    fn same_key(&self, other: &Self) -> bool {
        self.metric() == other.metric() && self.message.header.tos == other.message.header.tos
    }

    fn with_source(&self, source: Option<Ipv4Addr>) -> Self {
        let mut route = self.clone();
        let attributes = &mut route.message.attributes;
        attributes.retain(|attribute| !matches!(attribute, RouteAttribute::PrefSource(_)));
        if let Some(source) = source {
            attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(source)));
        }
        route
    }

    /// The message without what the kernel only reports and would refuse to be told.
    fn to_write(&self) -> RouteMessage {
        let mut message = self.message.clone();
        message.header.flags &= RouteFlags::Onlink;
        let by_object = message
            .attributes
            .iter()
            .any(|attribute| matches!(attribute, RouteAttribute::NhId(_)));
        message.attributes.retain(|attribute| match attribute {
            RouteAttribute::CacheInfo(_) => false,
            // A nexthop object is reported together with what is in it.
            RouteAttribute::Gateway(_)
            | RouteAttribute::Via(_)
            | RouteAttribute::Oif(_)
            | RouteAttribute::MultiPath(_) => !by_object,
            _ => true,
        });
        for attribute in &mut message.attributes {
            if let RouteAttribute::MultiPath(hops) = attribute {
                for hop in hops {
                    hop.flags &= RouteNextHopFlags::Onlink;
                }
            }
        }
        message
    }

    /// Whether both are the same route, whatever the state of the link.
    fn is(&self, other: &Self) -> bool {
        let sorted = |route: &Self| {
            let mut message = route.to_write();
            message
                .attributes
                .sort_by_key(rtnetlink::packet_core::Nla::kind);
            message
        };
        sorted(self) == sorted(other)
    }

    /// Whether packets may leave by that interface.
    pub fn leaves_by(&self, interface: u32) -> bool {
        self.interfaces().contains(&interface)
    }

    /// The interfaces by which packets leave.
    pub fn interfaces(&self) -> Vec<u32> {
        let attributes = self.message.attributes.iter();
        attributes
            .flat_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => vec![*index],
                RouteAttribute::MultiPath(hops) => {
                    hops.iter().map(|hop| hop.interface_index).collect()
                }
                _ => Vec::new(),
            })
            .collect()
    }
}

impl fmt::Display for DefaultRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("default route")?;
        if let Some(gateway) = self.gateway() {
            write!(f, " via {gateway}")?;
        }
        write!(f, " metric {}", self.metric())
    }
}

impl fmt::Debug for DefaultRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} src {:?} {:?}", self.source(), self.message)
    }
}

/// The interface that carries `address`, or none if no interface of this host does.
///
/// # Errors
///
/// When the kernel can not be asked.
pub async fn interface_of(address: Ipv4Addr) -> Result<Option<Interface>, NetlinkError> {
    let doing = || format!("look for the interface with {address}");
    let kernel = connect(doing)?;
    let all: Vec<AddressMessage> = kernel
        .address()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(|e| said(doing, e))?;
    let Some(index) = all
        .iter()
        .find(|message| local(message) == Some(address))
        .map(|message| message.header.index)
    else {
        return Ok(None);
    };
    let doing = || format!("read the name of interface {index}, which has {address}");
    let link = kernel
        .link()
        .get()
        .match_index(index)
        .execute()
        .try_next()
        .await
        .map_err(|e| said(doing, e))?;
    let name = link.and_then(|link| {
        link.attributes
            .into_iter()
            .find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            })
    });
    Ok(name.map(|name| Interface {
        index,
        name,
        primary: all
            .iter()
            .filter(|message| message.header.index == index && !is_secondary(message))
            .filter_map(local)
            .find(|other| *other != address),
    }))
}

/// The default routes of the main table that leave by an interface, in the kernel's order,
/// those among them that share the traffic with other interfaces included.
///
/// # Errors
///
/// When the kernel can not be asked.
pub async fn default_routes(interface: u32) -> Result<Vec<DefaultRoute>, NetlinkError> {
    let doing = || format!("read the default routes of interface {interface}");
    let kernel = connect(doing)?;
    let mut routes = main_defaults(&kernel).await.map_err(|e| said(doing, e))?;
    routes.retain(|route| route.leaves_by(interface));
    Ok(routes)
}

/// All default routes of the main table, in the kernel's order.
///
/// # Errors
///
/// When the kernel can not be asked.
pub async fn all_default_routes() -> Result<Vec<DefaultRoute>, NetlinkError> {
    let doing = || "read the default routes".to_owned();
    let kernel = connect(doing)?;
    main_defaults(&kernel).await.map_err(|e| said(doing, e))
}

/// Gives a default route another source address, or none, and keeps all else that it has.
///
/// The kernel replaces the route in one step, so that at no moment it is missing. Where
/// several default routes have the same metric, the kernel would replace the first whichever
/// is meant (`fib_table_insert`, net/ipv4/fib_trie.c): then the new one is added behind them
/// before the old one is deleted.
///
/// When an address is removed from the host, the kernel deletes every route whose source it
/// is: the source has to be taken back first.
///
/// # Errors
///
/// [`NetlinkError::NotOurAddress`] when the source is not an address of this host,
/// [`NetlinkError::Changed`] when the route is not in the table any more, or what the
/// kernel said. The interface still has its default route then.
pub async fn set_source(
    route: &DefaultRoute,
    source: Option<Ipv4Addr>,
) -> Result<(), NetlinkError> {
    let doing = || match source {
        Some(source) => format!("set the source {source} on the {route}"),
        None => format!("remove the source from the {route}"),
    };
    if route.source() == source {
        return Ok(());
    }
    let kernel = connect(doing)?;
    let wanted = route.with_source(source);
    // Three rounds at most, unless somebody else is changing routes too.
    for _ in 0..8 {
        let mut same_key = main_defaults(&kernel).await.map_err(|e| said(doing, e))?;
        same_key.retain(|other| other.same_key(route));
        let old = same_key.iter().position(|other| other.is(route));
        let new = same_key.iter().position(|other| other.is(&wanted));
        let done = match (old, new) {
            (None, Some(_)) => return Ok(()),
            (None, None) => break,
            (Some(0), None) => write(&kernel, &wanted, NLM_F_REPLACE).await,
            (Some(_), None) => write(&kernel, &wanted, NLM_F_APPEND).await,
            // A route without source also stands for the same with one, and the kernel
            // deletes the first that fits. If that was the new one, the next round goes on.
            (Some(_), Some(_)) => kernel.route().del(route.to_write()).execute().await,
        };
        if let Err(error) = done {
            return Err(refused(doing(), source, error).await);
        }
    }
    Err(NetlinkError::Changed { doing: doing() })
}

/// Adds a route, unless there is one of the same metric.
///
/// # Errors
///
/// What the kernel said.
pub async fn add(route: &DefaultRoute) -> Result<(), NetlinkError> {
    let doing = || format!("add the {route}");
    let kernel = connect(doing)?;
    match write(&kernel, route, NLM_F_EXCL)
        .await
        .map_err(|e| said(doing, e))
    {
        Err(error) if error.meaning() == Meaning::InUse => Ok(()),
        done => done,
    }
}

/// EINVAL says little: it is looked up whether the source is why.
async fn refused(doing: String, source: Option<Ipv4Addr>, error: Error) -> NetlinkError {
    let error = said(|| doing.clone(), error);
    match source {
        Some(address)
            if error.meaning() == Meaning::InvalidValue
                && matches!(interface_of(address).await, Ok(None)) =>
        {
            NetlinkError::NotOurAddress { doing, address }
        }
        _ => error,
    }
}

async fn main_defaults(kernel: &Handle) -> Result<Vec<DefaultRoute>, Error> {
    let mut ask = RouteMessage::default();
    ask.header.address_family = AddressFamily::Inet;
    kernel
        .route()
        .get(ask)
        .execute()
        .try_filter(|message| std::future::ready(is_main_default(message)))
        .map_ok(|message| DefaultRoute { message })
        .try_collect()
        .await
}

fn is_main_default(message: &RouteMessage) -> bool {
    let header = &message.header;
    header.address_family == AddressFamily::Inet
        && header.destination_prefix_length == 0
        && header.table == RouteHeader::RT_TABLE_MAIN
        && header.kind == RouteType::Unicast
        && !header.flags.contains(RouteFlags::Cloned)
}

async fn write(kernel: &Handle, route: &DefaultRoute, how: u16) -> Result<(), Error> {
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewRoute(route.to_write()));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | how;
    acknowledged(kernel.clone().request(request)?).await
}

async fn acknowledged(
    answers: impl Stream<Item = NetlinkMessage<RouteNetlinkMessage>>,
) -> Result<(), Error> {
    let mut answers = std::pin::pin!(answers);
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::Error(error) = answer.payload {
            return Err(Error::NetlinkError(error));
        }
    }
    Ok(())
}

/// A netlink socket, served by a task that ends when the handle is dropped.
fn connect(doing: impl Fn() -> String) -> Result<Handle, NetlinkError> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|said| NetlinkError::Kernel {
            doing: doing(),
            said,
        })?;
    tokio::spawn(connection);
    Ok(handle)
}

/// The address itself. With a peer, IFA_ADDRESS is the peer's.
fn local(message: &AddressMessage) -> Option<Ipv4Addr> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
            _ => None,
        })
}

fn is_secondary(message: &AddressMessage) -> bool {
    message.attributes.iter().any(|attribute| {
        matches!(attribute, AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Secondary))
    })
}

fn said(doing: impl Fn() -> String, error: Error) -> NetlinkError {
    let said = match error {
        Error::NetlinkError(error) => error.to_io(),
        other => io::Error::other(other.to_string()),
    };
    NetlinkError::Kernel {
        doing: doing(),
        said,
    }
}
