//! Three machines that can write: each has a kernel view of its own (mounts, processes, /dev, /run), which
//! ends with its power, and a block device of its own over the one disk. Everything that happens to
//! a device comes through here, so what must never be is seen when it happens, however short it is.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lab::site;
use lab::world::{Detach, Error, Network, World};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{major, minor};
use nix::unistd::Pid;

use crate::node::run;

/// How long the kernel may take to let go of what a machine without power had.
const LET_GO: Duration = Duration::from_secs(20);

/// The machines.
pub(super) struct Machines {
    directory: tempfile::TempDir,
    disks: Vec<String>,
    now: Mutex<Now>,
    /// Whether the history has asked for force.
    force_asked: bool,
}

/// Where everything is.
struct Now {
    nodes: [Node; 3],
    wrong: Vec<String>,
}

#[derive(Default)]
struct Node {
    power: Option<Power>,
    /// How often it was booted.
    boots: u32,
    has_device: bool,
    /// A stop has answered that this node can no longer write, and nobody has asked since to attach
    /// the volume here.
    let_go: bool,
}

/// The process whose end is that of the machine.
struct Power {
    holder: Child,
    init: Pid,
}

impl Machines {
    pub(super) fn new(force_asked: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        File::create(&image).unwrap().set_len(16 << 20).unwrap();
        run(Command::new("mkfs.ext2").arg("-q").arg(&image));
        let disks = site::INSTANCES.map(|_| {
            run(Command::new("losetup")
                .args(["--find", "--show"])
                .arg(&image))
        });
        let machines = Self {
            directory,
            disks: disks.to_vec(),
            now: Mutex::new(Now {
                nodes: Default::default(),
                wrong: Vec::new(),
            }),
            force_asked,
        };
        for (node, disk) in machines.disks.iter().enumerate() {
            let dev = machines.path(node, "dev");
            fs::create_dir_all(dev.join("disk/by-id")).unwrap();
            fs::create_dir_all(machines.path(node, "data")).unwrap();
            run(Command::new("cp")
                .args(["-a", "/dev/null", "/dev/urandom", disk])
                .arg(dev));
            machines.boot(&mut machines.now().nodes[node], node);
        }
        machines
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap()
    }

    fn path(&self, node: usize, what: &str) -> PathBuf {
        let instance = site::INSTANCES[node].id;
        self.directory.path().join(instance).join(what)
    }

    fn link(&self, node: usize) -> PathBuf {
        let serial = site::VOLUME_ID.replacen("vol-", "vol", 1);
        self.path(node, "dev").join(format!(
            "disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}"
        ))
    }

    fn boot(&self, machine: &mut Node, node: usize) {
        let script = "mkdir -p /run/portsip-ha; mount -t tmpfs tmpfs /run/portsip-ha; mount --bind $DEV /dev; \
                      echo up; exec cat >/dev/null";
        // It reads what never comes, and ends with this process, however that ends.
        let mut holder = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-e", "-c", script])
            .env("DEV", self.path(node, "dev"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // unshare complains when what it waits for is killed.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(holder.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "a machine does not boot (needs root)");
        let init = only_child(holder.id()).expect("the machine's first process");
        machine.power = Some(Power { holder, init });
        machine.boots += 1;
    }

    /// Something that runs on the node; nothing when it has no power.
    pub(super) fn command(&self, node: usize, program: &str) -> Option<Command> {
        let now = self.now();
        let power = now.nodes[node].power.as_ref()?;
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &power.init.to_string(), "--mount", "--pid"])
            .args(["--", program]);
        Some(command)
    }

    pub(super) fn boots(&self, node: usize) -> u32 {
        self.now().nodes[node].boots
    }

    pub(super) fn has_power(&self, node: usize) -> bool {
        self.now().nodes[node].power.is_some()
    }

    pub(super) fn has_device(&self, node: usize) -> bool {
        self.now().nodes[node].has_device
    }

    /// Whether another node with power has the volume mounted.
    pub(super) fn is_used_elsewhere(&self, node: usize) -> bool {
        let now = self.now();
        let mut others = now.nodes.iter().enumerate();
        others.any(|(other, machine)| other != node && self.is_mounted(machine, other))
    }

