//! `cib-gen apply` where it changes a cluster, on CIB files with Pacemaker's own tools: it changes nothing without a
//! yes where one is needed, and never overwrites what somebody else has changed meanwhile.

use crate::apply_command::{ends, made, prints, run, running};
use crate::bench::{Bench, Suite, in_both_suites};
use crate::{BOARDS, HYPERVISOR, LAN, VENDOR, cluster, lan};

in_both_suites!(
    nothing_restarts_without_a_terminal_and_without_yes,
    a_configuration_that_changed_meanwhile_is_not_overwritten,
    a_status_that_changed_meanwhile_only_means_asking_again,
    an_answer_that_was_lost_is_no_failure,
    fencing_is_never_reduced_without_a_yes,
);

fn nothing_restarts_without_a_terminal_and_without_yes(suite: Suite) {
    let bench = running(suite, &cluster(""));
    let up = bench.read("up.xml");
    bench.write("live.xml", &up);
    let other = VENDOR.replace("54.151.30.9", "54.151.30.10");
    let said = ends(&run(&bench, &other, "", &[]), 3);
    assert!(
        said.contains("would restart: eip") && said.contains("not changed:"),
        "{said}"
    );
    assert_eq!(bench.read("live.xml"), up);

    let said = ends(&run(&bench, &other, "", &["--yes"]), 0);
    assert!(said.ends_with("done\n"), "{said}");
    assert!(bench.read("live.xml").contains("54.151.30.10"));
    prints(&run(&bench, &other, "", &[]), 0, "nothing would change\n");

    // What restarts nothing needs no answer.
    let start = "name=\"start\" interval=\"0s\" timeout=\"300s\"";
    assert!(up.contains(start), "{up}");
    bench.write(
        "live.xml",
        &up.replace(start, &start.replace("300s", "200s")),
    );
    let said = ends(&run(&bench, VENDOR, "", &[]), 0);
    assert!(
        said.contains("pbx: timeout of start 200s -> 300s"),
        "{said}"
    );
    prints(&run(&bench, VENDOR, "", &[]), 0, "nothing would change\n");
}

/// A crm_diff before which somebody changes an attribute of the CIB, once.
fn meanwhile(attribute: &str) -> String {
    format!(
        "mkdir bin; cat > bin/crm_diff <<'END'\n#!/bin/sh\n\
         [ -e once ] || sed -i '1,/<cib /s/ {attribute}=\"[0-9]*\"/ {attribute}=\"99\"/' live.xml\n\
         touch once\nexec /usr/sbin/crm_diff \"$@\"\nEND\nchmod +x bin/crm_diff; export PATH=/mnt/bin:$PATH"
    )
}

fn a_configuration_that_changed_meanwhile_is_not_overwritten(suite: Suite) {
    for attribute in ["epoch", "admin_epoch"] {
        let bench = running(suite, &cluster(""));
        bench.write("live.xml", &bench.read("up.xml"));
        let other = VENDOR.replace("54.151.30.9", "54.151.30.10");
        let said = ends(&run(&bench, &other, &meanwhile(attribute), &["--yes"]), 1);
        assert!(
            said.contains("somebody else has changed the configuration meanwhile"),
            "{said}"
        );
        let live = bench.read("live.xml");
        assert!(
            !live.contains("54.151.30.10") && live.contains(&format!(" {attribute}=\"99\"")),
            "{live}"
        );
    }
}

fn a_status_that_changed_meanwhile_only_means_asking_again(suite: Suite) {
    let bench = running(suite, &cluster(""));
    bench.write("live.xml", &bench.read("up.xml"));
    let other = VENDOR.replace("54.151.30.9", "54.151.30.10");
    let said = ends(
        &run(&bench, &other, &meanwhile("num_updates"), &["--yes"]),
        0,
    );
    assert!(said.ends_with("done\n"), "{said}");
    assert!(bench.path("once").exists(), "the status did not change");
    assert!(bench.read("live.xml").contains("54.151.30.10"));
}

/// Shell code that puts a program before one of Pacemaker's tools.
pub(crate) fn instead_of(tool: &str, script: &str) -> String {
    format!(
        "mkdir -p bin; cat > bin/{tool} <<'END'\n#!/bin/sh\n{script}\nEND\n\
         chmod +x bin/{tool}; export PATH=/mnt/bin:$PATH\n"
    )
}

/// A cibadmin that makes each change and then says that it failed.
pub(crate) const LOST_ANSWERS: &str =
    "/usr/sbin/cibadmin \"$@\"; code=$?; [ \"$1\" != --patch ] || exit 102; exit $code";

fn an_answer_that_was_lost_is_no_failure(suite: Suite) {
    let bench = running(suite, &cluster(""));
    bench.write("live.xml", &bench.read("up.xml"));
    let other = VENDOR.replace("54.151.30.9", "54.151.30.10");
    let lost = instead_of("cibadmin", LOST_ANSWERS);
    let said = ends(&run(&bench, &other, &lost, &["--yes"]), 0);
    assert!(said.ends_with("done\n"), "{said}");
    assert!(bench.read("live.xml").contains("54.151.30.10"));
}

fn fencing_is_never_reduced_without_a_yes(suite: Suite) {
    for (before, after, change, lines) in [
        (lan(HYPERVISOR), HYPERVISOR, None, &[][..]),
        (
            lan(BOARDS),
            "fencing: none\n",
            Some("stonith level add 1 pbx01 fencing-pbx01 --force"),
            &[
                "stonith-enabled becomes false, and no node is fenced any more",
                "the fencing device fencing-pbx02 is deleted",
                "the fencing level fl-pbx01-1 is deleted",
            ],
        ),
        (
            lan(HYPERVISOR),
            BOARDS,
            Some("stonith level add 1 pbx01 mine fencing --force"),
            &[
                "the fencing device fencing is deleted",
                "the fencing level fl-pbx01-1 has the devices mine left, of mine,fencing",
            ],
        ),
    ] {
        let bench = Bench::of(suite);
        made(&bench, &before);
        bench.change("cib.xml", &Vec::from_iter(change));
        bench.write("live.xml", &bench.read("cib.xml"));
        let output = run(&bench, &format!("{LAN}{after}"), "", &[]);
        let said = ends(&output, if lines.is_empty() { 0 } else { 3 });
        for line in lines {
            assert!(
                said.contains(&format!("less fencing: {line}\n")),
                "no `{line}` in {said}"
            );
        }
        assert_eq!(said.contains("not changed:"), !lines.is_empty(), "{said}");
        assert_eq!(bench.read("live.xml"), bench.read("cib.xml"));
    }
}
