//! The lock for verbs that must also work where not every node can be reached, and for people who cannot log in to the
//! others: it is held wherever that needs no question, and where it is not held is said.

use std::time::Duration;

use futures_util::future::join_all;

use super::gather::BETWEEN_NODES;
use crate::cluster::State;
use crate::exit::Failure;
use crate::inventory::Machine;
use crate::lock::{Lock, NotHeld, lock_where_possible};
use crate::output::say;
use crate::reach::{Fleet, Node};

/// How long a login on another node may take in all.
const LOGIN: Duration = Duration::from_secs(5);

/// Takes the lock on the node that is asked, and on every other node that is online and can be reached.
///
/// # Errors
/// Somebody else changes the cluster.
pub(super) async fn guard(
    fleet: &Fleet,
    contact: &Node,
    state: &State,
    what: &str,
) -> Result<Lock, Failure> {
    let online = state.online();
    let others = fleet.machines().iter().filter(|it| it.name != contact.name);
    // Who changes the cluster does it on a node that is online, and has the lock there.
    let (online, offline): (Vec<&Machine>, Vec<&Machine>) =
        others.partition(|it| online.contains(&it.name.as_str()));
    let connected = join_all(online.iter().map(|machine| connect(fleet, machine))).await;
    let mut not_held: Vec<NotHeld> = offline
        .iter()
        .map(|it| (it.name.clone(), "is offline".to_owned()))
        .collect();
    let mut nodes = Vec::new();
    for it in connected {
        match it {
            Ok(node) => nodes.push(node),
            Err(why) => not_held.push(why),
        }
    }
    let all: Vec<&Node> = nodes.iter().chain([contact]).collect();
    let (lock, refused) = lock_where_possible(&all, what).await?;
    not_held.extend(refused);
    say_where(&lock, not_held);
    Ok(lock.keeping(nodes))
}

/// Says where the lock is not held, if that is anywhere.
pub(super) fn say_where(lock: &Lock, mut not_held: Vec<NotHeld>) {
    not_held.sort();
    let held: Vec<&str> = lock.nodes().collect();
    if let Some(text) = said(&held, &not_held) {
        say(&text);
    }
}

async fn connect(fleet: &Fleet, machine: &Machine) -> Result<Node, NotHeld> {
    let connecting = fleet.connect_quietly(machine, BETWEEN_NODES);
    let found = match tokio::time::timeout(LOGIN, connecting).await {
        Ok(Ok(node)) => return Ok(node),
        Ok(Err(missing)) => missing.cause.found(),
        Err(_) => format!("did not log in within {} s", LOGIN.as_secs()),
    };
    Err((machine.name.clone(), found))
}

/// Where the lock is not held, if that is anywhere.
fn said(held: &[&str], not_held: &[NotHeld]) -> Option<String> {
    let each: Vec<String> = not_held
        .iter()
        .map(|(node, why)| format!("{node}, which {why}"))
        .collect();
    let not = each.join("; nor on ");
    match held {
        _ if not_held.is_empty() => None,
        [] => Some(format!(
            "nothing keeps others from changing the cluster now: there is no lock on {not}"
        )),
        [one] => Some(format!(
            "others are locked out on {one} alone; not on {not}"
        )),
        _ => Some(format!(
            "others are locked out on {}; not on {not}",
            held.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_lock_is_not_held_is_said_with_the_reason() {
        let no_key = ("n3".to_owned(), "has a host key".to_owned());
        let dead = ("n1".to_owned(), "is offline".to_owned());
        assert_eq!(said(&["n1", "n2"], &[]), None);
        assert_eq!(
            said(&["n2"], &[dead.clone(), no_key.clone()]).as_deref(),
            Some(
                "others are locked out on n2 alone; not on n1, which is offline; nor on n3, which has a host key"
            )
        );
        assert_eq!(
            said(&["n2", "n3"], std::slice::from_ref(&dead)).as_deref(),
            Some("others are locked out on n2, n3; not on n1, which is offline")
        );
        assert!(
            said(&[], &[dead, no_key]).is_some_and(|it| it.starts_with("nothing keeps others"))
        );
    }
}
