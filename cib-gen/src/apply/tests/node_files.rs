//! Corosync's settings and the resource file of DRBD, compared with the model.

use super::*;
use crate::apply::commands;
use crate::apply::node_files::{self, DrbdFile};

const CONF: &str = "totem {\n    version: 2\n    cluster_name: ha_cluster\n    transport: knet\n    token: 2000\n}\n\
    nodelist {\n    node {\n        ring0_addr: 192.168.1.131\n        name: pbx01\n    }\n    node {\n        \
    ring0_addr: PBX02\n        name: pbx02\n    }\n    node {\n        ring0_addr: 192.168.1.133\n    }\n}\n";

/// What corosync-cmapctl prints.
const RUNNING: &str = "nodelist.local_node_pos (u32) = 0\nnodelist.node.0.name (str) = pbx01\n\
    nodelist.node.0.nodeid (u32) = 1\nnodelist.node.1.name (str) = pbx02\nnodelist.node.1.nodeid (u32) = 2\n\
    nodelist.node.2.nodeid (u32) = 3\nruntime.config.totem.token (u32) = 2650\n\
    runtime.members.1.status (str) = joined\nruntime.members.2.status (str) = joined\n\
    runtime.members.3.status (str) = joined\ntotem.token (u32) = 2000\n";

#[test]
fn a_totem_setting_that_differs_in_the_file_or_in_the_running_cluster_is_changed_by_pcs() {
    let lan = lan();
    let same = node_files::corosync(&lan, CONF, RUNNING);
    assert_eq!(same, node_files::Corosync::default());
    let no_token = CONF.replace("    token: 2000\n", "    # token: 2000\n");
    let other = RUNNING.replace("= 2000", "= 9000");
    for (conf, running, change) in [
        (
            &*CONF.replace("token: 2000", "token: 9000"),
            RUNNING,
            "corosync.conf: token 9000 -> 2000",
        ),
        (
            &no_token,
            &other,
            "corosync.conf: token Corosync's default -> 2000",
        ),
        (CONF, &other, "the running Corosync: token 9000 -> 2000"),
        (
            CONF,
            &RUNNING.replace("totem.token (u32) = 2000\n", ""),
            "the running Corosync: token Corosync's default -> 2000",
        ),
    ] {
        let found = node_files::corosync(&lan, conf, running);
        assert_eq!(found.changes, [change]);
        assert_eq!(found.notes, Vec::<String>::new());
        let command = commands::update_totem(&found.totem);
        assert_eq!(
            command.to_string(),
            "pcs cluster config update totem token=2000"
        );
        assert!(command.limit > commands::LIMIT);
    }
}

#[test]
fn while_a_node_is_off_totem_stays_as_it_is_and_the_node_is_named() {
    let lan = lan();
    for (from, to, off) in [
        (
            "members.2.status (str) = joined",
            "members.2.status (str) = left",
            "pbx02",
        ),
        ("runtime.members.3.status (str) = joined\n", "", "3"),
    ] {
        assert!(RUNNING.contains(from));
        let running = RUNNING.replace(from, to);
        let same = node_files::corosync(&lan, CONF, &running);
        assert_eq!(same, node_files::Corosync::default());
        let found = node_files::corosync(&lan, &CONF.replace("2000", "9000"), &running);
        assert!(
            found.totem.is_empty() && found.changes.is_empty(),
            "{found:?}"
        );
        let words = format!("are off: {off}\n    corosync.conf: token 9000 -> 2000\n  help: ");
        assert!(found.notes[0].contains(&words), "{found:?}");
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
        let found = node_files::corosync(&lan, &CONF.replace(from, to), RUNNING);
        assert!(found.totem.is_empty(), "{found:?}");
        assert!(
            found.notes.len() == 1 && found.notes[0].contains(words),
            "{found:?}"
        );
    }
}

fn resource(cluster: &Cluster) -> String {
    render::drbd(cluster.drbd.as_ref().unwrap(), &[])
}

