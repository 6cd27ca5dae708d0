//! IPv4 routes of the main table, and which source address the kernel would choose.

use std::fmt;
use std::net::Ipv4Addr;

use futures_util::{StreamExt, TryStream, TryStreamExt};
use ipnet::Ipv4Net;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric,
    RouteNextHopFlags, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkMessage, NetlinkPayload,
};
use rtnetlink::{Error, RouteMessageBuilder};

use super::{Kernel, NetlinkError, failed};
use nix::errno::Errno;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    pub interface: u32,
    /// RTA_GATEWAY or RTA_VIA; none if packets go straight to their destination.
    gateway: Option<RouteAttribute>,
    /// Whether the gateway is taken to be on the link although no subnet says so.
    onlink: bool,
}

impl NextHop {
    fn new(interface: u32, attributes: &[RouteAttribute], onlink: bool) -> Self {
        let mut attributes = attributes.iter().cloned();
        let gateway =
            attributes.find(|it| matches!(it, RouteAttribute::Gateway(_) | RouteAttribute::Via(_)));
        Self {
            interface,
            gateway,
            onlink,
        }
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
        let to = |address| Ipv4Net::new(address, header.destination_prefix_length).ok();
        let mut route = Self {
            destination: to(Ipv4Addr::UNSPECIFIED)?,
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
                    route.destination = to(*address)?;
                }
                RouteAttribute::Priority(metric) => route.metric = *metric,
                RouteAttribute::PrefSource(RouteAddress::Inet(it)) => route.source = Some(*it),
                RouteAttribute::Metrics(settings) => route.settings.clone_from(settings),
                RouteAttribute::Oif(interface) => {
                    let onlink = header.flags.contains(RouteFlags::Onlink);
                    let hop = NextHop::new(*interface, &message.attributes, onlink);
                    route.hops.push(hop);
                }
                RouteAttribute::MultiPath(hops) => route.hops.extend(hops.iter().map(|hop| {
                    let onlink = hop.flags.contains(RouteNextHopFlags::Onlink);
                    NextHop::new(hop.interface_index, &hop.attributes, onlink)
                })),
                _ => {}
            }
        }
        Some(route)
    }

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
        match self.is_default() {
            true => f.write_str("default")?,
            false => write!(f, "{}", self.destination)?,
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
    /// The unicast routes of the main table; those to one destination in the order in which the kernel considers them.
    pub async fn routes(&self) -> Result<Vec<Route>, NetlinkError> {
        let answers = self.ask(None).try_collect::<Vec<_>>().await;
        let answers = answers.map_err(failed("read the routes of this host"))?;
        Ok(answers.iter().filter_map(Route::of).collect())
    }

    /// Asks for IPv4 routes: for the one to a destination, or for all.
    fn ask(
        &self,
        destination: Option<Ipv4Addr>,
    ) -> impl TryStream<Ok = RouteMessage, Error = Error> + Unpin {
        let mut question = RouteMessage::default();
        question.header.address_family = AddressFamily::Inet;
        if let Some(destination) = destination {
            let destination = RouteAttribute::Destination(RouteAddress::Inet(destination));
            question.header.destination_prefix_length = 32;
            question.attributes.push(destination);
        }
        Box::pin(self.handle.route().get(question).execute())
    }

    /// Writes a route with one next hop. `EEXIST` means that such a route is there already.
    pub async fn write_route(&self, route: &Route, how: Write) -> Result<(), NetlinkError> {
        let flag = match how {
            Write::New => NLM_F_EXCL,
            Write::Replace => NLM_F_REPLACE,
            Write::Append => NLM_F_APPEND,
        };
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewRoute(route.to_message()));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | flag;
        let written = async {
            let mut answers = self.handle.clone().request(request)?;
            while let Some(answer) = answers.next().await {
                if let NetlinkPayload::Error(error) = answer.payload {
                    return Err(Error::NetlinkError(error));
                }
            }
            Ok(())
        };
        let doing = format!("add the route {route}");
        written.await.map_err(failed(doing))
    }

    /// Deletes exactly this route. It is no error that the kernel has deleted it with its interface or its source.
    pub async fn delete_route(&self, route: &Route) -> Result<(), NetlinkError> {
        let request = self.handle.route().del(route.to_message());
        let done = request.execute().await;
        let done = done.map_err(failed(format!("delete the route {route}")));
        if_there(done).map(Option::unwrap_or_default)
    }

    /// The source address that the kernel would choose for a packet; none if there is no way there. Nothing is sent.
    pub async fn source_towards(
        &self,
        destination: Ipv4Addr,
    ) -> Result<Option<Ipv4Addr>, NetlinkError> {
        let answer = self.ask(Some(destination)).try_next().await;
        let answer = answer.map_err(failed(format!("ask for the way to {destination}")));
        let route = if_there(answer)?.flatten();
        let attributes = route.map_or_else(Vec::new, |route| route.attributes);
        Ok(attributes
            .into_iter()
            .find_map(|attribute| match attribute {
                RouteAttribute::PrefSource(RouteAddress::Inet(source)) => Some(source),
                _ => None,
            }))
    }
}

/// None if the route, its interface or the way out has gone meanwhile.
fn if_there<T>(answer: Result<T, NetlinkError>) -> Result<Option<T>, NetlinkError> {
    use Errno::{ENETDOWN, ENETUNREACH, ENODEV, ENXIO, ESRCH};
    match answer {
        Err(error) => match error.errno() {
            Some(ESRCH | ENETDOWN | ENETUNREACH | ENODEV | ENXIO) => Ok(None),
            _ => Err(error),
        },
        Ok(answer) => Ok(Some(answer)),
    }
}
