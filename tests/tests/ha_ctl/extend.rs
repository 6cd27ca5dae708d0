//! `ha-ctl extend`: four servers of four types from machines with a stock system, one of them unreachable at first;
//! started, stopped and restarted by type and by address; a server of the vendor's script taken over; servers removed;
//! and all of it after the loss of pbx01.

use std::time::{Duration, Instant};

use lab::demo::operator::put_key;
use lab::lab::{Options, turn};
use lab::pbx;
use lab::site::{EXTENDED, INSTANCES, Instance, Site, VIP};

use crate::Cluster;
use crate::operator::{Operator, Ran};

static MEDIA: &Instance = &EXTENDED[0];
static QUEUE: &Instance = &EXTENDED[1];
static MEETING: &Instance = &EXTENDED[2];
static IVR: &Instance = &EXTENDED[3];
const PASSWORD: &str = "lab-extended";
const PASSWORD_FILE: &str = "sudo-password";
const REGISTER: &str = "/etc/portsip/extended-servers.json";

#[test]
fn extended_servers_are_made_managed_and_known_after_the_loss_of_a_node() {
    let _turn = turn().unwrap();
    let cluster = Cluster::of(&Options {
        extended: 4,
        ..Options::default()
    });
    let (first, second) = (cluster.operator(0), cluster.operator(1));
    put_key(&cluster.lab, first.node).unwrap();

    sudo_asks_on(&cluster, MEETING, [&first, &second]);
    power_off(&cluster, IVR);
    what_contradicts_itself_is_refused(&first);
    nothing_is_changed_without_a_yes(&first);
    a_server_that_cannot_be_reached_does_not_stop_the_others(&cluster, &first);
    the_same_command_again_makes_the_one_that_is_missing(&cluster, &first);
    each_is_as_the_vendor_has_it(&cluster);
    are_registered(
        &cluster,
        &[
            "media-server-1",
            "queue-server-1",
            "meeting-server-1",
            "vr-server-1",
        ],
    );
    it_comes_back_after_a_reboot(&cluster, &first);
    servers_are_stopped_and_started_by_type_and_by_address(&first);
    only_the_ones_that_are_meant_are_restarted(&cluster, &first);
    one_that_is_away_is_named_and_the_others_are_done(&cluster, &first);
    one_is_removed_with_its_data_and_one_without(&cluster, &first);
    a_server_of_the_vendors_script_is_taken_over(&cluster, &first);
    an_upgrade_comes_after_the_pbx_and_one_after_the_other(&cluster, &first);

    power_off(&cluster, &INSTANCES[0]);
    put_key(&cluster.lab, second.node).unwrap();
    are_registered(
        &cluster,
        &["media-server-1", "meeting-server-1", "queue-server-1"],
    );
    the_list_is_known_without_the_first_node(&second);
    power_on_after_fencing(&cluster, &INSTANCES[0]);
    an_older_list_does_not_count(&first);
}

/// The four servers, as the vendor's guide has them; one by the id of its instance.
fn servers() -> String {
    let line = |kind: &str, name: &str, server: &Instance| {
        format!("-s {kind} -n {name} -a {} ", server.private_ip)
    };
    let ivr = format!("-s ivr-server-only -n vr-server-1 -a {}", IVR.id);
    let media = format!("-A {} ", MEDIA.public_ip);
    [
        line("media-server-only", "media-server-1", MEDIA),
        media,
        line("queue-server-only", "queue-server-1", QUEUE),
        line("meeting-server-only", "meeting-server-1", MEETING),
        ivr,
    ]
    .concat()
}

fn run(operator: &Operator, arguments: &str) -> Ran {
    extend(operator, &format!("run --accept-new-host-keys {arguments}"))
}

/// With the password for the one machine whose sudo asks.
fn extend(operator: &Operator, arguments: &str) -> Ran {
    let ran = operator.ha_ctl(&format!(
        "extend {arguments} --sudo-password-file {PASSWORD_FILE}"
    ));
    eprintln!("{ran}");
    ran
}

/// On one machine sudo asks ha-ctl for a password, which the operator has in a file. The lab comes in by bash.
fn sudo_asks_on(cluster: &Cluster, server: &'static Instance, operators: [&Operator; 2]) {
    let user = Site::Ec2.user();
    on(cluster, server)
        .as_root(&format!(
            "echo '{user}:{PASSWORD}' | chpasswd &&
             printf '%s\\n' '{user} ALL=(ALL) ALL' '{user} ALL=(ALL) NOPASSWD: /usr/bin/bash' \
                 >/etc/sudoers.d/90-cloud-init-users"
        ))
        .succeeded();
    for operator in operators {
        operator
            .as_user(&format!("umask 077; echo '{PASSWORD}' >{PASSWORD_FILE}"))
            .succeeded();
    }
}

