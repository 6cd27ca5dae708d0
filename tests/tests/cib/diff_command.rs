//! `cib-gen diff` as a user runs it: what it says is what the script of pcs commands does, and
//! what would restart is what Pacemaker says.

use std::process::Output;

use cib_gen::diff::Diff;
use cib_gen::{Cluster, render};

use crate::bench::{Bench, Suite, in_both_suites};
use crate::simulate::simulate;
use crate::{BOARDS, HYPERVISOR, LAN, NODES, VENDOR, cluster, lan, xml};

in_both_suites!(
    after_the_script_nothing_would_change,
    what_it_compares_with_is_what_the_script_makes,
    what_is_no_longer_asked_for_goes_by_both_in_the_same_way,
    what_may_be_the_users_stays_by_both_in_the_same_way,
    a_longer_time_for_the_watchdog_stays_and_sbd_that_is_left_is_named,
    resource_defaults_with_a_rule_stay_and_ours_stand_beside_them,
    it_says_what_would_change_and_what_would_restart,
    what_the_script_would_refuse_it_says,
);

/// Runs it on a vars.yml and the file cib.xml.
fn command(bench: &Bench, vars: &str, cib: &str) -> Output {
    bench.put_cib_gen();
    bench.write("vars.yml", vars);
    let mut command = vec!["./cib-gen", "diff", "--offline", "vars.yml", "--cib", cib];
    if vars.starts_with(VENDOR) {
        command.extend(["--nodes", NODES]);
    }
    bench.try_run(&command)
}

#[track_caller]
fn prints(output: &Output, code: i32, wanted: &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text, wanted, "{said}");
    assert_eq!(output.status.code(), Some(code), "{text}{said}");
}

/// A CIB file that the script has made.
fn made(bench: &Bench, cluster: &Cluster) {
    bench.new_cluster(cluster, "cib.xml");
    bench.pcs(&render::pcs(cluster), "cib.xml");
}

fn after_the_script_nothing_would_change(suite: Suite) {
    for vars in [VENDOR, LAN] {
        let bench = Bench::of(suite);
        let cluster = crate::cluster_of(vars);
        made(&bench, &cluster);
        prints(
            &command(&bench, vars, "cib.xml"),
            0,
            "nothing would change\n",
        );
        bench.run(&["pcs", "-f", "cib.xml", "resource", "disable", "pbx"]);
        prints(
            &command(&bench, vars, "cib.xml"),
            0,
            "nothing would change\n",
        );
    }
}

/// What operators do: to what is ours, and beside it.
const ON_AWS: [&str; 12] = [
    "resource update eip elastic_ip=192.0.2.1 op monitor interval=77s timeout=3s",
    "resource update eip profile=theirs --force",
    "resource op remove pbx-monitor-interval-30s",
    "resource op remove pbx-start-interval-0s",
    "resource op add ebs monitor interval=99s --force",
    "resource op remove ebs-monitor-interval-10s",
    "stonith update fencing pcmk_off_timeout=1s",
    "constraint delete portsip-storage portsip-together",
    "constraint colocation set vip pbx setoptions id=portsip-together score=5",
    "property set stonith-enabled=false maintenance-mode=true",
    "resource defaults update resource-stickiness=0 priority=7",
    "resource create mail ocf:heartbeat:Dummy",
];
const ON_A_LAN: [&str; 6] = [
    "resource op remove pbx-stop-interval-0s",
    "resource op remove drbd_devpath-demote-interval-0s",
    "resource meta drbd_devpath-clone clone-max=2 target-role=Stopped",
    "resource update vip nic=eth1",
    "constraint delete portsip-addresses",
    "property set no-quorum-policy=ignore",
];

