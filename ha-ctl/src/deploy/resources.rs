//! The cluster's resources, fencing among them, by `cib-gen apply`: one push, into a new cluster as into one that is
//! configured.

use std::time::Duration;

use super::vars_file::FILE;
use super::{Deployment, Site};
use crate::exit::Failure;
use crate::reach::{Command, Node};
use crate::run::Run;
use crate::steps::Step;

/// The step that configures them.
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
    if deployment.is_configured() && deployment.pending.is_none() {
        return Ok(());
    }
    let step = apply(&deployment.site, deployment.is_configured());
    // Where the PBX could run, its agents can say whether they could run so.
    let mut nodes = deployment.each_with_data();
    let node = match nodes.find(|(_, facts)| facts.runs(step.name)) {
        Some((node, _)) => node,
        None => &deployment.nodes[0],
    };
    run.step(node, &step).await
}

pub(crate) fn apply(site: &Site, is_configured: bool) -> Step {
    let what = match is_configured {
        true => "bring the running cluster to vars.yml (cib-gen apply)",
        false => "configure the cluster's resources (cib-gen apply)",
    };
    Step {
        name: STEP,
        what: what.to_owned(),
        script: format!(
            "for pause in 10 20 0; do\n    \
                 cib-gen apply --yes {} {FILE} && exit || status=$?\n    \
                 # It refuses a cluster that is so new that not every node answers yet.\n    \
                 [ $status = {DIFFERENT} ] || exit $status\n    \
                 sleep $pause\n\
             done\n\
             exit $status\n",
            site.options()
        ),
        limit: LIMIT,
        once: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_is_only_asked_for() {
        let site = super::super::samples::aws();
        insta::assert_snapshot!(apply(&site, true).script);
        assert_eq!(apply(&site, true).script, apply(&site, false).script);
        assert!(ask(&site, "").script.contains("--dry-run"));
    }
}
