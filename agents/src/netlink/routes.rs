//! IPv4 routes of the main table, and which source address the kernel would choose.

use std::fmt;
use std::net::Ipv4Addr;

use futures_util::{StreamExt, TryStreamExt};
use ipnet::Ipv4Net;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkMessage, NetlinkPayload,
};
use rtnetlink::{Error, RouteMessageBuilder};

use super::{Kernel, NetlinkError};
use nix::errno::Errno;

/// One way by which packets leave this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// The interface.
    pub interface: u32,
    /// RTA_GATEWAY or RTA_VIA; none if packets go straight to their destination.
    gateway: Option<RouteAttribute>,
    /// Whether the gateway is taken to be on the link although no subnet says so.
    onlink: bool,
}

impl NextHop {
    fn new(interface: u32, attributes: &[RouteAttribute], onlink: bool) -> Self {
        let gateway = attributes
            .iter()
            .find(|a| matches!(a, RouteAttribute::Gateway(_) | RouteAttribute::Via(_)));
        Self {
            interface,
            gateway: gateway.cloned(),
            onlink,
        }
    }

    fn of_several(hop: &RouteNextHop) -> Self {
        let onlink = hop.flags.contains(RouteNextHopFlags::Onlink);
        Self::new(hop.interface_index, &hop.attributes, onlink)
    }

    /// The gateway, if it is an IPv4 one.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        match self.gateway {
            Some(RouteAttribute::Gateway(RouteAddress::Inet(address))) => Some(address),
            _ => None,
        }
    }
}

/// A unicast route of the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The destinations that it is for.
    pub destination: Ipv4Net,
    /// Who made it: a number of rt_protos.
    pub protocol: u8,
    /// Of several routes to one destination, the one with the lowest metric is used.
    pub metric: u32,
    /// The type of service that it is for; 0 for any.
    pub tos: u8,
    /// The source address that it prescribes.
    pub source: Option<Ipv4Addr>,
    /// More than one for a route that shares its traffic among several.
    pub hops: Vec<NextHop>,
    /// MTU, TCP's window and the like, as the kernel reports them.
    pub settings: Vec<RouteMetric>,
    scope: RouteScope,
}

impl Route {
    /// A route as the kernel described it, if it is a unicast route of the main table.
    fn of(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        if header.address_family != AddressFamily::Inet
            || header.table != RouteHeader::RT_TABLE_MAIN
            || header.kind != RouteType::Unicast
            || header.flags.contains(RouteFlags::Cloned)
        {
            return None;
        }
        let mut route = Self {
            destination: Ipv4Net::new(Ipv4Addr::UNSPECIFIED, header.destination_prefix_length)
                .ok()?,
            protocol: header.protocol.into(),
            metric: 0,
            tos: header.tos,
            source: None,
            hops: Vec::new(),
            settings: Vec::new(),
            scope: header.scope,
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                    route.destination =
                        Ipv4Net::new(*address, header.destination_prefix_length).ok()?;
                }
                RouteAttribute::Priority(metric) => route.metric = *metric,
                RouteAttribute::PrefSource(RouteAddress::Inet(address)) => {
                    route.source = Some(*address);
                }
                RouteAttribute::Metrics(settings) => route.settings.clone_from(settings),
                RouteAttribute::Oif(interface) => {
                    let onlink = header.flags.contains(RouteFlags::Onlink);
                    let hop = NextHop::new(*interface, &message.attributes, onlink);
                    route.hops.push(hop);
                }
                RouteAttribute::MultiPath(hops) => {
                    route.hops.extend(hops.iter().map(NextHop::of_several));
                }
                _ => {}
            }
        }
        Some(route)
    }

    /// The route as the kernel wants to be told. Several next hops cannot be told.
    fn to_message(&self) -> RouteMessage {
        let mut builder = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(self.destination.addr(), self.destination.prefix_len())
            .tos(self.tos)
            .protocol(self.protocol.into())
            .scope(self.scope)
            .priority(self.metric);
        if let Some(source) = self.source {
            builder = builder.pref_source(source);
        }
        let mut gateway = None;
        if let [hop] = self.hops.as_slice() {
            builder = builder.output_interface(hop.interface);
            if hop.onlink {
                builder = builder.onlink();
            }
            gateway.clone_from(&hop.gateway);
        }
        let mut message = builder.build();
        message.attributes.extend(gateway);
        if !self.settings.is_empty() {
            let settings = RouteAttribute::Metrics(self.settings.clone());
            message.attributes.push(settings);
        }
        message
    }

    /// Whether it is a default route.
    pub fn is_default(&self) -> bool {
        self.destination.prefix_len() == 0
    }

    /// A route to another destination by one of the ways of this one, with its MTU and all else.
    pub fn like(
        &self,
        hop: &NextHop,
        destination: Ipv4Net,
        source: Ipv4Addr,
        protocol: u8,
        metric: u32,
    ) -> Self {
        Self {
            destination,
            protocol,
            metric,
            tos: 0,
            source: Some(source),
            hops: vec![hop.clone()],
            ..self.clone()
        }
    }
}

