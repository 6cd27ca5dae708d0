//! The virtual address and its routes on a node whose network belongs to a DHCP client: renewals, leases
//! that change, and all that an operator or an upgrade does to systemd-networkd.
//!
//! Needs root, and the package of `make deb` in PORTSIP_HA_DEB.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::demo::{addresses, by_hand, cluster};
use lab::dhcp::Lease;
use lab::lab::{Lab, Options, Turn, turn};
use lab::progress::Stderr;
use lab::site::{CLIENT, INSTANCES, Instance, OTHER_ROUTER, ROUTER, VIP};

const N1: &Instance = &INSTANCES[0];
/// Longer than a client of a lease of [`SHORT_LEASE`] takes to renew it.
const RENEWED_WITHIN: Duration = Duration::from_secs(30);
/// Seconds.
const SHORT_LEASE: u32 = 10;

/// A node with the virtual address, as Pacemaker's resources make it.
struct Node {
    lab: Lab,
    _turn: Turn,
}

impl Node {
    fn up() -> Self {
        let deb = PathBuf::from(std::env::var_os("PORTSIP_HA_DEB").expect(
            "PORTSIP_HA_DEB does not name a package: run `make test`, or `make deb` and set it",
        ));
        let turn = turn().unwrap();
        let options = Options {
            fast: true,
            ..Options::default()
        };
        let lab = Lab::up(&options, &Stderr::new()).unwrap();
        let node = Self { lab, _turn: turn };
        by_hand::prepare(&node.lab, N1, &deb).unwrap();
        for agent in [PRIVIP, ADDRESS, SOURCE] {
            node.agent(agent, "start", 0);
        }
        node
    }

    fn sh(&self, script: &str) -> String {
        cluster::run(&self.lab, N1, script, script, cluster::MINUTES).unwrap()
    }

    /// An action of an agent, as Pacemaker calls it.
    fn agent(&self, (agent, parameters): (&str, &str), action: &str, expected: i32) {
        let interval = if action == "monitor" { 10_000 } else { 0 };
        let script = format!(
            "export OCF_ROOT=/usr/lib/ocf OCF_RA_VERSION_MAJOR=1 OCF_RA_VERSION_MINOR=1 \
                 OCF_RESOURCE_INSTANCE=r OCF_RESKEY_CRM_meta_timeout=60000 \
                 OCF_RESKEY_CRM_meta_interval={interval} {parameters}
             code=0; $OCF_ROOT/resource.d/{agent} {action} 2>&1 || code=$?; echo \"ended with $code\""
        );
        let said = self.sh(&script);
        assert!(
            // Of a start, send_arp goes on in the background and may have the last word.
            said.lines()
                .any(|line| line == format!("ended with {expected}")),
            "{agent} {action}: {said}\n{}",
            self.sh("ip address; ip route show table all; ip rule")
        );
    }

    /// Everything that the PBX's network needs, after `what`.
    fn is_whole_after(&self, what: &str) {
        println!("{what}");
        self.agent(ADDRESS, "monitor", 0);
        self.agent(SOURCE, "monitor", 0);
        let faults = addresses::faults(&self.lab, N1).unwrap();
        assert!(
            faults.is_empty(),
            "{what}: {faults:#?}\n{}",
            self.sh("ip address; ip route show table all; ip rule")
        );
        self.sh("getent ahostsv4 ec2.us-west-1.amazonaws.com");
    }

