//! Whether the PBX answers after an update.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::along::reached;
use super::found::Found;
use crate::cluster::State;
use crate::commands;
use crate::exit::Failure;
use crate::output::say;
use crate::reach::Command;
use crate::run::Run;
use crate::verbs::show::answer;

/// For how long the PBX may take to answer after its start.
const ANSWERS: Duration = Duration::from_secs(60);

/// The PBX answers, and not only its containers run: the monitor asks SIP and the portal. What is degraded runs.
pub(super) async fn answers(found: &Found, run: &Run) -> Result<(), Failure> {
    const DEGRADED: i32 = 190;
    let begun = Instant::now();
    loop {
        let state = answer(&found.contact.node(), commands::state()).await;
        let state = state.ok().and_then(|it| State::parse(&it.stdout).ok());
        let master = state.as_ref().and_then(State::master);
        let node = master.and_then(|name| reached(found, name));
        let mut why = "no node that was reached runs the PBX".to_owned();
        if let Some((node, _)) = node {
            let mut check = Command::look(
                "asking the PBX",
                "crm_resource --resource pbx --force-check=10 2>&1",
            );
            check.limit = ANSWERS;
            match node.run(&check).await {
                Ok(it) if it.is_success() => return Ok(()),
                Ok(it) if it.status == DEGRADED => {
                    say(&format!(
                        "the PBX runs, and its monitor says: {}",
                        it.said()
                    ));
                    return Ok(());
                }
                Ok(it) => why = it.said(),
                Err(cause) => why = format!("{} {}", node.name, cause.found()),
            }
        }
        if begun.elapsed() > ANSWERS {
            let failed = Failure::incomplete(format!(
                "the PBX was started and does not answer: {why}\n  help: ha-ctl show"
            ));
            return run.judge(Err(failed));
        }
        sleep(Duration::from_secs(2)).await;
    }
}
