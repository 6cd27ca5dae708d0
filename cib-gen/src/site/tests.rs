#![allow(clippy::unwrap_used)]

use super::*;
use insta::assert_snapshot;

use ec2::NodeFacts;

use crate::nodes::GivenNode;
use crate::vars::FencingAction;

const VENDOR: &str = include_str!("../../tests/vars-vendor.yml");
const NAMES: &str = "\
pbx01_hostname: ip-172-31-16-133
pbx02_hostname: ip-172-31-16-134
pbx03_hostname: ip-172-31-16-135
pbx01_private_ip: 172.31.16.133
pbx02_private_ip: 172.31.16.134
pbx03_private_ip: 172.31.16.135
";

fn given() -> Known {
    let nodes = ["a=172.31.16.133", "b=172.31.16.134", "c=172.31.16.135"];
    Known {
        given: nodes.map(|n| n.parse().unwrap()).to_vec(),
        ..Known::default()
    }
}

fn found(n: u8, subnet: &str) -> NodeFacts {
    let ids = [
        "i-08807c762627239b8",
        "i-03411641c37513049",
        "i-0c301db1a53ae3a4b",
    ];
    NodeFacts {
        instance_id: ids[usize::from(n)].parse().unwrap(),
        instance_type: "c5.xlarge".to_owned(),
        shutting_down: false,
        hostname: format!("ec2-{n}"),
        private_ip: Ipv4Addr::new(172, 31, 16, 133 + n),
        public: None,
        secondary: Vec::new(),
        interface: None,
        volumes: Vec::new(),
        zone: "us-west-1c".to_owned(),
        vpc_id: None,
        subnet_id: "subnet-8cadc4e8".to_owned(),
        subnet_cidr: Some(subnet.parse().unwrap()),
    }
}

fn of(text: &str, known: &Known) -> Result<(Vec<Node>, AwsSite), Mistakes> {
    let site = Vars::parse("vars.yml", text).unwrap().resolve(known)?;
    match site.place {
        Place::Aws(aws) => Ok((site.nodes, aws)),
        Place::Lan(_) => panic!("this is the AWS system"),
    }
}

fn resolve(text: &str, known: &Known) -> Result<AwsSite, Mistakes> {
    of(text, known).map(|(_, aws)| aws)
}

fn mistakes(text: &str, known: &Known) -> String {
    resolve(text, known).unwrap_err().to_string()
}

fn names((nodes, _): &(Vec<Node>, AwsSite)) -> Vec<String> {
    nodes.iter().map(|n| n.name.to_string()).collect()
}

#[test]
fn vars_yml_goes_before_the_option_and_the_option_before_ec2() {
    let mut known = given();
    known.found = vec![
        found(2, "172.31.16.0/20"),
        found(0, "172.31.16.0/20"),
        found(1, "172.31.16.0/20"),
    ];
    let text = format!("{VENDOR}pbx02_hostname: second\n");
    assert_eq!(names(&of(&text, &known).unwrap()), ["a", "second", "c"]);
    known.given.clear();
    assert_eq!(
        names(&of(&text, &known).unwrap()),
        ["ec2-0", "second", "ec2-2"]
    );
}

#[test]
fn unknown_names_are_asked_for() {
    assert_snapshot!(mistakes(VENDOR, &Known::default()));
    let mut two = given();
    two.given.pop();
    assert_snapshot!(mistakes(&format!("{VENDOR}{NAMES}"), &two));
}

#[test]
fn the_region_of_the_file_goes_first() {
    let mut known = given();
    known.region = Some("eu-west-1".parse().unwrap());
    assert_eq!(
        resolve(VENDOR, &known).unwrap().region.unwrap().to_string(),
        "eu-west-1"
    );
    let text = format!("{VENDOR}region: us-west-1\n");
    assert_eq!(
        resolve(&text, &known).unwrap().region.unwrap().to_string(),
        "us-west-1"
    );
    assert_eq!(resolve(VENDOR, &given()).unwrap().region, None);
}

#[test]
fn an_instance_is_one_node_only() {
    let text = VENDOR.replace("i-03411641c37513049", "i-08807c762627239b8");
    assert_snapshot!(mistakes(&text, &given()));
}

#[test]
fn names_and_addresses_are_one_nodes_only() {
    let text = NAMES.replace("133", "135");
    assert_snapshot!(mistakes(&format!("{VENDOR}{text}"), &Known::default()));
}

