//! What bears a name of ours and is no longer asked for goes, and is named; what is the user's stays.

use super::*;

const ONE: &str = "fencing: fence_virsh\nfencing_options: ip=192.168.1.9 username=a\n";

/// The CIB of one cluster, with more in its sections.
fn with(cluster: &Cluster, more: &[(&str, &str)]) -> String {
    let mut cib = made(cluster);
    for (section, what) in more {
        let end = format!("</{section}>");
        let (before, after) = cib.rsplit_once(&end).unwrap();
        cib = format!("{before}{what}{end}{after}");
    }
    cib
}

#[test]
fn devices_of_an_earlier_way_of_fencing_go_and_are_named() {
    let (one, boards, none) = (lan_with(ONE), lan_with(BOARDS), lan_with("fencing: none\n"));
    for (before, after, gone, stays) in [
        (&one, &boards, &["fencing"][..], "fencing-pbx01"),
        (
            &boards,
            &one,
            &["fencing-pbx01", "fencing-pbx02", "fencing-pbx03"],
            "fencing",
        ),
        (
            &boards,
            &none,
            &["fencing-pbx01", "fencing-pbx02", "fencing-pbx03"],
            "pbx",
        ),
        (&one, &none, &["fencing"], "pbx"),
    ] {
        let diff = changed(after, &made(before));
        for id in gone {
            assert!(
                diff.changes.contains(&format!("{id}: deleted")),
                "{:?}",
                diff.changes
            );
            assert!(!diff.cib.to_string().contains(&format!("id=\"{id}\"")));
        }
        assert!(
            diff.cib
                .to_string()
                .contains(&format!("<primitive id=\"{stays}\""))
        );
    }
}

#[test]
fn the_device_of_a_node_that_left_goes() {
    let five = "pbx04_hostname: pbx04\npbx04_private_ip: 192.168.1.134\n\
                pbx05_hostname: pbx05\npbx05_private_ip: 192.168.1.135\n\
                pbx04_fencing_options: ip=192.168.1.234\npbx05_fencing_options: ip=192.168.1.235\n";
    let diff = changed(
        &lan_with(BOARDS),
        &made(&lan_with(&format!("{BOARDS}{five}"))),
    );
    for line in ["fencing-pbx04: deleted", "fencing-pbx05: deleted"] {
        assert!(
            diff.changes.iter().any(|change| change == line),
            "{:?}",
            diff.changes
        );
    }
}

#[test]
fn what_speaks_of_a_device_goes_with_it_and_nothing_else_does() {
    let resources = "<primitive id=\"fencing\" class=\"stonith\" type=\"fence_virsh\"/>\
        <primitive id=\"fencing-mine\" class=\"stonith\" type=\"fence_virsh\"/>\
        <primitive id=\"fencing-pbx04\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"/>";
    let constraints = "<rsc_location id=\"l1\" rsc=\"fencing\" node=\"pbx01\" score=\"1\"/>\
        <rsc_location id=\"l2\" rsc=\"pbx\" node=\"pbx01\" score=\"1\"/>\
        <rsc_order id=\"o1\"><resource_set id=\"s1\"><resource_ref id=\"fencing\"/></resource_set></rsc_order>\
        <rsc_order id=\"o2\"><resource_set id=\"s2\"><resource_ref id=\"fencing\"/>\
        <resource_ref id=\"fencing-mine\"/></resource_set></rsc_order>\
        <rsc_colocation id=\"c1\" rsc=\"pbx\" with-rsc=\"fencing\" score=\"1\"/>\
        <rsc_order id=\"portsip-source\" first=\"vip\" then=\"pbx\"/>\
        <rsc_order id=\"portsip-mine\" first=\"vip\" then=\"pbx\"/>";
    let topology = "<fencing-topology><fencing-level id=\"f1\" target=\"a\" index=\"1\" devices=\"fencing\"/>\
        <fencing-level id=\"f2\" target=\"a\" index=\"2\" devices=\"fencing-mine,fencing\"/></fencing-topology>\
        <tags><tag id=\"t1\"><obj_ref id=\"fencing\"/></tag></tags>";
    let more = [
        ("resources", resources),
        ("constraints", constraints),
        ("configuration", topology),
    ];
    let diff = changed(&lan(), &with(&lan(), &more));
    assert_eq!(
        diff.changes,
        [
            "fencing: deleted",
            "constraint o2: order of fencing, fencing-mine -> order of fencing-mine",
            "constraint l1: deleted",
            "constraint o1: deleted",
            "constraint c1: deleted",
            "constraint portsip-source: deleted",
            "fencing level f1: deleted",
            "tag t1: deleted",
        ]
    );
    let cib = diff.cib.to_string();
    for stays in [
        "\"fencing-mine\"",
        "\"fencing-pbx04\"",
        "\"l2\"",
        "\"portsip-mine\"",
        "devices=\"fencing-mine\"",
    ] {
        assert!(cib.contains(stays), "{stays} is gone");
    }
}

#[test]
fn parameters_that_are_no_longer_asked_for_go_and_the_users_stay() {
    let before =
        "sip_transport: tcp\nsip_port: 5070\nweb_port: 8443\nsubnet_cidr: 192.168.1.0/24\n";
    let cib = made(&lan_with(before)).replace(
        "<nvpair id=\"vip-instance_attributes-ip\"",
        "<nvpair id=\"n\" name=\"nic\" value=\"eth1\"/><nvpair id=\"vip-instance_attributes-ip\"",
    );
    assert!(cib.contains("eth1"));
    let diff = changed(&lan(), &cib);
    assert_eq!(
        diff.changes,
        [
            "vip: cidr_netmask 24: deleted",
            "src_pkt_ip: cidr_netmask 24: deleted",
            "pbx: sip_port 5070: deleted",
            "pbx: sip_transport tcp: deleted",
            "pbx: web_port 8443: deleted",
        ]
    );
    assert!(diff.cib.to_string().contains("eth1"));
}

#[test]
fn options_of_a_device_come_from_vars_yml_alone() {
    let before = BOARDS.replace("ip=192.168.1.232", "ip=192.168.1.232 plug=2 cipher=3");
    let cib = made(&lan_with(&before)).replace(
        "<nvpair id=\"fencing-pbx02-instance_attributes-username\"",
        "<nvpair id=\"d\" name=\"pcmk_delay_max\" value=\"9s\"/>\
         <nvpair id=\"fencing-pbx02-instance_attributes-username\"",
    );
    let diff = changed(&lan_with(BOARDS), &cib);
    assert_eq!(
        diff.changes,
        [
            "fencing-pbx02: pcmk_host_list pbx02: new",
            "fencing-pbx02: cipher 3: deleted",
            "fencing-pbx02: pcmk_host_map pbx02:2: deleted",
        ]
    );
    assert!(diff.cib.to_string().contains("pcmk_delay_max"));
}

#[test]
fn a_device_of_another_agent_is_made_anew() {
    let other = BOARDS.replace("fence_ipmilan", "fence_redfish");
    let diff = changed(&lan_with(&other), &made(&lan_with(BOARDS)));
    for n in 1..=3 {
        let line = format!("fencing-pbx0{n}: stonith:fence_ipmilan -> stonith:fence_redfish");
        assert!(diff.changes.contains(&line), "{:?}", diff.changes);
    }
}
