//! The cluster on three machines of a LAN, made with `ha-ctl deploy` as the machines' user, whose sudo asks for a
//! password.

mod comeback;
pub mod storage;

pub use comeback::{Comeback, come_back};
pub use storage::Drbd;

use std::path::Path;
use std::time::Duration;

use super::cluster::{self, SECONDS, wait_until_active};
use super::operator;
use crate::lab::Lab;
use crate::pbx;
use crate::progress::Progress;
use crate::site::Host;
use crate::site::lan::{DATA_DISK, HOSTS, VIP};
use crate::world::Error;

/// How much of the disk for the data is used, which has 4 GiB.
const DATA_SIZE: &str = "1900M";
/// For a step with many processes, which cost a kernel node 3 ms each, and more where this machine is busy.
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

/// Makes the cluster, from nodes that have nothing of ours to resources that are started; returns what ha-ctl printed.
///
/// # Errors
/// What ha-ctl printed.
pub fn install(lab: &Lab, deb: &Path, progress: &dyn Progress) -> Result<String, Error> {
    let [first, _, third] = lab.site().hosts();
    let drbd = storage::version(lab, first)?;
    progress.step(&format!(
        "the key, vars.yml, the PBX's compose file and the package, unpacked, on one node; {drbd}"
    ));
    operator::equip(lab, first, deb, &vars_yml(drbd))?;
    put_compose_file(lab, first)?;
    let printed = operator::deploy(lab, first, "", progress)?;
    // The node that has least to do is asked.
    wait_until_active(lab, third, SLOW, |_| true)?;
    Ok(printed)
}

/// Puts the PBX's compose file where the README says, before a deployment: here one with few services.
///
/// # Errors
/// The node refuses it.
pub fn put_compose_file(lab: &Lab, node: &Host) -> Result<(), Error> {
    let directory = tempfile::tempdir()?;
    let local = directory.path().join("docker-compose.yml");
    std::fs::write(&local, pbx::kernel_node_compose_yaml())?;
    let project = pbx::PROJECT_DIR;
    let make = format!("install -d -m 0755 /etc/portsip {project}");
    cluster::run(lab, node, "making directories", &make, SECONDS)?;
    let file = format!("{project}/docker-compose.yml");
    lab.copy_to(node, &local, Path::new(&file))
}
