//! ocf-tester of Debian's resource-agents on each agent, with around it what the agent needs; and the
//! meta-data as pcs and crm_resource show it.

use lab::demo::cluster;
use lab::pbx::DATA_DIR;
use lab::site::{EIP, EIP_ALLOCATION, VIP, VOLUME_ID};

use crate::node::{AGENTS, DEVICE, DIRECTORY, Node};

#[test]
fn ocf_tester_has_no_complaint_and_pcs_and_crm_resource_show_each_agent() {
    let node = Node::up();

    ocf_tester(
        &node,
        "awsvip",
        &[("secondary_private_ip", VIP.to_string())],
    );

    act(
        &node,
        "awsvip",
        "start",
        "secondary_private_ip",
        &VIP.to_string(),
    );
    ocf_tester(
        &node,
        "awseip",
        &[
            ("allocation_id", EIP_ALLOCATION.to_owned()),
            ("private_ip_address", VIP.to_string()),
            ("elastic_ip", EIP.to_string()),
        ],
    );

    node.sh(&format!("ip address add {VIP}/20 dev ens5"));
    let routes = node.sh("ip route");
    ocf_tester(&node, "awsipsrcaddr", &[("ipaddress", VIP.to_string())]);
    assert_eq!(node.sh("ip route"), routes, "the routes are as they were");

    ocf_tester(&node, "awsebs", &[("volume_id", VOLUME_ID.to_owned())]);

    act(&node, "awsebs", "start", "volume_id", VOLUME_ID);
    node.sh(&format!("mount {DEVICE} {DATA_DIR}"));
    ocf_tester(&node, "pbx", &[("project", "portsip".to_owned())]);

    for (agent, _) in AGENTS {
        is_shown(&node, agent);
    }
}

/// An action that has to succeed, by hand.
fn act(node: &Node, agent: &str, action: &str, parameter: &str, value: &str) {
    node.sh(&format!(
        "OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE=by-hand OCF_RESKEY_{parameter}={value} {DIRECTORY}/{agent} {action}"
    ));
}

/// It aborts on some complaints and only prints others, all with an asterisk. Of the actions that
/// an agent may lack it says so in the same way.
fn ocf_tester(node: &Node, agent: &str, parameters: &[(&str, String)]) {
    let parameters: String = parameters
        .iter()
        .map(|(name, value)| format!(" -o {name}={value}"))
        .collect();
    let (passed, said) = node.attempt(&format!(
        "timeout {} ocf-tester -n test-{agent}{parameters} {DIRECTORY}/{agent}",
        cluster::MINUTES.as_secs()
    ));
    let complaints = said
        .lines()
        .filter(|line| line.starts_with('*') && !line.ends_with("(optional)"))
        .count();
    assert!(
        passed && complaints == 0 && said.contains("passed all tests"),
        "ocf-tester on {agent}:\n{said}"
    );
}

fn is_shown(node: &Node, agent: &str) {
    let meta_data = node.sh(&format!("{DIRECTORY}/{agent} meta-data"));
    let (parsed, described) = node.attempt(&format!("pcs resource describe ocf:portsip:{agent}"));
    assert!(parsed, "pcs describes {agent}: {described}");
    for line in meta_data.lines() {
        if let Some(rest) = line.trim().strip_prefix("<parameter name=\"") {
            let name = rest.split('"').next().unwrap();
            let required = rest.contains("required=\"1\"");
            let shown = described.lines().map(str::trim_start).find(|line| {
                let word = line.split([' ', ':']).next();
                word == Some(name)
            });
            let shown = shown.unwrap_or_else(|| panic!("{name} of {agent} is not in: {described}"));
            assert_eq!(shown.contains("(required)"), required, "{shown}");
        }
    }
    for operation in ["start:", "stop:", "monitor:"] {
        assert!(described.contains(operation), "{operation} {described}");
    }
    let by_crm = node.sh(&format!("crm_resource --show-metadata ocf:portsip:{agent}"));
    assert_eq!(by_crm.trim(), meta_data.trim(), "crm_resource, {agent}");
    let listed = node.sh("crm_resource --list-agents ocf:portsip");
    assert!(listed.lines().any(|line| line.trim() == agent), "{listed}");
}
