//! Both renderings of sites that nobody thought of: 3 to 9 nodes of both systems, every option,
//! and values that are allowed and that a shell, an XPath or an XML file could misread.
//!
//! A run judges the same sites every time. `PROPTEST_CASES=100` makes that many for each Debian,
//! new each time.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;

use cib_gen::render;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::bench::{Bench, Suite, in_both_suites, on_a_node};
use crate::{cluster_of, whole_cib, xml};

in_both_suites!(both_renderings_of_any_site_are_the_same_cluster);

/// Sites for each Debian: what pcs does in about a minute on two cores, both Debians together.
const SITES: u32 = 10;

/// A node's name: what RFC 1123 allows, up to what uname(2) can hold.
fn name(number: usize) -> impl Strategy<Value = String> {
    prop_oneof![
        Just(format!("pbx0{number}")),
        "[a-zA-Z0-9]([a-zA-Z0-9-]{0,6}[a-zA-Z0-9])?(\\.[a-z0-9]{1,9}){0,2}"
            .prop_map(move |name| format!("{number}{name}")),
        Just(format!("{number}{}", "x".repeat(62))),
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/srv/pbx".to_owned()),
        "(/[a-z0-9_+@:=-][a-zA-Z0-9._+@:=-]{0,8}){2,4}".prop_map(|path| format!("/srv{path}")),
    ]
}

/// The value of a fence agent's option: anything but spaces, quotes and backslashes.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[!#$%&()*+,./:;<=>?@\\[\\]^_{|}~a-z0-9-]{1,12}",
        1 => Just("$(reboot)`".replace('`', "")),
        1 => Just("--force".to_owned()),
        1 => Just("]]>&amp;<op".to_owned()),
        1 => Just("ключ=ü".to_owned()),
        1 => Just("*".to_owned()),
    ]
}

/// A line of vars.yml, or none.
fn line(key: &'static str, value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    weighted(0.5, value)
        .prop_map(move |value| value.map_or(String::new(), |value| format!("{key}: \"{value}\"\n")))
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(words).prop_map(str::to_owned)
}

/// Names and addresses of so many nodes in 10.20.0.0/16.
fn nodes(count: usize) -> impl Strategy<Value = String> {
    let names: Vec<_> = (1..=count).map(name).collect();
    let addresses = proptest::sample::subsequence((1..=250).collect::<Vec<u8>>(), count);
    (
        names,
        addresses,
        line(
            "subnet_cidr",
            one_of(&["10.20.0.0/16", "10.20.0.0/20", "10.0.0.0/8"]),
        ),
    )
        .prop_map(|(names, addresses, subnet)| {
            let mut lines = subnet;
            for (n, (name, address)) in names.iter().zip(addresses).enumerate() {
                let _ = writeln!(
                    lines,
                    "pbx0{0}_hostname: \"{name}\"\npbx0{0}_private_ip: 10.20.1.{address}",
                    n + 1
                );
            }
            lines
        })
}

fn aws(count: usize) -> impl Strategy<Value = String> {
    let instances = vec("[0-9a-f]{17}", count).prop_map(|ids| {
        let ids = ids.iter().enumerate();
        // Its own first digit makes it another instance.
        ids.map(|(n, id)| format!("pbx0{0}_instance_id: i-{0}{1}\n", n + 1, &id[1..]))
            .collect::<String>()
    });
    let fencing = prop_oneof![
        line("fencing_action", one_of(&["off", "reboot"])),
        Just("fencing: none\n".to_owned()),
    ];
    (
        nodes(count),
        instances,
        fencing,
        line("region", one_of(&["us-west-1", "us-gov-east-1"])),
        line(
            "ebs_device",
            one_of(&[
                "/dev/xvdf",
                "/dev/sdp",
                "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67",
            ]),
        ),
        line("privip_agent", one_of(&["ocf:heartbeat:awsvip", "ocf:portsip:awsvip"])),
    )
        .prop_map(|(nodes, instances, fencing, region, device, privip)| {
            format!(
                "{nodes}{instances}{fencing}{region}{device}{privip}private_vip_address: 10.20.2.1\n\
                 eip_address: 54.151.30.9\neip_allocation_id: eipalloc-02c7cf64a5cd449cf\n\
                 ebs_volume_id: vol-0e06e1e9da3c49b67\nssh_private_key_file: /k.pem\n"
            )
        })
}

