//! The volume, before the cluster has it: a file system and the PBX's first data, on one node. What the node does is in
//! `storage.sh`.

use std::time::Duration;

use secrecy::SecretString;

use super::project::{self, PASSWORD, PROJECT};
use super::{Deployment, Site, all};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::Command;
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
    let prepare = prepare(&deployment.site, deployment.certificate_manager);
    let name = prepare.name;
    let facts = || deployment.facts.iter();
    let node = if facts().any(|it| it.runs(name)) {
        deployment.node_where(|it| it.runs(name))
    } else if facts().any(super::Facts::has_volume) {
        deployment.node_where(super::Facts::has_volume)
    } else {
        deployment.node_where(|it| it.has_succeeded(name))
    };
    run.step(node, &prepare).await?;
    if !run.is_dry() {
        return same_password(deployment, run, &node.name).await;
    }
    // Whether the volume has data is known only when it is attached. The step writes it on its own node.
    let write = &write_password(&SecretString::default());
    let writing = deployment.nodes.iter();
    all(writing.map(|node| async move { run.change(node, write).await.map(drop) })).await
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
    let others = deployment.nodes.iter().filter(|node| node.name != from);
    all(others.map(|node| async move {
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

fn prepare(site: &Site, certificate_manager: bool) -> Step {
    let parameters = site
        .volume
        .iter()
        .map(|(name, value)| format!(" OCF_RESKEY_{name}={}", quoted(value)));
    Step {
        name: "storage",
        what: "prepare the volume (XFS only if it is empty, then the PBX's first data)".to_owned(),
        script: format!(
            "set -eu\n\
             device={} data={} image={} project={PROJECT} certificates={}\n\
             # The agent that the cluster will use, with the same parameters. It takes the volume from no instance that runs.\n\
             volume() {{\n    \
                 env OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE=ebs OCF_RESKEY_CRM_meta_timeout={}{} \\\n        \
                     /usr/lib/ocf/resource.d/portsip/awsebs \"$1\"\n\
             }}\n{}",
            quoted(&site.device),
            quoted(&site.data_path),
            quoted(&site.image),
            if certificate_manager { "yes" } else { "" },
            VOLUME.as_millis(),
            parameters.collect::<String>(),
            include_str!("storage.sh")
        ),
        limit: LIMIT,
        once: true,
    }
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
