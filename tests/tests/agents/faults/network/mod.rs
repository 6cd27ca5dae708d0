//! Faults of the node's network, and what awsipsrcaddr makes of them; each in a network namespace of its own.

mod node;

use std::time::{Duration, Instant};

use super::table::Table;
use node::{DHCP, Node, finish};

#[test]
fn network() {
    let mut table = Table::of("network");
    let table = &mut table;
    prefixes(table);
    dhcp(table);
    followed(table);
    several_routes(table);
    shared_route(table);
    removed(table);
    no_route(table);
    overruled(table);
    no_address(table);
    address_gone(table);
    link(table);
    renamed(table);
    edited(table);
    table.hold();
}

const NOTHING: &str =
    "there is no route of this agent (protocol 145) with the source 172.31.16.130";
const NO_ADDRESS: &str = "no interface of this node has 172.31.16.130";
const NO_ROUTE: &str = "ens5 has no default route";

/// What every other fault is measured against, for addresses of any prefix length.
fn prefixes(table: &mut Table) {
    for prefix in [32, 20, 28, 31] {
        let node = Node::without_address();
        node.ip(&format!("address add 172.31.16.130/{prefix} dev ens5"));
        let before = node.others();
        let fault = format!("none, the address has the prefix length {prefix}");
        let answers = [
            ("probe", 7, NOTHING),
            ("start", 0, ""),
            ("probe", 0, ""),
            ("monitor", 0, ""),
        ];
        node.rows(table, &fault, &answers);
        for outside in ["52.0.0.1", "203.0.113.1"] {
            node.sends_from("172.31.16.130", outside);
        }
        for inside in ["172.31.17.7", "169.254.169.254"] {
            node.sends_from("172.31.16.133", inside);
        }
        assert_eq!(node.others(), before);
        let answers = [
            ("start", 0, ""),
            ("validate-all 10", 0, ""),
            ("stop", 0, ""),
            ("stop", 0, ""),
        ];
        node.rows(table, &fault, &answers);
        assert_eq!(node.ours(), "");
        assert_eq!(node.others(), before);
    }
}

fn dhcp(table: &mut Table) {
    let append = DHCP.replace("replace", "append").replace(" mtu 9001", "");
    for (fault, renewal) in [
        ("systemd-networkd appends its route at a renewal", &*append),
        ("a DHCP client replaces its route", DHCP),
        (
            "dhclient adds a route of metric 0",
            "route add default via 172.31.16.1 dev ens5 mtu 9001",
        ),
    ] {
        let node = Node::new();
        node.call("start").expect(0);
        node.ip(renewal);
        let (ours, others) = (node.ours(), node.others());
        node.rows(table, fault, &[("monitor", 0, ""), ("probe", 0, "")]);
        node.sends_from("172.31.16.130", "52.0.0.1");
        assert_eq!(node.ours(), ours);
        node.rows(table, fault, &[("stop", 0, "")]);
        assert_eq!(node.others(), others);
    }
}

fn followed(table: &mut Table) {
    let node = Node::new();
    node.call("start").expect(0);
    node.ip("route replace default via 172.31.16.9 dev ens5 proto dhcp metric 100 mtu 1500");
    let before = node.others();
    let fault = "gateway and MTU of the default route have changed";
    node.rows(table, fault, &[("probe", 0, ""), ("monitor", 0, "")]);
    let ours = node.ours();
    assert!(
        ours.lines()
            .all(|route| route.contains("via 172.31.16.9 ") && route.contains("mtu 1500")),
        "{ours}"
    );
    node.rows(table, fault, &[("stop", 0, "")]);
    assert_eq!(node.others(), before);
}

fn several_routes(table: &mut Table) {
    let node = Node::new();
    node.ip("route add default via 172.31.16.2 dev ens5 metric 200");
    node.add_interface("ens6", "10.0.0.7/24");
    node.ip("route add default via 10.0.0.1 dev ens6 metric 50");
    let before = node.others();
    let fault = "several default routes, the one in use by another interface";
    node.rows(table, fault, &[("start", 0, ""), ("monitor", 0, "")]);
    let ours = node.ours();
    assert!(
        ours.lines()
            .all(|route| route.contains("via 172.31.16.1 dev ens5")),
        "{ours}"
    );
    node.sends_from("172.31.16.130", "52.0.0.1");
    node.rows(table, fault, &[("stop", 0, "")]);
    assert_eq!(node.others(), before);
}

