#![allow(clippy::unwrap_used)]

use super::super::state::tests::{DEAD, FAILED_OVER};
use super::*;
use crate::reach::Cause;

fn facts(node: &str, more: &str) -> Facts {
    let printed = "package pacemaker ii 2.1.5-1\ndocker active\ncontainer portsip.nats created portsip/pbx:22\n";
    Facts::parse(node, &(printed.to_owned() + more))
}

fn notices(state: &State, facts: &[Facts]) -> Vec<Notice> {
    of(&Seen {
        state,
        configuration: None,
        facts,
        missing: &[],
        lost: &LostSince::new(),
    })
}

fn configured(state: &State, configuration: &Configuration) -> Vec<Notice> {
    of(&Seen {
        state,
        configuration: Some(configuration),
        facts: &nodes(),
        missing: &[],
        lost: &LostSince::new(),
    })
}

fn healthy() -> State {
    let mut state = State::parse(DEAD).unwrap();
    state.nodes[0].online = true;
    state.fenced.clear();
    state
}

fn nodes() -> [Facts; 3] {
    [133, 134, 135].map(|n| facts(&format!("ip-172-31-16-{n}"), ""))
}

#[track_caller]
fn says(notices: &[Notice], name: &str, text: &str) {
    assert!(
        notices
            .iter()
            .any(|it| it.name == name && it.text.contains(text)),
        "no {name} with `{text}` in {notices:#?}"
    );
}

#[test]
fn there_is_nothing_to_say_of_a_healthy_cluster() {
    assert_eq!(notices(&healthy(), &nodes()), []);
}

#[test]
fn with_one_node_dead_the_next_failure_would_stop_the_pbx() {
    let found = notices(&State::parse(DEAD).unwrap(), &nodes()[1..]);
    says(&found, "node.takeover", "ip-172-31-16-133 is offline");
    says(
        &found,
        "cluster.takeover",
        "1 of 3 nodes would be left, and a majority is 2",
    );
    says(
        &found,
        "fencing.done",
        "ip-172-31-16-133 was fenced by ip-172-31-16-134",
    );
}

#[test]
fn a_failure_is_told_with_its_reason_and_what_forgets_it() {
    let found = notices(&State::parse(FAILED_OVER).unwrap(), &nodes());
    says(&found, "resource.failed", "pbx start on ip-172-31-16-134");
    says(&found, "resource.failed", "not portsip.database");
    says(&found, "node.takeover", "ip-172-31-16-134 may not run pbx");
    says(&found, "node.takeover", "ip-172-31-16-135 is in standby");
    says(
        &found,
        "cluster.takeover",
        "if ip-172-31-16-133 failed now, nothing would take over",
    );
    let failed = found
        .iter()
        .find(|it| it.name == "resource.failed")
        .unwrap();
    assert_eq!(
        failed.command.as_deref(),
        Some("sudo pcs resource cleanup pbx")
    );
}

#[test]
fn a_standby_without_docker_or_containers_could_not_take_over() {
    let mut all = nodes();
    all[0].docker = "inactive".to_owned();
    all[2].containers.clear();
    let found = notices(&healthy(), &all);
    says(
        &found,
        "node.takeover",
        "ip-172-31-16-133 has a Docker that is inactive",
    );
    says(
        &found,
        "node.takeover",
        "ip-172-31-16-135 has no containers",
    );
    says(&found, "cluster.takeover", "nothing would take over");
    let one = [all[0].clone(), nodes()[1].clone(), nodes()[2].clone()];
    let found = notices(&healthy(), &one);
    assert!(
        !found.iter().any(|it| it.name == "cluster.takeover"),
        "{found:#?}"
    );
}

#[test]
fn what_was_switched_off_is_told_with_what_switches_it_on() {
    let mut state = healthy();
    state.maintenance = true;
    state.fencing = false;
    let pbx = state
        .resources
        .iter_mut()
        .find(|it| it.id == "pbx")
        .unwrap();
    pbx.target_role = Some("Stopped".to_owned());
    pbx.nodes.clear();
    let found = notices(&state, &nodes());
    says(&found, "cluster.maintenance", "maintenance mode");
    says(&found, "cluster.fencing", "fencing is off");
    says(&found, "resource.disabled", "pbx is disabled");
    let disabled = found
        .iter()
        .find(|it| it.name == "resource.disabled")
        .unwrap();
    assert_eq!(disabled.command.as_deref(), Some("ha-ctl start -s pbx"));
}

