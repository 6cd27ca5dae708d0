//! `storage.sh` with everything that it calls replaced: what it does to a device, and what it never does.
#![allow(clippy::unwrap_used)]

use std::process::Command as Process;

use super::super::samples::{aws as site, lan};
use super::super::sandbox::{Ran, Sandbox};
use super::*;

/// What is on the volume, and how the commands answer.
struct Volume {
    /// What blkid prints, and how it ends.
    blkid: (&'static str, i32),
    /// What wipefs prints.
    wipefs: &'static str,
    /// The version of the data, where there is any.
    version: &'static str,
    /// The database's password in the data, where there is one.
    password: &'static str,
}

const EMPTY: Volume = Volume {
    blkid: ("", 2),
    wipefs: "",
    version: "",
    password: "",
};

/// What it called, and whether it succeeded.
fn called(volume: &Volume) -> (Vec<String>, bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let project = directory.path().join("project");
    for path in [&data, &project] {
        std::fs::create_dir(path).unwrap();
    }
    let script = prepare(&site(), false).script;
    let script = script
        .replace("set -eu\n", &stubs(volume))
        .replace("/var/lib/portsip", &data.display().to_string())
        .replace(PROJECT, &project.display().to_string())
        .replace(site().device(), "/dev/null")
        .replace("[ -b \"$device\" ]", "[ -e \"$device\" ]")
        // A function of sh cannot have a dot in its name.
        .replace("mkfs.xfs", "make_xfs");
    let log = directory.path().join("log");
    let output = Process::new("sh")
        .args(["-c", &script])
        .env("log", &log)
        .output()
        .unwrap();
    let called = std::fs::read_to_string(&log).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        called.lines().map(str::to_owned).collect(),
        output.status.success(),
        said,
    )
}

/// Functions in the place of the commands. Each notes that it was called.
fn stubs(volume: &Volume) -> String {
    let Volume {
        blkid: (found, status),
        wipefs,
        version,
        password,
    } = volume;
    let data = match *version {
        "" => ":".to_owned(),
        version => format!("mkdir -p $2/pbx; echo {version} >$2/pbx/VERSION"),
    };
    let ini = match *password {
        "" => ":".to_owned(),
        password => format!(
            "printf '[sip]\\nsuperuser_password = no\\n[database]\\nsuperuser_password = {password}\\n' \
             >$2/pbx/system.ini"
        ),
    };
    format!(
        "set -eu
         note() {{ echo \"$*\" >>\"$log\"; }}
         env() {{ note \"agent $(for last; do :; done; echo $last)\"; }}
         mountpoint() {{ return 1; }}
         dd() {{ :; }}
         blkid() {{ printf '%s\\n' '{found}'; return {status}; }}
         wipefs() {{ printf '%s' '{wipefs}'; }}
         make_xfs() {{ note mkfs; }}
         mount() {{ note mount; shift 4; {data}; {ini}; }}
         umount() {{ note umount; }}
         findmnt() {{ echo /dev/null; }}
         install() {{ :; }}
         docker() {{ case $* in
             'image inspect '*) echo 22.4.0 ;;
             *' run '*) note initdt ;;
             *) : ;;
         esac; }}
         mv() {{ note \"password $(cat \"$1\")\"; }}
        "
    )
}

#[test]
fn an_empty_volume_gets_a_file_system_and_its_first_data() {
    let (called, succeeded, said) = called(&EMPTY);
    assert!(succeeded, "{said}");
    assert_eq!(
        called,
        [
            "agent start",
            "mkfs",
            "mount",
            "initdt",
            "umount",
            "agent stop"
        ]
    );
}

#[test]
fn a_file_system_that_is_there_is_kept() {
    let volume = Volume {
        blkid: ("TYPE=xfs", 0),
        version: "22.4.0",
        ..EMPTY
    };
    let (called, succeeded, said) = called(&volume);
    assert!(succeeded, "{said}");
    assert_eq!(called, ["agent start", "mount", "umount", "agent stop"]);
}

#[test]
fn the_database_of_a_volume_with_data_keeps_its_password() {
    let volume = Volume {
        blkid: ("TYPE=xfs", 0),
        version: "22.4.0",
        password: "Pg1",
        ..EMPTY
    };
    let (called, succeeded, said) = called(&volume);
    assert!(succeeded, "{said}");
    assert!(called.contains(&"password Pg1".to_owned()), "{called:?}");
    assert!(!said.contains("Pg1"), "{said}");
}

#[test]
fn older_data_is_migrated_and_newer_data_is_refused() {
    let of = |version| Volume {
        blkid: ("TYPE=xfs", 0),
        version,
        ..EMPTY
    };
    let (older, succeeded, said) = called(&of("22.3.9"));
    assert!(succeeded, "{said}");
    assert!(older.contains(&"initdt".to_owned()), "{older:?}");
    let (newer, succeeded, said) = called(&of("22.10.0"));
    assert!(!succeeded);
    assert!(!newer.contains(&"initdt".to_owned()), "{newer:?}");
    assert!(said.contains("the data is of version 22.10.0"), "{said}");
    assert_eq!(newer.last().unwrap(), "agent stop", "{newer:?}");
}

#[test]
fn nothing_is_made_where_anything_may_be() {
    for (blkid, wipefs) in [
        (("TYPE=ext4", 0), ""),
        (("TYPE=LVM2_member", 0), ""),
        (("PTTYPE=gpt", 0), ""),
        (("", 2), "0x438 ext4"),
        // Two signatures at once.
        (("", 8), ""),
        (("", 4), ""),
    ] {
        let volume = Volume {
            blkid,
            wipefs,
            ..EMPTY
        };
        let (called, succeeded, said) = called(&volume);
        assert!(!succeeded, "{blkid:?} {wipefs}");
        assert_eq!(called, ["agent start", "agent stop"], "{blkid:?} {wipefs}");
        assert!(said.starts_with("error: "), "{said}");
    }
}

#[test]
fn the_volume_is_attached_by_the_agent_of_the_cluster() {
    let script = prepare(&site(), false).script;
    let (head, _) = script.split_once("# The volume:").unwrap();
    insta::assert_snapshot!(head);
}

/// The functions of a LAN, with a DRBD that says these states, and a call of one.
fn on_drbd(connections: &[&str], disks: &str, call: &str) -> Ran {
    let node = Sandbox::new();
    node.write("connections", &connections.join("\n"));
    node.write("disks", disks);
    node.tool("sleep", "note waits");
    // Each answer comes once, and the last one stays.
    node.tool(
        "drbdadm",
        r#"case $1 in
        cstate) head -n 1 "$fake/connections" | tr ' ' '\n'
            [ "$(wc -l <"$fake/connections")" = 0 ] || sed -i 1d "$fake/connections" ;;
        dstate) cat "$fake/disks" ;;
        new-current-uuid) note "$*"; echo UpToDate/UpToDate >"$fake/disks" ;;
        *) note "$*" ;;
        esac"#,
    );
    node.run(&format!(
        "set -eu\nresource=pbxdata\n{}\n{call}",
        include_str!("storage_drbd.sh")
    ))
}

