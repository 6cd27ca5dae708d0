//! `cib-gen apply` as a user runs it, on CIB files with Pacemaker's own tools: what it makes of a CIB, and
//! what it says would happen. What it refuses is in apply_refused.rs, the change itself in apply_push.rs, takeovers
//! are in apply_takeover.rs, and the question on a terminal is in apply_prompt.rs.

use std::process::Output;

use cib_gen::apply::Plan;
use cib_gen::{Cluster, render};

use crate::bench::{Bench, Suite, in_both_suites};
use crate::simulate::{promotable_on, simulate};
use crate::{BOARDS, HYPERVISOR, LAN, NODES, VENDOR, cluster, lan, whole_cib, xml};

in_both_suites!(
    after_the_script_nothing_would_change,
    from_nothing_it_makes_what_the_script_makes,
    what_differs_is_put_right_and_what_is_the_users_is_kept,
    what_is_no_longer_asked_for_goes,
    what_may_be_the_users_stays,
    a_longer_time_for_the_watchdog_stays_and_sbd_that_is_left_is_named,
    resource_defaults_with_a_rule_stay_and_ours_stand_beside_them,
    it_says_what_would_change_and_what_would_restart,
    in_maintenance_it_says_what_happens_when_that_ends,
);

/// A dry run on a vars.yml and a CIB file.
pub(crate) fn command(bench: &Bench, vars: &str, cib: &str) -> Output {
    run(bench, vars, "", &["--dry-run", "--cib", cib])
}

/// Runs `apply` on a vars.yml. Pacemaker's tools take live.xml for the cluster, if it is there. `before` is
/// shell code.
pub(crate) fn run(bench: &Bench, vars: &str, before: &str, options: &[&str]) -> Output {
    let apply = apply(bench, vars, options);
    // The shell stays: the kernel keeps signals away from the first process of a namespace.
    bench.try_run(&["sh", "-c", &format!("{before}\n{apply}\nexit $?")])
}

/// Shell code that runs `apply` on a vars.yml.
pub(crate) fn apply(bench: &Bench, vars: &str, options: &[&str]) -> String {
    bench.put_cib_gen();
    bench.write("vars.yml", vars);
    let nodes = if vars.contains("instance_id") {
        format!("--nodes {NODES}")
    } else {
        String::new()
    };
    format!(
        "[ ! -e live.xml ] || export CIB_file=live.xml\n./cib-gen apply --offline {nodes} {} vars.yml",
        options.join(" ")
    )
}

#[track_caller]
pub(crate) fn prints(output: &Output, code: i32, wanted: &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text, wanted, "{said}");
    assert_eq!(output.status.code(), Some(code), "{text}{said}");
}

/// What a run printed and said, which has to end with a status.
#[track_caller]
pub(crate) fn ends(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}{said}");
    format!("{text}{said}")
}

/// A CIB file that the script has made.
fn made_by_the_script(bench: &Bench, cluster: &Cluster) {
    bench.new_cluster(cluster, "cib.xml");
    bench.pcs(&render::pcs(cluster), "cib.xml");
}

/// The same in a moment: other tests hold that it is the same.
pub(crate) fn made(bench: &Bench, cluster: &Cluster) {
    bench.write("cib.xml", &whole_cib(cluster));
}

