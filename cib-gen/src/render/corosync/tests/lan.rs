//! A cluster of the LAN: its watchdog and SBD, nodes that are off, and names in another case.

use super::*;

/// A cluster of the LAN that exists, and what its nodes say of SBD.
fn lan_of(sbd: [&str; 3]) -> Play {
    let play = Play::new();
    play.put("watchdog", "");
    let mut conf = "totem {\n    cluster_name: ha_cluster\n}\n".to_owned();
    for (node, said) in ["pbx01", "pbx02", "pbx03"].iter().zip(sbd) {
        conf += &format!("node {{\n    name: {node}\n}}\n");
        if !said.is_empty() {
            let device = play.0.path().join("watchdog");
            let said = said.replace("/dev/watchdog", device.to_str().unwrap());
            play.put(&format!("{node}.sbd"), &format!("{said}\n"));
        }
    }
    play.put("corosync.conf", &conf);
    play
}

const RIGHT: &str = "running enabled /dev/watchdog 5";

#[test]
fn a_second_run_leaves_an_sbd_that_is_right_alone() {
    let changes = |play: &Play| -> Vec<String> {
        let output = play.run(&Cluster::of(&sites::lan("")));
        assert!(output.status.success(), "{output:?}");
        let calls = play.calls().into_iter();
        calls.filter(|call| call.starts_with("pcs ")).collect()
    };
    let nothing = ["pcs cluster enable --all", "pcs cluster start --all"];
    assert_eq!(changes(&lan_of([RIGHT; 3])), nothing);
    // A node that is off is no reason to change the others.
    assert_eq!(changes(&lan_of([RIGHT, "", RIGHT])), nothing);
}

#[test]
fn an_sbd_that_is_not_right_in_a_cluster_that_runs_is_left_alone_too_and_the_steps_are_named() {
    for wrong in [
        "running disabled /dev/watchdog 5",
        "running disabled no-watchdog no-timeout",
        "stopped disabled /dev/watchdog 5",
    ] {
        let play = lan_of([RIGHT, wrong, RIGHT]);
        let output = play.run(&Cluster::of(&sites::lan("")));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{wrong}: {said}");
        let steps = [
            "error: SBD is not enabled",
            "on: pbx02",
            "Nothing was changed\nhelp: ",
            "sudo pcs cluster stop --all",
            "cib-gen --format corosync vars.yml | sudo sh",
            "sudo cib-gen apply vars.yml",
        ];
        let mut from = 0;
        for step in steps {
            let at = said[from..].find(step);
            from += at.unwrap_or_else(|| panic!("{wrong}: no `{step}` after {from} in {said}"));
        }
        let calls = play.calls();
        assert!(
            calls.iter().all(|call| call.starts_with("pcsd sbd")),
            "{calls:?}"
        );
    }
}

#[test]
fn another_device_or_timeout_of_an_sbd_that_is_enabled_is_accepted() {
    for (sbd, note) in [
        ("running enabled /dev/watchdog1 5", None),
        ("running enabled no-watchdog no-timeout", None),
        ("stopped enabled /dev/watchdog1 5", None),
        (
            "running enabled /dev/watchdog 8",
            Some("on: pbx01 (8 s) pbx02 (8 s) pbx03 (8 s)."),
        ),
        (
            "running enabled /dev/watchdog1 15",
            Some("stonith-watchdog-timeout=30s"),
        ),
        (
            "running enabled /dev/watchdog 2",
            Some("stonith-watchdog-timeout=10s"),
        ),
    ] {
        let play = lan_of([sbd; 3]);
        let output = play.run(&Cluster::of(&sites::lan("")));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{sbd}: {said}");
        assert_eq!(said.contains("watchdog timeout"), note.is_some(), "{said}");
        assert!(said.contains(note.unwrap_or_default()), "{sbd}: {said}");
        let calls = play.calls();
        assert!(!calls.iter().any(|c| c.contains("sbd enable")), "{calls:?}");
    }
}

