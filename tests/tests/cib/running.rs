//! The script on a node of a running cluster: where it reads the cluster and pushes to it is a
//! file here, and the answers of the nodes' pcsd are made up; the rest is pcs's own.

#![allow(clippy::unwrap_used)]

use cib_gen::render;

use crate::bench::{Bench, Suite, in_both_suites};
use crate::{lan, whole_cib, xml};

in_both_suites!(
    where_sbd_runs_on_every_node_the_script_configures_it,
    where_sbd_does_not_run_on_every_node_nothing_is_changed,
    a_node_that_is_off_does_not_keep_the_script_from_a_second_run,
    a_watchdog_that_takes_longer_gets_twice_its_time,
);

/// Stands before pcs. What it prints of SBD, pcs's own code prints.
const PCS: &str = r#"#!/bin/sh
case "$1 $2 $3" in
"cluster cib "*) exec cp live.xml "$3" ;;
"cluster cib-push "*) exec cp "$3" live.xml ;;
"stonith sbd status") exec python3 status.py ;;
esac
PATH=${PATH#/mnt/before:}
exec pcs "$@"
"#;

const STATUS: &str = r#"
import json
from pcs.cli.common.parse_args import InputModifiers
from pcs.stonith import sbd_status


class Cluster:
    class sbd:
        def get_cluster_sbd_status():
            return json.load(open("sbd.json"))

        def get_local_devices_info(full):
            return []


sbd_status(Cluster, [], InputModifiers({}))
"#;

/// What a node's pcsd says of SBD there: installed, enabled, running.
type Said = Option<[bool; 3]>;

const RUNS: Said = Some([true; 3]);

/// A young cluster, and what its nodes say of SBD.
fn young(suite: Suite, nodes: &[(&str, Said)]) -> Bench {
    let bench = Bench::of(suite);
    std::fs::create_dir(bench.path("before")).unwrap();
    bench.write("before/pcs", PCS);
    bench.run(&["chmod", "755", "before/pcs"]);
    bench.write("status.py", STATUS);
    say(&bench, nodes);
    bench.empty_cib("live.xml");
    let sbd = "<cluster_property_set id=\"cib-bootstrap-options\"><nvpair \
               id=\"cib-bootstrap-options-have-watchdog\" name=\"have-watchdog\" value=\"true\"/>\
               </cluster_property_set>";
    let live = bench.read("live.xml");
    let with = live.replace("<crm_config/>", &format!("<crm_config>{sbd}</crm_config>"));
    assert_ne!(with, live);
    bench.write("live.xml", &with);
    bench
}

fn say(bench: &Bench, nodes: &[(&str, Said)]) {
    let word = |said: &Said, n: usize| said.map_or("null".to_owned(), |s| s[n].to_string());
    let nodes = nodes.iter().map(|(name, said)| {
        format!(
            "{{\"node\":\"{name}\",\"status\":{{\"installed\":{},\"enabled\":{},\"running\":{}}}}}",
            word(said, 0),
            word(said, 1),
            word(said, 2)
        )
    });
    let nodes: Vec<String> = nodes.collect();
    bench.write("sbd.json", &format!("[{}]", nodes.join(",")));
}

/// Runs the script after a command of shell; says what it said and how it ended.
fn run_after(bench: &Bench, command: &str) -> (Option<i32>, String) {
    bench.write("script.sh", &render::pcs(&lan("")));
    let run = format!("{command}\nPATH=/mnt/before:$PATH sh script.sh");
    let output = bench.try_script(&["sh", "-c", &run]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

fn where_sbd_runs_on_every_node_the_script_configures_it(suite: Suite) {
    let bench = young(suite, &["pbx01", "pbx02", "pbx03"].map(|n| (n, RUNS)));
    let (status, said) = run_after(&bench, "");
    assert_eq!(status, Some(0), "{suite}: {said}");
    let live = xml::configuration(&bench.read("live.xml"));
    let (watchdog, configured): (Vec<&str>, Vec<&str>) =
        live.lines().partition(|l| l.contains("have-watchdog"));
    assert_eq!(watchdog.len(), 1, "{suite}: {live}");
    let rendering = xml::configuration(&whole_cib(&lan("")));
    let rendering: Vec<&str> = rendering.lines().collect();
    assert_eq!(configured, rendering, "in {suite}");
}

fn where_sbd_does_not_run_on_every_node_nothing_is_changed(suite: Suite) {
    let others = [("pbx01", RUNS), ("pbx03", RUNS)];
    let cases: [(&str, Option<Said>); 4] = [
        ("not running", Some(Some([true, true, false]))),
        ("not enabled", Some(Some([true, false, true]))),
        ("no answer", Some(None)),
        ("not asked", None),
    ];
    for (what, second) in cases {
        let mut nodes = others.to_vec();
        nodes.extend(second.map(|said| ("pbx02", said)));
        let bench = young(suite, &nodes);
        let before = bench.read("live.xml");
        let (status, said) = run_after(&bench, "");
        assert_eq!(status, Some(1), "{what} in {suite}: {said}");
        assert!(
            said.contains("SBD is not installed, enabled and running on: pbx02."),
            "{what} in {suite}: {said}"
        );
        assert_eq!(bench.read("live.xml"), before, "{what} in {suite}");
    }
}

fn a_node_that_is_off_does_not_keep_the_script_from_a_second_run(suite: Suite) {
    let bench = young(suite, &["pbx01", "pbx02", "pbx03"].map(|n| (n, RUNS)));
    assert_eq!(run_after(&bench, "").0, Some(0), "in {suite}");
    let first = bench.read("live.xml");
    say(&bench, &[("pbx01", RUNS), ("pbx02", None), ("pbx03", RUNS)]);
    let (status, said) = run_after(&bench, "");
    assert_eq!(status, Some(0), "{suite}: {said}");
    assert_eq!(bench.read("live.xml"), first, "in {suite}");
}

fn a_watchdog_that_takes_longer_gets_twice_its_time(suite: Suite) {
    let bench = young(suite, &["pbx01", "pbx02", "pbx03"].map(|n| (n, RUNS)));
    let slow = "sed -i s/^SBD_WATCHDOG_TIMEOUT=.*/SBD_WATCHDOG_TIMEOUT=15/ /etc/default/sbd";
    let (status, said) = run_after(&bench, slow);
    assert_eq!(status, Some(0), "{suite}: {said}");
    let live = bench.read("live.xml");
    let set = "name=\"stonith-watchdog-timeout\" value=\"30s\"";
    assert!(live.contains(set), "{suite}: {live}");
    let (status, said) = run_after(&bench, slow);
    assert_eq!(status, Some(0), "{suite}: {said}");
    assert_eq!(bench.read("live.xml"), live, "in {suite}");
}
