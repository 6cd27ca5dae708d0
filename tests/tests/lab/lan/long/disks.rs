//! Disks: one that is full, and one that returns errors.

use std::time::{Duration, Instant, SystemTime};

use super::super::cluster::{Clients, Cluster};

/// Every agent looks several times meanwhile.
const SOME_MONITORS: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_secs(5);

/// The data is on every copy, so moving would not help: the PBX answers, and goes on when there is space again.
#[test]
fn a_disk_that_is_full() {
    let cluster = Cluster::up();
    let active = cluster.active();
    let clients = Clients::start(&cluster);
    let filled = SystemTime::now();
    let said = cluster.sh(
        active,
        "! dd if=/dev/zero of=/var/lib/portsip/fill bs=1M conv=fsync 2>&1",
    );
    assert!(said.contains("No space left"), "{said}");
    let end = Instant::now() + SOME_MONITORS;
    while Instant::now() < end {
        assert_eq!(
            cluster.active(),
            active,
            "a full disk is full on every node"
        );
        std::thread::sleep(POLL);
    }
    cluster.sh(active, "rm /var/lib/portsip/fill");
    let now = cluster.active();
    clients.are_served_after(SystemTime::now());
    clients.finish("disk full", filled, cluster.standby(now));
}

/// The active node's disk returns errors: DRBD lets go of it, and the data is served from the other copy.
#[test]
fn a_disk_that_returns_errors() {
    let cluster = Cluster::up();
    let active = cluster.active();
    let clients = Clients::start(&cluster);
    let broken = SystemTime::now();
    cluster.disk_returns_errors(active);
    let standby = cluster.standby(active);
    let now = cluster.active_instead_of(active, standby);
    assert_eq!(now, standby);
    clients.are_served_after(SystemTime::now());
    cluster.sh(
        active,
        "set -e
         dmsetup load pbxvg-pbxlv </root/table
         dmsetup suspend --noflush --nolockfs pbxvg-pbxlv
         dmsetup resume pbxvg-pbxlv
         drbdadm attach pbxdata",
    );
    cluster.copies_are_whole(now);
    clients.are_served_after(SystemTime::now());
    clients.finish("disk errors", broken, standby);
}
