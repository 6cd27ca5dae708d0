//! A vars.yml of the LAN system.

use super::*;

const LAN: &str = include_str!("../../../tests/vars-lan.yml");

fn with(key: &str, line: &str) -> String {
    let lines = LAN
        .lines()
        .map(|l| if l.starts_with(key) { line } else { l });
    lines.map(|l| format!("{l}\n")).collect()
}

#[test]
fn the_vendors_file_is_accepted_unchanged() {
    let vars = Vars::parse("vars.yml", LAN).unwrap();
    assert!(matches!(vars.topology, Topology::Lan(_)));
    assert_eq!(vars.node_count(), 3);
    assert!(!vars.lacks_nodes());
}

#[test]
fn a_partition_is_no_disk_to_give_away() {
    for (path, disk) in [
        ("/dev/sdb1", "/dev/sdb"),
        ("/dev/nvme1n1p2", "/dev/nvme1n1"),
        ("/dev/vdb3", "/dev/vdb"),
        ("/dev/mmcblk0p1", "/dev/mmcblk0"),
        ("/dev/disk/by-id/ata-X_1-part1", "/dev/disk/by-id/ata-X_1"),
    ] {
        let said = mistakes(&with(
            "pbx_datapath_disk",
            &format!("pbx_datapath_disk: {path}"),
        ));
        assert!(said.contains("is a partition"), "{said}");
        assert!(said.contains(&format!("help: write {disk},")), "{said}");
    }
    for path in [
        "/dev/sdb",
        "/dev/nvme1n1",
        "/dev/dm-3",
        "/dev/md0",
        "/dev/loop7",
        "/dev/disk/by-id/wwn-0x5",
        "/dev/mapper/pbx",
    ] {
        let text = with("pbx_datapath_disk", &format!("pbx_datapath_disk: {path}"));
        Vars::parse("vars.yml", &text).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
}

#[test]
fn a_size_has_a_unit() {
    assert_snapshot!(mistakes(&with(
        "pbx_datapath_size",
        "pbx_datapath_size: 36"
    )));
    assert_snapshot!(mistakes(&with(
        "pbx_datapath_size",
        "pbx_datapath_size: 36000000P"
    )));
    assert_snapshot!(mistakes(&with(
        "pbx_datapath_size",
        "pbx_datapath_size: 100M"
    )));
    for (text, bytes) in [
        ("36G", 36 << 30),
        ("49900M", 49900 << 20),
        ("1.5T", 3 << 39),
        ("2TiB", 2 << 40),
    ] {
        assert_eq!(text.parse::<Size>().unwrap().bytes(), bytes, "{text}");
    }
}

#[test]
fn an_image_has_a_tag() {
    for (image, good) in [
        ("portsip/pbx:22", true),
        ("registry.example:5000/portsip/pbx:22.4", true),
        ("portsip/pbx@sha256:0123", true),
        ("portsip/pbx", false),
        ("registry.example:5000/portsip/pbx", false),
        ("portsip/pbx:", false),
    ] {
        let text = with("pbx_image", &format!("pbx_image: {image}"));
        assert_eq!(Vars::parse("vars.yml", &text).is_ok(), good, "{image}");
    }
    assert_snapshot!(mistakes(&with("pbx_image", "pbx_image: portsip/pbx")));
}

#[test]
fn passwords_do_not_belong_here() {
    assert_snapshot!(mistakes(&format!(
        "{LAN}pcs_hacluster_pwd: 123456\ndb_pwd: 123456\n"
    )));
    assert_snapshot!(mistakes(&format!(
        "{LAN}fencing: fence_ipmilan\nfencing_options: ip=192.168.1.9 username=a password=secret\n"
    )));
}

#[test]
fn a_secret_is_not_shown_again() {
    let said = mistakes(&format!(
        "{LAN}db_pwd: hunter2\nfencing_options: ip=a passwd=hunter3\n"
    ));
    assert!(!said.contains("hunter"), "{said}");
}

#[test]
fn the_number_of_nodes_is_odd() {
    let without = |n: usize| -> String {
        let lines = LAN.lines().filter(|l| !l.starts_with(&format!("pbx0{n}")));
        lines.map(|l| format!("{l}\n")).collect()
    };
    assert_snapshot!(mistakes(&without(3)));
    let node = |n: usize| format!("pbx0{n}_hostname: pbx0{n}\npbx0{n}_private_ip: 192.168.1.{n}\n");
    assert_snapshot!(mistakes(&format!("{LAN}{}", node(4))));
    let nine: String = (4..=9).map(node).collect();
    assert_eq!(
        Vars::parse("vars.yml", format!("{LAN}{nine}"))
            .unwrap()
            .node_count(),
        9
    );
    assert_snapshot!(mistakes(&format!("{LAN}{nine}pbx10_hostname: pbx10\n")));
}

#[test]
fn keys_of_the_other_system_are_known_as_such() {
    assert_snapshot!(mistakes(&format!(
        "{LAN}eip_allocation_id: eipalloc-02c7cf64a5cd449cf\nebs_volume: x\n"
    )));
}

#[test]
fn the_aws_system_of_v12_is_told_what_has_become_of_it() {
    assert_snapshot!(mistakes(
        "pbx01_hostname: ip-172-31-5-133\npbx02_hostname: ip-172-31-5-134\npbx03_hostname: ip-172-31-5-135\n\
         pbx01_private_ip: 172.31.5.133\npbx02_private_ip: 172.31.5.134\npbx03_private_ip: 172.31.5.135\n\
         eip: 18.167.16.89\neip_allocation_id: eipalloc-02c7cf64a5cd449cf\npcs_hacluster_pwd: 123456\n\
         db_pwd: 123456\npbx_image: portsip/pbx:12\npbx_datapath_disk: /dev/nvme1n1\npbx_datapath_size: 49900M\n"
    ));
}
