//! What an operator does to a running cluster: runs the scripts again, changes a parameter, moves the
//! PBX, reboots its node; and a container that ends while nobody does anything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lab::demo::{Fault, cluster};
use lab::lab::turn;
use lab::site::INSTANCES;

use crate::Cluster;
use crate::steady::{Steady, settle};

/// How long a PBX may run without a container that has ended: a monitor, and the start.
const REPAIRED_WITHIN: Duration = Duration::from_secs(60);
/// The next monitor of the PBX has ended.
const NEXT_MONITOR: Duration = Duration::from_secs(12);
/// One of each of the PBX's monitors has ended.
const MONITORED: Duration = Duration::from_secs(32);

#[test]
fn what_an_operator_does_moves_the_pbx_in_order() {
    let _turn = turn().unwrap();
    let cluster = Cluster::up();

    the_scripts_run_again_change_nothing(&cluster);
    a_changed_time_limit_restarts_nothing(&cluster);
    a_container_that_ended_alone_is_started_again(&cluster);
    a_pbx_that_is_not_managed_is_left_alone(&cluster);

    cluster.pbx_is_slow();
    let standby = cluster.strike(Fault::Standby);
    assert_eq!(standby.fenced, Vec::<String>::new());
    cluster.nothing_runs_on(&standby.lost);
    cluster.on(
        &standby.lost,
        &format!("pcs node unstandby {}", standby.lost),
    );

    a_dead_container_is_repaired_in_place(&cluster, &standby.active);

    let reboot = cluster.strike(Fault::Reboot);
    assert_eq!(
        reboot.fenced,
        Vec::<String>::new(),
        "a reboot is an orderly stop"
    );
    let database = cluster.on(
        &reboot.active,
        "docker logs --since \"$(docker inspect --format '{{.State.StartedAt}}' portsip.database)\" portsip.database 2>&1",
    );
    assert!(
        database.contains("database system was shut down at"),
        "the database was not closed before the reboot:\n{database}"
    );
    cluster.comes_back(&reboot.lost, &reboot.active);
}

/// Each script has run once, when the cluster was made. On which node it runs again makes no difference.
fn the_scripts_run_again_change_nothing(cluster: &Cluster) {
    let steady = Steady::watch(cluster, "scripts that run again");
    let before = configuration(cluster);
    for node in [&INSTANCES[0], &INSTANCES[2]] {
        // The first one needs no password any more. The second one refuses what is configured already.
        for (script, ends) in [("cib-gen --format corosync", 0), ("cib-gen", 1)] {
            let command = format!(
                "set -o pipefail; status=0; {script} {} | sh 2>&1 || status=$?; [ $status -eq {ends} ]",
                cluster::VARS
            );
            let said = cluster.on(node.hostname, &command);
            assert_eq!(
                said.contains("help: sudo cib-gen apply vars.yml"),
                ends == 1,
                "`{script}` on {} said:\n{said}",
                node.hostname
            );
            let changed = changed_since(&before, cluster);
            assert!(
                changed.is_empty(),
                "`{script}` was run again on {}, and said:\n{said}\n{}",
                node.hostname,
                changed.join("\n")
            );
        }
    }
    settle(cluster);
    let initiated = steady.initiated("[a-z-]+");
    assert!(
        initiated.is_empty(),
        "scripts that run again gave Pacemaker something to do: {initiated:#?}"
    );
    steady.end();
}

/// What the scripts write, and whether the cluster runs and will run after a boot.
fn configuration(cluster: &Cluster) -> BTreeMap<String, String> {
    let mut configuration = BTreeMap::new();
    for node in INSTANCES.map(|node| node.hostname) {
        for file in [
            "/etc/corosync/corosync.conf",
            "/etc/default/sbd",
            "/etc/sysconfig/sbd",
        ] {
            let content = cluster.on(
                node,
                &format!("[ -e {file} ] && cat {file} || echo there is none"),
            );
            configuration.insert(format!("{file} of {node}"), content);
        }
        for (what, command) in [
            // Without the epochs, which are beside it.
            ("the CIB", "cibadmin --query --scope configuration"),
            (
                "the services",
                "systemctl show --property=Id,MainPID,UnitFileState corosync pacemaker sbd",
            ),
        ] {
            configuration.insert(format!("{what} of {node}"), cluster.on(node, command));
        }
    }
    configuration
}

/// What is no longer as it was, with both contents.
fn changed_since(before: &BTreeMap<String, String>, cluster: &Cluster) -> Vec<String> {
    let mut changed = Vec::new();
    for (what, is) in configuration(cluster) {
        let was = &before[&what];
        if is != *was {
            changed.push(format!("{what} was:\n{was}\nand is:\n{is}"));
        }
    }
    changed
}

