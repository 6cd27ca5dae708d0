//! The main job and its neighbours on three container nodes with the real package: a power cut, a
//! partition, a planned move, a dead container, the node that comes back, and outages of all that the
//! agents ask.
//!
//! Needs root, the package of `make deb` in PORTSIP_HA_DEB, and a few minutes.

#![allow(clippy::unwrap_used)]

mod outage;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::demo::{Fault, Outcome, cluster, fail_over};
use lab::lab::{Lab, Options, turn};
use lab::progress::Stderr;
use lab::site::{INSTANCES, Instance};

/// A lab with the cluster on it, removed with everything in it at the end.
struct Cluster {
    lab: Lab,
    progress: Stderr,
}

impl Cluster {
    fn up() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "the lab needs root: run `make test` as root"
        );
        let deb = PathBuf::from(std::env::var_os("PORTSIP_HA_DEB").expect(
            "PORTSIP_HA_DEB does not name a package: run `make test`, or `make deb` and set it",
        ));
        let progress = Stderr::new();
        let lab = Lab::up(&Options::default(), &progress).unwrap();
        let cluster = Self { lab, progress };
        cluster::install(&cluster.lab, &deb, &cluster.progress).unwrap();
        cluster
    }

    fn strike(&self, fault: Fault) -> Outcome {
        let outcome = fail_over(&self.lab, fault, &self.progress).unwrap();
        println!("{fault:?}\n{}", outcome.report());
        assert_eq!(outcome.faults(), Vec::<String>::new(), "after {fault:?}");
        outcome
    }

    fn volume_was_never_at_two_nodes(&self) {
        let faults = self.lab.status().unwrap().watch.faults();
        assert_eq!(faults, Vec::<String>::new());
    }

    /// Brings a fenced node back and waits until the cluster sees it online.
    fn bring_back(&self, hostname: &str, witness: &str) {
        let (node, witness) = (instance(hostname), instance(witness));
        self.lab.heal().unwrap();
        self.lab.power_on(node).unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let status = cluster::status(&self.lab, witness).unwrap();
            if status.online.iter().any(|online| online == hostname) {
                self.volume_was_never_at_two_nodes();
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{hostname} did not come back online: {status:#?}"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn on(&self, hostname: &str, script: &str) -> String {
        cluster::run(
            &self.lab,
            instance(hostname),
            script,
            script,
            cluster::MINUTES,
        )
        .unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = Lab::down() {
            eprintln!("lab down: {error}");
        }
    }
}

fn instance(hostname: &str) -> &'static Instance {
    lab::site::instance(hostname).unwrap()
}

#[test]
fn the_pbx_survives_whatever_happens_to_its_node() {
    let _turn = turn().unwrap();
    let cluster = Cluster::up();

    let cut = cluster.strike(Fault::PowerCut);
    cluster.bring_back(&cut.lost, &cut.active);
    let stayed = cluster::wait_until_active(
        &cluster.lab,
        instance(&cut.active),
        Duration::from_secs(60),
        |_| true,
    )
    .unwrap();
    assert_eq!(
        stayed, cut.active,
        "a node that comes back must not take the PBX back"
    );
    let running = cluster.on(&cut.lost, "docker ps --quiet");
    assert_eq!(running, "", "containers run on {}, a standby", cut.lost);

    let partition = cluster.strike(Fault::Partition);
    cluster.bring_back(&partition.lost, &partition.active);

    let standby = cluster.strike(Fault::Standby);
    let running = cluster.on(&standby.lost, "docker ps --quiet");
    assert_eq!(
        running, "",
        "containers run on {}, in standby",
        standby.lost
    );
    cluster.on(
        &standby.lost,
        &format!("pcs node unstandby {}", standby.lost),
    );

    a_dead_container_is_repaired_in_place(&cluster, &standby.active);
    cluster.volume_was_never_at_two_nodes();
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