/// Pacemaker takes them for one node.
#[test]
fn names_that_differ_in_case_only_are_one_nodes_name() {
    let text = NAMES.replace(
        "pbx03_hostname: ip-172-31-16-135",
        "pbx03_hostname: IP-172-31-16-133",
    );
    let said = mistakes(&format!("{VENDOR}{text}"), &Known::default());
    assert!(
        said.contains("E17") && said.contains("12 | pbx03_hostname"),
        "{said}"
    );
    assert!(
        said.contains("Pacemaker does not tell capitals from small letters"),
        "{said}"
    );
    let mut known = given();
    known.given[2].name = "A".parse().unwrap();
    let said = mistakes(VENDOR, &known);
    assert!(
        said.contains("E17") && said.contains("A is already the name of another node, a"),
        "{said}"
    );
}

#[test]
fn the_virtual_address_is_nobodys() {
    let text = VENDOR.replace("172.31.16.130", "172.31.16.134");
    assert_snapshot!(mistakes(&text, &given()));
}

#[test]
fn the_virtual_address_is_in_the_subnet() {
    let outside = VENDOR.replace("172.31.16.130", "172.31.32.1");
    assert_snapshot!(mistakes(
        &format!("{outside}subnet_cidr: 172.31.16.0/20\n"),
        &given()
    ));
    let known = Known {
        found: (0..3).map(|n| found(n, "172.31.16.0/20")).collect(),
        ..Known::default()
    };
    assert!(resolve(VENDOR, &known).is_ok());
    assert_snapshot!(mistakes(&outside, &known));
    for reserved in ["172.31.16.0", "172.31.16.3", "172.31.31.255"] {
        let text = VENDOR.replace("172.31.16.130", reserved);
        assert!(
            mistakes(&text, &known).contains("is reserved: AWS"),
            "{reserved}"
        );
    }
}

#[test]
fn the_virtual_address_is_private() {
    let public = VENDOR.replace("172.31.16.130", "54.151.30.10");
    assert_snapshot!(mistakes(&public, &given()));
}

#[test]
fn the_nodes_share_a_subnet() {
    let known = Known {
        found: vec![
            found(0, "172.31.16.0/20"),
            found(1, "172.31.16.0/20"),
            found(2, "172.31.0.0/20"),
        ],
        ..Known::default()
    };
    assert_snapshot!(mistakes(VENDOR, &known));
    let text = format!("{VENDOR}subnet_cidr: 172.31.16.128/29\n");
    assert_snapshot!(mistakes(&text, &given()));
}

#[test]
fn an_elastic_ip_is_public() {
    let text = VENDOR.replace("54.151.30.9", "172.31.16.130");
    assert_snapshot!(mistakes(&text, &given()));
}

#[test]
fn fencing_is_off_only_by_name() {
    let site = resolve(VENDOR, &given()).unwrap();
    assert_eq!(site.fencing, AwsFencing::Ec2(FencingAction::Off));
    let text = format!("{VENDOR}fencing_action: reboot\n");
    assert_eq!(
        resolve(&text, &given()).unwrap().fencing,
        AwsFencing::Ec2(FencingAction::Reboot)
    );
    let text = format!("{VENDOR}fencing: none\n");
    assert_eq!(resolve(&text, &given()).unwrap().fencing, AwsFencing::None);
    assert_snapshot!(mistakes(&format!("{text}fencing_action: off\n"), &given()));
}

#[test]
fn a_sip_port_without_a_transport_contradicts_itself() {
    let text = format!("{VENDOR}sip_transport: none\nsip_port: 5060\n");
    let said = mistakes(&text, &given());
    assert!(
        said.contains("E23") && said.contains("11 | sip_port: 5060"),
        "{said}"
    );
}

#[test]
fn defaults_are_the_vendors() {
    let site = Vars::parse("vars.yml", VENDOR)
        .unwrap()
        .resolve(&given())
        .unwrap();
    assert_eq!(site.pbx.data_path.to_string(), "/var/lib/portsip");
    assert_eq!(site.pbx.sip_transport, SipTransport::Udp);
    assert_eq!((site.pbx.sip_port, site.pbx.web_port), (Some(5060), 8887));
    let Place::Aws(aws) = site.place else {
        panic!("this is the AWS system");
    };
    assert_eq!(
        aws.device.mounted.to_string(),
        "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67"
    );
}

