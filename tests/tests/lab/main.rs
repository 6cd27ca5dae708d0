//! The lab as a whole: machines that boot, lose power and come back, volumes that come and go, and
//! that nothing is left of it, however it ended.

#![allow(clippy::unwrap_used)]

mod lan;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::ec2::{CallFault, Injection, MetadataFault};
use lab::lab::{Lab, Options};
use lab::progress::{Progress, Silent};
use lab::site::{self, Host, INSTANCES, Instance, Site, VOLUME_ID};
use lab::{cgroup, lab as the_lab, netns, paths, volume};

const SECONDS: Duration = Duration::from_secs(30);
/// For what happens in seconds unless this machine's two processors boot other nodes and build programs too. A kernel
/// node pays 3 ms for every process.
const A_WHILE: Duration = Duration::from_secs(300);
const LINK: &str = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67";
const N1: &Instance = &INSTANCES[0];
const N2: &Instance = &INSTANCES[1];

/// A lab of its own, gone at the end.
struct OwnLab {
    lab: Lab,
    /// None, if the lab was up before and stays.
    turn: Option<the_lab::Turn>,
}

impl OwnLab {
    fn up() -> Self {
        Self::of(Options {
            fast: true,
            ..Options::default()
        })
    }

    fn of(options: Options) -> Self {
        let turn = the_lab::turn().unwrap();
        let lab = Lab::up(&options, &Silent).unwrap();
        Self {
            lab,
            turn: Some(turn),
        }
    }

    /// What a script prints on a node; it has to succeed.
    fn sh(&self, node: &Host, script: &str) -> String {
        let limit = match node.site {
            Site::Ec2 => SECONDS,
            Site::Lan => A_WHILE,
        };
        let output = self.lab.ssh(node, script, limit).unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn answers(&self, node: &Host) -> bool {
        self.lab
            .ssh(node, "true", SECONDS)
            .is_ok_and(|output| output.status.success())
    }

    /// An EC2 call by the AWS CLI on a node, as an operator makes it.
    fn aws(&self, node: &Instance, call: &str) {
        self.sh(
            node,
            &format!("aws --region {} ec2 {call} >/dev/null", site::REGION),
        );
    }

    fn attach(&self, node: &Instance) {
        self.aws(
            node,
            &format!(
                "attach-volume --volume-id {VOLUME_ID} --instance-id {} --device /dev/sdf",
                node.id
            ),
        );
        self.sh(node, &format!("until [ -b {LINK} ]; do sleep 0.1; done"));
    }

    fn volume_state(&self) -> String {
        let status = self.lab.status().unwrap();
        let volume = &status.ec2().unwrap().volumes[0];
        match &volume.holder {
            Some(holder) => holder.state.clone(),
            None => volume.state.clone(),
        }
    }

    fn instance_state(&self, node: &Instance) -> String {
        let status = self.lab.status().unwrap();
        let instances = &status.ec2().unwrap().instances;
        let found = instances.iter().find(|i| i.id == node.id);
        found.unwrap().state.clone()
    }
}

impl Drop for OwnLab {
    fn drop(&mut self) {
        if self.turn.is_some()
            && let Err(e) = Lab::down()
        {
            eprintln!("{e}");
        }
    }
}

fn until(what: &str, is_so: impl FnMut() -> bool) {
    within(A_WHILE, what, is_so);
}

fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Everything of a lab that can be found on this machine.
fn traces() -> Vec<String> {
    let disks = paths::disks();
    let mut traces = netns::list();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    traces.extend(
        mounts
            .lines()
            .filter(|line| line.contains(&netns::prefix()) && line.contains("/run/"))
            .map(ToOwned::to_owned),
    );
    let loops = volume::loops_below(&disks);
    traces.extend(loops.iter().map(|device| device.display().to_string()));
    let group = cgroup::mount_point().unwrap().join(cgroup::name());
    let state = paths::state_dir();
    for path in [&disks, &state, &group] {
        if path.exists() {
            traces.push(path.display().to_string());
        }
    }
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let own = [
            disks.display().to_string(),
            format!("--machine={}", netns::prefix()),
            state.display().to_string(),
            format!("--name {} serve", lab::name::current()),
        ];
        if own.iter().any(|word| command.contains(word)) {
            traces.push(command);
        }
    }
    traces
}

