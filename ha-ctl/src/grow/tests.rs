#![allow(clippy::unwrap_used)]

use super::*;

const ACTIVE: &str =
    "mounted /var/lib/portsip /dev/nvme1n1 xfs disk\ndevice 4294967296\nblocks 4096 1048576\n";

fn lan(node: &str, mounted: bool, size: u64, free: u64, disk: (u64, u64)) -> Seen {
    let mut text = String::new();
    if mounted {
        let device = size - (1 << 20);
        text += &format!(
            "mounted /var/lib/portsip /dev/drbd0 xfs disk\ndevice {device}\nblocks 4096 {}\n",
            device / 4096
        );
    }
    text += &format!(
        "resource pbxdata\nconnection Connected\ncopy UpToDate\ncopy UpToDate\nvolume pbxvg pbxlv {size} {free} \
         4194304\ndisk /dev/sdb {} {}\n",
        disk.0, disk.1
    );
    Seen::parse(node, &text)
}

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
fn a_partition_and_an_unknown_file_system_are_left_to_a_person() {
    for (from, to, said) in [
        ("xfs disk", "xfs part", "growpart"),
        ("xfs disk", "btrfs disk", "btrfs"),
    ] {
        let text = ACTIVE
            .replace(from, to)
            .replace("device 4294967296", "device 6442450944");
        let refused = todo(&Seen::parse("n1", &text), &[], None, None).unwrap_err();
        assert!(refused.text.contains(said), "{refused}");
    }
    let nothing = todo(&Seen::parse("n1", ""), &[], None, None).unwrap_err();
    assert!(nothing.text.contains("not mounted on n1"), "{nothing}");
}

#[test]
fn on_a_lan_every_copy_grows_then_drbd_then_the_file_system() {
    let gib = 1 << 30;
    let full = (4 * gib, 4 * gib);
    let all = [
        lan("n1", true, 4 * gib, 2 * gib, full),
        lan("n2", false, 4 * gib, 0, (4 * gib, 8 * gib)),
    ];
    let found = todo(&all[0], &all, Some(6), None).unwrap();
    assert_eq!(
        texts(&found),
        [
            "make pbxvg/pbxlv 6.0 GiB large: n1",
            "take over the new size of /dev/sdb: n2",
            "make pbxvg/pbxlv 6.0 GiB large: n2",
            "have DRBD's pbxdata take over the new size: n1",
            "have the file system at /var/lib/portsip take over the new size: n1",
        ]
    );
    // Without a size: as large as the smaller of them can be.
    let found = todo(&all[0], &all, None, None).unwrap();
    assert_eq!(texts(&found)[0], "make pbxvg/pbxlv 6.0 GiB large: n1");
    let refused = todo(&all[0], &all, Some(8), None).unwrap_err();
    assert!(refused.text.contains("n1 can have 6.0 GiB"), "{refused}");
    let refused = todo(&all[0], &all, Some(2), None).unwrap_err();
    assert!(refused.text.contains("not made smaller"), "{refused}");
}

#[test]
fn an_interrupted_growth_goes_on_where_it_was() {
    let gib = 1 << 30;
    let full = (6 * gib, 6 * gib);
    // One has grown, the other has not.
    let mut all = [
        lan("n1", true, 6 * gib, 0, full),
        lan("n2", false, 4 * gib, 2 * gib, full),
    ];
    let of_4_gib = |seen: &mut Seen| {
        let mounted = seen.mounted.as_mut().unwrap();
        mounted.device_size = 4 * gib - (1 << 20);
        mounted.used = mounted.device_size;
    };
    of_4_gib(&mut all[0]);
    let found = todo(&all[0], &all, None, None).unwrap();
    assert_eq!(texts(&found)[0], "make pbxvg/pbxlv 6.0 GiB large: n2");
    assert_eq!(found.len(), 3);
    // Both have, and DRBD has not.
    all[1] = lan("n2", false, 6 * gib, 0, full);
    let found = todo(&all[0], &all, None, None).unwrap();
    assert!(matches!(found[0], Todo::Drbd { .. }), "{found:?}");
    // Nothing is left.
    let done = lan("n1", true, 6 * gib, 0, full);
    assert_eq!(todo(&done, &all, None, None).unwrap(), []);
}

#[test]
fn copies_that_are_not_whole_do_not_grow() {
    let gib = 1 << 30;
    let whole = lan("n1", true, 4 * gib, 2 * gib, (0, 0));
    for (connection, disk) in [("WFConnection", "UpToDate"), ("Connected", "Inconsistent")] {
        let mut active = whole.clone();
        let copy = active.copy.as_mut().unwrap();
        copy.connections = vec![connection.to_owned()];
        copy.disks[1] = disk.to_owned();
        let all = [active, whole.clone()];
        let refused = todo(&all[0], &all, None, None).unwrap_err();
        assert!(refused.text.contains("DRBD grows only then"), "{refused}");
    }
    // The other one did not answer.
    let refused = todo(&whole, std::slice::from_ref(&whole), None, None).unwrap_err();
    assert!(refused.text.contains("could not be looked at"), "{refused}");
}