fn after_the_script_nothing_would_change(suite: Suite) {
    for vars in [VENDOR, LAN] {
        let bench = Bench::of(suite);
        let cluster = crate::cluster_of(vars);
        made_by_the_script(&bench, &cluster);
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

/// What operators do to what is ours, and beside it.
const ON_AWS: ([&str; 10], [&str; 4]) = (
    [
        "resource update eip elastic_ip=192.0.2.1 op monitor interval=77s timeout=3s",
        "resource op remove pbx-monitor-interval-30s",
        "resource op remove pbx-start-interval-0s",
        "resource op add ebs monitor interval=99s --force",
        "resource op remove ebs-monitor-interval-10s",
        "stonith update fencing pcmk_off_timeout=1s",
        "constraint delete portsip-storage portsip-together",
        "constraint colocation set vip pbx setoptions id=portsip-together score=5",
        "property set stonith-enabled=false",
        "resource defaults update resource-stickiness=0",
    ],
    [
        "resource update eip profile=theirs --force",
        "property set maintenance-mode=true",
        "resource defaults update priority=7",
        "resource create mail ocf:heartbeat:Dummy",
    ],
);
const ON_A_LAN: ([&str; 5], [&str; 2]) = (
    [
        "resource op remove pbx-stop-interval-0s",
        "resource op remove drbd_devpath-demote-interval-0s",
        "resource meta drbd_devpath-clone clone-max=2",
        "constraint delete portsip-addresses",
        "property set no-quorum-policy=ignore",
    ],
    [
        "resource meta drbd_devpath-clone target-role=Stopped",
        "resource update vip nic=eth1",
    ],
);

fn from_nothing_it_makes_what_the_script_makes(suite: Suite) {
    for cluster in [cluster(""), lan("")] {
        let bench = Bench::of(suite);
        made_by_the_script(&bench, &cluster);
        let by_pcs = xml::meaning(&bench.read("cib.xml"));
        bench.new_cluster(&cluster, "cib.xml");
        applied(&bench, &cluster);
        let by_apply = xml::meaning(&bench.read("cib.xml"));
        assert!(
            by_pcs == by_apply,
            "pcs of {suite} makes:\n{by_pcs}\napply makes:\n{by_apply}"
        );
    }
}

fn what_differs_is_put_right_and_what_is_the_users_is_kept(suite: Suite) {
    let cases = [
        (cluster(""), &ON_AWS.0[..], &ON_AWS.1[..]),
        (lan(""), &ON_A_LAN.0[..], &ON_A_LAN.1[..]),
    ];
    for (cluster, ours, users) in cases {
        let bench = Bench::of(suite);
        made(&bench, &cluster);
        bench.change("cib.xml", users);
        let right = sorted(&bench.read("cib.xml"));
        bench.change("cib.xml", ours);
        assert_ne!(sorted(&bench.read("cib.xml")), right);
        applied(&bench, &cluster);
        assert_eq!(sorted(&bench.read("cib.xml")), right, "in {suite}");
    }
}

fn sorted(cib: &str) -> Vec<String> {
    let mut lines: Vec<String> = xml::meaning(cib).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A hypervisor for each node.
const HYPERVISORS: &str = "fencing: fence_virsh\nfencing_options: username=fencing\n\
    pbx01_fencing_options: ip=192.168.1.231\npbx02_fencing_options: ip=192.168.1.231\n\
    pbx03_fencing_options: ip=192.168.1.232\n";

fn what_is_no_longer_asked_for_goes(suite: Suite) {
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
        applied(&bench, &after);
        let cib = bench.read("cib.xml");
        for gone in gone {
            assert!(!cib.contains(gone), "{suite}: {gone} is still there: {cib}");
        }
    }
}

fn what_may_be_the_users_stays(suite: Suite) {
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
        let said = applied(&bench, &after);
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
        let said = applied(&bench, &lan(""));
        assert_eq!(said.contains(" stays: it is"), stays, "{value}: {said}");
    }
    for more in [BOARDS, "fencing: none\n"] {
        let bench = Bench::of(suite);
        made(&bench, &lan(""));
        let said = applied(&bench, &lan(more));
        assert!(said.contains("sudo pcs stonith sbd disable"), "{said}");
        let said = applied(&bench, &lan(more));
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
    applied(&bench, &lan(""));
    let cib = bench.read("cib.xml");
    assert!(cib.contains(theirs.trim_end()), "{suite}: {cib}");
    assert!(
        cib.contains("<meta_attributes id=\"portsip-defaults\""),
        "{suite}: {cib}"
    );
}

/// Makes the change of cib.xml, which Pacemaker has to accept and which has to be the last. The notes on it.
fn applied(bench: &Bench, cluster: &Cluster) -> String {
    let plan = Plan::of(cluster, &bench.read("cib.xml")).unwrap();
    assert_eq!(plan.refusals, Vec::<String>::new());
    bench.write("cib.xml", &plan.new.to_string());
    bench.verify("cib.xml");
    let again = Plan::of(cluster, &bench.read("cib.xml")).unwrap();
    assert!(again.is_empty(), "in {}: {:?}", bench.suite, again.changes);
    plan.notes.join("\n")
}

/// The cluster with everything running, in up.xml.
pub(crate) fn running(suite: Suite, cluster: &Cluster) -> Bench {
    let bench = Bench::of(suite);
    bench.write("cib.xml", &render::cib(cluster));
    let names: Vec<&str> = cluster
        .corosync
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    start(&bench, &names, "up.xml");
    bench
}

/// Has everything in cib.xml started.
pub(crate) fn start(bench: &Bench, nodes: &[&str], to: &str) {
    let mut events: Vec<String> = nodes
        .iter()
        .map(|name| format!("--node-up={name}"))
        .collect();
    events.extend(["--quorum=true".to_owned(), "--watchdog=true".to_owned()]);
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let outcome = simulate(bench, "cib.xml", &events, to);
    if outcome.text.contains("drbd_devpath") {
        promotable_on(bench, to, "drbd_devpath", nodes[0]);
        let outcome = simulate(bench, to, &["--quorum=true"], "promoted.xml");
        assert!(outcome.nodes.contains_key("pbx"), "{}", outcome.text);
        bench.write(to, &bench.read("promoted.xml"));
    } else {
        assert!(outcome.nodes.contains_key("pbx"), "{}", outcome.text);
    }
}

fn it_says_what_would_change_and_what_would_restart(suite: Suite) {
    let bench = running(suite, &cluster(""));
    let other = VENDOR.replace("54.151.30.9", "54.151.30.10");
    let output = bench_with(&bench, &other);
    prints(
        &output,
        3,
        "eip: elastic_ip 54.151.30.9 -> 54.151.30.10\n\n\
         would restart: eip, src_pkt_ip, pbx on ip-172-31-16-133\n\n\
         note: the agents were not asked whether they could run so, because the CIB is one of a file: eip\n",
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
    command(bench, vars, "up.xml")
}

fn in_maintenance_it_says_what_happens_when_that_ends(suite: Suite) {
    let other = VENDOR.replace("54.151.30.9", "54.151.30.10");
    for (change, left_alone) in [
        ("property set maintenance-mode=Yes", "the cluster"),
        ("resource unmanage pbx eip", "eip, pbx"),
        ("resource meta eip maintenance=on", "eip"),
        ("node maintenance ip-172-31-16-133", "ip-172-31-16-133"),
    ] {
        let bench = running(suite, &cluster(""));
        bench.change("up.xml", &[change]);
        bench.write("live.xml", &bench.read("up.xml"));
        let said = ends(&run(&bench, &other, "", &[]), 3);
        let line = format!(
            "in maintenance mode or not managed: {left_alone}. Nothing happens there until that ends. Then:\n\
             would restart: eip, src_pkt_ip, pbx on ip-172-31-16-133\n"
        );
        assert!(said.contains(&line), "no `{line}` in {said}");
        assert!(said.contains("not changed:"), "{said}");
        let said = ends(&run(&bench, &other, "", &["--yes"]), 0);
        let stays = "the cluster is still in maintenance mode";
        assert_eq!(said.contains(stays), left_alone == "the cluster", "{said}");
    }
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
