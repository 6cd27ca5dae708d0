//! `show`: the list as the vendor's, and then what needs attention.

use serde::Serialize;

use super::gather::{Ask, Details, gather};
use crate::cli::ShowArgs;
use crate::cluster::notices::{Seen, of};
use crate::cluster::{Configuration, Facts, LostSince, Notice, State, lost_since};
use crate::commands;
use crate::exit::{Exit, Failure};
use crate::output::{print, print_json};
use crate::reach::{Answer, Cause, Command, Missing, Node};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    master: Option<&'a str>,
    #[serde(flatten)]
    state: &'a State,
    on_nodes: &'a [Facts],
    notices: &'a [Notice],
}

/// Shows the cluster.
///
/// # Errors
/// No node could be reached, or the cluster runs on none.
pub(super) async fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let fleet = super::fleet(&args.site)?;
    let gathered = gather(&fleet, Ask::Everything).await?;
    let node = &gathered.node;
    let details = match gathered.details {
        Some(details) => details,
        None => Details::of(node).await,
    };
    let listing = succeeded(node, &commands::listing(), details.listing);
    let printed = succeeded(node, &commands::configuration(), details.configuration)?;
    let configuration = parsed(node, &printed)?;
    let notices = of(&Seen {
        state: &gathered.state,
        configuration: Some(&configuration),
        facts: &gathered.facts,
        missing: &gathered.missing,
        lost: &lost(node, &gathered.state).await,
    });
    match args.json {
        true => print_json(&Shown {
            master: gathered.state.master(),
            state: &gathered.state,
            on_nodes: &gathered.facts,
            notices: &notices,
        })?,
        false => print(&(listing?.stdout + &sections(&notices)))?,
    }
    Ok(exit(&gathered.missing))
}

/// Since when the nodes are lost that are not fenced yet, as far as a node can say it.
pub(super) async fn lost(node: &Node, state: &State) -> LostSince {
    let unclean = state.unclean();
    if unclean.is_empty() {
        return LostSince::new();
    }
    match node.run(&commands::lost(&unclean)).await {
        Ok(answer) => lost_since(&answer.stdout),
        Err(_) => LostSince::new(),
    }
}

/// What is said of nodes that are online and could not be asked is not complete.
fn exit(missing: &[Missing]) -> Exit {
    match missing.is_empty() {
        true => Exit::Done,
        false => Exit::NodesMissing,
    }
}

/// Runs a command that has to succeed.
///
/// # Errors
/// It failed or was lost.
pub(super) async fn answer(node: &Node, command: Command) -> Result<Answer, Failure> {
    let ended = node.run(&command).await;
    succeeded(node, &command, ended)
}

/// What the cluster is configured as.
///
/// # Errors
/// It cannot be read, or not understood.
pub(super) async fn configuration(node: &Node) -> Result<Configuration, Failure> {
    let printed = answer(node, commands::configuration()).await?;
    parsed(node, &printed)
}

fn parsed(node: &Node, printed: &Answer) -> Result<Configuration, Failure> {
    Configuration::parse(&printed.stdout).map_err(|error| {
        let name = &node.name;
        Failure::failed(format!(
            "what cibadmin printed on {name} cannot be used: {error}"
        ))
    })
}

/// What came of a command that has to succeed.
fn succeeded(
    node: &Node,
    command: &Command,
    ended: Result<Answer, Cause>,
) -> Result<Answer, Failure> {
    let (what, name) = (&command.what, &node.name);
    match ended {
        Ok(answer) if answer.is_success() => Ok(answer),
        Ok(answer) => Err(Failure::failed(format!(
            "{what} on {name} failed: {}",
            answer.said()
        ))),
        Err(cause) => Err(Failure::failed(format!("{what}: {name} {}", cause.found()))),
    }
}

/// The notices below their headings, in the look of `pcs status`.
fn sections(notices: &[Notice]) -> String {
    let mut text = String::new();
    let mut heading = "";
    for notice in notices {
        if notice.heading != heading {
            heading = notice.heading;
            text += &format!("\n{heading}:\n");
        }
        text += &format!("  * {}\n", notice.text);
        if let Some(command) = &notice.command {
            text += &format!("      help: {command}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shown(xml: &str) -> String {
        let state = State::parse(xml).unwrap();
        sections(&of(&Seen {
            state: &state,
            configuration: None,
            facts: &[],
            missing: &[],
            lost: &LostSince::new(),
        }))
    }

    #[test]
    fn a_node_that_is_online_and_could_not_be_asked_has_its_exit_status() {
        let missing = Missing {
            name: "n1".to_owned(),
            cause: crate::reach::Cause::NewHostKey,
            by_hand: String::new(),
        };
        assert_eq!(exit(&[missing]), Exit::NodesMissing);
        assert_eq!(exit(&[]), Exit::Done);
    }

    #[test]
    fn what_needs_attention_after_a_failure() {
        insta::assert_snapshot!(shown(include_str!(
            "../../tests/recorded/failed-over-and-standby.xml"
        )));
    }

    #[test]
    fn what_needs_attention_with_a_node_dead() {
        insta::assert_snapshot!(shown(include_str!(
            "../../tests/recorded/one-node-dead.xml"
        )));
    }
}
