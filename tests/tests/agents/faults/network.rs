//! Faults of the node's network, and what awsipsrcaddr makes of them; each in a network namespace of its own.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::table::Table;
use crate::node::{Answer, TIMEOUT, binaries};

const DHCP: &str = "route replace default via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.133 metric 100 mtu 9001";

/// A node with its primary address, a route by DHCP and, by default, the virtual address.
struct Node {
    name: String,
    interface: Option<&'static str>,
}

impl Node {
    fn new() -> Self {
        let node = Self::without_address();
        node.ip("address add 172.31.16.130/32 dev ens5");
        node
    }

    fn without_address() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let node = Self {
            name: format!("faults-{}-{number}", std::process::id()),
            interface: None,
        };
        ip(&format!("netns add {}", node.name));
        node.ip("link set lo up");
        node.add_interface("ens5", "172.31.16.133/20");
        node.ip(DHCP);
        node
    }

    fn add_interface(&self, name: &str, address: &str) {
        self.ip(&format!("link add {name} type veth peer name {name}-peer"));
        self.ip(&format!("link set {name} up"));
        self.ip(&format!("link set {name}-peer up"));
        self.ip(&format!("address add {address} dev {name}"));
    }

    fn of_interface(mut self, name: &'static str) -> Self {
        self.interface = Some(name);
        self
    }

    fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.name))
    }

    fn routes(&self) -> String {
        self.ip("-4 route show default")
    }

    fn spawn(&self, action: &str) -> Child {
        let (action, level) = action.split_once(' ').unwrap_or((action, "0"));
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name])
            .arg(binaries().join("awsipsrcaddr"))
            .arg(action)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("OCF_CHECK_LEVEL", level)
            .env("OCF_RESOURCE_INSTANCE", &self.name)
            .env(
                "OCF_RESKEY_CRM_meta_timeout",
                TIMEOUT.as_millis().to_string(),
            )
            .env("OCF_RESKEY_ipaddress", "172.31.16.130");
        if let Some(interface) = self.interface {
            command.env("OCF_RESKEY_interface", interface);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn call(&self, action: &str) -> Answer {
        let began = Instant::now();
        finish(self.spawn(action), began)
    }

    /// One row for each of `answers`: the action, its exit code, words of the reason.
    #[track_caller]
    fn rows(&self, table: &mut Table, fault: &str, answers: &[(&str, i32, &str)]) {
        for (action, code, meaning) in answers {
            let answer = self.call(action).expect(*code);
            table.row(fault, "awsipsrcaddr", action, &answer, meaning);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .status();
        let _ = std::fs::remove_file(format!("/run/portsip-ha/awsipsrcaddr-{}.json", self.name));
    }
}

fn finish(child: Child, began: Instant) -> Answer {
    let output = child.wait_with_output().unwrap();
    Answer::of(output, began, TIMEOUT)
}

fn ip(arguments: &str) -> String {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    lab::run::run("ip", &words).unwrap_or_else(|e| panic!("these tests need root: {e}"))
}

#[test]
fn network() {
    let mut table = Table::of("network");
    let table = &mut table;
    prefixes(table);
    dhcp(table);
    two_routes(table);
    shared_route(table);
    no_route(table);
    no_address(table);
    address_gone(table);
    link(table);
    renamed(table);
    table.hold();
}

const NO_SOURCE: &str = "no default route of ens5 has the source 172.31.16.130";

/// What every other fault is measured against, for addresses of any prefix length.
fn prefixes(table: &mut Table) {
    for prefix in [32, 20, 28, 31] {
        let node = Node::without_address();
        node.ip(&format!("address add 172.31.16.130/{prefix} dev ens5"));
        let before = node.routes();
        let fault = format!("none, the address has the prefix length {prefix}");
        let answers = [
            ("monitor", 7, NO_SOURCE),
            ("start", 0, ""),
            ("monitor", 0, ""),
        ];
        node.rows(table, &fault, &answers);
        assert_eq!(
            node.routes(),
            before.replace("src 172.31.16.133", "src 172.31.16.130")
        );
        let answers = [
            ("start", 0, ""),
            ("validate-all 10", 0, ""),
            ("stop", 0, ""),
            ("stop", 0, ""),
        ];
        node.rows(table, &fault, &answers);
        assert_eq!(node.routes(), before);
    }
}

fn dhcp(table: &mut Table) {
    let node = Node::new();
    let before = node.routes();
    node.call("start").expect(0);
    node.ip(DHCP);
    let fault = "a DHCP client has put its route back";
    node.rows(
        table,
        fault,
        &[
            ("monitor", 7, NO_SOURCE),
            ("start", 0, ""),
            ("monitor", 0, ""),
        ],
    );
    node.ip(DHCP);
    node.rows(table, fault, &[("stop", 0, "")]);
    assert_eq!(node.routes(), before);
}

fn two_routes(table: &mut Table) {
    let node = Node::new();
    node.ip("route add default via 172.31.16.2 dev ens5 metric 200");
    let before = node.routes();
    node.call("start").expect(0);
    node.rows(table, "two default routes", &[("monitor", 0, "")]);
    node.ip(DHCP);
    let meaning =
        "these do not have the source 172.31.16.130: default route via 172.31.16.1 metric 100";
    let answers = [
        ("monitor", 1, meaning),
        ("start", 0, ""),
        ("monitor", 0, ""),
        ("stop", 0, ""),
    ];
    node.rows(
        table,
        "two default routes, of which DHCP has put one back",
        &answers,
    );
    assert_eq!(node.routes(), before);
}

fn shared_route(table: &mut Table) {
    let node = Node::new();
    node.add_interface("ens6", "10.0.0.7/24");
    node.ip("route delete default");
    node.ip("route add default metric 100 nexthop via 172.31.16.1 dev ens5 weight 3 nexthop via 10.0.0.1 dev ens6");
    let before = node.routes();
    let answers = [("start", 0, ""), ("monitor", 0, ""), ("stop", 0, "")];
    node.rows(
        table,
        "one default route by two interfaces (ECMP)",
        &answers,
    );
    assert_eq!(node.routes(), before);
}

fn no_route(table: &mut Table) {
    let node = Node::new();
    let before = node.routes();
    node.ip("route delete default");
    let fault = "there is no default route";
    let answers = [
        ("monitor", 7, NO_SOURCE),
        (
            "start",
            1,
            "ens5 has no default route that keeps the source 172.31.16.130",
        ),
        ("stop", 0, ""),
        ("validate-all 10", 0, ""),
    ];
    node.rows(table, fault, &answers);
    assert_eq!(node.routes(), "", "nothing was there to be put back");
    let began = Instant::now();
    let start = node.spawn("start");
    // It has seen that there is none: before it waits, it notes what it found.
    let noted = format!("/run/portsip-ha/awsipsrcaddr-{}.json", node.name);
    while !std::path::Path::new(&noted).exists() {
        assert!(
            began.elapsed() < TIMEOUT,
            "the start does not look for routes"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    node.ip(DHCP);
    let answer = finish(start, began).expect(0);
    let fault = "the default route comes back during the start";
    table.row(fault, "awsipsrcaddr", "start", &answer, "");
    node.rows(table, fault, &[("monitor", 0, ""), ("stop", 0, "")]);
    assert_eq!(node.routes(), before);
}

fn no_address(table: &mut Table) {
    let node = Node::without_address();
    let before = node.routes();
    let missing = "no interface of this node has 172.31.16.130";
    let answers = [
        ("monitor", 7, missing),
        (
            "start",
            1,
            "no interface of this node has 172.31.16.130: the resource that puts it there has to start first",
        ),
        ("stop", 0, ""),
        ("validate-all 10", 0, ""),
    ];
    node.rows(table, "the virtual address is not there yet", &answers);
    assert_eq!(node.routes(), before);
}

/// With an address the kernel deletes the routes whose source it is.
fn address_gone(table: &mut Table) {
    let node = Node::new();
    let before = node.routes();
    let start_and_lose = || {
        node.call("start").expect(0);
        node.ip("address delete 172.31.16.130/32 dev ens5");
        assert_eq!(node.routes(), "", "the kernel keeps such routes now");
    };
    start_and_lose();
    let answers = [
        ("monitor", 7, "no interface of this node has 172.31.16.130"),
        ("start", 1, "has to start first"),
        ("stop", 0, ""),
    ];
    node.rows(table, "the virtual address was removed", &answers);
    assert_eq!(node.routes(), before);

    let fault = "the virtual address was removed, and is back";
    let back = || node.ip("address add 172.31.16.130/32 dev ens5");
    back();
    start_and_lose();
    back();
    node.rows(
        table,
        fault,
        &[
            ("monitor", 7, NO_SOURCE),
            ("start", 0, ""),
            ("monitor", 0, ""),
        ],
    );
    node.ip("address delete 172.31.16.130/32 dev ens5");
    back();
    node.rows(table, fault, &[("stop", 0, "")]);
    assert_eq!(node.routes(), before);
}

fn link(table: &mut Table) {
    let node = Node::new();
    let before = node.routes();
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
        ("monitor", 7, NO_SOURCE),
        (
            "start",
            1,
            "ens5 has no default route that keeps the source 172.31.16.130",
        ),
        ("stop", 0, ""),
    ];
    node.rows(table, "the link is down", &answers);
    node.ip("link set ens5 up");
    let fault = "the link was down, and nobody put the route back";
    node.rows(
        table,
        fault,
        &[("start", 0, ""), ("monitor", 0, ""), ("stop", 0, "")],
    );
    assert_eq!(node.routes(), before);
}

fn renamed(table: &mut Table) {
    let rename = |node: &Node| {
        node.ip("link set ens5 down");
        node.ip("link set ens5 name enp0s5");
        node.ip("link set enp0s5 up");
        node.ip(&format!(
            "{} src 172.31.16.130",
            DHCP.replace("ens5", "enp0s5")
                .replace(" src 172.31.16.133", "")
        ));
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
    assert!(
        node.routes().contains("src 172.31.16.133"),
        "{}",
        node.routes()
    );

    let node = Node::new().of_interface("ens5");
    node.call("start").expect(0);
    rename(&node);
    let missing = "find the network interface ens5: ENODEV";
    let answers = [
        (
            "monitor",
            1,
            "find the network interface ens5: ENODEV ... has the source 172.31.16.130",
        ),
        ("start", 5, missing),
        ("stop", 0, ""),
        ("monitor", 7, missing),
        ("validate-all 10", 5, missing),
    ];
    node.rows(
        table,
        "the interface that `interface` names was renamed",
        &answers,
    );
    assert!(
        node.routes().contains("src 172.31.16.133"),
        "{}",
        node.routes()
    );
}

/// SIGKILL at any moment; then the same action again, and all is as if it had not happened.
#[test]
fn an_action_of_awsipsrcaddr_that_was_killed_and_is_done_again_converges() {
    let node = Node::new();
    node.ip("route add default via 172.31.16.2 dev ens5 metric 200");
    node.ip("route append default via 172.31.16.3 dev ens5 metric 200");
    let before = node.routes();
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
                assert_eq!(node.routes(), before, "killed {killed} times");
            }
        }
    }
    eprintln!("{killed} of 80 actions were killed before their end");
    assert!(killed > 10, "only {killed} of 80 were killed in time");
}
