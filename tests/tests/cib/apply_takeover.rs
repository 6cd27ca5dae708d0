//! `cib-gen apply` where it takes over a cluster of the vendor's, on CIB files with Pacemaker's own tools: what
//! restarts, and what is said and left where the takeover ends in the middle.

use std::process::Output;

use crate::apply_command::{ends, run, start};
use crate::apply_push::{LOST_ANSWERS, instead_of};
use crate::bench::{Bench, Suite, in_both_suites};
use crate::simulate::simulate;
use crate::{LAN, NODES, VENDOR};

in_both_suites!(
    a_takeover_restarts_nothing_and_can_be_interrupted,
    a_takeover_of_the_lan_system_renames_the_clone,
    in_the_users_maintenance_mode_it_is_judged_without_that_and_says_that_it_is_still_on,
    every_error_after_the_beginning_says_that_maintenance_stays,
    a_lost_answer_a_closed_terminal_and_ctrl_c_do_not_end_it,
);

pub(crate) const VENDORS_AWS: &str = include_str!("../../../cib-gen/tests/vendor/aws.xml");
pub(crate) const VENDORS_LAN: &str = include_str!("../../../cib-gen/tests/vendor/lan.xml");

/// The vendor's cluster with everything running, as live.xml.
fn vendors(suite: Suite, cib: &str, nodes: &[&str]) -> Bench {
    let bench = Bench::of(suite);
    bench.write("cib.xml", cib);
    bench.run(&[
        "env",
        "CIB_file=cib.xml",
        "cibadmin",
        "--upgrade",
        "--force",
    ]);
    start(&bench, nodes, "live.xml");
    bench
}

fn vendors_aws(suite: Suite) -> Bench {
    let nodes = NODES.split(',').map(|node| node.split('=').next().unwrap());
    vendors(suite, VENDORS_AWS, &nodes.collect::<Vec<_>>())
}

/// A crm_resource that does to live.xml what probes do that find everything on the first node as it was.
const PROBES: &str = r#"echo "$@" >> probed
[ "$1" = --refresh ] || exit 0
node=$(sed -n 's/.*<node .*uname="\([^"]*\)".*/\1/p' live.xml | head -n 1)
sed -i "/<lrm_resource id=\"$3\"/,/<\/lrm_resource>/d" live.xml
/usr/sbin/crm_simulate --simulate --xml-file live.xml "--op-fail=${3}_monitor_0@$node=0" --save-output new.xml >/dev/null
mv new.xml live.xml"#;

/// Without probes, what is known of the resources is of the vendor's parameters.
const NO_PROBES: &str = "exit 0";

