//! awsipsrcaddr: the virtual address as the source of what leaves by the default routes of
//! the interface that carries it.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::meaning::Meaning;
use crate::netlink::{
    DefaultRoute, NetlinkError, add, all_default_routes, default_routes, interface_of, set_source,
};
use crate::ocf::params::parameters;
use crate::ocf::{Advice, Agent, Call, Description, Failure, Health, StateFile};

parameters! {
    /// The parameters of awsipsrcaddr.
    struct AwsIpSrcAddrParameters {
        ipaddress: Ipv4Addr = required, unique, "address to send from",
            "The address that packets to the Internet are sent from: the virtual address, which another resource (ocf:heartbeat:IPaddr2) has put on an interface, with any prefix length.";
        interface: String = optional, "interface",
            "The network interface whose default routes get the source address. Without one, the interface that carries the address.";
    }
}

/// How long a start waits for a default route: a DHCP client may just be renewing it.
const ROUTE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// The agent.
#[derive(Debug)]
pub struct AwsIpSrcAddr {
    parameters: AwsIpSrcAddrParameters,
    call: Call,
    before: StateFile,
}

/// The routes as they were before a start changed them.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Before {
    /// As netlink messages, so that nothing is lost.
    routes: Vec<Vec<u8>>,
}

impl Before {
    fn routes(&self) -> Vec<DefaultRoute> {
        self.routes
            .iter()
            .filter_map(|bytes| DefaultRoute::from_bytes(bytes))
            .collect()
    }

    /// Keeps `route`, instead of an older one that it has taken the place of.
    fn keep(&mut self, route: &DefaultRoute) {
        self.routes.retain(|bytes| {
            DefaultRoute::from_bytes(bytes).is_some_and(|old| !same_place(&old, route))
        });
        self.routes.push(route.to_bytes());
    }
}

fn same_place(a: &DefaultRoute, b: &DefaultRoute) -> bool {
    a.metric() == b.metric() && a.gateway() == b.gateway() && a.interfaces() == b.interfaces()
}

/// The interface whose routes are meant.
enum Place {
    Here(Carrier),
    /// No interface has the address.
    NoAddress,
    /// There is no interface of the name that was given; what the kernel says.
    NoInterface(String),
}

struct Carrier {
    index: u32,
    name: String,
}

impl Agent for AwsIpSrcAddr {
    const DESCRIPTION: Description = Description {
        name: "awsipsrcaddr",
        short: "Source address of what leaves by the default routes",
        long: "Gives every default route of the main table that leaves by the interface with the virtual address that address as its source, and keeps gateway, metric, protocol, MTU and all else. A stop restores the routes as they were. The monitor sees it when a DHCP client has put the old route back.",
        actions: &[
            Advice::timeout("start", 30),
            Advice::timeout("stop", 30),
            Advice::monitor(0, 20, 10),
        ],
    };
    type Parameters = AwsIpSrcAddrParameters;

    fn new(parameters: AwsIpSrcAddrParameters, call: Call) -> Self {
        let before = StateFile::of(Self::DESCRIPTION.name, &call.resource);
        Self {
            parameters,
            call,
            before,
        }
    }

    fn start(&self) -> Result<(), Failure> {
        self.call.wait(self.set_sources())
    }

    fn stop(&self) -> Result<(), Failure> {
        self.call.wait(self.restore_sources())
    }

    fn monitor(&self) -> Result<Health, Failure> {
        self.call.wait(self.look_at_routes())
    }

    fn validate(&self) -> Result<(), Failure> {
        self.call.wait(self.look_for_interface())
    }
}

impl AwsIpSrcAddr {
    async fn set_sources(&self) -> Result<(), Failure> {
        let address = self.parameters.ipaddress;
        self.call.steps.doing("reading the default routes");
        let wait = self.call.deadline.at_most(ROUTE);
        let mut before = self.before.load::<Before>().unwrap_or_default();
        loop {
            let place = match self.place().await? {
                Place::Here(place) => place,
                Place::NoAddress => {
                    return Err(Failure::generic(format!(
                        "{}: the resource that puts it there has to start first",
                        self.no_address()
                    )));
                }
                Place::NoInterface(reason) => return Err(Failure::installed(reason)),
            };
            let routes = default_routes(place.index).await.map_err(failed)?;
            let others: Vec<_> = routes
                .iter()
                .filter(|r| r.source() != Some(address))
                .collect();
            if others.is_empty() && !routes.is_empty() {
                return Ok(());
            }
            // Before anything is changed, so that a stop restores it wherever this ends.
            others.iter().for_each(|route| before.keep(route));
            self.before.save(&before)?;
            for route in others {
                self.call
                    .steps
                    .acting(&format!("setting the source of the {route} to {address}"));
                match set_source(route, Some(address)).await {
                    // Somebody else changes routes too: the next round sees what is there then.
                    Err(NetlinkError::Changed { .. }) => {}
                    done => done.map_err(failed)?,
                }
            }
            if routes.is_empty() {
                put_back(&before.routes()).await?;
            }
            let pause = if routes.is_empty() {
                POLL
            } else {
                Duration::ZERO
            };
            if !wait.sleep(pause).await {
                return Err(Failure::generic(format!(
                    "{} has no default route that keeps the source {address}",
                    place.name
                )));
            }
        }
    }

