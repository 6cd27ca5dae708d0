//! What happened when, put together from the surviving nodes' journals, EC2's own log and the
//! clients. All three run on one machine and share its clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: SystemTime,
    /// What.
    pub what: String,
}

impl Moment {
    /// A moment.
    pub fn new(at: SystemTime, what: impl Into<String>) -> Self {
        Self {
            at,
            what: what.into(),
        }
    }
}

/// What Pacemaker and Corosync wrote about a failover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logged {
    /// Corosync formed a membership without the node.
    MembershipLost {
        /// The node.
        node: String,
    },
    /// The fencer heard that the node is off.
    Fenced {
        /// The node.
        node: String,
    },
    /// A start was handed to the local executor.
    Starting {
        /// The resource.
        resource: String,
        /// Where.
        node: String,
    },
    /// A start ended.
    Started {
        /// The resource.
        resource: String,
        /// Where.
        node: String,
        /// `ok`, or what went wrong.
        result: String,
    },
}

/// Reads `journalctl -o short-unix`: the lines that belong to a failover, with their time.
pub fn read_journal(journal: &str) -> Vec<(SystemTime, Logged)> {
    journal.lines().filter_map(read_line).collect()
}

fn read_line(line: &str) -> Option<(SystemTime, Logged)> {
    let (stamp, rest) = line.split_once(' ')?;
    let at = read_stamp(stamp)?;
    let (_host, rest) = rest.split_once(' ')?;
    let (program, message) = rest.split_once(": ")?;
    let program = program.split('[').next()?;
    Some((at, classify(program, message)?))
}

fn read_stamp(stamp: &str) -> Option<SystemTime> {
    let (seconds, micros) = stamp.split_once('.')?;
    let micros = micros.get(..6)?;
    Some(
        UNIX_EPOCH
            + Duration::from_secs(seconds.parse().ok()?)
            + Duration::from_micros(micros.parse().ok()?),
    )
}

fn classify(program: &str, message: &str) -> Option<Logged> {
    let message = message
        .trim_start()
        .trim_start_matches("notice: ")
        .trim_start_matches("error: ")
        .trim_start_matches("warning: ");
    match program {
        "pacemaker-controld" => start(message),
        "pacemaker-attrd" => {
            let node = message
                .strip_prefix("Node ")?
                .strip_suffix(" state is now lost")?;
            Some(Logged::MembershipLost { node: node.into() })
        }
        "pacemaker-fenced" => {
            let rest = message.strip_prefix("Operation '")?;
            let (_action, rest) = rest.split_once("' ")?;
            let (_, rest) = rest.split_once("targeting ")?;
            let (node, rest) = rest.split_once(' ')?;
            rest.contains(": OK")
                .then(|| Logged::Fenced { node: node.into() })
        }
        _ => None,
    }
}

fn start(message: &str) -> Option<Logged> {
    if let Some(rest) = message.strip_prefix("Requesting local execution of start operation for ") {
        let (resource, node) = rest.split_once(" on ")?;
        return Some(Logged::Starting {
            resource: resource.into(),
            node: node.into(),
        });
    }
    let rest = message.strip_prefix("Result of start operation for ")?;
    let (resource, rest) = rest.split_once(" on ")?;
    let (node, result) = rest.split_once(": ")?;
    // Pacemaker 2 says `ok`, Pacemaker 3 `OK`.
    let result = match result.trim() {
        "OK" => "ok",
        other => other,
    };
    Some(Logged::Started {
        resource: resource.into(),
        node: node.into(),
        result: result.into(),
    })
}

/// The moments in their order, with the seconds since `zero`.
pub fn render(mut moments: Vec<Moment>, zero: SystemTime) -> String {
    moments.sort_by_key(|moment| moment.at);
    moments
        .iter()
        .map(|moment| format!("{:>+8.2} s  {}\n", seconds(zero, moment.at), moment.what))
        .collect()
}

/// Seconds from `zero` to `at`, negative when `at` is earlier.
pub fn seconds(zero: SystemTime, at: SystemTime) -> f64 {
    match at.duration_since(zero) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(line: &str) -> Option<Logged> {
        read_line(line).map(|(_, logged)| logged)
    }

    #[test]
    fn pacemakers_lines_are_read() {
        let prefix = "1795183200.123456 ip-172-31-16-134";
        let line = |rest: &str| logged(&format!("{prefix} {rest}"));
        assert_eq!(
            line(
                "pacemaker-controld[81]:  notice: Result of start operation for ebs on ip-172-31-16-134: ok"
            ),
            Some(Logged::Started {
                resource: "ebs".into(),
                node: "ip-172-31-16-134".into(),
                result: "ok".into()
            })
        );
        assert_eq!(
            line(
                "pacemaker-controld[81]:  notice: Result of start operation for ebs on ip-172-31-16-134: OK"
            ),
            Some(Logged::Started {
                resource: "ebs".into(),
                node: "ip-172-31-16-134".into(),
                result: "ok".into()
            })
        );
        assert_eq!(
            line(
                "pacemaker-controld[81]:  notice: Requesting local execution of start operation for ebs on ip-172-31-16-134"
            ),
            Some(Logged::Starting {
                resource: "ebs".into(),
                node: "ip-172-31-16-134".into()
            })
        );
        assert_eq!(
            line("pacemaker-attrd[80]:  notice: Node ip-172-31-16-133 state is now lost"),
            Some(Logged::MembershipLost {
                node: "ip-172-31-16-133".into()
            })
        );
        assert_eq!(
            line(
                "pacemaker-fenced[77]:  notice: Operation 'off' [512] targeting ip-172-31-16-133 by ip-172-31-16-134 for pacemaker-controld.81@ip-172-31-16-134: OK (complete)"
            ),
            Some(Logged::Fenced {
                node: "ip-172-31-16-133".into()
            })
        );
        assert_eq!(line("sshd[1]: hello"), None);
    }

    #[test]
    fn a_fencing_that_failed_is_not_taken_for_one_that_worked() {
        let line = "1795183200.123456 n pacemaker-fenced[77]:  error: Operation 'off' targeting ip-172-31-16-133 by ip-172-31-16-134 for x: Timed out";
        assert_eq!(logged(line), None);
    }

    #[test]
    fn moments_are_listed_in_order_with_their_distance() {
        let zero = UNIX_EPOCH + Duration::from_secs(100);
        let text = render(
            vec![
                Moment::new(zero + Duration::from_millis(1500), "later"),
                Moment::new(zero, "zero"),
            ],
            zero,
        );
        assert_eq!(text, "   +0.00 s  zero\n   +1.50 s  later\n");
    }
}
