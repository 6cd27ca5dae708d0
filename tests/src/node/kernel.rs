//! A node with a kernel of its own: user-mode Linux, which is a kernel as a process. It loses what
//! it had not synced when its power is cut, it can panic, it loads modules (DRBD, softdog), and its
//! volumes are hot-plugged. What is slow about it is starting processes (about 25 ms each).

pub mod disk;
mod mconsole;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cgroup::Cgroup;
use crate::netns::{self, VPC};
use crate::node::Machine;
use crate::site::{self, Instance};
use crate::world::{Detach, Error};
use crate::{run, volume, vpc};

use mconsole::Failure;

const LAUNCH: &str = include_str!("kernel/launch.sh");
/// See `launch.sh` for what it tells.
const REBOOTED: &str = "#!/bin/sh\nexit 42\n";
/// Enough for Pacemaker, Docker and the PBX stand-in; it is only taken when the guest touches it.
const MEMORY_MIB: u32 = 1024;
/// A kernel listens on its management console about 2 s after its start, on a busy machine later.
const KERNEL_START: Duration = Duration::from_secs(60);
/// udev opens a device for an instant after each writer closes it; only what is open for longer than
/// this is in use.
const UDEV_IS_LOOKING: Duration = Duration::from_secs(2);
/// A Unix socket's name has 108 bytes, one of them for the end; ours is the longest below the directory.
const LONGEST_DIRECTORY: usize = 107 - "/run/node/answer.4294967295.4294967295".len();

/// A node that runs a kernel of its own.
pub struct KernelMachine {
    instance: &'static Instance,
    dir: PathBuf,
    disk: PathBuf,
    group: Cgroup,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kernel: Option<Child>,
    volumes: BTreeMap<Slot, Volume>,
    /// Slots of devices that the kernel has still open although their volume was torn off.
    ghosts: BTreeSet<Slot>,
}

/// A place for a disk; the guest calls it `ubdb`, `ubdc` and so on. Its own disk is `ubda`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Slot(char);

impl Slot {
    fn all() -> impl Iterator<Item = Self> {
        ('b'..='p').map(Self)
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ubd{}", self.0)
    }
}

#[derive(Debug)]
struct Volume {
    id: String,
    file: PathBuf,
}

/// A file that a guest gets at its first boot: its path from the root, without the leading slash,
/// and its content.
pub type GuestFile<'a> = (&'a str, &'a str);

