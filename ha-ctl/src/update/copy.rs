//! On a LAN the way back is a copy of the data that is left at rest, while the other copy goes on. What is done with it on
//! its node and on the other one. Pacemaker keeps DRBD down on both meanwhile.

use std::time::Duration;

use crate::commands::quoted;
use crate::drbd::{STATES, States};
use crate::reach::Command;
use crate::steps::Step;

/// The clone of the copies.
pub const CLONE: &str = "drbd_devpath-clone";

const FOLLOW: &str = "copy-follow";
const FOLLOWED: &str = "copy-followed";

/// DRBD's handler is asked for a promotion, and it asks the cluster.
const LIMIT: Duration = Duration::from_secs(600);

/// A copy, as it is found on its node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyFacts {
    /// How DRBD sees the copies.
    pub states: States,
    /// What DRBD calls the state of the data of this one, also where it is down: its current UUID.
    pub generation: String,
}

impl CopyFacts {
    /// One line of what was printed.
    pub fn read(&mut self, words: &[&str]) {
        match words {
            ["generation", generation] => (*generation).clone_into(&mut self.generation),
            _ => self.states.read(words),
        }
    }

    /// From what was printed.
    pub fn parse(printed: &str) -> CopyFacts {
        let mut facts = CopyFacts::default();
        for line in printed.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            facts.read(&words);
        }
        facts
    }

    /// Whether DRBD has said it.
    pub fn is_known(&self) -> bool {
        !self.generation.is_empty() && self.states.connections != ["unknown"]
    }

    /// Whether DRBD is down and the data is that of this generation. The lowest bit says who was active.
    pub fn is_at_rest(&self, generation: &str) -> bool {
        self.states.is_down() && self.is_of(generation)
    }

    /// Whether DRBD runs on the data of this generation, and no other copy is connected.
    pub fn is_alone(&self, generation: &str) -> bool {
        let alone = ["WFConnection", "StandAlone"];
        let mut connections = self.states.connections.iter();
        !self.states.connections.is_empty()
            && connections.all(|it| alone.contains(&it.as_str()))
            && self.is_of(generation)
    }

    fn is_of(&self, generation: &str) -> bool {
        let number = |text: &str| u64::from_str_radix(text, 16).ok().map(|it| it | 1);
        number(generation).is_some_and(|it| number(&self.generation) == Some(it))
    }
}

/// For sh(1): prints what [`CopyFacts`] reads.
pub(super) fn look_script(resource: &str) -> String {
    format!(
        "resource={}\n{STATES}drbdadm get-gi \"$resource\" 2>/dev/null </dev/null | sed -n '1s/:.*//; 1s/^/generation /p'\n",
        quoted(resource)
    )
}

/// Looks at the copy on one node.
pub fn look_at_copy(resource: &str) -> Command {
    let script = look_script(resource) + "exit 0";
    let mut command = Command::look("looking at the copy of the data", script);
    command.limit = Duration::from_secs(20);
    command
}

/// DRBD down, whatever it does here. What an earlier run has left waiting for the other copy would interfere.
pub fn down(resource: &str) -> Command {
    let resource = quoted(resource);
    Command::change(
        "take DRBD down",
        format!(
            "systemctl stop portsip-ha-step-{FOLLOW}.service portsip-ha-step-{FOLLOWED}.service 2>/dev/null || :\n\
             drbdadm secondary {resource} 2>/dev/null || :\ndrbdadm down {resource}"
        ),
    )
}

/// The copy on this node becomes the one that counts; DRBD is down on the other one.
pub fn become_source(resource: &str) -> Step {
    step(
        "copy-source",
        "have the copy of before count",
        resource,
        include_str!("copy_source.sh"),
    )
}

/// The copy on this node waits for the other one, to give up what it has.
pub fn follow(resource: &str) -> Step {
    step(
        FOLLOW,
        "have this copy of the data wait for the one of before",
        resource,
        include_str!("copy_follow.sh"),
    )
}

/// The copy that counts meets the one that waits for it. One that is in use may have met it already.
pub fn meet(resource: &str) -> Command {
    let resource = quoted(resource);
    Command::change(
        "connect the copy of before",
        format!(
            "case $(drbdadm cstate {resource}) in StandAlone | Unconfigured | '') drbdadm connect {resource} ;; esac"
        ),
    )
}

/// The copy on this node has given up what it had.
pub fn followed(resource: &str) -> Step {
    step(
        FOLLOWED,
        "have this copy of the data follow the one of before",
        resource,
        include_str!("copy_followed.sh"),
    )
}

/// The constraint by which DRBD's handler forbids every other node to be promoted, as it does where the other copy was
/// away at a promotion. The way back is to that other copy.
pub fn forget_constraint(resource: &str) -> Command {
    let id = format!("drbd-fence-by-handler-{resource}-{CLONE}");
    let script = format!(
        "if cibadmin --query --xpath \"//rsc_location[@id='{id}']\" >/dev/null 2>&1; then pcs constraint delete {id}; fi"
    );
    Command::change("delete the constraint against the copy of before", script).repeatable()
}

fn step(name: &'static str, what: &str, resource: &str, script: &str) -> Step {
    Step {
        name,
        what: what.to_owned(),
        script: format!("set -eu\nresource={}\n{script}", quoted(resource)),
        limit: LIMIT,
        once: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_at_rest_while_drbd_is_down_and_its_data_is_the_same() {
        let down = CopyFacts::parse("generation 2D1D77F2C52B7A0A\n");
        assert!(down.is_at_rest("2D1D77F2C52B7A0A"));
        assert!(down.is_at_rest("2D1D77F2C52B7A0B"), "it was active");
        assert!(!down.is_at_rest("2D1D77F2C52B7A0C"));
        assert!(!down.is_at_rest(""));
        let up = CopyFacts::parse(
            "connection WFConnection\ncopy Outdated\ncopy DUnknown\ngeneration 2D1D77F2C52B7A0A\n",
        );
        assert!(!up.is_at_rest("2D1D77F2C52B7A0A"));
        assert!(up.is_alone("2D1D77F2C52B7A0A") && !up.is_alone("2D1D77F2C52B7A0C"));
        assert!(!down.is_alone("2D1D77F2C52B7A0A"));
        assert!(!CopyFacts::default().is_at_rest(""));
    }

    #[test]
    fn its_scripts_are_some_that_sh_can_read() {
        let scripts = [
            look_at_copy("pbxdata").script,
            become_source("pbxdata").script,
            follow("pbxdata").script,
            followed("pbxdata").script,
            meet("pbxdata").script,
            down("pbxdata").script,
            forget_constraint("pbxdata").script,
        ];
        for script in scripts {
            let mut sh = std::process::Command::new("sh");
            let status = sh.args(["-n", "-c", &script]).status();
            assert!(status.is_ok_and(|status| status.success()), "{script}");
        }
    }
}
