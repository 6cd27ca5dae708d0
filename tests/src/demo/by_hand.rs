//! The cluster on three EC2 instances, made by hand: steps 2 to 7 of the README, word by word, as the user `ubuntu`.
//! What a person decides there (passwords, the region) is decided here.

use std::path::Path;
use std::time::Duration;

use super::cluster::{DATABASE_PASSWORD, HACLUSTER, MINUTES, on_all, wait_until_active};
use super::{aws, cluster, operator, readme};
use crate::lab::Lab;
use crate::progress::Progress;
use crate::site::{self, Host, INSTANCES};
use crate::world::Error;

/// A step may install packages, or wait for a cluster.
const LIMIT: Duration = Duration::from_secs(600);
/// Where the password of hacluster is for the script that makes the cluster.
const PASSWORD: &str = "/root/hacluster";

/// Makes the cluster, from nodes that have nothing of ours to resources that are started.
///
/// # Errors
/// A step failed: which, on which node, and what it printed.
pub fn install(lab: &Lab, deb: &Path, progress: &dyn Progress) -> Result<(), Error> {
    let nodes = lab.site().hosts();
    let first = &INSTANCES[0];
    progress.step("README, steps 2 and 4: the package and the PBX's project on the three nodes");
    on_all(&nodes, |node| prepare(lab, node, deb))?;
    aws::put_policy(lab, first, "cib-gen")?;
    progress.step("step 3: the cluster");
    make_cluster(lab, first)?;
    progress.step("step 5: the volume, XFS and the PBX's first data, once");
    initialise_volume(lab)?;
    progress.step("step 6: the PBX's containers, created and not started");
    on_all(&nodes, |node| create_containers(lab, node))?;
    progress.step("step 7: the resources");
    each(lab, first, 7, &[])?;
    progress.step("waiting for the resources");
    wait_until_active(lab, first, MINUTES, |_| true).map(drop)
}

/// Steps 2 and 4 on one node: installs the package, and puts there what the PBX's containers are made from.
///
/// # Errors
/// A step failed: which, and what it printed.
pub fn prepare(lab: &Lab, node: &Host, deb: &Path) -> Result<(), Error> {
    operator::put_files(lab, node, deb, &aws::vars_yml())?;
    // Who types a password types it twice.
    let password = format!("printf '%s\\n' {HACLUSTER} {HACLUSTER} | sudo passwd hacluster");
    let replaced = [
        ("sudo passwd hacluster ", password.as_str()),
        ("REGION ", site::REGION),
    ];
    let [package, others @ ..] = &readme::step(2)?[..] else {
        return Err("README.md: step 2 has no commands".into());
    };
    run(lab, node, 2, &readme::with(package, &replaced)?)?;
    for block in others {
        run(lab, node, 2, block)?;
    }
    // An editor in which a person types the password.
    let editor = format!(
        "printf '#!/bin/sh\\necho {DATABASE_PASSWORD} >\"$1\"\\n' >editor && chmod 755 editor && \
         export SUDO_EDITOR=$PWD/editor"
    );
    for block in readme::step(4)? {
        run(lab, node, 4, &format!("{editor}\n{block}"))?;
    }
    Ok(())
}

/// Step 3. A script has nobody who types the password, and names a file with it, as the README says.
fn make_cluster(lab: &Lab, node: &Host) -> Result<(), Error> {
    let by_file = format!("sudo HACLUSTER_PASSWORD_FILE={PASSWORD} sh");
    for block in readme::step(3)? {
        let block = readme::with(block, &[("sudo sh", by_file.as_str())])?;
        let script = format!(
            "sudo sh -c 'umask 077; echo {HACLUSTER} >{PASSWORD}'\n{block}\nsudo rm {PASSWORD}"
        );
        run(lab, node, 3, &script)?;
    }
    Ok(())
}

/// Step 5, on the first node: attaches the volume, formats it, lets the PBX lay down its first data, and detaches it.
///
/// # Errors
/// With what the step printed.
pub fn initialise_volume(lab: &Lab) -> Result<(), Error> {
    let first = &INSTANCES[0];
    each(lab, first, 5, &[site::VOLUME_ID, first.id])
}

/// Step 6 on one node.
///
/// # Errors
/// With what the step printed.
pub fn create_containers(lab: &Lab, node: &Host) -> Result<(), Error> {
    each(lab, node, 6, &[])
}

/// All blocks of a step, which have to be about the lab's site.
fn each(lab: &Lab, node: &Host, step: u8, about: &[&str]) -> Result<(), Error> {
    for block in readme::step(step)? {
        let block = readme::with(
            block,
            &about.iter().map(|word| (*word, *word)).collect::<Vec<_>>(),
        )?;
        run(lab, node, step, &block)?;
    }
    Ok(())
}

fn run(lab: &Lab, node: &Host, step: u8, block: &str) -> Result<(), Error> {
    let what = format!("step {step} of the README");
    let script = format!("set -eo pipefail\n{block}");
    cluster::run_as_user(lab, node, &what, &script, LIMIT).map(drop)
}
