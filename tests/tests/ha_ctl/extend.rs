//! `ha-ctl extend`: four servers of four types from machines with a stock system, one of them unreachable at first;
//! started, stopped and restarted by type and by address; a server of the vendor's script taken over; servers removed;
//! and all of it after the loss of pbx01.

use std::time::{Duration, Instant};

use lab::demo::operator::put_key;
use lab::lab::{Options, turn};
use lab::site::{EXTENDED, INSTANCES, Instance, Site};

mod made;
mod managed;

use made::{
    a_server_that_cannot_be_reached_does_not_stop_the_others, are_registered,
    each_is_as_the_vendor_has_it, it_comes_back_after_a_reboot, nothing_is_changed_without_a_yes,
    the_same_command_again_makes_the_one_that_is_missing, what_contradicts_itself_is_refused,
};
use managed::{
    a_server_of_the_vendors_script_is_taken_over, an_older_list_does_not_count,
    an_upgrade_comes_after_the_pbx_and_one_after_the_other,
    one_is_removed_with_its_data_and_one_without,
    one_that_is_away_is_named_and_the_others_are_done, only_the_ones_that_are_meant_are_restarted,
    servers_are_stopped_and_started_by_type_and_by_address,
    the_list_is_known_without_the_first_node,
};

use crate::Cluster;
use crate::operator::{Operator, Ran};

static MEDIA: &Instance = &EXTENDED[0];
static QUEUE: &Instance = &EXTENDED[1];
static MEETING: &Instance = &EXTENDED[2];
static IVR: &Instance = &EXTENDED[3];
const PASSWORD: &str = "lab-extended";
const PASSWORD_FILE: &str = "sudo-password";
const REGISTER: &str = "/etc/portsip/extended-servers.json";

#[test]
fn extended_servers_are_made_managed_and_known_after_the_loss_of_a_node() {
    let _turn = turn().unwrap();
    let cluster = Cluster::of(&Options {
        extended: 4,
        ..Options::default()
    });
    let (first, second) = (cluster.operator(0), cluster.operator(1));
    put_key(&cluster.lab, first.node).unwrap();

    sudo_asks_on(&cluster, MEETING, [&first, &second]);
    power_off(&cluster, IVR);
    what_contradicts_itself_is_refused(&first);
    nothing_is_changed_without_a_yes(&first);
    a_server_that_cannot_be_reached_does_not_stop_the_others(&cluster, &first);
    the_same_command_again_makes_the_one_that_is_missing(&cluster, &first);
    each_is_as_the_vendor_has_it(&cluster);
    are_registered(
        &cluster,
        &[
            "media-server-1",
            "queue-server-1",
            "meeting-server-1",
            "vr-server-1",
        ],
    );
    it_comes_back_after_a_reboot(&cluster, &first);
    servers_are_stopped_and_started_by_type_and_by_address(&first);
    only_the_ones_that_are_meant_are_restarted(&cluster, &first);
    one_that_is_away_is_named_and_the_others_are_done(&cluster, &first);
    one_is_removed_with_its_data_and_one_without(&cluster, &first);
    a_server_of_the_vendors_script_is_taken_over(&cluster, &first);
    an_upgrade_comes_after_the_pbx_and_one_after_the_other(&cluster, &first);

    power_off(&cluster, &INSTANCES[0]);
    put_key(&cluster.lab, second.node).unwrap();
    are_registered(
        &cluster,
        &["media-server-1", "meeting-server-1", "queue-server-1"],
    );
    the_list_is_known_without_the_first_node(&second);
    power_on_after_fencing(&cluster, &INSTANCES[0]);
    an_older_list_does_not_count(&first);
}

/// The four servers, as the vendor's guide has them; one by the id of its instance.
fn servers() -> String {
    let line = |kind: &str, name: &str, server: &Instance| {
        format!("-s {kind} -n {name} -a {} ", server.private_ip)
    };
    let ivr = format!("-s ivr-server-only -n vr-server-1 -a {}", IVR.id);
    let media = format!("-A {} ", MEDIA.public_ip);
    [
        line("media-server-only", "media-server-1", MEDIA),
        media,
        line("queue-server-only", "queue-server-1", QUEUE),
        line("meeting-server-only", "meeting-server-1", MEETING),
        ivr,
    ]
    .concat()
}

fn run(operator: &Operator, arguments: &str) -> Ran {
    extend(operator, &format!("run --accept-new-host-keys {arguments}"))
}

/// With the password for the one machine whose sudo asks.
fn extend(operator: &Operator, arguments: &str) -> Ran {
    let ran = operator.ha_ctl(&format!(
        "extend {arguments} --sudo-password-file {PASSWORD_FILE}"
    ));
    eprintln!("{ran}");
    ran
}

/// On one machine sudo asks ha-ctl for a password, which the operator has in a file. The lab comes in by bash.
fn sudo_asks_on(cluster: &Cluster, server: &'static Instance, operators: [&Operator; 2]) {
    let user = Site::Ec2.user();
    on(cluster, server)
        .as_root(&format!(
            "echo '{user}:{PASSWORD}' | chpasswd &&
             printf '%s\\n' '{user} ALL=(ALL) ALL' '{user} ALL=(ALL) NOPASSWD: /usr/bin/bash' \
                 >/etc/sudoers.d/90-cloud-init-users"
        ))
        .succeeded();
    for operator in operators {
        operator
            .as_user(&format!("umask 077; echo '{PASSWORD}' >{PASSWORD_FILE}"))
            .succeeded();
    }
}

fn on<'a>(cluster: &'a Cluster, node: &'static Instance) -> Operator<'a> {
    Operator {
        lab: &cluster.lab,
        node,
    }
}

pub(crate) fn power_off(cluster: &Cluster, node: &Instance) {
    cluster.lab.power_off(node).unwrap();
}

/// EC2 has to have stopped it before it starts it again.
pub(crate) fn power_on_after_fencing(cluster: &Cluster, node: &Instance) {
    let until = Instant::now() + Duration::from_secs(180);
    while let Err(error) = cluster.lab.power_on(node) {
        assert!(Instant::now() < until, "{}: {error}", node.hostname);
        std::thread::sleep(Duration::from_secs(1));
    }
    up(cluster, node);
}

/// Waits until a machine answers.
fn up(cluster: &Cluster, node: &Instance) {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let ran = cluster.lab.ssh(node, "true", Duration::from_secs(10));
        if ran.is_ok_and(|output| output.status.success()) {
            return;
        }
        assert!(Instant::now() < until, "{} does not come up", node.hostname);
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Name and state of each server of the list.
fn states(operator: &Operator) -> Vec<(String, String)> {
    let listed = operator.json(&format!(
        "extend list --json --sudo-password-file {PASSWORD_FILE}"
    ));
    let servers = listed["servers"].as_array().unwrap().iter();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    servers
        .map(|it| (word(&it["name"]), word(&it["state"])))
        .collect()
}

#[track_caller]
fn are(operator: &Operator, wanted: &[(&str, &str)]) {
    let states = states(operator);
    let states: Vec<(&str, &str)> = states
        .iter()
        .map(|(name, state)| (name.as_str(), state.as_str()))
        .collect();
    assert_eq!(states, wanted);
}
