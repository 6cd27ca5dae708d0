//! The network splits, in every direction.

use std::time::{Duration, SystemTime};

use lab::demo::Fault;
use lab::site::{Host, Site};

use super::super::cluster::{Clients, Cluster, host};
use super::super::until;

/// What a node that is cut off may cost the others that are not the standby's copy: nothing, but for a busy machine.
const UNNOTICED: Duration = Duration::from_secs(5);

/// Cut off, it is reset by its watchdog before the others give its address to another node.
#[test]
fn a_node_that_is_cut_off() {
    let cluster = Cluster::up();
    let outcome = cluster.strike(Fault::Partition);
    let lost = host(&outcome.lost);
    let mut reset = None;
    until("it answers", || {
        reset = cluster.booted_at(lost);
        reset.is_some()
    });
    let reset = reset.unwrap();
    let moved = outcome.timeline.iter();
    let moved = moved
        .filter(|moment| moment.what.starts_with("start of vip on"))
        .map(|moment| moment.at)
        .min()
        .unwrap();
    let margin = moved.duration_since(reset).unwrap_or_else(|early| {
        panic!(
            "the virtual address was on both nodes for {:?}",
            early.duration()
        )
    });
    println!(
        "its watchdog reset {} {:.1} s after the cut, {:.1} s before the virtual address was elsewhere",
        lost.hostname,
        reset.duration_since(outcome.cut).unwrap().as_secs_f64(),
        margin.as_secs_f64()
    );
    cluster.comes_back(lost, host(&outcome.active));
}

/// Cut off and reset, while the PBX goes on.
#[test]
fn a_standby_that_is_cut_off() {
    let cluster = Cluster::up();
    let (active, standby) = cluster.active_and_standby();
    super::a_standby_goes(&cluster, active, standby, "standby cut off", || {
        let cut = SystemTime::now();
        cluster.own.lab.partition(standby).unwrap();
        is_reset(&cluster, standby, cut);
    });
}

/// The third node is cut off: with DRBD 8.4 it has no copy, and nobody notices.
#[test]
fn a_third_node_that_is_cut_off() {
    let cluster = Cluster::up();
    let (active, standby) = cluster.active_and_standby();
    let third = Site::Lan
        .hosts()
        .into_iter()
        .find(|node| *node != active && *node != standby)
        .unwrap();
    let clients = Clients::start(&cluster);
    let cut = SystemTime::now();
    cluster.own.lab.partition(third).unwrap();
    is_reset(&cluster, third, cut);
    clients.are_served_after(SystemTime::now());
    assert_eq!(cluster.active_as_seen_by(active), active);
    let seen = clients.finish("third node cut off", cut, third);
    for (what, gap) in [("rows", seen.without_rows), ("SIP", seen.without_sip)] {
        assert!(gap.length() < UNNOTICED, "{what}: {:?}", gap.length());
    }
    cluster.comes_back(third, active);
}

/// No node sees another: none may serve, and when they see each other again, one does.
#[test]
fn all_three_are_cut_off_from_each_other() {
    let cluster = Cluster::up();
    let active = cluster.active();
    let clients = Clients::start(&cluster);
    let cut = SystemTime::now();
    let [first, second, _] = Site::Lan.hosts()[..] else {
        panic!("a LAN has three nodes")
    };
    for node in [first, second] {
        cluster.own.lab.partition(node).unwrap();
    }
    is_reset(&cluster, active, cut);
    cluster.own.lab.heal().unwrap();
    let now = cluster.active();
    clients.are_served_after(SystemTime::now());
    cluster.copies_are_whole(now);
    clients.finish("all three cut off", cut, active);
}

/// Its watchdog resets it. The router still reaches it.
fn is_reset(cluster: &Cluster, node: &Host, cut: SystemTime) {
    until(&format!("{} is reset", node.hostname), || {
        cluster.is_reset_since(node, cut)
    });
}
