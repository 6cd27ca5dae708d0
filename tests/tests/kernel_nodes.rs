//! Kernel nodes do what machines do: they boot, take volumes while they run, refuse to give up one
//! that is mounted, lose what they had not synced, and form a cluster that notices a power cut.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lab::cgroup::Cgroup;
use lab::dhcp::Dhcp;
use lab::image::{self, Image, check};
use lab::lab::{self as the_lab, Lab, Options};
use lab::netns;
use lab::node::Machine as _;
use lab::node::kernel::program::Kernel;
use lab::node::kernel::{KernelMachine, Parts, disk};
use lab::progress::Silent;
use lab::site::{self, INSTANCES, Instance, Site, VOLUME_ID};
use lab::vpc::{self, Vpc};
use lab::world::Detach;
use lab::{paths, ssh, volume};

const LINK: &str = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67";
const N1: &Instance = &INSTANCES[0];
const SOON: Duration = Duration::from_secs(60);
/// Every process costs a kernel node 3 ms, and this machine may have two processors for all.
const A_WHILE: Duration = Duration::from_secs(300);

/// One kernel node in a VPC, without the EC2 model; gone at the end.
struct OneNode {
    machine: Option<KernelMachine>,
    image: Image,
    volume: PathBuf,
    group: Cgroup,
    _turn: the_lab::Turn,
}

impl OneNode {
    fn power_on() -> Self {
        let missing = check::missing();
        assert!(
            missing.is_empty(),
            "this machine cannot run kernel nodes:\n{missing}"
        );
        let turn = the_lab::turn().unwrap();
        // What a test that was killed has left.
        Lab::down().unwrap();
        let image = image::node_image(Site::Ec2, &Silent).unwrap();
        let kernel = Kernel::of(None, &Silent).unwrap();
        let base = disk::kernel_disk(&image, &kernel, &Silent).unwrap();
        // Where `lab down` looks, should this process not come to its end.
        let group = Cgroup::of_the_lab().unwrap();
        let disk = paths::disks().join(N1.short);
        fs::create_dir_all(&disk).unwrap();
        let volume = paths::disks().join("volume");
        volume::create(&volume, 1 << 30).unwrap();
        vpc::build().unwrap();
        let machine = KernelMachine::new(Parts {
            program: kernel.program,
            host: &N1.host,
            tap: vpc::add_tap(N1).unwrap(),
            data: None,
            base,
            disk,
            group: group.child(N1.short).unwrap(),
            on_guest_off: Box::new(|_| ()),
        });
        netns::in_namespace(&netns::vpc(), || Dhcp::default().serve(N1)).unwrap();
        let node = Self {
            machine: Some(machine.unwrap()),
            image,
            volume,
            group,
            _turn: turn,
        };
        let mut network = vpc::at_launch();
        network.private.retain(|id, _| id == N1.id);
        Vpc::default().set_network(&network).unwrap();
        node.machine().power_on().unwrap();
        node
    }

    fn boot() -> Self {
        let began = Instant::now();
        let node = Self::power_on();
        say(began, "its kernel is up");
        node.wait_for_ssh();
        say(began, "ssh answers");
        node
    }

    fn machine(&self) -> &KernelMachine {
        self.machine.as_ref().unwrap()
    }

    fn ssh(&self, script: &str, limit: Duration) -> Output {
        let known_hosts = format!("UserKnownHostsFile={}", self.image.known_hosts().display());
        Command::new("nsenter")
            .arg(format!("--net={}", netns::path(&netns::vpc()).display()))
            .args(["timeout", &limit.as_secs().to_string(), "ssh", "-i"])
            .arg(self.image.ssh_key())
            .args([
                "-o",
                &known_hosts,
                "-o",
                "BatchMode=yes",
                "-o",
                "LogLevel=ERROR",
            ])
            .args(["-o", "ConnectTimeout=5"])
            .arg(format!("{}@{}", Site::Ec2.user(), N1.private_ip))
            .arg(ssh::as_root(Site::Ec2, script))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What a script prints; it has to succeed.
    fn sh(&self, script: &str) -> String {
        printed(script, &self.ssh(script, A_WHILE))
    }

    fn wait_for_ssh(&self) {
        wait(A_WHILE, "ssh", || self.ssh("true", SOON));
    }

    /// All that a stock machine starts has started. Before that, a shutdown waits for pcsd, which
    /// hears no signal until it has started.
    fn wait_for_boot(&self) {
        let booted = "systemctl is-system-running --wait; systemctl is-system-running || { systemctl --failed; exit 1; }";
        wait(A_WHILE, "the end of booting", || self.ssh(booted, A_WHILE));
    }

    fn wait_until(&self, script: &str) {
        wait(SOON, script, || self.ssh(script, SOON));
    }

    /// A file's content; nothing if it is not there.
    fn content(&self, path: &str) -> String {
        self.sh(&format!("cat {path} 2>/dev/null || true"))
    }
}

impl Drop for OneNode {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let console = fs::read(self.machine().console()).unwrap_or_default();
            eprintln!("its console:\n{}", String::from_utf8_lossy(&console));
        }
        self.machine = None;
        self.group.remove();
        for namespace in [netns::vpc(), netns::internet()] {
            let _ = netns::delete(&namespace);
        }
        let _ = fs::remove_dir_all(paths::disks());
    }
}