impl KernelMachine {
    /// Prepares a node: its directory `dir`, which must not exist, and its port of the VPC, which must
    /// have been built. `disk` is what [`disk::kernel_disk`] returns, `group` a control group that
    /// holds nothing else, and `files` (hosts, say) are copied into the guest at its first boot.
    ///
    /// # Errors
    /// The directory's name is too long for a socket in it, or something exists already.
    pub fn new(
        instance: &'static Instance,
        dir: &Path,
        disk: &Path,
        group: Cgroup,
        files: &[GuestFile<'_>],
    ) -> Result<Self, Error> {
        let plain = |path: &Path| {
            path.to_str()
                .is_some_and(|text| !text.contains([',', ':', ' ', '\n']))
        };
        if dir.as_os_str().len() > LONGEST_DIRECTORY || !plain(dir) || !plain(disk) {
            return Err(format!(
                "{} and {} go on a kernel's command line: at most {LONGEST_DIRECTORY} bytes for the \
                 first, no comma, colon or space; set XDG_CACHE_HOME to another directory",
                dir.display(),
                disk.display()
            )
            .into());
        }
        let machine = Self {
            instance,
            dir: dir.to_owned(),
            disk: disk.to_owned(),
            group,
            state: Mutex::default(),
        };
        machine.furnish(files)?;
        netns::ip_batch(
            VPC,
            &format!("tuntap add {} mode tap\n", vpc::port(instance)),
        )?;
        vpc::add_port(&vpc::port(instance))?;
        Ok(machine)
    }

    /// Everything that was printed on the guest's console, since its first boot.
    pub fn console(&self) -> PathBuf {
        self.dir.join("console.log")
    }

    fn furnish(&self, files: &[GuestFile<'_>]) -> Result<(), Error> {
        let host = self.dir.join("host");
        let root = host.join("root");
        for dir in [&root, &host.join("volumes")] {
            fs::create_dir_all(dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
        }
        write(&self.dir.join("launch"), LAUNCH)?;
        executable(&self.dir.join("rebooted"), REBOOTED)?;
        write(&host.join("network"), &self.network())?;
        let hostname = format!("{}\n", self.instance.hostname);
        for (path, content) in files.iter().chain([&("etc/hostname", hostname.as_str())]) {
            let path = root.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            write(&path, content)?;
        }
        Ok(())
    }

    /// What DHCP would have said. The guest's kernel calls its interface `vec0`.
    fn network(&self) -> String {
        format!(
            "ip link set lo up\n\
             ip link set vec0 name ens5\n\
             ip address add {address}/20 brd + dev ens5\n\
             ip link set ens5 up\n\
             ip route add default via {router} dev ens5\n",
            address = self.instance.private_ip,
            router = site::ROUTER,
        )
    }

    /// The kernel's command line, an argument a line.
    fn arguments(&self, volumes: &BTreeMap<Slot, Volume>) -> String {
        let dir = self.dir.display();
        let mut lines = format!(
            "mem={MEMORY_MIB}M\n\
             umid=node\n\
             uml_dir=run\n\
             ubda={dir}/root.cow,{disk}\n\
             root=/dev/ubda\n\
             rw\n\
             rootflags=noinit_itable\n\
             init=/{guest}/init\n\
             hostfs={dir}/host\n\
             vec0:transport=tap,ifname={port},depth=128,gro=1,mac={mac}\n\
             con=null\n\
             con0=null,fd:2\n\
             systemd.log_color=0\n",
            disk = self.disk.display(),
            guest = disk::GUEST_DIR,
            port = vpc::port(self.instance),
            mac = self.instance.mac,
        );
        for (slot, volume) in volumes {
            lines.push_str(&format!("{slot}={}\n", volume.file.display()));
        }
        lines
    }

    fn write_arguments(&self, state: &State) -> Result<(), Error> {
        write(
            &self.dir.join("arguments"),
            &self.arguments(&state.volumes),
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kernel's answer to `command`. A kernel that has just been started is waited for.
    fn ask(&self, state: &mut State, command: &str) -> Result<String, Failure> {
        let socket = self.dir.join("run/node/mconsole");
        let deadline = Instant::now() + KERNEL_START;
        loop {
            match mconsole::ask(&socket, command) {
                Err(Failure::Unreachable { .. }) if state.is_on() && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                result => return result,
            }
        }
    }

    fn plug(&self, state: &mut State, slot: Slot) -> Result<(), Error> {
        let Some(file) = state.volumes.get(&slot).map(|v| v.file.clone()) else {
            return Ok(());
        };
        let file = file.display().to_string();
        let refused = match self.ask(state, &format!("config {slot}={file}")) {
            Ok(_) => return Ok(()),
            Err(e) => e,
        };
        // A kernel that was just starting may have found it on its command line. One that has
        // lost power meanwhile will, the next time.
        match self.ask(state, &format!("config {slot}")) {
            Ok(there) if there == file => Ok(()),
            _ if !state.is_on() => Ok(()),
            _ => Err(format!("cannot plug {file} into {}: {refused}", self.instance.short).into()),
        }
    }

    fn describe_as_volume(&self, slot: Slot, id: &str) -> Result<(), Error> {
        write(&self.slot_file(slot), &id.replacen("vol-", "vol", 1))
    }

    fn slot_file(&self, slot: Slot) -> PathBuf {
        self.dir.join("host/volumes").join(slot.to_string())
    }

    fn forget(&self, state: &mut State, slot: Slot) -> Result<(), Error> {
        state.volumes.remove(&slot);
        // Absent when writing it had failed.
        let _ = fs::remove_file(self.slot_file(slot));
        self.write_arguments(state)
    }

    /// Unplugs from a kernel that runs.
    fn unplug(&self, state: &mut State, slot: Slot) -> Result<Detach, Error> {
        let deadline = Instant::now() + UDEV_IS_LOOKING;
        loop {
            match self.ask(state, &format!("remove {slot}")) {
                Ok(_) => return Ok(Detach::Done),
                Err(Failure::Refused(said)) if said.contains("currently open") => {
                    if Instant::now() > deadline {
                        return Ok(Detach::Busy);
                    }
                }
                // It lost power, and the device with it.
                Err(_) if !state.is_on() => return Ok(Detach::Done),
                Err(e) => {
                    return Err(
                        format!("cannot unplug {slot} from {}: {e}", self.instance.short).into(),
                    );
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The kernel keeps a device that is open, so what is behind it is exchanged: the volume, as
    /// the guest has written it until now, lives on in a copy, and the guest keeps an empty file.
    fn tear_off(&self, state: &State, slot: Slot) -> Result<(), Error> {
        let Some(file) = state.volumes.get(&slot).map(|v| &v.file) else {
            return Ok(());
        };
        // Nothing may be written between the copy and the exchange.
        self.group.freeze()?;
        let torn = volume::exchange_for_a_copy(file);
        self.group.thaw()?;
        torn
    }

    fn cut_power(&self, state: &mut State) -> Result<(), Error> {
        self.group.kill(Duration::from_secs(20))?;
        state.ghosts.clear();
        if let Some(mut kernel) = state.kernel.take() {
            kernel.wait()?;
        }
        Ok(())
    }

    /// The end of the console, for a message.
    fn last_words(&self) -> String {
        let bytes = fs::read(self.console()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl State {
    fn is_on(&mut self) -> bool {
        self.kernel
            .as_mut()
            .is_some_and(|kernel| matches!(kernel.try_wait(), Ok(None)))
    }
}

impl Machine for KernelMachine {
    fn power_on(&self) -> Result<(), Error> {
        let mut state = self.state();
        if state.is_on() {
            return Err(format!("{} has power already", self.instance.short).into());
        }
        // A guest that switched itself off may have left a process behind.
        self.cut_power(&mut state)?;
        self.write_arguments(&state)?;
        let console = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.console())?;
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", netns::path(VPC).display()))
            .arg("bash")
            .arg(self.dir.join("launch"))
            .arg(&self.dir)
            .arg(self.group.path())
            // The guest's memory is a file there: it has to be a tmpfs.
            .env("TMPDIR", "/dev/shm")
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            // Ctrl-C is for the lab, which then shuts its nodes down.
            .process_group(0);
        let kernel = command
            .spawn()
            .map_err(|e| format!("cannot run nsenter: {e}"))?;
        state.kernel = Some(kernel);
        match self.ask(&mut state, "version") {
            Ok(_) => Ok(()),
            Err(e) => {
                self.cut_power(&mut state)?;
                Err(format!(
                    "{} did not boot: {e}. The end of its console, {}:\n{}",
                    self.instance.short,
                    self.console().display(),
                    self.last_words()
                )
                .into())
            }
        }
    }

    fn shut_down(&self, grace: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + grace;
        let mut state = self.state();
        // A kernel that does not hear the button goes down at the end of its grace.
        let _ = self.ask(&mut state, "cad");
        while state.is_on() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.cut_power(&mut state)
    }

    fn power_off(&self) -> Result<(), Error> {
        self.cut_power(&mut self.state())
    }

    fn is_on(&self) -> bool {
        self.state().is_on()
    }

    fn attach(&self, volume: &str, file: &Path) -> Result<(), Error> {
        let mut state = self.state();
        let node = self.instance.short;
        if state.volumes.values().any(|v| v.id == volume) {
            return Err(format!("{volume} is attached to {node} already").into());
        }
        let slot = Slot::all()
            .find(|slot| !state.volumes.contains_key(slot) && !state.ghosts.contains(slot))
            .ok_or_else(|| format!("{node} has no slot left for {volume}"))?;
        self.describe_as_volume(slot, volume)?;
        state.volumes.insert(
            slot,
            Volume {
                id: volume.to_owned(),
                file: file.to_owned(),
            },
        );
        let plugged = self.write_arguments(&state).and_then(|()| {
            if state.is_on() {
                self.plug(&mut state, slot)
            } else {
                Ok(())
            }
        });
        if plugged.is_err() {
            self.forget(&mut state, slot)?;
        }
        plugged
    }

    fn detach(&self, volume: &str, force: bool) -> Result<Detach, Error> {
        let mut state = self.state();
        let found = state.volumes.iter().find(|(_, v)| v.id == volume);
        let Some(slot) = found.map(|(slot, _)| *slot) else {
            return Ok(Detach::Done);
        };
        if state.is_on() && self.unplug(&mut state, slot)? == Detach::Busy {
            if !force {
                return Ok(Detach::Busy);
            }
            self.tear_off(&state, slot)?;
            state.ghosts.insert(slot);
        }
        self.forget(&mut state, slot)?;
        Ok(Detach::Done)
    }
}

impl Drop for KernelMachine {
    fn drop(&mut self) {
        // Nobody is left to hear of an error; `lab down` looks for what survives.
        let _ = self.power_off();
        self.group.remove();
        let device = vpc::port(self.instance);
        let _ = run::run("ip", &["-n", VPC, "link", "delete", device.as_str()]);
    }
}

fn write(path: &Path, content: &str) -> Result<(), Error> {
    fs::write(path, content).map_err(|e| format!("cannot write {}: {e}", path.display()).into())
}

fn executable(path: &Path, content: &str) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
