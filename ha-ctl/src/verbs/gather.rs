//! Asks all nodes at once how the cluster is. The first part of the cluster with a majority speaks for it; a node
//! that it calls offline is not waited for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use crate::cluster::{Facts, State};
use crate::commands;
use crate::exit::Failure;
use crate::inventory::Machine;
use crate::reach::{Cause, Fleet, Missing, Node, none_usable};

/// How the cluster is.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) state: State,
    /// The node that said so.
    pub(super) node: Arc<Node>,
    /// What is on the nodes that answered in time.
    pub(super) facts: Vec<Facts>,
    /// The nodes that are online and could not be asked.
    pub(super) missing: Vec<Missing>,
}

/// What one machine said.
struct Said {
    node: Arc<Node>,
    state: Result<State, String>,
    facts: Option<Facts>,
}

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// The cluster's state: the first good answer is enough.
    State,
    /// What is on each node too.
    Everything,
}

/// How long a machine may take to answer a connection, and how long others are waited for after the first.
const CONNECT: Duration = Duration::from_secs(2);
const OTHERS: Duration = Duration::from_millis(2500);

/// Asks all machines.
///
/// # Errors
/// None could be reached, or the cluster runs on none of them.
pub(super) async fn gather(fleet: &Fleet, ask: Ask) -> Result<Gathered, Failure> {
    let mut asking: FuturesUnordered<_> = fleet
        .machines()
        .iter()
        .map(|machine| one(fleet, machine, ask))
        .collect();
    let (mut said, mut missing) = (Vec::new(), Vec::new());
    let mut deadline: Option<Instant> = None;
    loop {
        let next = match deadline {
            // Without any answer, those that were not reached say when it is over.
            None => asking.next().await,
            Some(until) => match tokio::time::timeout_at(until, asking.next()).await {
                Ok(next) => next,
                Err(_) if fleet.is_asking() => {
                    deadline = Some(Instant::now() + OTHERS);
                    continue;
                }
                Err(_) => break,
            },
        };
        match next {
            None => break,
            Some(Ok(answer)) => said.push(answer),
            Some(Err(why)) => missing.push(why),
        }
        if best(&said).is_some() {
            deadline.get_or_insert_with(|| Instant::now() + OTHERS);
        }
        if is_enough(&said, &missing, ask) {
            break;
        }
    }
    drop(asking);
    let Some(best) = best(&said) else {
        return Err(no_cluster(&said, &missing));
    };
    let (node, state) = (Arc::clone(&said[best].node), said[best].state.clone());
    let Ok(state) = state else {
        return Err(no_cluster(&said, &missing));
    };
    let online = state.online();
    let silent = online
        .iter()
        .filter(|name| !answered(name, &said, &missing));
    let silent: Vec<Missing> = silent.map(|name| late(name)).collect();
    missing.extend(silent);
    missing.retain(|it| online.contains(&it.name.as_str()));
    missing.sort_by(|a, b| a.name.cmp(&b.name));
    let mut facts: Vec<Facts> = said.into_iter().filter_map(|it| it.facts).collect();
    facts.sort_by(|a, b| a.node.cmp(&b.node));
    Ok(Gathered {
        state,
        node,
        facts,
        missing,
    })
}

async fn one(fleet: &Fleet, machine: &Machine, ask: Ask) -> Result<Said, Missing> {
    let node = Arc::new(fleet.connect(machine, CONNECT).await?);
    let (state, facts) = (commands::state(), commands::facts());
    let facts = async {
        match ask {
            Ask::State => None,
            Ask::Everything => node.run(&facts).await.ok(),
        }
    };
    let (answer, facts) = tokio::join!(node.run(&state), facts);
    let state = match answer {
        Err(cause) => Err(cause.found()),
        Ok(answer) if !answer.is_success() => Err(answer.said()),
        Ok(answer) => State::parse(&answer.stdout)
            .map_err(|error| format!("what crm_mon printed cannot be used: {error}")),
    };
    let facts = facts.map(|answer| Facts::parse(&machine.name, &answer.stdout));
    Ok(Said { node, state, facts })
}

/// Which answer speaks for the cluster: one with a majority; among equals the first.
fn best(said: &[Said]) -> Option<usize> {
    let good = |it: &Said| it.state.as_ref().ok().map(|state| state.quorum);
    let quorate = said.iter().position(|it| good(it) == Some(true));
    quorate.or_else(|| said.iter().position(|it| good(it).is_some()))
}

/// Whether nobody else has to be waited for.
fn is_enough(said: &[Said], missing: &[Missing], ask: Ask) -> bool {
    let state = best(said).and_then(|best| said[best].state.as_ref().ok());
    let Some(state) = state.filter(|state| state.quorum) else {
        return false;
    };
    ask == Ask::State
        || state
            .online()
            .iter()
            .all(|name| answered(name, said, missing))
}

fn answered(name: &str, said: &[Said], missing: &[Missing]) -> bool {
    said.iter().any(|it| it.node.name == name) || missing.iter().any(|it| it.name == name)
}

fn late(name: &str) -> Missing {
    Missing {
        name: name.to_owned(),
        cause: Cause::Unreachable {
            said: "it has not answered in time".to_owned(),
        },
        by_hand: format!("ssh {name}"),
    }
}

fn no_cluster(said: &[Said], missing: &[Missing]) -> Failure {
    if said.is_empty() {
        return none_usable(missing);
    }
    let each = said.iter().filter_map(|it| {
        let error = it.state.as_ref().err()?;
        Some(format!("{}: {error}", it.node.name))
    });
    let each: Vec<String> = each.chain(missing.iter().map(Missing::text)).collect();
    Failure::failed(format!(
        "the cluster does not answer on any node\n{}\n  help: sudo pcs cluster start --all   starts it where it is \
         stopped",
        each.join("\n")
    ))
}
