//! `cib-gen apply` on the live cluster: it takes over a cluster that is configured as the vendor's scripts do,
//! and the PBX runs on throughout.

use lab::demo::cluster;
use lab::lab::turn;

use crate::Cluster;
use crate::steady::{Steady, settle};

/// Gives the running cluster the vendor's constraints and parameters, in maintenance mode and with probes, so
/// that nothing restarts.
const AS_THE_VENDOR: &str = "set -e
pcs property set maintenance-mode=true
pcs constraint delete portsip-together portsip-addresses portsip-source portsip-storage
before=eip
for id in privip vip src_pkt_ip ebs datapath_fs pbx; do
    pcs constraint colocation add $id with $before INFINITY
    pcs constraint order $before then $id
    before=$id
done
pcs resource update vip cidr_netmask=20
pcs resource update ebs cluster_instances=
pcs resource update datapath_fs options=
pcs resource update pbx op monitor interval=10s timeout=20s
for id in vip ebs datapath_fs; do crm_resource --refresh --resource $id; done
crm_resource --wait --timeout=60
pcs property set maintenance-mode=
crm_resource --wait --timeout=60";

#[test]
fn apply_takes_over_the_vendors_cluster_while_the_pbx_runs() {
    let _turn = turn().unwrap();
    let cluster = Cluster::up();
    let minute = std::time::Duration::from_secs(60);
    let first = &lab::site::INSTANCES[0];
    let active = cluster::wait_until_active(&cluster.lab, first, minute, |_| true).unwrap();
    cluster.on(&active, AS_THE_VENDOR);
    settle(&cluster);

    let steady = Steady::watch(&cluster, "a takeover");
    let apply = |options: &str| {
        let command = format!(
            "cib-gen apply {options} {} 2>&1; echo ended with $?",
            cluster::VARS
        );
        cluster.on(&active, &command)
    };
    let said = apply("--dry-run");
    for line in [
        "vip: cidr_netmask 20 -> 32",
        "constraint order-eip-privip-mandatory: deleted",
        "the vendor's cluster is taken over: ",
        "ended with 3",
    ] {
        assert!(said.contains(line), "no `{line}` in:\n{said}");
    }
    assert!(said.contains("nothing would restart"), "{said}");

    let said = apply("--yes");
    assert!(said.ends_with("done\nended with 0\n"), "{said}");
    settle(&cluster);
    let maintenance = cluster.on(&active, "cibadmin --query --scope crm_config");
    assert!(!maintenance.contains("maintenance-mode"), "{maintenance}");
    let stopped = steady.initiated("stop|demote");
    assert!(
        stopped.is_empty(),
        "the takeover stopped something: {stopped:#?}"
    );

    let before = cluster.on(&active, "cibadmin --query --scope configuration");
    let said = apply("");
    assert!(
        said.contains("nothing would change") && said.ends_with("ended with 0\n"),
        "{said}"
    );
    let after = cluster.on(&active, "cibadmin --query --scope configuration");
    assert_eq!(before, after, "a second run changed something");
    steady.end();
}
