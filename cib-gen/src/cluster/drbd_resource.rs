//! The DRBD resource of a LAN site. Options and their meaning: drbd.conf-9.0(5), drbd.conf-8.4(5).

use super::builders::{members, setting};
use super::{Drbd, DrbdSection, Setting};
use crate::site::{LanFencing, LanSite, Site};
use crate::vars::DrbdVersion;

/// The vendor's name of the resource.
pub(super) const DATA: &str = "pbxdata";
/// The device that it becomes.
pub(super) const DEVICE: &str = "/dev/drbd1";

/// How many of the nodes have a copy of the data: the first ones.
pub(super) fn copies(site: &Site, place: &LanSite) -> usize {
    match place.drbd {
        DrbdVersion::Nine => site.nodes.len(),
        DrbdVersion::EightFour => 2,
    }
}

pub(super) fn resource(site: &Site, place: &LanSite) -> Drbd {
    let fenced = place.fencing != LanFencing::None;
    let mut peers = members(site);
    peers.truncate(copies(site, place));
    let section = |name, options| DrbdSection { name, options };
    let sections = |fenced| match place.drbd {
        DrbdVersion::Nine => vec![
            section("options", quorum(fenced)),
            section("disk", vec![resync()]),
            section("net", net(fenced, place.drbd)),
        ],
        DrbdVersion::EightFour => vec![
            section("disk", vec![fencing(), resync()]),
            section("handlers", handlers()),
            section("net", net(fenced, place.drbd)),
        ],
    };
    Drbd {
        version: place.drbd,
        name: DATA,
        device: DEVICE,
        minor: 1,
        disk: place.disk.to_string(),
        volume_group: "pbxvg",
        logical_volume: "pbxlv",
        size: place.size.to_string(),
        port: 7789,
        peers,
        sections: sections(fenced),
        otherwise: sections(!fenced),
    }
}

/// What a node does that sees no majority of its peers.
///
/// Writes that wait lose nothing in a short outage of the network, and errors do: XFS shuts down at the
/// first one. But a process whose write waits cannot be ended, so waiting is right only where a node that
/// does not come back is fenced.
fn quorum(fenced: bool) -> Vec<Setting> {
    let mut options = vec![setting("quorum", "majority").because(
        "a node that sees no majority of its peers does not write, whatever else goes wrong",
    )];
    if fenced {
        options.push(setting("on-no-quorum", "suspend-io").because(
            "its writes wait. An outage of the network of a second or two, which Corosync does \
             not even notice, is a pause and no error; a node that is cut off for longer is \
             fenced. An error (io-error) would shut the file system down after the first \
             second, and end every call",
        ));
        options.push(
            setting("on-suspended-primary-outdated", "force-secondary").because(
                "if another node was promoted meanwhile, waiting writes get an error when the nodes \
                 meet again, and this copy follows (DRBD 9.1.7 or later)",
            ),
        );
    } else {
        options.push(setting("on-no-quorum", "io-error").because(
            "its writes fail. Nothing fences a node that is cut off (fencing: none), so it must \
             be able to stop by itself, and what waits for a disk cannot be stopped",
        ));
    }
    options.push(
        setting("auto-promote", "no")
            .because("Pacemaker alone promotes; a mount by hand on a standby must not"),
    );
    options
}

/// What a node does that loses its peer: DRBD 8.4 has no quorum, the cluster has.
fn fencing() -> Setting {
    setting("fencing", "resource-and-stonith").because(
        "a node that writes and has lost its peer freezes its writes and calls fence-peer. They go on when \
         the cluster has fenced the peer; on a node that is cut off they stay frozen until it is reset. So no \
         write is confirmed that the other node's takeover would lose",
    )
}

/// How fast a copy catches up, on a link of 1 Gbit/s and more, while the PBX goes on.
fn resync() -> Setting {
    setting("c-min-rate", "20M").because(
        "a second that a copy may catch up by while the PBX writes. A PBX always writes, and the default is 250K: 20 GB \
         would take a day, in which the copy is of no use",
    )
}

fn handlers() -> Vec<Setting> {
    let unfence = "\"/usr/lib/drbd/crm-unfence-peer.sh --role=Promoted\"";
    vec![
        setting("fence-peer", "\"/usr/lib/portsip-ha/drbd-fence-peer\"").because(
            "waits until the cluster has fenced the peer, and then forbids it to be promoted: a constraint \
             drbd-fence-by-handler-... keeps its old copy from use",
        ),
        setting("after-resync-target", unfence)
            .because("deletes the constraint when the copy is up to date again"),
        setting("unfence-peer", unfence).because("the same, asked for by Pacemaker's agent"),
    ]
}

fn net(fenced: bool, version: DrbdVersion) -> Vec<Setting> {
    let mut options = vec![
        setting("protocol", "C")
            .because("a write is done when every connected peer has it on its disk"),
    ];
    if fenced {
        options.extend([
            setting("ping-int", 1).because(
                "seconds until an idle connection is tested. A write waits for a standby that \
                 died until its loss is seen: about a second with these three, up to ten with \
                 the defaults",
            ),
            setting("timeout", 9)
                .because("tenths of a second that a peer has to answer; less than the other two"),
            setting("ko-count", 47).because(
                "times `timeout` that a write may take on a standby before that standby is \
                 dropped: 42 s, as with DRBD's own timeout and count. A disk that stalls for \
                 some seconds is no lost peer",
            ),
            setting("connect-int", 2).because(
                "seconds between attempts to connect: how long a pause outlasts an outage of \
                 the network",
            ),
        ]);
    }
    if fenced && version == DrbdVersion::Nine {
        options.push(
            setting("rr-conflict", "retry-connect")
                .because("a node whose writes waited connects again when it is no longer primary"),
        );
    }
    options.extend([
        setting("after-sb-0pri", "discard-zero-changes")
            .because("after a split, a copy that has not changed follows the one that has"),
        match version {
            DrbdVersion::Nine => setting("after-sb-1pri", "discard-secondary").because(
                "and the copy in use goes before one that is not: without quorum nothing was confirmed there",
            ),
            DrbdVersion::EightFour => setting("after-sb-1pri", "disconnect").because(
                "two copies that have both changed wait for a person: without a quorum of DRBD's own, both may \
                 have writes that were confirmed",
            ),
        },
        setting("after-sb-2pri", "disconnect")
            .because("two copies that were both in use wait for a person"),
        setting("verify-alg", "sha1").because("what `drbdadm verify` compares copies by"),
    ]);
    options
}
