//! `ha-ctl grow`: the logical volumes, DRBD and the file system become larger while clients write and call.

use std::time::{Duration, SystemTime};

use lab::demo::operator;
use lab::site::Host;

use super::super::cluster::{Clients, Cluster, text};

/// Nothing is stopped. LVM and DRBD hold writes for a moment, and these kernels are slow.
const UNNOTICED: Duration = Duration::from_secs(2);

#[test]
fn the_data_grows_under_load() {
    let cluster = Cluster::up();
    let (active, standby) = cluster.active_and_standby();
    for node in [active, standby] {
        operator::put_key(&cluster.own.lab, node).unwrap();
    }
    let size = |node: &Host| cluster.sh(node, "blockdev --getsize64 /dev/pbxvg/pbxlv");
    let (before, room) = (mib(&size(active)), mib(&room(&cluster, standby)));
    let wanted = before / 1024 + 1;
    assert!(
        wanted * 1024 <= before + room,
        "no room: {before} MiB and {room} MiB"
    );

    let refused = cluster.ha_ctl(active, &format!("grow {} --yes", wanted + 100));
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(
        text(&refused).contains("there is no room"),
        "{}",
        text(&refused)
    );
    let planned = cluster.ha_ctl(standby, &format!("grow {wanted}"));
    println!("{}", text(&planned));
    assert_eq!(planned.status.code(), Some(3), "{}", text(&planned));

    // An earlier run has ended after its first step, and then that node loses its power: DRBD's metadata is at the end
    // of a volume that was smaller.
    cluster.sh(standby, &format!("lvextend --size {wanted}G pbxvg/pbxlv"));
    cluster.own.lab.power_off(standby).unwrap();
    cluster.is_offline(standby, active);
    cluster.own.lab.power_on(standby).unwrap();
    cluster.comes_back(standby, active);

    let clients = Clients::start(&cluster);
    let asked = SystemTime::now();
    let grown = cluster.ha_ctl(standby, &format!("grow {wanted} --yes"));
    println!("{}", text(&grown));
    assert!(grown.status.success(), "{}", text(&grown));
    cluster.copies_are_whole(active);
    clients.are_served_after(SystemTime::now());
    let seen = clients.finish("the data grows", asked, standby);
    for (what, gap) in [("rows", &seen.without_rows), ("SIP", &seen.without_sip)] {
        assert!(gap.length() < UNNOTICED, "{what}: {:?}", gap.length());
    }
    assert_eq!(size(active), size(standby));
    let has = has(&cluster, active);
    // DRBD's metadata is a small part of it, and XFS has its log there.
    assert!(
        has > wanted * 1024 * 9 / 10,
        "the file system has {has} MiB"
    );
    let again = cluster.ha_ctl(active, &format!("grow {wanted} --dry-run"));
    assert!(text(&again).contains("nothing to do"), "{}", text(&again));

    // The other copy has grown too.
    cluster.sh(active, &format!("pcs node standby {}", active.hostname));
    assert_eq!(cluster.active_instead_of(active, standby), standby);
    cluster.sh(standby, &format!("pcs node unstandby {}", active.hostname));
    cluster.copies_are_whole(standby);
    assert_eq!(self::has(&cluster, standby), has);
}

/// What the volume group has left, in bytes.
fn room(cluster: &Cluster, node: &Host) -> String {
    let free = "vgs --noheadings --nosuffix --units b --options vg_free pbxvg";
    cluster.sh(node, free)
}

/// The size of the file system, in MiB.
fn has(cluster: &Cluster, node: &Host) -> u64 {
    let size = "findmnt --bytes --noheadings --output SIZE /var/lib/portsip";
    mib(&cluster.sh(node, size))
}

fn mib(bytes: &str) -> u64 {
    bytes.trim().parse::<u64>().unwrap() >> 20
}