/// Compares a file with the model. What drbdadm would print of it has the same statements.
fn compared(cluster: &Cluster, file: &str) -> DrbdFile {
    let (model, path) = (cluster.drbd.as_ref().unwrap(), "/etc/drbd.d/pbxdata.res");
    node_files::drbd(model, path, file, &resource(cluster))
}

#[track_caller]
fn by_hand(cluster: &Cluster, file: &str) -> String {
    match compared(cluster, file) {
        DrbdFile::ByHand(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn options_that_each_node_decides_for_itself_are_written() {
    let (lan, none) = (lan(), lan_with("fencing: none\n"));
    assert_eq!(compared(&lan, &resource(&lan)), DrbdFile::Same);
    let slower = resource(&lan).replace("timeout 9;", "timeout 60;");
    assert_eq!(
        compared(&lan, &slower),
        DrbdFile::Local(vec!["net timeout 60 -> 9".to_owned()])
    );
    // Another way of fencing: what cib-gen wrote for the first one goes.
    let DrbdFile::Local(changes) = compared(&none, &resource(&lan)) else {
        panic!("{:?}", compared(&none, &resource(&lan)));
    };
    assert_snapshot!(changes.join("\n"), @r"
    net connect-int 2 -> DRBD's default
    net ko-count 47 -> DRBD's default
    net ping-int 1 -> DRBD's default
    net rr-conflict retry-connect -> DRBD's default
    net timeout 9 -> DRBD's default
    options on-no-quorum suspend-io -> io-error
    options on-suspended-primary-outdated force-secondary -> DRBD's default
    ");
}

#[test]
fn what_has_to_be_equal_on_all_nodes_is_left_to_a_person_with_the_commands() {
    let lan = lan();
    for (from, to) in [
        ("protocol C;", "protocol A;"),
        (
            "after-sb-1pri discard-secondary;",
            "after-sb-1pri consensus;",
        ),
        ("verify-alg sha1;", ""),
    ] {
        assert!(resource(&lan).contains(from));
        let text = by_hand(&lan, &resource(&lan).replace(from, to));
        assert!(
            text.contains("have to be equal on all nodes"),
            "{to}: {text}"
        );
    }
    let file = resource(&lan)
        .replace("protocol C;", "protocol A;")
        .replace("timeout 9;", "timeout 60;");
    assert_snapshot!(by_hand(&lan, &file), @r"
    /etc/drbd.d/pbxdata.res is left as it is. What differs from vars.yml:
        net protocol A -> C
        net timeout 60 -> 9
      these have to be equal on all nodes, or DRBD ends the connection between two of them: net protocol
      help: on pbx01, pbx02, pbx03, while `sudo drbdadm status pbxdata` shows every peer Connected and UpToDate:
        1. on every node: cib-gen --format drbd vars.yml | sudo tee /etc/drbd.d/pbxdata.res
        2. on every node, to see what the next step runs: sudo drbdadm --dry-run adjust pbxdata
        3. on one node right after the other: sudo drbdadm adjust pbxdata
        4. only where `sudo drbdadm status pbxdata` shows StandAlone: sudo drbdadm connect pbxdata
    ");
}

#[test]
fn options_of_the_operators_are_named_and_never_lost() {
    let lan = lan();
    let theirs = "    net {\n        shared-secret \"hush\";";
    let more = "    disk {\n        c-max-rate 100M;\n    }\n    net {";
    let file = resource(&lan)
        .replace("    net {", theirs)
        .replace("    net {", more);
    assert_eq!(compared(&lan, &file), DrbdFile::Same);
    let text = by_hand(&lan, &file.replace("timeout 9;", "timeout 60;"));
    for words in [
        "    net timeout 60 -> 9\n",
        "would lose them: disk c-max-rate, net shared-secret\n",
        "sudoedit /etc/drbd.d/pbxdata.res",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    assert!(!text.contains("hush") && !text.contains("tee"), "{text}");
    let of_connection = file.replace(
        "    connection-mesh {\n",
        &format!("    connection-mesh {{\n{theirs}\n}}\n"),
    );
    let text = by_hand(&lan, &of_connection);
    assert!(
        text.contains("other storage or peers") && !text.contains("hush"),
        "{text}"
    );
}

#[test]
fn a_file_that_names_other_storage_or_peers_is_never_written_over() {
    let lan = lan();
    let file = resource(&lan);
    for (from, to) in [
        ("/dev/pbxvg/pbxlv", "/dev/vendor/data"),
        ("node-id 0", "node-id 3"),
        ("192.168.1.132:7789", "192.168.1.132:7788"),
        ("meta-disk internal", "meta-disk /dev/sdc1"),
        ("/dev/drbd1 minor 1", "/dev/drbd0 minor 0"),
        ("hosts pbx01 pbx02 pbx03", "hosts pbx01 pbx02"),
    ] {
        assert!(file.contains(from), "{from} in {file}");
        let text = by_hand(&lan, &file.replace(from, to));
        assert!(text.contains("other storage or peers"), "{to}: {text}");
    }
    assert_snapshot!(by_hand(&lan, &file.replace("/dev/pbxvg/pbxlv", "/dev/sdb")), @r"
    /etc/drbd.d/pbxdata.res names other storage or peers than vars.yml, so it is left as it is:
        vars.yml: on pbx01: disk /dev/pbxvg/pbxlv
        the file: on pbx01: disk /dev/sdb
        vars.yml: on pbx02: disk /dev/pbxvg/pbxlv
        the file: on pbx02: disk /dev/sdb
        vars.yml: on pbx03: disk /dev/pbxvg/pbxlv
        the file: on pbx03: disk /dev/sdb
      help: if what the file says is right, compare its options with: cib-gen --format drbd vars.yml
    ");
}

const STATUS: &str = r#"[
{ "name": "other", "devices": [], "connections": [] },
{
  "name": "pbxdata", "node-id": 0, "role": "Primary", "suspended": false,
  "devices": [ { "volume": 0, "minor": 1, "disk-state": "UpToDate", "quorum": true } ],
  "connections": [
    { "peer-node-id": 1, "name": "pbx02", "connection-state": "Connected", "peer-role": "Secondary",
      "peer_devices": [ { "volume": 0, "replication-state": "Established", "peer-disk-state": "UpToDate" } ] },
    { "peer-node-id": 2, "name": "pbx03", "connection-state": "Connected", "peer-role": "Secondary",
      "peer_devices": [ { "volume": 0, "replication-state": "Established", "peer-disk-state": "UpToDate" } ] }
  ]
}
]
"#;

#[test]
fn drbd_is_healthy_only_with_every_copy_connected_and_up_to_date() {
    let lan = lan();
    let model = lan.drbd.as_ref().unwrap();
    let is_healthy = |status: &str| node_files::is_healthy(model, status).unwrap();
    assert_eq!(is_healthy(STATUS), Some(true));
    assert_eq!(is_healthy("[\n]\n"), None);
    assert_eq!(is_healthy(&STATUS.replace("pbxdata", "another")), None);
    assert!(node_files::is_healthy(model, "").is_err());
    let (_, last) = STATUS.split_once(",\n    { \"peer-node-id\": 2").unwrap();
    let (last, _) = last.split_once("} ] }").unwrap();
    let last = format!(",\n    {{ \"peer-node-id\": 2{last}}} ] }}");
    for (from, to) in [
        ("\"Connected\"", "\"Connecting\""),
        (
            "\"peer-disk-state\": \"UpToDate\"",
            "\"peer-disk-state\": \"Inconsistent\"",
        ),
        (
            "\"disk-state\": \"UpToDate\"",
            "\"disk-state\": \"Outdated\"",
        ),
        ("\"peer-disk-state\": \"UpToDate\"", "\"volume\": 1"),
        (&last, ""),
    ] {
        let status = STATUS.replacen(from, to, 1);
        assert_ne!(status, STATUS, "{from}");
        assert_eq!(is_healthy(&status), Some(false), "{to}");
    }
}

#[test]
fn drbd_84_shows_its_state_in_proc() {
    let cluster = lan_with("drbd: 8.4\n");
    let is_healthy = |state: &str| {
        let text = format!(
            "version: 8.4.11 (api:1/proto:86-101)\nsrcversion: X\n\n 0: cs:Connected ro:Secondary/Secondary \
             ds:UpToDate/UpToDate C r-----\n 1: {state} C r-----\n    ns:0 nr:0 dw:0 dr:0 al:8 bm:0 lo:0\n"
        );
        node_files::is_healthy(cluster.drbd.as_ref().unwrap(), &text).unwrap()
    };
    for (state, healthy) in [
        (
            "cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate",
            Some(true),
        ),
        (
            "cs:Connected ro:Primary/Secondary ds:UpToDate/Outdated",
            Some(false),
        ),
        (
            "cs:WFConnection ro:Primary/Unknown ds:UpToDate/UpToDate",
            Some(false),
        ),
        (
            "cs:SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent",
            Some(false),
        ),
        ("cs:Unconfigured", None),
    ] {
        assert_eq!(is_healthy(state), healthy, "{state}");
    }
    let model = cluster.drbd.as_ref().unwrap();
    assert_eq!(node_files::is_healthy(model, "").unwrap(), None);
}

#[test]
fn what_a_node_with_drbd_84_decides_for_itself_is_written_and_two_copies_never_become_three() {
    let cluster = lan_with("drbd: 8.4\n");
    let file = resource(&cluster);
    assert_eq!(compared(&cluster, &file), DrbdFile::Same);
    let older = file
        .replace("fencing resource-and-stonith;", "fencing resource-only;")
        .replace("portsip-ha/drbd-fence-peer", "drbd/crm-fence-peer.sh");
    assert_eq!(
        compared(&cluster, &older),
        DrbdFile::Local(vec![
            "disk fencing resource-only -> resource-and-stonith".to_owned(),
            "handlers fence-peer \"/usr/lib/drbd/crm-fence-peer.sh\" -> \"/usr/lib/portsip-ha/drbd-fence-peer\""
                .to_owned(),
        ])
    );
    let text = by_hand(&cluster, &file.replace("protocol C;", "protocol A;"));
    for words in [
        "on pbx01, pbx02, while `cat /proc/drbd` shows",
        "only where `cat /proc/drbd`",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    let text = by_hand(&cluster, &resource(&lan()));
    assert!(text.contains("names other storage or peers"), "{text}");
}

#[test]
fn an_adjustment_that_does_more_than_change_options_is_seen() {
    let options = "drbdsetup resource-options pbxdata --on-no-quorum=io-error\ndrbdsetup net-options pbxdata 1 --timeout=9\n";
    assert!(node_files::more_than_options(options).is_empty());
    let of_84 = "drbdsetup-84 disk-options 1 --fencing=dont-care\ndrbdsetup-84 net-options ipv4:1 ipv4:2 --timeout=9\n";
    assert!(node_files::more_than_options(of_84).is_empty());
    for (more, said) in [
        ("drbdsetup-84 attach 1 /dev/x", "drbdsetup-84 attach 1"),
        (
            "drbdsetup disconnect pbxdata 1",
            "drbdsetup disconnect pbxdata",
        ),
        (
            "drbdsetup new-peer pbxdata 1 --shared-secret=hush",
            "drbdsetup new-peer pbxdata",
        ),
        ("drbdmeta 1 v09 /dev/x internal apply-al", "drbdmeta 1 v09"),
    ] {
        let all = format!("{options}{more}\n");
        assert_eq!(node_files::more_than_options(&all), [said]);
    }
}
