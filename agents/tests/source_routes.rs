//! Source addresses of default routes, against the kernel, each test in a network namespace
//! of its own. What came of it is read with iproute2. Needs root.
#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};
use portsip_ha_agents::netlink::{
    DefaultRoute, NetlinkError, add, default_routes, interface_of, set_source,
};

const VIP: Ipv4Addr = Ipv4Addr::new(172, 31, 16, 130);
const PRIMARY: Ipv4Addr = Ipv4Addr::new(172, 31, 16, 133);

/// A namespace with the interface ens5 that has the primary address, removed when dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("source-routes-{}-{number}", std::process::id());
        ip(&format!("netns add {name}"));
        let namespace = Self(name);
        namespace.ip("link set lo up");
        namespace.add_interface("ens5", "172.31.16.133/20");
        namespace
    }

    fn add_interface(&self, name: &str, address: &str) {
        self.ip(&format!("link add {name} type veth peer name {name}-peer"));
        self.ip(&format!("link set {name} up"));
        self.ip(&format!("link set {name}-peer up"));
        self.ip(&format!("address add {address} dev {name}"));
    }

    fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.0))
    }

    /// The default routes of the main table as `ip route` writes them.
    fn routes(&self) -> Vec<String> {
        self.ip("-4 route show default")
            .lines()
            .map(|line| line.trim().to_owned())
            .collect()
    }

    /// Runs what an agent would do, on a thread inside the namespace.
    fn inside<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(format!("/run/netns/{}", self.0)).unwrap();
        thread::scope(|scope| {
            scope
                .spawn(move || {
                    setns(file, CloneFlags::CLONE_NEWNET).unwrap();
                    tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap()
                        .block_on(work())
                })
                .join()
                .unwrap()
        })
    }

    fn defaults(&self) -> Vec<DefaultRoute> {
        self.inside(async || {
            let interface = interface_of(PRIMARY).await.unwrap().unwrap();
            default_routes(interface.index).await.unwrap()
        })
    }

    fn set(&self, route: &DefaultRoute, source: Option<Ipv4Addr>) -> Result<(), NetlinkError> {
        self.inside(async || set_source(route, source).await)
    }

    /// Every default route gets the source, like a start of the agent.
    fn set_all(&self, source: Option<Ipv4Addr>) {
        for route in self.defaults() {
            self.set(&route, source).unwrap();
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.0])
            .status();
    }
}

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
fn the_interface_is_found_by_an_address_of_any_prefix_length() {
    let namespace = Namespace::new();
    for vip in ["172.31.16.130/20", "172.31.16.130/32"] {
        namespace.ip(&format!("address add {vip} dev ens5 label ens5:vip"));
        let interface = namespace.inside(async || interface_of(VIP).await.unwrap());
        let interface = interface.unwrap();
        assert_eq!(interface.name, "ens5");
        assert_eq!(interface.primary, Some(PRIMARY), "with {vip}");
        namespace.ip(&format!("address delete {vip} dev ens5"));
    }
    let gone = namespace.inside(async || interface_of(VIP).await.unwrap());
    assert_eq!(gone, None);
}

#[test]
fn an_interface_with_only_the_address_has_no_primary() {
    let namespace = Namespace::new();
    namespace.add_interface("ens6", "10.0.0.7/24");
    let interface = namespace.inside(async || interface_of([10, 0, 0, 7].into()).await.unwrap());
    assert_eq!(interface.unwrap().primary, None);
}

#[test]
fn a_dhcp_route_gets_the_source_and_keeps_everything_else() {
    let namespace = Namespace::new();
    namespace.ip(
        "route add default via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.133 metric 100 \
         mtu lock 9001 advmss 1400 initcwnd 20 rto_min 20ms quickack 1 congctl reno",
    );
    let before = namespace.routes();
    namespace.ip("address add 172.31.16.130/20 dev ens5");

    let route = namespace.defaults().remove(0);
    assert_eq!(route.gateway(), Some(Ipv4Addr::new(172, 31, 16, 1)));
    assert_eq!(route.source(), Some(PRIMARY));
    assert_eq!(route.metric(), 100);
    assert_eq!(route.mtu(), Some(9001));

    namespace.set_all(Some(VIP));
    let expected: Vec<String> = before
        .iter()
        .map(|route| route.replace("src 172.31.16.133", "src 172.31.16.130"))
        .collect();
    assert_eq!(namespace.routes(), expected);
    assert_eq!(namespace.defaults().remove(0).source(), Some(VIP));
    let chosen = namespace.ip("route get 8.8.8.8");
    assert!(chosen.contains("src 172.31.16.130"), "{chosen}");

    namespace.set_all(Some(PRIMARY));
    assert_eq!(namespace.routes(), before);
}