/// Ways of fencing on a LAN with so many nodes, by number.
fn fencing(way: usize, count: usize) -> BoxedStrategy<String> {
    let options = (value(), value()).prop_map(|(user, script)| {
        format!("fencing_options: \"username={user} password_script={script}\"\n")
    });
    let options = (options, line("fencing_action", one_of(&["off", "reboot"])))
        .prop_map(|(options, action)| format!("{options}{action}"));
    match way {
        0 => line("fencing", Just("sbd".to_owned())).boxed(),
        1 => Just("fencing: none\n".to_owned()).boxed(),
        2 => options
            .prop_map(|options| {
                let options = options.replacen("username=", "ip=host username=", 1);
                format!("fencing: fence_virsh\n{options}")
            })
            .boxed(),
        _ => (
            options,
            vec((value(), weighted(0.3, "[a-z0-9._-]{1,9}")), count),
        )
            .prop_map(|(options, nodes)| {
                let mut lines = format!("fencing: fence_ipmilan\n{options}");
                for (n, (address, plug)) in nodes.iter().enumerate() {
                    let plug = plug
                        .as_ref()
                        .map_or(String::new(), |p| format!(" plug={p}"));
                    let _ = writeln!(
                        lines,
                        "pbx0{0}_fencing_options: \"ip={0}{address}{plug}\"",
                        n + 1
                    );
                }
                lines
            })
            .boxed(),
    }
}

fn lan(way: usize, count: usize) -> impl Strategy<Value = String> {
    // DRBD 8.4 is for three nodes, and not without fencing.
    let drbd = match (way, count) {
        (1, _) | (_, 5..) => Just("drbd: 9\n"),
        _ => Just("drbd: 8.4\n"),
    };
    let disk = one_of(&[
        "/dev/sdb",
        "/dev/disk/by-id/wwn-0x5000c500a0b1c2d3",
        "/dev/nvme0n1",
    ]);
    let size = one_of(&["36G", "1.5T", "49900M"]);
    (nodes(count), fencing(way, count), disk, size, drbd).prop_map(
        |(nodes, fencing, disk, size, drbd)| {
            format!(
                "{nodes}{fencing}{drbd}vip: 10.20.2.1\npbx_datapath_disk: {disk}\npbx_datapath_size: {size}\n"
            )
        },
    )
}

/// The site of a number: systems, counts of nodes and ways of fencing take turns, the rest is
/// left to chance.
fn site(number: usize) -> BoxedStrategy<String> {
    let count = [3, 5, 7, 9][number / 2 % 4];
    let system = match number % 2 {
        0 => lan((number / 2 + number / 8) % 4, count).boxed(),
        _ => aws(count).boxed(),
    };
    (
        system,
        line("data_path", path()),
        line("sip_transport", one_of(&["udp", "tcp", "tls"])),
        line("sip_port", one_of(&["5060", "5061", "65535"])),
        line("web_port", one_of(&["8887", "443"])),
    )
        .prop_map(|(system, path, transport, sip, web)| {
            format!("{system}{path}{transport}{sip}{web}pbx_image: portsip/pbx:22\n")
        })
        .boxed()
}

fn both_renderings_of_any_site_are_the_same_cluster(suite: Suite) {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let sites = asked.as_ref().map_or(SITES, |cases| cases.parse().unwrap());
    let mut runner = match asked {
        Some(_) => TestRunner::new(Config::default()),
        None => TestRunner::deterministic(),
    };
    let texts: Vec<String> = (0..sites as usize)
        .map(|number| site(number).new_tree(&mut runner).unwrap().current())
        .collect();

    let bench = Bench::of(suite);
    for (n, text) in texts.iter().enumerate() {
        let cluster = cluster_of(text);
        bench.write(&format!("{n}.sh"), &render::pcs(&cluster));
        bench.write(&format!("{n}.cib.xml"), &whole_cib(&cluster));
        bench.new_cluster(&cluster, &format!("{n}.pcs.xml"));
        fs::rename(bench.path("sbd.json"), bench.path(&format!("{n}.sbd.json"))).unwrap();
    }
    // Each script asks crm_verify about its own result.
    let all = format!(
        "n=0; while [ $n -lt {sites} ]; do \
         cp $n.sbd.json sbd.json; {} sh $n.sh 2>$n.said || echo $n; n=$((n + 1)); done",
        on_a_node("$n.pcs.xml")
    );
    let failed = bench.try_script(&["sh", "-c", &all]);
    let failed = String::from_utf8_lossy(&failed.stdout).into_owned();
    if let Some(n) = failed.lines().next() {
        let text = &texts[n.parse::<usize>().unwrap()];
        panic!(
            "the script failed in {suite}:\n{}\nof\n{text}",
            bench.read(&format!("{n}.said"))
        );
    }
    for (n, text) in texts.iter().enumerate() {
        let by_pcs = xml::written(&bench.read(&format!("{n}.pcs.xml")));
        let by_us = xml::written(&bench.read(&format!("{n}.cib.xml")));
        assert!(
            by_pcs == by_us,
            "pcs of {suite} made:\n{by_pcs}\nthe cib rendering is:\n{by_us}\nof\n{text}"
        );
    }
}
