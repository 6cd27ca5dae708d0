#![allow(clippy::unwrap_used)]

use super::*;

const ACTIVE: &str =
    "mounted /var/lib/portsip /dev/nvme1n1 xfs disk\ndevice 4294967296\nblocks 4096 1048576\n";

fn texts(todo: &[Todo]) -> Vec<String> {
    todo.iter().map(Todo::text).collect()
}

#[test]
fn sizes_are_understood_as_people_write_them() {
    for (text, wanted) in [("200", 200), ("200G", 200), ("200GiB", 200), ("2T", 2048)] {
        assert_eq!(gib(text), Ok(wanted));
    }
    for text in [
        "",
        "0",
        "G",
        "-5",
        "200M",
        "70000",
        "vars.yml",
        "9999999999T",
    ] {
        assert!(gib(text).is_err(), "{text}");
    }
}

#[test]
fn a_file_system_that_has_its_whole_device_is_left() {
    let active = Seen::parse("n1", ACTIVE);
    assert_eq!(todo(&active, &[], None, Some(4)).unwrap(), []);
    assert_eq!(todo(&active, &[], Some(4), Some(4)).unwrap(), []);
}

#[test]
fn what_ec2_has_made_larger_already_is_taken_over_by_the_file_system_alone() {
    let active = Seen::parse(
        "n1",
        &ACTIVE.replace("device 4294967296", "device 6442450944"),
    );
    let todo = todo(&active, &[], None, None).unwrap();
    assert_eq!(
        texts(&todo),
        ["have the file system at /var/lib/portsip take over the new size: n1"]
    );
    let (node, command) = todo[0].command().unwrap();
    assert_eq!(
        (node, command.script.as_str()),
        ("n1", "xfs_growfs -d '/var/lib/portsip'")
    );
}

#[test]
fn a_size_has_ec2_make_the_volume_larger_first_and_never_smaller() {
    let active = Seen::parse("n1", ACTIVE);
    let found = todo(&active, &[], Some(6), Some(4)).unwrap();
    assert_eq!(found[0], Todo::Volume { from: 4, to: 6 });
    assert!(found[0].command().is_none());
    assert_eq!(found.len(), 2);
    let refused = todo(&active, &[], Some(3), Some(4)).unwrap_err();
    assert!(refused.text.contains("not made smaller"), "{refused}");
    // An interrupted run has begun it: EC2 has the size, and the device does not show it yet.
    assert_eq!(todo(&active, &[], Some(6), Some(6)).unwrap(), []);
}