fn shared_route(table: &mut Table) {
    let node = Node::new();
    node.add_interface("ens6", "10.0.0.7/24");
    node.ip("route delete default");
    node.ip("route add default metric 100 nexthop via 172.31.16.1 dev ens5 weight 3 nexthop via 10.0.0.1 dev ens6");
    let before = node.others();
    let answers = [("start", 0, ""), ("monitor", 0, ""), ("stop", 0, "")];
    node.rows(
        table,
        "one default route by two interfaces (ECMP)",
        &answers,
    );
    assert_eq!(node.others(), before);
}

fn removed(table: &mut Table) {
    let node = Node::new();
    node.call("start").expect(0);
    let ours = node.ours();
    node.ip("route flush proto 145");
    let fault = "somebody has removed the agent's routes (a restart of systemd-networkd)";
    node.rows(table, fault, &[("probe", 7, NOTHING), ("monitor", 0, "")]);
    assert_eq!(node.ours(), ours);
    node.ip("route flush 128.0.0.0/1");
    let answers = [
        (
            "probe",
            190,
            "packets to 203.0.113.1 leave from 172.31.16.133, not from 172.31.16.130",
        ),
        ("monitor", 0, ""),
    ];
    node.rows(table, "somebody has removed one of them", &answers);
    assert_eq!(node.ours(), ours);
}

fn no_route(table: &mut Table) {
    let node = Node::new();
    let before = node.others();
    node.call("start").expect(0);
    let ours = node.ours();
    node.ip("route delete default");
    let fault = "the default route has gone, the agent's routes are there";
    node.rows(
        table,
        fault,
        &[("probe", 0, ""), ("monitor", 0, ""), ("start", 0, "")],
    );
    assert_eq!(node.ours(), ours);
    node.rows(table, fault, &[("stop", 0, "")]);
    let answers = [
        ("probe", 7, NOTHING),
        ("start", 1, NO_ROUTE),
        ("monitor", 190, NO_ROUTE),
        ("stop", 0, ""),
        ("validate-all 10", 0, ""),
    ];
    node.rows(table, "there is no default route", &answers);
    assert_eq!(node.ours(), "");

    for action in ["start", "monitor"] {
        if action == "monitor" {
            // It makes nothing where no start has been.
            node.call("start").expect(1);
        }
        let began = Instant::now();
        let child = node.spawn(action);
        // Long enough to have looked once, less than what it waits.
        std::thread::sleep(Duration::from_millis(700));
        node.ip(DHCP);
        let answer = finish(child, began).expect(0);
        let fault = format!("the default route comes back during a {action}");
        table.row(&fault, "awsipsrcaddr", action, &answer, "");
        assert!(began.elapsed() >= Duration::from_millis(700));
        assert_eq!(node.ours(), ours);
        node.call("stop").expect(0);
        assert_eq!(node.others(), before);
        node.ip("route delete default");
    }
}

fn overruled(table: &mut Table) {
    let node = Node::new();
    node.add_interface("tun0", "10.8.0.2/24");
    node.call("start").expect(0);
    node.ip("route add 0.0.0.0/1 via 10.8.0.1 dev tun0");
    node.ip("route add 128.0.0.0/1 via 10.8.0.1 dev tun0");
    let before = node.others();
    let seen = "packets to 52.0.0.1 leave from 10.8.0.2, not from 172.31.16.130";
    let answers = [
        ("monitor", 190, seen),
        ("probe", 190, seen),
        ("start", 1, seen),
        ("stop", 0, ""),
    ];
    node.rows(
        table,
        "a VPN has routes that win over the agent's",
        &answers,
    );
    assert_eq!(node.others(), before);
}

fn no_address(table: &mut Table) {
    let node = Node::without_address();
    let before = node.others();
    let answers = [
        ("probe", 7, NOTHING),
        (
            "start",
            1,
            "no interface of this node has 172.31.16.130: the resource that puts it there has to start first",
        ),
        ("stop", 0, ""),
        ("validate-all 10", 0, ""),
    ];
    node.rows(table, "the virtual address is not there yet", &answers);
    assert_eq!(node.ours(), "");
    assert_eq!(node.others(), before);
}

