//! The containers of the PBX on every node that can run it: created, not started. Pacemaker decides which node starts
//! them; Docker must start none after a reboot.

use std::time::Duration;

use super::project::PROJECT;
use super::{Deployment, Facts, all};
use crate::exit::Failure;
use crate::run::Run;
use crate::steps::Step;

const LIMIT: Duration = Duration::from_secs(1800);

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let in_use = deployment.is_in_use();
    let lacking = deployment
        .each_with_data()
        .filter(|(_, facts)| !in_use || !Facts::has_containers(facts));
    let create = &create(in_use);
    all(lacking.map(|(node, _)| run.step(node, create))).await
}

/// Where the PBX is in use, containers that are there stay as they are. Before that, those of an earlier run that was
/// given other values are made anew.
fn create(in_use: bool) -> Step {
    let keep = if in_use { " --no-recreate" } else { "" };
    Step {
        name: "containers",
        what: "create the PBX's containers, without starting them".to_owned(),
        script: format!(
            "set -eu\n\
             docker compose --project-directory {PROJECT} create{keep}\n\
             docker update --restart=no $(docker ps --all --quiet --filter label=com.docker.compose.project=portsip) \
             >/dev/null\n"
        ),
        limit: LIMIT,
        once: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_that_are_in_use_are_never_made_anew() {
        assert!(create(true).script.contains("create --no-recreate\n"));
        insta::assert_snapshot!(create(false).script);
    }
}
