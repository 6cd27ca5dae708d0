//! The cluster on three machines of a LAN: the steps of `docs/lan.md`, in its order, as the machines' user, whose sudo
//! asks for a password.

mod comeback;
pub mod storage;

pub use comeback::{Comeback, come_back};
pub use storage::Drbd;

use std::path::Path;
use std::time::Duration;

use super::cluster::{self, HACLUSTER, SECONDS, VARS, on_all, run, run_as_user, wait_until_active};
use crate::lab::Lab;
use crate::pbx;
use crate::progress::Progress;
use crate::site::lan::{DATA_DISK, HOSTS, VIP};
use crate::world::Error;

/// How much of the disk for the data is used, which has 2 GiB.
const DATA_SIZE: &str = "1900M";
/// For a step with many processes, which cost a kernel node 25 ms each, and more where this machine is busy.
const SLOW: Duration = Duration::from_secs(900);

/// The vars.yml of the vendor's guide, for the lab's site.
pub fn vars_yml(drbd: Drbd) -> String {
    let mut vars = String::new();
    for (number, host) in (1..).zip(&HOSTS) {
        vars += &format!("pbx0{number}_hostname: {}\n", host.hostname);
        vars += &format!("pbx0{number}_private_ip: {}\n", host.private_ip);
    }
    vars += &format!(
        "vip: {VIP}\n\
         pbx_image: {}\n\
         pbx_datapath_disk: {DATA_DISK}\n\
         pbx_datapath_size: {DATA_SIZE}\n",
        pbx::PBX_IMAGE
    );
    if drbd == Drbd::Eight {
        vars += "drbd: 8.4\n";
    }
    vars
}

/// Makes the cluster, from nodes that have nothing of ours to resources that are started.
///
/// # Errors
/// A step failed: which, on which node, and what it printed.
pub fn install(lab: &Lab, deb: &Path, progress: &dyn Progress) -> Result<(), Error> {
    let nodes = lab.site().hosts();
    let first = nodes[0];
    let drbd = storage::version(lab, first)?;

    progress.step(&format!(
        "the package, Docker and the watchdog on the three nodes; {drbd}"
    ));
    let vars = vars_yml(drbd);
    on_all(&nodes, |node| {
        // On a stock machine it runs already; here it would take a minute of each boot that needs none.
        let docker = "sudo systemctl enable --now docker";
        run_as_user(lab, node, docker, docker, SLOW)?;
        cluster::prepare(lab, node, deb, &vars)?;
        let watchdog = "sudo systemctl enable --now portsip-ha-softdog";
        run_as_user(lab, node, watchdog, watchdog, SLOW).map(drop)
    })?;

    progress.step("cib-gen --format corosync vars.yml | sudo sh");
    run(
        lab,
        first,
        "hacluster's password",
        &format!("umask 077; echo {HACLUSTER} >/root/hacluster"),
        SECONDS,
    )?;
    run_as_user(
        lab,
        first,
        "making the nodes a cluster",
        &format!(
            "set -eo pipefail
             cib-gen --format corosync {VARS} | sudo HACLUSTER_PASSWORD_FILE=/root/hacluster sh
             sudo rm /root/hacluster"
        ),
        SLOW,
    )?;

    progress.step("cib-gen --format drbd vars.yml, and the steps in its comments");
    let holders = storage::make(lab, &nodes)?;

    progress.step("the PBX's containers, created and not started");
    on_all(&holders, |node| {
        let create = format!(
            "sudo {} {}",
            pbx::CREATE_CONTAINERS,
            pbx::KERNEL_NODE_SERVICES
        );
        run_as_user(lab, node, "docker compose create", &create, SLOW).map(drop)
    })?;

    progress.step("cib-gen vars.yml | sudo sh");
    run_as_user(
        lab,
        first,
        "cib-gen",
        &format!("set -o pipefail; cib-gen {VARS} | sudo sh"),
        SLOW,
    )?;

    progress.step("waiting for the resources");
    // The node that has least to do is asked.
    wait_until_active(lab, nodes[2], SLOW, |_| true).map(drop)
}
