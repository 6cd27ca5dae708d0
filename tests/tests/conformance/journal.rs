//! What a cluster's journal says of our agents: what was decided and why, nothing while all is well,
//! more when Pacemaker is told to debug, and nothing that is secret, there or on a command line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lab::demo::cluster::HACLUSTER;
use lab::pbx::DATA_DIR;
use lab::site::{EIP_ALLOCATION, ROLE, VIP, VOLUME_ID};

use crate::node::{AGENTS, DEVICE, Node};

/// Lines by agent.
type Lines = BTreeMap<&'static str, Vec<String>>;

/// Keeps every command line that it sees.
const WATCH: &str = "\
import glob, os, time
seen = set()
while not os.path.exists('/run/watched-enough'):
    for path in glob.glob('/proc/[0-9]*/cmdline'):
        try:
            seen.add(open(path, 'rb').read().replace(b'\\0', b' '))
        except OSError:
            pass
    time.sleep(0.01)
open('/run/command-lines.new', 'wb').write(b'\\n'.join(seen))
os.rename('/run/command-lines.new', '/run/command-lines')
";

#[test]
fn the_journal_has_what_was_decided_and_nothing_secret() {
    let node = Node::up();
    node.sh(&format!(
        "cat > /root/watch.py <<'END'\n{WATCH}END\n systemd-run --quiet --unit=watch python3 /root/watch.py"
    ));
    make_cluster(&node);
    make_resources(&node);
    let after_start = journal(&node, "info");
    says(
        &after_start,
        &[
            (
                "awsvip",
                &[
                    "not running: ",
                    "assigning 172.31.16.130 to eni-",
                    "is here, says the instance metadata",
                ],
            ),
            (
                "awseip",
                &[
                    "not running: ",
                    "associat",
                    "is here, says the instance metadata",
                ],
            ),
            (
                "awsipsrcaddr",
                &["not running: ", "adding 169.254.0.0/16 via "],
            ),
            (
                "awsebs",
                &["not running: ", "attaching vol-", "is here as /dev/"],
            ),
            (
                "pbx",
                &[
                    "not running: ",
                    "starting the containers",
                    "the containers of project portsip run",
                ],
            ),
        ],
    );
    for (agent, lines) in &after_start {
        let different: BTreeSet<&String> = lines.iter().collect();
        assert_eq!(
            different.len(),
            lines.len(),
            "{agent}: a line twice: {lines:#?}"
        );
    }
    assert!(
        debug(&node).values().all(Vec::is_empty),
        "nobody has asked for debugging: {:#?}",
        debug(&node)
    );

    monitors_run(&node);
    assert_eq!(
        journal(&node, "info"),
        after_start,
        "monitors of what is well are silent"
    );

    node.sh("pcs resource disable g --wait=120");
    says(
        &since(&after_start, journal(&node, "info")),
        &[
            ("awsvip", &["taking 172.31.16.130 from eni-"]),
            ("awseip", &["ending eipassoc-"]),
            ("awsipsrcaddr", &["deleting 0.0.0.0/1 via "]),
            ("awsebs", &["detaching vol-", "is detached, its device"]),
            (
                "pbx",
                &[
                    "stopping the containers",
                    "no container of project portsip runs",
                ],
            ),
        ],
    );

    node.sh(
        "pcs cluster stop --all && echo PCMK_debug=yes >> /etc/default/pacemaker && \
         pcs cluster start --all --wait=120 && pcs resource enable g --wait=120",
    );
    for (agent, lines) in debug(&node) {
        assert!(!lines.is_empty(), "Pacemaker debugs, {agent} does not");
    }
    node.sh("pcs resource disable g --wait=120");
    nothing_secret(&node);
}

/// In place of the distribution's sample cluster, of which the node would store the password's token.
fn make_cluster(node: &Node) {
    let name = Node::SELF.hostname;
    node.sh(&format!(
        "pcs cluster destroy && echo {HACLUSTER} | pcs host auth -u hacluster {name} && \
         pcs cluster setup alone {name} --start --wait=120 && \
         pcs property set stonith-enabled=false no-quorum-policy=ignore"
    ));
}

