#![allow(clippy::unwrap_used)]

mod lan;

use super::keys::names;
use super::*;
use insta::assert_snapshot;

const VENDOR: &str = include_str!("../../tests/vars-vendor.yml");

fn mistakes(text: &str) -> String {
    match Vars::parse("vars.yml", text) {
        Ok(_) => panic!("this was accepted:\n{text}"),
        Err(mistakes) => mistakes.to_string(),
    }
}

/// The vendor's file with one line replaced.
fn with(key: &str, line: &str) -> String {
    let lines = VENDOR
        .lines()
        .map(|l| if l.starts_with(key) { line } else { l });
    lines.map(|l| format!("{l}\n")).collect()
}

#[test]
fn the_vendors_file_is_accepted_unchanged() {
    let vars = Vars::parse("vars.yml", VENDOR).unwrap();
    let Topology::Aws(aws) = &vars.topology else {
        panic!("this is the AWS system");
    };
    assert_eq!(aws.instance_ids[2].value.to_string(), "i-0c301db1a53ae3a4b");
    assert_eq!(
        aws.private_vip_address.as_ref().unwrap().value,
        Ipv4Addr::new(172, 31, 16, 130)
    );
    assert_eq!(
        aws.eip_allocation_id.value.to_string(),
        "eipalloc-02c7cf64a5cd449cf"
    );
    assert_eq!(vars.shared.pbx_image.value.to_string(), "portsip/pbx:22");
    assert_eq!(
        vars.shared.pbx_image.position,
        Position {
            line: 8,
            column: 12
        }
    );
}

#[test]
fn every_key_is_accepted_with_its_example() {
    for system in [System::Aws, System::Lan] {
        // A name or an id in common would be a contradiction, but none of a single value.
        let of_system = KEYS.iter().filter(|k| k.system.is_none_or(|s| s == system));
        let all: String = of_system
            .flat_map(|k| {
                names(k)
                    .into_iter()
                    .map(|n| format!("{n}: {}\n", k.example))
            })
            .collect();
        let vars = Vars::parse("vars.yml", &all).unwrap();
        assert!(!vars.lacks_nodes());
    }
}

#[test]
fn quotes_comments_and_windows_line_ends_are_yaml() {
    let text = with("pbx_image", "pbx_image: \"portsip/pbx:22\"  # the PBX").replace('\n', "\r\n");
    let vars = Vars::parse("vars.yml", format!("\u{feff}---\r\n{text}")).unwrap();
    assert_eq!(vars.shared.pbx_image.value.to_string(), "portsip/pbx:22");
}

#[test]
fn an_unknown_key_is_named_with_the_one_that_was_meant() {
    assert_snapshot!(mistakes(&format!("{VENDOR}eip_adress: 54.151.30.9\n")));
    assert_snapshot!(mistakes(&format!("{VENDOR}colour: blue\n")));
}

#[test]
fn keys_of_other_guides_are_known_as_such() {
    assert_snapshot!(mistakes(&format!(
        "vip: 172.31.16.130\npcs_hacluster_pwd: x\n{VENDOR}"
    )));
}

#[test]
fn a_missing_key_is_shown_with_an_example() {
    let text: String = VENDOR
        .lines()
        .filter(|l| !l.starts_with("ebs_volume_id") && !l.starts_with("pbx02"))
        .map(|l| format!("{l}\n"))
        .collect();
    assert_snapshot!(mistakes(&text));
}

#[test]
fn a_key_written_twice_is_shown_at_its_second_place_and_the_rest_is_checked_too() {
    let text = with("ebs_volume_id", "ebs_volume_id: vol-1").replace('\r', "");
    assert_snapshot!(mistakes(&format!("{text}eip_address: 54.151.30.10\n")));
}

#[test]
fn one_run_shows_every_mistake() {
    assert_snapshot!(mistakes(
        "pbx01_instance_id: i-08807c762627239b8\n\
         pbx02_instance_id: i-08807c762627239b8\n\
         pbx03_instance_id: vol-0e06e1e9da3c49b67\n\
         pbx02_private_ip: 172.31.16.134\n\
         private_vip_address: 172.31.16.134\n\
         eip_adress: 54.151.30.9\n\
         eip_address: 10.0.0.1\n\
         eip_allocation_id: eipalloc-02c7cf64a5cd449cf\n\
         ebs_volume_id: i-08807c762627239b8\n\
         pbx_image: portsip/pbx\n\
         subnet_cidr: 172.31.32.0/20\n\
         fencing: none\n\
         fencing_action: off\n\
         db_pwd: secret\n"
    ));
}

