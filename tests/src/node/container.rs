//! A container node: systemd-nspawn on an overlay of the node image. It runs at native speed on
//! this machine's kernel, so a block device that it sees is this machine's, and what it wrote
//! without syncing survives its power loss. And when a volume is torn off while it is mounted, the
//! dead file system stays known to the one kernel: XFS on the next node cannot be mounted until the
//! first has unmounted or lost its power. Where that matters there are kernel nodes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};

use super::{Machine, device, personal, witness};
use crate::cgroup::Cgroup;
use crate::image::Image;
use crate::run;
use crate::site::Host;
use crate::volume::Loop;
use crate::vpc;
use crate::watch::Presence;
use crate::world::{Detach, Error};

/// systemd's signal for "power off", SIGRTMIN+4 as glibc counts.
const POWER_OFF_SIGNAL: &str = "-38";
/// systemd-nspawn's exit status when the guest asked for a reboot.
const REBOOT_STATUS: i32 = 133;
/// How long the kernel may take to end processes and unmount after a power loss.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a container may take until its init runs.
const INIT_WITHIN: Duration = Duration::from_secs(20);

/// What a container node is made from.
pub struct Parts {
    /// Which machine it is.
    pub host: &'static Host,
    /// The image under the overlay.
    pub image: Image,
    /// A directory for its disk; missing or from an earlier power cycle of the same lab.
    pub disk: PathBuf,
    /// The lab's control group.
    pub cgroup: Cgroup,
    /// Called when the guest has powered itself off.
    pub on_guest_off: Box<dyn Fn(&'static Host) + Send + Sync>,
}

/// The machine.
#[derive(Clone)]
pub struct ContainerNode(Arc<Node>);

struct Node {
    parts: Parts,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Process id of the container's init on this machine, while it has power.
    init: Option<u32>,
    /// Counts boots, so that a message of an earlier boot is recognised.
    boots: u64,
    mounted: bool,
    shutting_down: bool,
    volumes: BTreeMap<String, AttachedVolume>,
    /// How many device names are skipped.
    passed_over: usize,
}

struct AttachedVolume {
    device: Loop,
    file: PathBuf,
    name: String,
}

impl ContainerNode {
    /// A machine without power. Its port in the VPC exists.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Node {
            parts,
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }
}

impl Machine for ContainerNode {
    fn power_on(&self) -> Result<(), Error> {
        let mut state = self.0.lock();
        if state.init.is_some() {
            return Err(format!("{} has power already", self.0.name()).into());
        }
        boot(&self.0, &mut state)
    }

    fn shut_down(&self, grace: Duration) -> Result<(), Error> {
        let node = &self.0;
        let mut state = node.lock();
        let Some(init) = state.init else {
            return Ok(());
        };
        state.shutting_down = true;
        let asked = run::run("kill", &[POWER_OFF_SIGNAL, &init.to_string()]);
        let boots = state.boots;
        let (state, _) = node
            .changed
            .wait_timeout_while(state, grace, |s| s.init.is_some() && s.boots == boots)
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        let result = self.power_off();
        node.lock().shutting_down = false;
        asked.map(drop).or(result)
    }

    fn power_off(&self) -> Result<(), Error> {
        let node = &self.0;
        let mut state = node.lock();
        if state.init.take().is_none() {
            return Ok(());
        }
        node.lose_power(&state)
    }

    fn is_on(&self) -> bool {
        self.0.lock().init.is_some()
    }

    fn attach(&self, volume: &str, file: &Path) -> Result<(), Error> {
        let mut state = self.0.lock();
        if state.volumes.contains_key(volume) {
            return Ok(());
        }
        let name = (1..)
            .map(|n| format!("nvme{n}n1"))
            .filter(|name| state.volumes.values().all(|v| v.name != *name))
            .nth(state.passed_over)
            .unwrap_or_default();
        let plugged = AttachedVolume {
            device: Loop::attach(file)?,
            file: file.to_owned(),
            name,
        };
        if let Some(init) = state.init
            && let Err(e) = device::show(init, volume, &plugged.name, plugged.device.number())
        {
            let _ = plugged.device.detach();
            return Err(e);
        }
        state.volumes.insert(volume.to_owned(), plugged);
        Ok(())
    }

