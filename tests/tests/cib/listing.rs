//! What an operator sees: the list of resources of a healthy cluster, as Pacemaker shows it,
//! is the one in the vendor's guides.

#![allow(clippy::unwrap_used)]

use cib_gen::Cluster;

use crate::bench::{Bench, Suite, in_both_suites};
use crate::simulate::{promotable_on, simulate};
use crate::{BOARDS, cluster, lan, whole_cib};

in_both_suites!(
    on_aws_the_resources_are_listed_as_in_the_vendors_guide,
    on_a_lan_the_resources_are_listed_as_in_the_vendors_guide,
    what_is_ours_alone_comes_after_what_is_the_vendors,
    what_drbd_thinks_is_shown_on_the_active_node,
);

/// "High Availability Installations on AWS", what `ha_ctl.sh show` prints there.
const AWS: &str = "
  * eip    (ocf::portsip:awseip):     Started ip-172-31-16-133
  * privip    (ocf::heartbeat:awsvip):     Started ip-172-31-16-133
  * vip    (ocf::heartbeat:IPaddr2):     Started ip-172-31-16-133
  * src_pkt_ip    (ocf::portsip:awsipsrcaddr):     Started ip-172-31-16-133
  * ebs    (ocf::portsip:awsebs):     Started ip-172-31-16-133
  * datapath_fs    (ocf::heartbeat:Filesystem):     Started ip-172-31-16-133
  * pbx    (ocf::portsip:pbx):     Started ip-172-31-16-133
";

/// "High Availability Installations on Ubuntu", version 22, the same.
const LAN: &str = "
 drbd_attr    (ocf::linbit:drbd-attr):    Started pbx01
 Master/Slave Set: drbd_devpath-clone [drbd_devpath]
     Masters: [ pbx01 ]
     Slaves: [ pbx02 pbx03 ]
 vip    (ocf::heartbeat:IPaddr2):    Started pbx01
 src_pkt_ip    (ocf::heartbeat:IPsrcaddr):    Started pbx01
 datapath_fs    (ocf::heartbeat:Filesystem):    Started pbx01
 pbx    (ocf::portsip:pbx):    Started pbx01
";

/// A list without what only the version of Pacemaker decides: bullets, columns, the second
/// colon after `ocf`, and the words for the roles.
fn plain(list: &str) -> Vec<String> {
    list.lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().filter(|w| *w != "*").collect();
            let line = words.join(" ").replace("(ocf::", "(ocf:");
            let line = line
                .replace("Masters: [", "Promoted: [")
                .replace("Slaves: [", "Unpromoted: [");
            match line.strip_prefix("Master/Slave Set: ") {
                Some(clone) => format!("Clone Set: {clone} (promotable):"),
                None => line,
            }
        })
        .filter(|line| !line.is_empty())
        .collect()
}

/// What is listed when all nodes are there and everything has started.
fn listed(suite: Suite, cluster: &Cluster) -> Vec<String> {
    let bench = Bench::of(suite);
    bench.write("cib.xml", &whole_cib(cluster));
    bench.lived_in("cib.xml", "cib.xml");
    let healthy = healthy(&bench, cluster);
    let shown = bench.run(&["crm_simulate", "--xml-file", healthy]);
    let (_, list) = shown
        .split_once("Full List of Resources:")
        .unwrap_or_else(|| panic!("{suite}: {shown}"));
    plain(list)
}

/// Leaves the cluster of cib.xml with all its nodes in up.xml.
fn up(bench: &Bench, cluster: &Cluster) {
    let nodes = cluster.corosync.nodes.iter();
    let up = nodes.map(|node| format!("--node-up={}", node.name));
    let up: Vec<String> = up.chain(["--quorum=true".to_owned()]).collect();
    let events: Vec<&str> = up.iter().map(String::as_str).collect();
    simulate(bench, "cib.xml", &events, "up.xml");
}

/// The file with the cluster of cib.xml, all its nodes, and the data at its best on the first.
fn healthy(bench: &Bench, cluster: &Cluster) -> &'static str {
    let nodes = &cluster.corosync.nodes;
    up(bench, cluster);
    if cluster.drbd.is_none() {
        return "up.xml";
    }
    promotable_on(bench, "up.xml", "drbd_devpath", &nodes[0].name);
    simulate(bench, "up.xml", &[], "healthy.xml");
    "healthy.xml"
}

fn on_aws_the_resources_are_listed_as_in_the_vendors_guide(suite: Suite) {
    // The vendor's private address is the stock agent's; ours is the default.
    let cluster = cluster("privip_agent: ocf:heartbeat:awsvip\nfencing: none\n");
    assert_eq!(listed(suite, &cluster), plain(AWS), "in {suite}");
}

fn on_a_lan_the_resources_are_listed_as_in_the_vendors_guide(suite: Suite) {
    for more in ["", "fencing: none\n"] {
        assert_eq!(listed(suite, &lan(more)), plain(LAN), "in {suite}");
    }
}

fn what_is_ours_alone_comes_after_what_is_the_vendors(suite: Suite) {
    let ours = plain(&AWS.replace("heartbeat:awsvip", "portsip:awsvip"));
    for (cluster, vendors, devices) in [
        (cluster(""), ours, &["fencing"][..]),
        (
            lan(BOARDS),
            plain(LAN),
            &["fencing-pbx01", "fencing-pbx02", "fencing-pbx03"],
        ),
    ] {
        let all = listed(suite, &cluster);
        let (theirs, more) = all.split_at(vendors.len().min(all.len()));
        assert_eq!(theirs, vendors, "in {suite}");
        let more: Vec<&str> = more.iter().filter_map(|l| l.split(' ').next()).collect();
        assert_eq!(more, devices, "in {suite}");
        assert!(
            !all.iter().any(|l| l.contains("Stopped")),
            "{suite}: {all:?}"
        );
    }
}

/// drbd_attr starts before anything is promoted, wherever that will be.
fn what_drbd_thinks_is_shown_on_the_active_node(suite: Suite) {
    let cluster = lan("");
    for node in &cluster.corosync.nodes {
        let bench = Bench::of(suite);
        bench.write("cib.xml", &whole_cib(&cluster));
        bench.lived_in("cib.xml", "cib.xml");
        up(&bench, &cluster);
        promotable_on(&bench, "up.xml", "drbd_devpath", &node.name);
        simulate(&bench, "up.xml", &[], "promoted.xml");
        let rest = simulate(&bench, "promoted.xml", &[], "rest.xml");
        for resource in ["pbx", "drbd_attr"] {
            let at = rest.nodes.get(resource);
            assert_eq!(at, Some(&node.name), "{resource} in {suite}: {}", rest.text);
        }
    }
}
