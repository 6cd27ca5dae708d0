//! What the package holds, where, and what it asks for: the nodes install this file and nothing
//! else of ours. That it installs and works there is the failover test's business.

#![allow(clippy::unwrap_used)]

#[path = "package/install.rs"]
mod install;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
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
fn the_agents_are_where_pacemaker_looks_and_the_commands_are_on_the_path() {
    let files = files();
    for program in [
        "./usr/lib/ocf/resource.d/portsip/awsebs",
        "./usr/lib/ocf/resource.d/portsip/awseip",
        "./usr/lib/ocf/resource.d/portsip/awsipsrcaddr",
        "./usr/lib/ocf/resource.d/portsip/awsvip",
        "./usr/lib/ocf/resource.d/portsip/pbx",
        "./usr/bin/cib-gen",
        "./usr/bin/ha-ctl",
    ] {
        let mode = files.get(program).map(String::as_str);
        assert!(
            matches!(mode, Some("-rwxr-xr-x root/root" | "-rwxr-xr-x 0/0")),
            "{program}: {mode:?} in {files:#?}"
        );
    }
}

/// The package's files, in a directory that goes away with what is returned.
fn unpacked() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    dpkg_deb("--extract", &[directory.path().to_str().unwrap()]);
    directory
}

/// What a program prints that has to succeed and to complain of nothing.
fn quiet(program: &str, args: &[&OsStr]) -> String {
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
    let unpacked = unpacked();
    let agents = unpacked.path().join("usr/lib/ocf/resource.d/portsip");
    let mut pages = 0;
    for agent in std::fs::read_dir(&agents).unwrap() {
        let binary = agent.unwrap().path();
        let name = binary.file_name().unwrap().to_str().unwrap();
        let page = format!("usr/share/man/man7/ocf_portsip_{name}.7.gz");
        let page = unpacked.path().join(page);
        let text = formatted(&page, unpacked.path());
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

/// What groff makes of a compressed page, without complaint; a copy of it is left in `directory`. An
/// example may be longer than a line (-Wbreak).
fn formatted(page: &Path, directory: &Path) -> String {
    let source = quiet("zcat", &[page.as_os_str()]);
    let plain = directory.join(page.file_stem().unwrap());
    std::fs::write(&plain, source).unwrap();
    let options = ["-ww", "-Wbreak", "-man", "-Tutf8", "-P-cbou"].map(OsStr::new);
    quiet("groff", &[&options[..], &[plain.as_os_str()]].concat())
}

#[test]
fn each_command_has_manual_pages_that_are_of_this_version_of_it() {
    let unpacked = unpacked();
    for (name, subcommand, option) in [
        ("cib-gen", None, "--offline"),
        ("cib-gen", Some("apply"), "--offline"),
        ("cib-gen", Some("simulate"), "--offline"),
        ("ha-ctl", None, "--version"),
        ("ha-ctl", Some("check"), "--ignore"),
        ("ha-ctl", Some("show"), "--json"),
        ("ha-ctl", Some("status"), "--json"),
        ("ha-ctl", Some("master"), "--json"),
        ("ha-ctl", Some("start"), "--resource"),
        ("ha-ctl", Some("stop"), "--resource"),
        ("ha-ctl", Some("restart"), "--resource"),
    ] {
        let command = unpacked.path().join("usr/bin").join(name);
        let command = command.to_str().unwrap();
        let page = subcommand.map_or(name.to_owned(), |subcommand| format!("{name}-{subcommand}"));
        let file = format!("usr/share/man/man1/{page}.1.gz");
        let text = formatted(&unpacked.path().join(file), unpacked.path());
        for section in ["SYNOPSIS", "OPTIONS", "EXTRA"] {
            let there = text.lines().any(|line| line == section);
            assert!(there, "{page}: no {section}");
        }
        assert!(
            text.to_lowercase().contains("exit status"),
            "{page}: no exit status"
        );
        let asked: Vec<&OsStr> = (subcommand.into_iter().chain(["--help"]))
            .map(OsStr::new)
            .collect();
        let help = quiet(command, &asked);
        let options: Vec<&str> = (help.split_whitespace())
            .filter(|word| word.starts_with("--") && word.len() > 2)
            .map(|word| word.trim_end_matches([',', '.', ')', '`', '\'']))
            .collect();
        assert!(options.contains(&option), "{page}: {help}");
        for option in options {
            assert!(text.contains(option), "{page}: no {option}");
        }
    }
}

#[test]
fn each_shell_finds_its_completions() {
    let unpacked = unpacked();
    for (file, opening) in [
        (
            "usr/share/bash-completion/completions/cib-gen",
            "_cib_gen() {",
        ),
        (
            "usr/share/zsh/vendor-completions/_cib-gen",
            "#compdef cib-gen",
        ),
        (
            "usr/share/bash-completion/completions/ha-ctl",
            "_ha_ctl() {",
        ),
        (
            "usr/share/zsh/vendor-completions/_ha-ctl",
            "#compdef ha-ctl",
        ),
    ] {
        let text = std::fs::read_to_string(unpacked.path().join(file));
        let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
        let there = text.lines().any(|line| line.starts_with(opening));
        assert!(there, "{file}: {text}");
    }
}

#[test]
fn nothing_lies_where_the_operator_or_the_distribution_keeps_its_own() {
    for path in files().keys() {
        let ours = [
            "./usr/lib/ocf/resource.d/portsip/",
            "./usr/bin/cib-gen",
            "./usr/bin/ha-ctl",
            "./usr/lib/portsip-ha/docker-limit",
            "./usr/lib/portsip-ha/drbd-fence-peer",
            "./usr/lib/portsip-ha/late-start",
            "./usr/lib/systemd/networkd.conf.d/portsip-ha.conf",
            "./usr/lib/systemd/system/corosync.service.d/portsip-ha.conf",
            "./usr/lib/systemd/system/portsip-ha-",
            "./usr/lib/systemd/system/resource-agents-deps.target.d/portsip-ha.conf",
            "./usr/lib/systemd/system/sbd.service.d/portsip-ha.conf",
            "./usr/share/doc/portsip-ha/",
            "./usr/share/man/man7/ocf_portsip_",
            "./usr/share/man/man1/cib-gen",
            "./usr/share/man/man1/ha-ctl",
            "./usr/share/bash-completion/completions/cib-gen",
            "./usr/share/bash-completion/completions/ha-ctl",
            "./usr/share/zsh/vendor-completions/_cib-gen",
            "./usr/share/zsh/vendor-completions/_ha-ctl",
        ];
        assert!(
            ours.iter().any(|prefix| path.starts_with(prefix)),
            "{path} is not ours to install"
        );
    }
}

#[test]
fn installing_starts_stops_and_enables_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    dpkg_deb("--control", &[directory.to_str().unwrap()]);
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        let text = std::fs::read_to_string(directory.join(script)).unwrap();
        let commands = (text.lines())
            .map(str::trim)
            .filter(|line| !line.starts_with('#') && line.contains("systemctl "));
        for command in commands {
            let harmless = command.starts_with("systemctl --system daemon-reload")
                || command.starts_with("if command -v systemctl ")
                || command == "systemctl --quiet disable portsip-ha-softdog.service || :";
            assert!(
                harmless,
                "{script} runs on a node with a running PBX: {command}"
            );
        }
        for tool in ["deb-systemd-invoke", "invoke-rc.d", "service "] {
            let called = text.lines().any(|line| line.trim_start().starts_with(tool));
            assert!(!called, "{script} calls {tool}:\n{text}");
        }
    }
}

