//! The LAN: one bridge with the three machines on it, and a router, which is the bridge's own side. The
//! router maps a public address to the virtual one. Behind it is the Internet, with the telephones.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use crate::netns;
use crate::site::{Host, lan};
use crate::tap::Tap;
use crate::world::Error;

/// The bridge, and the router's interface in the LAN.
const BRIDGE: &str = "lan";
/// The router's interface on the Internet's side.
const OUTSIDE: &str = "wan";

/// Makes the LAN, its router and the Internet, without any machine.
///
/// # Errors
/// A namespace exists already, or `ip` or `nft` fails.
pub fn build() -> Result<(), Error> {
    let (lan, internet) = (netns::lan(), netns::internet());
    netns::add(&lan)?;
    netns::add(&internet)?;
    netns::in_namespace(&lan, || {
        for (key, value) in [
            ("net/ipv6/conf/all/disable_ipv6", "1"),
            ("net/ipv6/conf/default/disable_ipv6", "1"),
            ("net/ipv4/ip_forward", "1"),
        ] {
            netns::set_parameter(key, value)?;
        }
        Ok(())
    })?;
    netns::ip_batch(
        &lan,
        &format!(
            "link set lo up\n\
             link add {BRIDGE} type bridge\n\
             addr add {router}/{prefix} dev {BRIDGE}\n\
             link set {BRIDGE} up\n\
             link add {OUTSIDE} type veth peer name eth0 netns {internet}\n\
             addr add {gateway}/24 dev {OUTSIDE}\n\
             link set {OUTSIDE} up\n",
            router = lan::ROUTER,
            prefix = lan::PREFIX,
            gateway = lan::GATEWAY,
        ),
    )?;
    // The way out of a site without a public address of its own is closed. Only what the virtual address
    // sends gets out, so a PBX that answers from another address is not heard.
    netns::nft(
        &lan,
        &format!(
            "table ip router {{\n\
             chain arrival {{ type filter hook prerouting priority raw; policy accept;\n\
             iifname {OUTSIDE} ip daddr {public} ip daddr set {vip}\n}}\n\
             chain departure {{ type filter hook postrouting priority srcnat; policy accept;\n\
             oifname {OUTSIDE} ip saddr {vip} ip saddr set {public} accept\n\
             oifname {OUTSIDE} ip saddr {lan_side} drop\n}}\n}}\n",
            public = lan::PUBLIC,
            vip = lan::VIP,
            lan_side = lan::subnet(),
        ),
    )?;
    netns::ip_batch(
        &internet,
        &format!(
            "link set lo up\n\
             addr add {telephone}/24 dev eth0\n\
             link set eth0 up\n\
             route add default via {gateway}\n",
            telephone = lan::TELEPHONE,
            gateway = lan::GATEWAY,
        ),
    )
}

/// Makes the port of the switch that a machine is plugged into.
///
/// # Errors
/// The port exists.
pub fn add_tap(host: &Host) -> Result<Tap, Error> {
    let tap = Tap::add(netns::lan(), port(host.short))?;
    let device = &tap.device;
    netns::ip_batch(
        &netns::lan(),
        &format!("link set {device} master {BRIDGE} up\n"),
    )?;
    Ok(tap)
}

fn port(short: &str) -> String {
    format!("port-{short}")
}

/// The machines that are cut off, by their short names.
#[derive(Debug, Default)]
pub struct Lan {
    partitioned: Mutex<BTreeSet<String>>,
}

impl Lan {
    /// Cuts a machine off from the other machines, or joins it again. The router still reaches it.
    ///
    /// # Errors
    /// `nft` fails.
    pub fn set_partitioned(&self, short: &str, cut: bool) -> Result<(), Error> {
        let mut partitioned = self
            .partitioned
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if cut {
            partitioned.insert(short.to_owned());
        } else {
            partitioned.remove(short);
        }
        netns::nft(&netns::lan(), &ruleset(&partitioned))
    }

    /// Short names of the machines that are cut off.
    pub fn partitioned(&self) -> BTreeSet<String> {
        self.partitioned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The whole packet filter of the switch, replaced in one transaction.
fn ruleset(partitioned: &BTreeSet<String>) -> String {
    let mut passage = String::new();
    for short in partitioned {
        let port = port(short);
        let _ = write!(
            passage,
            "iifname {port} oifname \"port-*\" drop\noifname {port} iifname \"port-*\" drop\n"
        );
    }
    format!(
        "add table bridge switch\ndelete table bridge switch\ntable bridge switch {{\n\
         chain passage {{ type filter hook forward priority filter; policy accept;\n{passage}}}\n}}\n"
    )
}
