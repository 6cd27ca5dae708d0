//! What crm_mon 2.1.5 printed on the lab's nodes, and 3.0 of the other system.

#![allow(clippy::unwrap_used)]

use super::*;

pub(crate) const DEAD: &str = include_str!("../../tests/recorded/one-node-dead.xml");
pub(crate) const FAILING_OVER: &str = include_str!("../../tests/recorded/failed-and-standby.xml");
pub(crate) const FAILED_OVER: &str =
    include_str!("../../tests/recorded/failed-over-and-standby.xml");

#[test]
fn a_dead_node_is_seen_with_who_fenced_it() {
    let state = State::parse(DEAD).unwrap();
    assert_eq!(state.master(), Some("ip-172-31-16-134"));
    assert_eq!(state.online(), ["ip-172-31-16-134", "ip-172-31-16-135"]);
    assert!(state.quorum && state.fencing && !state.maintenance);
    assert_eq!(state.resources.len(), 8);
    assert_eq!(state.fenced[0].node, "ip-172-31-16-133");
    assert_eq!(state.fenced[0].by, "ip-172-31-16-134");
    assert!(state.failures.is_empty() && state.banned.is_empty());
}

#[test]
fn a_failure_has_the_agents_own_words() {
    let state = State::parse(FAILED_OVER).unwrap();
    let [failure] = &state.failures[..] else {
        panic!("{:?}", state.failures)
    };
    assert_eq!(failure.operation, "pbx_start_0");
    assert!(
        failure.reason.contains("not portsip.database"),
        "{failure:?}"
    );
    assert_eq!(state.master(), Some("ip-172-31-16-133"));
    assert_eq!(state.banned[0].node, "ip-172-31-16-134");
    assert_eq!(state.banned[0].resource, "pbx");
    assert!(state.nodes[2].standby);
}

#[test]
fn in_the_middle_of_a_failover_there_is_no_master() {
    assert_eq!(State::parse(FAILING_OVER).unwrap().master(), None);
}

#[test]
fn where_the_pbx_was_stopped_the_master_is_where_its_data_is() {
    let mut state = State::parse(DEAD).unwrap();
    let pbx = state
        .resources
        .iter_mut()
        .find(|it| it.id == "pbx")
        .unwrap();
    pbx.nodes.clear();
    pbx.role = "Stopped".to_owned();
    assert_eq!(state.master(), Some("ip-172-31-16-134"));
}

#[test]
fn the_master_is_where_the_data_is_even_if_an_address_is_stuck_elsewhere() {
    let mut state = State::parse(DEAD).unwrap();
    let eip = state
        .resources
        .iter_mut()
        .find(|it| it.id == "eip")
        .unwrap();
    eip.nodes = vec!["ip-172-31-16-135".to_owned()];
    assert_eq!(state.master(), Some("ip-172-31-16-134"));
}

#[test]
fn a_fencing_device_that_failed_too_often_bans_no_node() {
    let with = |id: &str| {
        let history = format!(
            r#"<node_history><node name="ip-172-31-16-135"><resource_history id="{id}" fail-count="1000000"/></node>"#
        );
        State::parse(&DEAD.replacen("<node_history>", &history, 1)).unwrap()
    };
    assert_eq!(with("pbx").banned.len(), 1);
    assert_eq!(with("fencing").banned, []);
}

/// What crm_mon 3.0.0 printed of the system on a LAN, as crm_simulate had left it.
const LAN: &str = include_str!("../../tests/recorded/lan-pacemaker-3.xml");

#[test]
fn instances_of_a_clone_are_found_by_its_name_and_have_no_say_in_who_is_master() {
    let state = State::parse(LAN).unwrap();
    assert_eq!(state.master(), Some("pbx01"));
    assert_eq!(state.instances("drbd_devpath-clone").count(), 3);
    assert_eq!(state.instances("drbd_devpath").count(), 3);
    let promoted = state
        .instances("drbd_devpath")
        .find(|it| it.is_started())
        .unwrap();
    assert_eq!(
        (promoted.role.as_str(), &promoted.nodes[..]),
        ("Promoted", &["pbx01".to_owned()][..])
    );
}

#[test]
fn something_else_than_a_status_is_an_error() {
    for text in [
        "",
        "crm_mon: Connection to cluster failed",
        "<pacemaker-result/>",
    ] {
        assert!(State::parse(text).is_err(), "{text}");
    }
}
