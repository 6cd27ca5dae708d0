//! What we believe of the kernel's routes and do to them by netlink, each test in a network
//! namespace of its own. Needs root.
#![allow(clippy::unwrap_used)]

mod netns;

use std::net::Ipv4Addr;

use netns::{DHCP, Namespace};
use nix::errno::Errno;
use portsip_ha_agents::netlink::{Kernel, NetlinkError, Route, Write};

const VIP: Ipv4Addr = Ipv4Addr::new(172, 31, 16, 130);
const PROTOCOL: u8 = 145;

fn routes(namespace: &Namespace) -> Vec<Route> {
    namespace.inside(async || Kernel::open().unwrap().routes().await.unwrap())
}

fn default_route(namespace: &Namespace) -> Route {
    let all = routes(namespace);
    all.into_iter().find(Route::is_default).unwrap()
}

fn write(namespace: &Namespace, route: &Route, how: Write) -> Result<(), NetlinkError> {
    namespace.inside(async || Kernel::open().unwrap().write_route(route, how).await)
}

/// A route to half of the Internet like the namespace's default route.
fn half(namespace: &Namespace) -> Route {
    let model = default_route(namespace);
    let half = "128.0.0.0/1".parse().unwrap();
    model.like(&model.hops[0], half, VIP, PROTOCOL, 1000)
}

#[test]
fn addresses_of_any_prefix_length_and_which_of_them_are_secondary() {
    let namespace = Namespace::new();
    namespace.ip("address add 172.31.16.130/20 dev ens5 label ens5:vip");
    namespace.ip("address add 172.31.16.131/32 dev ens5");
    namespace.ip("address add 10.9.0.1 peer 10.9.0.2/32 dev ens5");
    let mut all = namespace.inside(async || Kernel::open().unwrap().addresses().await.unwrap());
    all.retain(|address| !address.ip().is_loopback());
    let seen: Vec<_> = all
        .iter()
        .map(|address| (address.net.to_string(), address.secondary))
        .collect();
    let expected = [
        ("172.31.16.133/20", false),
        ("172.31.16.131/32", false),
        ("10.9.0.1/32", false),
        ("172.31.16.130/20", true),
    ];
    assert_eq!(seen, expected.map(|(net, is)| (net.to_owned(), is)));
}

#[test]
fn a_route_like_another_has_all_of_it_but_destination_and_source() {
    let namespace = Namespace::new();
    namespace.ip(&format!(
        "{DHCP} mtu lock 9001 advmss 1400 initcwnd 20 rto_min 20ms quickack 1 congctl reno"
    ));
    namespace.ip("address add 172.31.16.130/32 dev ens5");
    let before = namespace.routes("default");
    let half = half(&namespace);
    write(&namespace, &half, Write::New).unwrap();
    let expected = before[0]
        .replace("default", "128.0.0.0/1")
        .replace("proto dhcp", "proto 145")
        .replace("src 172.31.16.133", "src 172.31.16.130")
        .replace("metric 100", "metric 1000");
    assert_eq!(namespace.routes("128.0.0.0/1"), [expected]);
    assert!(
        routes(&namespace).contains(&half),
        "what is read is what was written"
    );
    assert_eq!(
        half.to_string(),
        "128.0.0.0/1 via 172.31.16.1 src 172.31.16.130 mtu 9001"
    );
    let again = write(&namespace, &half, Write::New).unwrap_err();
    assert_eq!(again.errno(), Some(Errno::EEXIST), "{again}");
    assert_eq!(namespace.routes("default"), before);
}

#[test]
fn onlink_gateways_and_routes_without_a_gateway_are_followed_too() {
    for default in [
        "default via 192.0.2.1 dev ens5 onlink",
        "default dev ens5 scope link",
        "default nhid 5",
    ] {
        let namespace = Namespace::new();
        namespace.ip("address add 172.31.16.130/32 dev ens5");
        namespace.ip("nexthop add id 5 via 172.31.16.2 dev ens5");
        namespace.ip(&format!("route add {default}"));
        let half = half(&namespace);
        write(&namespace, &half, Write::New).unwrap();
        assert!(routes(&namespace).contains(&half), "{default}");
    }
}

