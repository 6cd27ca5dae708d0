//! Private addresses, Elastic IPs, and how the metadata follows.

use std::net::Ipv4Addr;

use lab::ec2::Happening;
use lab::site;

use crate::client::{ENI1, ENI2, N1, N2, Site, VOLUME, Xml, wait};

const VIP: &str = "172.31.16.130";
const ALLOCATION: (&str, &str) = ("AllocationId", site::EIP_ALLOCATION);

fn on<'a>(interface: &'a str, address: &'a str) -> [(&'a str, &'a str); 2] {
    [
        ("NetworkInterfaceId", interface),
        ("PrivateIpAddress.1", address),
    ]
}

/// The addresses of an interface, primary first.
fn private(site: &Site, interface: &str) -> Vec<String> {
    let xml = site.ok(
        "DescribeNetworkInterfaces",
        &[("NetworkInterfaceId.1", interface)],
    );
    Xml(format!("<s>{}</s>", xml.one("privateIpAddressesSet"))).all("privateIpAddress")
}

fn associate(site: &Site, interface: &str) -> String {
    let to = [
        ALLOCATION,
        ("NetworkInterfaceId", interface),
        ("PrivateIpAddress", VIP),
    ];
    site.ok("AssociateAddress", &to).one("associationId")
}

fn described(site: &Site) -> Xml {
    site.ok(
        "DescribeAddresses",
        &["AllocationId.1"].map(|name| (name, site::EIP_ALLOCATION)),
    )
}

#[test]
fn a_secondary_address_moves_in_one_call_and_only_when_allowed() {
    let site = Site::new();
    let answer = site.ok("AssignPrivateIpAddresses", &on(ENI1, VIP));
    assert_eq!(answer.one("privateIpAddress"), VIP);
    assert_eq!(private(&site, ENI1), ["172.31.16.133", VIP]);
    for interface in [ENI1, ENI2] {
        let refusal = site.refused("AssignPrivateIpAddresses", &on(interface, VIP));
        assert_eq!(refusal, "InvalidParameterValue", "{interface}");
    }
    site.assign(ENI2, VIP);
    assert_eq!(private(&site, ENI1), ["172.31.16.133"]);
    assert_eq!(private(&site, ENI2), ["172.31.16.134", VIP]);
    site.assign(ENI2, VIP);
    assert_eq!(private(&site, ENI2), ["172.31.16.134", VIP], "not twice");
}

#[test]
fn what_is_no_free_address_of_the_subnet_cannot_be_assigned() {
    let site = Site::new();
    let cases = [
        ("10.0.0.1", "outside"),
        ("172.31.16.3", "reserved"),
        ("172.31.31.255", "broadcast"),
        ("172.31.16.134", "primary of another"),
        ("172.31.16", "no address"),
    ];
    for (address, why) in cases {
        let mut call = on(ENI1, address).to_vec();
        call.push(("AllowReassignment", "true"));
        call.push(("PrivateIpAddress.2", VIP));
        let refusal = site.refused("AssignPrivateIpAddresses", &call);
        assert_eq!(refusal, "InvalidParameterValue", "{why}");
    }
    assert_eq!(
        private(&site, ENI1),
        ["172.31.16.133"],
        "half a call was done"
    );
    let unknown = site.refused(
        "AssignPrivateIpAddresses",
        &on("eni-0123456789abcdef0", VIP),
    );
    assert_eq!(unknown, "InvalidNetworkInterfaceID.NotFound");
}

#[test]
fn an_interface_takes_no_more_addresses_than_it_has_room_for() {
    let site = Site::new();
    let count = |count| {
        [
            ("NetworkInterfaceId", ENI1),
            ("SecondaryPrivateIpAddressCount", count),
        ]
    };
    site.ok("AssignPrivateIpAddresses", &count("14"));
    assert_eq!(private(&site, ENI1).len(), 15);
    let refusal = site.refused("AssignPrivateIpAddresses", &count("1"));
    assert_eq!(refusal, "PrivateIpAddressLimitExceeded");
}

#[test]
fn only_a_secondary_address_of_the_interface_can_be_unassigned() {
    let site = Site::new();
    site.assign(ENI1, VIP);
    for (interface, address) in [(ENI2, VIP), (ENI1, "172.31.16.133"), (ENI1, "172.31.16.99")] {
        let refusal = site.refused("UnassignPrivateIpAddresses", &on(interface, address));
        assert_eq!(refusal, "InvalidParameterValue", "{interface} {address}");
    }
    site.ok("UnassignPrivateIpAddresses", &on(ENI1, VIP));
    assert_eq!(private(&site, ENI1), ["172.31.16.133"]);
}