fn a_takeover_restarts_nothing_and_can_be_interrupted(suite: Suite) {
    let bench = vendors_aws(suite);
    let before = bench.read("live.xml");
    let said = ends(&run(&bench, VENDOR, "", &["--dry-run"]), 3);
    for line in [
        "privip: ocf:heartbeat:awsvip -> ocf:portsip:awsvip\n",
        "constraint order-eip-privip-mandatory: deleted\n",
        "constraint portsip-together: new\n",
        "fencing: new, stonith:fence_aws\n",
        "the vendor's cluster is taken over: in maintenance mode, probed anew: ",
        "would start: fencing on ",
        "sudo pcs resource update src_pkt_ip cidr_netmask=\n",
        "\nnothing was changed\n",
    ] {
        assert!(said.contains(line), "no `{line}` in {said}");
    }
    for word in ["would restart", "would stop", "would move"] {
        assert!(!said.contains(word), "{said}");
    }
    let said = ends(&run(&bench, VENDOR, "", &[]), 3);
    assert!(said.contains("not changed:"), "{said}");
    assert_eq!(bench.read("live.xml"), before);

    let no_probes = instead_of("crm_resource", NO_PROBES);
    let said = ends(&run(&bench, VENDOR, &no_probes, &["--yes"]), 1);
    for words in [
        "stays in maintenance mode",
        "Pacemaker would stop privip on ",
        "--force-check",
        "run apply again",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    assert!(
        bench
            .read("live.xml")
            .contains("name=\"maintenance-mode\" value=\"true\"")
    );

    let said = ends(
        &run(
            &bench,
            VENDOR,
            &instead_of("crm_resource", PROBES),
            &["--yes"],
        ),
        0,
    );
    assert!(
        said.contains("an interrupted takeover goes on") && said.ends_with("done\n"),
        "{said}"
    );
    let probed = bench.read("probed");
    assert!(
        probed.contains("--refresh --resource pbx\n") && probed.ends_with("--wait --timeout=50\n"),
        "{probed}"
    );
    let live = bench.read("live.xml");
    assert!(
        !live.contains("maintenance-mode") && !live.contains("order-eip-privip"),
        "{live}"
    );
    prints_nothing_to_do(&run(&bench, VENDOR, "", &[]));
    touches_nothing(&bench, "live.xml");
}

/// Pacemaker starts the fencing device, and does nothing to what runs.
#[track_caller]
fn touches_nothing(bench: &Bench, cib: &str) {
    let after = simulate(bench, cib, &[], "after.xml");
    let is_other = |action: &&String| !action.contains("fencing");
    let other = after.actions.iter().find(is_other);
    assert_eq!(other, None, "{:?}", after.actions);
    assert!(!after.actions.is_empty(), "{}", after.text);
}

#[track_caller]
fn prints_nothing_to_do(output: &Output) {
    let said = ends(output, 0);
    assert!(said.starts_with("nothing would change\n"), "{said}");
}

fn a_takeover_of_the_lan_system_renames_the_clone(suite: Suite) {
    let vars = format!("{LAN}fencing: none\n");
    let bench = vendors(suite, VENDORS_LAN, &["pbx01", "pbx02", "pbx03"]);
    let mine = ["constraint location drbd_devpath_master prefers pbx01=5"];
    bench.change("live.xml", &mine);
    let said = ends(
        &run(
            &bench,
            &vars,
            &instead_of("crm_resource", PROBES),
            &["--yes"],
        ),
        0,
    );
    for line in [
        "drbd_devpath_master: renamed to drbd_devpath-clone, which restarts nothing\n",
        "constraint order-drbd_devpath_master-vip-mandatory: deleted\n",
    ] {
        assert!(said.contains(line), "no `{line}` in {said}");
    }
    for word in ["would restart", "would stop", "would move", "would demote"] {
        assert!(!said.contains(word), "{said}");
    }
    let live = bench.read("live.xml");
    for gone in [
        "<master",
        "master-max",
        "rsc=\"drbd_devpath_master\"",
        "maintenance-mode",
    ] {
        assert!(!live.contains(gone), "{gone} in {live}");
    }
    assert!(
        live.contains("rsc=\"drbd_devpath-clone\""),
        "the user's constraint is gone: {live}"
    );
    prints_nothing_to_do(&run(&bench, &vars, "", &[]));
}

fn in_the_users_maintenance_mode_it_is_judged_without_that_and_says_that_it_is_still_on(
    suite: Suite,
) {
    let bench = vendors_aws(suite);
    bench.change("live.xml", &["property set maintenance-mode=true"]);
    let said = ends(&run(&bench, VENDOR, "", &["--dry-run"]), 3);
    for line in [
        "the vendor's cluster is taken over: ",
        "in maintenance mode or not managed: the cluster. Nothing happens there until that ends. Then:\n",
        "would start: fencing on ",
    ] {
        assert!(said.contains(line), "no `{line}` in {said}");
    }
    assert!(!said.contains("would restart"), "{said}");

    let no_probes = instead_of("crm_resource", NO_PROBES);
    let said = ends(&run(&bench, VENDOR, &no_probes, &["--yes"]), 1);
    for words in [
        "stays in maintenance mode",
        "Pacemaker would stop privip on ",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    bench.verify("live.xml");

    let probes = instead_of("crm_resource", PROBES);
    let said = ends(&run(&bench, VENDOR, &probes, &["--yes"]), 0);
    for words in [
        "an interrupted takeover goes on",
        "the cluster is still in maintenance mode, as it was before",
        "help: to end it: sudo pcs property set maintenance-mode=\n",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    let live = bench.read("live.xml");
    assert!(
        live.contains("name=\"maintenance-mode\" value=\"true\"")
            && !live.contains("portsip-takeover"),
        "{live}"
    );
    prints_nothing_to_do(&run(&bench, VENDOR, "", &[]));
    bench.change("live.xml", &["property set maintenance-mode="]);
    touches_nothing(&bench, "live.xml");
}

fn every_error_after_the_beginning_says_that_maintenance_stays(suite: Suite) {
    for tool in ["crm_resource", "cibadmin", "crm_simulate", "crm_diff"] {
        let bench = vendors_aws(suite);
        let fails = format!(
            "if grep -q portsip-takeover live.xml; then echo it fails >&2; exit 70; fi\n\
             exec /usr/sbin/{tool} \"$@\""
        );
        let before = instead_of("crm_resource", PROBES) + &instead_of(tool, &fails);
        let said = ends(&run(&bench, VENDOR, &before, &["--yes"]), 1);
        let begins = said.find("now the cluster goes into maintenance mode");
        let begun = said.find("changed, in maintenance mode");
        assert!(begins.is_some() && begins < begun, "{said}");
        for words in [
            "help: if this is interrupted, run apply again",
            "it fails",
            "the cluster stays in maintenance mode",
            "help: run apply again",
        ] {
            assert!(said.contains(words), "{tool}: no `{words}` in {said}");
        }
    }
}

/// All of them while the takeover waits for the probes.
fn a_lost_answer_a_closed_terminal_and_ctrl_c_do_not_end_it(suite: Suite) {
    let bench = vendors_aws(suite);
    let waits = format!(
        "if [ \"$1\" = --wait ]; then\n\
         apply=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$PPID/status)\n\
         grep -q cib-gen /proc/$apply/cmdline && kill -HUP $apply && kill -INT $apply && touch signalled\n\
         fi\n{PROBES}"
    );
    let before = instead_of("crm_resource", &waits)
        + &instead_of("cibadmin", LOST_ANSWERS)
        + "exec 2> /dev/full";
    ends(&run(&bench, VENDOR, &before, &["--yes"]), 0);
    assert!(bench.path("signalled").exists(), "no signal was sent");
    let live = bench.read("live.xml");
    assert!(!live.contains("maintenance-mode"), "{live}");
    prints_nothing_to_do(&run(&bench, VENDOR, "", &[]));
}
