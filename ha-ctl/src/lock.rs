//! One change of the cluster at a time. The lock is a transient unit of a fixed name on every node, taken in the
//! order of the nodes' names. Its process reads the standard input of the session that has taken it and ends with that
//! session, so nothing is left when ha-ctl is killed or a machine loses its power. Of a connection that is cut without
//! a word, a node learns nothing: there, it ends when no line has come for a minute.

use tokio::signal::unix::{SignalKind, signal};

use crate::caller::{caller, now};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::output::say;
use crate::reach::{Command, Held, Node, PULSE_LOST};

/// The unit. A scope, not a service with `--pipe`: a service that is started while systemd reloads its configuration,
/// as it does when packages are installed, loses the standard input.
pub const UNIT: &str = "portsip-ha-lock.scope";

/// The lock. Dropping it gives it back.
#[derive(Debug)]
pub struct Lock {
    // Before the nodes: it needs their connections.
    held: Vec<(String, Held)>,
    _nodes: Vec<Node>,
}

impl Lock {
    /// The nodes on which it is held.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.held.iter().map(|(node, _)| node.as_str())
    }

    /// Keeps the connections of nodes that nothing else needs.
    #[must_use]
    pub fn keeping(mut self, nodes: Vec<Node>) -> Lock {
        self._nodes = nodes;
        self
    }
}

/// A node on which the lock could not be taken, though nobody has it, and why.
pub type NotHeld = (String, String);

/// Who does what, from where, since when.
pub fn holder(what: &str) -> String {
    let process = std::process::id();
    format!("{what} by {} (process {process}) since {}", caller(), now())
}

/// Takes the lock on one node. Prints `held`, or who has it, and goes on as long as its input is open.
pub fn take(holder: &str) -> Command {
    let script = format!(
        r#"holder={}
for try in 1 2 3; do
    systemd-run --scope --collect --quiet --unit={UNIT} --description="$holder" \
        bash -c 'echo held; while read -r -t {}; do :; done; exit 0' 2>/dev/null
    status=$?
    # It was held, and has ended or was ended.
    {{ [ $status = 0 ] || [ $status -gt 128 ]; }} && exit
    if systemctl is-active --quiet {UNIT}; then
        other=$(systemctl show --property=Description --value {UNIT})
        [ "$other" = "$holder" ] || {{ echo "taken $other"; exit; }}
        # What is left of a connection of this same ha-ctl that was cut.
        systemctl stop {UNIT}
        continue
    fi
    # Somebody gives it back just now.
    sleep 1
done
echo 'failed systemd-run cannot start a unit'"#,
        quoted(holder),
        PULSE_LOST.as_secs(),
    );
    let mut command = Command::look("taking the lock", script).reading(String::new());
    command.limit = std::time::Duration::from_secs(24 * 3600);
    command
}

/// A process that is suspended shows no sign of life, and would lose its lock without a word: Ctrl-Z suspends it no more.
fn stay_awake() {
    let Ok(mut suspend) = signal(SignalKind::from_raw(
        nix::sys::signal::Signal::SIGTSTP as i32,
    )) else {
        return;
    };
    tokio::spawn(async move {
        while suspend.recv().await.is_some() {
            say(
                "Ctrl-Z: not suspended, because the lock would be lost. Ctrl-C leaves; what the nodes do goes on",
            );
        }
    });
}

/// Takes the lock on all nodes.
///
/// # Errors
/// Somebody else has it on one of them, or a node was lost.
pub async fn lock(nodes: &[Node], what: &str) -> Result<Lock, Failure> {
    stay_awake();
    let nodes: Vec<&Node> = nodes.iter().collect();
    let (lock, not_held) = take_on(&nodes, what, true).await?;
    match not_held.first() {
        None => Ok(lock),
        Some((node, why)) => Err(Failure::failed(format!(
            "the lock could not be taken on {node}, which {why}. Nothing was changed\n  help: journalctl --since -5min   \
             (there)"
        ))),
    }
}

/// Takes the lock on as many nodes as possible. Where a connection is cut and the lock cannot be taken again, the node
/// is used all the same: what was stopped has to be started again.
///
/// # Errors
/// Somebody else has it on one of them.
pub async fn lock_where_possible(
    nodes: &[&Node],
    what: &str,
) -> Result<(Lock, Vec<NotHeld>), Failure> {
    take_on(nodes, what, false).await
}

async fn take_on(
    nodes: &[&Node],
    what: &str,
    is_vital: bool,
) -> Result<(Lock, Vec<NotHeld>), Failure> {
    let take = take(&holder(what));
    let mut by_name = nodes.to_vec();
    by_name.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut held, mut not_held) = (Vec::new(), Vec::new());
    for node in by_name {
        let name = node.name.clone();
        match node.hold(&take, is_vital).await {
            Err(cause) => not_held.push((name, cause.found())),
            Ok((one, line)) => match line.split_once(' ') {
                None => held.push((name, one)),
                Some(("taken", holder)) => return Err(refused(&name, holder)),
                Some((_, said)) => not_held.push((name, format!("cannot keep it: {said}"))),
            },
        }
    }
    let _nodes = Vec::new();
    Ok((Lock { held, _nodes }, not_held))
}

fn refused(node: &str, holder: &str) -> Failure {
    Failure::failed(format!(
        "somebody else changes the cluster: {holder}. Nothing was changed\n  help: wait until that has ended, or end it \
         there. The lock goes with it: systemctl status {UNIT}   (on {node})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_second_is_told_who_was_first() {
        let holder = "deploy by ubuntu on n2 (process 7) since 2026-11-29 09:00:00Z";
        let failure = refused("n1", holder);
        assert!(failure.text.starts_with(
            "somebody else changes the cluster: deploy by ubuntu on n2 (process 7) since 2026-11-29 09:00:00Z. \
             Nothing was changed"
        ));
    }

    #[test]
    fn the_lock_says_who_has_it_and_is_one_word_whatever_the_name_is() {
        let command = take("deploy by o'neill on n1");
        assert!(
            command
                .script
                .starts_with(r"holder='deploy by o'\''neill on n1'"),
            "{}",
            command.script
        );
        assert!(holder("deploy").starts_with("deploy by "));
    }

    #[test]
    fn a_lock_whose_session_was_lost_without_a_word_ends_by_itself() {
        // Three times as long as between two lines that show that somebody is there.
        assert!(take("deploy").script.contains("read -r -t 60;"));
    }
}
