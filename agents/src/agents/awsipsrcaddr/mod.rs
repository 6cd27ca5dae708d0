//! awsipsrcaddr: the virtual address is the source of what the node sends to the Internet, by routes of this agent.
//! Routes of others are read, never written. Which routes there should be is in `wanted.rs`.
//!
//! Two routes, each to half of the Internet, win over default routes of any metric. A table with a rule would too. But
//! when an address is removed from the host, Linux deletes the routes with that source from the main table only
//! (`fib_sync_down_addr`, net/ipv4/fib_semantics.c), and systemd-networkd deletes foreign rules of the whole host, but
//! foreign routes only of the interfaces that it manages (networkd.conf(5), ManageForeignRoutingPolicyRules= and
//! ManageForeignRoutes=).

mod wanted;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::netlink::{Kernel, NetlinkError, Route, Write, name_of};
use crate::ocf::params::parameters;
use crate::ocf::{Advice, Agent, Call, Description, Failure, Health, StateFile};
use nix::errno::Errno;
use wanted::PROTOCOL;

parameters! {
    struct AwsIpSrcAddrParameters {
        ipaddress: Ipv4Addr = required, unique, "address to send from",
            "The address that packets to the Internet are sent from: the virtual address, which another resource (ocf:heartbeat:IPaddr2) has put on an interface, with any prefix length.";
        interface: String = optional, "interface",
            "The network interface by which packets to the Internet leave: its default route is followed. Without one, the interface that carries the address.";
    }
}

/// How long a start waits for a default route: a DHCP client may just be starting.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a monitor waits: a restart of systemd-networkd is over sooner.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Addresses of the lower and of the upper half of the Internet. The kernel is asked for the way
/// there, and nothing is sent. Two of each, because somebody may have a route to one of them;
/// no public name servers, because this agent adds routes to those that the node asks.
const OUTSIDE: [[Ipv4Addr; 2]; 2] = [
    [Ipv4Addr::new(52, 0, 0, 1), Ipv4Addr::new(90, 0, 0, 1)],
    // Of documentation (RFC 5737), which has nothing in the lower half.
    [
        Ipv4Addr::new(203, 0, 113, 1),
        Ipv4Addr::new(198, 51, 100, 1),
    ],
];

pub(super) struct AwsIpSrcAddr {
    parameters: AwsIpSrcAddrParameters,
    call: Call,
    /// The note that a start has begun, and no stop since: only then does a monitor add routes.
    started: StateFile,
}

/// Why packets to the Internet do not leave from the address.
enum Obstacle {
    /// It may pass: no default route, or the kernel refused.
    Passing(Failure),
    Lasting(Failure),
}

impl Obstacle {
    fn passing(reason: impl ToString) -> Self {
        Self::Passing(Failure::generic(reason.to_string()))
    }
}

impl From<NetlinkError> for Obstacle {
    fn from(error: NetlinkError) -> Self {
        Self::passing(error)
    }
}

impl From<NetlinkError> for Failure {
    fn from(error: NetlinkError) -> Self {
        Self::generic(error.to_string())
    }
}

impl Agent for AwsIpSrcAddr {
    const DESCRIPTION: Description = Description {
        name: "awsipsrcaddr",
        short: "Source address of what leaves for the Internet",
        long: "Makes the virtual address the source of what this node sends to the Internet. It adds two routes, 0.0.0.0/1 and 128.0.0.0/1, with the gateway, interface and MTU of the default route that is in use on the interface with the address. They win over default routes of any metric. Connected subnets and more specific routes keep their source. Further routes keep the node's own source for 169.254.0.0/16 (instance metadata) and for the node's name servers. All of these have the protocol number 145 (`ip route show proto 145`). Routes of others are never changed, so DHCP clients and network managers may renew theirs at any time. The monitor asks the kernel which source it would choose. It follows a changed gateway, interface or MTU of the default route and puts back what somebody has removed, with a line in the log. What it cannot repair, it reports as degraded (190); it never fails. Stop deletes the routes. When the address is removed from the node, the kernel deletes the routes that send from it.",
        actions: &[
            Advice::timeout("start", 30),
            Advice::timeout("stop", 30),
            Advice::monitor(0, 20, 10),
        ],
    };
    type Parameters = AwsIpSrcAddrParameters;

    fn new(parameters: AwsIpSrcAddrParameters, call: Call) -> Self {
        Self {
            parameters,
            started: StateFile::of(Self::DESCRIPTION.name, &call.resource),
            call,
        }
    }

