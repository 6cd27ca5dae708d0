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

    /// What has just been seen.
    pub fn now(what: impl Into<String>) -> Self {
        Self::new(SystemTime::now(), what)
    }
}

/// What Pacemaker and the kernel's DRBD wrote about a failover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logged {
    /// Corosync formed a membership without the node.
    MembershipLost {
        /// The node.
        node: String,
    },
    /// Pacemaker's scheduler asked for the node's fencing.
    FencingAsked {
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
    /// A copy of a clone was promoted.
    Promoted {
        /// The resource.
        resource: String,
        /// Where.
        node: String,
        /// `ok`, or what went wrong.
        result: String,
    },
    /// DRBD no longer hears its peer, as the kernel of a node says.
    PeerLost {
        /// The node that says it.
        by: String,
    },
    /// DRBD's handler that has the peer fenced has ended.
    PeerFenced {
        /// The node on which it ran.
        by: String,
        /// Its exit code: 7 if the peer was fenced.
        code: String,
    },
}

/// Reads `journalctl -o short-unix`: the lines that belong to a failover, with their time.
pub fn read_journal(journal: &str) -> Vec<(SystemTime, Logged)> {
    journal.lines().filter_map(read_line).collect()
}

fn read_line(line: &str) -> Option<(SystemTime, Logged)> {
    let (stamp, rest) = line.split_once(' ')?;
    let at = read_stamp(stamp)?;
    let (host, rest) = rest.split_once(' ')?;
    let (program, message) = rest.split_once(": ")?;
    let program = program.split('[').next()?;
    Some((at, classify(host, program, message)?))
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

fn classify(host: &str, program: &str, message: &str) -> Option<Logged> {
    let message = message
        .trim_start()
        .trim_start_matches("notice: ")
        .trim_start_matches("error: ")
        .trim_start_matches("warning: ");
    match program {
        "pacemaker-controld" => ordered(message),
        "kernel" => drbd(host, message),
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

fn ordered(message: &str) -> Option<Logged> {
    if let Some(rest) = message.strip_prefix("Requesting local execution of start operation for ") {
        let (resource, node) = rest.split_once(" on ")?;
        return Some(Logged::Starting {
            resource: resource.into(),
            node: node.into(),
        });
    }
    if let Some(rest) = message.strip_prefix("Requesting fencing (") {
        // Pacemaker 2 says `of node`, Pacemaker 3 `targeting node`.
        let (_, node) = rest.split_once(" node ")?;
        return Some(Logged::FencingAsked { node: node.into() });
    }
    let rest = message.strip_prefix("Result of ")?;
    let (operation, rest) = rest.split_once(" operation for ")?;
    let (resource, rest) = rest.split_once(" on ")?;
    let (node, result) = rest.split_once(": ")?;
    // Pacemaker 2 says `ok`, Pacemaker 3 `OK`.
    let result = match result.trim() {
        "OK" => "ok",
        other => other,
    };
    let (resource, node, result) = (resource.into(), node.into(), result.into());
    match operation {
        "start" => Some(Logged::Started {
            resource,
            node,
            result,
        }),
        "promote" => Some(Logged::Promoted {
            resource,
            node,
            result,
        }),
        _ => None,
    }
}

/// DRBD 8.4 says `drbd pbxdata: ...`, DRBD 9 `drbd pbxdata pbx01: ...`.
fn drbd(host: &str, message: &str) -> Option<Logged> {
    let (_, said) = message.strip_prefix("drbd ")?.split_once(": ")?;
    if said.starts_with("PingAck did not arrive in time") {
        return Some(Logged::PeerLost { by: host.into() });
    }
    let (_, code) = said
        .strip_prefix("helper command: ")?
        .split_once(" fence-peer ")?
        .1
        .split_once(" exit code ")?;
    Some(Logged::PeerFenced {
        by: host.into(),
        code: code.split(' ').next()?.into(),
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
        assert_eq!(
            line("pacemaker-controld[81]:  notice: Requesting fencing (reboot) of node pbx01"),
            Some(Logged::FencingAsked {
                node: "pbx01".into()
            })
        );
        assert_eq!(
            line(
                "pacemaker-controld[81]:  notice: Result of promote operation for drbd_devpath on pbx02: ok"
            ),
            Some(Logged::Promoted {
                resource: "drbd_devpath".into(),
                node: "pbx02".into(),
                result: "ok".into()
            })
        );
    }

    #[test]
    fn drbds_lines_are_read() {
        let line = |rest: &str| {
            logged(&format!(
                "1795183200.123456 pbx02 kernel: drbd pbxdata{rest}"
            ))
        };
        let lost = Some(Logged::PeerLost { by: "pbx02".into() });
        assert_eq!(line(": PingAck did not arrive in time."), lost);
        assert_eq!(line(" pbx01: PingAck did not arrive in time."), lost);
        assert_eq!(
            line(": helper command: /sbin/drbdadm fence-peer pbxdata exit code 7 (0x700)"),
            Some(Logged::PeerFenced {
                by: "pbx02".into(),
                code: "7".into()
            })
        );
        assert_eq!(line(": Handshake successful"), None);
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
