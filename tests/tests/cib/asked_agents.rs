//! Our agents are asked on this node whether they could run, before a change does harm. How they answer is made up;
//! Pacemaker's own tool asks them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Output;

use cib_gen::render;

use crate::apply_command::{ends, prints, run, running};
use crate::apply_push::instead_of;
use crate::bench::{Bench, Suite, in_both_suites};
use crate::refusals::refuses;
use crate::{VENDOR, cluster, lan};

in_both_suites!(
    where_an_agent_refuses_the_script_changes_nothing,
    the_script_asks_each_of_our_agents_once,
    where_an_agent_refuses_apply_changes_nothing,
    apply_asks_only_agents_whose_parameters_change,
    the_containers_of_other_nodes_are_left_to_a_command_that_works,
    an_agent_that_is_not_here_is_not_asked_and_that_is_said,
    of_a_file_no_agent_is_asked_and_that_is_said,
    another_image_than_that_of_the_containers_is_said,
);

const VOLUME: &str = "vol-0e06e1e9da3c49b67";
const OTHER_VOLUME: &str = "vol-0e06e1e9da3c49b68";
const NOT_FOUND: &str = "ask EC2 for the volume: InvalidVolume.NotFound";

/// Runs `apply` on a node of the cluster whose CIB is cluster.xml.
fn apply(bench: &Bench, vars: &str, before: &str, options: &[&str]) -> Output {
    let _ = fs::remove_file(bench.path("asked"));
    let live = instead_of(
        "cibadmin",
        "CIB_file=/mnt/cluster.xml exec /usr/sbin/cibadmin \"$@\"",
    );
    let node = "rm -f /etc/corosync/corosync.conf; hostname ip-172-31-16-134";
    run(bench, vars, &format!("{node}\n{live}{before}"), options)
}

fn asked(bench: &Bench) -> String {
    fs::read_to_string(bench.path("asked")).unwrap_or_default()
}

fn node(suite: Suite) -> Bench {
    let bench = running(suite, &cluster(""));
    bench.write("cluster.xml", &bench.read("up.xml"));
    bench
}

fn where_an_agent_refuses_the_script_changes_nothing(suite: Suite) {
    for (cluster, agent, id) in [
        (cluster(""), "awsebs", "ebs"),
        (cluster(""), "pbx", "pbx"),
        (lan(""), "pbx", "pbx"),
    ] {
        let bench = Bench::of(suite);
        bench.new_cluster(&cluster, "cib.xml");
        bench.write(&format!("{agent}-says"), "it has no containers");
        let words = [
            &format!("error: {id} could not run on this node: ")[..],
            "it has no containers",
            "help: mend that",
        ];
        refuses(&bench, &cluster, &words);
    }
}

fn the_script_asks_each_of_our_agents_once(suite: Suite) {
    for (cluster, agents) in [
        (
            cluster(""),
            &["awseip", "awsvip", "awsipsrcaddr", "awsebs", "pbx"][..],
        ),
        (lan(""), &["pbx"]),
    ] {
        let bench = Bench::of(suite);
        bench.new_cluster(&cluster, "cib.xml");
        bench.pcs(&render::pcs(&cluster), "cib.xml");
        // pcs 0.12 asks too, at no level, when it makes a resource.
        let asked = asked(&bench);
        let in_depth = asked.lines().filter(|line| line.ends_with("level=10"));
        let mut asked: Vec<String> = in_depth.map(str::to_owned).collect();
        let mut wanted: Vec<String> = agents.iter().map(|it| format!("{it} level=10")).collect();
        asked.sort();
        wanted.sort();
        assert_eq!(asked, wanted, "{suite}");
        let parameters = bench.read("parameters");
        assert!(
            parameters.contains("OCF_RESKEY_data_path=/var/lib/portsip\n"),
            "{parameters}"
        );
    }
}

fn where_an_agent_refuses_apply_changes_nothing(suite: Suite) {
    let bench = node(suite);
    let before = bench.read("cluster.xml");
    let other = VENDOR.replace(VOLUME, OTHER_VOLUME);
    bench.write("awsebs-says", NOT_FOUND);
    for options in [&["--yes"][..], &["--dry-run"]] {
        let said = ends(&apply(&bench, &other, "", options), 3);
        let refused = format!(
            "refused: ebs would not run with these parameters: ocf:portsip:awsebs says on this node, \
             ip-172-31-16-134:\n    {NOT_FOUND}\n  help: "
        );
        assert!(said.contains(&refused), "{suite}: {said}");
        assert!(!said.contains("done"), "{said}");
        assert_eq!(bench.read("cluster.xml"), before);
    }
    fs::remove_file(bench.path("awsebs-says")).unwrap();
    let said = ends(&apply(&bench, &other, "", &["--yes"]), 0);
    assert!(said.ends_with("done\n"), "{said}");
    assert!(bench.read("cluster.xml").contains(OTHER_VOLUME));
}

