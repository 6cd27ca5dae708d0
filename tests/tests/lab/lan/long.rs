//! What can happen to the three machines. Of each: no acknowledged record is lost, no two nodes
//! write, and the virtual address is on one node.

mod deploy;
mod disks;
mod growth;
mod splits;
mod update;

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::demo::Fault;
use lab::demo::lan::{Drbd, storage};
use lab::site::{Host, Site};

use super::cluster::{Clients, Cluster, WATCHDOG, host};

/// A node that is reset by its watchdog starts its kernel at once; this is what a busy machine may add.
const RESET: Duration = Duration::from_secs(1);
/// What DRBD's fence-peer handler may take when the peer was fenced: it looks every two seconds, and starts processes.
const HANDLER: Duration = Duration::from_secs(20);
/// What a move that was asked for may take the clients: no fencing is waited for. On these kernels DRBD's agent and
/// Docker take most of it.
const MOVE: Duration = Duration::from_secs(60);
/// For how long a kernel stands still.
const HANGS: Duration = Duration::from_secs(30);

/// The main job, as `make demo-lan` has it.
#[test]
fn a_power_cut_of_the_active_node() {
    let cluster = Cluster::up();
    let outcome = cluster.strike(Fault::PowerCut);
    let lost = host(&outcome.lost);
    assert!(!cluster.own.answers(lost));
    cluster.comes_back(lost, host(&outcome.active));
}

/// Its Corosync goes on, so the others see a member. SBD sees that its Pacemaker does not answer.
#[test]
fn a_pacemaker_that_stands_still() {
    let cluster = Cluster::up();
    let outcome = cluster.strike(Fault::PacemakerHangs);
    cluster.comes_back(host(&outcome.lost), host(&outcome.active));
}

/// When it goes on, another has its address and its data: its watchdog resets it within the watchdog's time.
#[test]
fn a_kernel_that_stands_still_and_goes_on() {
    let cluster = Cluster::up();
    // The lab may have seen the same before.
    let begun = SystemTime::now();
    let outcome = cluster.strike(Fault::Hang(HANGS));
    let lost = host(&outcome.lost);
    let noted = format!("{} goes on", lost.id);
    let mut thawed = None;
    super::until("it goes on", || {
        let (_, moments) = cluster.own.lab.all_events().unwrap();
        thawed = moments
            .iter()
            .find(|moment| moment.what == noted && moment.at > begun)
            .map(|moment| moment.at);
        thawed.is_some()
    });
    let thawed = thawed.unwrap();
    super::until("it was reset", || cluster.is_reset_since(lost, thawed));
    let booted = cluster.booted_at(lost).unwrap();
    let on_two = booted.duration_since(thawed).unwrap();
    println!(
        "{} was reset {:.2} s after it went on; the virtual address was on two nodes for as long at most",
        lost.hostname,
        on_two.as_secs_f64()
    );
    assert!(on_two <= WATCHDOG + RESET, "on two nodes for {on_two:?}");
    cluster.comes_back(lost, host(&outcome.active));
}

/// For maintenance: nobody is fenced, and nothing is waited for.
#[test]
fn a_planned_move() {
    let cluster = Cluster::up();
    let (active, standby) = cluster.active_and_standby();
    let clients = Clients::start(&cluster);
    let asked = SystemTime::now();
    cluster.sh(active, &format!("pcs node standby {}", active.hostname));
    assert_eq!(cluster.active_instead_of(active, standby), standby);
    clients.are_served_after(SystemTime::now());
    cluster.sh(standby, &format!("pcs node unstandby {}", active.hostname));
    cluster.copies_are_whole(standby);
    let seen = clients.finish("planned move", asked, active);
    assert_eq!(seen.fenced, None);
    for (what, gap) in [("rows", seen.without_rows), ("SIP", seen.without_sip)] {
        assert!(gap.length() < MOVE, "{what}: {:?}", gap.length());
    }
}

#[test]
fn a_standby_that_is_lost() {
    let cluster = Cluster::up();
    let (active, standby) = cluster.active_and_standby();
    a_standby_goes(&cluster, active, standby, "standby lost", || {
        cluster.own.lab.power_off(standby).unwrap();
        cluster.is_offline(standby, active);
    });
}

/// The PBX goes on where it is. Writes wait until it is certain that the standby is gone.
fn a_standby_goes(
    cluster: &Cluster,
    active: &Host,
    standby: &Host,
    what: &str,
    goes: impl FnOnce(),
) {
    let clients = Clients::start(cluster);
    let cut = SystemTime::now();
    goes();
    clients.are_served_after(SystemTime::now());
    assert_eq!(cluster.active_as_seen_by(active), active);
    let seen = clients.finish(what, cut, standby);
    let paused = seen.without_rows.length();
    let longest = match cluster.drbd {
        Drbd::Nine => Duration::from_secs(2),
        Drbd::Eight => {
            let fenced = seen.fenced.expect("the standby was fenced");
            let after = seen.without_rows.end.duration_since(fenced);
            let after = after.expect("no row is acknowledged before the standby is fenced");
            assert!(
                after < HANDLER,
                "writes went on {after:?} after the fencing"
            );
            Duration::from_secs(60)
        }
    };
    assert!(paused < longest, "writes waited {paused:?}");
    assert!(
        seen.without_sip.length() < Duration::from_secs(2),
        "SIP was interrupted"
    );
    cluster.comes_back(standby, active);
}