#[test]
fn a_route_without_source_is_restored_to_none() {
    let namespace = Namespace::new();
    namespace.ip("route add default via 172.31.16.1 dev ens5");
    namespace.ip("address add 172.31.16.130/32 dev ens5");
    let before = namespace.routes();
    namespace.set_all(Some(VIP));
    assert_eq!(
        namespace.routes(),
        ["default via 172.31.16.1 dev ens5 src 172.31.16.130"]
    );
    namespace.set_all(Some(VIP));
    assert_eq!(namespace.routes().len(), 1, "set twice, still one route");
    namespace.set_all(None);
    assert_eq!(namespace.routes(), before);
}

#[test]
fn two_default_routes_both_get_the_source_and_another_interface_does_not() {
    let namespace = Namespace::new();
    namespace.add_interface("ens6", "10.0.0.7/24");
    namespace.ip("address add 172.31.16.130/20 dev ens5");
    namespace.ip("route add default via 172.31.16.1 dev ens5 proto dhcp metric 100");
    namespace.ip("route add default via 172.31.16.2 dev ens5 proto static metric 200 mtu 1400");
    namespace.ip("route add default via 10.0.0.1 dev ens6 metric 150");
    namespace.ip("route add default via 172.31.16.3 dev ens5 metric 50 table 77");
    let before = namespace.routes();
    assert_eq!(namespace.defaults().len(), 2, "main table, ens5 only");
    namespace.set_all(Some(VIP));
    assert_eq!(
        namespace.routes(),
        [
            "default via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.130 metric 100",
            "default via 10.0.0.1 dev ens6 metric 150",
            "default via 172.31.16.2 dev ens5 proto static src 172.31.16.130 metric 200 mtu 1400",
        ]
    );
    namespace.set_all(None);
    assert_eq!(namespace.routes(), before);
}

/// With one metric for several, NLM_F_REPLACE alone would overwrite the first of them.
#[test]
fn of_routes_with_one_metric_only_the_one_meant_changes() {
    let namespace = Namespace::new();
    namespace.add_interface("ens6", "10.0.0.7/24");
    namespace.ip("address add 172.31.16.130/20 dev ens5");
    namespace.ip("route add default via 10.0.0.1 dev ens6 proto dhcp metric 100");
    namespace.ip("route append default via 172.31.16.1 dev ens5 proto dhcp metric 100");
    let before = namespace.routes();
    assert_eq!(before.len(), 2, "{before:?}");
    namespace.set_all(Some(VIP));
    assert_eq!(
        namespace.routes(),
        [
            "default via 10.0.0.1 dev ens6 proto dhcp metric 100",
            "default via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.130 metric 100",
        ]
    );
    namespace.set_all(None);
    assert_eq!(namespace.routes(), before);
}

#[test]
fn a_route_that_dhcp_put_beside_ours_is_taken_away() {
    for beside in ["prepend", "append"] {
        let namespace = Namespace::new();
        namespace.ip("address add 172.31.16.130/20 dev ens5");
        namespace.ip("route add default via 172.31.16.1 dev ens5 proto dhcp metric 100");
        namespace.set_all(Some(VIP));
        namespace.ip(&format!(
            "route {beside} default via 172.31.16.1 dev ens5 proto dhcp metric 100"
        ));
        assert_eq!(namespace.routes().len(), 2);
        namespace.set_all(Some(VIP));
        assert_eq!(
            namespace.routes(),
            ["default via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.130 metric 100"],
            "{beside}"
        );
    }
}

#[test]
fn a_renewed_route_is_seen_and_gets_the_source_again() {
    let namespace = Namespace::new();
    let renew =
        "route replace default via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.133 metric 100";
    namespace.ip(renew);
    namespace.ip("address add 172.31.16.130/20 dev ens5");
    namespace.set_all(Some(VIP));
    namespace.ip(renew);
    assert_eq!(namespace.defaults().remove(0).source(), Some(PRIMARY));
    namespace.set_all(Some(VIP));
    assert_eq!(namespace.defaults().len(), 1);
    assert_eq!(namespace.defaults().remove(0).source(), Some(VIP));
}

#[test]
fn shared_routes_and_nexthop_objects_keep_their_shape() {
    let namespace = Namespace::new();
    namespace.add_interface("ens6", "10.0.0.7/24");
    namespace.ip("address add 172.31.16.130/20 dev ens5");
    namespace.ip(
        "route add default metric 100 nexthop via 172.31.16.1 dev ens5 weight 3 \
         nexthop via 10.0.0.1 dev ens6 weight 1",
    );
    namespace.ip("nexthop add id 5 via 172.31.16.2 dev ens5");
    namespace.ip("route add default nhid 5 metric 200");
    // A gateway outside of the subnet needs the flag onlink, also when the route is replaced.
    namespace.ip("route add default via 192.0.2.1 dev ens5 onlink metric 300");
    let before = namespace.ip("route show default");
    namespace.set_all(Some(VIP));
    let with = namespace.ip("route show default");
    assert_eq!(with.matches(" src 172.31.16.130").count(), 3, "{with}");
    assert_eq!(with.replace(" src 172.31.16.130", ""), before);
    namespace.set_all(None);
    assert_eq!(namespace.ip("route show default"), before);
}

