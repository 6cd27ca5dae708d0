//! What cib-gen writes, judged by stock pcs and Pacemaker: both renderings are one cluster,
//! the script refuses a cluster that is configured already, and the cluster does the right thing when something fails.

#![allow(clippy::unwrap_used)]

#[path = "cib/addresses.rs"]
mod addresses;
#[path = "cib/apply_command.rs"]
mod apply_command;
#[path = "cib/apply_on_node.rs"]
mod apply_on_node;
#[path = "cib/apply_on_node_sbd.rs"]
mod apply_on_node_sbd;
#[path = "cib/apply_prompt.rs"]
mod apply_prompt;
#[path = "cib/apply_push.rs"]
mod apply_push;
#[path = "cib/apply_refused.rs"]
mod apply_refused;
#[path = "cib/apply_takeover.rs"]
mod apply_takeover;
#[path = "cib/asked_agents.rs"]
mod asked_agents;
#[path = "cib/bench.rs"]
mod bench;
#[path = "cib/drbd.rs"]
mod drbd;
#[path = "cib/failures.rs"]
mod failures;
#[path = "cib/fence_peer.rs"]
mod fence_peer;
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
use refusals::refuses;

in_both_suites!(
    both_renderings_are_the_same_cluster,
    both_renderings_are_the_same_cluster_with_every_choice_made_otherwise,
    both_renderings_are_the_same_cluster_without_fencing,
    both_renderings_of_the_lan_system_are_the_same_cluster,
    where_sbd_does_not_run_the_cib_is_loaded_without_its_timeout,
    the_cib_loads_as_it_says_and_spares_what_it_does_not_name,
    a_second_run_refuses_and_changes_nothing,
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
    let cib = render::cib(cluster);
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
    bench.new_cluster(cluster, "pcs.xml");
    bench.pcs(&render::pcs(cluster), "pcs.xml");
    let by_pcs = xml::written(&bench.read("pcs.xml"));
    let by_us = xml::written(&bench.read("cib.xml"));
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
        "drbd: 8.4\n",
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
    let rendering = render::cib(&lan(""));
    load(&bench, &rendering);
    let loaded = xml::configuration(&bench.read("live.xml"));
    assert!(loaded.contains("drbd_devpath"), "{loaded}");
    assert!(!loaded.contains("watchdog"), "{loaded}");
    // The comment says what sets it.
    assert!(
        rendering.contains("\n     cib-gen apply vars.yml"),
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
    let rendering = render::cib(&cluster(""));
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

/// What is configured is changed by `cib-gen apply` alone.
fn a_second_run_refuses_and_changes_nothing(suite: Suite) {
    for cluster in [cluster(""), lan(""), lan(BOARDS)] {
        let bench = Bench::of(suite);
        let script = render::pcs(&cluster);
        bench.new_cluster(&cluster, "cib.xml");
        bench.pcs(&script, "cib.xml");
        let first = bench.read("cib.xml");
        refuses(
            &bench,
            &cluster,
            &["configured already", "help: sudo cib-gen apply vars.yml"],
        );
        assert_eq!(bench.read("cib.xml"), first, "in {suite}");
    }
}

#[test]
fn the_script_is_short_and_parses_nothing() {
    for (cluster, most) in [
        (cluster("region: us-west-1\n"), 99),
        (lan(""), 99),
        (lan(BOARDS), 99),
        (lan("fencing: none\n"), 99),
        (lan("drbd: 8.4\n"), 129),
    ] {
        let script = render::pcs(&cluster);
        let lines = script.lines().count();
        assert!(lines <= most, "{lines} lines:\n{script}");
        let commands = script.lines().filter(|line| !line.starts_with('#'));
        for word in commands.flat_map(|line| line.split(|c: char| !c.is_alphanumeric())) {
            let parses = ["sed", "awk", "grep", "cut", "tr", "xmllint", "python3"].contains(&word);
            assert!(!parses, "{word} is in:\n{script}");
        }
    }
}