/// All in a group, in the order in which they need each other.
fn make_resources(node: &Node) {
    let ours = "op monitor interval=1s timeout=30s";
    let resources = [
        format!("privip ocf:portsip:awsvip secondary_private_ip={VIP} {ours}"),
        format!("vip ocf:heartbeat:IPaddr2 ip={VIP} cidr_netmask=20"),
        format!(
            "eip ocf:portsip:awseip allocation_id={EIP_ALLOCATION} private_ip_address={VIP} {ours}"
        ),
        format!("src_pkt_ip ocf:portsip:awsipsrcaddr ipaddress={VIP} {ours}"),
        format!("ebs ocf:portsip:awsebs volume_id={VOLUME_ID} {ours}"),
        format!("fs ocf:heartbeat:Filesystem device={DEVICE} directory={DATA_DIR} fstype=xfs"),
        format!("pbx ocf:portsip:pbx {ours}"),
    ];
    let mut script = "set -e; cib=$(mktemp); pcs cluster cib $cib\n".to_owned();
    for resource in resources {
        script.push_str(&format!(
            "pcs -f $cib resource create {resource} --group g\n"
        ));
    }
    script.push_str("pcs cluster cib-push $cib --wait=120\n");
    node.sh(&script);
    let started = node.sh("crm_resource --locate --resource pbx");
    assert!(started.contains(Node::SELF.hostname), "{started}");
}

/// Waits until each monitor has run a few times. awsvip's leaves a fresh record every time, and all have its interval.
fn monitors_run(node: &Node) {
    let record = "stat --format %y /run/portsip-ha/awsvip-privip.json";
    let mut seen = BTreeSet::new();
    let deadline = Instant::now() + Duration::from_secs(120);
    while seen.len() < 5 {
        assert!(
            Instant::now() < deadline,
            "awsvip's monitor ran at: {seen:?}"
        );
        seen.insert(node.sh(record));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The lines under each agent's name, of this priority and those above it.
fn journal(node: &Node, priority: &str) -> Lines {
    AGENTS
        .into_iter()
        .map(|(agent, resource)| {
            let lines = node.sh(&format!(
                "journalctl --quiet --output=cat --priority={priority} --identifier='{agent}({resource})'"
            ));
            (agent, lines.lines().map(str::to_owned).collect())
        })
        .collect()
}

/// The lines that are there for debugging only.
fn debug(node: &Node) -> Lines {
    journal(node, "debug..debug")
}

/// What came after `before`.
fn since(before: &Lines, mut now: Lines) -> Lines {
    for (agent, lines) in &mut now {
        lines.drain(..before[agent].len());
    }
    now
}

/// Each agent has said each of these, in this order.
fn says(journal: &Lines, expected: &[(&str, &[&str])]) {
    for (agent, words) in expected {
        let mut lines = journal[agent].iter();
        for word in *words {
            assert!(
                lines.any(|line| line.contains(word)),
                "{agent} does not say `{word}`, or not then: {:#?}",
                journal[agent]
            );
        }
    }
}

/// The keys that EC2 was asked with are in no log and on no command line.
fn nothing_secret(node: &Node) {
    let credentials = node.sh(&format!(
        "token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
         curl -sf -H \"X-aws-ec2-metadata-token: $token\" \
             http://169.254.169.254/latest/meta-data/iam/security-credentials/{ROLE}"
    ));
    node.sh("touch /run/watched-enough; timeout 30 sh -c 'until [ -s /run/command-lines ]; do sleep 0.1; done'");
    let commands = node.sh("cat /run/command-lines");
    for (agent, _) in AGENTS {
        let command = format!("/portsip/{agent} ");
        assert!(commands.contains(&command), "no call of {agent} was seen");
    }
    let journal = node.sh("journalctl --quiet --output=cat");
    let pacemaker = node.sh("cat /var/log/pacemaker/pacemaker.log");
    assert!(pacemaker.contains("privip_start_0"), "the log of Pacemaker");
    for (name, value) in serde_json::from_str::<BTreeMap<String, String>>(&credentials).unwrap() {
        if !matches!(name.as_str(), "SecretAccessKey" | "Token") {
            continue;
        }
        for (place, text) in [
            ("a command line", &commands),
            ("the journal", &journal),
            ("Pacemaker's log", &pacemaker),
        ] {
            assert!(!text.contains(&value), "{name} is in {place}");
        }
    }
}