#[test]
fn a_node_of_the_option_is_a_name_and_an_address() {
    for bad in [
        "a",
        "a=",
        "=172.31.16.1",
        "a=172.31.16",
        "a b=172.31.16.1",
        "a=172.31.16.1;id",
    ] {
        assert!(bad.parse::<GivenNode>().is_err(), "{bad} was accepted");
    }
}

/// The newer guide names neither the virtual address nor the Elastic IP's address.
fn newer() -> String {
    let lines = VENDOR
        .lines()
        .filter(|l| !l.starts_with("private_vip") && !l.starts_with("eip_address"));
    lines.map(|l| format!("{l}\n")).collect()
}

#[test]
fn addresses_that_the_newer_guide_leaves_out_are_what_ec2_says() {
    let mut known = Known {
        found: (0..3).map(|n| found(n, "172.31.16.0/20")).collect(),
        elastic_ip: Some(Ok(crate::nodes::FoundAddress {
            public: Ipv4Addr::new(54, 151, 30, 9),
            private: Some(Ipv4Addr::new(172, 31, 16, 130)),
        })),
        ..Known::default()
    };
    let site = resolve(&newer(), &known).unwrap();
    assert_eq!(site.vip, Ipv4Addr::new(172, 31, 16, 130));
    assert_eq!(site.elastic_ip, Ipv4Addr::new(54, 151, 30, 9));

    // Not associated yet, or with a primary address: the only secondary address is the one.
    for private in [None, Some(Ipv4Addr::new(172, 31, 16, 134))] {
        let elastic_ip = known.elastic_ip.as_mut().unwrap();
        elastic_ip.as_mut().unwrap().private = private;
        known.found[2].secondary = vec![Ipv4Addr::new(172, 31, 16, 131)];
        let site = resolve(&newer(), &known).unwrap();
        assert_eq!(site.vip, Ipv4Addr::new(172, 31, 16, 131));
    }

    known.found[0].secondary = vec![Ipv4Addr::new(172, 31, 16, 132)];
    assert_snapshot!(mistakes(&newer(), &known));
    assert_snapshot!(mistakes(&newer(), &given()));
}

#[test]
fn an_elastic_ip_is_the_one_of_its_allocation() {
    let known = Known {
        found: (0..3).map(|n| found(n, "172.31.16.0/20")).collect(),
        elastic_ip: Some(Ok(crate::nodes::FoundAddress {
            public: Ipv4Addr::new(54, 151, 30, 10),
            private: None,
        })),
        ..Known::default()
    };
    assert_snapshot!(mistakes(VENDOR, &known));
}

#[test]
fn an_id_that_ec2_does_not_know_is_told_at_its_key() {
    let nowhere = || crate::nodes::NotInRegion("us-west-1".to_owned());
    let mut known = Known {
        elastic_ip: Some(Err(nowhere())),
        volume: Some(Err(nowhere())),
        ..given()
    };
    assert_snapshot!(mistakes(VENDOR, &known));
    // Nothing says that EC2 was not asked for the address.
    known.volume = None;
    known.found = vec![found(0, "172.31.16.0/20")];
    known.found[0].secondary = vec![Ipv4Addr::new(172, 31, 16, 130)];
    let said = mistakes(&newer(), &known);
    assert_eq!(said.matches("error[").count(), 1, "{said}");
}

#[test]
fn a_volume_that_the_nodes_cannot_attach_is_told() {
    let volume = crate::nodes::FoundVolume {
        zone: "us-west-1c".to_owned(),
        multi_attach: false,
        lost: false,
    };
    let mut known = Known {
        found: (0..3).map(|n| found(n, "172.31.16.0/20")).collect(),
        volume: Some(Ok(volume.clone())),
        ..Known::default()
    };
    resolve(VENDOR, &known).unwrap();
    let mut said = Vec::new();
    for (zone, multi_attach, lost) in [
        ("us-west-1a", false, false),
        ("us-west-1c", true, false),
        ("us-west-1c", false, true),
    ] {
        let zone = zone.to_owned();
        known.volume = Some(Ok(crate::nodes::FoundVolume {
            zone,
            multi_attach,
            lost,
        }));
        said.push(mistakes(VENDOR, &known));
    }
    assert_snapshot!(said.join("\n"));
}