/// The settings of a unit or a drop-in of the package.
fn settings(unpacked: &tempfile::TempDir, file: &str) -> Vec<String> {
    let path = unpacked.path().join("usr/lib/systemd").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn pacemaker_is_ordered_after_docker_and_does_not_depend_on_it() {
    let unpacked = unpacked();
    let file = "system/resource-agents-deps.target.d/portsip-ha.conf";
    let drop_in = settings(&unpacked, file);
    let after = "After=docker.service docker.socket containerd.service";
    assert!(drop_in.iter().any(|line| line == after), "{drop_in:#?}");
    for line in &drop_in {
        let depends = [
            "Requires",
            "Requisite",
            "BindsTo",
            "PartOf",
            "JobTimeout",
            "JobRunning",
        ];
        assert!(!depends.iter().any(|word| line.starts_with(word)), "{line}");
        assert!(!line.starts_with("Wants=docker"), "{line}");
    }
    // What bounds the wait is not itself ordered after Docker.
    let limit = "Wants=portsip-ha-docker-limit.service";
    assert!(drop_in.iter().any(|line| line == limit), "{drop_in:#?}");
    let limit = settings(&unpacked, "system/portsip-ha-docker-limit.service");
    let waits = |line: &String| line.starts_with("After=") && line.contains("docker.service");
    assert!(!limit.iter().any(waits), "{limit:#?}");
}

/// A machine that was reset must not be a member of the cluster in the middle of the failover.
#[test]
fn corosync_and_sbd_wait_after_a_boot_and_only_then() {
    let unpacked = unpacked();
    for unit in ["corosync", "sbd"] {
        let drop_in = settings(
            &unpacked,
            &format!("system/{unit}.service.d/portsip-ha.conf"),
        );
        let waits = "ExecStartPre=/usr/lib/portsip-ha/late-start 45";
        assert_eq!(drop_in, ["[Service]", waits], "{unit}");
    }
    let late_start = unpacked.path().join("usr/lib/portsip-ha/late-start");
    let up = std::fs::read_to_string("/proc/uptime").unwrap();
    let up: f64 = up.split_whitespace().next().unwrap().parse().unwrap();
    let waited = |seconds: f64| {
        let begun = std::time::Instant::now();
        let mut command = std::process::Command::new(&late_start);
        let status = command.arg(format!("{seconds:.0}")).status();
        assert!(status.unwrap().success());
        begun.elapsed().as_secs_f64()
    };
    assert!(waited((up - 1.0).max(0.0)) < 1.0);
    assert!(waited(up + 4.0) >= 2.0);
}

#[test]
fn each_dependency_has_its_name_on_every_distribution() {
    let depends = dpkg_deb("--field", &["Depends"]);
    for alternatives in [
        "docker-ce | docker.io (>= 20.10.27)",
        "docker-compose-plugin | docker-compose-v2 | docker-compose (>= 2)",
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
        "pacemaker (>= 2.1.5)",
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