    async fn restore_sources(&self) -> Result<(), Failure> {
        let address = self.parameters.ipaddress;
        let before = self.before.load::<Before>().unwrap_or_default().routes();
        self.call.steps.doing("restoring the default routes");
        // Whatever the interface is called now, and also if it is not the one that was given.
        while self.restore(&before).await? {
            if self.call.deadline.is_over() {
                return Err(Failure::generic(format!(
                    "a default route keeps getting the source {address}"
                )));
            }
        }
        // A later stop may put back what can't be now: the link is down.
        if put_back(&before).await? {
            self.before.remove();
        }
        Ok(())
    }

    async fn look_at_routes(&self) -> Result<Health, Failure> {
        let address = self.parameters.ipaddress;
        let place = match self.place().await? {
            Place::Here(place) => place,
            Place::NoAddress => return Ok(Health::Stopped(self.no_address())),
            Place::NoInterface(reason) => return self.look_at_other_routes(reason).await,
        };
        let routes = default_routes(place.index).await.map_err(failed)?;
        let others: Vec<String> = routes
            .iter()
            .filter(|route| route.source() != Some(address))
            .map(ToString::to_string)
            .collect();
        Ok(if others.len() == routes.len() {
            Health::Stopped(format!(
                "no default route of {} has the source {address}",
                place.name
            ))
        } else if others.is_empty() {
            Health::Running
        } else {
            Health::Broken(format!(
                "of the default routes of {} these do not have the source {address}: {}",
                place.name,
                others.join(", ")
            ))
        })
    }

    /// The interface is gone or renamed; what was done to its routes may still be there.
    async fn look_at_other_routes(&self, reason: String) -> Result<Health, Failure> {
        let address = self.parameters.ipaddress;
        let routes = all_default_routes().await.map_err(failed)?;
        let ours = routes.iter().find(|route| route.source() == Some(address));
        Ok(match ours {
            None => Health::Stopped(reason),
            Some(route) => {
                Health::Broken(format!("{reason}; the {route} has the source {address}"))
            }
        })
    }

    async fn look_for_interface(&self) -> Result<(), Failure> {
        match &self.parameters.interface {
            Some(name) => index_of(name).map(drop).map_err(Failure::installed),
            // Which it is can be known when the address is there.
            None => Ok(()),
        }
    }

    fn no_address(&self) -> String {
        format!(
            "no interface of this node has {}",
            self.parameters.ipaddress
        )
    }

    async fn place(&self) -> Result<Place, Failure> {
        let carrier = interface_of(self.parameters.ipaddress).await;
        let Some(carrier) = carrier.map_err(failed)? else {
            return Ok(Place::NoAddress);
        };
        Ok(match &self.parameters.interface {
            Some(name) if *name != carrier.name => match index_of(name) {
                Ok(index) => Place::Here(Carrier {
                    index,
                    name: name.clone(),
                }),
                Err(reason) => Place::NoInterface(reason),
            },
            _ => Place::Here(Carrier {
                index: carrier.index,
                name: carrier.name,
            }),
        })
    }

    /// Takes the address back from the routes that have it. True if there is more to do.
    async fn restore(&self, before: &[DefaultRoute]) -> Result<bool, Failure> {
        let address = self.parameters.ipaddress;
        let mut routes = all_default_routes().await.map_err(failed)?;
        routes.retain(|route| route.source() == Some(address));
        if routes.is_empty() {
            return Ok(false);
        }
        let carrier = interface_of(address).await.map_err(failed)?;
        for route in &routes {
            // Without a record: what a DHCP client would have set.
            let of_dhcp = || {
                let carrier = carrier.as_ref()?;
                carrier
                    .primary
                    .filter(|_| route.is_from_dhcp() && route.leaves_by(carrier.index))
            };
            let was = before.iter().find(|was| same_place(was, route));
            let source = was.map_or_else(of_dhcp, DefaultRoute::source);
            let back = source.map_or_else(|| "none".to_owned(), |source| source.to_string());
            self.call.steps.acting(&format!(
                "setting the source of the {route} from {address} back to {back}"
            ));
            match set_source(route, source).await {
                Err(NetlinkError::Changed { .. }) => {}
                // The address that was the source has left this node.
                Err(NetlinkError::NotOurAddress { .. }) => {
                    set_source(route, None).await.map_err(failed)?
                }
                done => done.map_err(failed)?,
            }
        }
        Ok(true)
    }
}

/// Adds the routes of interfaces that have no default route any more. With an address the kernel deletes
/// the routes whose source it is, and a node without a default route is worse than one that
/// sends from its own address. False if one that could be added later was not.
async fn put_back(before: &[DefaultRoute]) -> Result<bool, Failure> {
    if before.is_empty() {
        return Ok(true);
    }
    let now = all_default_routes().await.map_err(failed)?;
    let mut all = true;
    for route in before {
        let interfaces = route.interfaces();
        if now
            .iter()
            .any(|other| interfaces.iter().any(|index| other.leaves_by(*index)))
        {
            continue;
        }
        if let Err(error) = add(route).await {
            tracing::warn!("{error}");
            // An interface that is gone takes its routes with it.
            all &= error.meaning() == Meaning::NotFound;
        }
    }
    Ok(all)
}

fn index_of(name: &str) -> Result<u32, String> {
    nix::net::if_::if_nametoindex(name)
        .map_err(|errno| format!("find the network interface {name}: {errno}"))
}

fn failed(error: NetlinkError) -> Failure {
    Failure::generic(error.to_string())
}
