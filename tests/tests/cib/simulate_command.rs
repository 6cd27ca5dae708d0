//! `cib-gen simulate` as a user runs it, with stock crm_simulate: what we write recovers from
//! everything, and a cluster with a mistake in it is found out.

use std::process::Output;

use cib_gen::cluster::ConstraintKind;
use cib_gen::simulate::{Report, simulate};
use cib_gen::{Cluster, render};

use crate::bench::{Bench, Suite, in_both_suites};
use crate::in_image::InImage;
use crate::{LAN, NODES, VENDOR, cluster, lan};

in_both_suites!(
    everything_recovers_on_aws,
    everything_recovers_on_a_lan,
    without_fencing_it_says_what_is_not_certain,
);

/// Runs it on a vars.yml.
fn command(bench: &Bench, vars: &str, more: &[&str]) -> Output {
    bench.put_cib_gen();
    bench.write("vars.yml", vars);
    let command = ["./cib-gen", "simulate", "--offline", "vars.yml"];
    bench.try_run(&[&command[..], more].concat())
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn all_recovers(suite: Suite, vars: &str, more: &[&str]) -> String {
    let bench = Bench::of(suite);
    let output = command(&bench, vars, more);
    let text = printed(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{suite}: {text}{said}");
    assert!(
        text.ends_with("cases: everything recovers, and nothing moves without need.\n"),
        "{suite}: {text}"
    );
    text
}

fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines().map(str::trim);
    let found = lines.find_map(|line| line.strip_prefix(name));
    found
        .unwrap_or_else(|| panic!("no `{name}` in:\n{text}"))
        .trim()
}

fn everything_recovers_on_aws(suite: Suite) {
    let text = all_recovers(suite, VENDOR, &["--nodes", NODES]);
    let moved = line(&text, "ip-172-31-16-133, active, fails ");
    assert!(
        moved.starts_with("everything moves to ip-172-31-16-134 after fencing ip-172-31-16-133"),
        "{moved}"
    );
    let back = line(&text, "ip-172-31-16-133 comes back after that ");
    assert!(back.starts_with("nothing moves "), "{back}");
    assert!(
        text.contains("\nnot judged: whether fencing switches the right machine"),
        "{text}"
    );
    for (name, happens) in [
        (
            "ip-172-31-16-133, active, is rebooted ",
            "everything moves to ip-172-31-16-134 ",
        ),
        (
            "ip-172-31-16-133 comes back after its reboot ",
            "nothing moves ",
        ),
        (
            "ip-172-31-16-133, active, and ip-172-31-16-134 fail at once ",
            "nothing starts while ip-172-31-16-133 is lost ",
        ),
        (
            "eip and pbx fail on ip-172-31-16-133 at once ",
            "repaired in place: ",
        ),
        (
            "ip-172-31-16-134 fails, and pbx on ip-172-31-16-133 at once ",
            "repaired in place: pbx after fencing ip-172-31-16-134",
        ),
        (
            "stop fails on ip-172-31-16-133 ",
            "everything moves to ip-172-31-16-134 after fencing",
        ),
    ] {
        let happened = line(&text, name);
        assert!(happened.starts_with(happens), "{name}: {happened}");
    }
    let minority = line(&text, "ip-172-31-16-133, active, is in a minority ");
    assert!(minority.starts_with("everything stops "), "{minority}");
}

fn everything_recovers_on_a_lan(suite: Suite) {
    let text = all_recovers(suite, LAN, &["--verbose"]);
    assert!(text.contains("\n      promote drbd_devpath on "), "{text}");
    assert!(text.contains("\n      fence pbx01 "), "{text}");
    assert!(
        text.contains("\nnot judged: whether /dev/watchdog resets a node"),
        "{text}"
    );
}

/// The third node votes, and is fenced as the others are; nothing else of ours is ever there.
#[test]
fn everything_recovers_with_two_copies_and_a_voter() {
    let text = all_recovers(Suite::Trixie, &format!("{LAN}drbd: 8.4\n"), &["--verbose"]);
    assert!(text.contains("\n      fence pbx03 "), "{text}");
    assert!(!text.contains(" on pbx03\n"), "{text}");
    let lost = line(&text, "pbx03 fails beside pbx01 ");
    assert!(
        lost.starts_with("nothing moves after fencing pbx03 "),
        "{lost}"
    );
}

/// What somebody else has configured takes part: here, a PBX that may not leave a node.
#[test]
fn with_a_cib_the_merged_cluster_is_judged() {
    let bench = Bench::of(Suite::Trixie);
    let cluster = lan("");
    bench.new_cluster(&cluster, "cib.xml");
    for (more, code) in [
        (None, 0),
        (Some("constraint location pbx prefers pbx01=INFINITY"), 3),
    ] {
        if let Some(constraint) = more {
            bench.write("own.xml", &render::cib(&cluster));
            bench.change("own.xml", &[constraint]);
            bench.lived_in("own.xml", "cib.xml");
        }
        let output = command(&bench, LAN, &["--cib", "cib.xml"]);
        let text = printed(&output);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}{said}");
        if code != 0 {
            let back = line(&text, "pbx01 comes back after that ");
            assert!(back.ends_with("without need"), "{back}");
        }
    }
    // What cannot be merged is not judged.
    let create = [
        "pcs",
        "-f",
        "cib.xml",
        "resource",
        "create",
        "eip",
        "ocf:heartbeat:Dummy",
    ];
    bench.new_cluster(&cluster, "cib.xml");
    bench.run(&create);
    let output = command(&bench, VENDOR, &["--cib", "cib.xml", "--nodes", NODES]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        printed(&output).contains("there is a 'eip' already"),
        "{}",
        printed(&output)
    );
}

