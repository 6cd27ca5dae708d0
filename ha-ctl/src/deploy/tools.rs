//! Packages that only a LAN needs, and that our own package does not bring: DRBD's tools and LVM where the data is, SBD
//! where a watchdog fences. They come after the watchdog: where SBD is installed and has none, Corosync does not start.

use super::package::{LIMIT, apt};
use super::{Deployment, Facts, Site, all};
use crate::exit::Failure;
use crate::run::Run;
use crate::steps::Step;

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let installing = deployment.each().map(|(node, facts)| async move {
        match missing(&deployment.site, &node.name, facts).as_slice() {
            [] => Ok(()),
            missing => run.step(node, &install(missing)).await,
        }
    });
    all(installing).await
}

fn missing(site: &Site, node: &str, facts: &Facts) -> Vec<&'static str> {
    let mut wanted = Vec::new();
    if site.drbd().is_some() && site.can_run_pbx(node) {
        wanted.extend(["lvm2", "drbd-utils"]);
    }
    if site.watchdog().is_some() {
        wanted.push("sbd");
    }
    wanted.retain(|package| facts.version_of(package).is_none());
    wanted
}

fn install(packages: &[&str]) -> Step {
    Step {
        name: "tools",
        what: format!("install {}", packages.join(", ")),
        script: apt(&packages.join(" ")),
        limit: LIMIT,
        once: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{aws, lan};
    use super::*;

    #[test]
    fn a_node_that_only_votes_needs_no_storage() {
        let nothing = Facts::parse("");
        assert_eq!(
            missing(&lan(), "pbx01", &nothing),
            ["lvm2", "drbd-utils", "sbd"]
        );
        assert_eq!(missing(&lan(), "pbx03", &nothing), ["sbd"]);
        assert!(missing(&aws(), "ip-172-31-16-133", &nothing).is_empty());
        let facts = Facts::parse("package lvm2 ii  2.03\npackage sbd ii  1.5\n");
        assert_eq!(missing(&lan(), "pbx01", &facts), ["drbd-utils"]);
    }
}
