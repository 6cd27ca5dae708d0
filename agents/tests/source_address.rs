//! awsipsrcaddr among the routes of others, each test in a network namespace of its own. Needs root.
#![allow(clippy::unwrap_used)]

mod call;
mod netns;

use std::path::PathBuf;

use call::{Answer, Call, binary};
use netns::{DHCP, Namespace};

const VIP: &str = "172.31.16.130";
const PRIMARY: &str = "172.31.16.133";
/// The VPC is 172.31.0.0/16, the node's subnet 172.31.16.0/20.
const RESOLVER: &str = "172.31.0.2";
const HALVES: [&str; 2] = ["90.0.0.1", "203.0.113.1"];

/// The files of systemd-resolved of the machine that tests are not the node's.
const WITHOUT_RESOLVED: &str = "[ ! -d /run/systemd/resolve ] || mount -t tmpfs tmpfs /run/systemd/resolve; exec \"$0\" \"$@\"";

/// An instance with its primary address, a route by DHCP and the virtual address.
struct Node {
    namespace: Namespace,
    interface: Option<&'static str>,
}

impl std::ops::Deref for Node {
    type Target = Namespace;
    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl Node {
    fn new(vip: &str) -> Self {
        let node = Self {
            namespace: Namespace::new(),
            interface: None,
        };
        node.name_servers(&[RESOLVER]);
        node.ip(DHCP);
        node.ip(&format!("address add {vip} dev ens5"));
        node
    }

    /// What /etc/resolv.conf is for programs in the namespace (ip-netns(8)).
    fn name_servers(&self, servers: &[&str]) {
        let text: String = servers
            .iter()
            .map(|s| format!("nameserver {s}\n"))
            .collect();
        std::fs::create_dir_all(self.etc()).unwrap();
        std::fs::write(self.etc().join("resolv.conf"), text).unwrap();
    }

    fn etc(&self) -> PathBuf {
        PathBuf::from("/etc/netns").join(&self.namespace.0)
    }

    fn act(&self, action: &str, interval: u32, address: &str) -> Answer {
        let namespace = &self.namespace.0;
        let words = [
            "ip",
            "netns",
            "exec",
            namespace,
            "sh",
            "-c",
            WITHOUT_RESOLVED,
        ];
        let words = [&words[..], &[binary("awsipsrcaddr")]].concat();
        let mut call = Call::through(&words, action)
            .set("OCF_RESOURCE_INSTANCE", namespace)
            .set("OCF_RESKEY_CRM_meta_interval", &interval.to_string())
            .parameter("ipaddress", address);
        if let Some(interface) = self.interface {
            call = call.parameter("interface", interface);
        }
        call.run()
    }

    fn start(&self) -> Answer {
        self.act("start", 0, VIP)
    }

    fn stop(&self) -> Answer {
        self.act("stop", 0, VIP)
    }

    fn probe(&self) -> Answer {
        self.act("monitor", 0, VIP)
    }

    /// A monitor of a resource that runs.
    fn monitor(&self) -> Answer {
        self.act("monitor", 10_000, VIP)
    }

    fn own_routes(&self) -> Vec<String> {
        self.routes("proto 145")
    }

    /// All routes but the agent's.
    fn others(&self) -> Vec<String> {
        let mut all = self.routes("");
        all.retain(|route| !route.contains("proto 145"));
        all
    }

    #[track_caller]
    fn sends_from(&self, source: &str) {
        for outside in HALVES {
            assert_eq!(self.source_towards(outside), source, "to {outside}");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.etc());
    }
}

/// What went to the log.
fn log(answer: &Answer) -> Vec<&str> {
    answer
        .stderr
        .lines()
        .filter(|line| !line.starts_with("ocf-exit-reason:"))
        .collect()
}

#[test]
fn what_leaves_for_the_internet_has_the_address_and_nothing_else_changes() {
    for prefix in [32, 31, 28, 20] {
        let node = Node::new(&format!("{VIP}/{prefix}"));
        let others = node.others();
        node.probe().expect(7);
        node.start().expect(0);
        node.start().expect(0);
        node.probe().expect(0);
        let monitor = node.monitor().expect(0);
        assert_eq!(log(&monitor), [""; 0], "a healthy monitor says nothing");
        node.sends_from(VIP);
        for inside in [
            "172.31.17.7",
            "169.254.169.254",
            "169.254.169.123",
            RESOLVER,
        ] {
            assert_eq!(node.source_towards(inside), PRIMARY, "to {inside}");
        }
        assert_eq!(
            node.own_routes(),
            [
                "0.0.0.0/1 via 172.31.16.1 dev ens5 src 172.31.16.130 metric 100000 mtu 9001",
                "128.0.0.0/1 via 172.31.16.1 dev ens5 src 172.31.16.130 metric 100000 mtu 9001",
                "169.254.0.0/16 via 172.31.16.1 dev ens5 src 172.31.16.133 metric 100000 mtu 9001",
                "172.31.0.2 via 172.31.16.1 dev ens5 src 172.31.16.133 metric 100000 mtu 9001",
            ]
        );
        assert_eq!(node.others(), others);
        node.stop().expect(0);
        node.stop().expect(0);
        assert_eq!(node.own_routes(), [""; 0]);
        assert_eq!(node.others(), others);
        node.sends_from(PRIMARY);
        node.probe().expect(7);
    }
}

#[test]
fn renewals_of_whatever_kind_change_nothing() {
    let append = DHCP.replace("replace", "append").replace(" mtu 9001", "");
    for renewal in [
        // systemd-networkd, beside a route that somebody has edited.
        append.as_str(),
        DHCP,
        "route prepend default via 172.31.16.1 dev ens5 mtu 9001 metric 100",
        // dhclient.
        "route add default via 172.31.16.1 dev ens5 mtu 9001",
        "route add default via 172.31.16.1 dev ens5 mtu 9001 metric 4000",
    ] {
        let node = Node::new("172.31.16.130/32");
        node.start().expect(0);
        let own_routes = node.own_routes();
        node.ip(renewal);
        let others = node.others();
        let monitor = node.monitor().expect(0);
        assert_eq!(log(&monitor), [""; 0], "{renewal}");
        assert_eq!(node.own_routes(), own_routes, "{renewal}");
        node.sends_from(VIP);
        node.probe().expect(0);
        node.stop().expect(0);
        assert_eq!(node.others(), others, "{renewal}");
    }
}

#[test]
fn a_changed_gateway_mtu_or_metric_is_followed_with_one_line() {
    let node = Node::new("172.31.16.130/32");
    node.start().expect(0);
    for (change, expected) in [
        (
            "route replace default via 172.31.16.9 dev ens5 proto dhcp metric 100 mtu 1500",
            "via 172.31.16.9 dev ens5 src 172.31.16.130 metric 100000 mtu 1500",
        ),
        (
            "route replace default via 172.31.16.9 dev ens5 proto dhcp metric 100",
            "via 172.31.16.9 dev ens5 src 172.31.16.130 metric 100000",
        ),
        // Metric 0 wins over the former.
        (
            "route add default via 172.31.16.8 dev ens5",
            "via 172.31.16.8 dev ens5 src 172.31.16.130 metric 100000",
        ),
        (
            "route replace default via 192.0.2.1 dev ens5 onlink",
            "via 192.0.2.1 dev ens5 src 172.31.16.130 metric 100000 onlink",
        ),
    ] {
        node.ip(change);
        let others = node.others();
        let monitor = node.monitor().expect(0);
        assert_eq!(log(&monitor).len(), 1, "{change}: {monitor:#?}");
        assert!(log(&monitor)[0].contains("changing 169.254.0.0/16"));
        let own_routes = node.own_routes();
        assert_eq!(own_routes[0], format!("0.0.0.0/1 {expected}"), "{change}");
        assert_eq!(own_routes.len(), 4, "{own_routes:?}");
        node.sends_from(VIP);
        assert_eq!(node.source_towards("169.254.169.254"), PRIMARY);
        assert_eq!(node.others(), others, "{change}");
        assert_eq!(log(&node.monitor().expect(0)), [""; 0], "{change}");
    }
}

#[test]
fn the_address_that_moves_to_another_interface_takes_the_routes_along() {
    let node = Node::new("172.31.16.130/32");
    node.add_interface("ens6", "10.0.0.7/24");
    node.ip("route add default via 10.0.0.1 dev ens6 metric 50");
    node.start().expect(0);
    assert!(
        node.own_routes()[0].contains("dev ens5"),
        "{:?}",
        node.own_routes()
    );
    node.ip("address add 172.31.16.130/32 dev ens6");
    node.ip("address delete 172.31.16.130/32 dev ens5");
    node.monitor().expect(0);
    assert_eq!(node.own_routes().len(), 4);
    for route in node.own_routes() {
        assert!(route.contains("via 10.0.0.1 dev ens6"), "{route}");
    }
    assert_eq!(node.source_towards("169.254.169.254"), "10.0.0.7");
    node.sends_from(VIP);
}

/// What a restart of systemd-networkd 257 does with ManageForeignRoutes=yes, or `ip route flush`.
#[test]
fn routes_that_somebody_removed_are_put_back_by_a_monitor_and_not_by_a_probe() {
    for removed in ["proto 145", "0.0.0.0/1", "169.254.0.0/16", "172.31.0.2/32"] {
        let node = Node::new("172.31.16.130/32");
        node.start().expect(0);
        let own_routes = node.own_routes();
        node.ip(&format!("route flush {removed}"));
        let left = node.own_routes();
        assert_ne!(left, own_routes);
        let seen = node.probe();
        let expected = match removed {
            "proto 145" => 7,
            "0.0.0.0/1" => 190,
            _ => 0,
        };
        seen.expect(expected);
        assert_eq!(node.own_routes(), left, "a probe changes nothing");
        let monitor = node.monitor().expect(0);
        assert_eq!(log(&monitor).len(), 1, "{monitor:#?}");
        assert!(log(&monitor)[0].contains("adding "), "{monitor:#?}");
        assert_eq!(node.own_routes(), own_routes);
    }
}

#[test]
fn without_any_default_route_what_is_there_stays_and_what_is_not_is_shown() {
    let node = Node::new("172.31.16.130/32");
    node.start().expect(0);
    let own_routes = node.own_routes();
    node.ip("route delete default");
    assert_eq!(log(&node.monitor().expect(0)), [""; 0]);
    node.start().expect(0);
    assert_eq!(node.own_routes(), own_routes);
    node.ip("route flush proto 145");
    let monitor = node.monitor().expect(190);
    assert_eq!(monitor.reason(), "ens5 has no default route");
    node.probe().expect(7);
    node.ip(DHCP);
    node.monitor().expect(0);
    assert_eq!(node.own_routes(), own_routes);
    node.ip("route delete default");
    node.stop().expect(0);
    let start = node.start().expect(1);
    assert_eq!(start.reason(), "ens5 has no default route");
    node.stop().expect(0);
}

#[test]
fn a_monitor_waits_for_a_dhcp_client_that_is_at_it() {
    let node = Node::new("172.31.16.130/32");
    node.start().expect(0);
    node.ip("route flush proto 145");
    node.ip("route delete default");
    std::thread::scope(|scope| {
        let monitor = scope.spawn(|| node.monitor());
        std::thread::sleep(std::time::Duration::from_millis(700));
        node.ip(DHCP);
        let monitor = monitor.join().unwrap().expect(0);
        assert!(monitor.took.as_millis() >= 700, "{monitor:#?}");
    });
    node.sends_from(VIP);
}

#[test]
fn a_lost_address_is_shown_and_stop_succeeds() {
    let node = Node::new("172.31.16.130/32");
    let others = node.others();
    node.start().expect(0);
    node.ip("address delete 172.31.16.130/32 dev ens5");
    assert_eq!(
        node.own_routes().len(),
        2,
        "of the address the kernel keeps none"
    );
    node.sends_from(PRIMARY);
    let monitor = node.monitor().expect(190);
    assert_eq!(
        monitor.reason(),
        "no interface of this node has 172.31.16.130: the resource that puts it there has to start first"
    );
    node.probe().expect(7);
    let start = node.start().expect(1);
    assert!(start.reason().contains("has to start first"), "{start:#?}");
    node.ip("address add 172.31.16.130/32 dev ens5");
    node.monitor().expect(0);
    node.sends_from(VIP);
    node.ip("address delete 172.31.16.130/32 dev ens5");
    node.stop().expect(0);
    node.stop().expect(0);
    assert_eq!(node.own_routes(), [""; 0]);
    assert_eq!(node.others(), others);
}

#[test]
fn an_interface_that_is_down_or_gone() {
    let node = Node::new("172.31.16.130/32");
    node.start().expect(0);
    node.ip("link set ens5-peer down");
    node.monitor().expect(0);
    node.ip("link set ens5 down");
    let monitor = node.monitor().expect(190);
    assert_eq!(monitor.reason(), "ens5 has no default route");
    node.ip("link set ens5 up");
    node.ip(DHCP);
    node.monitor().expect(0);
    node.ip("link set ens5 down");
    node.stop().expect(0);
    node.ip("link set ens5 up");
    node.ip(DHCP);
    node.start().expect(0);
    node.ip("link delete ens5");
    node.stop().expect(0);
    node.stop().expect(0);
    node.probe().expect(7);
}

#[test]
fn of_several_default_routes_the_one_in_use_on_the_interface_is_followed() {
    let node = Node::new("172.31.16.130/32");
    node.add_interface("ens6", "10.0.0.7/24");
    node.ip("route add default via 172.31.16.2 dev ens5 metric 200");
    node.ip("route append default via 172.31.16.3 dev ens5 proto dhcp metric 100");
    node.ip("route add default via 10.0.0.1 dev ens6 metric 50");
    node.ip("route add default via 172.31.16.4 dev ens5 table 77");
    let others = node.others();
    node.start().expect(0);
    assert!(
        node.own_routes()[0].contains("via 172.31.16.1 dev ens5"),
        "{:?}",
        node.own_routes()
    );
    node.sends_from(VIP);
    node.stop().expect(0);
    assert_eq!(node.others(), others);
    node.sends_from("10.0.0.7");
}

#[test]
fn of_a_default_route_that_is_shared_the_part_of_the_interface_is_followed() {
    let node = Node::new("172.31.16.130/32");
    node.add_interface("ens6", "10.0.0.7/24");
    node.ip("route delete default");
    node.ip(
        "route add default metric 100 mtu 1400 nexthop via 10.0.0.1 dev ens6 \
         nexthop via 192.0.2.1 dev ens5 weight 3 onlink",
    );
    node.start().expect(0);
    assert_eq!(
        node.own_routes()[0],
        "0.0.0.0/1 via 192.0.2.1 dev ens5 src 172.31.16.130 metric 100000 onlink mtu 1400"
    );
    node.sends_from(VIP);
    assert_eq!(node.source_towards("169.254.169.254"), PRIMARY);
}

#[test]
fn more_specific_routes_of_others_keep_their_source_and_rules_are_shown() {
    let node = Node::new("172.31.16.130/32");
    node.ip("route add 52.0.0.1 via 172.31.16.1 dev ens5");
    node.start().expect(0);
    assert_eq!(node.source_towards("52.0.0.1"), PRIMARY);
    assert_eq!(node.source_towards("52.0.0.2"), VIP);
    node.monitor().expect(0);

    // A VPN that takes all traffic, as OpenVPN's redirect-gateway def1 does.
    node.add_interface("tun0", "10.8.0.2/24");
    node.ip("route add 0.0.0.0/1 via 10.8.0.1 dev tun0");
    node.ip("route add 128.0.0.0/1 via 10.8.0.1 dev tun0");
    let others = node.others();
    let words = "packets to 203.0.113.1 leave from 10.8.0.2, not from 172.31.16.130";
    node.ip("route delete 0.0.0.0/1 via 10.8.0.1 dev tun0");
    let monitor = node.monitor().expect(190);
    assert!(monitor.reason().starts_with(words), "{monitor:#?}");
    node.probe().expect(190);
    node.stop().expect(0);
    let start = node.start().expect(1);
    assert!(start.reason().starts_with(words), "{start:#?}");
    node.stop().expect(0);
    assert_eq!(node.others().len() + 1, others.len());

    node.ip("route delete 128.0.0.0/1 via 10.8.0.1 dev tun0");
    node.start().expect(0);
    node.ip("route add default via 10.8.0.1 dev tun0 table 77");
    node.ip("rule add pref 100 lookup 77");
    let monitor = node.monitor().expect(190);
    assert!(
        monitor.reason().contains("leave from 10.8.0.2"),
        "{monitor:#?}"
    );
    node.ip("rule delete pref 100");
    node.monitor().expect(0);
}

#[test]
fn name_servers_of_the_subnet_have_their_way_already() {
    let node = Node::new("172.31.16.130/32");
    node.name_servers(&[
        "172.31.16.2",
        "10.1.0.2",
        "10.2.0.2",
        "127.0.0.53",
        "8.8.8.8",
    ]);
    node.ip("route add 10.1.0.0/16 via 172.31.16.7");
    // Of systemd-networkd (RoutesToDNS=).
    node.ip("route add 10.2.0.2 via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.133 metric 100");
    node.start().expect(0);
    let own_routes = node.own_routes();
    assert!(
        own_routes
            .iter()
            .all(|route| !route.contains("172.31.16.2 ") && !route.contains("10.1.0.2")),
        "{own_routes:?}"
    );
    assert_eq!(node.source_towards("10.2.0.2"), PRIMARY);
    assert_eq!(node.source_towards("8.8.8.8"), PRIMARY);
    node.ip("route delete 10.2.0.2 proto dhcp");
    assert_eq!(node.source_towards("10.2.0.2"), PRIMARY);
    assert_eq!(log(&node.monitor().expect(0)), [""; 0]);
    node.name_servers(&[]);
    node.monitor().expect(0);
    assert_eq!(node.own_routes().len(), 3, "{:?}", node.own_routes());
}

/// amazon-ec2-net-utils adds secondary addresses with the prefix length 32, before DHCP is through.
#[test]
fn the_nodes_own_source_is_the_address_of_the_gateways_subnet() {
    let node = Node::new("172.31.16.130/20");
    node.ip("address flush dev ens5");
    for address in ["172.31.16.200/32", "172.31.16.130/32", "172.31.16.133/20"] {
        node.ip(&format!("address add {address} dev ens5"));
    }
    node.ip("route add default via 172.31.16.1 dev ens5");
    node.start().expect(0);
    assert_eq!(node.source_towards("169.254.169.254"), PRIMARY);
    node.sends_from(VIP);
    node.stop().expect(0);

    // As a DHCP client leaves it that took the node's own address away and brought it back.
    node.ip("address flush dev ens5");
    for address in ["172.31.16.130/20", "172.31.16.133/20", "172.31.16.200/32"] {
        node.ip(&format!("address add {address} dev ens5"));
    }
    node.ip("route add default via 172.31.16.1 dev ens5");
    node.start().expect(0);
    assert_eq!(node.source_towards("169.254.169.254"), PRIMARY);
    node.sends_from(VIP);
}

#[test]
fn an_interface_with_only_the_address_has_no_other_source() {
    let node = Node::new("172.31.16.130/32");
    node.ip("address flush dev ens5");
    node.ip("address add 172.31.16.130/20 dev ens5");
    node.ip("route add default via 172.31.16.1 dev ens5");
    node.start().expect(0);
    assert_eq!(node.own_routes().len(), 2);
    node.sends_from(VIP);
    node.stop().expect(0);
    node.probe().expect(7);
}

#[test]
fn the_interface_that_was_named_is_used_and_missed() {
    let mut node = Node::new("172.31.16.130/32");
    node.add_interface("ens6", "10.0.0.7/24");
    node.ip("route add default via 10.0.0.1 dev ens6 metric 500");
    node.interface = Some("ens6");
    node.start().expect(0);
    assert!(node.own_routes()[0].contains("via 10.0.0.1 dev ens6"));
    node.ip("link set ens6 name ens7");
    let missing = "find the network interface ens6: ENODEV";
    assert!(node.monitor().expect(190).reason().starts_with(missing));
    assert!(node.start().expect(5).reason().starts_with(missing));
    node.stop().expect(0);
    node.probe().expect(7);
    assert_eq!(node.own_routes(), [""; 0]);
}

#[test]
fn another_resource_is_left_alone() {
    let node = Node::new("172.31.16.130/32");
    node.ip("address add 172.31.16.131/32 dev ens5");
    node.start().expect(0);
    let own_routes = node.own_routes();
    let start = node.act("start", 0, "172.31.16.131").expect(1);
    assert!(start.reason().contains("File exists"), "{start:#?}");
    node.act("stop", 0, "172.31.16.131").expect(0);
    assert_eq!(node.own_routes(), own_routes);
    node.monitor().expect(0);
}

/// The vendor's agent edits the default route, and ours may take its place while it runs.
#[test]
fn a_node_whose_default_route_was_edited_is_not_cut_off_by_a_stop() {
    let edited = "route replace default via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.130 metric 100 mtu 9001";
    let renewed = DHCP.replace("replace", "append");
    for renewal in [None, Some(renewed.as_str())] {
        let node = Node::new("172.31.16.130/32");
        node.ip(edited);
        if let Some(renewal) = renewal {
            node.ip(renewal);
        }
        node.probe().expect(7);
        node.monitor().expect(0);
        assert_eq!(node.source_towards("169.254.169.254"), PRIMARY);
        node.stop().expect(0);
        node.stop().expect(0);
        assert_eq!(node.own_routes(), [""; 0]);
        assert_eq!(node.routes("default").len(), 2, "{renewal:?}");
        node.ip("address delete 172.31.16.130/32 dev ens5");
        assert_eq!(
            node.routes("default"),
            ["default via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.133 metric 100 mtu 9001"],
            "{renewal:?}"
        );
    }
}
