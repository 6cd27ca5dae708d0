//! The volume, before the cluster has it: a file system and the PBX's first data, on one node. What the node does is in
//! `storage.sh`; on a LAN the volume is the DRBD resource, by `storage_drbd.sh`.

use std::time::Duration;

use secrecy::SecretString;

use super::project::{self, PASSWORD, PROJECT};
use super::site::{Aws, Site, System};
use super::{Deployment, Facts, all, copies};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::{Command, Node};
use crate::run::Run;
use crate::steps::Step;

/// initdt migrates the data of an older version.
const LIMIT: Duration = Duration::from_secs(2 * 3600);
/// As long as Pacemaker gives the agent.
const VOLUME: Duration = Duration::from_secs(180);

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    if deployment.is_in_use() {
        // The cluster has the volume, and the PBX may be using it.
        return Ok(());
    }
    let node = node(deployment);
    let is_needed = is_needed(deployment, run).await?;
    run.step(node, &step(deployment)).await?;
    if !run.is_dry() {
        same_password(deployment, run, &node.name).await?;
    } else if is_needed {
        // Whether the volume has data is known only when it is attached. The step writes it on its own node.
        let write = &write_password(&SecretString::default());
        let writing = deployment.each_with_data();
        all(writing.map(|(node, _)| async move { run.change(node, write).await.map(drop) }))
            .await?;
    }
    copies::hand_over(deployment, run, is_needed).await
}

/// Whether the volume is still to be prepared, or just is.
///
/// # Errors
/// The node does not answer.
pub(super) async fn is_needed(deployment: &Deployment, run: &Run) -> Result<bool, Failure> {
    run.needs(node(deployment), &step(deployment)).await
}

/// Where the volume is prepared: where that has begun, where the volume is, or where it was done.
fn node(deployment: &Deployment) -> &Node {
    let is_volume = deployment.site.drbd().is_none();
    let name = step(deployment).name;
    let first_with = |holds: &dyn Fn(&Facts) -> bool| {
        let mut nodes = deployment.each_with_data();
        nodes.find(|(_, facts)| holds(facts)).map(|(node, _)| node)
    };
    first_with(&|facts| facts.runs(name))
        .or_else(|| first_with(&Facts::is_mounted))
        // DRBD is up on several nodes.
        .or_else(|| first_with(&|facts| is_volume && facts.has_device()))
        .or_else(|| first_with(&|facts| facts.has_succeeded(name)))
        .unwrap_or(&deployment.nodes[0])
}

/// On a node that has another one than the data of the volume.
fn write_password(password: &SecretString) -> Command {
    let mut command = project::write_password(password);
    command.what = format!("write {PASSWORD}, where the volume has data with another password");
    command
}

/// An existing volume has the password of its database: then that one counts on all nodes.
async fn same_password(deployment: &Deployment, run: &Run, from: &str) -> Result<(), Failure> {
    let Some(node) = deployment.nodes.iter().find(|node| node.name == from) else {
        return Ok(());
    };
    let password = project::read(node, "database_password").await?;
    let (compare, write) = (&is_password(&password), &write_password(&password));
    let others = deployment.each_with_data();
    let others = others.filter(|(node, _)| node.name != from);
    all(others.map(|(node, _)| async move {
        match node.run(compare).await {
            Ok(answer) if answer.is_success() => Ok(()),
            _ => run.change(node, write).await.map(drop),
        }
    }))
    .await
}

fn is_password(password: &SecretString) -> Command {
    Command::look(
        "comparing the database's password",
        format!("cmp -s - {PASSWORD}"),
    )
    .reading(password.clone())
}

fn step(deployment: &Deployment) -> Step {
    prepare(&deployment.site, deployment.certificate_manager)
}

fn prepare(site: &Site, certificate_manager: bool) -> Step {
    Step {
        name: "storage",
        what: "prepare the data (XFS only where there is nothing, then the PBX's first data)"
            .to_owned(),
        script: format!(
            "set -eu\n\
             device={} data={} image={} project={PROJECT} certificates={}\n{}{}",
            quoted(site.device()),
            quoted(&site.data_path),
            quoted(&site.image),
            if certificate_manager { "yes" } else { "" },
            match &site.system {
                System::Aws(aws) => by_agent(aws),
                System::Lan(lan) => format!(
                    "resource={}\n{}",
                    quoted(&lan.drbd.name),
                    include_str!("storage_drbd.sh")
                ),
            },
            include_str!("storage.sh")
        ),
        limit: LIMIT,
        once: true,
    }
}

/// The volume by the agent that the cluster will use, with the same parameters.
fn by_agent(aws: &Aws) -> String {
    let parameters = aws
        .volume
        .iter()
        .map(|(name, value)| format!(" OCF_RESKEY_{name}={}", quoted(value)));
    format!(
        "# The agent that the cluster will use, with the same parameters. It takes the volume from no instance that runs.\n\
         volume() {{\n    \
             env OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE=ebs OCF_RESKEY_CRM_meta_timeout={}{} \\\n        \
                 /usr/lib/ocf/resource.d/portsip/awsebs \"$1\"\n\
         }}\n\
         is_whole() {{ :; }}\n",
        VOLUME.as_millis(),
        parameters.collect::<String>(),
    )
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
