#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;

use clap::ValueEnum;

use super::Format;
use super::sites;
use crate::cluster::Resource;
use crate::nodes::Known;
use crate::{Cluster, Vars, render};

const VENDOR: &str = include_str!("../../tests/vars-vendor.yml");

fn cluster(more: &str) -> Cluster {
    let names = [
        "ip-172-31-16-133=172.31.16.133",
        "ip-172-31-16-134=172.31.16.134",
        "ip-172-31-16-135=172.31.16.135",
    ];
    let known = Known {
        given: names.map(|n| n.parse().unwrap()).to_vec(),
        ..Known::default()
    };
    let vars = Vars::parse("vars.yml", format!("{VENDOR}{more}")).unwrap();
    Cluster::of(&vars.resolve(&known).unwrap())
}

#[test]
fn pcs_commands_of_the_vendors_file() {
    assert_snapshot!(render::pcs(&cluster("region: us-west-1\n")));
}

#[test]
fn cib_of_the_vendors_file() {
    assert_snapshot!(render::cib(&cluster("region: us-west-1\n")));
}

fn lan(more: &str) -> Cluster {
    Cluster::of(&sites::lan(more))
}

/// A device for each node, and everything else that a LAN can have.
const WITH_AGENT: &str = "\
fencing: fence_ipmilan
fencing_options: lanplus=1 username=fencing password_script=/etc/portsip-ha/bmc-password
pbx01_fencing_options: ip=192.168.1.231
pbx02_fencing_options: ip=192.168.1.232
pbx03_fencing_options: ip=192.168.1.233 plug=3
subnet_cidr: 192.168.1.0/24
";

#[test]
fn the_lan_system() {
    assert_snapshot!(render::pcs(&lan("")));
    assert_snapshot!(render::cib(&lan(WITH_AGENT)));
}

#[test]
fn what_makes_the_nodes_a_cluster() {
    assert_snapshot!(render::corosync(&lan("")));
    assert_snapshot!(after_the_opening(&render::corosync(&cluster(""))));
}

#[test]
fn the_drbd_resource() {
    let cluster = lan("");
    assert_snapshot!(render::drbd(
        cluster.drbd.as_ref().unwrap(),
        &cluster.warnings
    ));
}

#[test]
fn drbd_84_has_two_copies_and_a_node_that_only_votes() {
    let (nine, stock) = (lan(""), lan("drbd: 8.4\n"));
    assert_snapshot!(render::drbd(stock.drbd.as_ref().unwrap(), &[]));
    let written = render::pcs(&nine);
    let differs: Vec<String> = (render::pcs(&stock).lines())
        .filter(|line| !written.lines().any(|other| other == *line))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_snapshot!(differs.concat());
    assert_eq!(render::corosync(&nine), render::corosync(&stock));
}

/// What differs from one cluster to the next.
fn after_the_opening(script: &str) -> &str {
    &script[script.find("main() {").unwrap()..]
}