    fn enlarged(&self, volume: &str) -> Result<(), Error> {
        let state = self.0.lock();
        let plugged = state.volumes.get(volume);
        plugged.map_or(Ok(()), |plugged| plugged.device.take_size())
    }

    fn set_frozen(&self, frozen: bool) -> Result<(), Error> {
        self.0.existing_group().set_frozen(frozen)
    }

    fn is_frozen(&self) -> bool {
        self.0.existing_group().frozen()
    }

    fn while_still(&self, work: &mut dyn FnMut() -> Result<(), Error>) -> Result<(), Error> {
        let _state = self.0.lock();
        self.0.existing_group().while_frozen(work)
    }

    fn presence(&self, file: &Path) -> Result<Presence, Error> {
        witness::in_container(&self.0.existing_group(), file)
    }

    fn renumber(&self) {
        self.0.lock().passed_over += 1;
    }

    fn detach(&self, volume: &str, force: bool) -> Result<Detach, Error> {
        let mut state = self.0.lock();
        let Some(plugged) = state.volumes.get(volume) else {
            return Ok(Detach::Done);
        };
        let busy = plugged.device.busy();
        if busy && !force {
            return Ok(Detach::Busy);
        }
        if let Some(init) = state.init {
            device::hide(init, volume, &plugged.name)?;
        }
        if busy {
            // The guest may not write while the volume's content is copied.
            let group = self.0.group()?;
            group.set_frozen(true)?;
            let torn = plugged.device.tear_off(&plugged.file);
            group.set_frozen(false)?;
            torn?;
        } else {
            plugged.device.detach()?;
        }
        state.volumes.remove(volume);
        Ok(Detach::Done)
    }
}

impl Node {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> &'static str {
        self.parts.host.hostname
    }

    fn group(&self) -> Result<Cgroup, Error> {
        self.parts.cgroup.child(self.parts.host.short)
    }

    /// The group whether it exists or not: who looks must not make it again after a power cut has removed it.
    fn existing_group(&self) -> Cgroup {
        let parts = &self.parts;
        Cgroup::existing(parts.cgroup.path().join(parts.host.short))
    }

    /// Ends everything that a power cut ends: processes, mounts, the network's configuration.
    fn lose_power(&self, state: &State) -> Result<(), Error> {
        let group = self.group()?;
        group.kill(KILL_TIMEOUT)?;
        group.remove();
        vpc::unplug(self.parts.host)?;
        for plugged in state.volumes.values() {
            plugged.device.wait_until_free(KILL_TIMEOUT)?;
        }
        Ok(())
    }

    /// The root directory: the image below, what this node wrote above.
    fn root(&self, state: &mut State) -> Result<PathBuf, Error> {
        let disk = &self.parts.disk;
        let root = disk.join("root");
        if state.mounted {
            return Ok(root);
        }
        let (upper, work) = (disk.join("upper"), disk.join("work"));
        if !upper.exists() {
            for dir in [&root, &upper, &work] {
                fs::create_dir_all(dir)
                    .map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
            }
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            self.parts.image.rootfs().display(),
            upper.display(),
            work.display()
        );
        mount(
            Some("overlay"),
            &root,
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .map_err(|e| format!("cannot mount the disk of {}: {e} ({options})", self.name()))?;
        state.mounted = true;
        personal::write(self.parts.host, &root)?;
        Ok(root)
    }
}

