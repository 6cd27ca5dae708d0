//! `cib-gen apply` on a node of the LAN system, with stock pcs, drbdadm and Pacemaker's tools: what it asks and
//! changes beside the CIB. What a running Corosync, DRBD and the other nodes would answer is made up.

#![allow(clippy::unwrap_used)]

use std::process::Output;

use cib_gen::render;

use crate::bench::{Bench, Suite, in_both_suites};
use crate::{LAN, lan, whole_cib};

in_both_suites!(
    stock_pcs_changes_totem_in_the_running_cluster,
    where_pcs_fails_nothing_else_is_changed_and_what_mends_it_is_said,
    while_a_node_is_off_totem_stays,
    drbd_follows_a_file_in_which_only_options_of_this_node_differ,
    a_file_of_drbd_is_not_changed_without_a_yes,
    where_drbd_is_down_here_it_stays_down,
    while_a_peer_of_drbd_is_away_its_file_stays,
    an_adjustment_that_does_more_than_change_options_is_not_made,
    what_drbdadm_reads_as_the_same_is_left,
    options_of_the_operator_are_not_lost,
);

/// The node pbx01. The cluster's CIB is live.xml, what Corosync runs with is map, and what drbdsetup says of DRBD
/// here is in status.json and show. What pcs and drbdsetup are called with is in `called`. sbd.json has what the
/// nodes say of SBD.
const NODE: &str = r#"set -eu
hostname pbx01
ip link set lo up
ip address add 192.168.1.131/24 dev lo
mkdir -p bin /sys/module
cp corosync.conf /etc/corosync/
cp pbxdata.res /etc/drbd.d/
[ ! -e show ] || mkdir /sys/module/drbd
cat > bin/cibadmin <<'END'
#!/bin/sh
CIB_file=/mnt/live.xml exec /usr/sbin/cibadmin "$@"
END
cat > bin/corosync-cmapctl <<'END'
#!/bin/sh
cat map
END
cat > bin/pcs <<'END'
#!/bin/sh
echo "pcs $*" >> called
[ ! -e no-pcsd ] || set -- "$@" --request-timeout=1
[ -e no-pcsd ] || set -- "$@" --corosync_conf=/etc/corosync/corosync.conf
exec /usr/sbin/pcs "$@"
END
cat > /usr/sbin/drbdsetup <<'END'
#!/bin/sh
case $1 in
status) exec cat /mnt/status.json ;;
show) exec cat /mnt/show ;;
esac
echo "drbdsetup $*" >> /mnt/called
END
echo 'import made_up_sbd' > /usr/lib/python3/dist-packages/made_up_sbd.pth
cat > /usr/lib/python3/dist-packages/made_up_sbd.py <<'END'
import json
import sys

if sys.argv[:1] == ["-c"]:
    from pcs.lib.commands import sbd
    from pcs.lib.errors import LibraryError

    def said(key):
        nodes = json.load(open("/mnt/sbd.json"))
        if not nodes:
            raise LibraryError()
        return [{"node": node["node"], key: node[key]} for node in nodes]

    sbd.get_cluster_sbd_status = lambda env: said("status")
    sbd.get_cluster_sbd_config = lambda env: said("config")
