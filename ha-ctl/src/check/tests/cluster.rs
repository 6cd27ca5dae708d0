//! What is about all nodes, or about the cluster that runs on them.

use super::*;

#[test]
fn a_node_outside_the_cluster_is_named_with_the_cluster() {
    let outside: String = good()
        .lines()
        .filter(|line| {
            !line.starts_with("cluster-")
                && !line.starts_with("node-id")
                && !line.starts_with("link ")
        })
        .map(|line| format!("{line}\n"))
        .collect();
    one(
        &outside,
        "cluster.member",
        Level::Error,
        "not in the cluster of ip-172-31-16-133, ip-172-31-16-134",
    );
    let without_it = good().replace("cluster-node ip-172-31-16-134\n", "");
    one(
        &without_it,
        "cluster.member",
        Level::Error,
        "corosync.conf does not have ip-172-31-16-134",
    );
}

#[test]
fn before_a_deployment_no_package_and_no_cluster_is_missing() {
    let bare: String = good()
        .lines()
        .filter(|line| {
            let kept = [
                "cluster-",
                "node-id",
                "link ",
                "package p",
                "package c",
                "service ",
            ];
            !kept.iter().any(|it| line.starts_with(it))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let nodes: Vec<Inspection> = names().iter().map(|name| node(name, &bare)).collect();
    let site = Site {
        machines: &machines(),
        is_fenced_by_sbd: true,
        ..Site::default()
    };
    let found = found_in(&nodes, &site);
    let about_the_cluster =
        |it: &&Finding| ["apt.installed", "cluster.member", "lan.sbd"].contains(&it.name);
    assert_eq!(found.iter().find(about_the_cluster), None);
}

#[test]
fn a_firewall_is_a_warning_until_it_is_seen_to_let_the_others_in() {
    let firewall = good().replace(
        "service firewalld inactive ",
        "service firewalld active enabled",
    );
    let closed = good().replace("pcsd 172.31.16.135 open", "pcsd 172.31.16.135 closed");
    let stopped = firewall.replace("link 1 localhost\nlink 2 connected\nlink 3 connected\n", "");
    for (others, it) in [(closed, firewall.clone()), (good(), stopped)] {
        let names = names();
        let mut nodes: Vec<Inspection> = names.iter().map(|name| node(name, &others)).collect();
        nodes[2] = node(&names[2], &it);
        let site = Site {
            machines: &machines(),
            ..Site::default()
        };
        says(
            &found_in(&nodes, &site),
            "firewall.firewalld",
            Level::Warning,
            "7789",
        );
    }
}

#[test]
fn without_sbd_nobody_needs_a_watchdog() {
    let printed = good().replace("watchdog /dev/watchdog\nservice sbd active enabled\n", "");
    let names = names();
    let nodes: Vec<Inspection> = names.iter().map(|name| node(name, &printed)).collect();
    let site = Site {
        machines: &machines(),
        data_disk: Some("/dev/sdb"),
        ..Site::default()
    };
    assert_eq!(found_in(&nodes, &site), []);
}

#[test]
fn what_show_says_of_a_running_cluster_is_found_too() {
    let state = crate::cluster::State::parse(include_str!(
        "../../../tests/recorded/failed-over-and-standby.xml"
    ))
    .unwrap();
    let mut state = state;
    state.fencing = false;
    let seen = crate::cluster::notices::Seen {
        state: &state,
        configuration: None,
        facts: &[],
        missing: &[],
        lost: &crate::cluster::LostSince::new(),
    };
    let notices = crate::cluster::notices::of(&seen);
    let site = Site {
        machines: &machines(),
        notices: &notices,
        ..Site::default()
    };
    let found = found_in(&[], &site);
    says(&found, "cluster.fencing", Level::Warning, "fencing is off");
    says(
        &found,
        "resource.failed",
        Level::Error,
        "pbx start on ip-172-31-16-134",
    );
    says(
        &found,
        "cluster.takeover",
        Level::Error,
        "nothing would take over",
    );
    let standby = found.iter().find(|it| it.found == "is in standby").unwrap();
    assert_eq!(standby.node.as_deref(), Some("ip-172-31-16-135"));
    // What is only history is not a finding.
    let names: Vec<&str> = notices
        .iter()
        .map(|it| it.name)
        .filter(|name| Check::named(name).is_none())
        .collect();
    assert_eq!(names, ["fencing.done"]);
}

/// What lost its power at its first boot. The other nodes find the port closed.
#[test]
fn a_pcsd_with_empty_files_is_named_once_and_mended_where_nothing_is_lost() {
    let stuck = good().replace(
        "service pcsd active enabled",
        "service pcsd activating enabled",
    );
    for (files, fixable) in [
        ("pcsd-file key empty\npcsd-file crt empty\n", true),
        ("pcsd-file key empty\n", true),
        ("pcsd-file key full\npcsd-file crt empty\n", false),
    ] {
        let found = found(&(stuck.clone() + files));
        let [finding] = &found[..] else {
            panic!("not one finding but {found:#?}")
        };
        assert_eq!(
            (finding.name, finding.level, finding.fixable),
            ("cluster.pcsd-key", Level::Error, fixable)
        );
        assert!(
            finding
                .command
                .as_deref()
                .unwrap()
                .contains("kill -s KILL pcsd")
        );
    }
    let full = "pcsd-file key full\npcsd-file crt full\n";
    assert_eq!(found(&(good() + full)), []);
    one(
        &(good() + "pcsd-file key empty\npcsd-file crt empty\n"),
        "cluster.pcsd-key",
        Level::Warning,
        "cannot start again",
    );
}
