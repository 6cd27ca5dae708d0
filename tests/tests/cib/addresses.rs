//! The stock agents of the LAN system's addresses, run with exactly the parameters that they
//! are given, on a node of a LAN.

#![allow(clippy::unwrap_used)]

use cib_gen::Cluster;

use crate::bench::{Bench, Suite, in_both_suites};
use crate::lan;

in_both_suites!(
    the_virtual_address_comes_and_goes_with_and_without_its_prefix,
    what_a_node_sends_is_not_from_an_address_that_it_does_not_have,
    a_node_that_loses_the_virtual_address_keeps_its_way_to_the_lan,
);

/// A node with the address .131 and a router.
const NODE: &str = "
set -eu
ip link add lan0 type veth peer name lan1
ip link set lan1 up
ip link set lan0 up
ip address add 192.168.1.131/24 dev lan0
ip route add default via 192.168.1.1 dev lan0
export OCF_ROOT=/usr/lib/ocf
of() { ip route get $1 | sed -n 's/.* src \\([^ ]*\\).*/\\1/p'; }
source() { of 203.0.113.9; }
lan() { of 192.168.1.77; }
";

/// What each line of shell prints on the node; `vip ACTION` and `src_pkt_ip ACTION` run the
/// agents and print how they ended.
fn on_node(suite: Suite, cluster: &Cluster, commands: &[&str]) -> Vec<String> {
    let mut script = NODE.to_owned();
    for (id, agent) in [("vip", "IPaddr2"), ("src_pkt_ip", "IPsrcaddr")] {
        let primitive = cluster.primitives().find(|p| p.id == id).unwrap();
        let parameters: Vec<String> = (primitive.parameters.iter())
            .map(|p| format!("OCF_RESKEY_{}={}", p.name, p.value))
            .collect();
        script += &format!(
            "{id}() {{ status=0; env OCF_RESOURCE_INSTANCE={id} {} \
             /usr/lib/ocf/resource.d/heartbeat/{agent} \"$1\" >agent.log 2>&1 || status=$?; \
             echo $status; }}\n",
            parameters.join(" ")
        );
    }
    for command in commands {
        script += command;
        script.push('\n');
    }
    let bench = Bench::of(suite);
    bench.write("node.sh", &script);
    let printed = bench.run(&["sh", "node.sh"]);
    printed.lines().map(str::to_owned).collect()
}

fn the_virtual_address_comes_and_goes_with_and_without_its_prefix(suite: Suite) {
    for more in ["", "subnet_cidr: 192.168.1.0/24\n"] {
        let cluster = lan(more);
        for (command, prints) in run(
            suite,
            &cluster,
            &[
                ("vip validate-all", "0"),
                ("vip monitor", "7"),
                ("vip start", "0"),
                ("vip monitor", "0"),
                ("src_pkt_ip validate-all", "0"),
                ("src_pkt_ip monitor", "7"),
                ("source", "192.168.1.131"),
                ("src_pkt_ip start", "0"),
                ("src_pkt_ip monitor", "0"),
                ("source", "192.168.1.130"),
                ("lan", "192.168.1.131"),
                ("src_pkt_ip start", "0"),
                ("src_pkt_ip stop", "0"),
                ("src_pkt_ip monitor", "7"),
                ("source", "192.168.1.131"),
                ("vip stop", "0"),
                ("vip monitor", "7"),
                ("vip stop", "0"),
            ],
        ) {
            assert_eq!(prints.0, prints.1, "{command} in {suite} with `{more}`");
        }
    }
}

/// Each command with what it printed and what it should.
fn run<'a>(
    suite: Suite,
    cluster: &Cluster,
    commands: &[(&'a str, &'a str)],
) -> Vec<(&'a str, (String, &'a str))> {
    let lines: Vec<&str> = commands.iter().map(|(command, _)| *command).collect();
    let printed = on_node(suite, cluster, &lines);
    assert_eq!(printed.len(), lines.len(), "{suite}: {printed:?}");
    let both = commands.iter().zip(printed);
    both.map(|((command, expected), printed)| (*command, (printed, *expected)))
        .collect()
}

fn what_a_node_sends_is_not_from_an_address_that_it_does_not_have(suite: Suite) {
    let printed = on_node(suite, &lan(""), &["src_pkt_ip start", "source"]);
    assert_ne!(printed[0], "0", "in {suite}");
    assert_eq!(printed[1], "192.168.1.131", "in {suite}");
}

/// The kernel deletes the routes whose source goes. Without the LAN a node would be fenced.
fn a_node_that_loses_the_virtual_address_keeps_its_way_to_the_lan(suite: Suite) {
    let commands = [
        "vip start",
        "src_pkt_ip start",
        "ip address del 192.168.1.130/24 dev lan0",
        "lan",
    ];
    let printed = on_node(suite, &lan(""), &commands);
    assert_eq!(printed, ["0", "0", "192.168.1.131"], "in {suite}");
}