    fn until(&self, what: &str, script: &str) {
        let deadline = Instant::now() + RENEWED_WITHIN;
        while self.sh(&format!(
            "{{ {script}; }} >/dev/null && echo yes || echo no"
        )) != "yes\n"
        {
            assert!(
                Instant::now() < deadline,
                "not within {RENEWED_WITHIN:?}: {what}\n{}",
                self.sh("ip address; ip route; networkctl status ens5 --no-pager --lines 30")
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = Lab::down() {
            eprintln!("lab down: {error}");
        }
    }
}

const PRIVIP: (&str, &str) = (
    "portsip/awsvip",
    "OCF_RESKEY_secondary_private_ip=172.31.16.130",
);
const ADDRESS: (&str, &str) = (
    "heartbeat/IPaddr2",
    "OCF_RESKEY_ip=172.31.16.130 OCF_RESKEY_cidr_netmask=32",
);
const SOURCE: (&str, &str) = ("portsip/awsipsrcaddr", "OCF_RESKEY_ipaddress=172.31.16.130");

#[test]
fn the_virtual_address_and_its_routes_survive_the_dhcp_client() {
    let node = Node::up();
    node.is_whole_after("start");

    let mut lease = Lease {
        seconds: SHORT_LEASE,
        ..Lease::default()
    };
    node.lab.set_lease(lease).unwrap();
    node.sh("networkctl renew ens5");
    node.until(
        "a short lease",
        "ip -4 -oneline address show dev ens5 | grep -E 'valid_lft ([0-9]|10)sec'",
    );
    node.is_whole_after("a lease with another lifetime");
    std::thread::sleep(Duration::from_secs(u64::from(SHORT_LEASE) * 2));
    node.is_whole_after("renewals for two lifetimes");

    lease.router = OTHER_ROUTER;
    node.lab.set_lease(lease).unwrap();
    node.until(
        "the other gateway",
        &format!("ip route show default | grep -F 'via {OTHER_ROUTER} '"),
    );
    node.is_whole_after("another gateway");
    // With ManageForeignRoutes=no, systemd 257 leaves the route by the gateway before where it is (252
    // does not), until the interface is configured again.
    if node.sh("ip route show default").lines().count() > 1 {
        let systemd = node.sh("systemctl --version | sed -n '1s/systemd \\([0-9]*\\).*/\\1/p'");
        assert_ne!(systemd.trim(), "252", "two default routes");
        node.sh("networkctl reconfigure ens5");
        node.until(
            "one gateway",
            "[ $(ip route show default proto dhcp | wc -l) = 1 ]",
        );
        node.is_whole_after("another gateway, and the interface configured again");
    }
    let route = node.sh(&format!("ip route get {CLIENT}"));
    assert!(
        route.contains(&format!("via {OTHER_ROUTER} ")),
        "another gateway: {route}\n{}",
        node.sh("ip route show table all; ip rule; networkctl status ens5 --no-pager --lines 30")
    );

    // systemd-networkd takes the MTU from a new lease, not from one that it renews.
    lease.mtu = 1500;
    node.lab.set_lease(lease).unwrap();
    node.sh("networkctl reconfigure ens5");
    node.until(
        "the other MTU",
        "ip link show dev ens5 | grep -F 'mtu 1500 '",
    );
    node.is_whole_after("another MTU");

    node.lab
        .set_lease(Lease {
            router: ROUTER,
            ..Lease::default()
        })
        .unwrap();
    for command in [
        "networkctl reload",
        "networkctl renew ens5",
        "networkctl reconfigure ens5",
        "systemctl restart systemd-networkd",
        // What `netplan apply` does here; the rest of it asks udev, which a container has not.
        "netplan generate && systemctl daemon-reload && networkctl reload",
        "systemctl restart systemd-resolved",
        "systemctl stop systemd-networkd.socket systemd-networkd; systemctl start systemd-networkd",
    ] {
        node.sh(command);
        node.until(
            &format!("an address and a route after {command}"),
            &format!(
                "networkctl status ens5 | grep -F routable && ip route show default | grep -F 'via {ROUTER} '"
            ),
        );
        node.is_whole_after(command);
    }

    for agent in [SOURCE, ADDRESS, PRIVIP] {
        node.agent(agent, "stop", 0);
    }
    let route = node.sh(&format!("ip route get {CLIENT}"));
    assert!(
        route.contains(&format!(" src {} ", N1.private_ip)),
        "after the stop: {route}"
    );
    let left = node.sh("ip route show table all; ip rule");
    assert!(!left.contains(&VIP.to_string()), "after the stop: {left}");
}
