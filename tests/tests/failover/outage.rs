//! Outages of what the agents ask: a healthy PBX stays where it is and as it is. How long they last is
//! said by PORTSIP_HA_OUTAGE_SECONDS; ten minutes for the claim, less where nobody says.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::demo::Fault;
use lab::ec2::{CallFault, Injection, MetadataFault};
use lab::lab::turn;

use crate::Cluster;
use crate::services;
use crate::steady::{Steady, without_failures};

/// Several of each resource's monitors.
pub(crate) const SHORT: Duration = Duration::from_secs(60);
/// One of each resource's monitors after it.
const SETTLED: Duration = Duration::from_secs(12);
/// Some more of them.
const AFTER: Duration = Duration::from_secs(30);
/// The calls of a failover, by fence_aws and by the agents.
const CALLS: [&str; 8] = [
    "DescribeInstances",
    "StopInstances",
    "DescribeVolumes",
    "DetachVolume",
    "AttachVolume",
    "AssignPrivateIpAddresses",
    "DescribeAddresses",
    "AssociateAddress",
];
/// So often each of them is refused before it is let through.
const REFUSALS: u32 = 2;

/// How long an outage lasts.
pub(crate) fn outage_lasts() -> Duration {
    std::env::var("PORTSIP_HA_OUTAGE_SECONDS").map_or(SHORT, |seconds| {
        Duration::from_secs(seconds.parse().expect("PORTSIP_HA_OUTAGE_SECONDS: seconds"))
    })
}

#[test]
fn outages_move_nothing_and_a_failover_succeeds_while_ec2_throttles() {
    let _turn = turn().unwrap();
    let cluster = Cluster::up();
    nothing_moves(&cluster, &Injection::of(CallFault::Hanging));
    nothing_moves(&cluster, &Injection::of(MetadataFault::Down));
    // For as long as outages last only in a test of its own.
    services::nothing_moves_for_what_services_do(&cluster, SHORT);
    fails_over_while_ec2_throttles(&cluster);
    cluster.volume_was_never_at_two_nodes();
}

fn nothing_moves(cluster: &Cluster, outage: &Injection) {
    let lasts = outage_lasts();
    let steady = Steady::watch(cluster, &outage.to_string());
    let number = cluster.lab.inject(outage).unwrap();
    let mut degraded = BTreeSet::new();
    steady.look_for(lasts, |status| degraded.extend(status.degraded));
    let struck = cluster.lab.faults().unwrap();
    let struck = struck.iter().find(|fault| fault.number == number).unwrap();
    println!(
        "{outage}: {} s, {} requests met it",
        lasts.as_secs(),
        struck.struck
    );
    cluster.lab.clear_faults(Some(number)).unwrap();
    // The monitors after it have to find everything as it was. What was degraded stays in the cluster's list until
    // it is cleaned up, or expires.
    std::thread::sleep(SETTLED);
    cluster.on(&steady.active, "pcs resource cleanup");
    let mut left = Vec::new();
    steady.look_for(AFTER, |status| left = status.degraded);
    assert!(left.is_empty(), "{outage}: still degraded: {left:?}");
    for degraded in degraded {
        println!("{outage}: degraded: {degraded}");
    }
    steady.end();
}

/// Every call is throttled a few times before it is let through, those of fence_aws too.
fn fails_over_while_ec2_throttles(cluster: &Cluster) {
    without_failures(cluster);
    for call in CALLS {
        let refused = Injection::of(CallFault::Throttled)
            .on(&[call])
            .times(REFUSALS);
        cluster.lab.inject(&refused).unwrap();
    }
    let outcome = cluster.strike(Fault::PowerCut);
    let struck: Vec<String> = cluster
        .lab
        .faults()
        .unwrap()
        .iter()
        .map(|fault| format!("{}: {}", fault.injection, fault.struck))
        .collect();
    println!("refused: {}", struck.join("; "));
    for call in [
        "StopInstances",
        "DetachVolume",
        "AttachVolume",
        "AssignPrivateIpAddresses",
    ] {
        let met = struck
            .iter()
            .any(|line| line.contains(call) && !line.ends_with(": 0"));
        assert!(
            met,
            "{call} was not throttled, so nothing was tested: {struck:?}"
        );
    }
    cluster.lab.clear_faults(None).unwrap();
    cluster.bring_back(&outcome.lost, &outcome.active);
}
