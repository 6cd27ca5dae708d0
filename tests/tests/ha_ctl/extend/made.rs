//! Servers are made: what is refused, what a server has then, and what is done again.

use super::{
    IVR, MEDIA, MEETING, QUEUE, REGISTER, are, extend, on, power_off, run, servers, states, up,
};
use crate::Cluster;
use crate::operator::Operator;
use lab::pbx;
use lab::site::INSTANCES;
use lab::site::VIP;
use std::time::Duration;
use std::time::Instant;

pub(super) fn what_contradicts_itself_is_refused(operator: &Operator) {
    let node = INSTANCES[1].private_ip;
    for (arguments, said) in [
        (
            format!("-s media-server-only -n m -a {VIP}"),
            "the virtual address of the PBX",
        ),
        (
            format!("-s media-server-only -n m -a {node}"),
            "of the cluster",
        ),
        ("-s media-server-only -n m".to_owned(), "-a is missing"),
        (
            "-s disk-only -n m -a 172.31.16.141".to_owned(),
            "no type of an extended server",
        ),
        (
            "-s media-server-only -n m -a 172.31.16.141 -s queue-server-only -n q -a 172.31.16.141"
                .to_owned(),
            "a server has one role",
        ),
    ] {
        let ran = run(operator, &format!("{arguments} --yes"));
        assert_eq!(ran.status, 2, "{ran}");
        assert!(ran.stderr.contains(said), "{said}: {ran}");
    }
}

pub(super) fn nothing_is_changed_without_a_yes(operator: &Operator) {
    for arguments in ["--dry-run", ""] {
        let ran = run(operator, &format!("{} {arguments}", servers()));
        assert_eq!(ran.status, 3, "{ran}");
        for said in [
            "write the list of the extended servers",
            "start media-server-1, and wait until it answers: media-server-1",
            "Servers > Media Servers > Add: name media-server-1, address 172.31.16.141, public address",
        ] {
            assert!(ran.stdout.contains(said), "{said}: {ran}");
        }
    }
    let listed = operator.as_root(&format!("ls {REGISTER} 2>&1"));
    assert_ne!(listed.status, 0, "{listed}");
}

