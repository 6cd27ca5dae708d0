//! Seventeen things that are wrong at once: `check` names each, and what it says mends it. After that, the stock nodes
//! have nothing that it warns of.

use std::time::Duration;

use lab::ec2::fault::{CallFault, Injection};
use lab::site::{INSTANCES, SECURITY_GROUP};

use crate::HOLD_LOCK;
use crate::operator::Operator;

/// What `check` of three nodes may take, on a machine that has nothing else to do.
const CHECKED_WITHIN: Duration = Duration::from_secs(10);

/// How something is mended.
enum Mend {
    /// By the command that the finding has.
    Command,
    /// The finding says it in words; this script, of root on the node, does it.
    InWords(&'static str),
    /// By what mends another one.
    Another,
    /// EC2's administrator takes back what was done.
    Fault,
}
use Mend::{Another, Command, Fault, InWords};

/// Something wrong: the check that names it, the node, what of it is found, how root makes it there.
struct Wrong(&'static str, usize, &'static str, &'static str, Mend);

const WRONG: &[Wrong] = &[
    Wrong(
        "os.unprivileged-ports",
        2,
        "1024",
        "rm /etc/sysctl.d/60-portsip-ha.conf; sysctl --quiet --write net.ipv4.ip_unprivileged_port_start=1024",
        Command,
    ),
    Wrong(
        "os.hostname",
        2,
        "calls itself pbx03",
        "hostname pbx03",
        Command,
    ),
    Wrong(
        "apt.needrestart",
        2,
        "may restart",
        "rm /etc/needrestart/conf.d/portsip-ha.conf",
        Command,
    ),
    Wrong(
        "apt.consistent",
        2,
        "half",
        "mkdir -p /root/half/DEBIAN
         printf '%s\\n' 'Package: half' 'Version: 1' 'Architecture: all' 'Maintainer: a <a@b.c>' 'Description: half' \
             >/root/half/DEBIAN/control
         dpkg-deb --build /root/half /root/half.deb && dpkg --unpack /root/half.deb",
        Command,
    ),
    Wrong(
        "apt.lock",
        1,
        "python3",
        HOLD_LOCK,
        InWords("systemctl stop holds-lock"),
    ),
    Wrong(
        "cluster.services",
        2,
        "pcsd is inactive",
        "systemctl disable --now --quiet pcsd",
        Command,
    ),
    // As a power cut right after its installation leaves it.
    Wrong(
        "cluster.pcsd-key",
        1,
        "/var/lib/pcsd/pcsd.key, /var/lib/pcsd/pcsd.crt",
        "systemctl kill --signal KILL pcsd; truncate --size 0 /var/lib/pcsd/pcsd.key /var/lib/pcsd/pcsd.crt
         systemctl start --no-block pcsd",
        Command,
    ),
    Wrong("network.pcsd", 1, "port 2224/tcp", ":", Another),
    Wrong(
        "network.proxy",
        1,
        "http://10.0.0.1:3128",
        "echo https_proxy=http://10.0.0.1:3128 >>/etc/environment",
        Command,
    ),
    Wrong(
        "docker.version",
        2,
        "Docker is inactive",
        "systemctl stop docker.socket docker",
        Command,
    ),
    Wrong(
        "docker.live-restore",
        1,
        "ends every call",
        "echo '{ \"live-restore\": false }' >/etc/docker/daemon.json; systemctl reload docker",
        InWords(
            "echo '{ \"live-restore\": true }' >/etc/docker/daemon.json; systemctl reload docker",
        ),
    ),
    Wrong(
        "vendor.kit",
        1,
        "/opt/portsip-pbx-ha-guide",
        "install -d /opt/portsip-pbx-ha-guide; echo ansible-playbook >/opt/portsip-pbx-ha-guide/deploy_pbx.sh",
        Command,
    ),
    Wrong(
        "aws.stop-protection",
        2,
        "never to stop it",
        "aws ec2 modify-instance-attribute --disable-api-stop --instance-id i-0c301db1a53ae3a4b",
        Command,
    ),
    Wrong(
        "aws.metadata",
        2,
        "without a token",
        "aws ec2 modify-instance-metadata-options --http-tokens optional --instance-id i-0c301db1a53ae3a4b",
        Command,
    ),
    Wrong(
        "aws.ports",
        0,
        "5060/udp",
        "aws ec2 revoke-security-group-ingress --group-id sg-0e2bea9ea4033f893 --protocol udp --port 5060 \
         --cidr 0.0.0.0/0",
        Command,
    ),
    // The vendor's guide has addresses that EC2 lends.
    Wrong("aws.way", 0, "lent by EC2", ":", Command),
    Wrong("aws.permissions", 2, "AttachVolume", ":", Fault),
];

pub(crate) fn the_things_are_named_and_mended_by_what_check_says(first: &Operator) {
    assert!(WRONG.iter().any(|wrong| wrong.3.contains(SECURITY_GROUP)));
    let at = |node: usize| Operator {
        lab: first.lab,
        node: &INSTANCES[node],
    };
    for Wrong(_, node, _, make, _) in WRONG {
        let make_it = |at: Operator| match make.starts_with("aws ") {
            true => at.as_admin(make),
            false => at.as_root(make),
        };
        make_it(at(*node)).succeeded();
    }
    let mut denied = Injection::of(CallFault::Denied);
    denied.calls.insert("AttachVolume".to_owned());
    denied.instances.insert(INSTANCES[2].id.to_owned());
    let fault = first.lab.inject(&denied).unwrap();

    let checked = first.json("check --json");
    let found = checked["findings"].as_array().unwrap();
    let mut commands: Vec<(usize, String)> = Vec::new();
    for Wrong(name, node, text, _, mend) in WRONG {
        let hostname = INSTANCES[*node].hostname;
        let is_it = |it: &&serde_json::Value| {
            let is_there = it["node"].is_null() || it["node"] == hostname;
            it["name"] == *name && is_there && it["found"].as_str().unwrap().contains(text)
        };
        let finding = found.iter().find(is_it);
        let finding = finding.unwrap_or_else(|| panic!("no {name} with {text} in {found:#?}"));
        match mend {
            Command => {
                let command = finding["command"].as_str().unwrap();
                let command = command.split("   (").next().unwrap_or(command);
                commands.push((*node, command.replace("GROUP", SECURITY_GROUP)));
            }
            InWords(script) => {
                at(*node).as_root(script).succeeded();
            }
            Fault => {
                first.lab.clear_faults(Some(fault)).unwrap();
            }
            Another => {}
        }
    }
    for (node, command) in commands {
        at(node).as_admin(&command).succeeded();
    }

    let again = first.ha_ctl("check");
    assert_eq!(again.status, 0, "something is left: {again}");
    let again = first.json("check --json");
    let left = again["findings"].as_array().unwrap();
    assert!(left.iter().all(|it| it["level"] == "note"), "{left:#?}");
    at(1).as_root("rm -r /opt/portsip-pbx-ha-guide").succeeded();
    checked_in_time(first);
}

/// A machine that has more to do than it can do is slow for everybody: there, `pcs status`, which asks one node for
/// one thing, says how slow.
fn checked_in_time(operator: &Operator) {
    let fastest = |command: &str| -> Duration {
        let script = format!("TIMEFORMAT='took %R'; time {command} </dev/null");
        let runs = (0..3).map(|_| crate::took(&operator.as_user(&script)));
        runs.min().unwrap_or_default()
    };
    let took = fastest("ha-ctl check");
    eprintln!("`ha-ctl check` of three nodes took {took:?}");
    if took >= CHECKED_WITHIN {
        let pcs = fastest("sudo pcs status");
        assert!(
            took < pcs * 8,
            "`ha-ctl check` took {took:?}, and `pcs status` {pcs:?}"
        );
    }
}