#[test]
fn where_sbd_is_enabled_its_own_device_has_to_be_there() {
    let play = lan_of([RIGHT; 3]);
    let watchdog = play.0.path().join("watchdog");
    fs::remove_file(&watchdog).unwrap();
    play.put("watchdog1", "");
    play.put(
        "default-sbd",
        &format!("SBD_WATCHDOG_DEV=\"{}1\"\n", watchdog.display()),
    );
    let lan = Cluster::of(&sites::lan(""));
    assert_eq!(play.run(&lan).status.code(), Some(1));
    play.put("enabled.sbd.service", "");
    let output = play.run(&lan);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn where_sbd_is_enabled_on_some_nodes_those_keep_what_they_have() {
    let stopped = "stopped disabled no-watchdog no-timeout";
    let play = lan_of([stopped, "stopped enabled /dev/other 9", stopped]);
    let output = play.run(&Cluster::of(&sites::lan("")));
    assert!(output.status.success(), "{output:?}");
    let calls = fs::read_to_string(play.0.path().join("calls")).unwrap();
    let wanted = "/watchdog watchdog=/dev/other@pbx02 SBD_WATCHDOG_TIMEOUT=9\n";
    assert!(calls.contains(wanted), "{calls}");
}

#[test]
fn a_node_that_is_off_keeps_no_other_from_starting_and_is_named() {
    let play = lan_of([RIGHT, "", RIGHT]);
    play.put("off", "pbx02\n");
    let output = play.run(&Cluster::of(&sites::lan("")));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error: these nodes could not be told to start the cluster: pbx02. It runs on: pbx01 pbx03\nhelp: "),
        "{said}"
    );
    let calls = fs::read_to_string(play.0.path().join("calls")).unwrap();
    let started = "pcs cluster start pbx01 pbx03 --wait=120\n";
    assert!(calls.contains(started), "{calls}");

    play.put("off", "pbx01 pbx02 pbx03\n");
    let output = play.run(&Cluster::of(&sites::lan("")));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no node could be told"), "{said}");
}

/// Pacemaker compares names without regard to case; pcs knows a node by the name that it was given.
#[test]
fn names_of_nodes_may_differ_in_case() {
    let play = lan_of([RIGHT; 3]);
    let conf = fs::read_to_string(play.0.path().join("corosync.conf")).unwrap();
    play.put("corosync.conf", &conf.replace("pbx02", "PBX02"));
    play.put("PBX02.sbd", RIGHT);
    let output = play.run(&Cluster::of(&sites::lan("")));
    assert!(output.status.success(), "{output:?}");
    assert!(play.calls().contains(&"pcsd sbd PBX02".to_owned()));

    play.put("corosync.conf", &conf.replace("ha_cluster", "HA_cluster"));
    let output = play.run(&Cluster::of(&sites::lan("")));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("in another cluster already"), "{said}");
}

#[test]
fn sbd_is_set_up_in_a_cluster_that_is_stopped() {
    let stopped = "stopped disabled /dev/watchdog 5";
    let play = lan_of([stopped; 3]);
    let output = play.run(&Cluster::of(&sites::lan("")));
    assert!(output.status.success(), "{output:?}");
    let calls = play.calls();
    assert_eq!(
        calls[3..],
        [
            "pcs stonith sbd enable",
            "pcs cluster enable --all",
            "pcs cluster start --all"
        ]
    );
}

#[test]
fn where_no_node_says_how_sbd_is_set_up_nothing_is_changed() {
    let play = lan_of([""; 3]);
    let output = play.run(&Cluster::of(&sites::lan("")));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("pcs host auth"), "{said}");
    assert!(!play.calls().iter().any(|call| call.starts_with("pcs ")));
}

#[test]
fn a_node_without_the_watchdog_that_was_chosen_is_refused_first() {
    let play = Play::new();
    let cluster = Cluster::of(&sites::lan(""));
    let output = play.run(&cluster);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("systemctl enable --now portsip-ha-softdog"),
        "{said}"
    );
    assert!(play.calls().is_empty(), "{:?}", play.calls());

    play.put("watchdog", "");
    let output = play.run(&cluster);
    assert!(output.status.success(), "{output:?}");
    let calls = play.calls();
    let enabled = calls
        .iter()
        .filter(|call| *call == "pcs stonith sbd enable");
    assert_eq!(enabled.count(), 1, "{calls:?}");
}
