//! Nodes that are away: since when a lost one waits for its fencing, and what brings one back.

use std::collections::BTreeMap;
use std::time::Duration;

use super::notices::{Level, Notice, Seen, notice};
use super::quantities::time;

/// Since when nodes are lost that are not fenced yet, as `commands::lost` printed it.
pub type LostSince = BTreeMap<String, Duration>;

/// After this a person may want to look: EC2 stops most instances within a minute, and SBD takes its watchdog's time.
const FENCED_WITHIN: Duration = Duration::from_secs(60);

/// What `commands::lost` printed. What is not understood is left out.
pub fn lost_since(printed: &str) -> LostSince {
    let mut lines = printed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let seconds = |word: &str| word.split('.').next()?.parse::<u64>().ok();
    let Some(now) = lines.next().and_then(|words| seconds(words.first()?)) else {
        return LostSince::new();
    };
    let each = lines.filter_map(|words| match words[..] {
        [node, at] => Some((
            node.to_owned(),
            Duration::from_secs(now.checked_sub(seconds(at)?)?),
        )),
        _ => None,
    });
    each.collect()
}

/// Nodes that have to be fenced. Nothing starts on any node until they are.
pub(super) fn unclean(seen: &Seen) -> Vec<Notice> {
    let unclean = seen.state.nodes.iter().filter(|node| node.unclean);
    // What the configuration allows is for the slowest instance; after half of it hardly any is still on its way.
    let limit = seen.configuration.map(|it| it.fencing() / 2);
    let limit = limit.unwrap_or_default().max(FENCED_WITHIN);
    let each = unclean.map(|node| {
        let name = &node.name;
        // One that is online has something that does not stop.
        let lost_for = seen.lost.get(name).filter(|_| !node.online);
        let state = match (node.online, lost_for) {
            (true, _) => "is UNCLEAN, because something there did not stop".to_owned(),
            (false, Some(so_long)) => format!("is lost (UNCLEAN) for {}", time(*so_long)),
            (false, None) => "is lost (UNCLEAN)".to_owned(),
        };
        let waits = match seen.state.quorum {
            true => "and not fenced yet: until it is, the cluster starts nothing",
            false => "and not fenced: a part of the cluster without a majority fences nobody",
        };
        let level = match lost_for {
            Some(so_long) if seen.state.quorum && *so_long > limit => Level::Error,
            _ => Level::Warning,
        };
        let text = format!("{name} {state}, {waits}");
        let mut it = notice(level, "node.unclean", "Fencing", name, text);
        let is_to_be_looked_at = lost_for.is_none_or(|so_long| *so_long > FENCED_WITHIN);
        it.command = (seen.state.quorum && is_to_be_looked_at).then(|| why_not_fenced(name, seen));
        it
    });
    each.collect()
}

fn why_not_fenced(node: &str, seen: &Seen) -> String {
    let is_on_ec2 = seen.configuration.and_then(|it| it.instance(node));
    match is_on_ec2 {
        Some(_) => format!(
            "ha-ctl check --only aws   names what keeps fencing from it; then sudo pcs stonith history show {node}, and \
             in the README: A node stays UNCLEAN"
        ),
        None => format!(
            "sudo pcs stonith history show {node}   says what was tried; then in docs/lan.md: A node stays UNCLEAN"
        ),
    }
}

/// What brings a node back that is offline.
pub(super) fn comes_back(node: &str, seen: &Seen) -> String {
    match start_instances(&[node], seen) {
        Some(command) => {
            format!("{command}   (if the machine runs: sudo pcs cluster start {node})")
        }
        None => format!(
            "sudo pcs cluster start {node}   (if the machine runs; otherwise switch its power on)"
        ),
    }
}

/// What gives the cluster its majority back.
pub(super) fn majority(seen: &Seen) -> String {
    let away = seen.state.nodes.iter().filter(|node| !node.online);
    let away: Vec<&str> = away.map(|node| node.name.as_str()).collect();
    let nodes = away.join(" ");
    match start_instances(&away, seen) {
        Some(command) => format!(
            "{command}   (where the machine runs: sudo pcs cluster start {nodes}). In the README: No majority"
        ),
        None => format!(
            "sudo pcs cluster start {nodes}   (where the machine runs; otherwise switch its power on). In the README: No \
             majority"
        ),
    }
}

/// Starts instances with an administrator's credentials: the nodes may not do that.
fn start_instances(nodes: &[&str], seen: &Seen) -> Option<String> {
    let configuration = seen.configuration?;
    let instances: Vec<_> = nodes
        .iter()
        .filter_map(|node| configuration.instance(node))
        .collect();
    let region = instances
        .first()?
        .region
        .as_ref()
        .map_or_else(String::new, |region| format!(" --region {region}"));
    let ids: Vec<&str> = instances.iter().map(|it| it.id.as_str()).collect();
    Some(format!(
        "aws ec2 start-instances{region} --instance-ids {}",
        ids.join(" ")
    ))
}

#[cfg(test)]
#[path = "lost_tests.rs"]
mod tests;
