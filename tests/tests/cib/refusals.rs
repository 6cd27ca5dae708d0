//! What the script does not begin, because it could not end it: it says why, and changes nothing.

use cib_gen::{Cluster, render};

use crate::bench::{Bench, Suite, in_both_suites};
use crate::{BOARDS, cluster, lan};

in_both_suites!(
    what_the_script_cannot_do_it_does_not_begin,
    an_old_schema_is_refused_with_what_to_do,
    a_node_that_no_device_would_know_is_refused,
    what_the_cluster_remembers_is_no_resource,
    where_no_cluster_runs_the_script_says_so,
);

fn what_the_script_cannot_do_it_does_not_begin(suite: Suite) {
    let bench = Bench::of(suite);
    let script = render::pcs(&cluster(""));

    bench.empty_cib("cib.xml");
    bench.run(&[
        "pcs",
        "-f",
        "cib.xml",
        "resource",
        "create",
        "vip",
        "ocf:heartbeat:Dummy",
    ]);
    let before = bench.read("cib.xml");
    let output = bench.try_pcs(&script, "cib.xml");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("there is a 'vip' already, and it is no ocf:heartbeat:IPaddr2"),
        "{said}"
    );
    assert_eq!(
        bench.read("cib.xml"),
        before,
        "it changed the file and failed"
    );

    bench.empty_cib("cib.xml");
    let nodes = bench.read("cib.xml").replace(
        "<nodes/>",
        "<nodes><node id=\"1\" uname=\"other\"/></nodes>",
    );
    bench.write("cib.xml", &nodes);
    let output = bench.try_pcs(&script, "cib.xml");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the cluster has no node called 'ip-172-31-16-133'"),
        "{said}"
    );
    assert_eq!(
        bench.read("cib.xml"),
        nodes,
        "it changed the file and failed"
    );
}

/// The script refuses with these words, and leaves the file as it was.
#[track_caller]
fn refuses(bench: &Bench, cluster: &Cluster, words: &[&str]) {
    let before = bench.read("cib.xml");
    let output = bench.try_pcs(&render::pcs(cluster), "cib.xml");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
    assert_eq!(
        bench.read("cib.xml"),
        before,
        "it changed the file and failed"
    );
}

fn an_old_schema_is_refused_with_what_to_do(suite: Suite) {
    let bench = Bench::of(suite);
    bench.empty_cib("empty.xml");
    let empty = bench.read("empty.xml");
    let (before, rest) = empty.split_once("validate-with=\"").unwrap();
    let (_, rest) = rest.split_once('"').unwrap();
    for old in ["pacemaker-2.10", "pacemaker-3.0"] {
        bench.write("cib.xml", &format!("{before}validate-with=\"{old}\"{rest}"));
        refuses(&bench, &lan(""), &[old, "pcs cluster cib-upgrade"]);
    }
}

fn a_node_that_no_device_would_know_is_refused(suite: Suite) {
    let bench = Bench::of(suite);
    bench.empty_cib("empty.xml");
    let with = |names: &[&str]| {
        let nodes = names.iter().enumerate();
        let nodes: String = nodes
            .map(|(n, name)| format!("<node id=\"{n}\" uname=\"{name}\"/>"))
            .collect();
        let empty = bench.read("empty.xml");
        bench.write(
            "cib.xml",
            &empty.replace("<nodes/>", &format!("<nodes>{nodes}</nodes>")),
        );
    };
    with(&["pbx01", "pbx02", "pbx03", "pbx04"]);
    refuses(
        &bench,
        &lan(BOARDS),
        &["'pbx04'", "pcs cluster node remove pbx04"],
    );
    // Pacemaker compares names without regard to case.
    with(&["PBX01", "pbx02", "Pbx03"]);
    bench.pcs(&render::pcs(&lan(BOARDS)), "cib.xml");
}

fn what_the_cluster_remembers_is_no_resource(suite: Suite) {
    let bench = Bench::of(suite);
    bench.empty_cib("cib.xml");
    let remembered = "<status><node_state id=\"1\" uname=\"pbx01\"><lrm id=\"1\"><lrm_resources>\
        <lrm_resource id=\"vip\" type=\"IPaddr2\" class=\"ocf\" provider=\"heartbeat\"/></lrm_resources>\
        </lrm></node_state></status>";
    let with = bench.read("cib.xml").replace("<status/>", remembered);
    assert!(with.contains("lrm_resource"), "{with}");
    bench.write("cib.xml", &with);
    bench.pcs(&render::pcs(&lan("")), "cib.xml");
    assert!(bench.read("cib.xml").contains("<primitive id=\"vip\""));
}

fn where_no_cluster_runs_the_script_says_so(suite: Suite) {
    let bench = Bench::of(suite);
    bench.write("script.sh", &render::pcs(&cluster("")));
    let output = bench.try_run(&["sh", "-c", "sh < script.sh; echo $?; ls /tmp"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no cluster runs on this node"), "{said}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "1\n",
        "the exit status, and nothing left in /tmp"
    );
}
