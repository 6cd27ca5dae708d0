//! awsipsrcaddr on real routes, each test in a network namespace of its own. Needs root.
#![allow(clippy::unwrap_used)]

mod call;

use std::process::Command;

use call::{Answer, Call, binary};

struct Node(String);

impl Node {
    /// An instance with its primary address, the virtual address and a route by DHCP.
    fn new(name: &str, vip: &str) -> Self {
        let node = Self(format!("srcaddr-{}-{name}", std::process::id()));
        ip(&format!("netns add {}", node.0));
        node.ip("link set lo up");
        node.ip("link add ens5 type veth peer name ens5-peer");
        node.ip("link set ens5 up");
        node.ip("link set ens5-peer up");
        node.ip("address add 172.31.16.133/20 dev ens5");
        node.ip(DHCP);
        node.ip(&format!("address add {vip} dev ens5"));
        node
    }

    fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.0))
    }

    fn routes(&self) -> String {
        self.ip("-4 route show default")
    }

    fn call(&self, action: &str) -> Answer {
        let words = ["ip", "netns", "exec", &self.0, binary("awsipsrcaddr")];
        Call::through(&words, action)
            .set("OCF_RESOURCE_INSTANCE", &self.0)
            .parameter("ipaddress", "172.31.16.130")
            .run()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.0])
            .status();
        let _ = std::fs::remove_file(format!("/run/portsip-ha/awsipsrcaddr-{}.json", self.0));
    }
}

const DHCP: &str = "route replace default via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.133 metric 100 mtu 9001";

fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "ip {arguments} (these tests need root): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn start_monitor_and_stop_with_any_prefix_length() {
    for vip in ["172.31.16.130/20", "172.31.16.130/32"] {
        let node = Node::new("life", vip);
        let before = node.routes();
        node.call("monitor").expect(7);
        node.call("start").expect(0);
        node.call("start").expect(0);
        node.call("monitor").expect(0);
        assert_eq!(
            node.routes(),
            before.replace("src 172.31.16.133", "src 172.31.16.130")
        );
        node.call("stop").expect(0);
        node.call("stop").expect(0);
        assert_eq!(node.routes(), before);
        node.call("monitor").expect(7);
    }
}

#[test]
fn a_dhcp_client_that_puts_the_route_back_is_seen_and_a_start_repairs_it() {
    let node = Node::new("dhcp", "172.31.16.130/32");
    node.call("start").expect(0);
    node.ip(DHCP);
    node.call("monitor").expect(7);
    node.call("start").expect(0);
    node.call("monitor").expect(0);
}

#[test]
fn one_of_two_routes_put_back_is_broken_and_named() {
    let node = Node::new("two", "172.31.16.130/32");
    node.ip("route add default via 172.31.16.2 dev ens5 metric 200");
    let before = node.routes();
    node.call("start").expect(0);
    node.ip(DHCP);
    assert!(
        node.call("monitor")
            .expect(1)
            .reason()
            .contains("metric 100")
    );
    node.call("start").expect(0);
    node.call("monitor").expect(0);
    node.call("stop").expect(0);
    assert_eq!(node.routes(), before);
}

#[test]
fn the_default_route_comes_back_after_the_address_was_removed_first() {
    let node = Node::new("removed", "172.31.16.130/32");
    let before = node.routes();
    node.call("start").expect(0);
    node.ip("address delete 172.31.16.130/32 dev ens5");
    assert_eq!(
        node.routes(),
        "",
        "the kernel keeps such routes now, so stop can be simpler"
    );
    node.call("monitor").expect(7);
    node.call("stop").expect(0);
    assert_eq!(node.routes(), before);
}

#[test]
fn a_stop_without_a_record_gives_what_dhcp_would() {
    let node = Node::new("forgotten", "172.31.16.130/32");
    let before = node.routes();
    node.call("start").expect(0);
    std::fs::remove_file(format!("/run/portsip-ha/awsipsrcaddr-{}.json", node.0)).unwrap();
    node.call("stop").expect(0);
    assert_eq!(node.routes(), before);
}

#[test]
fn without_the_address_or_a_route_a_start_says_what_is_missing() {
    let node = Node::new("missing", "172.31.16.130/32");
    node.ip("route delete default");
    assert!(
        node.call("start")
            .expect(1)
            .reason()
            .contains("no default route")
    );
    node.ip("address delete 172.31.16.130/32 dev ens5");
    assert!(
        node.call("start")
            .expect(1)
            .reason()
            .contains("has to start first")
    );
    node.call("stop").expect(0);
}
