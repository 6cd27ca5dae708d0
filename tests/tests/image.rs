//! The node image is a stock machine: what the distribution and our package install, and what
//! `deviations.rs` lists, each with its reason.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use lab::image::deviations::deviations;
use lab::image::manifest::Manifest;
use lab::image::{self, Image};
use lab::progress::Silent;
use lab::site::Site;

fn node_image(site: Site) -> Image {
    image::node_image(site, &Silent).unwrap()
}

/// Whether a deviation's path means this one.
fn means(listed: &str, path: &str) -> bool {
    match listed.strip_suffix("/**") {
        Some(directory) => path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with('/')),
        None => listed == path,
    }
}

#[test]
fn a_node_differs_from_a_stock_machine_only_where_it_is_listed() {
    differs_only_where_it_is_listed(Site::Ec2);
}

#[test]
fn a_machine_of_the_lan_differs_from_a_stock_one_only_where_it_is_listed() {
    differs_only_where_it_is_listed(Site::Lan);
}

fn differs_only_where_it_is_listed(site: Site) {
    let stock = Manifest::of(&image::stock(site, &Silent).unwrap()).unwrap();
    let node = Manifest::of(&node_image(site).rootfs()).unwrap();
    let differences = stock.differences(&node);
    let listed = |path: &str| {
        deviations(site)
            .flat_map(|deviation| deviation.paths)
            .any(|listed| means(listed, path))
    };
    let unlisted: Vec<&String> = differences.iter().filter(|path| !listed(path)).collect();
    assert!(
        unlisted.is_empty(),
        "no deviation lists these: {unlisted:#?}"
    );
    for deviation in deviations(site) {
        assert!(
            differences
                .iter()
                .any(|path| deviation.paths.iter().any(|listed| means(listed, path))),
            "nothing differs for this reason any more: {}",
            deviation.reason
        );
    }
}

#[test]
fn a_node_has_all_that_installing_the_package_brings_and_no_more_is_asked_for() {
    for site in [Site::Ec2, Site::Lan] {
        has_all_that_the_package_brings(site);
    }
}

fn has_all_that_the_package_brings(site: Site) {
    let package = std::env::var("PORTSIP_HA_DEB").expect(
        "PORTSIP_HA_DEB does not name a package: run `make test`, or `make deb` and set it",
    );
    let output = Command::new("systemd-nspawn")
        .args(["--quiet", "--volatile=overlay", "--private-network"])
        .args([
            "--register=no",
            "--keep-unit",
            "--settings=no",
            "--console=pipe",
        ])
        .arg("--directory")
        .arg(node_image(site).rootfs())
        .arg(format!("--bind-ro={package}:/portsip-ha.deb"))
        .args(["apt-get", "install", "--simulate", "/portsip-ha.deb"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let installed: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("Inst "))
        .filter_map(|rest| rest.split(' ').next())
        .collect();
    assert_eq!(
        installed,
        ["portsip-ha"],
        "the image lacks what the package depends on or recommends: {said}"
    );
}