#[test]
fn ids_are_checked() {
    assert_snapshot!(mistakes(&with(
        "ebs_volume_id",
        "ebs_volume_id: i-08807c762627239b8"
    )));
    assert_snapshot!(mistakes(&with(
        "eip_allocation_id",
        "eip_allocation_id: eipalloc-02c7cf64a5cd449"
    )));
    assert_snapshot!(mistakes(&with(
        "pbx03",
        "pbx03_instance_id:   i-0c301db1a53ae3a4G # third"
    )));
}

#[test]
fn addresses_are_checked() {
    assert_snapshot!(mistakes(&with(
        "private_vip",
        "private_vip_address: 172.31.16.300"
    )));
    assert_snapshot!(mistakes(&format!(
        "{VENDOR}subnet_cidr: 172.31.16.130/20\n"
    )));
}

#[test]
fn words_are_checked() {
    assert_snapshot!(mistakes(&format!(
        "{VENDOR}fencing: sbd\nfencing_action: on\nregion: us-west-1c\nebs_device: sdf\ndata_path: /etc/\npbx01_hostname: a'b\n"
    )));
}

#[test]
fn ports_and_the_transport_of_sip_are_checked() {
    let said = mistakes(&format!(
        "{VENDOR}sip_transport: sctp\nsip_port: 0\nweb_port: 65536\n"
    ));
    for wrong in [
        "sip_transport: `sctp` is not a transport",
        "sip_port: `0` is not a port",
        "web_port: `65536` is not a port",
    ] {
        assert!(said.contains(wrong), "{said}");
    }
}

#[test]
fn an_empty_value_is_no_value() {
    assert_snapshot!(mistakes(&with("pbx_image", "pbx_image:")));
}

#[test]
fn what_is_written_twice_is_shown_each_time() {
    let text = with("ebs_volume_id", "ebs_volume_id: vol-1").replace('\r', "");
    let said = mistakes(&format!(
        "{text}ebs_volume_id: vol-1\neip_address: 1.2.3.4\n"
    ));
    assert_eq!(said.matches("is written twice").count(), 2, "{said}");
}

#[test]
fn a_list_or_a_table_where_a_word_belongs_hides_no_other_mistake() {
    for value in [
        "[a, b]",
        "[a,\n  b]",
        "[\n  a\n]",
        "\n  - a\n  - b",
        "\n- a\n\n# all\n- b",
        "\n  name: a\n  tag: b",
        "{name: a}",
    ] {
        let text = with("pbx_image", &format!("pbx_image: {value}")).replace('\r', "");
        let said = mistakes(&format!("regoin: us-west-1\n{text}fencing: [a]\n"));
        assert_eq!(said.matches("E03").count(), 2, "{value:?}: {said}");
        assert_eq!(said.matches("regoin").count(), 2, "{value:?}: {said}");
        assert!(!said.contains("is missing"), "{value:?}: {said}");
        assert!(!said.contains("has no value"), "{value:?}: {said}");
    }
}

#[test]
fn what_is_no_list_of_keys_is_refused_in_one_message() {
    assert_snapshot!(mistakes(&with("pbx_image", "pbx_image: [a, b]")));
    assert_snapshot!(mistakes("pbx01_instance_id: 'i-08807c762627239b8\n"));
    assert_snapshot!(mistakes("- a\n- b\n"));
    assert_snapshot!(mistakes("hello"));
}

#[test]
fn an_empty_file_is_of_neither_system() {
    for text in ["", "# only a comment\n", "pbx_image: portsip/pbx:22\n"] {
        assert_snapshot!(mistakes(text));
    }
}

#[test]
fn every_key_that_is_needed_is_called_missing() {
    for (system, text) in [
        (System::Aws, "region: us-west-1\n"),
        (System::Lan, "pbx01_fencing_options: ip=192.168.1.231\n"),
    ] {
        let said = mistakes(text);
        for key in KEYS {
            let missing = format!("`{}` is missing", names(key)[0]);
            let needed = key.required && key.system.is_none_or(|s| s == system);
            assert_eq!(said.contains(&missing), needed, "{}", key.name);
        }
    }
}

