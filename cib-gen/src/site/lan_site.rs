//! What is special to a site on a LAN.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Resolver, value_or};
use crate::ids::{DiskPath, FenceAgent, FencingOptions, Size};
use crate::mistake::Code;
use crate::vars::{DrbdVersion, FencingAction, LanFencingWord, LanVars};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanSite {
    pub vip: Ipv4Addr,
    /// The addresses of the LAN, if vars.yml names them.
    pub subnet: Option<Ipv4Net>,
    /// The disk on each node that holds the data.
    pub disk: DiskPath,
    pub size: Size,
    pub drbd: DrbdVersion,
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
        self.check_drbd(lan);
        Some(LanSite {
            vip: lan.vip.value,
            subnet,
            disk: lan.pbx_datapath_disk.value.clone(),
            size: lan.pbx_datapath_size.value.clone(),
            drbd: value_or(&lan.drbd, DrbdVersion::Nine),
            fencing: self.lan_fencing(lan)?,
        })
    }

    /// DRBD 8.4 has two copies of the data and no quorum of its own: a third node decides which of the two
    /// goes on, and the other one is fenced.
    fn check_drbd(&mut self, lan: &LanVars) {
        let Some(drbd) = &lan.drbd else { return };
        if drbd.value == DrbdVersion::Nine {
            return;
        }
        let count = self.nodes.len();
        if count > 3 {
            let found = format!(
                "DRBD 8.4 has two copies of the data: with {count} nodes the PBX tolerates no more failures than \
                 with three"
            );
            let help = "name three nodes (pbx01 and pbx02 with the data, pbx03 as a voter), or write `drbd: 9`";
            self.mistake(Code::Contradiction, drbd, found, help);
        }
        let mut fencing = lan.fencing.iter();
        if fencing.any(|fencing| fencing.value == LanFencingWord::None) {
            let found = "DRBD 8.4 needs fencing: it has no quorum, so a node that is cut off would go on writing, \
                and the two copies could never be joined again";
            let help = "delete `fencing: none` to have a watchdog reset a lost node (`fencing: sbd`), or name a \
                fence agent; or write `drbd: 9`";
            self.mistake(Code::Contradiction, drbd, found, help);
        }
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
