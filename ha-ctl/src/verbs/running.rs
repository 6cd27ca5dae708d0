//! What `show` says of the cluster, where it runs on the nodes that are checked.

use std::time::Duration;

use futures_util::future::join_all;

use super::show::lost;
use crate::cluster::notices::{Seen, of};
use crate::cluster::{Configuration, Facts, Notice, State};
use crate::commands;
use crate::reach::{Command, Node};

/// What a cluster says that runs.
#[derive(Default)]
pub(super) struct Running {
    pub(super) notices: Vec<Notice>,
    /// The nodes that it calls offline or lost.
    pub(super) away: Vec<String>,
}

/// How long a node may take to say it.
const LIMIT: Duration = Duration::from_secs(5);

/// Asks all nodes, and takes the word of one with a majority; of a cluster that has nothing to do with these nodes,
/// such as the distribution's sample, there is nothing to say.
pub(super) async fn running(nodes: &[Node], names: &[String]) -> Running {
    let asked = nodes.iter().map(|node| async move {
        let (state, facts) = tokio::join!(
            printed(node, commands::state()),
            printed(node, commands::facts())
        );
        let state = state.and_then(|xml| State::parse(&xml).ok());
        (
            node,
            state,
            facts.map(|text| Facts::parse(&node.name, &text)),
        )
    });
    let said = join_all(asked).await;
    let facts: Vec<Facts> = said
        .iter()
        .filter_map(|(_, _, facts)| facts.clone())
        .collect();
    let states = || {
        let states = said.iter();
        let states = states.filter_map(|(node, state, _)| Some((*node, state.as_ref()?)));
        states.filter(|(_, state)| state.nodes.iter().any(|it| names.contains(&it.name)))
    };
    let best = states().find(|(_, state)| state.quorum);
    let Some((node, state)) = best.or_else(|| states().next()) else {
        return Running::default();
    };
    let configuration = printed(node, commands::configuration()).await;
    let configuration = configuration.and_then(|xml| Configuration::parse(&xml).ok());
    let notices = of(&Seen {
        state,
        configuration: configuration.as_ref(),
        facts: &facts,
        missing: &[],
        lost: &lost(node, state).await,
    });
    let away = names.iter().filter(|name| state.is_away(name));
    Running {
        notices,
        away: away.cloned().collect(),
    }
}

async fn printed(node: &Node, mut command: Command) -> Option<String> {
    command.limit = LIMIT;
    let answer = node.run(&command).await.ok()?;
    answer.is_success().then_some(answer.stdout)
}
