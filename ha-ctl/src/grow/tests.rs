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
    assert_eq!(todo(&active, None, Some(4)).unwrap(), []);
    assert_eq!(todo(&active, Some(4), Some(4)).unwrap(), []);
}

#[test]
fn what_ec2_has_made_larger_already_is_taken_over_by_the_file_system_alone() {
    let active = Seen::parse(
        "n1",
        &ACTIVE.replace("device 4294967296", "device 6442450944"),
    );
    let todo = todo(&active, None, None).unwrap();
    assert_eq!(
        texts(&todo),
        ["have the file system at /var/lib/portsip take over the new size: n1"]
    );
    let command = todo[0].command().unwrap();
    assert_eq!(command.script, "xfs_growfs -d '/var/lib/portsip'");
}

#[test]
fn a_size_has_ec2_make_the_volume_larger_first_and_never_smaller() {
    let active = Seen::parse("n1", ACTIVE);
    let found = todo(&active, Some(6), Some(4)).unwrap();
    assert_eq!(found[0], Todo::Volume { from: 4, to: 6 });
    assert!(found[0].command().is_none());
    assert_eq!(found.len(), 2);
    let refused = todo(&active, Some(3), Some(4)).unwrap_err();
    assert!(refused.text.contains("not made smaller"), "{refused}");
    // An interrupted run has begun it: EC2 has the size, and the device does not show it yet.
    assert_eq!(todo(&active, Some(6), Some(6)).unwrap(), []);
}

#[test]
fn what_cannot_follow_the_volume_is_said_before_ec2_is_asked() {
    for (kind, said) in [
        ("xfs part", "growpart"),
        ("xfs crypt", "cryptsetup"),
        ("btrfs disk", "btrfs"),
    ] {
        let active = Seen::parse("n1", &ACTIVE.replace("xfs disk", kind));
        let refused = todo(&active, Some(6), Some(4)).unwrap_err();
        assert!(refused.text.contains(said), "{refused}");
    }
    // The volume is larger already, and the partition is not.
    let part = Seen::parse("n1", &ACTIVE.replace("xfs disk", "xfs part"));
    let refused = todo(&part, None, Some(6)).unwrap_err();
    assert!(refused.text.contains("growpart"), "{refused}");
    assert_eq!(todo(&part, None, Some(4)).unwrap(), []);
    // Now it is, and the file system is not.
    let text = ACTIVE
        .replace("xfs disk", "xfs part")
        .replace("device 4294967296", "device 6442450944");
    assert_eq!(
        todo(&Seen::parse("n1", &text), None, Some(6))
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn data_that_is_not_here_or_on_drbd_is_left() {
    let refused = todo(&Seen::parse("n1", ""), None, None).unwrap_err();
    assert!(refused.text.contains("not mounted on n1"), "{refused}");
    let drbd = Seen::parse("n1", &format!("{ACTIVE}resource pbxdata\n"));
    let refused = todo(&drbd, None, None).unwrap_err();
    assert!(refused.text.contains("docs/lan.md"), "{refused}");
}