    /// What was seen that must not be.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.now().wrong.clone()
    }

    pub(super) fn is_wrong(&self, what: String) {
        self.now().wrong.push(what);
    }

    /// Somebody asks for the volume to be attached here, so it may come.
    pub(super) fn expect_volume(&self, node: usize) {
        self.now().nodes[node].let_go = false;
    }

    /// A stop has answered 0: this node cannot write, and will not be able to.
    pub(super) fn let_go(&self, node: usize) {
        let mut now = self.now();
        let name = site::INSTANCES[node].short;
        let has_device = now.nodes[node].has_device;
        now.nodes[node].let_go = true;
        if has_device {
            now.wrong
                .push(format!("a stop answered 0 while {name} can still write"));
        }
    }

    /// Mounts the volume as a node's next resource does. Nothing if it is not there.
    pub(super) fn mount(&self, node: usize) {
        let Some(mut command) = self.command(node, "mount") else {
            return;
        };
        let mut now = self.now();
        if !now.nodes[node].has_device || self.is_mounted(&now.nodes[node], node) {
            return;
        }
        let mounted = command
            .arg(&self.disks[node])
            .arg(self.path(node, "data"))
            .output()
            .unwrap();
        if !mounted.status.success() {
            now.wrong
                .push(format!("the volume can't be mounted: {mounted:?}"));
        }
        self.two_can_write(&mut now, node);
    }

    pub(super) fn unmount(&self, node: usize) {
        if let Some(mut command) = self.command(node, "umount") {
            let _ = command.arg(self.path(node, "data")).output();
        }
    }

    fn is_mounted(&self, machine: &Node, node: usize) -> bool {
        let Some(power) = &machine.power else {
            return false;
        };
        let number = fs::metadata(&self.disks[node]).unwrap().rdev();
        let number = format!(" {}:{} ", major(number), minor(number));
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", power.init));
        mounts.is_ok_and(|mounts| mounts.contains(&number))
    }

    /// Notes when another node with power has the device that `node` has.
    fn two_can_write(&self, now: &mut Now, node: usize) {
        for other in (0..now.nodes.len()).filter(|other| *other != node) {
            let rival = &now.nodes[other];
            if rival.power.is_some() && rival.has_device {
                let mounted = [node, other].map(|node| self.is_mounted(&now.nodes[node], node));
                now.wrong.push(format!(
                    "{} and {} can both write (mounted: {mounted:?})",
                    site::INSTANCES[node].short,
                    site::INSTANCES[other].short
                ));
            }
        }
    }

    fn is_free(disk: &str) -> bool {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_EXCL)
            .open(disk)
            .is_ok()
    }
}

fn of(instance: &str) -> usize {
    let found = site::INSTANCES.iter().position(|i| i.id == instance);
    found.expect("an instance of the site")
}

/// The only child of a process.
pub(super) fn only_child(parent: u32) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children
        .split_whitespace()
        .next()?
        .parse()
        .ok()
        .map(Pid::from_raw)
}

impl World for Machines {
    fn power_on(&self, instance: &str) -> Result<(), Error> {
        let mut now = self.now();
        let node = of(instance);
        if now.nodes[node].power.is_none() {
            self.boot(&mut now.nodes[node], node);
        }
        Ok(())
    }

    /// A guest has its cluster stop what runs, but here nothing does: the power goes while it writes.
    fn shut_down(&self, instance: &str, _: Duration) -> Result<(), Error> {
        self.power_off(instance)
    }

    fn power_off(&self, instance: &str) -> Result<(), Error> {
        let node = of(instance);
        let power = self.now().nodes[node].power.take();
        if let Some(mut power) = power {
            kill(power.init, Signal::SIGKILL)?;
            power.holder.wait()?;
            let end = Instant::now() + LET_GO;
            while !Self::is_free(&self.disks[node]) {
                if Instant::now() > end {
                    return Err("the kernel does not let go of the disk".into());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            self.now().nodes[node].has_device = false;
            let _ = fs::remove_file(self.link(node));
        }
        Ok(())
    }

    fn attach(&self, instance: &str, _: &str, _: &str) -> Result<(), Error> {
        let mut now = self.now();
        let node = of(instance);
        if now.nodes[node].power.is_none() || now.nodes[node].has_device {
            return Ok(());
        }
        symlink(&self.disks[node], self.link(node))?;
        now.nodes[node].has_device = true;
        if now.nodes[node].let_go {
            now.wrong.push(format!(
                "the device came to {} after a stop had answered 0",
                site::INSTANCES[node].short
            ));
        }
        self.two_can_write(&mut now, node);
        Ok(())
    }

    fn detach(&self, instance: &str, _: &str, force: bool) -> Result<Detach, Error> {
        let mut now = self.now();
        let node = of(instance);
        if now.nodes[node].power.is_none() || !now.nodes[node].has_device {
            return Ok(Detach::Done);
        }
        let mounted = self.is_mounted(&now.nodes[node], node);
        if mounted && !force {
            return Ok(Detach::Busy);
        }
        if force && !self.force_asked {
            now.wrong.push(format!(
                "the device was taken by force from {}, which runs{}",
                site::INSTANCES[node].short,
                if mounted { " and has it mounted" } else { "" }
            ));
        }
        fs::remove_file(self.link(node))?;
        now.nodes[node].has_device = false;
        drop(now);
        if mounted && let Some(mut command) = self.command(node, "umount") {
            // What is left of the mount reaches no disk any more.
            let _ = command.arg("--lazy").arg(self.path(node, "data")).output();
        }
        Ok(Detach::Done)
    }

    fn set_network(&self, _: &Network) -> Result<(), Error> {
        Ok(())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for instance in site::INSTANCES {
            let _ = self.power_off(instance.id);
        }
        for disk in &self.disks {
            let _ = Command::new("losetup").args(["--detach", disk]).status();
        }
    }
}