/// Without the others the active node has no quorum: it is reset, and nothing runs until another is back.
#[test]
fn all_others_are_lost_and_come_back() {
    let cluster = Cluster::up();
    let active = cluster.active();
    let clients = Clients::start(&cluster);
    let cut = SystemTime::now();
    let others = Site::Lan
        .hosts()
        .into_iter()
        .filter(|other| *other != active);
    for other in others.clone() {
        cluster.own.lab.power_off(other).unwrap();
    }
    super::until("its watchdog has reset it", || {
        cluster.is_reset_since(active, cut)
    });
    for other in others {
        cluster.own.lab.power_on(other).unwrap();
    }
    let now = cluster.active();
    clients.are_served_after(SystemTime::now());
    cluster.copies_are_whole(now);
    clients.finish("all others lost", cut, active);
}

/// All three are cut at once, and started together: the newest data is what is served.
#[test]
fn all_three_are_cut_and_start_cold() {
    let cluster = Cluster::up();
    let clients = Clients::start(&cluster);
    let (active, standby) = cluster.active_and_standby();
    // The standby's copy is older: it misses what was written while it was away.
    cluster.own.lab.power_off(standby).unwrap();
    cluster.is_offline(standby, active);
    clients.are_served_after(SystemTime::now());
    let cut = SystemTime::now();
    for node in Site::Lan
        .hosts()
        .into_iter()
        .filter(|node| *node != standby)
    {
        cluster.own.lab.power_off(node).unwrap();
    }
    for node in Site::Lan.hosts() {
        cluster.own.lab.power_on(node).unwrap();
    }
    let now = cluster.active();
    clients.are_served_after(SystemTime::now());
    cluster.copies_are_whole(now);
    clients.finish("all three cut", cut, standby);
}

/// The active node is lost while the standby catches up. Half a copy is no data: nobody serves it.
#[test]
fn a_resync_that_another_failure_interrupts() {
    let cluster = Cluster::up();
    let (active, standby) = cluster.active_and_standby();
    let clients = Clients::start(&cluster);
    cluster.own.lab.power_off(standby).unwrap();
    cluster.is_offline(standby, active);
    clients.are_served_after(SystemTime::now());
    let sum = cluster.sh(
        active,
        "cd /var/lib/portsip && dd if=/dev/urandom of=bulk bs=1M count=32 conv=fsync status=none && sha256sum <bulk",
    );
    cluster.own.lab.power_on(standby).unwrap();
    storage::wait_until(&cluster.own.lab, active, "it resyncs", |state| {
        state.connections.iter().any(|one| one == "SyncSource")
    })
    .unwrap();
    let cut = SystemTime::now();
    cluster.own.lab.power_off(active).unwrap();
    cluster.is_offline(active, standby);
    let state = storage::state(&cluster.own.lab, standby).unwrap();
    assert_eq!(state.disks[0], "Inconsistent", "{state:?}");
    cluster.own.lab.power_on(active).unwrap();
    let now = cluster.active_as_seen_by(standby);
    clients.are_served_after(SystemTime::now());
    cluster.copies_are_whole(now);
    assert_eq!(cluster.sh(now, "sha256sum </var/lib/portsip/bulk"), sum);
    clients.finish("resync interrupted", cut, standby);
}

/// While a node is away, both scripts are run again: they change nothing, and nobody notices.
#[test]
fn the_scripts_again_while_a_node_is_away() {
    let cluster = Cluster::up();
    let (active, standby) = cluster.active_and_standby();
    let clients = Clients::start(&cluster);
    let cut = SystemTime::now();
    cluster.own.lab.power_off(standby).unwrap();
    cluster.is_offline(standby, active);
    clients.are_served_after(SystemTime::now());
    let before = configuration(&cluster, active);
    let again = SystemTime::now();
    let corosync = script(
        &cluster,
        active,
        "umask 077; echo lab-hacluster >/root/hacluster
         cib-gen --format corosync /etc/portsip/vars.yml | HACLUSTER_PASSWORD_FILE=/root/hacluster sh",
    );
    assert!(
        corosync.contains(standby.hostname),
        "it names the node that is off: {corosync}"
    );
    let pcs = script(&cluster, active, "cib-gen /etc/portsip/vars.yml | sh");
    assert!(pcs.contains("sudo cib-gen apply"), "{pcs}");
    assert_eq!(configuration(&cluster, active), before);
    assert_eq!(cluster.active_as_seen_by(active), active);
    clients.are_served_after(SystemTime::now());
    let seen = clients.finish("scripts run again", cut, standby);
    let later: Vec<_> = seen
        .rows
        .iter()
        .map(|row| row.at)
        .filter(|at| *at > again)
        .collect();
    let pause = later
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).unwrap())
        .max();
    assert!(
        pause.unwrap() < Duration::from_secs(5),
        "writes waited {pause:?} for a script"
    );
    cluster.comes_back(standby, active);
}

fn configuration(cluster: &Cluster, node: &Host) -> String {
    cluster.sh(
        node,
        "cibadmin --query --scope configuration; cat /etc/corosync/corosync.conf",
    )
}

/// What a script says that ends with 1.
fn script(cluster: &Cluster, node: &Host, script: &str) -> String {
    let output = cluster.own.lab.ssh(node, script, super::A_WHILE).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A number of seconds, another one in each run.
fn random(within: Range<u64>) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    within.start + u64::from(now.subsec_micros()) % (within.end - within.start)
}