fn what_it_compares_with_is_what_the_script_makes(suite: Suite) {
    for (cluster, edits) in [(cluster(""), &ON_AWS[..]), (lan(""), &ON_A_LAN[..])] {
        let bench = Bench::of(suite);
        bench.new_cluster(&cluster, "cib.xml");
        let diff = Diff::of(&cluster, &bench.read("cib.xml")).unwrap();
        bench.pcs(&render::pcs(&cluster), "cib.xml");
        let by_pcs = xml::meaning(&bench.read("cib.xml"));
        assert_eq!(xml::meaning(&diff.cib.to_string()), by_pcs, "in {suite}");
        // Everything at once, and then some alone.
        made(&bench, &cluster);
        let right = bench.read("cib.xml");
        let edit = |edits: &[&str]| {
            let lines: Vec<String> = (edits.iter())
                .map(|edit| format!("pcs -f cib.xml {edit}"))
                .collect();
            let script = format!("set -e\n{}\n", lines.join("\n"));
            bench.write("edit.sh", &script);
            let output = bench.try_script(&["sh", "edit.sh"]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{edits:?}: {said}");
        };
        edit(edits);
        same(&bench, &cluster);
        for one in &edits[..3] {
            bench.write("cib.xml", &right);
            edit(&[one]);
            same(&bench, &cluster);
        }
    }
}

/// A hypervisor for each node.
const HYPERVISORS: &str = "fencing: fence_virsh\nfencing_options: username=fencing\n\
    pbx01_fencing_options: ip=192.168.1.231\npbx02_fencing_options: ip=192.168.1.231\n\
    pbx03_fencing_options: ip=192.168.1.232\n";

fn what_is_no_longer_asked_for_goes_by_both_in_the_same_way(suite: Suite) {
    let theirs = [
        "constraint location fencing avoids pbx01",
        "constraint order fencing then pbx",
    ];
    for (before, after, theirs, gone) in [
        (
            lan(HYPERVISOR),
            lan(BOARDS),
            &theirs[..],
            &["id=\"fencing\""][..],
        ),
        (lan(BOARDS), lan("fencing: none\n"), &[], &["fence_ipmilan"]),
        (lan(BOARDS), lan(""), &[], &["fence_ipmilan"]),
        (
            lan(BOARDS),
            lan(HYPERVISORS),
            &[],
            &["fence_ipmilan", "pbx03:3"],
        ),
        (
            cluster(""),
            cluster("fencing: none\n"),
            &[],
            &["cluster_instances", "fence_aws"],
        ),
    ] {
        let bench = Bench::of(suite);
        made(&bench, &before);
        bench.change("cib.xml", theirs);
        if after.corosync.watchdog.is_some() {
            let set = "<cluster_property_set id=\"cib-bootstrap-options\">";
            let runs = "<nvpair id=\"sbd\" name=\"have-watchdog\" value=\"true\"/>";
            let cib = bench.read("cib.xml").replace(set, &format!("{set}{runs}"));
            bench.write("cib.xml", &cib);
        }
        same(&bench, &after);
        let cib = bench.read("cib.xml");
        for gone in gone {
            assert!(!cib.contains(gone), "{suite}: {gone} is still there: {cib}");
        }
    }
}

fn what_may_be_the_users_stays_by_both_in_the_same_way(suite: Suite) {
    let all = "subnet_cidr: 192.168.1.0/24\nsip_transport: tls\nsip_port: 5071\nweb_port: 8443\n";
    let set = [
        "stonith update fencing-pbx01 password=hush power_timeout=40 pcmk_delay_max=9s",
        "stonith level add 1 pbx01 fencing-pbx01 --force",
        "constraint location fencing-pbx01 avoids pbx01",
        "tag create boards fencing-pbx01 fencing-pbx02",
        "resource update vip nic=eth1",
    ];
    let stays = [
        "hush",
        "power_timeout",
        "pcmk_delay_max",
        "fencing-level",
        "boards",
        "eth1",
    ];
    let redfish = BOARDS.replace("fence_ipmilan", "fence_redfish");
    for (before, after, set, stays) in [
        (lan(BOARDS), lan(BOARDS), &set[..], &stays[..]),
        (lan(BOARDS), lan(&redfish), &set, &stays),
        (
            lan(all),
            lan(""),
            &[],
            &["cidr_netmask", "sip_transport", "sip_port", "web_port"],
        ),
        (
            cluster(""),
            cluster("fencing: none\n"),
            &["resource update ebs device=/dev/sdg"],
            &["/dev/sdg"],
        ),
    ] {
        let bench = Bench::of(suite);
        made(&bench, &before);
        bench.change("cib.xml", set);
        let said = same(&bench, &after);
        assert!(
            said.contains("kept, though vars.yml does not ask"),
            "{said}"
        );
        assert!(!said.contains("hush"), "{suite}: {said}");
        let cib = bench.read("cib.xml");
        for stays in stays {
            assert!(cib.contains(stays), "{suite}: {stays} is gone: {cib}");
        }
    }
}

fn a_longer_time_for_the_watchdog_stays_and_sbd_that_is_left_is_named(suite: Suite) {
    for (value, stays) in [("30000ms", true), ("-1", true), ("3s", false), ("0", false)] {
        let bench = Bench::of(suite);
        made(&bench, &lan(""));
        let right = bench.read("cib.xml");
        let other = right.replace(
            "name=\"stonith-watchdog-timeout\" value=\"10s\"",
            &format!("name=\"stonith-watchdog-timeout\" value=\"{value}\""),
        );
        assert_ne!(other, right);
        bench.write("cib.xml", &other);
        let said = same(&bench, &lan(""));
        assert_eq!(said.contains(" stays: it is"), stays, "{value}: {said}");
    }
    for more in [BOARDS, "fencing: none\n"] {
        let bench = Bench::of(suite);
        made(&bench, &lan(""));
        let said = same(&bench, &lan(more));
        assert!(said.contains("sudo pcs stonith sbd disable"), "{said}");
        let said = same(&bench, &lan(more));
        assert!(said.contains("sudo pcs stonith sbd disable"), "{said}");
    }
}

fn resource_defaults_with_a_rule_stay_and_ours_stand_beside_them(suite: Suite) {
    let bench = Bench::of(suite);
    bench.empty_cib("cib.xml");
    let night = "resource defaults set create meta resource-stickiness=0 migration-threshold=3 \
                 rule resource ::Dummy";
    bench.change("cib.xml", &[night]);
    let theirs = bench.read("cib.xml");
    let (_, theirs) = theirs.split_once("<rsc_defaults>").unwrap();
    let (theirs, _) = theirs.split_once("</rsc_defaults>").unwrap();
    same(&bench, &lan(""));
    let cib = bench.read("cib.xml");
    assert!(cib.contains(theirs.trim_end()), "{suite}: {cib}");
    assert!(
        cib.contains("<meta_attributes id=\"portsip-defaults\""),
        "{suite}: {cib}"
    );
}

/// Merges the cluster into cib.xml, as Pacemaker accepts it, and what is merged again changes nothing. The
/// notes.
fn same(bench: &Bench, cluster: &Cluster) -> String {
    let before = bench.read("cib.xml");
    let diff = Diff::of(cluster, &before).unwrap();
    assert!(diff.refusals.is_empty(), "{:?}", diff.refusals);
    bench.write("cib.xml", &diff.cib.to_string());
    let merged = bench.read("cib.xml");
    bench.lived_in("cib.xml", "verified.xml");
    bench.run(&["crm_verify", "--xml-file", "verified.xml"]);
    let changed = xml::meaning(&before) != xml::meaning(&merged);
    assert_eq!(changed, !diff.changes.is_empty(), "{:?}", diff.changes);
    let again = Diff::of(cluster, &merged).unwrap();
    assert!(again.changes.is_empty(), "{:?}", again.changes);
    diff.notes.join("\n")
}

/// The cluster with everything running, in up.xml.
fn running(suite: Suite, cluster: &Cluster) -> Bench {
    let bench = Bench::of(suite);
    bench.write("cib.xml", &render::cib(cluster));
    let names = cluster.corosync.nodes.iter().map(|node| &node.name);
    let mut events: Vec<String> = names.map(|name| format!("--node-up={name}")).collect();
    events.extend(["--quorum=true".to_owned(), "--watchdog=true".to_owned()]);
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let outcome = simulate(&bench, "cib.xml", &events, "up.xml");
    assert!(outcome.nodes.contains_key("vip"), "{}", outcome.text);
    bench
}

fn it_says_what_would_change_and_what_would_restart(suite: Suite) {
    let bench = running(suite, &cluster(""));
    let other = VENDOR.replace("54.151.30.9", "54.151.30.10");
    let output = bench_with(&bench, &other);
    prints(
        &output,
        3,
        "eip: elastic_ip 54.151.30.9 -> 54.151.30.10\n\n\
         would restart: eip, src_pkt_ip, pbx on ip-172-31-16-133\n",
    );

    let text = bench.read("up.xml");
    let start = "name=\"start\" interval=\"0s\" timeout=\"300s\"";
    assert!(text.contains(start), "{text}");
    let slower = start.replace("300s", "200s");
    let theirs = (text.replace(start, &slower))
        .replace("id=\"portsip-storage\"", "id=\"theirs\"")
        .replace(
            "name=\"stonith-enabled\" value=\"true\"",
            "name=\"stonith-enabled\" value=\"false\"",
        );
    bench.write("up.xml", &theirs);
    prints(
        &bench_with(&bench, VENDOR),
        3,
        "property stonith-enabled: false -> true\n\
         pbx: timeout of start 200s -> 300s\n\
         constraint portsip-storage: new\n\n\
         nothing would restart\n",
    );
}

fn bench_with(bench: &Bench, vars: &str) -> Output {
    bench.put_cib_gen();
    bench.write("vars.yml", vars);
    let command = [
        "./cib-gen",
        "diff",
        "--offline",
        "vars.yml",
        "--cib",
        "up.xml",
    ];
    bench.try_run(&[&command[..], &["--nodes", NODES]].concat())
}

fn what_the_script_would_refuse_it_says(suite: Suite) {
    let bench = Bench::of(suite);
    bench.empty_cib("cib.xml");
    let create = ["resource", "create", "vip", "ocf:heartbeat:Dummy"];
    bench.run(&[&["pcs", "-f", "cib.xml"][..], &create].concat());
    prints(
        &command(&bench, VENDOR, "cib.xml"),
        3,
        "the script would refuse: there is a 'vip' already, and it is a ocf:heartbeat:Dummy and \
         no ocf:heartbeat:IPaddr2\n",
    );
    let output = bench.try_pcs(&render::pcs(&cluster("")), "cib.xml");
    assert_eq!(output.status.code(), Some(1), "the script did not refuse");
}

#[test]
fn an_empty_cib_says_nothing_of_restarts() {
    let bench = Bench::of(Suite::Bookworm);
    bench.empty_cib("cib.xml");
    let output = command(&bench, LAN, "cib.xml");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for line in [
        "property stonith-enabled true: new\n",
        "pbx: new, ocf:portsip:pbx\n",
        "drbd_devpath-clone: new, promotable clone of drbd_devpath\n",
        "constraint portsip-storage: new\n",
        "the CIB does not say what runs: nothing is known of restarts\n",
    ] {
        assert!(text.contains(line), "no `{line}` in:\n{text}");
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
        let command = ["./cib-gen", "diff", "--offline", "vars.yml"];
        let output = bench.try_run(&[&command[..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(wanted), "{said}");
        assert!(output.stdout.is_empty());
    }
}
