//! Servers that are there: stopped, started, removed, adopted, upgraded, and known on every node.

use super::{
    IVR, MEDIA, MEETING, PASSWORD_FILE, QUEUE, are, extend, on, power_off, run, states, up,
};
use crate::Cluster;
use crate::operator::Operator;
use lab::pbx;
use lab::site::INSTANCES;
use lab::site::VIP;

pub(super) fn servers_are_stopped_and_started_by_type_and_by_address(operator: &Operator) {
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

pub(super) fn only_the_ones_that_are_meant_are_restarted(cluster: &Cluster, operator: &Operator) {
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

pub(super) fn one_that_is_away_is_named_and_the_others_are_done(
    cluster: &Cluster,
    operator: &Operator,
) {
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

pub(super) fn one_is_removed_with_its_data_and_one_without(cluster: &Cluster, operator: &Operator) {
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
pub(super) fn a_server_of_the_vendors_script_is_taken_over(cluster: &Cluster, operator: &Operator) {
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

pub(super) fn an_upgrade_comes_after_the_pbx_and_one_after_the_other(
    cluster: &Cluster,
    operator: &Operator,
) {
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
pub(super) fn the_list_is_known_without_the_first_node(operator: &Operator) {
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

pub(super) fn an_older_list_does_not_count(operator: &Operator) {
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
