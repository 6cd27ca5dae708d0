//! What has to be the same on all nodes.

use super::{Inspection, SaidOf, Site};
use crate::cluster::{Level, difference};

/// Seconds from the others from which on something goes wrong: certificates, EC2's signatures, logs.
const FAR: f64 = 30.0;
const NEAR: f64 = 1.0;

/// Compared with the median, so that one clock that is wrong does not make the others wrong.
pub(super) fn clock(all: &[Inspection], _: &Site) -> Vec<SaidOf> {
    let mut ahead: Vec<f64> = all.iter().filter_map(|it| Some(it.clock?.ahead)).collect();
    ahead.sort_by(f64::total_cmp);
    let Some(median) = ahead
        .get(ahead.len() / 2)
        .copied()
        .filter(|_| ahead.len() > 1)
    else {
        return Vec::new();
    };
    let mut said = Vec::new();
    for it in all {
        let Some(clock) = it.clock else { continue };
        let off = clock.ahead - median;
        let certain = off.abs() - clock.uncertain;
        let level = match certain {
            off if off > FAR => Level::Error,
            off if off > NEAR => Level::Warning,
            _ => continue,
        };
        let direction = if off > 0.0 { "ahead" } else { "behind" };
        let found = format!("the clock is {:.1} s {direction}", off.abs());
        let command = match it.one("time-sync") {
            Some("chrony") => "chronyc sources; sudo chronyc makestep   (there)".to_owned(),
            Some(service) => format!("timedatectl; sudo systemctl restart {service}   (there)"),
            None => "nothing sets the clock: sudo apt install chrony   (there)".to_owned(),
        };
        said.push((Some(it.node.clone()), (level, found, Some(command))));
    }
    said
}

pub(super) fn versions(all: &[Inspection], _: &Site) -> Vec<SaidOf> {
    const PACKAGES: [&str; 6] = [
        "portsip-ha",
        "pacemaker",
        "corosync",
        "pcs",
        "docker.io",
        "docker-ce",
    ];
    let differ = PACKAGES.into_iter().filter_map(|package| {
        let versions = all
            .iter()
            .filter_map(|it| Some((it.package(package)?, it.node.as_str())));
        difference(package, versions)
    });
    differ
        .map(|found| (None, (Level::Warning, found, None)))
        .collect()
}

pub(super) fn images(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some(image) = site.image else {
        return Vec::new();
    };
    let ids = all
        .iter()
        .filter_map(|it| Some((it.one("image")?, it.node.as_str())));
    let found = difference(image, ids);
    let command = || {
        Some(format!(
            "docker save {image} | ssh USER@OTHER_NODE sudo docker load   (as root, on the node where the PBX runs: its image \
             counts)"
        ))
    };
    found
        .map(|found| (None, (Level::Warning, found, command())))
        .into_iter()
        .collect()
}
