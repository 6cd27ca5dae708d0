//! What Pacemaker does with the cluster when something fails, by its own simulator.

#![allow(clippy::unwrap_used)]

use cib_gen::render;
use lab::site::INSTANCES;

use crate::bench::{Bench, Suite, in_both_suites};
use crate::simulate::{Outcome, promotable_on, simulate};
use crate::{cluster, lan, whole_cib, xml};

in_both_suites!(
    storage_and_addresses_start_beside_each_other_and_the_pbx_last,
    when_a_node_fails_everything_runs_on_another_after_it_was_fenced,
    a_standby_node_that_fails_moves_nothing,
    without_quorum_nothing_runs,
    a_resource_that_cannot_start_here_takes_all_the_others_elsewhere,
    a_failed_monitor_is_repaired_on_the_node,
    a_resource_that_is_degraded_stays_as_it_is,
    ec2_not_answering_the_stock_awsvip_moves_and_stops_nothing,
    ec2_not_answering_the_fencing_device_leaves_it_where_it_is,
    disabling_the_pbx_leaves_its_addresses_and_storage,
    with_two_copies_the_third_failure_moves_everything_to_the_other,
    failures_do_not_ban_the_only_good_copy,
);

const RESOURCES: [&str; 7] = [
    "eip",
    "privip",
    "vip",
    "src_pkt_ip",
    "ebs",
    "datapath_fs",
    "pbx",
];

fn node(n: usize) -> &'static str {
    INSTANCES[n].hostname
}

/// The cluster with three nodes online and everything running on the first.
fn running(suite: Suite) -> Bench {
    running_with(suite, "")
}

/// The same of the vendor's file with more lines.
fn running_with(suite: Suite, more: &str) -> Bench {
    let bench = Bench::of(suite);
    bench.write("cib.xml", &render::cib(&cluster(more)));
    let outcome = started(&bench, &[]);
    assert_eq!(
        outcome.node_of_all(&RESOURCES),
        Some(node(0)),
        "{}",
        outcome.text
    );
    bench
}

/// The first start of the cluster, with more events; the state after it is in up.xml.
fn started(bench: &Bench, events: &[&str]) -> Outcome {
    let up = INSTANCES.map(|i| format!("--node-up={}", i.hostname));
    let mut all: Vec<&str> = up.iter().map(String::as_str).collect();
    all.push("--quorum=true");
    all.extend(events);
    simulate(bench, "cib.xml", &all, "up.xml")
}

fn storage_and_addresses_start_beside_each_other_and_the_pbx_last(suite: Suite) {
    let bench = running(suite);
    let outcome = started(&bench, &["--save-graph=graph.xml"]);
    for (first, then) in [
        ("privip", "eip"),
        ("eip", "src_pkt_ip"),
        ("vip", "src_pkt_ip"),
        ("ebs", "datapath_fs"),
        ("src_pkt_ip", "pbx"),
        ("datapath_fs", "pbx"),
    ] {
        let (a, b) = (format!("{first} start"), format!("{then} start"));
        assert!(outcome.when(&a) < outcome.when(&b), "{a} came after {b}");
    }

    let needed = |key: &str| xml::prerequisites(&bench.read("graph.xml"), key);
    for (one, other) in [("ebs", "privip"), ("ebs", "vip"), ("vip", "privip")] {
        for (this, that) in [(one, other), (other, one)] {
            let needed = needed(&format!("{this}_start_0"));
            assert!(
                !needed.contains(&format!("{that}_start_0")),
                "{this} waits for {that}"
            );
        }
    }
    let addresses = needed("src_pkt_ip_start_0");
    assert!(
        !addresses.contains("ebs_start_0"),
        "the addresses wait for the volume"
    );
    let storage = needed("datapath_fs_start_0");
    for address in ["privip", "eip", "vip", "src_pkt_ip"] {
        assert!(
            !storage.contains(&format!("{address}_start_0")),
            "storage waits for {address}"
        );
    }
    let all = needed("pbx_start_0");
    assert_eq!(
        RESOURCES
            .iter()
            .filter(|r| all.contains(&format!("{r}_start_0")))
            .count(),
        6
    );
}

fn when_a_node_fails_everything_runs_on_another_after_it_was_fenced(suite: Suite) {
    let bench = running(suite);
    // Everything runs on the first; moved by standby it runs on the others in turn.
    for lost in 0..3 {
        let away: Vec<String> = (0..lost)
            .map(|n| format!("--node-down={}", node(n)))
            .collect();
        let away: Vec<&str> = away.iter().map(String::as_str).collect();
        let mut back: Vec<String> = (0..lost)
            .map(|n| format!("--node-up={}", node(n)))
            .collect();
        back.push("--quorum=true".to_owned());
        let back: Vec<&str> = back.iter().map(String::as_str).collect();
        simulate(&bench, "up.xml", &away, "moved.xml");
        let before = simulate(&bench, "moved.xml", &back, "back.xml");
        let active = before
            .node_of_all(&RESOURCES)
            .expect("all on one node")
            .to_owned();
        assert_eq!(
            active,
            node(lost),
            "the cluster is not where the test wants it: {}",
            before.text
        );

        let outcome = simulate(
            &bench,
            "back.xml",
            &[&format!("--node-fail={active}")],
            "after.xml",
        );
        let now = outcome.node_of_all(&RESOURCES);
        assert!(
            now.is_some_and(|n| n != active),
            "{active} failed: {}",
            outcome.text
        );
        let fenced = outcome.when(&format!("Fencing {active}"));
        for resource in RESOURCES {
            assert!(
                fenced < outcome.when(&format!("{resource} start")),
                "{resource} did not wait"
            );
        }
    }
}

