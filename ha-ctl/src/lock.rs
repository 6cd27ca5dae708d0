//! One change of the cluster at a time. The lock is a transient unit of a fixed name on every node, taken in the
//! order of the nodes' names. Its process reads the standard input of the session that has taken it and ends with that
//! session, so nothing is left when ha-ctl is killed, a connection is cut or a machine loses its power.

use crate::caller::{caller, now};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::{Command, Held, Node};

/// The unit. A scope, not a service with `--pipe`: a service that is started while systemd reloads its configuration,
/// as it does when packages are installed, loses the standard input.
pub const UNIT: &str = "portsip-ha-lock.scope";

/// The lock on all nodes. Dropping it gives it back.
#[derive(Debug)]
pub struct Lock {
    _held: Vec<Held>,
}

/// Who does what, from where, since when.
pub fn holder(what: &str) -> String {
    let process = std::process::id();
    format!("{what} by {} (process {process}) since {}", caller(), now())
}

/// Takes the lock on one node. Prints `held`, or who has it, and goes on as long as its input is open.
pub fn take(holder: &str) -> Command {
    let script = format!(
        r#"for try in 1 2 3; do
    systemd-run --scope --collect --quiet --unit={UNIT} --description={} \
        sh -c 'echo held; cat >/dev/null' 2>/dev/null && exit
    # Somebody has it, or gives it back just now.
    if systemctl is-active --quiet {UNIT}; then
        echo "taken $(systemctl show --property=Description --value {UNIT})"
        exit
    fi
    sleep 1
done
echo 'failed systemd-run cannot start a unit'"#,
        quoted(holder)
    );
    let mut command = Command::look("taking the lock", script).reading(String::new());
    command.limit = std::time::Duration::from_secs(24 * 3600);
    command
}

/// Takes the lock on all nodes.
///
/// # Errors
/// Somebody else has it on one of them, or a node was lost.
pub async fn lock(nodes: &[Node], what: &str) -> Result<Lock, Failure> {
    let take = take(&holder(what));
    let mut by_name: Vec<&Node> = nodes.iter().collect();
    by_name.sort_by(|a, b| a.name.cmp(&b.name));
    let mut held = Vec::new();
    for node in by_name {
        let (one, line) = node.hold(&take).await.map_err(|cause| {
            let (name, found) = (&node.name, cause.found());
            Failure::failed(format!(
                "taking the lock: {name} {found}. Nothing was changed"
            ))
        })?;
        if line != "held" {
            return Err(refused(&node.name, &line));
        }
        held.push(one);
    }
    Ok(Lock { _held: held })
}

fn refused(node: &str, line: &str) -> Failure {
    match line.split_once(' ') {
        Some(("taken", holder)) => Failure::failed(format!(
            "somebody else changes the cluster: {holder}. Nothing was changed\n  help: wait until that has ended, or \
             end it there. The lock goes with it: systemctl status {UNIT}   (on {node})"
        )),
        _ => Failure::failed(format!(
            "the lock could not be taken on {node}: {line}. Nothing was changed\n  help: journalctl --since -5min   \
             (there)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_second_is_told_who_was_first() {
        let failure = refused(
            "n1",
            "taken deploy by ubuntu on n2 (process 7) since 2026-11-29 09:00:00Z",
        );
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
                .contains(r"--description='deploy by o'\''neill on n1'"),
            "{}",
            command.script
        );
        assert!(holder("deploy").starts_with("deploy by "));
    }
}