#[test]
fn a_fencing_that_failed_is_no_error_once_a_later_one_has_succeeded() {
    let event = |status: &str, time: &str| super::super::state::Fencing {
        node: "ip-172-31-16-133".to_owned(),
        by: "ip-172-31-16-134".to_owned(),
        status: status.to_owned(),
        time: time.to_owned(),
        reason: String::new(),
    };
    let mut state = healthy();
    let level = |state: &State| {
        let found = notices(state, &nodes());
        found
            .iter()
            .find(|it| it.name == "fencing.failed")
            .unwrap()
            .level
    };
    state.fenced = vec![event("failed", "05:36"), event("success", "05:35")];
    assert_eq!(level(&state), Level::Error);
    state.fenced = vec![event("success", "05:36"), event("failed", "05:35")];
    assert_eq!(level(&state), Level::Note);
}

#[test]
fn a_copy_of_the_data_that_is_old_or_cut_off_cannot_take_over() {
    let state = healthy();
    let mut all = nodes();
    all[0] = facts(
        "ip-172-31-16-133",
        "drbd-disk Inconsistent\ndrbd-peer - SyncTarget\n",
    );
    all[1] = facts("ip-172-31-16-134", "drbd-disk UpToDate\n");
    all[2] = facts(
        "ip-172-31-16-135",
        "drbd-disk UpToDate\ndrbd-peer ip-172-31-16-134 Connecting\n",
    );
    let found = notices(&state, &all);
    says(
        &found,
        "node.takeover",
        "ip-172-31-16-133 has a copy of the data that is Inconsistent",
    );
    says(
        &found,
        "node.takeover",
        "ip-172-31-16-135 has a copy of the data that is not connected to ip-172-31-16-134: Connecting",
    );
    says(&found, "cluster.takeover", "nothing would take over");
}

#[test]
fn a_node_that_only_votes_is_neither_blamed_nor_counted() {
    let configuration = Configuration::parse(
        r#"<configuration><constraints><rsc_location id="portsip-voter-storage" rsc="drbd_devpath-clone"
           node="ip-172-31-16-135" score="-INFINITY"/></constraints></configuration>"#,
    )
    .unwrap();
    let mut state = healthy();
    let found = |state: &State| {
        of(&Seen {
            state,
            configuration: Some(&configuration),
            facts: &nodes()[..2],
            missing: &[],
            lost: &LostSince::new(),
        })
    };
    assert_eq!(found(&state), []);
    state.nodes[0].standby = true;
    says(
        &found(&state),
        "cluster.takeover",
        "nothing would take over",
    );
}