fn boot(node: &Arc<Node>, state: &mut State) -> Result<(), Error> {
    vpc::plug_in(node.parts.host)?;
    let root = node.root(state)?;
    let group = node.group()?;
    let mut child = start(node, &root, &group)?;
    let init = match wait_for_init(&mut child, &console(node)) {
        Ok(init) => init,
        Err(e) => {
            let _ = group.kill(KILL_TIMEOUT);
            let _ = child.wait();
            return Err(format!("{} does not boot: {e}", node.name()).into());
        }
    };
    state.init = Some(init);
    state.boots += 1;
    let (watched, boots) = (Arc::clone(node), state.boots);
    std::thread::spawn(move || {
        if let Ok(status) = child.wait() {
            ended(&watched, boots, status);
        }
    });
    for (volume, plugged) in &state.volumes {
        device::show(init, volume, &plugged.name, plugged.device.number())?;
    }
    Ok(())
}

/// The container has ended. If nobody took its power away the guest did it: powered itself off,
/// or rebooted.
fn ended(node: &Arc<Node>, boots: u64, status: ExitStatus) {
    let mut state = node.lock();
    if state.boots != boots || state.init.take().is_none() {
        return;
    }
    if let Err(e) = node.lose_power(&state) {
        tracing::error!("{}: {e}", node.name());
    }
    if status.code() == Some(REBOOT_STATUS) && !state.shutting_down {
        if let Err(e) = boot(node, &mut state) {
            tracing::error!("{} does not come back from its reboot: {e}", node.name());
        }
        return;
    }
    let by_itself = !state.shutting_down;
    drop(state);
    node.changed.notify_all();
    if by_itself {
        (node.parts.on_guest_off)(node.parts.host);
    }
}

fn console(node: &Node) -> PathBuf {
    node.parts.disk.join("console.log")
}

fn start(node: &Node, root: &Path, group: &Cgroup) -> Result<Child, Error> {
    let console = File::options()
        .append(true)
        .create(true)
        .open(console(node))?;
    let mut bind = std::ffi::OsString::from("--bind=");
    bind.push(node.parts.disk.join("docker"));
    bind.push(":/var/lib/docker");
    let short = node.parts.host.short;
    let child = Command::new("sh")
        // systemd-nspawn makes the container's group below the one it is started in.
        .args([
            "-c",
            "echo 0 > \"$0/cgroup.procs\" && exec systemd-nspawn \"$@\"",
        ])
        .arg(group.path())
        .arg("--directory")
        .arg(root)
        .args([
            "--boot",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--settings=no",
            "--console=pipe",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            // Beyond systemd-nspawn's own set: corosync locks its memory, the node configures its own
            // network (and only that: the namespace is its own), dockerd needs keys and
            // loads the device filter of its containers.
            "--capability=CAP_IPC_LOCK,CAP_NET_ADMIN",
            "--system-call-filter=@keyring bpf",
        ])
        .arg(format!("--machine={}", crate::netns::of_node(short)))
        .arg(format!("--hostname={}", node.name()))
        .arg(format!(
            "--network-namespace-path=/run/netns/{}",
            crate::netns::of_node(short)
        ))
        .arg(bind)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        // The network's kernel parameters are the node's own; the rest stays read-only.
        .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network")
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        .spawn()
        .map_err(|e| format!("cannot run systemd-nspawn: {e}; `lab check` says what to install"))?;
    Ok(child)
}

/// Waits until the container's init is systemd, which is when /dev and the rest are there.
fn wait_for_init(child: &mut Child, console: &Path) -> Result<u32, Error> {
    let deadline = Instant::now() + INIT_WITHIN;
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    loop {
        let found = fs::read_to_string(&children)
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|pid| pid.parse::<u32>().ok())
            .find(|pid| {
                fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.trim() == "systemd")
            });
        if let Some(init) = found {
            return Ok(init);
        }
        let failed = match child.try_wait()? {
            Some(status) => format!("systemd-nspawn ended ({status})"),
            None if Instant::now() > deadline => {
                format!("no init after {} s", INIT_WITHIN.as_secs())
            }
            None => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
        };
        let said = fs::read_to_string(console).unwrap_or_default();
        let tail: Vec<&str> = said.lines().rev().take(5).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(format!("{failed}: {}", tail.join(" / ")).into());
    }
}