#[test]
fn three_nodes_come_up_see_each_other_and_leave_nothing() {
    let own = OwnLab::up();
    for node in &INSTANCES {
        assert_eq!(own.sh(node, "hostname"), node.hostname);
        for other in &INSTANCES {
            own.sh(node, &format!("ping -c 1 -W 2 {}", other.hostname));
        }
    }
    assert!(!traces().is_empty(), "the search finds a lab that is up");
    Lab::down().unwrap();
    assert_eq!(traces(), Vec::<String>::new());
    Lab::down().unwrap();
}

#[test]
fn a_lab_whose_process_was_killed_says_so_and_is_removed() {
    let own = OwnLab::up();
    // Somebody looks at it, too: a process in its network, a file system mounted from the volume.
    own.attach(N1);
    own.sh(N1, &format!("mkfs.xfs -q {LINK} && mount {LINK} /mnt"));
    let mut visitor = Command::new("nsenter")
        .arg(format!("--net={}", netns::path(&netns::vpc()).display()))
        .args(["sleep", "600"])
        .spawn()
        .unwrap();
    let group = cgroup::mount_point().unwrap().join(cgroup::name());
    let group = fs::read_to_string(paths::state("cgroup")).unwrap_or(group.display().to_string());
    fs::write(Path::new(&group).join("serve/cgroup.kill"), "1").unwrap();
    until("the process is gone", || own.lab.status().is_err());
    let error = own.lab.status().unwrap_err().to_string();
    assert!(error.contains("lab down"), "{error}");

    Lab::down().unwrap();
    visitor.wait().unwrap();
    assert_eq!(traces(), Vec::<String>::new());
}

/// Whoever starts the lab dies when the nodes begin to boot.
struct DiesHalfWay;

impl Progress for DiesHalfWay {
    fn step(&self, what: &str) {
        assert_ne!(what, "three nodes", "this failure is part of the test");
    }
}

#[test]
fn a_start_that_was_cut_short_is_removed() {
    let _turn = the_lab::turn().unwrap();
    let start = std::thread::spawn(|| Lab::up(&Options::default(), &DiesHalfWay).map(drop));
    assert!(start.join().is_err(), "it died");
    assert!(!traces().is_empty());
    Lab::down().unwrap();
    assert_eq!(traces(), Vec::<String>::new());
}

#[test]
fn a_power_cut_ends_a_node_at_once_and_its_disk_and_address_are_there_afterwards() {
    let own = OwnLab::up();
    own.sh(N1, "echo kept > /root/kept; sync");
    own.sh(N1, "ip address add 172.31.16.99/20 dev ens5");
    let boot = own.sh(N1, "journalctl --list-boots -q | wc -l");
    let began = Instant::now();
    own.lab.power_off(N1).unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert!(!own.answers(N1));
    assert!(!own.lab.status().unwrap().nodes[0].on);
    assert_eq!(own.instance_state(N1), "running", "EC2 does not notice");

    own.lab.power_on(N1).unwrap();
    until("the node answers again", || own.answers(N1));
    assert_eq!(own.sh(N1, "cat /root/kept"), "kept");
    assert!(
        !own.sh(N1, "ip address show dev ens5")
            .contains("172.31.16.99")
    );
    assert!(own.sh(N1, "journalctl --list-boots -q | wc -l") > boot);
    assert!(own.lab.power_on(N1).is_err(), "it has power");
}

#[test]
fn a_frozen_node_does_nothing_until_it_is_thawed() {
    let own = OwnLab::up();
    own.sh(
        N1,
        "systemd-run --quiet sh -c 'while :; do date +%s; sleep 0.1; done >/root/seconds'",
    );
    let seconds = || {
        own.sh(N1, "sort -u /root/seconds | wc -l")
            .parse::<u32>()
            .unwrap()
    };
    until("it counts seconds", || seconds() > 1);
    own.lab.freeze(N1).unwrap();
    assert!(own.lab.status().unwrap().nodes[0].frozen);
    std::thread::sleep(Duration::from_secs(4));
    own.lab.thaw(N1).unwrap();
    let gap = "sort -u /root/seconds | awk 'NR > 1 && $1 - last > gap { gap = $1 - last } { last = $1 } END { print gap }'";
    until("it counts on", || {
        own.sh(N1, gap).parse::<u32>().unwrap() >= 3
    });
    own.lab.freeze(N1).unwrap();
    own.lab.power_off(N1).unwrap();
    assert!(own.lab.freeze(N1).is_err(), "it has no power");
    own.lab.power_on(N1).unwrap();
    until("the node answers again", || own.answers(N1));
    assert!(!own.lab.status().unwrap().nodes[0].frozen);
}

