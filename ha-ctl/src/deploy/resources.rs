//! The cluster's resources, fencing among them: cib-gen's script for a new cluster, and `cib-gen apply` for one that is
//! configured.

use std::time::Duration;

use super::vars_file::FILE;
use super::{Deployment, Site};
use crate::exit::Failure;
use crate::reach::{Command, Node};
use crate::run::Run;
use crate::steps::Step;

/// What both ways are called.
pub(super) const STEP: &str = "resources";
const LIMIT: Duration = Duration::from_secs(900);
/// `cib-gen apply --dry-run` ends with this where something would change, or where it refuses.
const DIFFERENT: i32 = 3;

/// What `cib-gen apply` would change in the running cluster, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending(pub String);

/// Asks what `cib-gen apply` would change.
///
/// # Errors
/// It could not find out.
pub async fn pending(node: &Node, site: &Site, vars: &str) -> Result<Option<Pending>, Failure> {
    let command = ask(site, vars);
    let what = &command.what;
    let answer = node.run(&command).await.map_err(|cause| {
        Failure::failed(format!(
            "{what}: {} {}. Nothing was changed",
            node.name,
            cause.found()
        ))
    })?;
    match answer.status {
        0 => Ok(None),
        DIFFERENT => Ok(Some(Pending(answer.stdout.trim_end().to_owned()))),
        _ => Err(Failure::failed(format!(
            "{what} on {} failed. Nothing was changed\n{}",
            node.name,
            answer.stderr.trim_end()
        ))),
    }
}

fn ask(site: &Site, vars: &str) -> Command {
    let mut command = Command::look(
        "asking what cib-gen apply would change",
        format!("cib-gen apply --dry-run {} -", site.options()),
    )
    .reading(vars);
    command.limit = Duration::from_secs(120);
    command
}

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let site = &deployment.site;
    let step = match (deployment.is_configured(), &deployment.pending) {
        (false, _) => configure(site),
        (true, Some(_)) => apply(site),
        (true, None) => return Ok(()),
    };
    let node = deployment.node_where(|facts| facts.runs(step.name));
    run.step(node, &step).await
}

fn configure(site: &Site) -> Step {
    Step {
        name: STEP,
        what: "configure the cluster's resources (cib-gen)".to_owned(),
        script: format!(
            "set -eu\n\
             # An earlier run may have done it since this one has looked.\n\
             case $(cibadmin --query --scope resources 2>/dev/null) in\n\
             *'<primitive '*' id=\"pbx\"'* | *'<primitive id=\"pbx\"'*) exec cib-gen apply --yes {options} {FILE} ;;\n\
             esac\n\
             cib-gen {options} {FILE} >/var/lib/portsip-ha/resources.sh\n\
             sh /var/lib/portsip-ha/resources.sh\n",
            options = site.options()
        ),
        limit: LIMIT,
        once: false,
    }
}

fn apply(site: &Site) -> Step {
    Step {
        name: STEP,
        what: "bring the running cluster to vars.yml (cib-gen apply)".to_owned(),
        script: format!("cib-gen apply --yes {} {FILE}\n", site.options()),
        limit: LIMIT,
        once: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_is_configured_is_changed_by_apply_alone() {
        let site = super::super::tests::site();
        insta::assert_snapshot!(configure(&site).script);
        insta::assert_snapshot!(apply(&site).script);
        assert!(ask(&site, "").script.contains("--dry-run"));
    }
}