END
chmod +x bin/* /usr/sbin/drbdsetup
export PATH=/mnt/bin:$PATH
status=0
./cib-gen apply --offline "$@" vars.yml || status=$?
cp /etc/corosync/corosync.conf /etc/drbd.d/pbxdata.res* .
exit $status
"#;

const CONF: &str = "totem {\n    version: 2\n    cluster_name: ha_cluster\n    transport: knet\n    token: 2000\n}\n\n\
    nodelist {\n    node {\n        ring0_addr: 192.168.1.131\n        name: pbx01\n        nodeid: 1\n    }\n\n    \
    node {\n        ring0_addr: 192.168.1.132\n        name: pbx02\n        nodeid: 2\n    }\n\n    node {\n        \
    ring0_addr: 192.168.1.133\n        name: pbx03\n        nodeid: 3\n    }\n}\n\nquorum {\n    provider: \
    corosync_votequorum\n}\n";

const MAP: &str = "nodelist.node.0.name (str) = pbx01\nnodelist.node.0.nodeid (u32) = 1\n\
    nodelist.node.1.name (str) = pbx02\nnodelist.node.1.nodeid (u32) = 2\nnodelist.node.2.name (str) = pbx03\n\
    nodelist.node.2.nodeid (u32) = 3\nruntime.members.1.status (str) = joined\nruntime.members.2.status (str) = \
    joined\nruntime.members.3.status (str) = joined\ntotem.token (u32) = 2000\n";

/// A node on which there is nothing to change, and DRBD is down.
pub(crate) fn node(suite: Suite) -> Bench {
    let bench = Bench::of(suite);
    bench.put_cib_gen();
    bench.write("vars.yml", LAN);
    bench.new_cluster(&lan(""), "live.xml");
    let states = bench.read("live.xml");
    let (_, states) = states.split_once("<status>").unwrap();
    let (states, _) = states.split_once("</status>").unwrap();
    let cib = whole_cib(&lan("")).replace("<status/>", &format!("<status>{states}</status>"));
    bench.write("live.xml", &cib);
    bench.lived_in("live.xml", "live.xml");
    bench.write("corosync.conf", CONF);
    bench.write("map", MAP);
    bench.write("called", "");
    bench.write("node.sh", NODE);
    bench.write("pbxdata.res", &file());
    sbd(&bench, &[("pbx01", "5"), ("pbx02", "5"), ("pbx03", "5")]);
    bench
}

fn file() -> String {
    render::drbd(lan("").drbd.as_ref().unwrap(), &[])
}

/// What the nodes say of SBD, which runs on each of them. A node without a time does not answer.
pub(crate) fn sbd(bench: &Bench, nodes: &[(&str, &str)]) {
    let nodes = nodes.iter().map(|(node, timeout)| {
        let (runs, config) = match *timeout {
            "" => ("null", "null".to_owned()),
            timeout => ("true", format!("{{\"SBD_WATCHDOG_TIMEOUT\":\"{timeout}\",\"SBD_DELAY_START\":\"no\"}}")),
        };
        format!(
            "{{\"node\":\"{node}\",\"config\":{config},\"status\":{{\"installed\":{runs},\"enabled\":{runs},\
             \"running\":{runs}}}}}"
        )
    });
    let nodes: Vec<String> = nodes.collect();
    bench.write("sbd.json", &format!("[{}]", nodes.join(",")));
}

/// DRBD runs with the options of a file, and its peers are in this state.
fn drbd_runs(bench: &Bench, file: &str, peers: [&str; 2]) {
    let section = |name: &str| {
        let (_, section) = file.split_once(&format!("    {name} {{\n")).unwrap();
        let section = section.split("    }\n").next().unwrap().lines();
        let statements: Vec<&str> = section.filter(|line| !line.contains('#')).collect();
        statements.join("\n")
    };
    let (mut show, mut status) = (
        format!(
            "resource \"pbxdata\" {{\noptions {{\n{}\n}}\n_this_host {{\nnode-id 0;\nvolume 0 {{\ndevice minor 1;\n\
             disk \"/dev/pbxvg/pbxlv\";\nmeta-disk internal;\n}}\n}}\n",
            section("options")
        ),
        Vec::new(),
    );
    for (id, state) in [1, 2].into_iter().zip(peers) {
        show += &format!(
            "connection {{\n_peer_node_id {id};\npath {{\n_this_host ipv4 192.168.1.131:7789;\n_remote_host ipv4 \
             192.168.1.13{}:7789;\n}}\nnet {{\n_name \"pbx0{}\";\n{}\n}}\n}}\n",
            id + 1,
            id + 1,
            section("net")
        );
        status.push(format!(
            "{{\"name\":\"pbx0{}\",\"connection-state\":\"{state}\",\"peer_devices\":\
             [{{\"peer-disk-state\":\"UpToDate\"}}]}}",
            id + 1
        ));
    }
    bench.write("show", &format!("{show}}}\n"));
    bench.write(
        "status.json",
        &format!(
            "[{{\"name\":\"pbxdata\",\"devices\":[{{\"disk-state\":\"UpToDate\"}}],\"connections\":[{}]}}]",
            status.join(",")
        ),
    );
}

pub(crate) fn apply(bench: &Bench, options: &[&str]) -> Output {
    bench.try_run(&[&["sh", "node.sh"], options].concat())
}

/// What a run printed and said, which has to end with a status.
#[track_caller]
pub(crate) fn ends(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}{said}");
    format!("{text}{said}")
}

#[track_caller]
pub(crate) fn has(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
}

#[track_caller]
pub(crate) fn nothing_would_change(bench: &Bench) {
    let said = ends(&apply(bench, &[]), 0);
    assert!(said.starts_with("nothing would change\n"), "{said}");
}

fn stock_pcs_changes_totem_in_the_running_cluster(suite: Suite) {
    let bench = node(suite);
    nothing_would_change(&bench);
    bench.write("corosync.conf", &CONF.replace("token: 2000", "token: 9000"));
    let said = ends(&apply(&bench, &[]), 0);
    has(
        &said,
        &[
            "corosync.conf: token 9000 -> 2000\n",
            "changed: corosync.conf, on every node\ndone\n",
        ],
    );
    assert!(bench.read("corosync.conf").contains("    token: 2000\n"));
    assert_eq!(
        bench.read("called"),
        "pcs cluster config update totem token=2000\n"
    );
    bench.change("live.xml", &["property set maintenance-mode=true"]);
    bench.write("corosync.conf", &CONF.replace("token: 2000", "token: 9000"));
    let said = ends(&apply(&bench, &[]), 0);
    has(&said, &["the cluster is still in maintenance mode"]);
    assert!(said.ends_with("done\n"), "{said}");
}

fn where_pcs_fails_nothing_else_is_changed_and_what_mends_it_is_said(suite: Suite) {
    let bench = node(suite);
    let cib = bench.read("live.xml");
    let other = cib.replace("timeout=\"300s\"", "timeout=\"200s\"");
    assert_ne!(cib, other);
    bench.write("live.xml", &other);
    bench.write("map", &MAP.replace("(u32) = 2000", "(u32) = 9000"));
    bench.write("no-pcsd", "");
    let said = ends(&apply(&bench, &["--yes"]), 1);
    has(
        &said,
        &[
            "error: corosync.conf was not changed on every node, and the CIB was not changed: pcs failed",
            "help: to give every node the file of this node again: sudo pcs cluster sync corosync, then sudo pcs \
             cluster reload corosync",
        ],
    );
    assert_eq!(bench.read("live.xml"), other);
}

fn while_a_node_is_off_totem_stays(suite: Suite) {
    let bench = node(suite);
    bench.write("corosync.conf", &CONF.replace("token: 2000", "token: 9000"));
    bench.write(
        "map",
        &MAP.replace(
            "members.3.status (str) = joined",
            "members.3.status (str) = left",
        ),
    );
    let said = ends(&apply(&bench, &["--yes"]), 0);
    has(
        &said,
        &["these are off: pbx03\n    corosync.conf: token 9000 -> 2000\n"],
    );
    assert_eq!(bench.read("called"), "");
}

const CONNECTED: [&str; 2] = ["Connected"; 2];

fn drbd_follows_a_file_in_which_only_options_of_this_node_differ(suite: Suite) {
    let bench = node(suite);
    let slower = file()
        .replace("timeout 9;", "timeout 60;")
        .replace("quorum majority;", "quorum off;");
    bench.write("pbxdata.res", &slower);
    drbd_runs(&bench, &slower, CONNECTED);
    let said = ends(&apply(&bench, &["--yes"]), 0);
    has(
        &said,
        &[
            "/etc/drbd.d/pbxdata.res: net timeout 60 -> 9\n/etc/drbd.d/pbxdata.res: options quorum off -> majority\n",
            "on this node alone, and DRBD follows it at once",
            "then on every other node, one after the other: sudo cib-gen apply vars.yml\n",
        ],
    );
    let called = bench.read("called");
    let commands = [
        "resource-options pbxdata",
        "net-options pbxdata 1",
        "net-options pbxdata 2",
        "peer-device-options pbxdata 1 0",
        "peer-device-options pbxdata 2 0",
    ];
    assert_eq!(called.lines().count(), commands.len(), "{called}");
    for (line, command) in called.lines().zip(commands) {
        assert!(
            line.starts_with(&format!("drbdsetup {command} ")),
            "{called}"
        );
    }
    has(&called, &["--timeout=9 ", "--quorum=majority"]);
    assert_eq!(bench.read("pbxdata.res.old"), slower);
    nothing_would_change(&bench);
}

fn a_file_of_drbd_is_not_changed_without_a_yes(suite: Suite) {
    let bench = node(suite);
    let slower = file().replace("timeout 9;", "timeout 60;");
    bench.write("pbxdata.res", &slower);
    drbd_runs(&bench, &slower, CONNECTED);
    for (options, words) in [
        (&[][..], "not changed: "),
        (&["--dry-run"], "net timeout 60 -> 9"),
        (&["--dry-run"], "\nnothing was changed\n"),
    ] {
        has(&ends(&apply(&bench, options), 3), &[words]);
        assert_eq!(bench.read("pbxdata.res"), slower);
        assert_eq!(bench.read("called"), "");
    }
}

fn where_drbd_is_down_here_it_stays_down(suite: Suite) {
    let bench = node(suite);
    bench.write("pbxdata.res", &file().replace("timeout 9;", "timeout 60;"));
    let said = ends(&apply(&bench, &["--yes"]), 0);
    has(
        &said,
        &["DRBD, which is down here, reads it when it starts"],
    );
    assert_eq!(bench.read("called"), "");
    nothing_would_change(&bench);
}

fn while_a_peer_of_drbd_is_away_its_file_stays(suite: Suite) {
    let bench = node(suite);
    let slower = file().replace("timeout 9;", "timeout 60;");
    bench.write("pbxdata.res", &slower);
    drbd_runs(&bench, &slower, ["Connected", "Connecting"]);
    let said = ends(&apply(&bench, &["--yes"]), 0);
    has(
        &said,
        &[
            "is left for later, because not every copy is connected and up to date:\n    net timeout 60 -> 9\n",
        ],
    );
    assert_eq!(
        (bench.read("pbxdata.res"), bench.read("called")),
        (slower, String::new())
    );
}

fn an_adjustment_that_does_more_than_change_options_is_not_made(suite: Suite) {
    let bench = node(suite);
    let slower = file().replace("timeout 9;", "timeout 60;");
    bench.write("pbxdata.res", &slower);
    drbd_runs(&bench, &slower, CONNECTED);
    // DRBD runs with another address of pbx03 than its file says.
    let moved = bench.read("show").replace("192.168.1.133", "192.168.1.203");
    bench.write("show", &moved);
    let said = ends(&apply(&bench, &["--yes"]), 1);
    has(
        &said,
        &[
            "the old file was written again. Nothing else was changed: ",
            "do more than change options:\n    drbdsetup ",
        ],
    );
    assert_eq!(
        (bench.read("pbxdata.res"), bench.read("called")),
        (slower, String::new())
    );
    bench.write("corosync.conf", &CONF.replace("token: 2000", "token: 9000"));
    let said = ends(&apply(&bench, &["--yes"]), 1);
    has(
        &said,
        &[
            "written again. corosync.conf was changed on every node before that, and stays so. The CIB was not changed: ",
        ],
    );
}

fn what_drbdadm_reads_as_the_same_is_left(suite: Suite) {
    let bench = node(suite);
    let storage =
        "    device /dev/drbd1 minor 1;\n    disk /dev/pbxvg/pbxlv;\n    meta-disk internal;\n";
    assert!(file().contains(storage));
    let of_host = "device minor 1; disk \"/dev/pbxvg/pbxlv\"; meta-disk internal; node-id ";
    for words in [
        file().replace(storage, "").replace("node-id ", of_host),
        file().replace(storage, &format!("volume 0 {{ {storage} }}")),
        file().replace("ping-int 1;", "ping-int \"1\"; # net { protocol A; }"),
    ] {
        assert_ne!(words, file());
        bench.write("pbxdata.res", &words);
        nothing_would_change(&bench);
    }
}

fn options_of_the_operator_are_not_lost(suite: Suite) {
    let bench = node(suite);
    let own = file()
        .replace(
            "timeout 9;",
            "timeout 60; cram-hmac-alg sha1; shared-secret \"hush; # }\";",
        )
        .replace("c-min-rate 20M;", "c-min-rate 20M; c-max-rate 100M;");
    bench.write("pbxdata.res", &own);
    drbd_runs(&bench, &file(), CONNECTED);
    let said = ends(&apply(&bench, &["--yes"]), 0);
    has(
        &said,
        &[
            "would lose them: disk c-max-rate, net cram-hmac-alg, net shared-secret\n",
            "net timeout 60 -> 9\n",
        ],
    );
    assert!(!said.contains("hush"), "{said}");
    assert_eq!(
        (bench.read("pbxdata.res"), bench.read("called")),
        (own, String::new())
    );
}
