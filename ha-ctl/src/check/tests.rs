//! Each check on what a node of the lab printed, with one line changed.

#![allow(clippy::unwrap_used)]

mod aws;
mod cluster;
mod each_wrong;
mod network;

use super::*;
use crate::reach::Cause;

const PRINTED: &str = include_str!("../../tests/recorded/inspection.txt");
const CLOCK: f64 = 1_795_931_561.821_219_4;

fn names() -> Vec<String> {
    [133, 134, 135]
        .map(|n| format!("ip-172-31-16-{n}"))
        .to_vec()
}

fn machines() -> Vec<Machine> {
    let machine = |name: String| Machine {
        address: Some(name.replace("ip-", "").replace('-', ".")),
        name,
        is_here: false,
    };
    names().into_iter().map(machine).collect()
}

fn node(name: &str, printed: &str) -> Inspection {
    let printed = printed.replace("hostname ip-172-31-16-133", &format!("hostname {name}"));
    Inspection::parse(name, &printed, (CLOCK - 0.05, CLOCK + 0.05))
}

/// What the recorded node, which is on EC2, would have on a LAN too.
const LAN: &str = "data-disk 42949672960 LVM2_member\ndata-group pbxvg\nwatchdog /dev/watchdog\nservice sbd active enabled\n";

/// Three nodes as they were recorded, but for what needs nothing but a drop-in there.
fn good() -> String {
    let good = PRINTED.replace("unprivileged-ports 1024", "unprivileged-ports 0");
    good + "needrestart portsip-ha.conf\n" + LAN
}

fn found_in(nodes: &[Inspection], site: &Site) -> Vec<Finding> {
    findings(nodes, &[], site, &Selection::default())
}

/// What is found where the third node printed something else.
fn found(printed: &str) -> Vec<Finding> {
    let names = names();
    let mut nodes: Vec<Inspection> = names.iter().map(|name| node(name, &good())).collect();
    nodes[2] = node(&names[2], printed);
    let site = Site {
        machines: &machines(),
        image: Some("portsip/pbx:22"),
        data_disk: Some("/dev/sdb"),
        is_fenced_by_sbd: true,
        ..Site::default()
    };
    found_in(&nodes, &site)
}

#[track_caller]
fn one(printed: &str, name: &str, level: Level, text: &str) {
    let found = found(printed);
    let [finding] = &found[..] else {
        panic!("not one finding but {found:#?}")
    };
    assert_eq!((finding.name, finding.level), (name, level), "{finding:?}");
    assert!(finding.found.contains(text), "{finding:?}");
}

#[track_caller]
fn says(found: &[Finding], name: &str, level: Level, text: &str) {
    assert!(
        found
            .iter()
            .any(|it| it.name == name && it.level == level && it.found.contains(text)),
        "no {name} with `{text}` in {found:#?}"
    );
}

#[test]
fn nodes_that_are_as_they_should_be_have_no_findings() {
    assert_eq!(found(&good()), []);
}

#[test]
fn a_node_as_the_distribution_installs_it_lacks_two_settings() {
    let printed = PRINTED.to_owned() + LAN;
    let names: Vec<_> = found(&printed).iter().map(|it| it.name).collect();
    assert_eq!(names, ["os.unprivileged-ports", "apt.needrestart"]);
}