/// `172.31.0.2/32 via 172.31.16.1 src 172.31.16.133 mtu 9001`
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_default() {
            f.write_str("default")?;
        } else {
            write!(f, "{}", self.destination)?;
        }
        if let [hop] = self.hops.as_slice()
            && let Some(gateway) = hop.gateway()
        {
            write!(f, " via {gateway}")?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        for setting in &self.settings {
            if let RouteMetric::Mtu(mtu) = setting {
                write!(f, " mtu {mtu}")?;
            }
        }
        Ok(())
    }
}

/// How a route is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// It must not be there: no route with its destination, metric and type of service is.
    New,
    /// Instead of the first route with its destination, metric and type of service, in one step.
    Replace,
    /// Behind the routes with its destination, metric and type of service.
    Append,
}

impl Kernel {
    /// The unicast routes of the main table; those to one destination in the order in which
    /// the kernel considers them.
    pub async fn routes(&self) -> Result<Vec<Route>, NetlinkError> {
        let mut ask = RouteMessage::default();
        ask.header.address_family = AddressFamily::Inet;
        self.handle
            .route()
            .get(ask)
            .execute()
            .try_filter_map(|message| std::future::ready(Ok(Route::of(&message))))
            .try_collect()
            .await
            .map_err(|error| NetlinkError::new("read the routes of this host", error))
    }

    /// Writes a route with one next hop.
    ///
    /// What the kernel said. `EEXIST` means that such a route is there already.
    pub async fn write_route(&self, route: &Route, how: Write) -> Result<(), NetlinkError> {
        let flag = match how {
            Write::New => NLM_F_EXCL,
            Write::Replace => NLM_F_REPLACE,
            Write::Append => NLM_F_APPEND,
        };
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewRoute(route.to_message()));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | flag;
        self.acknowledged(request)
            .await
            .map_err(|error| NetlinkError::new(format!("add the route {route}"), error))
    }

    /// Deletes exactly this route. With its interface or its source address the kernel has deleted it
    /// itself; that is no error.
    pub async fn delete_route(&self, route: &Route) -> Result<(), NetlinkError> {
        let request = self.handle.route().del(route.to_message());
        let done = request
            .execute()
            .await
            .map_err(|error| NetlinkError::new(format!("delete the route {route}"), error));
        match done {
            Err(error) if error.errno().is_some_and(is_gone) => Ok(()),
            done => done,
        }
    }

    /// The source address that the kernel would choose for a packet to `destination` of a program
    /// that has chosen none; none if there is no way there. Nothing is sent.
    pub async fn source_towards(
        &self,
        destination: Ipv4Addr,
    ) -> Result<Option<Ipv4Addr>, NetlinkError> {
        let mut ask = RouteMessage::default();
        ask.header.address_family = AddressFamily::Inet;
        ask.header.destination_prefix_length = 32;
        ask.attributes
            .push(RouteAttribute::Destination(RouteAddress::Inet(destination)));
        let answer = self.handle.route().get(ask).execute().try_next().await;
        let answer = answer
            .map_err(|error| NetlinkError::new(format!("ask for the way to {destination}"), error));
        match answer {
            Err(error) if error.errno().is_some_and(is_gone) => Ok(None),
            Err(error) => Err(error),
            Ok(answer) => Ok(answer.and_then(|message| {
                message
                    .attributes
                    .iter()
                    .find_map(|attribute| match attribute {
                        RouteAttribute::PrefSource(RouteAddress::Inet(source)) => Some(*source),
                        _ => None,
                    })
            })),
        }
    }

    async fn acknowledged(
        &self,
        request: NetlinkMessage<RouteNetlinkMessage>,
    ) -> Result<(), Error> {
        let mut answers = self.handle.clone().request(request)?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload {
                return Err(Error::NetlinkError(error));
            }
        }
        Ok(())
    }
}

/// Whether the route, its interface or the way out has gone meanwhile.
fn is_gone(error: Errno) -> bool {
    matches!(
        error,
        Errno::ESRCH | Errno::ENETDOWN | Errno::ENETUNREACH | Errno::ENODEV | Errno::ENXIO
    )
}