/// In one suite alone: the scheduler is asked more than a thousand times.
#[test]
fn nine_nodes_are_no_other() {
    let mut vars = LAN.to_owned();
    for n in 4..=9 {
        vars += &format!("pbx0{n}_hostname: pbx0{n}\npbx0{n}_private_ip: 192.168.1.13{n}\n");
    }
    let text = all_recovers(Suite::Trixie, &vars, &[]);
    line(&text, "stop fails on pbx09 ");
}

fn without_fencing_it_says_what_is_not_certain(suite: Suite) {
    let bench = Bench::of(suite);
    let vars = format!("{VENDOR}fencing: none\n");
    let output = command(&bench, &vars, &["--nodes", NODES]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    let lost = line(&text, "ip-172-31-16-133, active, fails ");
    assert!(
        lost.ends_with("nothing makes sure that ip-172-31-16-133 is dead"),
        "{lost}"
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("WARNING: fencing: none"), "{said}");
    assert!(!text.contains("not judged"), "{text}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let bench = Bench::of(Suite::Bookworm);
    let run = || printed(&command(&bench, LAN, &["--verbose"]));
    assert_eq!(run(), run());
}

#[test]
fn where_crm_simulate_is_missing_it_says_what_to_install() {
    let bench = Bench::of(Suite::Bookworm);
    bench.put_cib_gen();
    bench.write("vars.yml", LAN);
    let without = "PATH=/nowhere ./cib-gen simulate --offline vars.yml";
    let output = bench.try_run(&["sh", "-c", without]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(
            "crm_simulate is not found\n  help: run cib-gen with sudo, or: sudo apt install pacemaker-cli-utils"
        ),
        "{said}"
    );
}

fn of(cluster: &Cluster) -> Report {
    let bench = Bench::of(Suite::Bookworm);
    simulate(cluster, None, &InImage::of(&bench)).unwrap_or_else(|e| panic!("{e}"))
}

/// What is wrong with the cases of a name.
fn faults(report: &Report, name: &str) -> Vec<String> {
    let named = report.cases.iter().filter(|case| case.name.contains(name));
    let faults: Vec<String> = named.filter_map(|case| case.fault.clone()).collect();
    assert!(
        !faults.is_empty(),
        "nothing is said of `{name}`:\n{}",
        report.text(false)
    );
    faults
}

#[test]
fn without_stickiness_nodes_that_come_are_seen_to_move_something() {
    let mut cluster = cluster("");
    for setting in &mut cluster.resource_defaults {
        if setting.name == "resource-stickiness" {
            "0".clone_into(&mut setting.value);
        }
    }
    let faults = faults(&of(&cluster), "and the others come");
    assert!(
        faults.iter().all(|f| f.ends_with("without need")),
        "{faults:?}"
    );
}

#[test]
fn without_the_constraint_that_keeps_it_together_it_is_seen_to_fall_apart() {
    let mut cluster = lan("");
    cluster
        .constraints
        .retain(|c| c.kind != ConstraintKind::Together);
    let faults = faults(&of(&cluster), "all nodes at once");
    assert_eq!(faults, ["it is not all on one node"]);
}

#[test]
fn without_its_bans_something_is_seen_to_start_on_the_voter() {
    let mut cluster = lan("drbd: 8.4\n");
    cluster.bans.clear();
    let faults = faults(&of(&cluster), "pbx02, active, fails");
    let on_voter = |fault: &String| fault.ends_with(" starts on pbx03, which only votes");
    assert!(faults.iter().all(on_voter), "{faults:?}");
}

#[test]
fn without_a_threshold_a_failure_is_seen_to_be_repaired_for_ever() {
    let mut cluster = cluster("");
    (cluster.resource_defaults).retain(|setting| setting.name != "migration-threshold");
    let faults = faults(
        &of(&cluster),
        "monitor fails on ip-172-31-16-133 three times",
    );
    assert!(
        faults.iter().all(|f| f == "it stays on ip-172-31-16-133"),
        "{faults:?}"
    );
}

/// What fails is not banned there: a rule on the failures moves it.
#[test]
fn without_the_rule_on_failures_two_copies_are_seen_to_be_repaired_for_ever() {
    let mut cluster = lan("drbd: 8.4\n");
    let right = of(&cluster);
    let wrong = right.cases.iter().filter(|case| case.fault.is_some());
    assert_eq!(wrong.count(), 0, "{}", right.text(false));
    cluster.failure_rules.clear();
    let report = of(&cluster);
    for name in [
        "monitor fails on pbx01 three times",
        "promoted monitor fails on pbx01 three times",
    ] {
        let faults = faults(&report, name);
        assert!(
            faults.iter().all(|f| f == "it stays on pbx01"),
            "{faults:?}"
        );
    }
}
