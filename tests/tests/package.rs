//! What the package holds, where, and what it asks for: the nodes install this file and nothing
//! else of ours. That it installs and works there is the failover test's business.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::Command;

fn package() -> String {
    std::env::var("PORTSIP_HA_DEB")
        .expect("PORTSIP_HA_DEB does not name a package: run `make test`, or `make deb` and set it")
}

fn dpkg_deb(option: &str, field: &[&str]) -> String {
    let output = Command::new("dpkg-deb")
        .arg(option)
        .arg(package())
        .args(field)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "dpkg-deb {option}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Path to mode and owner, of everything but directories.
fn files() -> BTreeMap<String, String> {
    dpkg_deb("--contents", &[])
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| !words[0].starts_with('d'))
        .map(|words| (words[5].to_owned(), format!("{} {}", words[0], words[1])))
        .collect()
}

#[test]
fn the_agents_are_where_pacemaker_looks_and_cib_gen_is_on_the_path() {
    let files = files();
    for program in [
        "./usr/lib/ocf/resource.d/portsip/awsebs",
        "./usr/lib/ocf/resource.d/portsip/awseip",
        "./usr/lib/ocf/resource.d/portsip/awsipsrcaddr",
        "./usr/lib/ocf/resource.d/portsip/pbx",
        "./usr/bin/cib-gen",
    ] {
        let mode = files.get(program).map(String::as_str);
        assert!(
            matches!(mode, Some("-rwxr-xr-x root/root" | "-rwxr-xr-x 0/0")),
            "{program}: {mode:?} in {files:#?}"
        );
    }
}

#[test]
fn nothing_lies_where_the_operator_or_the_distribution_keeps_its_own() {
    for path in files().keys() {
        let ours = [
            "./usr/lib/ocf/resource.d/portsip/",
            "./usr/bin/cib-gen",
            "./usr/share/doc/portsip-ha/",
        ];
        assert!(
            ours.iter().any(|prefix| path.starts_with(prefix)),
            "{path} is not ours to install"
        );
    }
    let scripts = dpkg_deb("--info", &[]);
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        assert!(
            !scripts.contains(script),
            "installing runs a script ({script}): on a node with a running PBX it must only put files in place"
        );
    }
}

#[test]
fn each_dependency_has_its_name_on_debian_12_and_on_ubuntu_24_04() {
    let depends = dpkg_deb("--field", &["Depends"]);
    for alternatives in [
        "fence-agents-aws | fence-agents",
        "resource-agents-base | resource-agents",
        "resource-agents-extra | resource-agents",
    ] {
        assert!(
            depends.contains(alternatives),
            "{alternatives} is not in: {depends}"
        );
    }
    for package in [
        "corosync",
        "pacemaker",
        "pacemaker-cli-utils",
        "pcs",
        "xfsprogs",
    ] {
        assert!(depends.contains(package), "{package} is not in: {depends}");
    }
}

#[test]
fn the_libc_of_debian_12_is_enough() {
    let depends = dpkg_deb("--field", &["Depends"]);
    let minor: u32 = depends
        .split("libc6 (>= 2.")
        .nth(1)
        .and_then(|rest| rest.split(')').next())
        .and_then(|minor| minor.parse().ok())
        .unwrap_or_else(|| panic!("no version of libc6 in: {depends}"));
    assert!(
        minor <= 36,
        "Debian 12 has libc 2.36, the package asks for 2.{minor}"
    );
}