#[test]
fn an_address_that_no_host_can_have_is_no_elastic_ip() {
    for address in ["254.151.30.9", "224.0.0.18", "255.255.255.255", "0.1.2.3"] {
        let said = mistakes(&VENDOR.replace("54.151.30.9", address), &given());
        assert!(
            said.starts_with("error[E21]") && said.contains("no address of a single host"),
            "{said}"
        );
    }
    let text = VENDOR.replace("54.151.30.9", "223.255.255.9");
    assert!(resolve(&text, &given()).is_ok());
}

mod device;

mod lan {
    use super::*;
    use crate::nodes::FoundDisk;
    use crate::vars::DrbdVersion;

    const LAN: &str = include_str!("../../tests/vars-lan.yml");

    fn resolve(text: &str, known: &Known) -> Result<LanSite, Mistakes> {
        let site = Vars::parse("vars.yml", text).unwrap().resolve(known)?;
        match site.place {
            Place::Lan(lan) => Ok(lan),
            Place::Aws(_) => panic!("this is the LAN system"),
        }
    }

    fn mistakes(text: &str) -> String {
        resolve(text, &Known::default()).unwrap_err().to_string()
    }

    #[test]
    fn the_virtual_address_is_nobodys_and_of_the_lan() {
        let taken = LAN.replace("vip: 192.168.1.130", "vip: 192.168.1.132");
        assert_snapshot!(mistakes(&taken));
        for vip in [
            "192.168.2.130",
            "192.168.1.255",
            "192.168.1.0",
            "54.151.30.9",
        ] {
            let text = LAN.replace("vip: 192.168.1.130", &format!("vip: {vip}"));
            assert!(
                mistakes(&format!("{text}subnet_cidr: 192.168.1.0/24\n")).contains("E19"),
                "{vip}"
            );
        }
        let public = LAN.replace("vip: 192.168.1.130", "vip: 54.151.30.9");
        assert!(mistakes(&public).contains("E20"));
    }

    #[test]
    fn the_size_fits_the_disk_where_that_is_known() {
        let known = |bytes| Known {
            disk: Some(FoundDisk {
                node: "pbx01".into(),
                bytes,
            }),
            ..Known::default()
        };
        let said = resolve(LAN, &known(36 << 30)).unwrap_err().to_string();
        assert_snapshot!(said);
        assert!(resolve(LAN, &known((36 << 30) + (8 << 20))).is_ok());
    }

    #[test]
    fn a_watchdog_fences_unless_something_else_is_named() {
        assert_eq!(
            resolve(LAN, &Known::default()).unwrap().fencing,
            LanFencing::Watchdog
        );
        assert_snapshot!(mistakes(&format!(
            "{LAN}fencing_action: off\nfencing_options: ip=192.168.1.230\npbx02_fencing_options: plug=2\n"
        )));
        assert_snapshot!(mistakes(&format!(
            "{LAN}fencing: fence_ipmilan\nfencing_options: ip=192.168.1.230\npbx02_fencing_options: ip=192.168.1.232\n"
        )));
        assert_snapshot!(
            Vars::parse("vars.yml", format!("{LAN}fencing: ipmi\n"))
                .unwrap_err()
                .to_string()
        );
    }

    #[test]
    fn drbd_84_is_for_three_nodes_and_needs_fencing() {
        let four = "pbx04_hostname: pbx04\npbx04_private_ip: 192.168.1.134\n";
        let five = "pbx05_hostname: pbx05\npbx05_private_ip: 192.168.1.135\n";
        let more = format!("{LAN}{four}{five}");
        assert_snapshot!(mistakes(&format!("{more}fencing: none\ndrbd: 8.4\n")));
        for (text, drbd) in [
            (format!("{more}fencing: none\ndrbd: 9\n"), DrbdVersion::Nine),
            (LAN.to_owned(), DrbdVersion::Nine),
            (format!("{LAN}drbd: 8.4\n"), DrbdVersion::EightFour),
        ] {
            assert_eq!(resolve(&text, &Known::default()).unwrap().drbd, drbd);
        }
        let unknown = Vars::parse("vars.yml", format!("{LAN}drbd: 8\n"));
        assert_snapshot!(unknown.unwrap_err().to_string());
    }
}
