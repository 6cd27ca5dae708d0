//! Peers that DRBD is not connected to and copies that are not up to date are named, with what mends it.

use super::{lan, lan_with};
use crate::apply::drbd_peers::notes;
use insta::assert_snapshot;

#[test]
fn a_peer_of_drbd_9_that_is_not_connected_is_named() {
    let cluster = lan();
    let model = cluster.drbd.as_ref().unwrap();
    let status = |second: &str, third: &str| {
        format!(
            r#"[{{"name": "other", "connections": [{{"name": "x", "connection-state": "StandAlone"}}]}},
                {{"name": "pbxdata", "connections": [
                    {{"name": "pbx02", "connection-state": "{second}"}},
                    {{"name": "pbx03", "connection-state": "{third}"}}]}}]"#
        )
    };
    let found = |status: &str| notes(model, "pbx01", status).unwrap();
    assert!(found(&status("Connected", "Connected")).is_empty());
    assert!(found("[\n]\n").is_empty());
    assert_snapshot!(found(&status("StandAlone", "Connecting")).join("\n"));
    assert!(notes(model, "pbx01", "").is_err());
}

#[test]
fn the_peer_of_drbd_84_that_is_not_connected_is_named() {
    let cluster = lan_with("drbd: 8.4\n");
    let model = cluster.drbd.as_ref().unwrap();
    let status = |state: &str| {
        format!(
            "version: 8.4.11 (api:1/proto:86-101)\n\n 1: cs:{state} ro:Primary/Unknown ds:UpToDate/DUnknown C r-----\n"
        )
    };
    let found = |here: &str, status: &str| notes(model, here, status).unwrap();
    for good in ["Connected", "SyncSource", "Unconfigured"] {
        assert!(found("pbx01", &status(good)).is_empty(), "{good}");
    }
    assert!(found("pbx01", "").is_empty());
    assert_snapshot!(found("pbx02", &status("WFConnection")).join("\n"));
}

#[test]
fn a_copy_of_drbd_84_that_cannot_take_over_is_named() {
    let cluster = lan_with("drbd: 8.4\n");
    let model = cluster.drbd.as_ref().unwrap();
    let found = |disks: &str| {
        let status = format!(" 1: cs:Connected ro:Primary/Secondary ds:{disks} C r-----\n");
        notes(model, "pbx01", &status).unwrap()
    };
    assert!(found("UpToDate/UpToDate").is_empty());
    assert_snapshot!(
        [found("UpToDate/Diskless"), found("Diskless/UpToDate")]
            .concat()
            .join("\n")
    );
    for old in [
        "UpToDate/Inconsistent",
        "UpToDate/Failed",
        "Outdated/UpToDate",
    ] {
        assert_eq!(found(old).len(), 1, "{old}");
    }
}

#[test]
fn a_copy_of_drbd_9_that_cannot_take_over_is_named() {
    let cluster = lan();
    let model = cluster.drbd.as_ref().unwrap();
    let found = |own: &str, second: &str| {
        let status = format!(
            r#"[{{"name": "pbxdata", "devices": [{{"volume": 0, "disk-state": "{own}"}}], "connections": [
                {{"name": "pbx02", "connection-state": "Connected",
                  "peer_devices": [{{"volume": 0, "peer-disk-state": "{second}"}}]}},
                {{"name": "pbx03", "connection-state": "Connected",
                  "peer_devices": [{{"volume": 0, "peer-disk-state": "UpToDate"}}]}}]}}]"#
        );
        notes(model, "pbx01", &status).unwrap()
    };
    assert!(found("UpToDate", "UpToDate").is_empty());
    assert_eq!(found("Diskless", "UpToDate").len(), 1);
    assert_snapshot!(found("UpToDate", "Inconsistent").join("\n"));
}
