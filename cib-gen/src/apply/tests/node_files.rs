//! corosync.conf and the resource file of DRBD, compared with the model.

use super::*;
use crate::apply::commands;
use crate::apply::node_files::{self, DrbdFile};

const CONF: &str = "totem {\n    version: 2\n    cluster_name: ha_cluster\n    transport: knet\n    token: 2000\n}\n\
    nodelist {\n    node {\n        ring0_addr: 192.168.1.131\n        name: pbx01\n    }\n    node {\n        \
    ring0_addr: PBX02\n        name: pbx02\n    }\n    node {\n        ring0_addr: 192.168.1.133\n    }\n}\n";

#[test]
fn a_totem_setting_that_differs_is_changed_by_pcs_in_the_running_cluster() {
    let lan = lan();
    let same = node_files::corosync(&lan, CONF);
    assert_eq!(same, node_files::Corosync::default());
    for (conf, has) in [
        (CONF.replace("token: 2000", "token: 9000"), "9000"),
        (
            CONF.replace("    token: 2000\n", "    # token: 2000\n"),
            "Corosync's default",
        ),
    ] {
        let found = node_files::corosync(&lan, &conf);
        assert_eq!(
            found.changes,
            [format!("corosync.conf: token {has} -> 2000")]
        );
        assert_eq!(found.notes, Vec::<String>::new());
        let command = commands::update_totem(&found.totem).to_string();
        assert_eq!(command, "pcs cluster config update totem token=2000");
    }
}

#[test]
fn what_pcs_cannot_change_in_a_running_cluster_is_said_with_the_reason() {
    for (from, to, words) in [
        ("knet", "udpu", "pcs cannot change it"),
        (
            "ha_cluster",
            "other",
            "pcs renames only a cluster that is stopped",
        ),
        (
            "192.168.1.133",
            "192.168.1.9",
            "sudo pcs cluster link update 0 pbx03=192.168.1.133",
        ),
    ] {
        let lan = lan();
        let found = node_files::corosync(&lan, &CONF.replace(from, to));
        assert!(found.totem.is_empty(), "{found:?}");
        assert!(
            found.notes.len() == 1 && found.notes[0].contains(words),
            "{found:?}"
        );
    }
}

fn compared(cluster: &Cluster, file: &str) -> DrbdFile {
    node_files::drbd(cluster.drbd.as_ref().unwrap(), &cluster.warnings, file)
}

#[test]
fn options_of_drbd_are_written_and_the_same_file_in_other_words_is_left() {
    let (lan, none) = (lan(), lan_with("fencing: none\n"));
    let file = render::drbd(lan.drbd.as_ref().unwrap(), &[]);
    assert_eq!(compared(&lan, &file), DrbdFile::Same);
    let shared = "    disk /dev/pbxvg/pbxlv;\n";
    assert!(file.contains(shared), "{file}");
    let words = file
        .replace(shared, "")
        .replace("node-id ", "disk \"/dev/pbxvg/pbxlv\"; node-id ");
    assert_eq!(compared(&lan, &words), DrbdFile::Same);
    let DrbdFile::Options { wanted, changes } = compared(&none, &file) else {
        panic!("{:?}", compared(&none, &file));
    };
    assert_eq!(compared(&none, &wanted), DrbdFile::Same);
    for change in [
        "resource pbxdata/options: without on-no-quorum suspend-io",
        "resource pbxdata/options: with on-no-quorum io-error",
    ] {
        assert!(changes.iter().any(|line| line == change), "{changes:?}");
    }
}

#[test]
fn a_file_that_names_other_storage_or_peers_is_never_written_over() {
    let lan = lan();
    let file = render::drbd(lan.drbd.as_ref().unwrap(), &[]);
    for (from, to) in [
        ("/dev/pbxvg/pbxlv", "/dev/vendor/data"),
        ("node-id 0", "node-id 3"),
        ("192.168.1.132:7789", "192.168.1.132:7788"),
        ("meta-disk internal", "meta-disk /dev/sdc1"),
        ("/dev/drbd1 minor 1", "/dev/drbd0 minor 0"),
    ] {
        assert!(file.contains(from), "{from} in {file}");
        let found = compared(&lan, &file.replace(from, to));
        assert!(
            matches!(found, DrbdFile::OtherStorage(_)),
            "{to}: {found:?}"
        );
    }
}
