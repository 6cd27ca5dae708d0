//! `copies.sh` with everything that it calls replaced: what it does to a disk, and what it never does.
#![allow(clippy::unwrap_used)]

use super::super::samples::lan;
use super::super::sandbox::{Ran, Sandbox};
use super::*;

/// A stock node: an empty disk, a kernel with DRBD, nothing else.
fn stock() -> Sandbox {
    let node = Sandbox::new();
    node.write("disk", "");
    node.write("disk.signatures", "");
    node.write("backing.signatures", "");
    node.write("metadata", "none");
    node.write("layout", "");
    node.write("volumes", "");
    node.write("states", "");
    node.write("states.up", "Inconsistent/DUnknown");
    // The beginning of a copy has no metadata of DRBD.
    node.tool(
        "dd",
        r#"[ ! -e "$fake/unreadable" ] || exit 1
        of=${2#of=}; [ "$of" = /dev/null ] || { grep -v drbd "$fake/backing.signatures" >"$of.signatures"; : >"$of"; }"#,
    );
    for (tool, status) in [("blkid", "[ -s $file ] || exit 2"), ("wipefs", "cat $file")] {
        node.tool(
            tool,
            &format!(
                "[ ! -e \"$fake/$(basename \"$0\").fails\" ] || exit 1
                 for last; do :; done; file=$fake/${{last##*/}}.signatures; {status}"
            ),
        );
    }
    node.tool("pvs", "cat \"$fake/layout\"");
    node.tool("lvs", "cat \"$fake/volumes\"");
    node.tool(
        "vgcreate",
        "note vgcreate; echo \"  $2:$1\" >\"$fake/layout\"",
    );
    node.tool("lvcreate", "note lvcreate; : >\"$fake/backing\"");
    node.tool("modprobe", ":");
    node.tool("systemctl", "exit 1");
    node.tool("sleep", ":");
    node.tool("cib-gen", "echo 'resource pbxdata'");
    node.tool(
        "drbdadm",
        r#"case $* in
        dstate*) [ -s "$fake/states" ] && cat "$fake/states" ;;
        *' dump '*) config=${1#--config-file=}; cat "$config" ;;
        *dump-md*) case $(cat "$fake/metadata") in
            there) echo 'version "v08";' ;;
            none) echo 'No valid meta data found' >&2; exit 255 ;;
            *) cat "$fake/metadata" >&2; exit 255 ;;
            esac ;;
        create-md*) note create-md; echo there >"$fake/metadata"; echo drbd >"$fake/backing.signatures" ;;
        adjust*) note adjust; cp "$fake/states.up" "$fake/states" ;;
        *) note "drbdadm $*" ;;
        esac"#,
    );
    node
}

fn ran(node: &Sandbox) -> Ran {
    let Some(drbd) = lan().drbd().cloned() else {
        unreachable!("a LAN has DRBD")
    };
    let path = |name: &str| node.path(name).display().to_string();
    let script = make(&lan(), &drbd).script;
    let script = script
        .replace(
            "backing=/dev/$group/$volume",
            &format!("backing={}", path("backing")),
        )
        .replace("/var/lib/portsip-ha", &path("."))
        .replace("/etc/drbd.d", &path("."))
        .replace("/dev/sdb", &path("disk"))
        .replace("[ -b ", "[ -e ")
        // What is written beside DRBD's file.
        .replace("wanted=$state/$resource.res", "wanted=$state/wanted.res");
    node.run(&script)
}

#[test]
fn an_empty_disk_becomes_a_copy_and_a_second_run_makes_nothing() {
    let node = stock();
    let first = ran(&node);
    assert!(first.succeeded, "{first:?}");
    assert_eq!(
        first.called,
        ["vgcreate", "lvcreate", "create-md", "adjust"]
    );
    // After a reboot.
    node.write("states", "");
    for _ in 0..2 {
        let again = ran(&node);
        assert!(again.succeeded, "{again:?}");
        assert_eq!(again.called, ["adjust"]);
    }
}

#[test]
fn a_disk_that_holds_anything_is_left_as_it_is() {
    for (signatures, layout) in [
        ("gpt\n", ""),
        ("xfs\n", ""),
        ("LVM2_member\n", "  DISK:other\n"),
        ("LVM2_member\n", "  DISK:\n"),
        ("", "  /dev/other:pbxvg\n"),
    ] {
        let node = stock();
        node.write("disk.signatures", signatures);
        let disk = node.path("disk").display().to_string();
        node.write("layout", &layout.replace("DISK", &disk));
        let ran = ran(&node);
        assert!(!ran.succeeded, "{signatures}{layout}");
        assert!(ran.said.starts_with("error: "), "{ran:?}");
        assert_eq!(ran.called, Vec::<String>::new(), "{signatures}{layout}");
    }
}

#[test]
fn what_cannot_be_looked_at_may_hold_data() {
    for broken in ["unreadable", "blkid.fails", "wipefs.fails"] {
        let node = stock();
        node.write(broken, "");
        let ran = ran(&node);
        assert!(!ran.succeeded, "{broken}");
        assert_eq!(ran.called, Vec::<String>::new(), "{broken}");
    }
}

