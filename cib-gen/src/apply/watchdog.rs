//! How long the cluster waits for a watchdog to reset a lost node: `stonith-watchdog-timeout`. Pacemaker stops on
//! a node where SBD does not run, or has more than half of that time.

use serde::Deserialize;

use super::pairs::property;
use crate::cluster::{Cluster, Setting};
use crate::render;
use crate::xml::Element;

/// The value in a configuration; none, if nothing sets it.
pub(super) fn timeout(configuration: &Element) -> Option<&str> {
    property(configuration, render::WATCHDOG_TIMEOUT)
}

/// Whether a watchdog guards the nodes of a configuration.
pub(super) fn guards(configuration: &Element) -> bool {
    timeout(configuration).is_some_and(|value| seconds(value) != 0)
}

/// The value that is wanted.
pub(super) fn wanted(cluster: &Cluster) -> Option<&Setting> {
    let mut properties = cluster.properties.iter();
    properties.find(|property| property.name == render::WATCHDOG_TIMEOUT)
}

/// Whether a value is at least as long as another. A node is taken for dead when that time is over, so it is
/// never made shorter. A negative one stands for twice SBD's own timeout.
pub(super) fn is_enough(value: &str, least: &str) -> bool {
    let value = seconds(value);
    value < 0 || value >= seconds(least)
}

/// The seconds of a time as Pacemaker reads it; -1 if it cannot be read.
pub(super) fn seconds(text: &str) -> i64 {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit());
    let number: &str = &text[..text.len() - unit.len()];
    let Ok(number) = number.parse::<i64>() else {
        return -1;
    };
    match unit.trim() {
        "ms" | "msec" => number / 1000,
        "us" | "usec" => 0,
        "m" | "min" => number.saturating_mul(60),
        "h" | "hr" => number.saturating_mul(3600),
        _ => number,
    }
}

/// What a node says of its SBD; nothing, where it does not answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Sbd {
    /// The node.
    pub node: String,
    /// Whether SBD is installed, enabled and running.
    pub runs: Option<bool>,
    /// Its SBD_WATCHDOG_TIMEOUT.
    pub timeout: Option<String>,
    /// Its SBD_DELAY_START.
    pub delay: Option<String>,
}

/// The note on nodes whose SBD waits while Corosync does not. An earlier version of this has set that.
pub fn with_delay(said: &[Sbd]) -> Option<String> {
    let waits = |sbd: &&Sbd| sbd.delay.as_deref().is_some_and(|delay| delay != "no");
    let nodes: Vec<&str> = said
        .iter()
        .filter(waits)
        .map(|sbd| sbd.node.as_str())
        .collect();
    (!nodes.is_empty()).then(|| {
        format!(
            "SBD_DELAY_START is set on {}. Corosync does not wait for it, so that a node that boots is a member without \
             Pacemaker for so long, and meanwhile Pacemaker starts nothing on any node. The package has Corosync and SBD \
             wait together after a boot\n  help: on each of these nodes, for its next start: sudo sed -i \
             's/^SBD_DELAY_START=.*/SBD_DELAY_START=no/' /etc/default/sbd",
            nodes.join(", ")
        )
    })
}

/// Fits the wanted time to what the nodes say of SBD: at least twice the longest time that SBD has. Where a node
/// is silent, the time stays as it is. What a person has to know of that.
///
/// # Errors
/// The reason to refuse: the time would have to change, and a node would not bear that or cannot be asked.
pub fn fit(cluster: &mut Cluster, cib: &Element, said: &[Sbd]) -> Result<Option<String>, String> {
    let mut properties = cluster.properties.iter_mut();
    let Some(wanted) = properties.find(|property| property.name == render::WATCHDOG_TIMEOUT) else {
        return Ok(None);
    };
    let (mut silent, mut without, mut longest) = (Vec::new(), Vec::new(), 0);
    for member in &cluster.corosync.nodes {
        let mut said = said.iter();
        let sbd = said.find(|sbd| sbd.node.eq_ignore_ascii_case(&member.name));
        let own = sbd.and_then(|sbd| sbd.timeout.as_deref()).map(seconds);
        match (sbd.and_then(|sbd| sbd.runs), own) {
            (Some(false), _) => without.push(member.name.as_str()),
            (Some(true), Some(own)) if own >= 0 => longest = longest.max(own),
            _ => silent.push(member.name.as_str()),
        }
    }
    let least = format!("{}s", longest.saturating_mul(2).max(seconds(&wanted.value)));
    let fault = if !without.is_empty() {
        format!(
            "SBD is not installed, enabled and running on {}",
            without.join(", ")
        )
    } else if !silent.is_empty() {
        let nodes = silent.join(", ");
        format!("it is not known whether SBD runs on {nodes}, and with which SBD_WATCHDOG_TIMEOUT")
    } else {
        wanted.value = least;
        return Ok(None);
    };
    let now = cib.child("configuration").and_then(timeout);
    let now = now.filter(|now| seconds(now) != 0);
    let has = now.map_or("is not set".to_owned(), |now| {
        format!("is {now} and stays so")
    });
    let text = format!(
        "{fault}. {} {has}, and vars.yml asks for {least}\n  help: a node whose SBD does not run, or has more than \
         half of that time, stops Pacemaker. `sudo pcs stonith sbd status` must show YES | YES | YES for every node. \
         Then run apply again",
        wanted.name
    );
    match now {
        Some(now) if without.is_empty() || is_enough(now, &least) => {
            now.clone_into(&mut wanted.value);
            Ok(Some(text))
        }
        _ => Err(text),
    }
}

/// The note where the nodes cannot be asked of SBD, and the time would change.
pub fn not_asked(cluster: &Cluster, cib: &Element) -> Option<String> {
    let wanted = wanted(cluster)?;
    let now = cib.child("configuration").and_then(timeout);
    (!now.is_some_and(|now| is_enough(now, &wanted.value))).then(|| {
        format!(
            "a CIB of a file does not say how SBD is set up on the nodes: {} may have to be longer than {}",
            wanted.name, wanted.value
        )
    })
}
