#![allow(clippy::unwrap_used)]

use super::*;

const VENDOR: &str = include_str!("../../cib-gen/tests/vars-vendor.yml");
const LAN: &str = include_str!("../../cib-gen/tests/vars-lan.yml");
/// As pcs 0.11 writes it.
const CONF: &str = "totem {\n    version: 2\n    cluster_name: ha_cluster\n}\n\nnodelist {\n    node {\n        \
    ring0_addr: 172.31.16.133\n        name: ip-172-31-16-133\n        nodeid: 1\n    }\n\n    node {\n        \
    ring0_addr: 172.31.16.134\n        name: ip-172-31-16-134\n        nodeid: 2\n    }\n\n    node {\n        \
    ring0_addr: 172.31.16.135\n        name: ip-172-31-16-135\n        nodeid: 3\n    }\n}\n";

fn vars(text: &str) -> Option<(PathBuf, Vars)> {
    Some(("vars.yml".into(), Vars::parse("vars.yml", text).unwrap()))
}

fn on_the_second_node() -> Here {
    Here {
        hostname: "ip-172-31-16-134".to_owned(),
        addresses: vec![
            "127.0.0.1".parse().unwrap(),
            "172.31.16.134".parse().unwrap(),
        ],
        corosync_conf: Some(CONF.to_owned()),
    }
}

fn named(inventory: &Inventory) -> Vec<(String, String, bool)> {
    let machines = inventory.machines.iter();
    machines
        .map(|it| (it.name.clone(), it.host(), it.is_here))
        .collect()
}

#[test]
fn on_a_node_the_vendors_file_is_completed_by_the_cluster() {
    let inventory = Inventory::of(vars(VENDOR), &[], &on_the_second_node()).unwrap();
    let machine = |n: u8, here| (format!("ip-172-31-16-{n}"), format!("172.31.16.{n}"), here);
    assert_eq!(
        named(&inventory),
        [machine(133, false), machine(134, true), machine(135, false)]
    );
    assert_eq!(
        inventory.key().unwrap(),
        Path::new("/home/ubuntu/.ssh/aws-portsip-pbx-ha.pem")
    );
}

#[test]
fn on_a_node_no_file_is_needed() {
    let inventory = Inventory::of(None, &[], &on_the_second_node()).unwrap();
    assert_eq!(inventory.machines.len(), 3);
    assert_eq!(inventory.key(), None);
}

#[test]
fn elsewhere_the_vendors_file_is_completed_by_the_command_line() {
    let given = ["a=10.0.0.1", "b=10.0.0.2", "c=10.0.0.3"].map(|node| node.parse().unwrap());
    let inventory = Inventory::of(vars(VENDOR), &given, &Here::default()).unwrap();
    assert_eq!(named(&inventory)[2], ("c".into(), "10.0.0.3".into(), false));
}

#[test]
fn a_file_of_a_lan_says_it_all() {
    let inventory = Inventory::of(vars(LAN), &[], &Here::default()).unwrap();
    assert_eq!(named(&inventory)[0].0, "pbx01");
    assert_eq!(inventory.key(), None);
}

#[test]
fn where_nothing_says_which_machines_it_is_a_mistake_of_usage() {
    for (vars, given, said) in [
        (None, &[][..], "which cluster?"),
        (vars(VENDOR), &[], "vars.yml does not say"),
        (
            vars(VENDOR),
            &["a=10.0.0.1"],
            "has 3 nodes, and 1 are known",
        ),
    ] {
        let given: Vec<GivenNode> = given.iter().map(|node| node.parse().unwrap()).collect();
        let failure = Inventory::of(vars, &given, &Here::default()).unwrap_err();
        assert_eq!(failure.exit, crate::exit::Exit::Usage);
        assert!(failure.text.contains(said), "{failure}");
        assert!(failure.text.contains("--nodes"), "{failure}");
    }
}

#[test]
fn a_mistake_in_the_file_is_shown_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vars.yml");
    std::fs::write(
        &file,
        VENDOR.replace("ebs_volume_id: vol-", "ebs_volume_id: i-"),
    )
    .unwrap();
    let failure = Inventory::find(Some(&file), &[], &Here::default()).unwrap_err();
    assert_eq!(failure.exit, crate::exit::Exit::Usage);
    assert!(failure.text.contains("vars.yml:7:"), "{failure}");
}

#[test]
fn a_file_that_nobody_has_named_stops_nothing_on_a_node_of_the_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vars.yml");
    let two = VENDOR.replace("pbx03_instance_id", "# pbx03_instance_id");
    for text in [
        VENDOR.replace("ebs_volume_id: vol-", "ebs_volume_id: i-"),
        "not: [yaml".to_owned(),
        two,
    ] {
        std::fs::write(&file, &text).unwrap();
        let here = on_the_second_node();
        let inventory = Inventory::by_default(Some(file.clone()), &[], &here).unwrap();
        assert_eq!(inventory.machines.len(), 3);
        assert!(inventory.vars.is_none());
        // Elsewhere, nothing else says which machines the cluster has.
        let failure = Inventory::by_default(Some(file.clone()), &[], &Here::default());
        assert_eq!(failure.unwrap_err().exit, crate::exit::Exit::Usage);
        Inventory::find(Some(&file), &[], &here).unwrap_err();
    }
}

#[test]
fn an_address_is_not_given_to_another_node_where_one_has_none() {
    let conf = CONF.replacen("ring0_addr: 172.31.16.133", "", 1);
    let members = members(&conf);
    assert_eq!(members.len(), 3);
    assert!(
        members.iter().all(|(_, address)| address.is_none()),
        "{members:?}"
    );
}

/// Debian's package brings it, and it runs.
#[test]
fn the_distributions_sample_is_not_taken_for_the_cluster() {
    let mut here = on_the_second_node();
    here.corosync_conf = Some(
        "totem {\n    cluster_name: debian\n}\nnodelist {\n    node {\n        name: node1\n        nodeid: 1\n        \
         ring0_addr: 127.0.0.1\n    }\n}\n"
            .to_owned(),
    );
    let failure = Inventory::of(None, &[], &here).unwrap_err();
    assert!(failure.text.contains("which cluster?"), "{failure}");
    let failure = Inventory::of(vars(VENDOR), &[], &here).unwrap_err();
    assert!(failure.text.contains("does not say"), "{failure}");
}