#[test]
fn an_elastic_ip_leads_only_to_an_address_of_the_interface() {
    let site = Site::new();
    let to = [
        ALLOCATION,
        ("NetworkInterfaceId", ENI1),
        ("PrivateIpAddress", VIP),
    ];
    assert_eq!(
        site.refused("AssociateAddress", &to),
        "InvalidParameterValue"
    );
    site.assign(ENI2, VIP);
    assert_eq!(
        site.refused("AssociateAddress", &to),
        "InvalidParameterValue"
    );
    site.assign(ENI1, VIP);
    let id = associate(&site, ENI1);
    assert_eq!(
        associate(&site, ENI1),
        id,
        "a second call is no error and changes nothing"
    );
    let xml = described(&site);
    assert_eq!(xml.one("associationId"), id);
    assert_eq!(xml.one("instanceId"), N1);
    assert_eq!(xml.one("privateIpAddress"), VIP);
}

#[test]
fn an_elastic_ip_moves_unless_the_caller_forbids_it() {
    let site = Site::new();
    site.assign(ENI1, VIP);
    let first = associate(&site, ENI1);
    let to_second = [
        ALLOCATION,
        ("InstanceId", N2),
        ("AllowReassociation", "false"),
    ];
    assert_eq!(
        site.refused("AssociateAddress", &to_second),
        "Resource.AlreadyAssociated"
    );
    site.ok("AssociateAddress", &to_second[..2]);
    let xml = described(&site);
    assert_eq!(
        xml.one("privateIpAddress"),
        "172.31.16.134",
        "the primary one by default"
    );
    assert_eq!(
        site.refused("DisassociateAddress", &[("AssociationId", &first)]),
        "InvalidAssociationID.NotFound",
        "an association that has moved on"
    );
    let second = xml.one("associationId");
    site.ok("DisassociateAddress", &[("AssociationId", &second)]);
    assert!(described(&site).all("associationId").is_empty());
}

#[test]
fn an_association_needs_an_allocation_and_one_target() {
    let site = Site::new();
    let unknown = ("AllocationId", "eipalloc-0123456789abcdef0");
    let cases = [
        (
            vec![unknown, ("NetworkInterfaceId", ENI1)],
            "InvalidAllocationID.NotFound",
        ),
        (vec![ALLOCATION], "MissingParameter"),
        (vec![("NetworkInterfaceId", ENI1)], "MissingParameter"),
        (
            vec![ALLOCATION, ("NetworkInterfaceId", ENI1), ("InstanceId", N1)],
            "InvalidParameterCombination",
        ),
        (
            vec![ALLOCATION, ("InstanceId", "i-0123456789abcdef0")],
            "InvalidInstanceID.NotFound",
        ),
    ];
    for (parameters, code) in cases {
        assert_eq!(
            site.refused("AssociateAddress", &parameters),
            code,
            "{parameters:?}"
        );
    }
    let unknown = site.refused("DescribeAddresses", &[("PublicIp.1", "1.2.3.4")]);
    assert_eq!(unknown, "InvalidAddress.NotFound");
}

#[test]
fn the_elastic_ip_follows_a_private_address_that_moves_and_goes_with_one_that_ends() {
    let site = Site::new();
    site.assign(ENI1, VIP);
    let before = associate(&site, ENI1);
    site.assign(ENI2, VIP);
    let xml = described(&site);
    assert_eq!(xml.one("networkInterfaceId"), ENI2);
    assert_eq!(xml.one("instanceId"), N2);
    assert_eq!(
        site.refused("DisassociateAddress", &[("AssociationId", &before)]),
        "InvalidAssociationID.NotFound"
    );
    site.ok("UnassignPrivateIpAddresses", &on(ENI2, VIP));
    assert!(described(&site).all("associationId").is_empty());
}

#[test]
fn the_vpc_and_then_the_metadata_follow_a_move_after_a_while() {
    let site = Site::new();
    let mac = site::INSTANCES[0].mac;
    let local = format!("meta-data/network/interfaces/macs/{mac}/local-ipv4s");
    let eip = format!(
        "meta-data/network/interfaces/macs/{mac}/ipv4-associations/{}",
        site::EIP
    );
    site.assign(ENI1, VIP);
    associate(&site, ENI1);
    assert_eq!(
        site.document(&local).unwrap(),
        "172.31.16.133",
        "ahead of EC2"
    );
    assert!(!site.ec2.network().private[N1].contains(&site::VIP));
    wait("the metadata shows it", || {
        site.document(&local).unwrap() == format!("172.31.16.133\n{VIP}")
    });
    wait("the metadata shows the Elastic IP", || {
        site.document(&eip) == Ok(VIP.to_owned())
    });
    let network = site.world.0.lock().unwrap().network.clone().unwrap();
    assert!(
        network.private[N1].contains(&site::VIP),
        "metadata ahead of the packets"
    );
    assert_eq!(network.public[&site::EIP], site::VIP);
    assert_eq!(
        network.public[&site::INSTANCES[1].public_ip],
        site::INSTANCES[1].private_ip
    );
    assert_eq!(site.ec2.network(), network);
}

