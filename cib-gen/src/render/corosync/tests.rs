//! The script on machines that are played: pcs, cibadmin and python3 write down how they are
//! called, and answer from files. Stock pcs runs it on the lab's nodes.

#![allow(clippy::unwrap_used)]

mod lan;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use super::super::sites;
use crate::Cluster;

/// What Debian 12, Debian 13 and Ubuntu 24.04 install, without most of its comments.
const SAMPLE: &str = "\
# Please read the corosync.conf.5 manual page
totem {
\tversion: 2

\t# Corosync itself works without a cluster name
\tcluster_name: debian
\tcrypto_cipher: none
\tcrypto_hash: none
}
logging {
\tlogger_subsys {
\t\tsubsys: QUORUM
\t\tdebug: off
\t}
}
quorum {
\tprovider: corosync_votequorum
}
nodelist {
\tnode {
\t\t# Hostname of the node
\t\tname: node1
\t\tnodeid: 1
\t\tring0_addr: 127.0.0.1
\t}
}
";

const PCS: &str = r#"#!/bin/sh
echo "pcs $*" >>"$PLAY/calls"
case "$1 $2" in
"cluster destroy") rm -f "$PLAY/corosync.conf" ;;
"cluster corosync") cat "$PLAY/$3.conf" ;;
"host auth") [ ! -e "$PLAY/no-login" ] || { echo "Error: $5: Username and/or password is incorrect" >&2; exit 1; } ;;
"cluster enable" | "cluster start")
    for word do
        # One that is off fails what is asked of all of them, and of itself.
        for off in $(cat "$PLAY/off" 2>/dev/null); do
            if [ "$word" = "$off" ] || [ "$word" = --all ]; then
                echo "Error: Unable to connect to $off" >&2
                exit 1
            fi
        done
    done
    ;;
esac
"#;
const SYSTEMCTL: &str = "#!/bin/sh\n[ -e \"$PLAY/enabled.$3\" ]\n";
const PYTHON: &str = r#"#!/bin/sh
cat >/dev/null
[ "$1 $2" = "-I -" ] || exit 2
echo "pcsd $3 $4" >>"$PLAY/calls"
case $3 in
resources | sbd) cat "$PLAY/$4.$3" ;;
esac
"#;
const CIBADMIN: &str = "#!/bin/sh\ncat \"$PLAY/cib\"\n";

/// The first of the vendor's three nodes, and what it knows of the others.
struct Play(tempfile::TempDir);

impl Play {
    /// Nothing is configured anywhere.
    fn new() -> Play {
        let play = Play(tempfile::tempdir().unwrap());
        play.put("password", "secret\n");
        for (name, program) in [
            ("pcs", PCS),
            ("python3", PYTHON),
            ("cibadmin", CIBADMIN),
            ("systemctl", SYSTEMCTL),
        ] {
            play.put(name, program);
            let path = play.0.path().join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        play
    }

    fn put(&self, file: &str, content: &str) {
        fs::write(self.0.path().join(file), content).unwrap();
    }

    /// Everywhere is what the distribution installs, running.
    fn stock() -> Play {
        let play = Play::new();
        play.put("corosync.conf", SAMPLE);
        play.put(
            "cib",
            "<cib><configuration><resources/></configuration></cib>",
        );
        for other in ["ip-172-31-16-134", "ip-172-31-16-135"] {
            play.put(&format!("{other}.conf"), SAMPLE);
            play.put(&format!("{other}.resources"), "\n");
        }
        play
    }

    fn run(&self, cluster: &Cluster) -> Output {
        let path = self.0.path().to_str().unwrap();
        let script = super::corosync(cluster)
            .replace(
                "/etc/corosync/corosync.conf",
                &format!("{path}/corosync.conf"),
            )
            .replace("/var/lib/pacemaker/cib/cib.xml", &format!("{path}/cib.xml"))
            .replace("/etc/default/sbd", &format!("{path}/default-sbd"))
            .replace("/dev/watchdog", &format!("{path}/watchdog"));
        Command::new("sh")
            .args(["-c", &script])
            .env("PATH", format!("{path}:/usr/sbin:/usr/bin:/sbin:/bin"))
            .env("PLAY", path)
            .env("HACLUSTER_PASSWORD_FILE", format!("{path}/password"))
            .output()
            .unwrap()
    }

    /// How the programs were called, with their first three words.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.0.path().join("calls")).unwrap_or_default();
        let words = |line: &str| line.split(' ').take(4).collect::<Vec<_>>().join(" ");
        calls.lines().map(words).collect()
    }

    /// The script succeeds; the calls.
    fn succeeds(&self) -> Vec<String> {
        let output = self.run(&Cluster::of(&sites::aws("")));
        assert!(output.status.success(), "{output:?}");
        self.calls()
    }

    /// The script refuses, with all of these words, and changes no other node. What it said.
    fn refuses(&self, reason: &[&str]) -> String {
        let output = self.run(&Cluster::of(&sites::aws("")));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        for word in reason.iter().chain(&["error: ", "\nhelp: "]) {
            assert!(said.contains(word), "no '{word}' in: {said}");
        }
        for call in self.calls() {
            assert!(
                !call.starts_with("pcs cluster setup") && !call.starts_with("pcsd destroy"),
                "{call}, although it said: {said}"
            );
        }
        said
    }
}

