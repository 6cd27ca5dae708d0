//! The DRBD rendering, judged by drbdadm: every node reads it as it was meant.

#![allow(clippy::unwrap_used)]

use std::process::Output;

use cib_gen::{Cluster, render};

use crate::bench::{Bench, Suite, in_both_suites};
use crate::{cluster_of, lan};

in_both_suites!(
    every_node_reads_the_file_as_it_was_meant,
    drbd_84_reads_the_file_of_two_nodes_as_it_was_meant,
    without_fencing_writes_fail_and_do_not_wait,
    a_file_with_a_mistake_is_refused,
);

fn file(cluster: &Cluster) -> String {
    render::drbd(cluster.drbd.as_ref().unwrap(), &cluster.warnings)
}

/// The file as drbdadm of a node understands it. A node knows itself by its name and address.
fn dumped(bench: &Bench, file: &str, name: &str, address: &str) -> Output {
    run_on_node(
        bench,
        file,
        name,
        address,
        "drbdadm -c pbxdata.res dump pbxdata",
    )
}

/// The same where the kernel has DRBD 8.4.
fn dumped_84(bench: &Bench, file: &str, name: &str, address: &str) -> Output {
    let dump = "DRBD_DRIVER_VERSION_OVERRIDE=8.4.11 drbdadm -c pbxdata.res dump pbxdata";
    run_on_node(bench, file, name, address, dump)
}

fn run_on_node(bench: &Bench, file: &str, name: &str, address: &str, command: &str) -> Output {
    bench.write("pbxdata.res", file);
    let on_node = format!(
        "hostname {name} && ip link set lo up && ip address add {address}/24 dev lo && {command}"
    );
    bench.try_run(&["sh", "-c", &on_node])
}

/// As text without columns.
fn plain(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    lines.join("\n")
}

fn nine() -> Cluster {
    let nodes: String = (1..=9)
        .map(|n| format!("pbx0{n}_hostname: node-{n}.lan\npbx0{n}_private_ip: 10.1.2.{n}\n"))
        .collect();
    cluster_of(&format!(
        "{nodes}vip: 10.1.2.100\npbx_image: portsip/pbx:22\npbx_datapath_disk: /dev/nvme0n1\n\
         pbx_datapath_size: 1.5T\n"
    ))
}

fn every_node_reads_the_file_as_it_was_meant(suite: Suite) {
    for cluster in [lan(""), nine()] {
        let bench = Bench::of(suite);
        let file = file(&cluster);
        let nodes = &cluster.corosync.nodes;
        for node in nodes {
            let output = dumped(&bench, &file, &node.name, &node.address.to_string());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{} in {suite}: {said}", node.name);
            let text = plain(&output);
            let mut meant: Vec<String> = [
                "device /dev/drbd1 minor 1;",
                "disk /dev/pbxvg/pbxlv;",
                "meta-disk internal;",
                "quorum majority;",
                "on-no-quorum suspend-io;",
                "on-suspended-primary-outdated force-secondary;",
                "auto-promote no;",
                "protocol C;",
                "ping-int 1;",
                "timeout 9;",
                "ko-count 47;",
                "connect-int 2;",
                "rr-conflict retry-connect;",
                "after-sb-0pri discard-zero-changes;",
                "after-sb-1pri discard-secondary;",
                "after-sb-2pri disconnect;",
            ]
            .map(str::to_owned)
            .to_vec();
            let names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
            meant.push(format!("hosts {};", names.join(" ")));
            for (id, peer) in nodes.iter().enumerate() {
                meant.push(format!(
                    "on {} {{\nnode-id {id};\naddress ipv4 {}:7789;\n}}",
                    peer.name, peer.address
                ));
            }
            for line in meant {
                assert!(
                    text.contains(&line),
                    "{} in {suite} does not read `{line}`:\n{text}",
                    node.name
                );
            }
            assert!(
                text.starts_with(&format!("# resource pbxdata on {}: not ignored", node.name)),
                "{} in {suite} takes itself for none of the nodes:\n{text}",
                node.name
            );
        }
    }
}

fn drbd_84_reads_the_file_of_two_nodes_as_it_was_meant(suite: Suite) {
    let bench = Bench::of(suite);
    let cluster = lan("drbd: 8.4\n");
    let file = file(&cluster);
    for (name, address) in [("pbx01", "192.168.1.131"), ("pbx02", "192.168.1.132")] {
        let output = dumped_84(&bench, &file, name, address);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} in {suite}: {said}");
        let text = plain(&output);
        let host = |name: &str, address: &str| {
            format!(
                "on {name} {{\ndevice /dev/drbd1 minor 1;\ndisk /dev/pbxvg/pbxlv;\nmeta-disk internal;\n\
                 address ipv4 {address}:7789;\n}}"
            )
        };
        for line in [
            &host("pbx01", "192.168.1.131"),
            &host("pbx02", "192.168.1.132"),
            "protocol C;",
            "ping-int 1;",
            "timeout 9;",
            "ko-count 47;",
            "connect-int 2;",
            "after-sb-2pri disconnect;",
            "fencing resource-and-stonith;",
            "c-min-rate 20M;",
            "fence-peer /usr/lib/portsip-ha/drbd-fence-peer;",
            "after-resync-target \"/usr/lib/drbd/crm-unfence-peer.sh --role=Promoted\";",
            "unfence-peer \"/usr/lib/drbd/crm-unfence-peer.sh --role=Promoted\";",
        ] {
            assert!(
                text.contains(line),
                "{name} in {suite} does not read `{line}`:\n{text}"
            );
        }
    }
    // The voter has no part in it, and DRBD 9 does not take the file for one of its own.
    for output in [
        dumped_84(&bench, &file, "pbx03", "192.168.1.133"),
        dumped(&bench, &file, "pbx01", "192.168.1.131"),
    ] {
        assert!(!output.status.success(), "{suite}: {}", plain(&output));
    }
}

/// A write that waits cannot be ended: a node that nothing fences must be able to stop.
fn without_fencing_writes_fail_and_do_not_wait(suite: Suite) {
    let bench = Bench::of(suite);
    let output = dumped(
        &bench,
        &file(&lan("fencing: none\n")),
        "pbx01",
        "192.168.1.131",
    );
    let text = plain(&output);
    assert!(text.contains("on-no-quorum io-error;"), "{suite}: {text}");
    for other in ["suspend", "ping-int", "timeout", "ko-count", "connect-int"] {
        assert!(!text.contains(other), "{suite}: {text}");
    }
}

fn a_file_with_a_mistake_is_refused(suite: Suite) {
    let bench = Bench::of(suite);
    let right = file(&lan(""));
    for (from, to) in [
        ("quorum majority;", "quorum most;"),
        ("node-id 1;", "node-id 0;"),
        ("hosts pbx01 pbx02", "hosts pbx01 pbx2"),
        ("auto-promote no;", "auto-promotion no;"),
    ] {
        let wrong = right.replacen(from, to, 1);
        assert_ne!(wrong, right, "{from} is not in the file");
        let output = dumped(&bench, &wrong, "pbx01", "192.168.1.131");
        assert!(
            !output.status.success(),
            "{suite} took `{to}`:\n{}",
            plain(&output)
        );
    }
}