#[test]
fn a_link_without_carrier_is_no_obstacle() {
    let namespace = Namespace::new();
    namespace.ip("address add 172.31.16.130/20 dev ens5");
    namespace.ip("route add default via 172.31.16.1 dev ens5 metric 100");
    let route = namespace.defaults().remove(0);
    namespace.ip("link set ens5-peer down");
    let routes = namespace.routes();
    assert!(routes[0].contains("linkdown"), "{routes:?}");
    // Read before, written after: the state of the link is no part of the route.
    namespace.set(&route, Some(VIP)).unwrap();
    assert_eq!(namespace.defaults().remove(0).source(), Some(VIP));
}

#[test]
fn a_source_that_is_not_here_yet_is_said_so_and_nothing_changes() {
    let namespace = Namespace::new();
    namespace.ip("route add default via 172.31.16.1 dev ens5 proto dhcp metric 100 mtu 1400");
    let before = namespace.routes();
    let route = namespace.defaults().remove(0);
    let error = namespace.set(&route, Some(VIP)).unwrap_err();
    assert!(
        matches!(error, NetlinkError::NotOurAddress { address: VIP, .. }),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "can not set the source 172.31.16.130 on the default route via 172.31.16.1 metric 100: \
         172.31.16.130 is not an address of this host"
    );
    assert_eq!(namespace.routes(), before);
}

#[test]
fn a_route_that_has_gone_is_not_made_again() {
    let namespace = Namespace::new();
    namespace.ip("route add default via 172.31.16.1 dev ens5");
    namespace.ip("address add 172.31.16.130/20 dev ens5");
    let route = namespace.defaults().remove(0);
    namespace.ip("route delete default");
    let error = namespace.set(&route, Some(VIP)).unwrap_err();
    assert!(matches!(error, NetlinkError::Changed { .. }), "{error:?}");
    assert_eq!(namespace.routes(), [""; 0]);
}

/// With an address the kernel deletes the routes whose source it is.
#[test]
fn a_route_that_went_with_the_address_comes_back_from_what_was_kept() {
    let namespace = Namespace::new();
    namespace.ip("route add default via 172.31.16.1 dev ens5 proto dhcp metric 100 mtu 1400");
    namespace.ip("address add 172.31.16.130/32 dev ens5");
    let before = namespace.routes();
    let kept = namespace.defaults().remove(0).to_bytes();
    namespace.set_all(Some(VIP));
    namespace.ip("address delete 172.31.16.130/32 dev ens5");
    assert_eq!(namespace.routes(), [""; 0], "the kernel's doing");
    let route = DefaultRoute::from_bytes(&kept).unwrap();
    assert!(route.is_from_dhcp());
    namespace.inside(async || add(&route).await.unwrap());
    assert_eq!(namespace.routes(), before);
    namespace.inside(async || add(&route).await.unwrap());
    assert_eq!(namespace.routes(), before, "added twice, still one route");
}

/// `ip monitor` sees one replacement and no deletion: there is no moment without the route.
#[test]
fn the_route_is_never_missing() {
    let namespace = Namespace::new();
    namespace.ip("route add default via 172.31.16.1 dev ens5 proto dhcp metric 100");
    namespace.ip("address add 172.31.16.130/20 dev ens5");
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut monitor = Command::new("ip")
        .args(["-n", &namespace.0, "-4", "monitor", "route"])
        .stdout(log.reopen().unwrap())
        .spawn()
        .unwrap();
    // The monitor listens when it has seen a route that has nothing to do with the test.
    let seen = |what: &str| {
        (0..500).any(|_| {
            thread::sleep(std::time::Duration::from_millis(10));
            std::fs::read_to_string(log.path()).unwrap().contains(what)
        })
    };
    assert!((0..100).any(|number| {
        namespace.ip(&format!("route add 192.0.2.{number}/32 dev ens5"));
        std::fs::read_to_string(log.path())
            .unwrap()
            .contains("192.0.2.")
            || {
                thread::sleep(std::time::Duration::from_millis(20));
                false
            }
    }));
    namespace.set_all(Some(VIP));
    namespace.set_all(None);
    namespace.ip("route add 198.51.100.1/32 dev ens5");
    assert!(seen("198.51.100.1"));
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    let events = std::fs::read_to_string(log.path()).unwrap();
    let of_default: Vec<&str> = events
        .lines()
        .filter(|line| line.contains("default"))
        .collect();
    assert_eq!(of_default.len(), 2, "{events}");
    assert!(!events.contains("Deleted"), "{events}");
}