pub(super) fn a_server_that_cannot_be_reached_does_not_stop_the_others(
    cluster: &Cluster,
    operator: &Operator,
) {
    let begun = Instant::now();
    let ran = run(operator, &format!("{} --yes", servers()));
    eprintln!(
        "three servers at once: {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(ran.status, 4, "{ran}");
    let lent = format!(
        "{} is an address that EC2 lends {}",
        MEDIA.public_ip, MEDIA.id
    );
    assert!(ran.stderr.contains(&lent), "{ran}");
    assert!(!ran.stderr.contains("does not let"), "{ran}");
    // No registry gives it here, and the PBX has it.
    let handed = ran
        .stderr
        .matches(" hands it on, through this machine")
        .count();
    assert_eq!(handed, 3, "it was not handed on: {ran}");
    for name in ["media-server-1", "queue-server-1", "meeting-server-1"] {
        let line = ran
            .stdout
            .lines()
            .find(|line| line.starts_with(&format!("{name} (")));
        assert!(
            line.is_some_and(|line| line.ends_with("set up: it answers")),
            "{name}: {ran}"
        );
    }
    assert!(
        ran.stdout
            .contains("vr-server-1 (172.31.16.144): NOT REACHED"),
        "{ran}"
    );
    assert!(
        ran.stdout.contains("IP Blacklist: an allowed entry"),
        "{ran}"
    );
    for node in &INSTANCES {
        let mode = on(cluster, node).as_root(&format!("stat -c '%a %U' {REGISTER}"));
        assert_eq!(mode.succeeded().trim(), "600 root");
    }
}

pub(super) fn the_same_command_again_makes_the_one_that_is_missing(
    cluster: &Cluster,
    operator: &Operator,
) {
    cluster.lab.power_on(IVR).unwrap();
    up(cluster, IVR);
    let begun = Instant::now();
    let ran = run(operator, &format!("{} --yes", servers()));
    eprintln!("one server: {:.1} s", begun.elapsed().as_secs_f64());
    ran.succeeded();
    assert!(!ran.stdout.contains("start media-server-1"), "{ran}");
    let again = run(operator, &format!("{} --yes", servers())).succeeded();
    assert!(again.starts_with("nothing to change"), "{again}");
    are(
        operator,
        &[
            ("media-server-1", "answers"),
            ("queue-server-1", "answers"),
            ("meeting-server-1", "answers"),
            ("vr-server-1", "answers"),
        ],
    );
    let listed = extend(operator, "list").succeeded();
    assert_eq!(listed.matches(pbx::VERSION).count(), 4, "{listed}");
}

/// Waits until the PBX, wherever it runs, knows each server by its name.
pub(super) fn are_registered(cluster: &Cluster, names: &[&str]) {
    let until = Instant::now() + Duration::from_secs(180);
    let ask = "python3 -c 'import urllib.request as r; print(r.urlopen(\"http://127.0.0.1:8222/connz\").read().decode())'";
    loop {
        let answers = INSTANCES
            .iter()
            .map(|node| cluster.lab.ssh(node, ask, Duration::from_secs(10)));
        let known = answers
            .filter_map(Result::ok)
            .map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
        let known: String = known.collect();
        if names
            .iter()
            .all(|name| known.contains(&format!("\"name\": \"{name}\"")))
        {
            return;
        }
        assert!(
            Instant::now() < until,
            "not all of {names:?} are registered: {known}"
        );
        std::thread::sleep(Duration::from_secs(1));
    }
}

pub(super) fn each_is_as_the_vendor_has_it(cluster: &Cluster) {
    for (node, container, program, name, directory) in [
        (
            MEDIA,
            "portsip.mediaserver",
            "mediaserver",
            "media-server-1",
            "media-server-only",
        ),
        (
            QUEUE,
            "portsip.callqueue",
            "callqueue",
            "queue-server-1",
            "queue-server-only",
        ),
        (
            MEETING,
            "portsip.conference",
            "conf",
            "meeting-server-1",
            "meeting-server-only",
        ),
        (
            IVR,
            "portsip.virtualreceptionist",
            "vr",
            "vr-server-1",
            "vr-server-only",
        ),
    ] {
        let server = on(cluster, node);
        let inspect = |format: &str| {
            let ran = server.as_root(&format!("docker inspect --format '{format}' {container}"));
            ran.succeeded().trim().to_owned()
        };
        assert_eq!(
            inspect(r#"{{join .Config.Cmd " "}}"#),
            format!(
                "/usr/local/bin/{program} -D /var/lib/portsip/pbx -E -a {VIP} -x {} -n {name} start",
                node.private_ip
            )
        );
        assert_eq!(
            inspect("{{.HostConfig.RestartPolicy.Name}}"),
            "unless-stopped"
        );
        let owner = server.as_root(&format!("stat -c %u:%g /var/lib/portsip/{directory}"));
        assert_eq!(owner.succeeded().trim(), "888:888");
        let ports = server.as_root("sysctl -n net.ipv4.ip_unprivileged_port_start");
        assert_eq!(ports.succeeded().trim(), "0");
    }
}

pub(super) fn it_comes_back_after_a_reboot(cluster: &Cluster, operator: &Operator) {
    power_off(cluster, MEDIA);
    cluster.lab.power_on(MEDIA).unwrap();
    up(cluster, MEDIA);
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let states = states(operator);
        let media = states.iter().find(|(name, _)| name == "media-server-1");
        if media.is_some_and(|(_, state)| state == "answers") {
            return;
        }
        assert!(Instant::now() < until, "{states:?}");
        std::thread::sleep(Duration::from_secs(1));
    }
}
