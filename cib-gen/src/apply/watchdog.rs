//! How long the cluster waits for a watchdog to reset a lost node: `stonith-watchdog-timeout`.

use super::pairs::holds_always;
use crate::cluster::{Cluster, Setting};
use crate::render;
use crate::xml::Element;

/// The value in a configuration; none, if nothing sets it.
pub(super) fn timeout(configuration: &Element) -> Option<&str> {
    let sets = configuration.children("crm_config");
    let sets = sets.flat_map(|section| section.children("cluster_property_set"));
    let mut pairs = sets
        .filter(|set| holds_always(set))
        .flat_map(|set| &set.children);
    let pair = pairs.find(|pair| pair.is("name", render::WATCHDOG_TIMEOUT))?;
    pair.get("value")
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