#[test]
fn a_guest_that_reboots_comes_back_and_one_that_powers_off_is_stopped() {
    let own = OwnLab::up();
    own.sh(N1, "touch /run/before-the-reboot");
    let _ = own.lab.ssh(N1, "systemctl reboot", SECONDS);
    until("a fresh boot", || {
        own.lab
            .ssh(N1, "test ! -e /run/before-the-reboot", SECONDS)
            .is_ok_and(|output| output.status.success())
    });
    assert_eq!(own.instance_state(N1), "running");

    let _ = own.lab.ssh(N1, "systemctl poweroff", SECONDS);
    until("EC2 says stopped", || own.instance_state(N1) == "stopped");
    own.lab.power_on(N1).unwrap();
    until("EC2 says running", || own.instance_state(N1) == "running");
    until("the node answers again", || own.answers(N1));
}

#[test]
fn a_volume_is_busy_while_mounted_and_goes_to_the_next_node_with_its_data() {
    let own = OwnLab::up();
    own.attach(N1);
    own.sh(N1, &format!("mkfs.xfs -q {LINK} && mount {LINK} /mnt"));
    own.sh(N1, "echo data > /mnt/file && sync -f /mnt");
    own.aws(N1, &format!("detach-volume --volume-id {VOLUME_ID}"));
    until("busy", || own.volume_state() == "busy");
    own.sh(N1, "cat /mnt/file");
    own.sh(N1, "umount /mnt");
    until("available", || own.volume_state() == "available");
    own.sh(N1, &format!("test ! -e {LINK} && test ! -e /dev/nvme1n1"));

    own.attach(N2);
    own.sh(N2, &format!("mount {LINK} /mnt"));
    assert_eq!(own.sh(N2, "cat /mnt/file"), "data");
}

#[test]
fn a_volume_that_is_torn_off_is_dead_for_its_holder_and_whole_for_the_next() {
    let own = OwnLab::up();
    own.attach(N1);
    own.sh(N1, &format!("mkfs.xfs -q {LINK} && mount {LINK} /mnt"));
    own.sh(N1, "echo data > /mnt/file && sync -f /mnt");
    own.aws(
        N2,
        &format!("detach-volume --force --volume-id {VOLUME_ID}"),
    );
    until("available", || own.volume_state() == "available");
    let late = own
        .lab
        .ssh(N1, "echo late > /mnt/late && sync -f /mnt", SECONDS)
        .unwrap();
    assert!(!late.status.success(), "{late:?}");

    // One kernel does not mount two file systems with the same UUID, and here it is one kernel.
    own.sh(N1, "umount /mnt");
    own.attach(N2);
    own.sh(N2, &format!("mount {LINK} /mnt"));
    assert_eq!(own.sh(N2, "cat /mnt/file"), "data");
    own.sh(N2, "test ! -e /mnt/late");
}

#[test]
fn a_volume_of_a_node_without_power_is_free_and_is_there_again_when_the_power_is() {
    let own = OwnLab::up();
    own.attach(N1);
    own.sh(N1, &format!("mkfs.xfs -q {LINK} && mount {LINK} /mnt"));
    own.sh(N1, "echo data > /mnt/file && sync -f /mnt");
    own.lab.power_off(N1).unwrap();
    own.lab.power_on(N1).unwrap();
    until("the node answers again", || own.answers(N1));
    own.sh(N1, &format!("mount {LINK} /mnt"));
    assert_eq!(own.sh(N1, "cat /mnt/file"), "data");

    own.lab.power_off(N1).unwrap();
    own.aws(
        N2,
        &format!("stop-instances --force --instance-ids {}", N1.id),
    );
    until("stopped", || own.instance_state(N1) == "stopped");
    own.aws(N2, &format!("detach-volume --volume-id {VOLUME_ID}"));
    until("available", || own.volume_state() == "available");
    own.attach(N2);
    own.sh(N2, &format!("mount {LINK} /mnt"));
    assert_eq!(own.sh(N2, "cat /mnt/file"), "data");
}

