//! What cib-gen writes, judged by stock pcs and Pacemaker: both renderings are one cluster,
//! the script can be run again, and the cluster does the right thing when something fails.

#![allow(clippy::unwrap_used)]

#[path = "cib/addresses.rs"]
mod addresses;
#[path = "cib/apply_command.rs"]
mod apply_command;
#[path = "cib/bench.rs"]
mod bench;
#[path = "cib/drbd.rs"]
mod drbd;
#[path = "cib/failures.rs"]
mod failures;
#[path = "cib/generated.rs"]
mod generated;
#[path = "cib/in_image.rs"]
mod in_image;
#[path = "cib/listing.rs"]
mod listing;
#[path = "cib/refusals.rs"]
mod refusals;
#[path = "cib/running.rs"]
mod running;
#[path = "cib/simulate.rs"]
mod simulate;
#[path = "cib/simulate_command.rs"]
mod simulate_command;
#[path = "cib/xml.rs"]
mod xml;

use bench::{Bench, Suite, in_both_suites};
use cib_gen::nodes::Known;
use cib_gen::{Cluster, Vars, render};
use lab::site::INSTANCES;

in_both_suites!(
    both_renderings_are_the_same_cluster,
    both_renderings_are_the_same_cluster_with_every_choice_made_otherwise,
    both_renderings_are_the_same_cluster_without_fencing,
    both_renderings_of_the_lan_system_are_the_same_cluster,
    where_sbd_does_not_run_the_cib_is_loaded_without_its_timeout,
    the_cib_loads_as_it_says_and_spares_what_it_does_not_name,
    a_second_run_changes_nothing_that_is_right_and_nothing_that_is_the_users,
    a_second_run_puts_right_what_differs,
    a_watchdog_timeout_that_differs_is_put_right_too,
);

const VENDOR: &str = include_str!("../../cib-gen/tests/vars-vendor.yml");
const NODES: &str =
    "ip-172-31-16-133=172.31.16.133,ip-172-31-16-134=172.31.16.134,ip-172-31-16-135=172.31.16.135";
const LAN: &str = include_str!("../../cib-gen/tests/vars-lan.yml");

/// What vars.yml says, resolved without asking anybody.
fn cluster_of(vars: &str) -> Cluster {
    let nodes = INSTANCES.map(|i| format!("{}={}", i.hostname, i.private_ip).parse().unwrap());
    let vars = Vars::parse("vars.yml", vars).unwrap_or_else(|e| panic!("{e}"));
    let known = Known {
        given: if vars.lacks_nodes() {
            nodes.to_vec()
        } else {
            Vec::new()
        },
        ..Known::default()
    };
    Cluster::of(&vars.resolve(&known).unwrap_or_else(|e| panic!("{e}")))
}

/// The cluster of the vendor's file with more lines.
fn cluster(more: &str) -> Cluster {
    cluster_of(&format!("{VENDOR}{more}"))
}

/// A management board for each node of the LAN system.
const BOARDS: &str = "fencing: fence_ipmilan\nfencing_options: username=fencing \
    password_script=/etc/portsip-ha/bmc lanplus=1\npbx01_fencing_options: ip=192.168.1.231\n\
    pbx02_fencing_options: ip=192.168.1.232\npbx03_fencing_options: ip=192.168.1.233 plug=3\n";

/// A hypervisor for all nodes: it knows them by their names.
const HYPERVISOR: &str = "fencing: fence_virsh\nfencing_action: off\nfencing_options: ip=192.168.1.230 \
    username=fencing password_script=/etc/portsip-ha/bmc\n";

/// The same of the LAN system.
fn lan(more: &str) -> Cluster {
    cluster_of(&format!("{LAN}{more}"))
}

