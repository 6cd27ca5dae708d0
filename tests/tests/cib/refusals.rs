//! What the script does not begin, because it could not end it: it says why, and changes nothing.

#![allow(clippy::unwrap_used)]

use cib_gen::{Cluster, render};

use crate::bench::{Bench, Suite, in_both_suites};
use crate::{BOARDS, cluster, lan};

in_both_suites!(
    what_has_one_of_our_names_is_left_to_apply,
    other_nodes_than_those_of_vars_yml_are_refused,
    a_node_that_is_not_there_has_to_come_first,
    what_the_cluster_remembers_is_no_resource,
    a_script_that_ends_before_the_push_has_changed_nothing,
    where_no_cluster_runs_the_script_says_so,
);

/// The script refuses with these words, and leaves the file as it was.
#[track_caller]
pub(crate) fn refuses(bench: &Bench, cluster: &Cluster, words: &[&str]) {
    let before = bench.read("cib.xml");
    let output = bench.try_pcs(&render::pcs(cluster), "cib.xml");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in words.iter().chain(&["cib-gen: nothing was changed\n"]) {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
    assert_eq!(
        bench.read("cib.xml"),
        before,
        "it changed the cluster and failed"
    );
}

fn what_has_one_of_our_names_is_left_to_apply(suite: Suite) {
    let cluster = lan("fencing: none\n");
    for command in [
        "resource create vip ocf:heartbeat:Dummy",
        "resource create drbd_devpath ocf:heartbeat:Dummy clone",
        "resource create any ocf:heartbeat:Dummy --group pbx",
        "resource defaults set create id=portsip-defaults meta priority=1",
    ] {
        let bench = Bench::of(suite);
        bench.new_cluster(&cluster, "cib.xml");
        bench.change("cib.xml", &[command]);
        let words = ["configured already", "help: sudo cib-gen apply vars.yml"];
        refuses(&bench, &cluster, &words);
    }
}

fn other_nodes_than_those_of_vars_yml_are_refused(suite: Suite) {
    let bench = Bench::of(suite);
    let with = |names: &[&str]| bench.online(names, "cib.xml");
    let words = ["are not pbx01 pbx02 pbx03", "'pcs status nodes'"];
    for names in [&[][..], &["pbx01", "pbx02"], &["pbx01", "pbx02", "other"]] {
        with(names);
        for cluster in [lan(BOARDS), lan("fencing: none\n")] {
            refuses(&bench, &cluster, &words);
        }
    }
    // No device could fence the fourth.
    with(&["pbx01", "pbx02", "pbx03", "pbx04"]);
    refuses(&bench, &lan(BOARDS), &words);
    bench.pcs(&render::pcs(&lan("fencing: none\n")), "cib.xml");
}

/// As soon as the cluster is configured, Pacemaker would fence it.
fn a_node_that_is_not_there_has_to_come_first(suite: Suite) {
    let bench = Bench::of(suite);
    bench.online(&["pbx01", "pbx02", "pbx03"], "cib.xml");
    let cib = bench.read("cib.xml");
    let (all, third) = cib.rsplit_once("<node_state").unwrap();
    let (_, rest) = third.split_once("</node_state>").unwrap();
    bench.write("cib.xml", &format!("{all}{rest}"));
    let words = [
        "pbx03",
        "Pacemaker does not accept",
        "pcs cluster start --all",
    ];
    refuses(&bench, &lan(BOARDS), &words);
}

fn what_the_cluster_remembers_is_no_resource(suite: Suite) {
    let bench = Bench::of(suite);
    bench.new_cluster(&lan(""), "cib.xml");
    let remembered = "<lrm_resources><lrm_resource id=\"vip\" type=\"IPaddr2\" class=\"ocf\" \
        provider=\"heartbeat\"/></lrm_resources>";
    let with = (bench.read("cib.xml")).replacen("<lrm_resources/>", remembered, 1);
    assert!(with.contains("lrm_resource"), "{with}");
    bench.write("cib.xml", &with);
    bench.pcs(&render::pcs(&lan("")), "cib.xml");
    assert!(bench.read("cib.xml").contains("<primitive id=\"vip\""));
}

fn a_script_that_ends_before_the_push_has_changed_nothing(suite: Suite) {
    let cluster = cluster("");
    let script = render::pcs(&cluster);
    let bench = Bench::of(suite);
    bench.new_cluster(&cluster, "cib.xml");
    let before = bench.read("cib.xml");
    for (what, at) in [
        ("false", "constraint order"),
        ("kill -TERM $$", "resource create eip"),
    ] {
        let command = format!("\npcs -f \"$cib\" {at}");
        let ends = script.replacen(&command, &format!("\n{what}{command}"), 1);
        assert_ne!(ends, script, "no {at}");
        let output = bench.try_pcs(&ends, "cib.xml");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{suite}, {what}: {said}");
        assert!(
            said.ends_with("cib-gen: nothing was changed\n"),
            "{suite}, {what}: {said}"
        );
        assert_eq!(bench.read("cib.xml"), before, "{suite}, {what}");
    }
}

fn where_no_cluster_runs_the_script_says_so(suite: Suite) {
    let bench = Bench::of(suite);
    bench.write("script.sh", &render::pcs(&cluster("")));
    let output = bench.try_run(&["sh", "-c", "sh < script.sh; echo $?; ls /tmp"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no cluster runs here"), "{said}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "1\n",
        "the exit status, and nothing left in /tmp"
    );
}
