//! Peers that DRBD is not connected to are named, with what mends it.

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
