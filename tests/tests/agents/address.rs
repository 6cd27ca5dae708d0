//! awseip.

use lab::site::{EIP, EIP_ALLOCATION, INSTANCES};

use crate::node::Site;

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
    let script = "export OCF_RESKEY_allocation_id=eipalloc-0a0a0a0a0a0a0a0a0; exec $AGENT start";
    site.inside(0, "awseip", script).expect(6);
}
