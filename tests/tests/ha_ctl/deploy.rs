//! `ha-ctl deploy` from nothing, on stock nodes: killed at random moments, on one node and on another, and run again.
//! It ends in the same cluster, and run once more it changes nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::demo::{aws, cluster};
use lab::lab::{Lab, Options, turn};
use lab::progress::Stderr;
use lab::site::INSTANCES;

use crate::operator::{Operator, Ran};
use crate::{RESOURCES, reaching};

/// The command that is always the same: ha-ctl as it comes out of the package, before that is installed.
const DEPLOY: &str =
    "p/usr/bin/ha-ctl deploy vars.yml --package portsip-ha.deb --accept-new-host-keys";

/// Removed at the end, whatever happens.
struct Stock {
    lab: Lab,
}

impl Drop for Stock {
    fn drop(&mut self) {
        if std::env::var_os("PORTSIP_HA_KEEP").is_some() {
            return;
        }
        if let Err(error) = Lab::down() {
            eprintln!("lab down: {error}");
        }
    }
}

#[test]
fn a_deployment_that_is_killed_three_times_ends_in_the_same_cluster() {
    let _turn = turn().unwrap();
    let progress = Stderr::new();
    let stock = Stock {
        lab: Lab::up(&Options::default(), &progress).unwrap(),
    };
    let operators = [0, 1].map(|node| Operator {
        lab: &stock.lab,
        node: &INSTANCES[node],
    });
    for operator in &operators {
        has_what_an_operator_has(operator);
    }
    let [first, second] = &operators;
    nothing_is_changed_without_a_yes(first);
    two_do_not_change_a_cluster_at_once(first, second);

    for (operator, within) in [(first, 4..30), (second, 10..60), (first, 5..45)] {
        let after = random(within);
        eprintln!(
            "killing ha-ctl on {} after {after} s",
            operator.node.hostname
        );
        let ran = operator.as_user(&format!(
            "timeout --signal KILL {after} {DEPLOY} --yes </dev/null"
        ));
        eprintln!("{ran}");
    }
    let ran = deploy(second, "--yes");
    eprintln!("{ran}");
    let printed = ran.succeeded();
    assert!(printed.contains("the PBX answers"), "{ran}");
    assert!(printed.contains("https://54.151.30.9:8887"), "{ran}");
    eprintln!("{}", first.ha_ctl("show").succeeded());

    the_cluster_is_as_it_has_to_be(&stock.lab, first);
    no_secret_is_anywhere_but_where_it_is_needed(&operators);
    let again = deploy(first, "--yes");
    assert!(
        again.succeeded().starts_with("nothing to change"),
        "{again}"
    );
    let dry = deploy(second, "--dry-run");
    assert_eq!(dry.status, 0, "{dry}");
}

fn deploy(operator: &Operator, arguments: &str) -> Ran {
    operator.as_user(&format!("{DEPLOY} {arguments} </dev/null"))
}

/// The key of vars.yml, the package and vars.yml, in the home directory.
fn has_what_an_operator_has(operator: &Operator) {
    reaching::the_key_of_vars_yml_is_on(operator);
    let deb =
        PathBuf::from(std::env::var_os("PORTSIP_HA_DEB").expect("PORTSIP_HA_DEB names a package"));
    let (lab, node) = (operator.lab, operator.node);
    let home = Path::new("/home/ubuntu");
    lab.copy_to(node, &deb, &home.join("portsip-ha.deb"))
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let vars = directory.path().join("vars.yml");
    std::fs::write(&vars, aws::vars_yml()).unwrap();
    lab.copy_to(node, &vars, &home.join("vars.yml")).unwrap();
    operator
        .as_root("chmod 644 /home/ubuntu/portsip-ha.deb /home/ubuntu/vars.yml")
        .succeeded();
    operator.as_user("dpkg-deb -x portsip-ha.deb p").succeeded();
}

fn nothing_is_changed_without_a_yes(operator: &Operator) {
    let before = operator.as_root(LOOK).succeeded();
    for arguments in ["--dry-run", ""] {
        let ran = deploy(operator, arguments);
        assert_eq!(ran.status, 3, "{ran}");
        for planned in [
            "install the package portsip-ha",
            "make the nodes the cluster ha_cluster",
            "prepare the volume",
            "configure the cluster's resources",
        ] {
            assert!(ran.stdout.contains(planned), "{planned}: {ran}");
        }
        assert_eq!(operator.as_root(LOOK).succeeded(), before, "{ran}");
    }
    eprintln!("{}", deploy(operator, "--dry-run"));
}