#[test]
fn the_sample_of_the_distribution_is_left_on_all_nodes() {
    assert_eq!(
        Play::stock().succeeds(),
        [
            "pcs cluster destroy",
            "pcs host auth -u",
            "pcs cluster corosync ip-172-31-16-133",
            "pcs cluster corosync ip-172-31-16-134",
            "pcsd resources ip-172-31-16-134",
            "pcs cluster corosync ip-172-31-16-135",
            "pcsd resources ip-172-31-16-135",
            "pcsd destroy ip-172-31-16-134",
            "pcsd destroy ip-172-31-16-135",
            "pcs cluster setup ha_cluster",
            "pcs cluster enable --all",
            "pcs cluster start --all",
        ]
    );
}

#[test]
fn where_pcs_cannot_log_in_it_is_said_what_to_do_and_no_cluster_is_set_up() {
    let play = Play::new();
    play.put("no-login", "");
    play.refuses(&[
        "password is incorrect",
        "No cluster was set up",
        "sudo passwd hacluster",
        "systemctl status pcsd",
        "run this again",
    ]);
}

#[test]
fn nodes_without_any_configuration_are_set_up_and_nothing_is_destroyed() {
    let calls = Play::new().succeeds();
    assert!(
        calls.contains(&"pcs cluster setup ha_cluster".to_owned()),
        "{calls:?}"
    );
    assert!(
        !calls.iter().any(|call| call.contains("destroy")),
        "{calls:?}"
    );
}

#[test]
fn a_second_run_sets_nothing_up() {
    let play = Play::new();
    let nodes = ["ip-172-31-16-133", "ip-172-31-16-134", "ip-172-31-16-135"];
    let nodes = nodes
        .map(|name| format!("node {{\n    name: {name}\n}}\n"))
        .concat();
    play.put(
        "corosync.conf",
        &format!("totem {{\n    cluster_name: ha_cluster\n}}\n{nodes}"),
    );
    assert_eq!(
        play.succeeds(),
        ["pcs cluster enable --all", "pcs cluster start --all"]
    );
}

#[test]
fn a_sample_in_which_something_is_configured_is_somebodys_cluster() {
    let configured = "<cib><resources><primitive id=\"web\" type=\"nginx\"/></resources></cib>";
    let play = Play::stock();
    play.put("cib", configured);
    play.refuses(&[
        "resources are configured in that cluster",
        "Nothing was changed",
    ]);
    assert!(play.calls().is_empty(), "{:?}", play.calls());

    // The same where Pacemaker does not run: what it has written down.
    fs::remove_file(play.0.path().join("cib")).unwrap();
    play.put("cib.xml", configured);
    play.refuses(&[
        "resources are configured in that cluster",
        "Nothing was changed",
    ]);
    assert!(play.calls().is_empty(), "{:?}", play.calls());
}

#[test]
fn what_differs_from_the_sample_in_name_or_members_is_another_cluster() {
    for (sample, other) in [
        ("cluster_name: debian", "cluster_name: telephony"),
        ("ring0_addr: 127.0.0.1", "ring0_addr: 10.0.0.1"),
        ("name: node1", "name: pbx01"),
        (
            "}\n}\n",
            "}\n}\nnodelist {\nnode {\nring0_addr: 10.0.0.2\n}\n}\n",
        ),
        ("provider: corosync_votequorum", "device {\nmodel: net\n}"),
    ] {
        let changed = SAMPLE.replace(sample, other);
        assert_ne!(changed, SAMPLE, "{sample}");
        let play = Play::stock();
        play.put("corosync.conf", &changed);
        play.refuses(&["in another cluster already", "Nothing was changed"]);
        assert!(play.calls().is_empty(), "{other}: {:?}", play.calls());
    }
}

#[test]
fn a_cluster_of_another_node_is_refused_by_its_name_before_anything_is_destroyed_there() {
    let play = Play::stock();
    let real = SAMPLE
        .replace("debian", "telephony")
        .replace("127.0.0.1", "10.0.0.3");
    play.put("ip-172-31-16-135.conf", &real);
    play.refuses(&["ip-172-31-16-135 is in another cluster already, 'telephony'"]);
}

/// Nobody is told to destroy the cluster that runs the PBX.
#[test]
fn the_same_cluster_with_other_nodes_is_refused_with_what_adds_and_removes_a_node() {
    let real = SAMPLE
        .replace("debian", "ha_cluster")
        .replace("name: node1", "name: ip-172-31-16-99");
    for file in ["corosync.conf", "ip-172-31-16-135.conf"] {
        let play = Play::stock();
        play.put(file, &real);
        let said = play.refuses(&["is in the cluster 'ha_cluster' already"]);
        for words in ["ip-172-31-16-99", "pcs cluster node add"] {
            assert!(said.contains(words), "{said}");
        }
        assert!(!said.contains("pcs cluster destroy"), "{said}");
        let calls = play.calls();
        assert!(
            !calls.iter().any(|call| call.contains("setup")),
            "{calls:?}"
        );
    }
}

#[test]
fn a_sample_of_another_node_in_which_something_is_configured_is_refused() {
    let play = Play::stock();
    play.put("ip-172-31-16-135.resources", "web database\n");
    play.refuses(&["ip-172-31-16-135", "web database", "pcs cluster destroy"]);
}

#[test]
fn a_sample_of_another_node_that_can_not_be_looked_into_is_refused() {
    let play = Play::stock();
    fs::remove_file(play.0.path().join("ip-172-31-16-134.resources")).unwrap();
    play.refuses(&["ip-172-31-16-134", "cannot be seen from here"]);
}