#[test]
fn a_docker_that_does_not_run_is_named_once() {
    let without: String = good()
        .lines()
        .filter(|line| {
            !["docker ", "compose ", "container ", "image "]
                .iter()
                .any(|it| line.starts_with(it))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let stopped = without.replace(
        "service docker active enabled",
        "service docker inactive disabled",
    );
    one(
        &stopped,
        "docker.version",
        Level::Error,
        "Docker is inactive",
    );
    let silent = without.replace("compose", "");
    let found = found(&silent);
    assert!(
        found
            .iter()
            .any(|it| it.name == "docker.version" && it.found.contains("does not answer")),
        "{found:#?}"
    );
}

#[test]
fn a_sample_cluster_is_told_from_somebody_elses() {
    let without = good()
        .replace("cluster-node ip", "other ip")
        .replace("cluster-name ha_cluster", "");
    let debian = without.clone() + "cluster-name debian\ncluster-node node1\n";
    let is_mended = |found: &[Finding]| {
        let mut of_sample = found.iter().filter(|it| it.name == "cluster.sample");
        of_sample.next().unwrap().fixable
    };
    let empty = found(&(debian.clone() + "sample empty\n"));
    says(
        &empty,
        "cluster.sample",
        Level::Warning,
        "without resources",
    );
    assert!(is_mended(&empty));
    let used = found(&(debian.clone() + "sample used\n"));
    says(
        &used,
        "cluster.sample",
        Level::Error,
        "has configured resources",
    );
    assert!(!is_mended(&used));
    // Its name alone makes no sample.
    let named_so = found(&debian);
    says(
        &named_so,
        "cluster.sample",
        Level::Error,
        "the cluster debian is set up",
    );
    assert!(!is_mended(&named_so));
    let other = without + "cluster-name web\ncluster-node web1\ncluster-node web2\n";
    let of_other = found(&other);
    says(
        &of_other,
        "cluster.sample",
        Level::Error,
        "the cluster web is set up here, with web1, web2",
    );
    says(
        &of_other,
        "cluster.member",
        Level::Error,
        "not in the cluster of ip-172-31-16-133, ip-172-31-16-134",
    );
}

#[test]
fn the_clock_that_is_off_is_named_and_not_the_others() {
    for (off, level) in [
        (-40.0, Some(Level::Error)),
        (3.0, Some(Level::Warning)),
        (0.9, None),
    ] {
        let names = names();
        let mut nodes: Vec<Inspection> = names.iter().map(|name| node(name, &good())).collect();
        nodes[1].clock.as_mut().unwrap().ahead += off;
        let site = Site {
            machines: &machines(),
            ..Site::default()
        };
        let found = found_in(&nodes, &site);
        assert_eq!(found.iter().map(|it| it.level).next(), level, "{found:#?}");
        assert!(
            found
                .iter()
                .all(|it| it.node.as_deref() == Some("ip-172-31-16-134")),
            "{found:#?}"
        );
    }
}

#[test]
fn a_clock_that_was_read_slowly_is_not_called_wrong() {
    let names = names();
    let mut nodes: Vec<Inspection> = names.iter().map(|name| node(name, &good())).collect();
    nodes[1].clock = Some(inspection::Clock {
        ahead: 3.0,
        uncertain: 4.0,
    });
    assert_eq!(
        found_in(
            &nodes,
            &Site {
                machines: &machines(),
                ..Site::default()
            }
        ),
        []
    );
}

#[test]
fn a_node_that_cannot_be_used_is_found_with_its_cause() {
    let missing = [Missing {
        name: "pbx03".to_owned(),
        cause: Cause::SudoAsks,
        by_hand: "ssh pbx@pbx03".to_owned(),
    }];
    let found = findings(&[], &missing, &Site::default(), &Selection::default());
    assert_eq!(found[0].name, "ssh.sudo");
    assert!(
        found[0]
            .command
            .as_deref()
            .unwrap()
            .contains("--sudo-password-file")
    );
}

#[test]
fn every_cause_is_a_check_of_the_table() {
    let said = String::new;
    for cause in [
        Cause::Unreachable { said: said() },
        Cause::NewHostKey,
        Cause::KeyEncrypted { key: said() },
        Cause::SudoAsks,
        Cause::NoSsh { said: said() },
    ] {
        assert!(
            CHECKS.iter().any(|check| check.name == cause.name()),
            "{cause:?}"
        );
    }
}

#[test]
fn a_package_that_is_held_is_installed_and_a_unit_that_is_not_found_is_not() {
    let it = Inspection::parse(
        "n1",
        "package pcs hi  0.11.7\npackage sbd rc  1.5\nservice docker inactive not-found\n",
        (0.0, 0.0),
    );
    assert_eq!(it.package("pcs"), Some("0.11.7"));
    assert_eq!(it.package("sbd"), None);
    assert_eq!(it.service("docker"), Some(("inactive", "")));
    one(
        &good()
            .lines()
            .filter(|line| {
                !["docker ", "compose ", "container ", "image "]
                    .iter()
                    .any(|it| line.starts_with(it))
            })
            .map(|line| {
                format!("{line}\n").replace(
                    "service docker active enabled",
                    "service docker inactive not-found",
                )
            })
            .collect::<String>(),
        "docker.version",
        Level::Error,
        "not installed",
    );
}

#[test]
fn helps_are_those_of_the_nodes_own_system() {
    let found = found(&good().replace("compose 2.26.1-4", "compose "));
    let command = found[0].command.as_deref().unwrap();
    assert!(
        !command.contains("docker-compose-v2"),
        "Debian 12 has no such package: {command}"
    );
    let reboot = self::found(&good().replace("os debian 12", "os debian 12\nreboot linux-base"));
    let command = reboot[0].command.as_deref().unwrap();
    assert!(command.contains("moves the PBX"), "{command}");
    let names = names();
    let mut nodes: Vec<Inspection> = names.iter().map(|name| node(name, &good())).collect();
    nodes[2] = node(&names[2], &(good() + "time-sync chrony\n"));
    nodes[2].clock.as_mut().unwrap().ahead += 40.0;
    let late = found_in(
        &nodes,
        &Site {
            machines: &machines(),
            ..Site::default()
        },
    );
    assert!(
        late[0].command.as_deref().unwrap().contains("chronyc"),
        "{late:#?}"
    );
}

#[test]
fn why_a_node_was_not_looked_at_is_found_with_any_selection() {
    let missing = [Missing {
        name: "pbx03".to_owned(),
        cause: Cause::SudoAsks,
        by_hand: "ssh pbx@pbx03".to_owned(),
    }];
    let only = Selection::new(&["apt".to_owned()], &[]).unwrap();
    let found = findings(&[], &missing, &Site::default(), &only);
    assert_eq!(found.len(), 1, "{found:#?}");
    let ignored = Selection::new(&["apt".to_owned()], &["ssh.sudo".to_owned()]).unwrap();
    assert_eq!(findings(&[], &missing, &Site::default(), &ignored), []);
}

#[test]
fn an_inspection_that_was_cut_short_is_not_complete() {
    assert!(node("n1", &good()).is_complete());
    let short = good().replace("end .\n", "");
    assert!(!node("n1", &short).is_complete());
}

#[test]
fn checks_are_chosen_by_name_and_by_group() {
    let select = |only: &[&str], ignored: &[&str]| {
        let own = |list: &[&str]| {
            list.iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        Selection::new(&own(only), &own(ignored))
    };
    let apt = select(&["apt"], &["apt.lock"]).unwrap();
    assert!(apt.has("apt.consistent") && !apt.has("apt.lock") && !apt.has("os.disk"));
    let failure = select(&["apt.lokc"], &[]).unwrap_err();
    assert_eq!(failure.exit, crate::exit::Exit::Usage);
    assert!(failure.text.contains("apt.lock"), "{failure}");
}

#[test]
fn the_names_of_checks_are_different() {
    let mut names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CHECKS.len());
}

/// Its commands would take longer than the whole inspection may.
#[test]
fn a_docker_that_hangs_does_not_cut_the_inspection_short() {
    let script = inspect("n1", &Site::default()).script;
    let begin = script
        .find("[ \"$(systemctl is-active docker)\" = active ] && image=")
        .unwrap();
    let end = script.find("if [ \"$disk\" ]").unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("systemctl", "echo active"), ("docker", "sleep 60")] {
        let file = directory.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    let path = format!(
        "{}:{}",
        directory.path().display(),
        std::env::var("PATH").unwrap()
    );
    let begun = std::time::Instant::now();
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            &(script[begin..end].to_owned() + "say() { :; }; echo end"),
        ])
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("end\n"));
    let took = begun.elapsed();
    assert!(
        took < std::time::Duration::from_secs(12),
        "it took {took:?}"
    );
}

#[test]
fn looking_changes_nothing_and_can_be_read_by_sh() {
    let script = inspect(
        "ip-172-31-16-133",
        &Site {
            machines: &machines(),
            image: Some("portsip/pbx:22"),
            data_disk: Some("/dev/sdb"),
            ..Site::default()
        },
    )
    .script;
    for word in [
        "tee ",
        "apt-get",
        "systemctl start",
        "docker pull",
        "rm -",
        "mkdir",
        "sysctl -w",
    ] {
        assert!(!script.contains(word), "{word}");
    }
    let mut sh = std::process::Command::new("sh");
    assert!(sh.args(["-n", "-c", &script]).status().unwrap().success());
}