/// The CIB rendering, with what only the script sets, because it looks at SBD first.
fn whole_cib(cluster: &Cluster) -> String {
    let cib = render::cib(cluster).unwrap();
    if cluster.corosync.watchdog.is_none() {
        return cib;
    }
    let enabled = "name=\"stonith-enabled\" value=\"true\"/>";
    let timeout = "<nvpair id=\"cib-bootstrap-options-stonith-watchdog-tim\" \
        name=\"stonith-watchdog-timeout\" value=\"10s\"/>";
    assert!(cib.contains(enabled) && !cib.contains("name=\"stonith-watchdog-timeout\""));
    cib.replace(enabled, &format!("{enabled}{timeout}"))
}

fn same_cluster(suite: Suite, cluster: &Cluster) {
    let bench = Bench::of(suite);
    bench.write("cib.xml", &whole_cib(cluster));
    bench.verify("cib.xml");
    bench.empty_cib("pcs.xml");
    bench.pcs(&render::pcs(cluster), "pcs.xml");
    bench.verify("pcs.xml");
    let by_pcs = xml::configuration(&bench.read("pcs.xml"));
    let by_us = xml::configuration(&bench.read("cib.xml"));
    assert!(
        by_pcs == by_us,
        "pcs of {suite} made:\n{by_pcs}\nthe cib rendering is:\n{by_us}"
    );
}

fn both_renderings_are_the_same_cluster(suite: Suite) {
    same_cluster(suite, &cluster("region: us-west-1\n"));
}

fn both_renderings_are_the_same_cluster_with_every_choice_made_otherwise(suite: Suite) {
    same_cluster(
        suite,
        &cluster(
            "fencing_action: reboot\ndata_path: /srv/pbx\nebs_device: /dev/xvdf\nsip_transport: tls\nsip_port: 5071\nweb_port: 8443\n",
        ),
    );
}

fn both_renderings_are_the_same_cluster_without_fencing(suite: Suite) {
    same_cluster(suite, &cluster("fencing: none\n"));
}

fn both_renderings_of_the_lan_system_are_the_same_cluster(suite: Suite) {
    for more in [
        "",
        "subnet_cidr: 192.168.1.0/24\ndata_path: /srv/pbx\nfencing: sbd\n",
        "fencing: none\n",
        HYPERVISOR,
        BOARDS,
    ] {
        same_cluster(suite, &lan(more));
    }
}

/// Loads a rendering as its comment says, into live.xml.
fn load(bench: &Bench, rendering: &str) {
    bench.write("cib.xml", rendering);
    let (_, command) = rendering.split_once("| cibadmin ").unwrap();
    let load = format!(
        "CIB_file=live.xml cibadmin {} < cib.xml",
        command.lines().next().unwrap()
    );
    bench.run(&["sh", "-c", &load]);
}

/// A node that reads the timeout and runs no SBD shuts Pacemaker down.
fn where_sbd_does_not_run_the_cib_is_loaded_without_its_timeout(suite: Suite) {
    let bench = Bench::of(suite);
    bench.empty_cib("live.xml");
    let rendering = render::cib(&lan("")).unwrap();
    load(&bench, &rendering);
    let loaded = xml::configuration(&bench.read("live.xml"));
    assert!(loaded.contains("drbd_devpath"), "{loaded}");
    assert!(!loaded.contains("watchdog"), "{loaded}");
    // The comment says what sets it.
    assert!(
        rendering.contains("\n     cib-gen vars.yml | sh"),
        "{rendering}"
    );
}

fn the_cib_loads_as_it_says_and_spares_what_it_does_not_name(suite: Suite) {
    let bench = Bench::of(suite);
    bench.empty_cib("live.xml");
    let standby = "<nodes><node id=\"1\" uname=\"ip-172-31-16-133\">\
        <instance_attributes id=\"nodes-1\"><nvpair id=\"nodes-1-standby\" name=\"standby\" value=\"on\"/>\
        </instance_attributes></node></nodes>";
    let live = bench.read("live.xml").replace("<nodes/>", standby);
    bench.write("live.xml", &live);
    let rendering = render::cib(&cluster("")).unwrap();
    load(&bench, &rendering);
    let loaded = xml::configuration(&bench.read("live.xml"));
    assert!(loaded.contains("name=\"standby\""), "{loaded}");
    let nodes = xml::configuration(&live)
        .lines()
        .skip(2)
        .take(4)
        .collect::<Vec<_>>()
        .join("\n");
    let without_nodes = loaded.replace(&format!("{nodes}\n"), "  nodes\n");
    assert_eq!(without_nodes, xml::configuration(&rendering));
}

