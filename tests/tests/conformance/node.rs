//! A node of the lab with the package, the volume with the PBX's first data, and the containers made.

use std::path::PathBuf;

use lab::demo::{by_hand, cluster};
use lab::lab::{Lab, Options, Turn, turn};
use lab::progress::Stderr;
use lab::site::{INSTANCES, Instance};

/// The agents, with the resource that the README's cluster makes of each.
pub(crate) const AGENTS: [(&str, &str); 5] = [
    ("awsvip", "privip"),
    ("awseip", "eip"),
    ("awsipsrcaddr", "src_pkt_ip"),
    ("awsebs", "ebs"),
    ("pbx", "pbx"),
];

/// Where the agents are.
pub(crate) const DIRECTORY: &str = "/usr/lib/ocf/resource.d/portsip";

/// The volume's device.
pub(crate) const DEVICE: &str =
    "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67";

pub(crate) struct Node {
    lab: Lab,
    /// After the lab, which is taken down when this is dropped.
    _turn: Turn,
}

impl Node {
    pub(crate) const SELF: &'static Instance = &INSTANCES[0];

    pub(crate) fn up() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "the lab needs root: run `make test` as root"
        );
        let deb = PathBuf::from(std::env::var_os("PORTSIP_HA_DEB").expect(
            "PORTSIP_HA_DEB does not name a package: run `make test`, or `make deb` and set it",
        ));
        let turn = turn().unwrap();
        let progress = Stderr::new();
        let options = Options {
            fast: true,
            ..Options::default()
        };
        let lab = Lab::up(&options, &progress).unwrap();
        let node = Self { lab, _turn: turn };
        by_hand::prepare(&node.lab, Self::SELF, &deb).unwrap();
        by_hand::initialise_volume(&node.lab).unwrap();
        by_hand::create_containers(&node.lab, Self::SELF).unwrap();
        node
    }

    /// What a script prints, which has to succeed.
    pub(crate) fn sh(&self, script: &str) -> String {
        cluster::run(&self.lab, Self::SELF, script, script, cluster::MINUTES).unwrap()
    }

    /// What a script prints on both outputs, and whether it succeeds.
    pub(crate) fn attempt(&self, script: &str) -> (bool, String) {
        let script = format!("( {script} ) 2>&1");
        let output = self.lab.ssh(Self::SELF, &script, cluster::MINUTES).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = Lab::down() {
            eprintln!("lab down: {error}");
        }
    }
}
