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
        "./usr/lib/ocf/resource.d/portsip/awsvip",
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

/// What a program prints that has to succeed and to complain of nothing.
fn quiet(program: &str, args: &[&std::ffi::OsStr]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{program} {args:?}: {}\n{complaints}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_agent_has_a_manual_page_that_is_of_this_version_of_it() {
    let unpacked = tempfile::tempdir().unwrap();
    dpkg_deb("--extract", &[unpacked.path().to_str().unwrap()]);
    let agents = unpacked.path().join("usr/lib/ocf/resource.d/portsip");
    let mut pages = 0;
    for agent in std::fs::read_dir(&agents).unwrap() {
        let binary = agent.unwrap().path();
        let name = binary.file_name().unwrap().to_str().unwrap();
        let page = format!("usr/share/man/man7/ocf_portsip_{name}.7.gz");
        let page = unpacked.path().join(page);
        let source = quiet("zcat", &[page.as_os_str()]);
        let plain = unpacked.path().join(name);
        std::fs::write(&plain, source).unwrap();
        let options = ["-ww", "-man", "-Tutf8", "-P-cbou"].map(std::ffi::OsStr::new);
        let text = quiet("groff", &[&options[..], &[plain.as_os_str()]].concat());
        let meta_data = quiet(binary.to_str().unwrap(), &["meta-data".as_ref()]);
        for (element, section) in [("parameter", "PARAMETERS"), ("action", "ACTIONS")] {
            let section = text.split(section).nth(1).unwrap();
            let opening = format!("<{element} name=\"");
            let said = meta_data.split(&opening).skip(1);
            let names: Vec<&str> = said.map(|rest| rest.split('"').next().unwrap()).collect();
            assert!(!names.is_empty(), "{name}: {meta_data}");
            for item in names {
                let mut lines = section.lines().map(str::trim_start);
                assert!(
                    lines.any(|line| line.split_whitespace().next() == Some(item)),
                    "{name}: the {element} {item} is not in:\n{section}"
                );
            }
        }
        pages += 1;
    }
    assert_eq!(pages, 5, "agents in {}", agents.display());
}

#[test]
fn nothing_lies_where_the_operator_or_the_distribution_keeps_its_own() {
    for path in files().keys() {
        let ours = [
            "./usr/lib/ocf/resource.d/portsip/",
            "./usr/bin/cib-gen",
            "./usr/share/doc/portsip-ha/",
            "./usr/share/man/man7/ocf_portsip_",
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
