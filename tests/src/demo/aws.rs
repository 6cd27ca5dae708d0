//! The cluster on three EC2 instances, as an operator makes it: with `ha-ctl deploy`. By hand: `by_hand`.

use std::path::Path;

use super::cluster::{MINUTES, SECONDS, on_all, run_as_user, wait_until_active};
use super::operator;
use crate::ec2::Principal;
use crate::lab::Lab;
use crate::pbx;
use crate::progress::Progress;
use crate::site::{self, Host, INSTANCES};
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
         ssh_private_key_file: {}\n",
        site::VIP,
        site::EIP,
        site::EIP_ALLOCATION,
        site::VOLUME_ID,
        pbx::PBX_IMAGE,
        operator::key(site::Site::Ec2),
    )
}

/// Gives the nodes' role the policy that cib-gen prints from the user's vars.yml, as docs/aws.md says. From then on it may
/// do nothing else.
///
/// # Errors
/// cib-gen refuses vars.yml.
pub fn put_policy(lab: &Lab, node: &Host, cib_gen: &str) -> Result<(), Error> {
    let print = format!("{cib_gen} --format iam-policy vars.yml");
    let policy = run_as_user(lab, node, "the policy of the nodes' role", &print, SECONDS)?;
    lab.put_policy(Principal::Role, &policy)
}

/// Makes the cluster, from nodes that have nothing of ours to resources that are started; returns what ha-ctl printed.
///
/// # Errors
/// What ha-ctl printed.
pub fn install(lab: &Lab, deb: &Path, progress: &dyn Progress) -> Result<String, Error> {
    let first = &INSTANCES[0];
    progress.step("the key, vars.yml and the package, unpacked, on one node");
    operator::equip(lab, first, deb, &vars_yml())?;
    put_policy(lab, first, "p/usr/bin/cib-gen")?;
    let printed = operator::deploy(lab, first, "", progress)?;
    // Whoever looks at the cluster from another node, when this one is dead, needs the key there.
    on_all(&lab.site().hosts(), |node| operator::put_key(lab, node))?;
    wait_until_active(lab, first, MINUTES, |_| true)?;
    Ok(printed)
}