fn a_standby_node_that_fails_moves_nothing(suite: Suite) {
    let bench = running(suite);
    for n in [1, 2] {
        let outcome = simulate(
            &bench,
            "up.xml",
            &[&format!("--node-fail={}", node(n))],
            "after.xml",
        );
        assert_eq!(
            outcome.node_of_all(&RESOURCES),
            Some(node(0)),
            "{}",
            outcome.text
        );
        let stopped = outcome.actions.iter().any(|a| a.contains(" stop on "));
        assert!(!stopped, "{}", outcome.text);
    }
}

fn without_quorum_nothing_runs(suite: Suite) {
    let bench = running(suite);
    let lost = [1, 2].map(|n| format!("--node-fail={}", node(n)));
    let outcome = simulate(
        &bench,
        "up.xml",
        &[&lost[0], &lost[1], "--quorum=false"],
        "after.xml",
    );
    for resource in RESOURCES {
        assert_eq!(outcome.nodes.get(resource), None, "{}", outcome.text);
    }
    let stop = |r: &str| outcome.when(&format!("{r} stop"));
    assert!(stop("pbx") < stop("datapath_fs") && stop("datapath_fs") < stop("ebs"));
    assert!(stop("pbx") < stop("src_pkt_ip") && stop("src_pkt_ip") < stop("eip"));
    assert!(stop("eip") < stop("privip"));
}

/// crm_simulate counts a failed start once; the controller counts it as infinitely many
/// (start-failure-is-fatal).
fn start_failures_are_fatal(bench: &Bench, file: &str) {
    let lines = bench.read(file);
    let lines = lines.lines().map(|line| {
        if line.contains("name=\"fail-count-") {
            line.replace("value=\"1\"", "value=\"INFINITY\"")
        } else {
            line.to_owned()
        }
    });
    bench.write(file, &lines.collect::<Vec<_>>().join("\n"));
}

fn a_resource_that_cannot_start_here_takes_all_the_others_elsewhere(suite: Suite) {
    let bench = running(suite);
    for resource in RESOURCES {
        started(
            &bench,
            &[&format!("--op-fail={resource}_start_0@{}=1", node(0))],
        );
        start_failures_are_fatal(&bench, "up.xml");
        let outcome = simulate(&bench, "up.xml", &[], "after.xml");
        let now = outcome.node_of_all(&RESOURCES);
        assert!(
            now.is_some_and(|n| n != node(0)),
            "{resource} failed: {}",
            outcome.text
        );
    }
}

fn a_failed_monitor_is_repaired_on_the_node(suite: Suite) {
    let bench = running(suite);
    for resource in RESOURCES {
        let failure = format!("--op-inject={resource}_monitor_10000@{}=1", node(0));
        let outcome = simulate(&bench, "up.xml", &[&failure], "after.xml");
        outcome.when(&format!("{resource} stop"));
        outcome.when(&format!("{resource} start"));
        assert_eq!(
            outcome.node_of_all(&RESOURCES),
            Some(node(0)),
            "{}",
            outcome.text
        );
    }
}

fn a_resource_that_is_degraded_stays_as_it_is(suite: Suite) {
    let bench = running(suite);
    for resource in RESOURCES {
        undisturbed_by(
            &bench,
            &format!("{resource}_monitor_10000@{}", node(0)),
            190,
        );
    }
}

fn ec2_not_answering_the_stock_awsvip_moves_and_stops_nothing(suite: Suite) {
    let bench = running_with(suite, "privip_agent: ocf:heartbeat:awsvip\n");
    // 7 is what it returns when its DescribeInstances was throttled.
    undisturbed_by(&bench, &format!("privip_monitor_30000@{}", node(0)), 7);
}

fn ec2_not_answering_the_fencing_device_leaves_it_where_it_is(suite: Suite) {
    let bench = running(suite);
    let outcome = simulate(&bench, "up.xml", &[], "same.xml");
    let device = outcome.nodes.get("fencing").expect("it runs somewhere");
    undisturbed_by(&bench, &format!("fencing_monitor_300000@{device}"), 1);
}

/// Nothing is stopped or started when an operation (`pbx_monitor_10000@NODE`) ends with this code.
fn undisturbed_by(bench: &Bench, operation: &str, code: u8) {
    let failure = format!("--op-inject={operation}={code}");
    let outcome = simulate(bench, "up.xml", &[&failure], "after.xml");
    assert_eq!(
        outcome.node_of_all(&RESOURCES),
        Some(node(0)),
        "{}",
        outcome.text
    );
    let disturbed = outcome
        .actions
        .iter()
        .any(|a| a.contains(" stop on ") || a.contains(" start on "));
    assert!(!disturbed, "{}", outcome.text);
}