/// `answer_wait` of pbx only says how long a later start may take.
fn a_changed_time_limit_restarts_nothing(cluster: &Cluster) {
    const RELOAD: &str = "pbx_reload-agent_0";
    let steady = Steady::watch(cluster, "a changed answer_wait");
    let before = configuration(cluster);
    let reloads = || {
        let initiated = steady.initiated("reload-agent");
        let of_pbx = initiated.iter().filter(|line| line.contains(RELOAD));
        of_pbx.count()
    };

    cluster.on(&steady.active, "pcs resource update pbx answer_wait=61");
    settle(cluster);
    let value = cluster.on(
        &steady.active,
        "crm_resource --resource pbx --get-parameter answer_wait",
    );
    assert_eq!(value.trim(), "61", "answer_wait in the CIB");
    let once = reloads();
    assert!(once > 0, "Pacemaker did not call {RELOAD}");

    // A value of nothing deletes the parameter, which cib-gen does not write.
    cluster.on(&steady.active, "pcs resource update pbx answer_wait=");
    settle(cluster);
    let changed = changed_since(&before, cluster);
    assert!(
        changed.is_empty(),
        "answer_wait was taken back, but {}",
        changed.join("\n")
    );
    assert!(
        reloads() > once,
        "Pacemaker did not call {RELOAD} when answer_wait was taken back"
    );
    steady.end();
}

/// A program on which no other depends crashes. Nothing but its container is started again.
fn a_container_that_ended_alone_is_started_again(cluster: &Cluster) {
    const CRASHED: &str = "portsip.announcement";
    let mut steady = Steady::watch(cluster, "a container that ended alone");
    let before = steady.expect_restart_of(CRASHED);
    let id = before.split(' ').next().unwrap();
    crash(cluster, &steady.active, CRASHED);

    let deadline = Instant::now() + REPAIRED_WITHIN;
    let (status, started) = loop {
        let status = steady.look();
        let now = steady.containers_now();
        let now = now
            .get(CRASHED)
            .unwrap_or_else(|| panic!("{CRASHED} is gone"));
        let shown = status
            .degraded
            .iter()
            .any(|shown| shown.starts_with("pbx_monitor_") && shown.contains(CRASHED));
        if shown && *now != before && now.ends_with(" true") {
            break (status, now.clone());
        }
        assert!(
            Instant::now() < deadline,
            "{CRASHED} was not started again, or it is not shown as degraded; before {before}, now {now}; {status:#?}"
        );
        std::thread::sleep(Duration::from_millis(500));
    };
    assert!(
        started.starts_with(id),
        "{CRASHED} was made again: it was {before}, it is {started}"
    );
    assert!(
        // 128 and the number of SIGKILL.
        status.degraded.iter().any(|shown| shown.contains("137")),
        "the exit code is not shown: {:?}",
        status.degraded
    );

    steady.look_for(MONITORED, |_| ());
    assert_eq!(
        steady.containers_now().get(CRASHED),
        Some(&started),
        "{CRASHED} did not stay as it was started"
    );
    steady.end();
}

/// Pacemaker goes on asking about a resource that it does not manage, and changes nothing about it. Nor
/// does the agent.
fn a_pbx_that_is_not_managed_is_left_alone(cluster: &Cluster) {
    // Another one: the second end of the same one is a failure anyway.
    const CRASHED: &str = "portsip.callpark";
    let mut steady = Steady::watch(cluster, "a PBX that is not managed");
    let active = steady.active.clone();
    steady.expect_restart_of(CRASHED);
    cluster.on(&active, "pcs resource unmanage pbx");
    settle(cluster);
    crash(cluster, &active, CRASHED);

    let deadline = Instant::now() + REPAIRED_WITHIN;
    loop {
        let status = cluster::status(&cluster.lab, &INSTANCES[0]).unwrap();
        let mut shown = status.failures.iter().chain(&status.degraded);
        if shown.any(|shown| shown.contains(CRASHED)) {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "nothing says that {CRASHED} has ended: {status:#?}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    std::thread::sleep(NEXT_MONITOR);
    let now = steady.containers_now();
    assert!(
        now[CRASHED].ends_with(" false"),
        "{CRASHED} was started although Pacemaker does not manage the PBX: {now:#?}"
    );

    cluster.on(&active, &format!("docker start {CRASHED}"));
    std::thread::sleep(NEXT_MONITOR);
    cluster.on(
        &active,
        "pcs resource cleanup pbx && pcs resource manage pbx",
    );
    settle(cluster);
    steady.end();
}

/// Kills a container's program. Not through Docker, which would make it a container that somebody has stopped.
fn crash(cluster: &Cluster, node: &str, container: &str) {
    let kill =
        format!("kill -KILL \"$(docker inspect --format '{{{{.State.Pid}}}}' {container})\"");
    cluster.on(node, &kill);
}

fn a_dead_container_is_repaired_in_place(cluster: &Cluster, active: &str) {
    cluster.on(active, "docker kill portsip.callmanager");
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let state = cluster.on(
            active,
            "docker inspect --format '{{.State.Running}}' portsip.callmanager",
        );
        if state.trim() == "true" {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "portsip.callmanager was not started again: {}",
            cluster.on(active, "pcs status --full")
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    let now =
        cluster::wait_until_active(&cluster.lab, &INSTANCES[0], Duration::from_secs(60), |_| {
            true
        })
        .unwrap();
    assert_eq!(now, active, "one dead container is no reason to move");
    let status = cluster::status(&cluster.lab, &INSTANCES[0]).unwrap();
    assert!(
        status
            .failures
            .iter()
            .any(|failure| failure.contains("pbx") && failure.contains("portsip.callmanager")),
        "the failed monitor names the container: {:?}",
        status.failures
    );
}
