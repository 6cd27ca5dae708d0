//! The nodes' journals after a fault: the lines that belong on a timeline.

use std::time::SystemTime;

use super::cluster;
use super::timeline::{self, Logged, Moment};
use crate::lab::Lab;
use crate::site::Host;
use crate::world::Error;

/// What the journals of all nodes but the lost one have since the cut, in the order of time.
///
/// # Errors
/// A node does not answer.
pub fn journals(
    lab: &Lab,
    lost: &Host,
    cut: SystemTime,
) -> Result<Vec<(SystemTime, Logged)>, Error> {
    let since = cut.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let mut logged = Vec::new();
    for survivor in lab
        .site()
        .hosts()
        .into_iter()
        .filter(|other| *other != lost)
    {
        let journal = cluster::run(
            lab,
            survivor,
            "journalctl",
            &format!(
                "journalctl --no-pager --quiet -o short-unix --since=@{since} \
                 _SYSTEMD_UNIT=pacemaker.service + _TRANSPORT=kernel"
            ),
            cluster::MINUTES,
        )?;
        logged.extend(
            timeline::read_journal(&journal)
                .into_iter()
                .filter(|(at, _)| *at >= cut),
        );
    }
    logged.sort_by_key(|(at, _)| *at);
    // Each survivor may write the same; the earliest counts.
    let mut seen = Vec::new();
    logged.retain(|(_, what)| {
        let repeated = !matches!(what, Logged::Starting { .. } | Logged::Started { .. })
            && seen.contains(what);
        seen.push(what.clone());
        !repeated
    });
    Ok(logged)
}

/// One of them, for the timeline.
pub fn describe((at, what): &(SystemTime, Logged)) -> Option<Moment> {
    let text = match what {
        Logged::MembershipLost { node } => format!("membership lost: {node}"),
        Logged::FencingAsked { node } => format!("fencing asked: {node}"),
        Logged::Fenced { node } => format!("fenced: {node}"),
        Logged::Starting { .. } => return None,
        Logged::Started {
            resource,
            node,
            result,
        } => format!("start of {resource} on {node}: {result}"),
        Logged::Promoted {
            resource,
            node,
            result,
        } => format!("promotion of {resource} on {node}: {result}"),
        Logged::PeerLost { by } => format!("DRBD on {by} has lost its peer"),
        Logged::PeerFenced { by, code } => {
            format!("DRBD's handler on {by} has ended with {code}; 7: the peer is fenced")
        }
    };
    Some(Moment::new(*at, text))
}
