//! What is special to a site on a LAN.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::Resolver;
use crate::ids::{DiskPath, FenceAgent, FencingOptions, Size};
use crate::mistake::Code;
use crate::vars::{FencingAction, LanVars};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanSite {
    pub vip: Ipv4Addr,
    /// The addresses of the LAN, if vars.yml names them.
    pub subnet: Option<Ipv4Net>,
    /// The disk on each node that holds the data.
    pub disk: DiskPath,
    pub size: Size,
    pub fencing: LanFencing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LanFencing {
    /// A watchdog in each node resets it when it has lost the others (diskless SBD).
    Watchdog,
    /// A fence agent.
    Agent {
        agent: FenceAgent,
        action: FencingAction,
        /// Options of every device.
        options: FencingOptions,
        /// Options of a device for each node, in the order of the nodes; empty where one
        /// device is there for all.
        of_nodes: Vec<FencingOptions>,
    },
    /// Not at all, because the user asked for it by name.
    None,
}

/// What LVM takes of a disk for itself: its label and metadata at the start, and the rest of
/// the last extent of 4 MiB (lvm.conf(5), pvcreate(8)).
const LVM: u64 = 8 << 20;

impl Resolver<'_> {
    /// The site, if nothing of it is unknown.
    pub(super) fn lan_site(&mut self, lan: &LanVars) -> Option<LanSite> {
        let subnet = self.vars.shared.subnet_cidr.as_ref().map(|c| c.value.0);
        self.check_virtual_address(&lan.vip, subnet, reserved);
        self.check_size(lan);
        Some(LanSite {
            vip: lan.vip.value,
            subnet,
            disk: lan.pbx_datapath_disk.value.clone(),
            size: lan.pbx_datapath_size.value.clone(),
            fencing: self.lan_fencing(lan)?,
        })
    }

    /// The size fits the disk, if the disk could be looked at.
    fn check_size(&mut self, lan: &LanVars) {
        let Some(disk) = &self.known.disk else { return };
        let size = &lan.pbx_datapath_size;
        let usable = disk.bytes.saturating_sub(LVM);
        if size.value.bytes() > usable {
            let (device, node) = (&lan.pbx_datapath_disk.value, &disk.node);
            let found = format!(
                "{} is more than {device} on {node} can hold: it has {} MiB, of which LVM takes up to 8",
                size.value,
                disk.bytes >> 20
            );
            let help = format!(
                "write {}M or less, and no more than the smallest disk of the nodes has",
                usable >> 20
            );
            self.mistake(Code::DiskTooSmall, size, found, help);
        }
    }
}

/// A network's first address names it, and its last is for all (RFC 919); a /31 or /32 has
/// neither (RFC 3021).
fn reserved(subnet: Ipv4Net, address: Ipv4Addr) -> Option<&'static str> {
    let edge =
        subnet.prefix_len() < 31 && (address == subnet.network() || address == subnet.broadcast());
    edge.then_some(
        "the first address of a subnet names it, and the last one is its broadcast address",
    )
}