fn apply_asks_only_agents_whose_parameters_change(suite: Suite) {
    let bench = node(suite);
    prints(&apply(&bench, VENDOR, "", &[]), 0, "nothing would change\n");
    assert_eq!(asked(&bench), "");
    let other = VENDOR.replace(VOLUME, OTHER_VOLUME);
    ends(&apply(&bench, &other, "", &["--dry-run"]), 3);
    assert_eq!(asked(&bench), "awsebs level=10\n");
    let parameters = bench.read("parameters");
    let volume = format!("OCF_RESKEY_volume_id={OTHER_VOLUME}\n");
    assert!(parameters.contains(&volume), "{parameters}");
    // What an agent is not started with.
    let longer = bench
        .read("up.xml")
        .replace("timeout=\"300s\"", "timeout=\"200s\"");
    assert_ne!(longer, bench.read("up.xml"));
    bench.write("cluster.xml", &longer);
    ends(&apply(&bench, VENDOR, "", &["--dry-run"]), 3);
    assert_eq!(asked(&bench), "");
}

fn the_containers_of_other_nodes_are_left_to_a_command_that_works(suite: Suite) {
    let bench = node(suite);
    let other = VENDOR.replace("172.31.16.130", "172.31.16.140");
    let said = ends(&apply(&bench, &other, "", &["--dry-run"]), 3);
    let (_, command) = said
        .split_once("pbx: only the containers of this node were looked at. Before this change, on every other node:\n    sudo ")
        .unwrap_or_else(|| panic!("{suite}: {said}"));
    let command = command.lines().next().unwrap();
    fs::remove_file(bench.path("parameters")).unwrap();
    bench.run(&["sh", "-c", command]);
    let parameters = bench.read("parameters");
    let address = "OCF_RESKEY_ip_address=172.31.16.140\n";
    assert!(parameters.contains(address), "{parameters}");
    bench.write("pbx-says", "IP_ADDRESS is 172.31.16.130 in the containers");
    assert!(!bench.try_run(&["sh", "-c", command]).status.success());
}

fn an_agent_that_is_not_here_is_not_asked_and_that_is_said(suite: Suite) {
    let bench = node(suite);
    let other = VENDOR.replace(VOLUME, OTHER_VOLUME);
    let gone = "rm /usr/lib/ocf/resource.d/portsip/awsebs";
    let said = ends(&apply(&bench, &other, gone, &["--dry-run"]), 3);
    let note = "note: ebs: ocf:portsip:awsebs was not asked whether it could run so: ";
    assert!(
        said.contains(note) && !said.contains("refused"),
        "{suite}: {said}"
    );
}

fn of_a_file_no_agent_is_asked_and_that_is_said(suite: Suite) {
    let bench = node(suite);
    let other = VENDOR.replace(VOLUME, OTHER_VOLUME);
    bench.write("awsebs-says", NOT_FOUND);
    let said = ends(
        &apply(&bench, &other, "", &["--dry-run", "--cib", "up.xml"]),
        3,
    );
    let note = "note: the agents were not asked whether they could run so, because the CIB is one of a file: ebs\n";
    assert!(said.contains(note), "{suite}: {said}");
    assert_eq!(asked(&bench), "");
}

fn another_image_than_that_of_the_containers_is_said(suite: Suite) {
    let bench = node(suite);
    let docker = |does: &str| {
        let asks =
            "[ \"$*\" = 'inspect --format {{.Config.Image}} portsip.callmanager' ] || exit 1";
        instead_of("docker", &format!("{asks}\n{does}"))
    };
    let same = docker("echo portsip/pbx:22");
    prints(
        &apply(&bench, VENDOR, &same, &[]),
        0,
        "nothing would change\n",
    );
    let gone = docker("echo no such object >&2; exit 1");
    prints(
        &apply(&bench, VENDOR, &gone, &[]),
        0,
        "nothing would change\n",
    );
    let said = ends(
        &apply(&bench, VENDOR, &docker("echo portsip/pbx:21"), &[]),
        0,
    );
    let note = "nothing would change\n\nnote: pbx_image is portsip/pbx:22, and the containers of this node were made from \
        portsip/pbx:21. apply changes no image";
    assert!(said.starts_with(note), "{suite}: {said}");
}
