//! The script on a LAN whose nodes answer for SBD, or do not: the answers of their pcsd are made up, the
//! rest is pcs's own.

#![allow(clippy::unwrap_used)]

use cib_gen::render;

use crate::bench::{Bench, Sbd, Suite, in_both_suites, on_a_node};
use crate::lan;
use crate::refusals::refuses;

in_both_suites!(
    where_sbd_does_not_run_on_every_node_nothing_is_changed,
    a_watchdog_that_takes_longer_gets_twice_its_time,
);

const RUNS: Sbd = Some([true; 3]);

fn new_cluster(suite: Suite) -> Bench {
    let bench = Bench::of(suite);
    bench.new_cluster(&lan(""), "cib.xml");
    bench
}

fn where_sbd_does_not_run_on_every_node_nothing_is_changed(suite: Suite) {
    let others = [("pbx01", RUNS), ("pbx03", RUNS), ("not-pbx02", RUNS)];
    let bench = new_cluster(suite);
    let of_pbx02: [Option<Sbd>; 4] = [
        Some(Some([true, true, false])),
        Some(Some([true, false, true])),
        // It does not answer.
        Some(None),
        None,
    ];
    for said in of_pbx02 {
        let mut nodes = others.to_vec();
        nodes.extend(said.map(|said| ("pbx02", said)));
        bench.sbd(&nodes);
        let told = "SBD is not installed, enabled and running on pbx02: ";
        let help = "help: cib-gen --format corosync vars.yml";
        refuses(&bench, &lan(""), &[told, help]);
    }
    // pcs fails.
    bench.write("sbd.json", "");
    refuses(
        &bench,
        &lan(""),
        &["SBD is not installed, enabled and running on pbx01: "],
    );
}

fn a_watchdog_that_takes_longer_gets_twice_its_time(suite: Suite) {
    for (of_sbd, wanted) in [
        ("15", Some("30s")),
        ("6", Some("12s")),
        ("1", Some("10s")),
        ("5m", None),
    ] {
        let bench = new_cluster(suite);
        let before = bench.read("cib.xml");
        bench.write("script.sh", &render::pcs(&lan("")));
        let run = format!(
            "sed -i s/^SBD_WATCHDOG_TIMEOUT=.*/SBD_WATCHDOG_TIMEOUT={of_sbd}/ /etc/default/sbd\n{} sh script.sh",
            on_a_node("cib.xml")
        );
        let output = bench.try_script(&["sh", "-c", &run]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.success(),
            wanted.is_some(),
            "{suite}, {of_sbd}: {said}"
        );
        let cib = bench.read("cib.xml");
        match wanted {
            None => assert_eq!(cib, before, "{suite}, {of_sbd}: {said}"),
            Some(wanted) => {
                let set = format!("name=\"stonith-watchdog-timeout\" value=\"{wanted}\"");
                assert!(cib.contains(&set), "{suite}, {of_sbd}: {cib}");
            }
        }
    }
}