/// With an address the kernel deletes the routes whose source it is.
fn address_gone(table: &mut Table) {
    let node = Node::new();
    let before = node.others();
    let start_and_lose = || {
        node.call("start").expect(0);
        node.ip("address delete 172.31.16.130/32 dev ens5");
        node.sends_from("172.31.16.133", "52.0.0.1");
        assert_eq!(node.others(), before);
    };
    start_and_lose();
    let answers = [
        ("monitor", 190, NO_ADDRESS),
        ("probe", 7, NOTHING),
        ("start", 1, "has to start first"),
        ("stop", 0, ""),
    ];
    node.rows(table, "the virtual address was removed", &answers);
    assert_eq!(node.ours(), "");

    let fault = "the virtual address was removed, and is back";
    let back = || node.ip("address add 172.31.16.130/32 dev ens5");
    back();
    start_and_lose();
    back();
    node.rows(table, fault, &[("probe", 7, NOTHING), ("monitor", 0, "")]);
    node.sends_from("172.31.16.130", "52.0.0.1");
    node.ip("address delete 172.31.16.130/32 dev ens5");
    back();
    node.rows(table, fault, &[("stop", 0, "")]);
    assert_eq!(node.ours(), "");
    assert_eq!(node.others(), before);
}

fn link(table: &mut Table) {
    let node = Node::new();
    node.call("start").expect(0);
    node.ip("link set ens5-peer down");
    let answers = [
        ("monitor", 0, ""),
        ("start", 0, ""),
        ("stop", 0, ""),
        ("start", 0, ""),
    ];
    node.rows(table, "the link has no carrier", &answers);
    node.ip("link set ens5-peer up");

    node.ip("link set ens5 down");
    let answers = [
        ("monitor", 190, NO_ROUTE),
        ("start", 1, NO_ROUTE),
        ("stop", 0, ""),
    ];
    node.rows(table, "the link is down", &answers);
    node.ip("link set ens5 up");
    node.ip(DHCP);
    let fault = "the link was down, and the default route is back";
    node.rows(
        table,
        fault,
        &[("start", 0, ""), ("monitor", 0, ""), ("stop", 0, "")],
    );
    node.call("start").expect(0);
    node.ip("link delete ens5");
    let answers = [
        ("monitor", 190, NO_ADDRESS),
        ("stop", 0, ""),
        ("stop", 0, ""),
    ];
    node.rows(table, "the interface has vanished", &answers);
}

fn renamed(table: &mut Table) {
    let rename = |node: &Node| {
        node.ip("link set ens5 down");
        node.ip("link set ens5 name enp0s5");
        node.ip("link set enp0s5 up");
        node.ip(&DHCP.replace("ens5", "enp0s5"));
    };
    let node = Node::new();
    node.call("start").expect(0);
    rename(&node);
    let answers = [
        ("monitor", 0, ""),
        ("start", 0, ""),
        ("stop", 0, ""),
        ("validate-all 10", 0, ""),
    ];
    node.rows(table, "the interface was renamed", &answers);

    let node = Node::new().of_interface("ens5");
    node.call("start").expect(0);
    rename(&node);
    let missing = "find the network interface ens5: ENODEV";
    let answers = [
        ("monitor", 190, missing),
        ("start", 5, missing),
        ("stop", 0, ""),
        ("probe", 7, NOTHING),
        ("validate-all 10", 5, missing),
    ];
    node.rows(
        table,
        "the interface that `interface` names was renamed",
        &answers,
    );
    assert_eq!(node.ours(), "");
}

fn edited(table: &mut Table) {
    let node = Node::new();
    node.ip(&DHCP.replace("172.31.16.133", "172.31.16.130"));
    let answers = [("probe", 7, NOTHING), ("monitor", 0, ""), ("stop", 0, "")];
    node.rows(
        table,
        "the vendor's agent has written the address into the default route",
        &answers,
    );
    node.ip("address delete 172.31.16.130/32 dev ens5");
    node.sends_from("172.31.16.133", "52.0.0.1");
}

/// SIGKILL at any moment; then the same action again, and all is as if it had not happened.
#[test]
fn an_action_of_awsipsrcaddr_that_was_killed_and_is_done_again_converges() {
    let node = Node::new();
    node.ip("route add default via 172.31.16.2 dev ens5 metric 200");
    node.ip("route append default via 172.31.16.3 dev ens5 metric 200");
    let before = node.others();
    let mut killed = 0;
    for number in 0..40_u64 {
        for action in ["start", "stop"] {
            let mut child = node.spawn(action);
            // Spread over what an action takes here, a prime apart so that the moments differ.
            std::thread::sleep(Duration::from_micros(number * 7919 % 25_000));
            child.kill().unwrap();
            killed += usize::from(!child.wait().unwrap().success());
            node.call(action).expect(0);
            if action == "start" {
                node.call("monitor").expect(0);
            } else {
                assert_eq!(node.ours(), "", "killed {killed} times");
            }
            assert_eq!(node.others(), before, "killed {killed} times");
        }
    }
    eprintln!("{killed} of 80 actions were killed before their end");
    assert!(killed > 10, "only {killed} of 80 were killed in time");
}
