//! The end of a deployment: the PBX answers, and the cluster could fence a node.

use std::time::{Duration, Instant};

use super::super::contact::Contact;
use super::super::gather::{Ask, gather};
use super::super::signals::Signals;
use super::super::wait::{Ended, Goal, Wait};
use crate::cluster::State;
use crate::commands;
use crate::deploy::{Deployment, System};
use crate::exit::Failure;
use crate::output::say;
use crate::reach::{Fleet, Node};

/// How long a fencing device may take to start, which asks EC2.
const FENCES_WITHIN: Duration = Duration::from_secs(180);
/// How long the PBX may take from the configured resources to its first answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(900);

/// Waits until the PBX answers: its start ends only then.
pub(super) async fn answers(fleet: Fleet, signals: &mut Signals) -> Result<(), Failure> {
    let gathered = gather(&fleet, Ask::State).await;
    let gathered = gathered.map_err(|failure| Failure::incomplete(failure.text))?;
    if gathered.state.instances("pbx").any(|it| it.is_disabled()) {
        return Err(Failure::incomplete(
            "the cluster is deployed, and pbx is disabled, so it does not start\n  help: ha-ctl start -s pbx",
        ));
    }
    say("waiting until the PBX answers");
    let wait = Wait {
        contact: &Contact::new(fleet, gathered.node),
        resources: &["pbx".to_owned()],
        goal: Goal::Started,
        limit: ANSWERS_WITHIN,
    };
    let why = match wait.run(signals).await? {
        Ended::Reached(_) => return Ok(()),
        Ended::Settled(_) => "the PBX did not start, and the cluster has nothing more to do",
        Ended::Late(_) => "the PBX has not started within 15 minutes. The cluster goes on with it",
        Ended::Interrupted => {
            "interrupted. The cluster is configured, and goes on to start the PBX"
        }
    };
    Err(Failure::incomplete(format!(
        "{why}\n  help: ha-ctl show   says how it is, and what is in the way"
    )))
}

/// The cluster as a node sees it.
pub(in crate::verbs) async fn state(node: &Node) -> Result<State, Failure> {
    let name = &node.name;
    let answer = super::super::show::answer(node, commands::state()).await;
    let answer = answer.map_err(|failure| Failure::incomplete(failure.text))?;
    State::parse(&answer.stdout).map_err(|error| {
        Failure::incomplete(format!(
            "what crm_mon printed on {name} cannot be used: {error}"
        ))
    })
}

/// Waits until the fencing devices run. A PBX that answers and that nothing can take over is no success.
/// A watchdog is no device: the resources were not configured without it.
pub(super) async fn can_fence(deployment: &Deployment) -> Result<(), Failure> {
    let begun = Instant::now();
    let help = match deployment.site.system {
        System::Aws(_) => "docs/aws.md, \"The instance role\" and \"A way to EC2\"",
        System::Lan(_) => {
            "docs/lan.md, \"Install\": the fence agent's package, the board's address and password"
        }
    };
    loop {
        let state = state(&deployment.nodes[0]).await?;
        let mut devices = state.resources.iter().filter(|it| it.is_fencing());
        let Some(device) = devices.find(|it| !it.is_started()) else {
            return Ok(());
        };
        let failed = state
            .failures
            .iter()
            .filter(|it| it.operation.starts_with(&format!("{}_", device.id)));
        let failed: Vec<String> = failed
            .map(|it| format!("\n  {} on {}: {}", it.operation, it.node, it.reason))
            .collect();
        // It was tried on every node.
        let is_over = failed.len() >= state.online().len() || begun.elapsed() > FENCES_WITHIN;
        if is_over {
            return Err(Failure::incomplete(format!(
                "the PBX answers, and {} does not run, so nothing could take over{}\n  help: {help}. Then: \
                 sudo pcs resource cleanup {}",
                device.id,
                failed.concat(),
                device.id
            )));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
