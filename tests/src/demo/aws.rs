//! The cluster on three EC2 instances: the steps of the README, in its order.

use std::path::Path;

use super::cluster::{self, HACLUSTER, MINUTES, SECONDS, VARS, on_all, run, wait_until_active};
use crate::lab::Lab;
use crate::pbx;
use crate::progress::Progress;
use crate::site::{self, Host, INSTANCES, Instance};
use crate::world::Error;

/// The vars.yml of the vendor's guide, for the lab's site.
pub fn vars_yml() -> String {
    let [one, two, three] = INSTANCES.map(|instance| instance.id);
    format!(
        "pbx01_instance_id: {one}\n\
         pbx02_instance_id: {two}\n\
         pbx03_instance_id: {three}\n\
         private_vip_address: {}\n\
         eip_address: {}\n\
         eip_allocation_id: {}\n\
         ebs_volume_id: {}\n\
         pbx_image: {}\n\
         ssh_private_key_file: /home/ubuntu/.ssh/aws-portsip-pbx-ha.pem\n",
        site::VIP,
        site::EIP,
        site::EIP_ALLOCATION,
        site::VOLUME_ID,
        pbx::PBX_IMAGE,
    )
}

/// Makes the cluster, from nodes that have nothing of ours to resources that are started.
///
/// # Errors
/// A step failed: which, on which node, and what it printed.
pub fn install(lab: &Lab, deb: &Path, progress: &dyn Progress) -> Result<(), Error> {
    let nodes = lab.site().hosts();
    progress.step("installing the package on the three nodes");
    on_all(&nodes, |node| prepare(lab, node, deb))?;

    progress.step("cib-gen --format corosync vars.yml | sh");
    let first = &INSTANCES[0];
    run(
        lab,
        first,
        "making the nodes a cluster",
        &format!(
            "set -eo pipefail
             umask 077
             echo {HACLUSTER} >/root/hacluster
             cib-gen --format corosync {VARS} | HACLUSTER_PASSWORD_FILE=/root/hacluster sh
             rm /root/hacluster"
        ),
        MINUTES,
    )?;

    progress.step("the volume: XFS and the PBX's first data, once");
    initialise_volume(lab, first)?;

    progress.step("the PBX's containers, created and not started");
    on_all(&nodes, |node| {
        run(
            lab,
            node,
            "docker compose create",
            pbx::CREATE_CONTAINERS,
            MINUTES,
        )
        .map(drop)
    })?;

    progress.step("cib-gen vars.yml | sh");
    run(
        lab,
        first,
        "cib-gen",
        &format!("set -o pipefail; cib-gen {VARS} | sh"),
        MINUTES,
    )?;

    progress.step("waiting for the resources");
    wait_until_active(lab, first, MINUTES, |_| true).map(drop)
}

/// Installs the package on a node, and puts there what the PBX's containers are made from.
///
/// # Errors
/// A step failed: which, and what it printed.
pub fn prepare(lab: &Lab, node: &Host, deb: &Path) -> Result<(), Error> {
    cluster::prepare(lab, node, deb, &vars_yml())?;
    let region = format!("aws configure set region {}", site::REGION);
    run(lab, node, &region, &region, SECONDS).map(drop)
}

/// Attaches the volume, formats it, lets the PBX lay down its first data, and detaches it.
///
/// # Errors
/// With what the steps printed.
pub fn initialise_volume(lab: &Lab, node: &Instance) -> Result<(), Error> {
    let volume = site::VOLUME_ID;
    let device = format!(
        "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{}",
        volume.replace('-', "")
    );
    let data = pbx::DATA_DIR;
    let initialise = pbx::INITIALISE_DATA.join("\n");
    run(
        lab,
        node,
        "preparing the volume",
        &format!(
            "set -e
             aws ec2 attach-volume --volume-id {volume} --instance-id {id} --device /dev/sdf
             timeout 60 sh -c 'until [ -b {device} ]; do sleep 0.1; done'
             mkfs.xfs {device}
             mkdir -p {data}
             mount {device} {data}
             {initialise}
             umount {data}
             aws ec2 detach-volume --volume-id {volume}
             aws ec2 wait volume-available --volume-ids {volume}",
            id = node.id,
        ),
        MINUTES,
    )
    .map(drop)
}