fn on<'a>(cluster: &'a Cluster, node: &'static Instance) -> Operator<'a> {
    Operator {
        lab: &cluster.lab,
        node,
    }
}

pub(crate) fn power_off(cluster: &Cluster, node: &Instance) {
    cluster.lab.power_off(node).unwrap();
}

/// EC2 has to have stopped it before it starts it again.
pub(crate) fn power_on_after_fencing(cluster: &Cluster, node: &Instance) {
    let until = Instant::now() + Duration::from_secs(180);
    while let Err(error) = cluster.lab.power_on(node) {
        assert!(Instant::now() < until, "{}: {error}", node.hostname);
        std::thread::sleep(Duration::from_secs(1));
    }
    up(cluster, node);
}

/// Waits until a machine answers.
fn up(cluster: &Cluster, node: &Instance) {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let ran = cluster.lab.ssh(node, "true", Duration::from_secs(10));
        if ran.is_ok_and(|output| output.status.success()) {
            return;
        }
        assert!(Instant::now() < until, "{} does not come up", node.hostname);
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Name and state of each server of the list.
fn states(operator: &Operator) -> Vec<(String, String)> {
    let listed = operator.json(&format!(
        "extend list --json --sudo-password-file {PASSWORD_FILE}"
    ));
    let servers = listed["servers"].as_array().unwrap().iter();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    servers
        .map(|it| (word(&it["name"]), word(&it["state"])))
        .collect()
}

#[track_caller]
fn are(operator: &Operator, wanted: &[(&str, &str)]) {
    let states = states(operator);
    let states: Vec<(&str, &str)> = states
        .iter()
        .map(|(name, state)| (name.as_str(), state.as_str()))
        .collect();
    assert_eq!(states, wanted);
}

fn what_contradicts_itself_is_refused(operator: &Operator) {
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

fn nothing_is_changed_without_a_yes(operator: &Operator) {
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

fn a_server_that_cannot_be_reached_does_not_stop_the_others(
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

fn the_same_command_again_makes_the_one_that_is_missing(cluster: &Cluster, operator: &Operator) {
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
fn are_registered(cluster: &Cluster, names: &[&str]) {
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

fn each_is_as_the_vendor_has_it(cluster: &Cluster) {
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

fn it_comes_back_after_a_reboot(cluster: &Cluster, operator: &Operator) {
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

fn servers_are_stopped_and_started_by_type_and_by_address(operator: &Operator) {
    extend(operator, "stop -s media-server-only").succeeded();
    are(
        operator,
        &[
            ("media-server-1", "stopped"),
            ("queue-server-1", "answers"),
            ("meeting-server-1", "answers"),
            ("vr-server-1", "answers"),
        ],
    );
    let again = extend(operator, "stop -s media-server-only").succeeded();
    assert!(again.contains("is stopped already"), "{again}");
    let ip = MEDIA.private_ip;
    let dry = extend(operator, &format!("start -a {ip} --dry-run"));
    assert_eq!(dry.status, 3, "{dry}");
    let started = extend(operator, &format!("start -s media-server-only -a {ip}")).succeeded();
    assert!(started.contains("was started: it answers"), "{started}");
    let none = extend(operator, &format!("start -s queue-server-only -a {ip}"));
    assert_eq!(none.status, 1, "{none}");
    assert!(states(operator).iter().all(|(_, state)| state == "answers"));
}

fn only_the_ones_that_are_meant_are_restarted(cluster: &Cluster, operator: &Operator) {
    let started = |node, container: &str| {
        let command = format!("docker inspect --format '{{{{.State.StartedAt}}}}' {container}");
        on(cluster, node).as_root(&command).succeeded()
    };
    let times = || {
        (
            started(IVR, "portsip.virtualreceptionist"),
            started(MEETING, "portsip.conference"),
        )
    };
    let before = times();
    // Both spellings of IVR mean the same.
    for kind in ["ivr-server-only", "vr-server-only"] {
        extend(operator, &format!("restart -s {kind}")).succeeded();
    }
    let after = times();
    assert_ne!(before.0, after.0);
    assert_eq!(before.1, after.1);
}

fn one_that_is_away_is_named_and_the_others_are_done(cluster: &Cluster, operator: &Operator) {
    power_off(cluster, QUEUE);
    let ran = extend(operator, "stop");
    assert_eq!(ran.status, 4, "{ran}");
    assert!(
        ran.stdout
            .contains("queue-server-1 (172.31.16.142): NOT REACHED"),
        "{ran}"
    );
    are(
        operator,
        &[
            ("media-server-1", "stopped"),
            ("queue-server-1", "not reached"),
            ("meeting-server-1", "stopped"),
            ("vr-server-1", "stopped"),
        ],
    );
    let listed = extend(operator, "list");
    assert_eq!(listed.status, 4, "{listed}");
    cluster.lab.power_on(QUEUE).unwrap();
    up(cluster, QUEUE);
    extend(operator, "start").succeeded();
    assert!(states(operator).iter().all(|(_, state)| state == "answers"));
}

fn one_is_removed_with_its_data_and_one_without(cluster: &Cluster, operator: &Operator) {
    let asked = extend(operator, "rm -s queue-server-only");
    assert_eq!(asked.status, 3, "{asked}");
    let there = |node, directory: &str| {
        let command = format!(
            "ls -d /var/lib/portsip/{directory} /etc/portsip/{directory} 2>&1; docker ps --all --quiet"
        );
        on(cluster, node).as_root(&command).stdout
    };
    assert!(there(QUEUE, "queue-server-only").starts_with("/etc/portsip/queue-server-only\n"));
    let removed = extend(operator, "rm -s queue-server-only --yes").succeeded();
    assert!(
        removed.contains("AND ITS DATA: /var/lib/portsip/queue-server-only"),
        "{removed}"
    );
    let left = there(QUEUE, "queue-server-only");
    assert_eq!(left.matches("No such file").count(), 2, "{left}");
    assert_eq!(left.lines().count(), 2, "{left}");
    extend(
        operator,
        &format!("rm -a {} --keep-data --yes", IVR.private_ip),
    )
    .succeeded();
    let left = there(IVR, "vr-server-only");
    assert!(
        left.contains("\n/var/lib/portsip/vr-server-only\n"),
        "{left}"
    );
    assert_eq!(left.matches("No such file").count(), 1, "{left}");
    are(
        operator,
        &[
            ("media-server-1", "answers"),
            ("meeting-server-1", "answers"),
        ],
    );
}

/// What the vendor's script leaves on a machine: a project of the type's name, whose data is mounted as a volume.
fn a_server_of_the_vendors_script_is_taken_over(cluster: &Cluster, operator: &Operator) {
    let server = on(cluster, QUEUE);
    let (ip, image) = (QUEUE.private_ip, pbx::PBX_IMAGE);
    server
        .as_root(&format!(
            "set -e
             install -d -o 888 -g 888 /var/lib/portsip/queue-server-only
             mkdir -p /opt/portsip/queue-server-only
             cd /opt/portsip/queue-server-only
             cat >docker-compose.yml <<'END'
volumes:
  queue-server-only:
    driver: local
    driver_opts: {{type: none, o: bind, device: /var/lib/portsip/queue-server-only}}
services:
  callqueue:
    image: {image}
    command: [/usr/local/bin/callqueue, -D, /var/lib/portsip/pbx, -E, -a, {VIP}, -x, {ip}, -n, queue-server-1, start]
    network_mode: host
    user: portsip
    container_name: portsip.callqueue
    volumes: [\"queue-server-only:/var/lib/portsip/pbx\"]
    cap_add: [SYS_PTRACE]
    restart: unless-stopped
END
             docker compose up --detach"
        ))
        .succeeded();
    let container = || {
        let id = server
            .as_root("docker inspect --format '{{.Id}} {{.State.StartedAt}}' portsip.callqueue");
        id.succeeded()
    };
    let before = container();
    let ran = run(
        operator,
        &format!("-s queue-server-only -n queue-server-1 -a {ip} --yes"),
    );
    let printed = ran.succeeded();
    assert!(
        printed.contains("was set up by the vendor's script, and is taken over as it is"),
        "{ran}"
    );
    assert_eq!(container(), before);
    extend(operator, "restart -s queue-server-only").succeeded();
    are(
        operator,
        &[
            ("media-server-1", "answers"),
            ("meeting-server-1", "answers"),
            ("queue-server-1", "answers"),
        ],
    );
}

/// Gives the tag of the PBX's image another image, of a newer version.
const NEWER_IMAGE: &str = "docker create --name newer portsip/pbx:22 true && \
                           docker commit --change 'LABEL version=22.5.0' newer portsip/pbx:22 && docker rm newer";

fn an_upgrade_comes_after_the_pbx_and_one_after_the_other(cluster: &Cluster, operator: &Operator) {
    let other = IVR.private_ip;
    let second = format!("-s media-server-only -n media-server-2 -a {other} --yes");
    run(operator, &second).succeeded();
    for machine in &INSTANCES {
        on(cluster, machine).as_root(NEWER_IMAGE).succeeded();
    }
    let early = extend(operator, "upgrade --yes");
    assert_eq!(early.status, 1, "{early}");
    assert!(
        early.stderr.contains("the PBX is not upgraded yet"),
        "{early}"
    );
    // What an upgrade of the PBX does with the container that says which image it runs from.
    operator
        .as_root(
            "pcs property set maintenance-mode=true &&
             docker compose --project-directory /etc/portsip/pbx up --detach --no-deps callmanager &&
             docker update --restart=no portsip.callmanager &&
             pcs property set maintenance-mode=",
        )
        .succeeded();
    let asked = extend(operator, "upgrade");
    assert_eq!(asked.status, 3, "{asked}");
    assert!(
        asked
            .stdout
            .contains("queue-server-1 is the only queue-server-only that answers"),
        "{asked}"
    );
    assert!(
        !asked.stdout.contains("media-server-1 is the only"),
        "{asked}"
    );
    operator
        .as_root(&format!(
            "rm -f /tmp/over /tmp/looked /tmp/none
             (until [ -e /tmp/over ]; do
                 answers=
                 for ip in {} {other}; do timeout 1 bash -c \"</dev/tcp/$ip/8840\" && answers=yes; done
                 [ \"$answers\" ] || echo none >>/tmp/none
                 echo looked >>/tmp/looked
             done) >/dev/null 2>&1 </dev/null &",
            MEDIA.private_ip
        ))
        .succeeded();
    let upgraded = extend(operator, "upgrade --yes");
    assert!(
        upgraded.stderr.contains("portsip/pbx:22 (22.5.0) from "),
        "it was not handed on: {upgraded}"
    );
    let upgraded = upgraded.succeeded();
    assert_eq!(
        upgraded.matches(": upgraded: it answers\n").count(),
        4,
        "{upgraded}"
    );
    let looked =
        operator.as_root("touch /tmp/over; wc -l </tmp/looked; cat /tmp/none 2>/dev/null; exit 0");
    eprintln!("{looked}");
    let looked = looked.succeeded();
    let mut lines = looked.lines();
    let count: u32 = lines.next().unwrap().trim().parse().unwrap();
    assert!(count > 5, "{looked}");
    assert_eq!(
        lines.next(),
        None,
        "no media server answered at some moment"
    );
    let listed = operator.json(&format!(
        "extend list --json --sudo-password-file {PASSWORD_FILE}"
    ));
    assert_eq!(listed["pbx_version"], "22.5.0");
    for server in listed["servers"].as_array().unwrap() {
        assert_eq!(server["version"], "22.5.0", "{server}");
    }
    extend(operator, &format!("rm -a {other} --yes")).succeeded();
}

/// The first node has no power. What is changed now, it does not know.
fn the_list_is_known_without_the_first_node(operator: &Operator) {
    let listed = extend(operator, "list --accept-new-host-keys");
    assert_eq!(listed.status, 4, "{listed}");
    for name in ["media-server-1", "meeting-server-1", "queue-server-1"] {
        assert!(listed.stdout.contains(name), "{name}: {listed}");
    }
    extend(operator, "restart -s media-server-only").succeeded();
    let removed = extend(operator, "rm -s meeting-server-only --yes");
    assert_eq!(removed.status, 4, "{removed}");
    let said = format!(
        "{} could not be reached, and has an older list",
        INSTANCES[0].hostname
    );
    assert!(removed.stderr.contains(&said), "{removed}");
    are(
        operator,
        &[("media-server-1", "answers"), ("queue-server-1", "answers")],
    );
}

fn an_older_list_does_not_count(operator: &Operator) {
    are(
        operator,
        &[("media-server-1", "answers"), ("queue-server-1", "answers")],
    );
    let listed = extend(operator, "list").succeeded();
    let said = format!(
        "another list than the newest is on {}",
        operator.node.hostname
    );
    assert!(listed.contains(&said), "{listed}");
    let removed = extend(operator, "rm --yes").succeeded();
    assert_eq!(removed.matches(": removed\n").count(), 2, "{removed}");
    let listed = extend(operator, "list").succeeded();
    assert_eq!(listed, "there are no extended servers\n");
}
