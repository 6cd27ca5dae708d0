//! What the services of a node do by themselves, at renewals, upgrades and changed settings: the DHCP
//! client renews its lease, systemd-networkd is restarted, Docker is told to read its settings again.

use std::time::Duration;

use lab::demo::addresses;
use lab::dhcp::Lease;
use lab::lab::turn;
use lab::site::INSTANCES;

use crate::outage::outage_lasts;
use crate::steady::Steady;
use crate::{Cluster, instance};

/// What is done on every node in each round. A reload is a SIGHUP for dockerd.
const SERVICES: [&str; 2] = [
    "systemctl restart systemd-networkd",
    "systemctl reload docker",
];
/// How long a lease lasts. Clients renew it after half of that.
const LEASE: Duration = Duration::from_secs(60);
/// How long nothing is done afterwards: every lease is renewed meanwhile, and every monitor runs.
const QUIET: Duration = Duration::from_secs(45);
/// What is left of a lease then, at least, if it was renewed; without that it is 15 s.
const RENEWED: Duration = Duration::from_secs(22);
/// How long a round takes, roughly.
const ROUND: Duration = Duration::from_secs(50);

#[test]
fn services_of_a_node_move_nothing_for_long() {
    let _turn = turn().unwrap();
    let cluster = Cluster::up();
    nothing_moves_for_what_services_do(&cluster, outage_lasts());
}

/// Goes on for about so long, and for a round at least.
pub(crate) fn nothing_moves_for_what_services_do(cluster: &Cluster, lasts: Duration) {
    let lease = Lease {
        seconds: u32::try_from(LEASE.as_secs()).unwrap(),
        ..Lease::default()
    };
    cluster.lab.set_lease(lease).unwrap();
    let steady = Steady::watch(cluster, "services of the nodes");
    let rounds = (lasts.as_secs() / ROUND.as_secs()).max(1);
    for round in 1..=rounds {
        for node in &INSTANCES {
            for command in SERVICES {
                cluster.on(node.hostname, command);
            }
        }
        steady.look_for(QUIET, |status| {
            // EC2 and metadata can be reached, so the fencing device has no reason to complain either.
            let failed = status.failures;
            assert!(failed.is_empty(), "round {round}: {failed:?}");
        });
        for node in &INSTANCES {
            let left = addresses::lease_left(&cluster.lab, node).unwrap();
            assert!(
                (RENEWED..=LEASE).contains(&left),
                "round {round}: {} has {left:?} left of its lease; it did not renew it, so nothing was tested",
                node.hostname
            );
        }
        let faults = addresses::faults(&cluster.lab, instance(&steady.active)).unwrap();
        assert!(faults.is_empty(), "round {round}: {faults:#?}");
    }
    println!("{rounds} rounds of {SERVICES:?}");
    let degraded = steady.look().degraded;
    println!("services of the nodes: degraded: {degraded:#?}");
    steady.end();
}
