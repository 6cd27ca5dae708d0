//! The main job and its neighbours on three container nodes with the real package: a power cut, a
//! partition, the node that comes back (here), what an operator does, outages of all that the agents
//! ask, and what the services of a node do.
//!
//! Needs root, the package of `make deb` in PORTSIP_HA_DEB, and a few minutes.

#![allow(clippy::unwrap_used)]

mod apply;
mod operator;
mod outage;
mod services;
mod steady;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::demo::{Fault, Outcome, aws, cluster, fail_over};
use lab::lab::{Lab, Options, turn};
use lab::pbx::Behaviour;
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
        aws::install(&cluster.lab, &deb, &cluster.progress).unwrap();
        cluster
    }

    fn strike(&self, fault: Fault) -> Outcome {
        let outcome = fail_over(&self.lab, fault, &self.progress).unwrap();
        println!("{fault:?}\n{}", outcome.report());
        assert_eq!(outcome.faults(), Vec::<String>::new(), "after {fault:?}");
        outcome
    }

    fn volume_was_never_at_two_nodes(&self) {
        let faults = self.lab.status().unwrap().violations();
        assert_eq!(faults, Vec::<String>::new());
    }

    /// Brings a fenced node back and waits until the cluster sees it online.
    fn bring_back(&self, hostname: &str, witness: &str) {
        self.lab.heal().unwrap();
        self.lab.power_on(instance(hostname)).unwrap();
        self.comes_back(hostname, witness);
    }

    /// Waits until the cluster sees a node online, and sees that it takes nothing back.
    fn comes_back(&self, hostname: &str, active: &str) {
        let witness = instance(active);
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let status = cluster::status(&self.lab, witness).unwrap();
            // One that is going down for a reboot is online until its Pacemaker has ended.
            let is_up = || {
                let asked = self.lab.ssh(
                    instance(hostname),
                    "systemctl is-active pacemaker && systemctl is-active docker",
                    Duration::from_secs(30),
                );
                asked.is_ok_and(|output| output.status.success())
            };
            if status.online.iter().any(|online| online == hostname) && is_up() {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{hostname} did not come back online: {status:#?}"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
        let settled = Duration::from_secs(60);
        let stayed = cluster::wait_until_active(&self.lab, witness, settled, |_| true).unwrap();
        assert_eq!(
            stayed, active,
            "a node that comes back must not take the PBX back"
        );
        self.nothing_runs_on(hostname);
        self.volume_was_never_at_two_nodes();
    }

    /// From its next start on, SIP and the web portal answer only some time after the containers run.
    fn pbx_is_slow(&self) {
        let minute = Duration::from_secs(60);
        let active =
            cluster::wait_until_active(&self.lab, &INSTANCES[0], minute, |_| true).unwrap();
        let slow = Behaviour {
            answers_after: Duration::from_secs(20),
            stop_takes: Duration::from_secs(3),
            ..Behaviour::default()
        };
        self.on(&active, &slow.script());
    }

    fn nothing_runs_on(&self, standby: &str) {
        let running = self.on(standby, "docker ps --quiet");
        assert_eq!(running, "", "containers run on {standby}, a standby");
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
fn the_pbx_survives_the_loss_of_its_node() {
    let _turn = turn().unwrap();
    let cluster = Cluster::up();

    let cut = cluster.strike(Fault::PowerCut);
    assert_eq!(cut.fenced, [cut.lost.as_str()]);
    cluster.bring_back(&cut.lost, &cut.active);

    let partition = cluster.strike(Fault::Partition);
    assert_eq!(partition.fenced, [partition.lost.as_str()]);
    cluster.bring_back(&partition.lost, &partition.active);
}
