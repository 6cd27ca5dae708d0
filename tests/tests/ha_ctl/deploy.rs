//! `ha-ctl deploy` from nothing, on stock nodes: killed at random moments, on one node and on another, and run again.
//! It ends in the same cluster, and run once more it changes nothing.

use std::time::Duration;

use lab::demo::operator::DEPLOY;
use lab::lab::turn;

use crate::operator::{Operator, Ran};
use crate::stock::{CERTIFICATE_MANAGER, Stock, deploy, random, was_announced};

/// The environment variable that says how often it is killed, instead of [`KILLS`].
const KILLS_VARIABLE: &str = "PORTSIP_HA_KILLS";
const KILLS: usize = 3;

/// A part of a deployment: what ha-ctl says when it begins, and for how many seconds from then on it may be killed.
/// The kills are spread over them, and a part that has ended already gives its place to the next.
const PARTS: [(&str, u64); 7] = [
    ("to do, in this order", 2),
    ("install the package", 5),
    ("make the nodes the cluster", 40),
    ("prepare the data", 15),
    ("create the PBX.s containers", 4),
    ("configure the cluster.s resources", 15),
    ("waiting until the PBX answers", 3),
];

/// The steps go on without ha-ctl, so that a deployment bears about one kill in each part: for more, another one is made
/// on new nodes.
#[test]
fn a_deployment_that_is_killed_at_random_moments_ends_in_the_same_cluster() {
    let _turn = turn().unwrap();
    let kills = std::env::var(KILLS_VARIABLE).map_or(KILLS, |number| number.parse().unwrap());
    let mut killed = 0;
    while killed < kills {
        let before = killed;
        let stock = Stock::up();
        let operators = stock.operators();
        if before == 0 {
            let [first, second] = &operators;
            nothing_is_changed_without_a_yes(first);
            the_sample_cluster_is_mended_away(second);
            two_do_not_change_a_cluster_at_once(first, second);
        }
        // Once the PBX answers, a run has ended before it can be killed in its last part.
        let here = (kills - before).min(PARTS.len() - 1);
        for kill in 0..here {
            let operator = &operators[kill % 2];
            let (ran, was_killed) = kill_in(operator, kill * PARTS.len() / here);
            eprintln!("{ran}");
            was_announced(&ran);
            killed += usize::from(was_killed);
        }
        assert!(killed > before, "no run was killed");
        eprintln!("{killed} of {kills} runs were killed");
        stock.ends_in_the_same_cluster(CERTIFICATE_MANAGER);
    }
}

/// Kills ha-ctl at a random moment of a part of the deployment, or of a later one if that part is over.
fn kill_in(operator: &Operator, part: usize) -> (Ran, bool) {
    let wait = random(Duration::from_secs(PARTS[part].1));
    // What is only planned is indented.
    let begun: Vec<&str> = PARTS[part..].iter().map(|(said, _)| *said).collect();
    eprintln!(
        "killing ha-ctl on {} {} ms after `{}`",
        operator.node.hostname,
        wait.as_millis(),
        PARTS[part].0
    );
    let ran = operator.as_user(&format!(
        "{DEPLOY} --yes {CERTIFICATE_MANAGER} </dev/null >run 2>&1 & pid=$!
         until grep -qE '^(ip-[^ ]*: )?({})' run || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done
         sleep {:.3}
         kill -KILL $pid 2>/dev/null
         wait $pid 2>/dev/null; echo \"ended with $?\"; cat run",
        begun.join("|"),
        wait.as_secs_f64()
    ));
    let was_killed = ran.succeeded().starts_with("ended with 137");
    assert!(
        was_killed || ran.stdout.starts_with("ended with 0"),
        "it ended by itself: {ran}"
    );
    (ran, was_killed)
}

/// Corosync's package starts a cluster of its own on each machine. `check` says so, and takes it away.
fn the_sample_cluster_is_mended_away(operator: &Operator) {
    let check = |options: &str| {
        let line = format!(
            "p/usr/bin/ha-ctl check vars.yml --accept-new-host-keys --only cluster.sample {options}"
        );
        operator.as_user(&line)
    };
    let found = check("");
    assert!(
        found.stdout.contains("all nodes:\n") && found.stdout.contains("cluster.sample"),
        "{found}"
    );
    check("--fix").succeeded();
    check("").succeeded();
    let left =
        operator.as_root("cat /etc/corosync/corosync.conf; systemctl is-active corosync pacemaker");
    assert!(
        !left.stdout.contains("debian") && left.stdout.ends_with("inactive\ninactive\n"),
        "{left}"
    );
}

fn nothing_is_changed_without_a_yes(operator: &Operator) {
    let before = operator.as_root(LOOK).succeeded();
    for arguments in ["--dry-run", ""] {
        let ran = deploy(operator, arguments);
        assert_eq!(ran.status, 3, "{ran}");
        for planned in [
            "install the package portsip-ha",
            "make the nodes the cluster ha_cluster",
            "write /etc/portsip/pbx/database_password, where the volume has data with another password: all nodes",
            "prepare the data",
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
        "{DEPLOY} --yes {CERTIFICATE_MANAGER} </dev/null >one 2>&1 & echo $! >one.pid
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
    first.as_user("kill -KILL $(cat one.pid)").succeeded();
    first
        .as_root("timeout 20 sh -c 'while systemctl is-active --quiet portsip-ha-lock.scope; do sleep 0.1; done'")
        .succeeded();
}
