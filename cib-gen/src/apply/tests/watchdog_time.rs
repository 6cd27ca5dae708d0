//! The time of the watchdog, fitted to what the nodes say of SBD.

use super::*;
use crate::apply::watchdog::{self, Sbd};

fn sbd(answers: [(Option<bool>, Option<&str>); 3]) -> Vec<Sbd> {
    let nodes = ["PBX01", "pbx02", "pbx03"].into_iter().zip(answers);
    nodes
        .map(|(node, (runs, timeout))| Sbd {
            node: node.to_owned(),
            runs,
            timeout: timeout.map(str::to_owned),
            delay: None,
        })
        .collect()
}

/// What apply makes of a cluster with that time, and the note on SBD.
fn fitted(now: &str, said: &[Sbd]) -> Result<(Vec<String>, String), String> {
    let mut cluster = lan();
    let cib = match now {
        "" => {
            let runs = "<nvpair id=\"h\" name=\"have-watchdog\" value=\"true\"/>";
            let set = "<cluster_property_set id=\"cib-bootstrap-options\">";
            render::cib(&cluster).replace(set, &format!("{set}{runs}"))
        }
        now => made(&cluster).replace(
            "timeout\" value=\"10s\"",
            &format!("timeout\" value=\"{now}\""),
        ),
    };
    let note = watchdog::fit(&mut cluster, &Element::parse(&cib).unwrap(), said)?;
    let plan = Plan::of(&cluster, &cib).unwrap();
    assert_eq!(plan.refusals, Vec::<String>::new());
    Ok((plan.changes, note.unwrap_or_default()))
}

const RUNS: (Option<bool>, Option<&str>) = (Some(true), Some("5"));
const STOPPED: (Option<bool>, Option<&str>) = (Some(false), Some("5"));
const SILENT: (Option<bool>, Option<&str>) = (None, None);

#[test]
fn it_is_at_least_twice_the_longest_time_that_sbd_has_on_a_node() {
    for (longest, now, change) in [
        ("5", "10s", None),
        ("1", "10s", None),
        ("15", "10s", Some("10s -> 30s")),
        ("15", "40s", None),
        ("1m", "10s", Some("10s -> 120s")),
        ("5", "3s", Some("3s -> 10s")),
        ("15", "-1", None),
    ] {
        let said = sbd([RUNS, (Some(true), Some(longest)), RUNS]);
        let change = change.map(|change| format!("property stonith-watchdog-timeout: {change}"));
        let wanted = (change.into_iter().collect(), String::new());
        assert_eq!(fitted(now, &said).unwrap(), wanted, "{longest}, {now}");
    }
    let new = "property stonith-watchdog-timeout 30s: new".to_owned();
    let said = sbd([RUNS, RUNS, (Some(true), Some("15"))]);
    assert_eq!(fitted("", &said).unwrap(), (vec![new], String::new()));
}

#[test]
fn where_sbd_does_not_run_on_a_node_it_is_neither_set_nor_changed() {
    for now in ["", "3s"] {
        let refusal = fitted(now, &sbd([RUNS, STOPPED, SILENT])).unwrap_err();
        assert!(
            refusal.starts_with("SBD is not installed, enabled and running on pbx02. ")
                && refusal.contains("vars.yml asks for 10s\n  help: "),
            "{refusal}"
        );
    }
    let (changes, note) = fitted("10s", &sbd([RUNS, STOPPED, RUNS])).unwrap();
    assert_eq!(changes, Vec::<String>::new());
    assert!(
        note.contains("running on pbx02. ") && note.contains("is 10s and stays so"),
        "{note}"
    );
}

#[test]
fn where_a_node_cannot_be_asked_of_sbd_it_stays_as_it_is_or_nothing_is_changed() {
    let unread = (Some(true), Some("soon"));
    for said in [
        sbd([RUNS, RUNS, SILENT]),
        sbd([RUNS, RUNS, (Some(true), None)]),
        sbd([RUNS, RUNS, unread]),
        sbd([RUNS; 3])[..2].to_vec(),
    ] {
        for now in ["3s", "10s", "60s"] {
            let (changes, note) = fitted(now, &said).unwrap();
            assert_eq!(changes, Vec::<String>::new(), "{now}");
            let words = format!("is {now} and stays so");
            assert!(
                note.contains("runs on pbx03, and with") && note.contains(&words),
                "{note}"
            );
        }
        let refusal = fitted("", &said).unwrap_err();
        assert!(refusal.contains("is not set"), "{refusal}");
    }
    assert!(fitted("", &[]).unwrap_err().contains("pbx01, pbx02, pbx03"));
}

#[test]
fn nodes_whose_sbd_waits_while_corosync_does_not_are_named() {
    let said = |delays: [Option<&str>; 3]| {
        let mut said = sbd([RUNS; 3]);
        for (sbd, delay) in said.iter_mut().zip(delays) {
            sbd.delay = delay.map(str::to_owned);
        }
        watchdog::with_delay(&said)
    };
    assert_eq!(said([Some("no"), None, Some("no")]), None);
    let note = said([Some("no"), Some("20"), Some("yes")]).unwrap();
    assert!(
        note.starts_with("SBD_DELAY_START is set on pbx02, pbx03. ")
            && note.contains("SBD_DELAY_START=no/"),
        "{note}"
    );
}

#[test]
fn a_cib_of_a_file_says_that_the_nodes_were_not_asked_where_the_time_would_change() {
    let note =
        |cluster: &Cluster, cib: &str| watchdog::not_asked(cluster, &Element::parse(cib).unwrap());
    assert_eq!(note(&lan(), &made(&lan())), None);
    assert_eq!(note(&lan_with(BOARDS), &render::cib(&lan())), None);
    let short = made(&lan()).replace("value=\"10s\"", "value=\"3s\"");
    for cib in [render::cib(&lan()), short] {
        let said = note(&lan(), &cib).unwrap();
        assert!(said.contains("may have to be longer than 10s"), "{said}");
    }
}
