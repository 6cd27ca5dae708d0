//! The nodes as a Corosync cluster, by the script that cib-gen writes for it. hacluster gets a new random password for
//! it, which nobody needs afterwards: pcs keeps tokens.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::facts::Membership;
use super::vars_file::FILE;
use super::{Deployment, Site, all, secret};
use crate::exit::Failure;
use crate::reach::{Command, Node};
use crate::run::Run;
use crate::steps::Step;

/// Where the password is for as long as the step needs it.
const PASSWORD: &str = "/var/lib/portsip-ha/hacluster";
/// Starting the cluster is waited for by the script, for two minutes. pcs starts hundreds of processes, and on a slow
/// machine takes ten.
const LIMIT: Duration = Duration::from_secs(1800);

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let site = &deployment.site;
    let memberships: Vec<(&Node, Membership)> = deployment
        .each()
        .map(|(node, facts)| (node, facts.membership(site)))
        .collect();
    refuse(&memberships, site)?;
    let is_member = |membership: &Membership| *membership == Membership::This;
    let all_are_members = memberships.iter().all(|(_, it)| is_member(it));
    let mut facts = deployment.facts.iter();
    if all_are_members && facts.all(|facts| facts.cluster_runs(site)) {
        return Ok(());
    }
    let make = make(site);
    // Its password must not change under a step that runs.
    if deployment.facts.iter().any(|facts| facts.runs(make.name)) {
        let node = deployment.node_where(|facts| facts.runs(make.name));
        return run.step(node, &make).await;
    }
    let node = deployment.node_where(|facts| facts.membership(site) == Membership::This);
    if !all_are_members {
        let password = secret::random()?;
        let set = &set_password(&password);
        let setting = deployment.nodes.iter();
        all(setting.map(|node| async move { run.change(node, set).await.map(drop) })).await?;
        run.change(node, &hand_over(&password)).await?;
    }
    run.step(node, &make).await
}

/// A node of another cluster is never taken out of it.
fn refuse(memberships: &[(&Node, Membership)], site: &Site) -> Result<(), Failure> {
    let others = memberships
        .iter()
        .filter_map(|(node, membership)| match membership {
            Membership::Other(cluster) => Some(format!("{} is in {cluster}", node.name)),
            Membership::None | Membership::This => None,
        });
    let others: Vec<String> = others.collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "a node is in another cluster already: {}. Wanted is {} with the nodes {}. Nothing was changed\n  help: sudo \
         pcs cluster destroy   (there) takes a node out of its cluster, and deletes the configuration of that cluster \
         there",
        others.join("; "),
        site.cluster,
        site.nodes
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    )))
}

fn set_password(password: &SecretString) -> Command {
    Command::change("give hacluster a new random password", "chpasswd")
        .reading(format!("hacluster:{}\n", password.expose_secret()))
}

fn hand_over(password: &SecretString) -> Command {
    Command::change(
        "hand hacluster's password to pcs there",
        format!("umask 077; install -d -m 0700 /var/lib/portsip-ha && cat >{PASSWORD}"),
    )
    .reading(format!("{}\n", password.expose_secret()))
}

fn make(site: &Site) -> Step {
    Step {
        name: "cluster",
        what: format!("make the nodes the cluster {}", site.cluster),
        script: format!(
            "set -eu\n\
             trap 'rm -f {PASSWORD}' EXIT\n\
             cib-gen --format corosync {} {FILE} >/var/lib/portsip-ha/corosync.sh\n\
             HACLUSTER_PASSWORD_FILE={PASSWORD} sh /var/lib/portsip-ha/corosync.sh\n",
            site.options()
        ),
        limit: LIMIT,
        once: false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::reach::test_node;

    #[test]
    fn a_node_of_another_cluster_is_refused_by_name() {
        let site = super::super::samples::aws();
        let node = test_node("n1");
        let other = Membership::Other("ha_cluster with the nodes pbx01, pbx02".to_owned());
        let refused = refuse(&[(&node, other)], &site).unwrap_err();
        assert!(
            refused
                .text
                .starts_with("a node is in another cluster already: n1 is in ha_cluster with the nodes pbx01, pbx02"),
            "{refused}"
        );
        assert!(
            refuse(
                &[(&node, Membership::None), (&node, Membership::This)],
                &site
            )
            .is_ok()
        );
    }

    #[test]
    fn the_password_is_on_standard_input_alone() {
        let password = SecretString::from("hunter2");
        for command in [set_password(&password), hand_over(&password)] {
            assert!(!format!("{command:?}").contains("hunter2"));
            assert!(
                command
                    .stdin
                    .unwrap()
                    .expose_secret()
                    .ends_with("hunter2\n")
            );
        }
        insta::assert_snapshot!(make(&super::super::samples::aws()).script);
    }
}
