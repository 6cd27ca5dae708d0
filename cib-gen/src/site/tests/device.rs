//! How the volume is called on the nodes.

use super::*;

const LINK: &str = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67";

/// Three instances of a type; the second one has another volume too.
fn instances(kind: &str) -> Known {
    let mut found: Vec<NodeFacts> = (0..3).map(|n| found(n, "172.31.16.0/20")).collect();
    for node in &mut found {
        node.instance_type = kind.to_owned();
    }
    found[1].volumes = vec![("vol-00000000000000001".to_owned(), "/dev/sdg".to_owned())];
    Known {
        found,
        ..Known::default()
    }
}

fn device(more: &str, known: &Known) -> (String, Option<String>) {
    let device = resolve(&format!("{VENDOR}{more}"), known).unwrap().device;
    let attached_as = device.attached_as.map(|name| name.to_string());
    (device.mounted.to_string(), attached_as)
}

#[test]
fn what_attaches_the_volume_and_what_mounts_it_follow_one_name() {
    let link = LINK.to_owned();
    let nothing = (link.clone(), None);
    for known in [given(), instances("c5.xlarge")] {
        assert_eq!(device("", &known), nothing);
        assert_eq!(device(&format!("ebs_device: {LINK}\n"), &known), nothing);
        let asked = (link.clone(), Some("/dev/sdg".to_owned()));
        assert_eq!(device("ebs_device: /dev/sdg\n", &known), asked);
    }
    for known in [given(), instances("t2.large")] {
        let name = "/dev/xvdh".to_owned();
        let xen = (name.clone(), Some(name));
        assert_eq!(device("ebs_device: /dev/xvdh\n", &known), xen);
    }
}

#[test]
fn a_name_that_the_nodes_do_not_have_is_refused() {
    for (more, kind, code, said) in [
        ("", "t2.large", "E10", "is a Xen instance (t2.large)"),
        (
            "ebs_device: /dev/sdf\n",
            "m4.large",
            "E10",
            "is a Xen instance (m4.large)",
        ),
        (
            "ebs_device: /dev/xvdf\n",
            "c5.xlarge",
            "E10",
            "no device is called /dev/xvdf there",
        ),
        (
            "ebs_device: /dev/xvdf\n",
            "i3.metal",
            "E10",
            "is not a Xen instance",
        ),
        (
            "ebs_device: /dev/xvdg\n",
            "t2.large",
            "E10",
            "another volume on i-03411641c37513049",
        ),
    ] {
        let said_of = mistakes(&format!("{VENDOR}{more}"), &instances(kind));
        assert!(
            said_of.contains(said) && said_of.contains(code),
            "{kind} {more}: {said_of}"
        );
    }
}

#[test]
fn a_link_of_another_volume_contradicts_the_volume() {
    let text = format!("{VENDOR}ebs_device: {}\n", LINK.replace("b67", "b68"));
    let said = mistakes(&text, &given());
    assert!(
        said.contains("E23") && said.contains("another volume than vol-0e06e1e9da3c49b67"),
        "{said}"
    );
}