#[test]
fn what_an_earlier_run_has_begun_is_continued() {
    let node = stock();
    let disk = node.path("disk").display().to_string();
    node.write("layout", &format!("  {disk}:\n"));
    node.write("disk.signatures", "LVM2_member\n");
    node.write("pbxdata.disk", &format!("{disk}\n"));
    assert_eq!(
        ran(&node).called,
        ["vgcreate", "lvcreate", "create-md", "adjust"]
    );
    let node = stock();
    let disk = node.path("disk").display().to_string();
    node.write("layout", &format!("  {disk}:pbxvg\n"));
    node.write("disk.signatures", "LVM2_member\n");
    assert_eq!(ran(&node).called, ["lvcreate", "create-md", "adjust"]);
    node.write("states", "");
    node.write("metadata", "none");
    node.write("backing.signatures", "");
    assert_eq!(ran(&node).called, ["create-md", "adjust"]);
}

#[test]
fn a_group_with_other_volumes_is_left_as_it_is() {
    let node = stock();
    let disk = node.path("disk").display().to_string();
    node.write("layout", &format!("  {disk}:pbxvg\n"));
    node.write("volumes", "  theirs\n");
    let ran = ran(&node);
    assert!(!ran.succeeded && ran.called.is_empty(), "{ran:?}");
    assert!(ran.said.contains("other volumes"), "{ran:?}");
}

#[test]
fn metadata_is_never_made_where_anything_is() {
    for (signatures, metadata) in [
        ("xfs\n", "none"),
        // Metadata that DRBD does not find where it belongs.
        ("drbd\n", "none"),
        ("xfs\ndrbd\n", "none"),
        ("", "some other error"),
    ] {
        let node = stock();
        node.write("backing", "");
        node.write("backing.signatures", signatures);
        node.write("metadata", metadata);
        let ran = ran(&node);
        assert!(!ran.succeeded, "{signatures} {metadata}");
        assert_eq!(ran.called, Vec::<String>::new(), "{signatures} {metadata}");
    }
}

#[test]
fn metadata_that_is_there_is_kept() {
    for metadata in [
        "there",
        "Found meta data is \"unclean\", please apply-al first",
    ] {
        let node = stock();
        node.write("backing", "");
        node.write("backing.signatures", "xfs\ndrbd\n");
        node.write("metadata", metadata);
        node.write("states.up", "UpToDate/UpToDate");
        let ran = ran(&node);
        assert!(ran.succeeded, "{ran:?}");
        assert_eq!(ran.called, ["adjust"], "{metadata}");
    }
}

#[test]
fn a_new_copy_beside_other_data_only_follows_a_whole_one() {
    for (states, may) in [
        ("Inconsistent/Inconsistent", false),
        ("Inconsistent/DUnknown", false),
        ("Inconsistent/UpToDate", true),
        ("Inconsistent/Inconsistent/UpToDate", true),
    ] {
        let node = stock();
        node.write("backing", "");
        node.write("backing.signatures", "xfs\ndrbd\n");
        node.write("metadata", "there");
        node.write("states.up", states);
        let ran = ran(&node);
        assert_eq!(ran.succeeded, may, "{states}: {ran:?}");
        assert_eq!(ran.called, ["adjust"]);
    }
}

#[test]
fn a_file_with_other_storage_is_replaced_only_where_nothing_is_in_use_with_it() {
    let node = stock();
    node.write("pbxdata.res", "resource theirs");
    let fresh = ran(&node);
    assert!(fresh.succeeded, "{fresh:?}");
    let read = |name: &str| std::fs::read_to_string(node.path(name)).unwrap();
    assert_eq!(read("pbxdata.res"), "resource pbxdata\n");
    assert_eq!(read("pbxdata.res.old"), "resource theirs");
    node.write("pbxdata.res", "resource theirs");
    for states in ["", "UpToDate/UpToDate"] {
        node.write("states", states);
        let used = ran(&node);
        assert!(!used.succeeded && used.called.is_empty(), "{used:?}");
        assert_eq!(read("pbxdata.res"), "resource theirs");
    }
}

#[test]
fn nothing_is_forced() {
    let drbd = lan().drbd().cloned().unwrap();
    let script = make(&lan(), &drbd).script;
    let commands = script.lines().map(str::trim);
    for line in commands.filter(|line| !line.starts_with('#')) {
        for word in [
            "--force",
            "--yes",
            " -y",
            "mkfs",
            "primary",
            "invalidate",
            "discard",
        ] {
            assert!(!line.contains(word), "{line}");
        }
    }
    let nine = Drbd {
        version: DrbdVersion::Nine,
        ..drbd
    };
    assert!(
        make(&lan(), &nine)
            .script
            .contains("create-md --max-peers=8'")
    );
    insta::assert_snapshot!(script.split("# One copy").next().unwrap());
}

#[test]
fn a_kernel_with_another_drbd_is_refused_before_anything_is_changed() {
    let deployment = |printed: &str| Deployment {
        site: lan(),
        vars: String::new(),
        package: None,
        certificate_manager: false,
        nodes: ["pbx01", "pbx02", "pbx03"]
            .map(crate::reach::test_node)
            .into(),
        facts: vec![Facts::parse(printed); 3],
        pending: None,
    };
    let site = lan();
    let drbd = site.drbd().unwrap();
    assert!(refuse(&deployment("drbd 8.4.11\n"), drbd).is_ok());
    let refused = refuse(&deployment("drbd \n"), drbd).unwrap_err();
    assert!(
        refused.text.contains("pbx01: the kernel has no DRBD"),
        "{refused}"
    );
    assert!(!refused.text.contains("pbx03"), "it only votes: {refused}");
    assert!(refuse(&deployment("drbd 9.2.18\n"), drbd).is_err());
}
