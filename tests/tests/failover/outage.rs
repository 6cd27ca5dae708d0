//! Outages of what the agents ask: a healthy PBX stays where it is and as it is. How long they last is
//! said by PORTSIP_HA_OUTAGE_SECONDS; ten minutes for the claim, less where nobody says.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use lab::demo::sip::Phone;
use lab::demo::writer::Writer;
use lab::demo::{Access, Fault, cluster};
use lab::ec2::{CallFault, Injection, MetadataFault};
use lab::lab::turn;
use lab::netns;
use lab::site::{self, INSTANCES};

use crate::{Cluster, instance};

/// Several of each resource's monitors.
const SHORT: Duration = Duration::from_secs(60);
/// One of each resource's monitors after it.
const SETTLED: Duration = Duration::from_secs(12);
/// Some more of them.
const AFTER: Duration = Duration::from_secs(30);
/// No service is missed for so long: what a busy machine may delay an answer, and no failover is as fast.
const GAP: Duration = Duration::from_secs(4);
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
/// The fencing device, as crm_mon names it.
const FENCING: &str = "id=\"fencing\"";
/// What Pacemaker does after `pcs resource cleanup`, where the fencing device's monitor had failed: the cleanup deletes
/// the record of its start. A start that followed a stop would be found by the stop.
const CLEANED_UP: &str = "fencing_start_0";
/// So often each of them is refused before it is let through.
const REFUSALS: u32 = 2;

fn outage_lasts() -> Duration {
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
    fails_over_while_ec2_throttles(&cluster);
    cluster.volume_was_never_at_two_nodes();
}

fn nothing_moves(cluster: &Cluster, outage: &Injection) {
    let lasts = outage_lasts();
    let active = without_failures(cluster);
    let phone = Phone::start(&netns::internet(), site::CLIENT, site::EIP).unwrap();
    let writer = Writer::start(&Access::through_the_vip()).unwrap();
    let began = SystemTime::now();
    let number = cluster.lab.inject(outage).unwrap();
    let end = Instant::now() + lasts;
    let mut degraded = BTreeSet::new();
    while Instant::now() < end {
        std::thread::sleep(Duration::from_secs(2));
        degraded.extend(undisturbed(cluster, outage, &active));
    }
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
    cluster.on(&active, "pcs resource cleanup");
    let after = Instant::now() + AFTER;
    let mut left = Vec::new();
    while Instant::now() < after {
        std::thread::sleep(Duration::from_secs(2));
        left = undisturbed(cluster, outage, &active);
    }
    assert!(left.is_empty(), "{outage}: still degraded: {left:?}");
    for degraded in degraded {
        println!("{outage}: degraded: {degraded}");
    }
    let counts = cluster.on(&active, "crm_mon --one-shot --failcounts --output-as=xml");
    let counted = counts.lines().filter(|line| line.contains("fail-count="));
    let counted: Vec<&str> = counted.filter(|line| !line.contains(FENCING)).collect();
    assert!(counted.is_empty(), "{outage}: {counted:?}");
    let rows: Vec<SystemTime> = writer.finish().iter().map(|row| row.at).collect();
    for (what, seen) in [("SIP answer", phone.answers()), ("committed row", rows)] {
        let longest = longest_gap(&seen, began);
        println!(
            "{outage}: longest time without a {what} {:.1} s",
            longest.as_secs_f32()
        );
        assert!(longest < GAP, "{outage}: {longest:?} without a {what}");
    }
    let since = began
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for node in &INSTANCES {
        let done = cluster.on(
            node.hostname,
            &format!(
                "journalctl --quiet --no-pager -u pacemaker --since=@{since} \
                 | grep -E 'Initiating (start|stop) operation' | grep -v ' {CLEANED_UP} ' || true"
            ),
        );
        assert_eq!(
            done, "",
            "{outage}: the cluster acted, says {}",
            node.hostname
        );
    }
    cluster.volume_was_never_at_two_nodes();
}

/// The active node, in a cluster that has nothing to complain of.
fn without_failures(cluster: &Cluster) -> String {
    cluster.on(INSTANCES[0].hostname, "pcs resource cleanup");
    let limit = Duration::from_secs(120);
    cluster::wait_until_active(&cluster.lab, &INSTANCES[0], limit, |_| true).unwrap()
}

/// What is degraded, where nothing has failed and nothing has moved.
fn undisturbed(cluster: &Cluster, outage: &Injection, active: &str) -> Vec<String> {
    let status = cluster::status(&cluster.lab, instance(active)).unwrap();
    assert_eq!(
        status.active(),
        Some(active),
        "{outage}: the PBX moved or stopped: {status:#?}"
    );
    // fence_aws says truly that it can't reach EC2; nothing follows from it.
    let failures: Vec<&String> = status
        .failures
        .iter()
        .filter(|failure| !failure.starts_with("fencing_"))
        .collect();
    assert!(
        failures.is_empty(),
        "{outage}: failed operations: {failures:?}"
    );
    status.degraded
}

fn longest_gap(seen: &[SystemTime], since: SystemTime) -> Duration {
    let gaps = seen.windows(2).filter(|pair| pair[1] > since);
    let last = seen.last().map(|last| last.elapsed().unwrap_or_default());
    gaps.map(|pair| pair[1].duration_since(pair[0]).unwrap_or_default())
        .chain(last)
        .max()
        .expect("nothing was seen at all")
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