#[test]
fn without_fencing_every_rendering_that_can_says_so() {
    for site in [sites::aws("fencing: none\n"), sites::lan("fencing: none\n")] {
        let cluster = Cluster::of(&site);
        for format in Format::value_variants() {
            let Ok(text) = render::render(&site, &cluster, *format) else {
                continue;
            };
            // A policy has no place for it, and the rules of a group have nothing to do with it.
            let silent = matches!(
                format,
                Format::IamPolicy | Format::IamPolicyOperator | Format::SecurityGroup
            );
            let said = text.contains("WARNING: fencing: none");
            assert_eq!(said, !silent, "{format:?}: {text}");
            assert!(!text.contains("fence_aws"), "{format:?}: {text}");
        }
        let script = render::pcs(&cluster);
        assert!(script.contains("stonith-enabled=false"));
        // Without fencing nothing makes sure that an instance has let the volume go.
        assert!(!script.contains("cluster_instances="), "{script}");
        assert!(render::cib(&cluster).contains("stonith-enabled"));
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for site in [
        || sites::aws("subnet_cidr: 172.31.16.0/20\n"),
        || sites::lan(WITH_AGENT),
    ] {
        for format in Format::value_variants() {
            let written = || {
                let site = site();
                render::render(&site, &Cluster::of(&site), *format).ok()
            };
            assert_eq!(written(), written(), "{format:?}");
        }
    }
}

/// The parameters of a resource, `NAME=VALUE`.
fn parameters(cluster: &Cluster, id: &str) -> Vec<String> {
    let of = cluster.primitives().find(|primitive| primitive.id == id);
    let parameters = of.unwrap().parameters.iter();
    parameters
        .map(|p| format!("{}={}", p.name, p.value))
        .collect()
}

#[test]
fn the_volume_knows_the_clusters_instances_where_a_lost_one_is_fenced() {
    let all = "cluster_instances=i-08807c762627239b8 i-03411641c37513049 i-0c301db1a53ae3a4b";
    for more in ["", "fencing_action: reboot\n"] {
        let has = parameters(&cluster(more), "ebs");
        assert!(has.iter().any(|parameter| parameter == all), "{has:?}");
    }
}

#[test]
fn one_name_is_attached_and_mounted() {
    for (more, attached, mounted) in [
        ("", None, "by-id"),
        ("ebs_device: /dev/sdg\n", Some("device=/dev/sdg"), "by-id"),
        (
            "ebs_device: /dev/xvdg\n",
            Some("device=/dev/xvdg"),
            "device=/dev/xvdg",
        ),
    ] {
        let cluster = cluster(more);
        let ebs = parameters(&cluster, "ebs");
        let device = ebs.iter().find(|p| p.starts_with("device="));
        assert_eq!(device.map(String::as_str), attached, "{more}");
        let file_system = &parameters(&cluster, "datapath_fs")[0];
        assert!(file_system.contains(mounted), "{more}: {file_system}");
    }
}

#[test]
fn resources_stand_in_the_vendors_order() {
    let cluster = cluster("");
    let ids: Vec<&str> = cluster.resources.iter().map(|r| r.id()).collect();
    let vendor = [
        "eip",
        "privip",
        "vip",
        "src_pkt_ip",
        "ebs",
        "datapath_fs",
        "pbx",
    ];
    assert_eq!(ids[..7], vendor);
    assert_eq!(ids[7..], ["fencing"]);
}

#[test]
fn the_stock_agent_of_the_virtual_address_is_there_for_who_names_it() {
    let of = |cluster: &Cluster| -> Vec<String> {
        let privip = cluster.primitives().find(|p| p.id == "privip").unwrap();
        let names = privip.parameters.iter().map(|p| p.name.clone());
        std::iter::once(render::agent_name(&privip.agent))
            .chain(names)
            .collect()
    };
    let ours = ["ocf:portsip:awsvip", "secondary_private_ip"];
    assert_eq!(of(&cluster("")), ours);
    let stock = cluster("privip_agent: ocf:heartbeat:awsvip\n");
    assert_eq!(of(&stock)[0], "ocf:heartbeat:awsvip");
    assert!(render::pcs(&stock).contains("on-fail=ignore"));
}

#[test]
fn where_the_pbx_answers_is_written_where_vars_yml_says_it_also_if_it_is_the_default() {
    let of = |more: &str| -> Vec<String> {
        let cluster = cluster(more);
        let pbx = cluster.primitives().find(|p| p.id == "pbx").unwrap();
        let parameters = pbx.parameters.iter().skip(2);
        parameters
            .map(|p| format!("{}={}", p.name, p.value))
            .collect()
    };
    assert_eq!(of(""), [""; 0]);
    assert_eq!(
        of("sip_transport: udp\nsip_port: 5060\nweb_port: 8887\n"),
        ["sip_transport=udp", "sip_port=5060", "web_port=8887"]
    );
    assert_eq!(of("sip_port: 5070\n"), ["sip_port=5070"]);
    assert_eq!(of("sip_transport: tls\n"), ["sip_transport=tls"]);
    assert_eq!(
        of("sip_transport: tcp\nsip_port: 5060\nweb_port: 8443\n"),
        ["sip_transport=tcp", "sip_port=5060", "web_port=8443"]
    );
    assert_eq!(of("sip_transport: none\n"), ["sip_transport=none"]);
}

#[test]
fn nothing_in_a_value_becomes_a_command_or_an_element() {
    let mut cluster = cluster("");
    let hostile = "x' $(touch /tmp/x) `id` \"<a b='c'>& ; #\n\\";
    cluster.corosync.nodes[0].name = hostile.to_owned();
    let Resource::Primitive(first) = &mut cluster.resources[0] else {
        panic!("the first is a primitive");
    };
    first.parameters[0].value = hostile.to_owned();
    cluster.warnings.push(format!("-- --> \n{hostile}"));

    // The shell itself says what the words are: `pcs` writes them down.
    let tools = tempfile::tempdir().unwrap();
    let put = |name: &str, program: &str| {
        let path = tools.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{program}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    put(
        "pcs",
        "[ \"$1 $2\" != 'cluster cib' ] || : >\"$3\"; printf '<%s>' \"$@\"",
    );
    put("cibadmin", "case $* in *contains*) exit 1 ;; esac");
    put("crm_verify", "");
    put("crm_resource", "");
    let path = format!("{}:{}", tools.path().display(), env!("PATH"));
    let output = std::process::Command::new("sh")
        .args(["-c", &render::pcs(&cluster)])
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(
        words.contains(&format!("<allocation_id={hostile}>")),
        "{words}"
    );

    let xml = render::cib(&cluster);
    let mut reader = quick_xml::Reader::from_str(&xml);
    let mut values = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Empty(e) => {
                assert_ne!(e.name().as_ref(), "a");
                for attribute in e.attributes() {
                    values.push(attribute.unwrap().value.into_owned());
                }
            }
            _ => {}
        }
    }
    let raw = values.iter().any(|v| v.contains(['<', '"']));
    assert!(!raw, "an attribute was not escaped");
}