    fn start(&self) -> Result<(), Failure> {
        // Before the routes: a start that is cut short has made some.
        self.started.save(&serde_json::json!({}))?;
        self.call.wait(self.establish(START_TIMEOUT))
    }

    fn stop(&self) -> Result<(), Failure> {
        self.started.remove();
        self.call.wait(self.remove_routes())
    }

    fn monitor(&self) -> Result<Health, Failure> {
        if self.call.probe {
            return self.call.wait(self.look());
        }
        // The address's own resource reports when the address is gone, and a route can be repaired. So nothing that is
        // seen here is worth a restart of the PBX.
        self.call.wait(async {
            // Either by this agent, or by an agent of the same name that it replaces: packets leave from the address then.
            let is_started = self.started.age().is_some()
                || self.other_source(&Kernel::open()?).await?.is_none();
            if !is_started {
                return self.look().await;
            }
            Ok(match self.establish(MONITOR_TIMEOUT).await {
                Ok(()) => Health::Running,
                Err(failure) => Health::Degraded(failure.reason),
            })
        })
    }

    fn validate(&self) -> Result<(), Failure> {
        match &self.parameters.interface {
            Some(name) => index_of(name).map(drop),
            // Which it is can be known when the address is there.
            None => Ok(()),
        }
    }
}

impl AwsIpSrcAddr {
    /// Adds and corrects routes until the kernel chooses the address as source, or `limit` is over.
    async fn establish(&self, limit: Duration) -> Result<(), Failure> {
        self.call.steps.doing("reading addresses and routes");
        let kernel = Kernel::open()?;
        let deadline = self.call.deadline.at_most(limit);
        loop {
            match self.attempt(&kernel).await {
                Ok(()) => return Ok(()),
                Err(Obstacle::Passing(_)) if deadline.sleep(POLL_INTERVAL).await => {}
                Err(Obstacle::Passing(failure) | Obstacle::Lasting(failure)) => {
                    return Err(failure);
                }
            }
        }
    }

    async fn attempt(&self, kernel: &Kernel) -> Result<(), Obstacle> {
        let address = self.parameters.ipaddress;
        let addresses = kernel.addresses().await?;
        let Some(carrier) = addresses.iter().find(|a| a.ip() == address) else {
            return Err(Obstacle::Lasting(Failure::generic(format!(
                "no interface of this node has {address}: the resource that puts it there has to start first"
            ))));
        };
        let interface = match &self.parameters.interface {
            Some(name) => index_of(name).map_err(Obstacle::Lasting)?,
            None => carrier.interface,
        };
        let present = kernel.routes().await?;
        match wanted::default_route(&present, interface) {
            Some(model) => {
                let servers = wanted::name_servers();
                let wanted = wanted::routes(address, model, &addresses, &present, &servers);
                self.change(kernel, &present, &wanted, interface).await?;
            }
            // A DHCP client removed its route. Until it adds the next one, the routes of before are the best guess.
            None if wanted::has_both_halves(&present, address) => {}
            None => {
                let name = name_of(interface);
                return Err(Obstacle::passing(format!("{name} has no default route")));
            }
        }
        let reason = self.other_source(kernel).await?;
        reason.map_or(Ok(()), |reason| Err(Obstacle::passing(reason)))
    }

    /// Adds, replaces and deletes this resource's routes until they are `wanted`.
    async fn change(
        &self,
        kernel: &Kernel,
        present: &[Route],
        wanted: &[Route],
        interface: u32,
    ) -> Result<(), NetlinkError> {
        // Of several routes of this resource to one destination, the first is kept.
        let (mut kept, mut surplus) = (BTreeMap::new(), Vec::new());
        for route in wanted::of_resource(present, self.parameters.ipaddress) {
            let is_wanted = wanted.iter().any(|it| it.destination == route.destination);
            match kept.entry(route.destination) {
                Entry::Vacant(entry) if is_wanted => drop(entry.insert(route)),
                _ => surplus.push(route),
            }
        }
        let how = |route: &Route| match kept.get(&route.destination) {
            None => Some(Write::New),
            Some(old) if *old == route => None,
            Some(_) => Some(Write::Replace),
        };
        // One line for all that is about to change.
        let names = |told: Write| {
            let routes = wanted.iter().filter(|it| how(it) == Some(told));
            routes.map(Route::to_string).collect()
        };
        let deleted: Vec<String> = surplus.iter().map(ToString::to_string).collect();
        let (added, changed) = (names(Write::New), names(Write::Replace));
        let mut told = vec![
            ("adding", added),
            ("changing", changed),
            ("deleting", deleted),
        ];
        told.retain(|(_, routes)| !routes.is_empty());
        let told = told
            .into_iter()
            .map(|(what, routes)| format!("{what} {}", routes.join(", ")));
        let told: Vec<String> = told.collect();
        if !told.is_empty() {
            let (name, told) = (name_of(interface), told.join("; "));
            let step = format!("following the default route of {name}: {told}");
            self.call.steps.acting(step);
        }
        for route in surplus {
            kernel.delete_route(route).await?;
        }
        for route in wanted {
            if let Some(how) = how(route) {
                kernel.write_route(route, how).await?;
            }
        }
        Ok(())
    }

