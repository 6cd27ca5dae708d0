#![allow(clippy::unwrap_used)]

use crate::Vars;
use crate::nodes::Known;

const LAN: &str = include_str!("../../../tests/vars-lan.yml");

/// What is said of an agent with options of all nodes and of each.
fn said(agent: &str, common: &str, own: [&str; 3]) -> String {
    let mut text = format!("{LAN}fencing: {agent}\n");
    if !common.is_empty() {
        text += &format!("fencing_options: {common}\n");
    }
    for (n, own) in own.iter().enumerate().filter(|(_, own)| !own.is_empty()) {
        text += &format!("pbx0{}_fencing_options: {own}\n", n + 1);
    }
    let vars = Vars::parse("vars.yml", &text);
    match vars.and_then(|vars| vars.resolve(&Known::default())) {
        Ok(_) => String::new(),
        Err(mistakes) => mistakes.to_string(),
    }
}

const NONE: [&str; 3] = ["", "", ""];

#[test]
fn one_device_is_refused_where_its_agent_cannot_tell_the_nodes_apart() {
    for agent in [
        "fence_ipmilan",
        "fence_ipmilanplus",
        "fence_idrac",
        "fence_ilo",
        "fence_ilo4_ssh",
        "fence_ilo6",
        "fence_redfish",
        "fence_amt_ws",
        "fence_apc",
        "fence_apc_snmp",
        "fence_ilo_moonshot",
        "fence_acme",
    ] {
        let said = said(agent, "ip=192.168.1.230 username=a", NONE);
        assert!(
            said.contains("E08") && said.contains(agent),
            "{agent}: {said}"
        );
        assert!(said.contains("pbx01_fencing_options: "), "{agent}: {said}");
        assert!(
            said.contains("11 | fencing: "),
            "no position for {agent}: {said}"
        );
    }
    for agent in ["fence_virsh", "fence_xvm", "fence_vmware_rest"] {
        assert_eq!(said(agent, "ip=192.168.1.230 username=a", NONE), "");
    }
}

#[test]
fn two_nodes_with_one_target_are_refused() {
    for (agent, common, own) in [
        // The same board, whatever plug it is told.
        (
            "fence_ipmilan",
            "ip=192.168.1.230",
            ["plug=1", "plug=2", "plug=3"],
        ),
        ("fence_idrac", "", ["ip=bmc1", "ip=bmc2", "ip=BMC1."]),
        ("fence_ilo5", "", ["ip=bmc1", "ip=bmc2", "ipaddr=bmc1"]),
        (
            "fence_redfish",
            "",
            ["ip=bmc1 username=a", "ip=bmc2", "ip=bmc1 username=b"],
        ),
        // The same plug.
        ("fence_apc", "ip=pdu", ["plug=1", "plug=2", "plug=1"]),
        (
            "fence_apc",
            "",
            ["ip=pdu plug=1", "ip=pdu2 plug=1", "ip=pdu plug=1 secure=1"],
        ),
        (
            "fence_acme",
            "ip=x",
            ["slot=1 username=a", "slot=2", "slot=1 username=b"],
        ),
    ] {
        let said = said(agent, common, own);
        assert!(
            said.contains("E17") && said.contains("for pbx03 as for pbx01"),
            "{agent} {own:?}: {said}"
        );
    }
}

#[test]
fn each_node_with_a_target_of_its_own_is_fine() {
    for (agent, common, own) in [
        (
            "fence_ipmilan",
            "username=a",
            ["ip=bmc1", "ip=bmc2", "ip=bmc3"],
        ),
        (
            "fence_ipmilan",
            "ip=vbmc",
            ["ipport=6231", "ipport=6232", "ipport=6233"],
        ),
        (
            "fence_ipmilan",
            "port_as_ip=1",
            ["plug=bmc1", "plug=bmc2", "plug=bmc3"],
        ),
        ("fence_apc", "ip=pdu", ["plug=1", "plug=2", "plug=3"]),
        (
            "fence_apc",
            "",
            ["ip=pdu1 plug=1", "ip=pdu2 plug=1", "ip=pdu3 plug=1"],
        ),
        ("fence_virsh", "", ["ip=host1", "ip=host1", "ip=host2"]),
        (
            "fence_drac5",
            "ip=cmc",
            ["module_name=a", "module_name=b", "module_name=c"],
        ),
    ] {
        assert_eq!(said(agent, common, own), "", "{agent} {own:?}");
    }
}

#[test]
fn a_node_without_a_target_is_refused() {
    for (agent, own) in [
        ("fence_ipmilan", ["username=a", "ip=bmc2", "ip=bmc3"]),
        ("fence_apc", ["ip=pdu", "plug=2", "plug=3"]),
    ] {
        let said = said(agent, "", own);
        assert!(
            said.contains("E08") && said.contains("pbx01"),
            "{agent}: {said}"
        );
        assert!(!said.contains("for pbx02"), "{agent}: {said}");
    }
    let plug_for_all = said(
        "fence_apc",
        "ip=pdu plug=1",
        ["power_wait=1", "power_wait=1", "power_wait=1"],
    );
    assert!(
        plug_for_all.contains("`plug` is one machine's"),
        "{plug_for_all}"
    );
    let old_name = said("fence_apc", "ip=pdu", ["port=1", "port=2", "port=3"]);
    assert!(old_name.contains("plug=1"), "{old_name}");
}

#[test]
fn a_board_is_not_at_the_address_of_a_node_or_of_the_pbx() {
    for (address, whose) in [
        ("192.168.1.132", "the node pbx02"),
        ("192.168.1.130", "the PBX"),
    ] {
        let said = said(
            "fence_ipmilan",
            "",
            [&format!("ip={address}"), "ip=bmc2", "ip=bmc3"],
        );
        assert!(said.contains("E23") && said.contains(whose), "{said}");
    }
}