fn say(began: Instant, what: &str) {
    eprintln!("{:6.1} s  {what}", began.elapsed().as_secs_f32());
}

fn printed(script: &str, output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "`{script}` ended with {}:\n{out}{err}",
        output.status
    );
    out.trim().to_owned()
}

/// Repeats `attempt` until it succeeds.
fn wait(limit: Duration, what: &str, attempt: impl Fn() -> Output) {
    let deadline = Instant::now() + limit;
    loop {
        let output = attempt();
        if output.status.success() {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{what}: not within {} s; last seen:\n{}{}",
            limit.as_secs(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        std::thread::sleep(Duration::from_millis(250));
    }
}

#[test]
fn a_kernel_node_keeps_what_was_synced_through_a_power_cut_a_reboot_and_force() {
    let node = OneNode::boot();
    let machine = node.machine();

    let began = Instant::now();
    machine.attach(VOLUME_ID, &node.volume).unwrap();
    node.wait_until(&format!("test -b {LINK}"));
    say(began, "the volume is there, under its serial");
    assert_eq!(
        node.sh(&format!("blockdev --getsize64 {LINK}")),
        "1073741824"
    );
    node.sh(&format!(
        "mkfs.xfs -q {LINK} && mkdir -p /data && mount {LINK} /data"
    ));

    assert_eq!(machine.detach(VOLUME_ID, false).unwrap(), Detach::Busy);
    node.sh("echo paid > /data/synced && sync && mountpoint -q /data");

    // At its first start pcsd writes a key and a certificate, and does not sync them. A power cut within half a minute
    // leaves both empty, and pcsd never starts again: a fault of pcs, which is not what is tried here.
    node.wait_for_boot();
    node.sh("sync");

    // What nobody asked to be on the disk is in the guest's memory only.
    node.sh("echo lost > /data/unsynced; echo lost > /root/unsynced");
    machine.power_off().unwrap();
    assert!(!machine.is_on());
    machine.power_on().unwrap();
    node.wait_for_ssh();
    node.sh(&format!("mount {LINK} /data"));
    assert_eq!(
        node.content("/data/synced"),
        "paid",
        "synced data did not survive"
    );
    assert_eq!(
        node.content("/data/unsynced"),
        "",
        "the power cut was not real"
    );
    assert_eq!(
        node.content("/root/unsynced"),
        "",
        "the power cut was not real"
    );

    // A reboot from inside is a shutdown: the guest writes what it has before it goes.
    node.wait_for_boot();
    node.sh("echo kept > /data/at-shutdown");
    let boot = node.sh("cat /proc/sys/kernel/random/boot_id");
    let began = Instant::now();
    // The connection ends with the system that answers.
    let _ = node.ssh("systemctl reboot", SOON);
    let another = format!("test $(cat /proc/sys/kernel/random/boot_id) != {boot}");
    wait(A_WHILE, "another boot", || node.ssh(&another, SOON));
    say(began, "rebooted from inside");
    node.wait_until(&format!("test -b {LINK}"));
    node.sh(&format!("mount {LINK} /data"));
    assert_eq!(node.content("/data/at-shutdown"), "kept");

    // What the guest writes after its volume was taken by force goes nowhere.
    node.sh("sync && echo lost > /data/after-force");
    assert_eq!(machine.detach(VOLUME_ID, true).unwrap(), Detach::Done);
    let _ = node.ssh("sync", SOON);
    machine.attach(VOLUME_ID, &node.volume).unwrap();
    let again = "/dev/ubdc";
    node.wait_until(&format!("test -b {again}"));
    node.sh(&format!(
        "mkdir -p /again && mount -o nouuid {again} /again"
    ));
    assert_eq!(node.content("/again/synced"), "paid");
    assert_eq!(node.content("/again/after-force"), "");
    node.sh("umount /again");
    assert_eq!(machine.detach(VOLUME_ID, false).unwrap(), Detach::Done);
    node.wait_until(&format!("test ! -e {again}"));

    node.wait_for_boot();
    let began = Instant::now();
    machine.shut_down(A_WHILE).unwrap();
    say(began, "shut down by the power button");
    assert!(!machine.is_on());
    assert!(began.elapsed() < A_WHILE, "the power button was not heard");
}

#[test]
fn nothing_of_a_kernel_node_is_left_behind() {
    let node = OneNode::power_on();
    let group = node.group.path().to_owned();
    assert!(group.exists() && netns::exists(&netns::vpc()) && paths::disks().exists());
    drop(node);
    assert!(!group.exists(), "left: {}", group.display());
    assert!(
        !netns::exists(&netns::vpc()),
        "left: the VPC's namespace, with the tap device"
    );
    assert!(
        !paths::disks().exists(),
        "left: {}",
        paths::disks().display()
    );
}

/// A lab of kernel nodes, gone at the end.
struct KernelLab {
    lab: Lab,
    _turn: the_lab::Turn,
}

impl KernelLab {
    fn up() -> Self {
        let turn = the_lab::turn().unwrap();
        let options = Options {
            kernel: INSTANCES.map(|i| i.short.to_owned()).to_vec(),
            fast: true,
            ..Options::default()
        };
        let lab = Lab::up(&options, &Silent).unwrap();
        Self { lab, _turn: turn }
    }

    fn ssh(&self, node: &Instance, script: &str) -> Output {
        self.lab.ssh(node, script, A_WHILE).unwrap()
    }

    fn sh(&self, node: &Instance, script: &str) -> String {
        printed(script, &self.ssh(node, script))
    }
}

impl Drop for KernelLab {
    fn drop(&mut self) {
        if let Err(e) = Lab::down() {
            eprintln!("{e}");
        }
    }
}

/// Three, because that is the least of which one can go and a majority remains.
#[test]
fn three_kernel_nodes_form_a_cluster_that_notices_a_power_cut() {
    let began = Instant::now();
    let kernel = KernelLab::up();
    say(began, "lab up: three kernel nodes, EC2, metadata");
    let [n1, n2, n3] = &INSTANCES;

    let attach = |node: &Instance| {
        format!(
            "aws --region {} ec2 attach-volume --volume-id {VOLUME_ID} --device /dev/sdf --instance-id {}",
            site::REGION,
            node.id
        )
    };
    let began = Instant::now();
    kernel.sh(n1, &attach(n1));
    let there = format!("test -b {LINK}");
    wait(SOON, "the attached volume", || kernel.ssh(n1, &there));
    say(began, "EC2 has plugged the volume in");
    let refused = kernel.ssh(n2, &attach(n2));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("VolumeInUse"),
        "{refused:?}"
    );

    let began = Instant::now();
    for node in &INSTANCES {
        // The distribution's sample cluster runs.
        kernel.sh(node, "pcs cluster destroy && echo hacluster:lab | chpasswd");
    }
    // With addresses: a stock node's own name leads to 127.0.1.1.
    let nodes = INSTANCES.map(|i| format!("{} addr={}", i.hostname, i.private_ip));
    let nodes = nodes.join(" ");
    kernel.sh(n1, &format!("pcs host auth {nodes} -u hacluster -p lab"));
    say(began, "pcs host auth");
    // pcs gives a node 60 s, which a kernel node may not keep while this machine is busy with other
    // things, and tells people to try again. The token is longer for the same reason.
    let setup = format!("pcs cluster setup ha_cluster {nodes} totem token=10000 --force");
    wait(2 * A_WHILE, &setup, || kernel.ssh(n1, &setup));
    say(began, "pcs cluster setup");
    kernel.sh(n1, "pcs cluster start --all --request-timeout=290");
    say(began, "pcs cluster start");
    let all = "test $(crm_mon -1 --output-as=xml | grep -c '<node .*online=\"true\"') = 3";
    wait(A_WHILE, "all nodes online", || kernel.ssh(n2, all));
    say(began, "all nodes online");

    let began = Instant::now();
    kernel.lab.power_off(n1).unwrap();
    let noticed = format!(
        "crm_mon -1 --output-as=xml | grep '<node name=\"{}\"' | grep 'online=\"false\"' \
         && corosync-quorumtool -s | grep 'Quorate: *Yes'",
        n1.hostname
    );
    for survivor in [n2, n3] {
        let what = format!("{} noticing the power cut, with quorum", survivor.short);
        wait(A_WHILE, &what, || kernel.ssh(survivor, &noticed));
        say(
            began,
            &format!("{} has noticed the power cut", survivor.short),
        );
    }
}