#[test]
fn a_file_can_not_drive_the_terminal() {
    let text = mistakes(&with("pbx_image", "pbx_image: \"\\e[31mred\""));
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn no_text_makes_the_reader_panic() {
    use proptest::prelude::*;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..Default::default()
    });
    let texts = (0..VENDOR.len(), "\\PC{0,12}", 0..8usize);
    runner
        .run(&texts, |(place, noise, cut)| {
            let mut text = VENDOR.to_owned();
            text.replace_range(place..(place + cut).min(VENDOR.len()), &noise);
            if let Err(mistakes) = Vars::parse("vars.yml", &text) {
                prop_assert!(mistakes.iter().count() > 0);
                prop_assert!(!mistakes.to_string().is_empty());
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_examples_have_every_key_and_are_accepted() {
    let aws = include_str!("../../../packaging/examples/vars-aws.yml");
    let lan = include_str!("../../../packaging/examples/vars-lan.yml");
    for (system, example, short, more) in [
        (
            System::Aws,
            aws,
            VENDOR,
            "region: us-west-1\nsubnet_cidr: 172.31.16.0/20\nvpc_cidr: 172.31.0.0/16\nadmin_cidr: 203.0.113.0/24\n\
             ebs_device: /dev/xvdf\n",
        ),
        (
            System::Lan,
            lan,
            include_str!("../../tests/vars-lan.yml"),
            "subnet_cidr: 192.168.1.0/24\nfencing: fence_ipmilan\n\
             fencing_options: lanplus=1 username=fencing password_script=/etc/portsip-ha/bmc-password\n\
             pbx01_fencing_options: ip=192.168.1.231\npbx02_fencing_options: ip=192.168.1.232\n\
             pbx03_fencing_options: ip=192.168.1.233\n",
        ),
    ] {
        let parsed = Vars::parse("vars.yml", example).unwrap();
        assert_eq!(parsed.node_count(), 3);
        // The optional keys are comments.
        let example: String = example
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(key) if !key.starts_with(' ') => format!("{key}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let keys = KEYS.iter().filter(|k| k.system.is_none_or(|s| s == system));
        for name in keys.flat_map(names) {
            let there = example.contains(&format!("\n{name}: "));
            assert!(there, "{name} is not in the example");
        }
        let example = Vars::parse("vars.yml", &*example).unwrap();
        let mut site = example.resolve(&crate::nodes::Known::default()).unwrap();
        assert_eq!(site.pbx.written.len(), 3);
        site.pbx.written.clear();
        // The defaults that its comments name are the real ones.
        let short = Vars::parse("vars.yml", format!("{short}{more}")).unwrap();
        let given = site
            .nodes
            .iter()
            .map(|n| format!("{}={}", n.name, n.address));
        let known = crate::nodes::Known {
            given: given.map(|n| n.parse().unwrap()).collect(),
            ..Default::default()
        };
        assert_eq!(site, short.resolve(&known).unwrap());
    }
}

#[test]
fn what_is_no_text_of_a_vars_yml_is_refused_at_once() {
    let mut bytes = VENDOR.as_bytes().to_vec();
    bytes[25] = 0xff;
    assert_snapshot!(Vars::parse("vars.yml", &bytes).unwrap_err().to_string());
    let huge = "a: b\n".repeat(1 << 20);
    assert_snapshot!(mistakes(&huge));
    let keys: String = (0..7000).map(|n| format!("k{n}: v\n")).collect();
    assert_snapshot!(mistakes(&keys));
    assert_snapshot!(mistakes(&"? ".repeat(30_000)));
    assert_snapshot!(mistakes(&format!("pbx_image: {}", "[".repeat(30_000))));
    assert_snapshot!(mistakes(&format!(
        "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n{VENDOR}"
    )));
    let anchored = VENDOR.replace("172.31.16.130", "&vip 172.31.16.130");
    assert_snapshot!(mistakes(&format!("{anchored}<<: *vip\n")));
    assert_snapshot!(mistakes(&format!("%YAML 9.9\n---\n{VENDOR}---\n{VENDOR}")));
    assert_snapshot!(mistakes(
        &VENDOR.replace("172.31.16.130", "!!binary aGVsbG8=")
    ));
}
