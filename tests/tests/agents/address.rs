//! awsvip and awseip.

use lab::ec2::Happening;
use lab::site::{EIP, EIP_ALLOCATION, INSTANCES};

use crate::node::{Answer, Site};

/// A second interface of the first node, which the kernel calls ens6.
const SECOND: (&str, &str) = ("eni-0a1f3c5e7b9d2f411", "06:1f:3c:5e:7b:11");

fn interface_of_the_eip(site: &Site) -> Option<String> {
    let answer = site.call("DescribeAddresses", &[("AllocationId.1", EIP_ALLOCATION)]);
    assert!(answer.contains(&EIP.to_string()), "{answer}");
    let (_, rest) = answer.split_once("<networkInterfaceId>")?;
    Some(rest.split_once('<')?.0.to_owned())
}

#[test]
fn a_life_of_the_address_on_one_node() {
    let site = Site::new();
    site.assign_vip(INSTANCES[0].eni);
    site.agent(0, "awseip", "monitor").expect(7);
    site.agent(0, "awseip", "start").expect(0);
    assert_eq!(
        interface_of_the_eip(&site).as_deref(),
        Some(INSTANCES[0].eni)
    );
    site.agent(0, "awseip", "monitor").expect(0);
    site.inside(
        0,
        "awseip",
        "export OCF_CHECK_LEVEL=10; exec $AGENT monitor",
    )
    .expect(0);
    site.agent(1, "awseip", "monitor").expect(7);
    let calls = site.calls("AssociateAddress");
    assert_eq!(calls, 1);
    site.agent(0, "awseip", "start").expect(0);
    assert_eq!(
        site.calls("AssociateAddress"),
        calls,
        "a start of what runs called EC2"
    );
    site.agent(0, "awseip", "stop").expect(0);
    assert_eq!(interface_of_the_eip(&site), None);
    site.agent(0, "awseip", "monitor").expect(7);
}

#[test]
fn a_start_waits_for_a_private_address_that_is_on_its_way() {
    let site = Site::new();
    std::thread::scope(|scope| {
        let started = scope.spawn(|| site.agent(0, "awseip", "start"));
        std::thread::sleep(std::time::Duration::from_millis(700));
        site.assign_vip(INSTANCES[0].eni);
        started.join().unwrap().expect(0);
    });
}

#[test]
fn the_elastic_ip_moves_with_the_address_and_the_old_node_takes_nothing_back() {
    let site = Site::new();
    site.assign_vip(INSTANCES[0].eni);
    site.agent(0, "awseip", "start").expect(0);
    site.assign_vip(INSTANCES[1].eni);
    site.agent(1, "awseip", "start").expect(0);
    assert_eq!(
        interface_of_the_eip(&site).as_deref(),
        Some(INSTANCES[1].eni)
    );
    site.agent(0, "awseip", "monitor").expect(7);
    site.agent(0, "awseip", "stop").expect(0);
    assert_eq!(
        interface_of_the_eip(&site).as_deref(),
        Some(INSTANCES[1].eni)
    );
}

#[test]
fn an_allocation_that_is_another_address_is_refused() {
    let site = Site::new();
    site.assign_vip(INSTANCES[0].eni);
    let script = "export OCF_RESKEY_elastic_ip=54.151.30.10; exec $AGENT start";
    let answer = site.inside(0, "awseip", script).expect(6);
    assert!(answer.says("54.151.30.9"), "{answer:?}");
}

fn holder_of_the_vip(site: &Site) -> Option<String> {
    let vip = lab::site::VIP.to_string();
    let filter = [
        ("Filter.1.Name", "addresses.private-ip-address"),
        ("Filter.1.Value.1", &vip),
    ];
    let answer = site.call("DescribeNetworkInterfaces", &filter);
    let (_, rest) = answer.split_once("<instanceId>")?;
    Some(rest.split_once('<')?.0.to_owned())
}

/// How often the nodes called EC2.
fn calls_of_nodes(site: &Site) -> usize {
    let of_a_node = |caller: &str| caller.starts_with("i-");
    let calls = site.ec2.events();
    let calls = calls
        .iter()
        .filter(|event| matches!(&event.what, Happening::Call { caller, .. } if of_a_node(caller)));
    calls.count()
}

#[test]
fn a_life_of_the_private_address_on_one_node() {
    let site = Site::new();
    let monitor = |node| site.agent(node, "awsvip", "monitor");
    monitor(0).expect(7);
    site.agent(0, "awsvip", "start").expect(0);
    assert_eq!(holder_of_the_vip(&site).as_deref(), Some(INSTANCES[0].id));
    let before = calls_of_nodes(&site);
    assert_eq!(before, 1, "a start is one call of EC2");
    monitor(0).expect(0);
    monitor(1).expect(7);
    site.agent(0, "awsvip", "start").expect(0);
    assert_eq!(calls_of_nodes(&site), before, "what runs needs no call");
    let deep = "export OCF_CHECK_LEVEL=10; exec $AGENT";
    site.inside(0, "awsvip", &format!("{deep} monitor"))
        .expect(0);
    site.inside(1, "awsvip", &format!("{deep} validate-all"))
        .expect(0);
    site.agent(0, "awsvip", "stop").expect(0);
    assert_eq!(holder_of_the_vip(&site), None);
    monitor(0).expect(7);
    site.agent(0, "awsvip", "stop").expect(0);
}