#[test]
fn a_node_asks_only_for_its_own_metadata() {
    let own = OwnLab::up();
    let ask = "token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
               http://169.254.169.254/latest/api/token) && \
               curl -sf -H \"X-aws-ec2-metadata-token: $token\" \
               http://169.254.169.254/latest/meta-data/instance-id";
    for node in &INSTANCES {
        assert_eq!(own.sh(node, ask), node.id);
    }
}

#[test]
fn the_cli_and_boto_trust_the_ec2_model_at_ec2_s_own_name() {
    let own = OwnLab::up();
    own.aws(N1, "describe-instances");
    own.sh(
        N1,
        &format!(
            "python3 -c \"import boto3; boto3.client('ec2', region_name='{}').describe_volumes()\"",
            site::REGION
        ),
    );
    own.sh(
        N1,
        &format!("fence_aws --action=list --region={}", site::REGION),
    );
}

#[test]
fn a_volume_at_two_nodes_is_seen_and_never_forgotten() {
    let own = OwnLab::up();
    own.attach(N1);
    own.sh(N1, &format!("mkfs.xfs -q {LINK} && mount {LINK} /mnt"));
    assert_eq!(own.lab.status().unwrap().violations(), Vec::<String>::new());
    let number = own.sh(N1, &format!("stat -L -c '0x%t 0x%T' {LINK}"));
    own.sh(N2, &format!("mknod /dev/nvme9n1 b {number}"));
    let wrong = || own.lab.status().unwrap().violations();
    until("the lab sees it", || !wrong().is_empty());
    let expected = "the volume is at two nodes at once: n1 (mounted) and n2 (device)";
    assert_eq!(wrong(), [expected]);
    own.sh(N2, "rm /dev/nvme9n1");
    let looks = || own.lab.status().unwrap().watch.unwrap().looks;
    let before = looks();
    until("the lab has looked again", || looks() > before + 2);
    assert_eq!(wrong(), [expected]);
    let (_, noted) = own.lab.all_events().unwrap();
    assert!(
        noted.iter().any(|moment| moment.what == expected),
        "{noted:?}"
    );
}

#[test]
fn faults_strike_the_nodes_that_they_are_for_until_they_are_cleared() {
    let own = OwnLab::up();
    let token = "curl --silent --max-time 2 --output /dev/null --write-out '%{http_code}' --request PUT \
                 --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token";
    let metadata = |node| own.sh(node, &format!("{token} || echo \" curl $?\""));
    let volumes = |node| {
        let call = format!(
            "AWS_MAX_ATTEMPTS=1 aws --region {} ec2 describe-volumes 2>&1 >/dev/null || true",
            site::REGION
        );
        own.sh(node, &call)
    };
    let down = Injection::of(MetadataFault::Down).at(N1.id);
    let number = own.lab.inject(&down).unwrap();
    assert!(metadata(N1).ends_with("curl 56"), "{}", metadata(N1));
    assert_eq!(metadata(N2), "200");
    own.lab.clear_faults(Some(number)).unwrap();
    assert_eq!(metadata(N1), "200");
    let throttled = Injection::of(CallFault::Throttled).on(&["DescribeVolumes"]);
    own.lab.inject(&throttled).unwrap();
    assert!(
        volumes(N2).contains("RequestLimitExceeded"),
        "{}",
        volumes(N2)
    );
    let reset = Injection::of(CallFault::Reset).at(N1.id);
    own.lab.clear_faults(None).unwrap();
    own.lab.inject(&reset).unwrap();
    assert!(volumes(N1).contains("onnection"), "{}", volumes(N1));
    assert_eq!(volumes(N2), "");
    assert_eq!(own.lab.faults().unwrap().len(), 1);
    own.lab.clear_faults(None).unwrap();
    assert_eq!(volumes(N1), "");
    assert!(own.lab.clear_faults(Some(number)).is_err());
}