#[test]
fn a_route_that_is_replaced_is_never_missing() {
    let namespace = Namespace::new();
    namespace.ip(DHCP);
    namespace.ip("address add 172.31.16.130/32 dev ens5");
    let old = half(&namespace);
    write(&namespace, &old, Write::New).unwrap();
    namespace.ip("route replace default via 172.31.16.2 dev ens5 proto dhcp metric 100");
    let new = half(&namespace);
    assert_ne!(old, new);
    write(&namespace, &new, Write::Replace).unwrap();
    assert_eq!(
        namespace.routes("128.0.0.0/1"),
        ["via 172.31.16.2 dev ens5 proto 145 src 172.31.16.130 metric 1000"]
            .map(|rest| format!("128.0.0.0/1 {rest}"))
    );
}

#[test]
fn only_the_route_that_is_meant_is_deleted_and_one_that_is_gone_is_no_error() {
    let namespace = Namespace::new();
    namespace.ip(DHCP);
    namespace.ip("address add 172.31.16.130/32 dev ens5");
    let ours = half(&namespace);
    // As like ours as it can be, and of somebody else.
    let other = "128.0.0.0/1 via 172.31.16.1 dev ens5 proto static src 172.31.16.130 metric 1000";
    namespace.ip(&format!("route add {other} mtu 9001"));
    write(&namespace, &ours, Write::Append).unwrap();
    let delete = || {
        namespace.inside(async || {
            let kernel = Kernel::open().unwrap();
            kernel.delete_route(&ours).await.unwrap();
        });
    };
    delete();
    let left = namespace.routes("128.0.0.0/1");
    assert_eq!(left, [format!("{other} mtu 9001")]);
    delete();
    assert_eq!(namespace.routes("128.0.0.0/1"), left);
    namespace.ip("link delete ens5");
    delete();
}

/// Why our routes are in the main table.
#[test]
fn with_an_address_the_kernel_deletes_routes_from_it_but_in_the_main_table_only() {
    for prefix in [20, 32] {
        let namespace = Namespace::new();
        namespace.ip(DHCP);
        namespace.ip(&format!("address add 172.31.16.130/{prefix} dev ens5"));
        write(&namespace, &half(&namespace), Write::New).unwrap();
        namespace.ip("route add default via 172.31.16.1 dev ens5 src 172.31.16.130 table 77");
        namespace.ip(&format!("address delete 172.31.16.130/{prefix} dev ens5"));
        assert_eq!(namespace.routes("128.0.0.0/1"), [""; 0]);
        assert_eq!(namespace.routes("default").len(), 1);
        assert_eq!(
            namespace.routes("table 77"),
            ["default via 172.31.16.1 dev ens5 src 172.31.16.130"],
            "this kernel deletes them there too: a table of our own has become possible"
        );
    }
}

#[test]
fn a_source_that_is_not_an_address_of_this_host_is_refused() {
    let namespace = Namespace::new();
    namespace.ip(DHCP);
    let error = write(&namespace, &half(&namespace), Write::New).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EINVAL));
    assert_eq!(
        error.to_string(),
        "cannot add the route 128.0.0.0/1 via 172.31.16.1 src 172.31.16.130 mtu 9001: \
         Invalid argument (os error 22)"
    );
}

#[test]
fn the_kernel_says_which_source_it_would_choose_and_that_there_is_no_way() {
    let namespace = Namespace::new();
    let towards = |destination: [u8; 4]| {
        namespace.inside(async || {
            let kernel = Kernel::open().unwrap();
            kernel.source_towards(destination.into()).await.unwrap()
        })
    };
    assert_eq!(towards([203, 0, 113, 1]), None);
    namespace.ip(DHCP);
    namespace.ip("address add 172.31.16.130/32 dev ens5");
    write(&namespace, &half(&namespace), Write::New).unwrap();
    assert_eq!(towards([203, 0, 113, 1]), Some(VIP));
    assert_eq!(towards([8, 8, 8, 8]), Some([172, 31, 16, 133].into()));
    namespace.ip("route add prohibit 8.8.8.8");
    let error = namespace.inside(async || {
        let kernel = Kernel::open().unwrap();
        kernel
            .source_towards([8, 8, 8, 8].into())
            .await
            .unwrap_err()
    });
    assert_eq!(error.errno(), Some(Errno::EACCES), "{error}");
}