fn a_second_run_changes_nothing_that_is_right_and_nothing_that_is_the_users(suite: Suite) {
    for cluster in [cluster(""), lan(""), lan(BOARDS)] {
        let bench = Bench::of(suite);
        let script = render::pcs(&cluster);
        bench.empty_cib("cib.xml");
        bench.pcs(&script, "cib.xml");
        let first = bench.read("cib.xml");
        bench.pcs(&script, "cib.xml");
        assert_eq!(
            bench.read("cib.xml"),
            first,
            "the second run changed something in {suite}"
        );

        // What an operator does between two runs.
        let commands = [
            "resource disable pbx",
            "resource create mail ocf:heartbeat:Dummy",
            "constraint location pbx avoids ip-172-31-16-135=50",
            "property set maintenance-mode=true",
            "resource op add vip monitor interval=120s OCF_CHECK_LEVEL=10 --force",
        ];
        bench.change("cib.xml", &commands);
        let theirs = bench.read("cib.xml");
        bench.pcs(&script, "cib.xml");
        assert_eq!(
            bench.read("cib.xml"),
            theirs,
            "the third run changed what is the user's in {suite}"
        );
    }
}

/// What somebody can have changed, and a second run changes back.
const CHANGES: &[&str] = &[
    "resource update vip ip=192.0.2.1 op monitor interval=77s timeout=3s",
    "resource op delete pbx-monitor-interval-30s",
    "resource op delete datapath_fs-stop-interval-0s",
    "constraint delete portsip-storage portsip-together",
    "property set stonith-enabled=false",
    "resource defaults update resource-stickiness=0",
];

fn a_second_run_puts_right_what_differs(suite: Suite) {
    let of_aws = [
        "constraint colocation set vip pbx setoptions id=portsip-together score=5",
        "stonith update fencing pcmk_off_timeout=1s",
    ];
    let of_lan = [
        "constraint colocation set vip pbx set drbd_devpath-clone role=Promoted setoptions \
         id=portsip-together score=INFINITY",
        "stonith update fencing-pbx02 ip=192.168.1.9 op monitor interval=20s",
        "resource update drbd_devpath op monitor interval=9s role=Promoted",
        "resource meta drbd_devpath-clone notify=false clone-max=2",
    ];
    for (cluster, more) in [(cluster(""), &of_aws[..]), (lan(BOARDS), &of_lan[..])] {
        let bench = Bench::of(suite);
        let script = render::pcs(&cluster);
        bench.empty_cib("cib.xml");
        bench.pcs(&script, "cib.xml");
        let right = xml::configuration(&bench.read("cib.xml"));
        bench.change("cib.xml", &[CHANGES, more].concat());
        bench.pcs(&script, "cib.xml");
        let repaired = xml::configuration(&bench.read("cib.xml"));
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&repaired), sorted(&right), "in {suite}");
    }
}

fn a_watchdog_timeout_that_differs_is_put_right_too(suite: Suite) {
    let bench = Bench::of(suite);
    let script = render::pcs(&lan(""));
    bench.empty_cib("cib.xml");
    bench.pcs(&script, "cib.xml");
    let right = bench.read("cib.xml");
    let wrong = right.replace(
        "tim\" name=\"stonith-watchdog-timeout\" value=\"10s\"",
        "x\" name=\"stonith-watchdog-timeout\" value=\"3s\"",
    );
    assert_ne!(wrong, right);
    bench.write("cib.xml", &wrong);
    bench.pcs(&script, "cib.xml");
    assert!(
        bench
            .read("cib.xml")
            .contains("name=\"stonith-watchdog-timeout\" value=\"10s\""),
        "{suite}: {}",
        bench.read("cib.xml")
    );
}
