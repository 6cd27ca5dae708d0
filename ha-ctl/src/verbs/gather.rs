//! Asks how the cluster is, and all nodes at once what is on them. A part of the cluster with a majority speaks for
//! it; a node that it calls offline is not waited for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use crate::cluster::{Facts, State};
use crate::commands;
use crate::exit::Failure;
use crate::inventory::Machine;
use crate::output::Progress;
use crate::reach::{Answer, CONNECT, Cause, Fleet, Missing, Node, none_usable};

/// How the cluster is.
pub(super) struct Gathered {
    pub(super) state: State,
    /// The node that said so.
    pub(super) node: Arc<Node>,
    /// How the cluster is listed and configured there, if everything was asked for.
    pub(super) details: Option<Details>,
    /// What is on the nodes that answered in time.
    pub(super) facts: Vec<Facts>,
    /// The nodes that are online and could not be asked.
    pub(super) missing: Vec<Missing>,
}

/// What a node that is asked how the cluster is says beside that: its list, and the configuration.
pub(super) struct Details {
    pub(super) listing: Result<Answer, Cause>,
    pub(super) configuration: Result<Answer, Cause>,
}

impl Details {
    /// Asks a node.
    pub(super) async fn of(node: &Node) -> Details {
        let (listing, configuration) = (commands::listing(), commands::configuration());
        let (listing, configuration) = tokio::join!(node.run(&listing), node.run(&configuration));
        Details {
            listing,
            configuration,
        }
    }
}

/// What one machine said.
struct Said {
    node: Arc<Node>,
    /// Nothing where it was not asked for.
    state: Option<Result<State, String>>,
    details: Option<Details>,
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

/// How long another node may take to answer a connection, asked from a node; from elsewhere the way is longer.
pub(super) const BETWEEN_NODES: Duration = Duration::from_secs(2);
/// How long the others are waited for: from the beginning, and where the first answer was slow, after it.
const OTHERS: Duration = Duration::from_millis(2600);
const OTHERS_AFTER_THE_FIRST: Duration = Duration::from_millis(1500);

/// Asks this machine how the cluster is, if it is a node, and all machines if it is not or cannot say it.
///
/// # Errors
/// None could be reached, or the cluster runs on none of them.
pub(super) async fn gather(fleet: &Fleet, ask: Ask) -> Result<Gathered, Failure> {
    let _progress = Progress::begin("looking at the cluster");
    let (here, others): (Vec<&Machine>, Vec<&Machine>) =
        fleet.machines().iter().partition(|machine| machine.is_here);
    let mut round = Round::default();
    match (&here[..], ask) {
        ([], _) => round.ask(fleet, &others, ask, true).await,
        (here, Ask::State) => round.ask(fleet, here, ask, true).await,
        (_, Ask::Everything) => {
            let all: Vec<&Machine> = fleet.machines().iter().collect();
            round.ask(fleet, &all, ask, false).await;
        }
    }
    if !here.is_empty() && !round.is_quorate() {
        // The cluster is stopped here, or this is its smaller part.
        match ask {
            Ask::State => round.ask(fleet, &others, ask, true).await,
            Ask::Everything => round.ask_for_state().await,
        }
    }
    round.gathered()
}

/// Asks some of the machines how the cluster is.
///
/// # Errors
/// None of them could be reached, or the cluster runs on none of them.
pub(super) async fn state_from(fleet: &Fleet, machines: &[&Machine]) -> Result<Gathered, Failure> {
    let mut round = Round::default();
    round.ask(fleet, machines, Ask::State, true).await;
    round.gathered()
}

/// How long a machine may take to answer a connection.
fn connect_limit(fleet: &Fleet) -> Duration {
    let is_on_a_node = fleet.machines().iter().any(|machine| machine.is_here);
    match is_on_a_node {
        true => BETWEEN_NODES,
        false => CONNECT,
    }
}

/// What has come back so far.
#[derive(Default)]
struct Round {
    said: Vec<Said>,
    missing: Vec<Missing>,
}

impl Round {
    /// Asks machines at the same time. For the state, this machine is asked, or all of them.
    async fn ask(&mut self, fleet: &Fleet, machines: &[&Machine], ask: Ask, all_for_state: bool) {
        let asking = machines
            .iter()
            .map(|machine| one(fleet, machine, ask, all_for_state));
        let mut asking: FuturesUnordered<_> = asking.collect();
        let enough = Instant::now() + OTHERS;
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
                Some(Ok(answer)) => self.said.push(answer),
                Some(Err(why)) => self.missing.push(why),
            }
            if self.best().is_some() {
                deadline.get_or_insert_with(|| enough.max(Instant::now() + OTHERS_AFTER_THE_FIRST));
            }
            // A question on the terminal is not taken away from the person who answers it.
            if self.is_enough(ask) && !fleet.is_asking() {
                break;
            }
        }
    }

    /// Asks those for the state that were not asked for it yet.
    async fn ask_for_state(&mut self) {
        let asking = self
            .said
            .iter_mut()
            .filter(|it| it.state.is_none())
            .map(|it| async {
                let answer = it.node.run(&commands::state()).await;
                it.state = Some(state(answer));
            });
        join_all(asking).await;
    }

    /// Which answer speaks for the cluster: one with a majority; among equals the first.
    fn best(&self) -> Option<(&Said, &State)> {
        let good = |it| -> Option<(&Said, &State)> {
            let it: &Said = it;
            Some((it, it.state.as_ref()?.as_ref().ok()?))
        };
        let mut quorate = self.said.iter().filter_map(good);
        quorate
            .find(|(_, state)| state.quorum)
            .or_else(|| self.said.iter().find_map(good))
    }

    fn is_quorate(&self) -> bool {
        self.best().is_some_and(|(_, state)| state.quorum)
    }

    /// Whether nobody else has to be waited for.
    fn is_enough(&self, ask: Ask) -> bool {
        let Some((_, state)) = self.best().filter(|(_, state)| state.quorum) else {
            return false;
        };
        ask == Ask::State || state.online().iter().all(|name| self.has_answered(name))
    }

    fn has_answered(&self, name: &str) -> bool {
        self.said.iter().any(|it| it.node.name == name)
            || self.missing.iter().any(|it| it.name == name)
    }

    fn gathered(mut self) -> Result<Gathered, Failure> {
        let Some((said, state)) = self.best() else {
            return Err(no_cluster(&self.said, &self.missing));
        };
        let (node, state) = (Arc::clone(&said.node), state.clone());
        let spoke = |it: &&mut Said| Arc::ptr_eq(&it.node, &node);
        let details = self.said.iter_mut().find(spoke);
        let details = details.and_then(|it| it.details.take());
        let online = state.online();
        let silent = online.iter().filter(|name| !self.has_answered(name));
        let silent: Vec<Missing> = silent.map(|name| late(name)).collect();
        self.missing.extend(silent);
        self.missing.retain(|it| online.contains(&it.name.as_str()));
        self.missing.sort_by(|a, b| a.name.cmp(&b.name));
        let mut facts: Vec<Facts> = self.said.into_iter().filter_map(|it| it.facts).collect();
        facts.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(Gathered {
            state,
            node,
            details,
            facts,
            missing: self.missing,
        })
    }
}