/// What a deployment changes first and last.
const LOOK: &str = "dpkg-query -W portsip-ha 2>&1; ls -R /etc/portsip /var/lib/portsip-ha 2>&1; \
                    cat /etc/corosync/corosync.conf; ls /etc/apt/apt.conf.d /etc/sysctl.d";

fn two_do_not_change_a_cluster_at_once(first: &Operator, second: &Operator) {
    let ran = first.as_user(&format!(
        "{DEPLOY} --yes </dev/null >one 2>&1 & echo $! >one.pid
         timeout 60 sh -c 'until grep -q \"to do\" one; do sleep 0.2; done'"
    ));
    ran.succeeded();
    let refused = deploy(second, "--yes");
    assert_eq!(refused.status, 1, "{refused}");
    let holder = format!(
        "somebody else changes the cluster: deploy by ubuntu on {}",
        first.node.hostname
    );
    assert!(refused.stderr.contains(&holder), "{refused}");
    // It goes with its process.
    first
        .as_user("kill -KILL $(cat one.pid); sleep 2")
        .succeeded();
    let units = first.as_root("systemctl is-active portsip-ha-lock.scope");
    assert_eq!(units.stdout.trim(), "inactive", "{units}");
}

fn the_cluster_is_as_it_has_to_be(lab: &Lab, operator: &Operator) {
    let limit = Duration::from_secs(120);
    let active = cluster::wait_until_active(lab, operator.node, limit, |_| true).unwrap();
    let shown = operator.json("show --json");
    assert_eq!(shown["notices"], serde_json::json!([]), "{shown:#}");
    let names: Vec<&str> = shown["resources"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| !it["agent"].as_str().unwrap().starts_with("stonith:"))
        .map(|it| it["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, RESOURCES, "on {active}");
    for node in INSTANCES.iter() {
        let node = Operator { lab, node };
        let policies = node.as_root(
            "docker ps --all --quiet --filter label=com.docker.compose.project=portsip | \
             xargs docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' | sort | uniq --count",
        );
        assert_eq!(policies.succeeded().trim(), "17 no", "{policies}");
        let modes = node.as_root(
            "stat -c '%a %U %n' /etc/portsip/vars.yml /etc/portsip/pbx/.env /etc/portsip/pbx/database_password",
        );
        let modes = modes.succeeded();
        assert!(
            modes.lines().all(|line| line.starts_with("600 root")),
            "{modes}"
        );
        let passwords = node.as_root("sha256sum </etc/portsip/pbx/database_password");
        let of_first = operator.as_root("sha256sum </etc/portsip/pbx/database_password");
        assert_eq!(passwords.succeeded(), of_first.succeeded());
    }
    // One file system, made once.
    operator
        .as_user("sudo cib-gen apply --dry-run /etc/portsip/vars.yml")
        .succeeded();
    operator
        .ha_ctl("check --only apt.unattended,apt.needrestart,os.unprivileged-ports")
        .succeeded();
}

/// The database's password is in one file, and hacluster's is nowhere any more.
fn no_secret_is_anywhere_but_where_it_is_needed(operators: &[Operator; 2]) {
    for operator in operators {
        let found = operator.as_root(
            "password=$(cat /etc/portsip/pbx/database_password)
             [ ${#password} = 32 ] || echo 'it is short'
             journalctl --since -1h | grep -cF -- \"$password\"
             grep -rlF -- \"$password\" /var/lib/portsip-ha /etc/portsip /home /tmp 2>/dev/null
             ls /var/lib/portsip-ha/hacluster 2>/dev/null
             exit 0",
        );
        assert_eq!(
            found.succeeded(),
            "0\n/etc/portsip/pbx/database_password\n",
            "{found}"
        );
    }
}

/// A number of seconds, another one in each run.
fn random(within: std::ops::Range<u64>) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    within.start + u64::from(now.subsec_micros()) % (within.end - within.start)
}
