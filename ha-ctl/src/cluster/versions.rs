//! Of what the nodes do not have the same.

use std::collections::BTreeMap;

use super::Facts;
use super::notices::{Level, Notice, notice};

/// Packages and images of which the nodes do not have the same.
pub(super) fn versions(facts: &[Facts]) -> Vec<Notice> {
    const HEADING: &str = "Versions that differ";
    let mut packages: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut images = packages.clone();
    for it in facts {
        for (package, version) in &it.packages {
            packages
                .entry(package)
                .or_default()
                .push((version, &it.node));
        }
        for container in &it.containers {
            images
                .entry(&container.name)
                .or_default()
                .push((&container.image, &it.node));
        }
    }
    let mut notices = Vec::new();
    for (name, all) in [("version.image", images), ("version.package", packages)] {
        for (what, have) in all {
            let text = difference(what, have.into_iter());
            notices.extend(text.map(|text| notice(Level::Warning, name, HEADING, what, text)));
        }
    }
    notices
}

/// Which node has which version, if they do not all have the same.
pub fn difference<'a>(
    what: &str,
    have: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (version, node) in have {
        versions.entry(version).or_default().push(node);
    }
    let each = versions
        .iter()
        .map(|(version, nodes)| format!("{version} on {}", nodes.join(", ")));
    let each: Vec<String> = each.collect();
    (each.len() > 1).then(|| format!("{what}: {}", each.join("; ")))
}