/// The public address of N1's primary address.
fn lent(site: &Site) -> Option<String> {
    let xml = site.ok("DescribeInstances", &[("InstanceId.1", N1)]);
    xml.all("ipAddress").first().cloned()
}

fn start_n1(site: &Site) {
    site.ok("StartInstances", &[("InstanceId.1", N1)]);
    wait("it runs", || site.instance_state(N1) == "running");
}

#[test]
fn a_stopped_instance_loses_its_public_address_and_gets_another_when_it_starts() {
    let site = Site::new();
    // A secondary address without an Elastic IP makes no difference.
    site.assign(ENI1, VIP);
    site.stop(N1);
    assert_eq!(private(&site, ENI1), ["172.31.16.133", VIP]);
    assert_eq!(lent(&site), None);
    start_n1(&site);
    let new = lent(&site).expect("a running instance is lent a public address");
    assert_ne!(new, site::INSTANCES[0].public_ip.to_string());
    let new: Ipv4Addr = new.parse().unwrap();
    wait("the VPC delivers the new one", || {
        site.ec2.network().public.get(&new) == Some(&site::INSTANCES[0].private_ip)
    });
}

#[test]
fn an_instance_that_is_stopped_with_an_elastic_ip_at_a_secondary_address_gets_no_public_address() {
    let site = Site::new();
    site.assign(ENI1, VIP);
    associate(&site, ENI1);
    site.stop(N1);
    assert_eq!(private(&site, ENI1), ["172.31.16.133", VIP]);
    assert_eq!(described(&site).one("instanceId"), N1);
    start_n1(&site);
    assert_eq!(lent(&site), None);
    assert_eq!(
        site.document("meta-data/public-ipv4"),
        Err(404),
        "the metadata shows a public address"
    );
    // Nor when the Elastic IP has moved on: what counted was the moment of the release.
    site.assign(ENI2, VIP);
    site.stop(N1);
    start_n1(&site);
    assert_eq!(lent(&site), None);
}

#[test]
fn an_elastic_ip_that_leaves_before_the_stop_costs_no_public_address() {
    let site = Site::new();
    site.assign(ENI1, VIP);
    associate(&site, ENI1);
    site.assign(ENI2, VIP);
    site.stop(N1);
    start_n1(&site);
    assert!(lent(&site).is_some());
}

#[test]
fn an_elastic_ip_at_the_primary_address_takes_the_place_of_the_lent_one() {
    let site = Site::new();
    site.ok("AssociateAddress", &[ALLOCATION, ("InstanceId", N1)]);
    let xml = site.ok("DescribeInstances", &[("InstanceId.1", N1)]);
    assert_eq!(xml.one("ipAddress"), site::EIP.to_string());
    wait("the lent address leads nowhere", || {
        !site
            .ec2
            .network()
            .public
            .contains_key(&site::INSTANCES[0].public_ip)
    });
}

#[test]
fn the_log_and_the_snapshot_tell_where_the_addresses_went() {
    let site = Site::new();
    site.assign(ENI1, VIP);
    associate(&site, ENI1);
    site.assign(ENI2, VIP);
    site.attach(N2);
    let events = site.ec2.events();
    let place = |wanted: &Happening| {
        let found = events.iter().position(|event| &event.what == wanted);
        found.unwrap_or_else(|| panic!("no {wanted:?} in {events:#?}"))
    };
    let moved = place(&Happening::Address {
        address: site::VIP,
        from: Some(N1.to_owned()),
        to: Some(N2.to_owned()),
    });
    let led = place(&Happening::Association {
        public: site::EIP,
        private: Some(site::VIP),
        instance: Some(N2.to_owned()),
    });
    assert!(moved < led);
    assert!(
        matches!(&events[moved - 1].what, Happening::Call { action, .. } if action == "AssignPrivateIpAddresses"),
        "the call comes before what it caused"
    );
    let snapshot = site.ec2.snapshot();
    assert_eq!(snapshot.vip.as_deref(), Some(N2));
    assert_eq!(snapshot.eip, Some(site::VIP));
    assert_eq!(snapshot.eip_instance.as_deref(), Some(N2));
    let volume = snapshot
        .volumes
        .iter()
        .find(|volume| volume.id == VOLUME)
        .unwrap();
    assert_eq!(volume.holder.as_ref().unwrap().instance, N2);
}