async fn one(
    fleet: &Fleet,
    machine: &Machine,
    ask: Ask,
    all_for_state: bool,
) -> Result<Said, Missing> {
    let (state_command, facts_command) = (commands::state(), commands::facts());
    let for_state = all_for_state || machine.is_here;
    let first = if for_state {
        &state_command
    } else {
        &facts_command
    };
    let (node, answer) = fleet.connect(machine, connect_limit(fleet), first).await?;
    let (state, details, facts) = match (for_state, ask) {
        (true, Ask::State) => (Some(state(Ok(answer))), None, None),
        // All of it at once: what is shown should not take longer than the slowest of it.
        (true, Ask::Everything) => {
            let (details, facts) = tokio::join!(Details::of(&node), node.run(&facts_command));
            (Some(state(Ok(answer))), Some(details), facts.ok())
        }
        (false, _) => (None, None, Some(answer)),
    };
    Ok(Said {
        node: Arc::new(node),
        state,
        details,
        facts: facts.map(|answer| Facts::parse(&machine.name, &answer.stdout)),
    })
}

fn state(answer: Result<Answer, Cause>) -> Result<State, String> {
    match answer {
        Err(cause) => Err(cause.found()),
        Ok(answer) if !answer.is_success() => Err(answer.said()),
        Ok(answer) => State::parse(&answer.stdout)
            .map_err(|error| format!("what crm_mon printed cannot be used: {error}")),
    }
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
        let error = it.state.as_ref()?.as_ref().err()?;
        Some(format!("{}: {error}", it.node.name))
    });
    let each: Vec<String> = each.chain(missing.iter().map(Missing::text)).collect();
    Failure::failed(format!(
        "the cluster does not answer on any node\n{}\n  help: sudo pcs cluster start --all   starts it where it is \
         stopped; ha-ctl deploy   goes on with a deployment that has not ended",
        each.join("\n")
    ))
}