    /// What the kernel says if packets to the Internet would not leave from the address; none if all is well.
    async fn other_source(&self, kernel: &Kernel) -> Result<Option<String>, NetlinkError> {
        let address = self.parameters.ipaddress;
        for [outside, another] in OUTSIDE {
            let source = kernel.source_towards(outside).await?;
            if source == Some(address) || kernel.source_towards(another).await? == Some(address) {
                continue;
            }
            let source = match source {
                None => format!("there is no way to {outside}"),
                Some(source) => format!("packets to {outside} leave from {source}"),
            };
            return Ok(Some(format!(
                "{source}, not from {address}: see `ip route get {outside}` and `ip rule`"
            )));
        }
        Ok(None)
    }

    /// For a probe, and for a monitor of what was never started: reports what is there and changes nothing.
    async fn look(&self) -> Result<Health, Failure> {
        let address = self.parameters.ipaddress;
        let kernel = Kernel::open()?;
        let routes = kernel.routes().await?;
        if !routes.iter().any(|r| wanted::is_half_of(r, address)) {
            return Ok(Health::Stopped(format!(
                "there is no route of this agent (protocol {PROTOCOL}) with the source {address}"
            )));
        }
        Ok(match self.other_source(&kernel).await? {
            None => Health::Running,
            Some(reason) => Health::Degraded(reason),
        })
    }

    async fn remove_routes(&self) -> Result<(), Failure> {
        let address = self.parameters.ipaddress;
        self.call.steps.doing("reading the routes");
        let kernel = Kernel::open()?;
        let mut pause = Duration::ZERO;
        loop {
            let present = kernel.routes().await?;
            let mut own = wanted::of_resource(&present, address);
            if own.is_empty() {
                self.secure_default_route(&kernel, &present).await;
                return Ok(());
            }
            if !self.call.deadline.sleep(pause).await {
                let reason = format!("the route {} keeps coming back", own[0]);
                return Err(Failure::generic(reason));
            }
            pause = POLL_INTERVAL;
            let names: Vec<String> = own.iter().map(ToString::to_string).collect();
            let step = format!("deleting {}", names.join(", "));
            self.call.steps.acting(step);
            // The routes to the Internet go first: the others keep metadata apart from them.
            own.sort_by_key(|route| !wanted::is_half_of(route, address));
            for route in own {
                kernel.delete_route(route).await?;
            }
        }
    }

    /// The agents of this name that this one replaces write the address into the default route itself. With the
    /// address the kernel would delete that route, and the node would be cut off until its DHCP client renews it. So
    /// there has to be a default route with the node's own source.
    async fn secure_default_route(&self, kernel: &Kernel, present: &[Route]) {
        let address = self.parameters.ipaddress;
        let defaults = || present.iter().filter(|route| route.is_default());
        for route in defaults().filter(|route| route.source == Some(address)) {
            let [hop] = route.hops.as_slice() else {
                continue;
            };
            let is_here = |it: &Route| it.hops.iter().any(|it| it.interface == hop.interface);
            if defaults().any(|it| it.source != Some(address) && is_here(it)) {
                continue;
            }
            let addresses = kernel.addresses().await.unwrap_or_default();
            let Some(own) = wanted::own_source(address, (route, hop), &addresses) else {
                continue;
            };
            let beside = route.like(hop, route.destination, own, route.protocol, route.metric);
            self.call.steps.acting(format!(
                "the default route sends from {address}, which another agent has written there: adding {beside}"
            ));
            match kernel.write_route(&beside, Write::Append).await {
                Err(error) if error.errno() != Some(Errno::EEXIST) => tracing::warn!("{error}"),
                _ => {}
            }
        }
    }
}

fn index_of(name: &str) -> Result<u32, Failure> {
    nix::net::if_::if_nametoindex(name)
        .map_err(|errno| Failure::installed(format!("find the network interface {name}: {errno}")))
}