#[test]
fn a_standby_that_lacks_one_of_the_active_nodes_containers_could_not_take_over() {
    let mut all = nodes();
    all[1] = facts(
        "ip-172-31-16-134",
        "container portsip.ai running portsip/pbx:22\n",
    );
    all[0] = facts(
        "ip-172-31-16-133",
        "container portsip.ai created portsip/pbx:22\n",
    );
    let found = notices(&healthy(), &all);
    says(
        &found,
        "node.takeover",
        "ip-172-31-16-135 lacks containers that the active node has: portsip.ai",
    );
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn versions_that_differ_are_told_with_their_nodes() {
    let mut all = nodes();
    all[2].packages[0].1 = "2.1.6-5".to_owned();
    all[1].containers[0].image = "portsip/pbx:22.6".to_owned();
    let found = notices(&healthy(), &all);
    says(
        &found,
        "version.package",
        "2.1.5-1 on ip-172-31-16-133, ip-172-31-16-134; 2.1.6-5 on ip-172-31-16-135",
    );
    says(
        &found,
        "version.image",
        "portsip/pbx:22.6 on ip-172-31-16-134",
    );
}

#[test]
fn data_that_fills_is_told_in_bytes_and_inodes() {
    for (line, level) in [
        (
            "data /var/lib/portsip 1000000000 850000000 1000 10\n",
            Level::Warning,
        ),
        (
            "data /var/lib/portsip 1000000000 10 1000 950\n",
            Level::Error,
        ),
    ] {
        let mut all = nodes();
        all[1] = facts("ip-172-31-16-134", line);
        let found = notices(&healthy(), &all);
        assert_eq!(found[0].level, level, "{found:#?}");
        says(&found, "data.full", "inodes");
    }
}

#[test]
fn notes_and_leftovers_are_told_with_what_ends_them() {
    let configuration = Configuration::parse(
        r#"<configuration><crm_config><cluster_property_set id="portsip-ha-notes">
           <nvpair id="a" name="restart.pbx" value="by ubuntu"/></cluster_property_set></crm_config>
           <constraints><rsc_location id="cli-ban-pbx-on-n1"/></constraints></configuration>"#,
    )
    .unwrap();
    let found = configured(&healthy(), &configuration);
    says(
        &found,
        "note.restart",
        "a restart of pbx has not ended: by ubuntu",
    );
    says(&found, "constraint.left", "cli-ban-pbx-on-n1");
    assert!(found.iter().all(|it| it.command.is_some()), "{found:#?}");
}

#[test]
fn a_node_without_which_an_update_was_taken_back_is_brought_along_by_the_update() {
    let configuration = Configuration::parse(
        r#"<configuration><crm_config><cluster_property_set id="portsip-ha-notes"><nvpair id="a" name="update"
           value="id=1; image=i; image-before=i; from=22.4.0; to=22.5.0; stage=returned; away=ip-172-31-16-135; by=ubuntu"/>
           </cluster_property_set></crm_config></configuration>"#,
    )
    .unwrap();
    let mut state = healthy();
    state.nodes[2].standby = true;
    let found = configured(&state, &configuration);
    says(
        &found,
        "node.takeover",
        "an update was taken back without it",
    );
    says(&found, "note.update", "without the nodes that were away");
    let brings = "ha-ctl update --rollback   brings ip-172-31-16-135 along";
    for it in &found {
        assert_eq!(it.command.as_deref(), Some(brings), "{it:?}");
    }
}

#[test]
fn a_restart_that_somebody_carries_out_just_now_needs_no_help() {
    let configuration = Configuration::parse(
        r#"<configuration><crm_config><cluster_property_set id="portsip-ha-notes">
           <nvpair id="a" name="restart.pbx" value="by ubuntu"/></cluster_property_set></crm_config></configuration>"#,
    )
    .unwrap();
    let mut all = nodes();
    all[0].lock = Some("restart -s pbx by ubuntu on n1 since 09:00".to_owned());
    all[2].lock = all[0].lock.clone();
    let found = of(&Seen {
        state: &healthy(),
        configuration: Some(&configuration),
        facts: &all,
        missing: &[],
        lost: &LostSince::new(),
    });
    says(
        &found,
        "lock.held",
        "somebody changes the cluster now: restart -s pbx by ubuntu",
    );
    says(&found, "note.restart", "a restart of pbx has not ended");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found
            .iter()
            .all(|it| it.level == Level::Note && it.command.is_none())
    );
}

#[test]
fn a_cluster_without_the_pbx_is_not_deployed_to_its_end() {
    let mut state = healthy();
    state
        .resources
        .retain(super::super::state::Resource::is_fencing);
    let found = notices(&state, &nodes());
    says(&found, "cluster.empty", "the cluster has no PBX");
}

#[test]
fn a_node_that_was_not_asked_is_named_with_why() {
    let missing = [Missing {
        name: "ip-172-31-16-135".to_owned(),
        cause: Cause::NewHostKey,
        by_hand: "ssh ubuntu@172.31.16.135".to_owned(),
    }];
    let found = of(&Seen {
        state: &healthy(),
        configuration: None,
        facts: &nodes()[..2],
        missing: &missing,
        lost: &LostSince::new(),
    });
    says(&found, "ssh.host-key", "ip-172-31-16-135 has a host key");
    assert_eq!(found.len(), 1, "{found:#?}");
}