#[test]
fn the_scripts_are_good_for_any_posix_shell() {
    for script in [
        render::pcs(&cluster("")),
        render::pcs(&lan(WITH_AGENT)),
        render::corosync(&cluster("")),
        render::corosync(&lan("")),
        group_rules(),
    ] {
        assert_is_good_shell(&script);
    }
}

fn assert_is_good_shell(script: &str) {
    let mut check = std::process::Command::new("sh")
        .arg("-n")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut check.stdin.take().unwrap(), script.as_bytes()).unwrap();
    assert!(check.wait().unwrap().success());
}

fn group_rules() -> String {
    let site = sites::aws("vpc_cidr: 172.31.0.0/16\n");
    render::security_group(&site).unwrap()
}

#[test]
fn half_a_script_does_nothing() {
    for script in [
        render::pcs(&lan("")),
        render::corosync(&lan("")),
        group_rules(),
    ] {
        assert_half_of_it_does_nothing(&script);
    }
}

fn assert_half_of_it_does_nothing(script: &str) {
    let last_line = (script.rfind("\nmain ")).or_else(|| script.rfind("\n} </dev/null"));
    let last_line = last_line.unwrap();
    for cut in (0..last_line).step_by(97) {
        // Whatever it would run is not there, and the shell says so.
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &script[..cut]])
            .env("PATH", "/nonexistent")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        for tool in ["pcs", "cibadmin", "crm_verify", "mktemp", "cp", "aws"] {
            let ran = said.contains(&format!(" {tool}: not found"));
            assert!(!ran, "cut at {cut}, it ran {tool}: {said}");
        }
    }
}
