//! What `cib-gen apply` refuses, and what it says of it.

use crate::apply_command::{command, ends, prints, run, running};
use crate::apply_takeover::{VENDORS_AWS, VENDORS_LAN};
use crate::bench::{Bench, Suite, in_both_suites};
use crate::{LAN, NODES, VENDOR, cluster};

in_both_suites!(
    what_is_refused_is_said,
    a_constraint_that_would_keep_the_pbx_down_is_named,
    what_would_stop_the_pbx_is_refused,
);

fn what_is_refused_is_said(suite: Suite) {
    let bench = Bench::of(suite);
    bench.empty_cib("cib.xml");
    bench.change("cib.xml", &["resource create vip ocf:heartbeat:Dummy"]);
    prints(
        &command(&bench, VENDOR, "cib.xml"),
        3,
        "refused: there is a 'vip' already. It is a ocf:heartbeat:Dummy, not a ocf:heartbeat:IPaddr2\n  help: \
         rename it, or delete it: sudo pcs resource delete vip\n",
    );
    for (vendors, vars) in [(VENDORS_AWS, VENDOR), (VENDORS_LAN, LAN)] {
        bench.write("cib.xml", vendors);
        let said = ends(&command(&bench, vars, "cib.xml"), 3);
        assert!(
            said.contains("old schema pacemaker-") && said.contains("cibadmin --upgrade --force"),
            "{said}"
        );
    }
    bench.run(&[
        "env",
        "CIB_file=cib.xml",
        "cibadmin",
        "--upgrade",
        "--force",
    ]);
    let said = ends(&command(&bench, LAN, "cib.xml"), 3);
    assert!(
        said.contains("SBD does not run") && said.contains("pcs stonith sbd enable"),
        "{said}"
    );
    let other = format!("{LAN}fencing: none\ndata_path: /var/lib/pbx\n");
    let said = ends(&command(&bench, &other, "cib.xml"), 3);
    assert!(
        said.contains(
            "datapath_fs runs with directory /var/lib/portsip, and vars.yml makes that /var/lib/pbx"
        ),
        "{said}"
    );
}

fn a_constraint_that_would_keep_the_pbx_down_is_named(suite: Suite) {
    let bench = running(suite, &cluster(""));
    bench.change(
        "up.xml",
        &[
            "constraint order eip then privip",
            "constraint location pbx avoids ip-172-31-16-135",
        ],
    );
    bench.write("live.xml", &bench.read("up.xml"));
    for options in [&["--dry-run"][..], &["--yes"]] {
        let said = ends(&run(&bench, VENDOR, "", options), 3);
        for words in [
            "refused: constraint order-eip-privip-mandatory (order ",
            "would never start",
            "help: sudo pcs constraint delete order-eip-privip-mandatory",
        ] {
            assert!(said.contains(words), "no `{words}` in {said}");
        }
        assert!(!said.contains("location"), "{said}");
        assert_eq!(bench.read("live.xml"), bench.read("up.xml"));
    }
}

/// Three bans, each of which leaves the PBX a node.
fn what_would_stop_the_pbx_is_refused(suite: Suite) {
    let bench = running(suite, &cluster(""));
    let nodes = NODES.split(',').map(|node| node.split('=').next().unwrap());
    let bans: Vec<String> = nodes
        .map(|node| format!("constraint location pbx avoids {node}"))
        .collect();
    let bans: Vec<&str> = bans.iter().map(String::as_str).collect();
    bench.change("up.xml", &bans);
    let said = ends(&command(&bench, VENDOR, "up.xml"), 3);
    assert!(said.contains("together contradict"), "{said}");
    for ban in ["133", "134", "135"] {
        assert!(
            said.contains(&format!("location-pbx-ip-172-31-16-{ban}--INFINITY")),
            "{said}"
        );
    }
}

#[test]
fn where_no_cluster_runs_or_the_file_is_no_cib_it_says_so() {
    let bench = Bench::of(Suite::Bookworm);
    bench.put_cib_gen();
    bench.write("vars.yml", LAN);
    bench.write("cib.xml", "<html/>");
    for (more, wanted) in [
        (&[][..], "could not ask the cluster on this node"),
        (
            &["--cib", "cib.xml"][..],
            "it has a <html> where a <cib> is expected",
        ),
        (&["--cib", "none.xml"][..], "could not read none.xml"),
    ] {
        let command = ["./cib-gen", "apply", "--offline", "--dry-run", "vars.yml"];
        let output = bench.try_run(&[&command[..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(wanted), "{said}");
        assert!(output.stdout.is_empty());
    }
}
