//! What `cib-gen apply` on a node of the LAN system asks all nodes of SBD.

use crate::apply_on_node::{apply, ends, has, node, nothing_would_change, sbd};
use crate::bench::{Suite, in_both_suites};

in_both_suites!(
    every_node_is_asked_of_sbd,
    without_an_answer_of_the_nodes_the_time_of_the_watchdog_stays,
);

fn every_node_is_asked_of_sbd(suite: Suite) {
    let bench = node(suite);
    sbd(&bench, &[("pbx01", "5"), ("pbx02", "15"), ("pbx03", "5")]);
    let said = ends(&apply(&bench, &[]), 0);
    has(&said, &["property stonith-watchdog-timeout: 10s -> 30s\n"]);
    has(
        &bench.read("live.xml"),
        &["name=\"stonith-watchdog-timeout\" value=\"30s\""],
    );
    nothing_would_change(&bench);
}

fn without_an_answer_of_the_nodes_the_time_of_the_watchdog_stays(suite: Suite) {
    let bench = node(suite);
    let short = bench
        .read("live.xml")
        .replace("value=\"10s\"", "value=\"3s\"");
    bench.write("live.xml", &short);
    sbd(&bench, &[("pbx01", "5"), ("pbx02", "5"), ("pbx03", "")]);
    let said = ends(&apply(&bench, &[]), 0);
    has(
        &said,
        &[
            "SBD runs on pbx03, and with",
            "is 3s and stays so, and vars.yml asks for 10s\n",
        ],
    );
    assert_eq!(bench.read("live.xml"), short);
    // pcs itself fails.
    sbd(&bench, &[]);
    let said = ends(&apply(&bench, &[]), 0);
    has(
        &said,
        &[
            "SBD runs on pbx01, pbx02, pbx03,",
            "\n  the nodes could not be asked: python3 failed",
        ],
    );
    assert_eq!(bench.read("live.xml"), short);
}