#[test]
fn what_cannot_follow_the_volume_is_said_before_ec2_is_asked() {
    for (kind, said) in [
        ("xfs part", "growpart"),
        ("xfs crypt", "cryptsetup"),
        ("btrfs disk", "btrfs"),
    ] {
        let active = Seen::parse("n1", &ACTIVE.replace("xfs disk", kind));
        let refused = todo(&active, &[], Some(6), Some(4)).unwrap_err();
        assert!(refused.text.contains(said), "{refused}");
    }
    // The volume is larger already, and the partition is not.
    let part = Seen::parse("n1", &ACTIVE.replace("xfs disk", "xfs part"));
    let refused = todo(&part, &[], None, Some(6)).unwrap_err();
    assert!(refused.text.contains("growpart"), "{refused}");
    assert_eq!(todo(&part, &[], None, Some(4)).unwrap(), []);
    // Now it is, and the file system is not.
    let text = ACTIVE
        .replace("xfs disk", "xfs part")
        .replace("device 4294967296", "device 6442450944");
    assert_eq!(
        todo(&Seen::parse("n1", &text), &[], None, Some(6))
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn data_that_is_not_here_is_left() {
    let refused = todo(&Seen::parse("n1", ""), &[], None, None).unwrap_err();
    assert!(refused.text.contains("not mounted on n1"), "{refused}");
}

const MIB: u64 = 1 << 20;

/// A node of a LAN. The disk below LVM has become larger by `grown`.
fn lan(node: &str, volume: u64, free: u64, grown: u64) -> Seen {
    let (extents, begins) = ((volume + free) / (4 * MIB), MIB);
    let disk = begins + volume + free + grown;
    Seen::parse(
        node,
        &format!(
            "resource pbxdata\nholder n1\nholder n2\nconnection Connected\ncopy UpToDate\ncopy UpToDate\n\
             volume pbxvg pbxlv {volume} {free} {}\ndisk /dev/sdb {extents} {begins} {disk}\n",
            4 * MIB
        ),
    )
}

/// The same, with the file system on a device of this size.
fn active(device: u64, volume: u64, free: u64, grown: u64) -> Seen {
    let mut seen = lan("n1", volume, free, grown);
    let text = format!(
        "mounted /var/lib/portsip /dev/drbd1 xfs disk\ndevice {device}\nblocks 4096 {}\n",
        device / 4096
    );
    seen.mounted = Seen::parse("n1", &text).mounted;
    seen
}

#[test]
fn on_a_lan_every_copy_grows_then_drbd_then_the_file_system() {
    let first = active(4096 * MIB - 160 * 1024, 4096 * MIB, 2048 * MIB, 0);
    // The rest of an extent cannot be used.
    let second = lan("n2", 4096 * MIB, 0, 4096 * MIB + 3 * MIB);
    let found = todo(&first, &[&second], Some(6), None).unwrap();
    assert_eq!(
        texts(&found),
        [
            "make pbxvg/pbxlv 6144 MiB large: n1",
            "have LVM take over the new size of /dev/sdb: n2",
            "make pbxvg/pbxlv 6144 MiB large: n2",
            "have DRBD's pbxdata take over the new size: n1",
            "have the file system at /var/lib/portsip take over the new size: n1",
        ]
    );
    let commands: Vec<(&str, String)> = found
        .iter()
        .filter_map(Todo::command)
        .map(|(node, command)| (node, command.script))
        .collect();
    assert_eq!(
        commands[..4],
        [
            ("n1", "lvextend --size 6442450944b 'pbxvg/pbxlv'".to_owned()),
            ("n2", "pvresize '/dev/sdb'".to_owned()),
            ("n2", "lvextend --size 6442450944b 'pbxvg/pbxlv'".to_owned()),
            (
                "n1",
                "drbdadm -- --assume-clean resize 'pbxdata'".to_owned()
            ),
        ]
    );
    // Without a size: as large as the smaller of them can be.
    let without = todo(&first, &[&second], None, None).unwrap();
    assert_eq!(texts(&without), texts(&found));
    let refused = todo(&first, &[&second], Some(8), None).unwrap_err();
    assert!(refused.text.contains("n1 can have 6144 MiB"), "{refused}");
    assert!(!refused.text.contains("n2 can"), "{refused}");
    let refused = todo(&first, &[&second], Some(2), None).unwrap_err();
    assert!(refused.text.contains("not made smaller"), "{refused}");
}

#[test]
fn copies_that_have_all_there_is_are_left() {
    // LVM's first mebibyte, and the rest of an extent.
    let first = active(4096 * MIB - 160 * 1024, 4096 * MIB, 0, 3 * MIB);
    let second = lan("n2", 4096 * MIB, 0, 0);
    assert_eq!(todo(&first, &[&second], None, None).unwrap(), []);
    assert_eq!(todo(&first, &[&second], Some(4), None).unwrap(), []);
    // Only the standby's disk has become larger.
    let second = lan("n2", 4096 * MIB, 0, 4096 * MIB);
    assert_eq!(todo(&first, &[&second], None, None).unwrap(), []);
}

#[test]
fn an_interrupted_growth_goes_on_where_it_was() {
    let old = 4096 * MIB - 160 * 1024;
    let first = active(old, 6144 * MIB, 0, 0);
    let second = lan("n2", 4096 * MIB, 2048 * MIB, 0);
    let found = todo(&first, &[&second], None, None).unwrap();
    assert_eq!(texts(&found)[0], "make pbxvg/pbxlv 6144 MiB large: n2");
    assert_eq!(found.len(), 3);
    let second = lan("n2", 6144 * MIB, 0, 0);
    let found = todo(&first, &[&second], None, None).unwrap();
    assert!(matches!(found[0], Todo::Drbd { .. }), "{found:?}");
    assert_eq!(found.len(), 2);
    // DRBD has grown, and the file system has not.
    let mut first = active(6144 * MIB - 224 * 1024, 6144 * MIB, 0, 0);
    assert_eq!(todo(&first, &[&second], None, None).unwrap(), []);
    first.mounted.as_mut().unwrap().used = old;
    let found = todo(&first, &[&second], None, None).unwrap();
    assert!(matches!(found[..], [Todo::FileSystem { .. }]), "{found:?}");
}

#[test]
fn copies_that_are_not_whole_or_not_all_known_do_not_grow() {
    let first = active(4096 * MIB, 4096 * MIB, 2048 * MIB, 0);
    let second = lan("n2", 4096 * MIB, 2048 * MIB, 0);
    let changes: [fn(&mut Copy); 4] = [
        |copy| copy.states.connections[0] = "WFConnection".to_owned(),
        |copy| copy.states.disks[1] = "Inconsistent".to_owned(),
        |copy| copy.states.disks[0] = "Diskless".to_owned(),
        |copy| copy.states.connections.clear(),
    ];
    for change in changes {
        let mut changed = first.clone();
        change(changed.copy.as_mut().unwrap());
        let refused = todo(&changed, &[&second], None, None).unwrap_err();
        assert!(refused.text.contains("DRBD grows only then"), "{refused}");
    }
    let refused = todo(&first, &[], None, None).unwrap_err();
    assert!(refused.text.contains("n2 has a copy"), "{refused}");
}