const NEW: &str = "new-current-uuid --clear-bitmap pbxdata/0";

#[test]
fn copies_that_are_all_new_are_not_copied() {
    for disks in [
        "Inconsistent/Inconsistent",
        "Inconsistent/Inconsistent/Inconsistent",
    ] {
        let ran = on_drbd(&["Connected"], disks, "volume start");
        assert!(ran.succeeded, "{ran:?}");
        assert_eq!(ran.called, [NEW, "primary pbxdata"]);
    }
}

#[test]
fn a_copy_with_data_is_promoted_as_it_is() {
    for (connections, disks) in [
        ("Connected", "UpToDate/UpToDate"),
        ("SyncSource", "UpToDate/Inconsistent"),
        ("SyncTarget", "Inconsistent/UpToDate"),
        ("Connected Connected", "UpToDate/UpToDate/Inconsistent"),
    ] {
        let ran = on_drbd(&[connections], disks, "volume start");
        assert!(ran.succeeded, "{ran:?}");
        assert_eq!(ran.called, ["primary pbxdata"], "{disks}");
    }
}

#[test]
fn copies_that_have_not_met_are_waited_for() {
    let ran = on_drbd(
        &["WFConnection", "WFReportParams", "Connected"],
        "UpToDate/UpToDate",
        "volume start",
    );
    assert!(ran.succeeded, "{ran:?}");
    assert_eq!(ran.called, ["waits", "waits", "primary pbxdata"]);
    let ran = on_drbd(
        &["Connected Connecting"],
        "UpToDate/DUnknown/UpToDate",
        "volume start",
    );
    assert!(!ran.succeeded, "{ran:?}");
    assert!(ran.called.iter().all(|call| call == "waits"), "{ran:?}");
    assert!(ran.said.contains("within two minutes"), "{ran:?}");
}

#[test]
fn copies_that_do_not_belong_together_are_left_alone() {
    let ran = on_drbd(&["StandAlone"], "UpToDate/DUnknown", "volume start");
    assert!(!ran.succeeded && ran.called.is_empty(), "{ran:?}");
    assert!(ran.said.contains("journalctl -k --grep drbd"), "{ran:?}");
}

#[test]
fn a_file_system_is_made_only_by_a_copy_that_is_whole() {
    for (disks, whole) in [
        ("UpToDate/Inconsistent", true),
        ("Inconsistent/UpToDate", false),
    ] {
        assert_eq!(
            on_drbd(&["Connected"], disks, "is_whole").succeeded,
            whole,
            "{disks}"
        );
    }
    let script = prepare(&lan(), false).script;
    assert!(script.contains("is_whole || fail"), "{script}");
    for line in script.lines().filter(|line| !line.trim().starts_with('#')) {
        assert!(
            !line.contains("force ") || line.contains("docker rm"),
            "{line}"
        );
    }
}