#[test]
fn the_address_chain_of_a_failover_costs_at_most_two_calls() {
    let site = Site::new();
    for agent in ["awsvip", "awseip"] {
        site.agent(0, agent, "start").expect(0);
    }
    site.stop_instance(INSTANCES[0].id);
    let before = calls_of_nodes(&site);
    for agent in ["awsvip", "awseip"] {
        site.agent(1, agent, "start").expect(0);
        site.agent(1, agent, "monitor").expect(0);
    }
    let cost = calls_of_nodes(&site) - before;
    assert!((1..=2).contains(&cost), "{cost} calls of EC2");
    assert_eq!(
        interface_of_the_eip(&site).as_deref(),
        Some(INSTANCES[1].eni)
    );
}

#[test]
fn an_address_that_moved_on_is_not_taken_back_by_a_stop() {
    let site = Site::new();
    for node in [0, 1] {
        site.agent(node, "awsvip", "start").expect(0);
    }
    site.agent(0, "awsvip", "stop").expect(0);
    assert_eq!(holder_of_the_vip(&site).as_deref(), Some(INSTANCES[1].id));
}

#[test]
fn an_address_that_cannot_be_this_instances_is_left_to_other_nodes() {
    let site = Site::new();
    let with = |address: &str, action: &str, code: i32| {
        let script = format!(
            "export OCF_RESKEY_secondary_private_ip={address} OCF_CHECK_LEVEL=10; exec $AGENT {action}"
        );
        site.inside(0, "awsvip", &script).expect(code)
    };
    // Of another subnet, EC2's own, and this instance's primary one.
    for address in ["10.0.0.7", "172.31.16.1", "172.31.16.133"] {
        let answer = with(address, "validate-all", 5);
        assert!(answer.says("172.31.16.0/20"), "{answer:?}");
    }
    // Of another subnet, and another instance's primary one, which that may not have tomorrow.
    for (address, code) in [("10.0.0.7", 5), ("172.31.16.134", 1)] {
        let answer = with(address, "start", code);
        assert!(answer.says("InvalidParameterValue"), "{answer:?}");
    }
}

fn with_second_interface() -> Site {
    let site = Site::new();
    let (eni, mac) = SECOND;
    let primary = std::net::Ipv4Addr::new(172, 31, 16, 140);
    let added = site.ec2.add_interface(INSTANCES[0].id, eni, mac, primary);
    added.unwrap();
    site
}

/// An action of an agent with the parameter `interface`, where the kernel has the second interface as ens6.
fn on_interface(site: &Site, interface: &str, agent: &str, action: &str) -> Answer {
    let script = format!(
        "mount -t tmpfs tmpfs /sys; mkdir -p /sys/class/net/ens6; echo {} > /sys/class/net/ens6/address; \
         export OCF_RESKEY_interface={interface} OCF_CHECK_LEVEL=10; exec $AGENT {action}",
        SECOND.1
    );
    site.inside(0, agent, &script)
}

#[test]
fn the_addresses_go_to_the_interface_that_the_user_named() {
    let site = with_second_interface();
    let vip = lab::site::VIP.to_string();
    for agent in ["awsvip", "awseip"] {
        on_interface(&site, "ens6", agent, "monitor").expect(7);
        on_interface(&site, "ens6", agent, "validate-all").expect(0);
        on_interface(&site, "ens6", agent, "start").expect(0);
        on_interface(&site, "ens6", agent, "monitor").expect(0);
    }
    let id = [("NetworkInterfaceId.1", SECOND.0)];
    let second = site.call("DescribeNetworkInterfaces", &id);
    assert!(second.contains(&vip), "{second}");
    assert_eq!(interface_of_the_eip(&site).as_deref(), Some(SECOND.0));
    // On the primary interface there is nothing.
    site.agent(0, "awsvip", "monitor").expect(7);
    for agent in ["awseip", "awsvip"] {
        on_interface(&site, "ens6", agent, "stop").expect(0);
        on_interface(&site, "ens6", agent, "monitor").expect(7);
    }
    assert_eq!(holder_of_the_vip(&site), None);
}

#[test]
fn an_interface_that_the_node_does_not_have_is_named() {
    let site = with_second_interface();
    for agent in ["awsvip", "awseip"] {
        on_interface(&site, "ens7", agent, "monitor").expect(7);
        let start = on_interface(&site, "ens7", agent, "start").expect(5);
        assert!(start.says("no network interface ens7"), "{start:?}");
        on_interface(&site, "ens7", agent, "stop").expect(0);
        on_interface(&site, "../ens6", agent, "start").expect(6);
    }
}
