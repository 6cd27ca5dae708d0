//! The addresses and routes that a node needs while it has the virtual address.

use std::time::Duration;

use serde::Deserialize;

use super::cluster;
use crate::lab::Lab;
use crate::site::{CLIENT, INSTANCES, Instance, RESOLVER, VIP};
use crate::vpc::METADATA;
use crate::world::Error;

/// A node's only interface.
const INTERFACE: &str = "ens5";

/// As `ip -json address` says it, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Link {
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(Debug, Deserialize)]
struct Address {
    local: String,
    #[serde(default)]
    secondary: bool,
    /// Seconds; the largest number for ever.
    valid_life_time: u64,
}

/// What is wrong with the addresses and the routes of the node that has the virtual address; nothing if
/// both addresses are there, and everything leaves with the right one as its source.
///
/// # Errors
/// The node does not answer, or has lost a route altogether.
pub fn faults(lab: &Lab, node: &Instance) -> Result<Vec<String>, Error> {
    let addresses = addresses(lab, node)?;
    let primary = node.private_ip;
    let has = |wanted| {
        let wanted = format!("{wanted}");
        addresses.iter().find(|address| address.local == wanted)
    };
    let mut faults = Vec::new();
    for wanted in [primary, VIP] {
        if has(wanted).is_none() {
            faults.push(format!("{wanted} is not on {INTERFACE}: {addresses:?}"));
        }
    }
    if has(primary).is_some_and(|address| address.secondary) {
        faults.push(format!("{primary} is no longer the primary address"));
    }
    let other = INSTANCES.iter().find(|other| *other != node);
    for (destination, source) in [
        (CLIENT, VIP),
        ([198, 18, 0, 1].into(), VIP),
        (METADATA, primary),
        (RESOLVER, primary),
    ]
    .into_iter()
    .chain(other.map(|other| (other.private_ip, primary)))
    {
        let script = format!("ip route get {destination}");
        let route = cluster::run(lab, node, &script, &script, cluster::SECONDS)?;
        if !route.contains(&format!(" src {source} ")) {
            faults.push(format!(
                "to {destination} from another address than {source}: {}",
                route.trim()
            ));
        }
    }
    Ok(faults)
}

/// How long the node may still use its primary address, unless the DHCP client renews its lease.
///
/// # Errors
/// The node does not answer, or does not have its primary address.
pub fn lease_left(lab: &Lab, node: &Instance) -> Result<Duration, Error> {
    let primary = node.private_ip.to_string();
    let addresses = addresses(lab, node)?;
    let found = addresses.iter().find(|address| address.local == primary);
    let address = found.ok_or_else(|| {
        format!(
            "{} does not have {primary}, its own: {addresses:?}",
            node.hostname
        )
    })?;
    Ok(Duration::from_secs(address.valid_life_time))
}

fn addresses(lab: &Lab, node: &Instance) -> Result<Vec<Address>, Error> {
    let script = format!("ip -json -4 address show dev {INTERFACE}");
    let printed = cluster::run(lab, node, &script, &script, cluster::SECONDS)?;
    let links: Vec<Link> = serde_json::from_str(&printed)
        .map_err(|e| format!("`{script}` on {}: {e}: {printed}", node.hostname))?;
    Ok(links.into_iter().flat_map(|link| link.addr_info).collect())
}