fn disabling_the_pbx_leaves_its_addresses_and_storage(suite: Suite) {
    let bench = running(suite);
    bench.run(&["pcs", "-f", "up.xml", "resource", "disable", "pbx"]);
    let outcome = simulate(&bench, "up.xml", &[], "after.xml");
    assert_eq!(outcome.nodes.get("pbx"), None, "{}", outcome.text);
    assert_eq!(
        outcome.node_of_all(&RESOURCES[..6]),
        Some(node(0)),
        "{}",
        outcome.text
    );
}

/// What is on the data of the LAN system.
const ON_THE_DATA: [&str; 5] = ["drbd_devpath", "vip", "src_pkt_ip", "datapath_fs", "pbx"];

/// The LAN system with DRBD 8.4, everything on pbx01 and a good copy on pbx02; the state is in up.xml.
fn two_copies(suite: Suite) -> Bench {
    let bench = Bench::of(suite);
    let timeout = "name=\"stonith-watchdog-timeout\" value=\"10s\"/>";
    let watchdog = "<nvpair id=\"have\" name=\"have-watchdog\" value=\"true\"/>";
    let cib = whole_cib(&lan("drbd: 8.4\n")).replace(timeout, &format!("{timeout}{watchdog}"));
    bench.write("cib.xml", &cib);
    let up = [
        "--node-up=pbx01",
        "--node-up=pbx02",
        "--node-up=pbx03",
        "--quorum=true",
    ];
    simulate(&bench, "cib.xml", &up, "nodes.xml");
    promotable_on(&bench, "nodes.xml", "drbd_devpath", "pbx01");
    for state in ["unpromoted", "promoted", "started"] {
        let outcome = simulate(&bench, "nodes.xml", &[], "up.xml");
        bench.write("nodes.xml", &bench.read("up.xml"));
        if state == "started" {
            let at = outcome.node_of_all(&ON_THE_DATA);
            assert_eq!(at, Some("pbx01"), "{}", outcome.text);
        }
    }
    let connected = bench.read("up.xml");
    let connected = connected.replace(
        "drbd_devpath\" value=\"1000\"",
        "drbd_devpath\" value=\"10000\"",
    );
    bench.write("up.xml", &connected);
    bench
}

/// Every monitor of pbx01, failed three times.
fn three_failures() -> Vec<String> {
    let monitors = ON_THE_DATA.map(|id| (id, 10_000)).into_iter();
    let monitors = monitors.chain([("pbx", 30_000)]);
    monitors
        .map(|(id, interval)| format!("--op-inject={id}_monitor_{interval}@pbx01=1"))
        .collect()
}

fn with_two_copies_the_third_failure_moves_everything_to_the_other(suite: Suite) {
    let bench = two_copies(suite);
    for failure in three_failures() {
        let twice = simulate(&bench, "up.xml", &[&*failure; 2], "twice.xml");
        let at = twice.node_of_all(&ON_THE_DATA);
        assert_eq!(at, Some("pbx01"), "{failure}: {}", twice.text);
        let thrice = simulate(&bench, "up.xml", &[&*failure; 3], "thrice.xml");
        let at = thrice.node_of_all(&ON_THE_DATA);
        assert_eq!(at, Some("pbx02"), "{failure}: {}", thrice.text);
        // It stays there.
        let later = simulate(&bench, "thrice.xml", &[], "later.xml");
        assert_eq!(later.node_of_all(&ON_THE_DATA), Some("pbx02"), "{failure}");
    }
}

/// The standby is away, and DRBD's handler keeps its copy from use.
fn failures_do_not_ban_the_only_good_copy(suite: Suite) {
    let bench = two_copies(suite);
    simulate(&bench, "up.xml", &["--node-down=pbx02"], "alone.xml");
    let constraint = "<rsc_location rsc=\"drbd_devpath-clone\" id=\"drbd-fence-by-handler-pbxdata-drbd_devpath-clone\">\
        <rule role=\"Promoted\" score=\"-INFINITY\" id=\"by-handler-rule\"><expression attribute=\"#uname\" \
        operation=\"ne\" value=\"pbx01\" id=\"by-handler-expr\"/></rule></rsc_location></constraints>";
    let alone = bench.read("alone.xml");
    bench.write("alone.xml", &alone.replace("</constraints>", constraint));
    for failure in three_failures() {
        for times in [3, 5] {
            let outcome = simulate(&bench, "alone.xml", &vec![&*failure; times], "after.xml");
            let at = outcome.node_of_all(&ON_THE_DATA);
            assert_eq!(at, Some("pbx01"), "{failure}: {}", outcome.text);
        }
        // The standby comes back with a copy that is old.
        let back = simulate(&bench, "after.xml", &["--node-up=pbx02"], "back.xml");
        assert_eq!(back.node_of_all(&ON_THE_DATA), Some("pbx01"), "{failure}");
    }
}
