//! A node with a kernel of its own: user-mode Linux, which is a kernel as a process. It loses what
//! it had not synced when its power is cut, it can panic, it loads modules (DRBD, softdog), and its
//! volumes are hot-plugged. What is slow about it is starting processes (about 3 ms each).

mod config;
pub mod disk;
mod mconsole;
pub mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Machine, witness};
use crate::cgroup::Cgroup;
use crate::netns;
use crate::site::Host;
use crate::tap::Tap;
use crate::volume;
use crate::watch::Presence;
use crate::world::{Detach, Error};

use config::{Directory, Slot, Volume};
use mconsole::Failure;

/// A kernel listens on its management console about 2 s after its start, on a busy machine later.
const KERNEL_START: Duration = Duration::from_secs(60);
/// udev opens a device for an instant after each writer closes it; only what is open for longer than
/// this is in use.
const UDEV_PROBE_TIME: Duration = Duration::from_secs(2);
/// How long this machine may take to end a kernel's processes.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);

/// What a kernel node is made from.
pub struct Parts {
    /// Which machine it is.
    pub host: &'static Host,
    /// Its end of the network.
    pub tap: Tap,
    /// The file behind its second disk, for a machine that has one.
    pub data: Option<PathBuf>,
    /// The program that is its kernel.
    pub program: PathBuf,
    /// The disk below its own, from [`disk::kernel_disk`].
    pub base: PathBuf,
    /// A directory for its own disk and what belongs to it.
    pub disk: PathBuf,
    /// A control group that holds nothing else.
    pub group: Cgroup,
    /// Called when the guest has powered itself off, or its kernel has died.
    pub on_guest_off: Box<dyn Fn(&'static Host) + Send + Sync>,
}

/// The machine. Dropping it cuts its power.
pub struct KernelMachine(Arc<Node>);

struct Node {
    parts: Parts,
    directory: Directory,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// While it has power: whether its kernel is still there.
    kernel: Option<Arc<AtomicBool>>,
    /// Counts boots, so that a message of an earlier boot is recognised.
    boots: u64,
    shutting_down: bool,
    volumes: BTreeMap<Slot, Volume>,
    /// Slots of devices that the kernel has still open although their volume was torn off.
    ghosts: BTreeSet<Slot>,
}

impl State {
    fn is_on(&self) -> bool {
        self.kernel
            .as_ref()
            .is_some_and(|alive| alive.load(Ordering::Acquire))
    }
}

impl KernelMachine {
    /// A machine without power.
    ///
    /// # Errors
    /// The directory's name is too long for a socket in it.
    pub fn new(parts: Parts) -> Result<Self, Error> {
        let directory = Directory::furnish(&parts)?;
        let data = parts.data.clone().map(|file| Volume {
            id: "data".to_owned(),
            file,
        });
        let state = State {
            volumes: Slot::all().zip(data).collect(),
            ..State::default()
        };
        Ok(Self(Arc::new(Node {
            parts,
            directory,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })))
    }

    /// The guest's console output since its first boot.
    pub fn console(&self) -> PathBuf {
        self.0.directory.console()
    }
}

impl Machine for KernelMachine {
    fn power_on(&self) -> Result<(), Error> {
        let node = &self.0;
        let mut state = node.lock();
        if state.is_on() {
            return Err(format!("{} has power already", node.name()).into());
        }
        boot(node, &mut state)?;
        if let Err(e) = node.ask(&state, "version") {
            node.cut_power(&mut state)?;
            return Err(format!(
                "{} does not boot: {e}. The end of its console, {}:\n{}",
                node.name(),
                node.directory.console().display(),
                node.directory.last_words()
            )
            .into());
        }
        Ok(())
    }

    fn shut_down(&self, grace: Duration) -> Result<(), Error> {
        let node = &self.0;
        let mut state = node.lock();
        if state.kernel.is_none() {
            return Ok(());
        }
        state.shutting_down = true;
        // A kernel that does not react to the power button is killed at the end of its grace.
        let _ = node.ask(&state, "cad");
        let boots = state.boots;
        let (mut state, _) = node
            .changed
            .wait_timeout_while(state, grace, |s| s.kernel.is_some() && s.boots == boots)
            .unwrap_or_else(PoisonError::into_inner);
        state.shutting_down = false;
        node.cut_power(&mut state)
    }

    fn power_off(&self) -> Result<(), Error> {
        self.0.cut_power(&mut self.0.lock())
    }

    fn is_on(&self) -> bool {
        self.0.lock().is_on()
    }

    fn attach(&self, volume: &str, file: &Path) -> Result<(), Error> {
        let node = &self.0;
        let mut state = node.lock();
        if state.volumes.values().any(|v| v.id == volume) {
            return Ok(());
        }
        let slot = Slot::all()
            .find(|slot| !state.volumes.contains_key(slot) && !state.ghosts.contains(slot))
            .ok_or_else(|| format!("{} has no slot left for {volume}", node.name()))?;
        let volume = Volume {
            id: volume.to_owned(),
            file: file.to_owned(),
        };
        node.directory.label(slot, &volume.id)?;
        state.volumes.insert(slot, volume.clone());
        let plugged = node
            .write_arguments(&state)
            .and_then(|()| node.plug(&state, slot, &volume));
        if plugged.is_err() {
            node.clear_slot(&mut state, slot)?;
        }
        plugged
    }

    fn enlarged(&self, volume: &str) -> Result<(), Error> {
        match self.0.lock().volumes.values().any(|v| v.id == volume) {
            true => Err(format!(
                "{volume} is plugged into a kernel node, which sees no new size before it is plugged in again"
            )
            .into()),
            false => Ok(()),
        }
    }

    fn set_frozen(&self, frozen: bool) -> Result<(), Error> {
        self.0.parts.group.set_frozen(frozen)
    }

    fn is_frozen(&self) -> bool {
        self.0.parts.group.frozen()
    }

    fn while_still(&self, work: &mut dyn FnMut() -> Result<(), Error>) -> Result<(), Error> {
        let _state = self.0.lock();
        self.0.parts.group.while_frozen(work)
    }

    fn presence(&self, file: &Path) -> Result<Presence, Error> {
        witness::of_kernel(&self.0.parts.group, file)
    }

    fn detach(&self, volume: &str, force: bool) -> Result<Detach, Error> {
        let node = &self.0;
        let mut state = node.lock();
        let found = state.volumes.iter().find(|(_, v)| v.id == volume);
        let Some((slot, file)) = found.map(|(slot, v)| (*slot, v.file.clone())) else {
            return Ok(Detach::Done);
        };
        if node.unplug(&state, slot)? == Detach::Busy {
            if !force {
                return Ok(Detach::Busy);
            }
            node.tear_off(&file)?;
            state.ghosts.insert(slot);
        }
        node.clear_slot(&mut state, slot)?;
        Ok(Detach::Done)
    }
}

impl Drop for KernelMachine {
    fn drop(&mut self) {
        // No caller is left for an error; `lab down` finds what survives.
        let _ = self.power_off();
        self.0.parts.group.remove();
    }
}

impl Node {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> &'static str {
        self.parts.host.hostname
    }

    fn write_arguments(&self, state: &State) -> Result<(), Error> {
        self.directory.write_arguments(&self.parts, &state.volumes)
    }

    /// The kernel's answer to `command`. Waits for a kernel that was just started.
    fn ask(&self, state: &State, command: &str) -> Result<String, Failure> {
        let socket = self.directory.management_console();
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

    /// Plugs the volume into a running kernel. A kernel that starts later finds it on its command line.
    fn plug(&self, state: &State, slot: Slot, volume: &Volume) -> Result<(), Error> {
        let file = volume.file.display().to_string();
        if !state.is_on() {
            return Ok(());
        }
        let Err(refused) = self.ask(state, &format!("config {slot}={file}")) else {
            return Ok(());
        };
        // A kernel that is just rebooting may have found it on its command line already.
        match self.ask(state, &format!("config {slot}")) {
            Ok(there) if there == file => Ok(()),
            _ if !state.is_on() => Ok(()),
            _ => Err(format!("cannot plug {} into {}: {refused}", volume.id, self.name()).into()),
        }
    }

    /// Removes the device from the kernel, if it is there.
    fn unplug(&self, state: &State, slot: Slot) -> Result<Detach, Error> {
        let deadline = Instant::now() + UDEV_PROBE_TIME;
        while state.is_on() {
            match self.ask(state, &format!("remove {slot}")) {
                Ok(_) => return Ok(Detach::Done),
                Err(Failure::Refused(said)) if said.contains("currently open") => {
                    if Instant::now() > deadline {
                        return Ok(Detach::Busy);
                    }
                }
                Err(_) if !state.is_on() => break,
                Err(e) => {
                    return Err(format!("cannot unplug {slot} from {}: {e}", self.name()).into());
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Detach::Done)
    }

    /// The kernel keeps a device that is open, so what is behind it is exchanged: the volume, as
    /// the guest has written it until now, lives on in a copy, and the guest keeps an empty file.
    fn tear_off(&self, file: &Path) -> Result<(), Error> {
        // Nothing may be written between the copy and the exchange.
        self.parts.group.set_frozen(true)?;
        let torn = volume::exchange_for_a_copy(file);
        self.parts.group.set_frozen(false)?;
        torn
    }

    fn clear_slot(&self, state: &mut State, slot: Slot) -> Result<(), Error> {
        state.volumes.remove(&slot);
        self.directory.remove_label(slot);
        self.write_arguments(state)
    }

    fn cut_power(&self, state: &mut State) -> Result<(), Error> {
        state.kernel = None;
        state.ghosts.clear();
        self.parts.group.kill(KILL_TIMEOUT)
    }
}

fn boot(node: &Arc<Node>, state: &mut State) -> Result<(), Error> {
    node.write_arguments(state)?;
    let console = OpenOptions::new()
        .create(true)
        .append(true)
        .open(node.directory.console())?;
    let mut child = Command::new("nsenter")
        .arg(format!(
            "--net={}",
            netns::path(&node.parts.tap.namespace).display()
        ))
        // With a random layout, the kernel counts the gap behind its program as memory.
        .args(["setarch", "--addr-no-randomize", "bash"])
        .arg(node.directory.launch())
        .arg(node.directory.path())
        .arg(node.parts.group.path())
        // The guest's memory is a file there: it has to be a tmpfs.
        .env("TMPDIR", "/dev/shm")
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        // The lab handles Ctrl-C, and then ends its nodes.
        .process_group(0)
        .spawn()
        .map_err(|e| format!("cannot run nsenter: {e}; `lab check` says what to install"))?;
    let alive = Arc::new(AtomicBool::new(true));
    state.kernel = Some(Arc::clone(&alive));
    state.boots += 1;
    let (watched, boots) = (Arc::clone(node), state.boots);
    std::thread::spawn(move || {
        let _ = child.wait();
        alive.store(false, Ordering::Release);
        ended(&watched, boots);
    });
    Ok(())
}

/// The kernel has ended. If the lab did not cut its power, the guest powered off or panicked.
fn ended(node: &Node, boots: u64) {
    let mut state = node.lock();
    if state.boots != boots || state.kernel.is_none() {
        return;
    }
    if let Err(e) = node.cut_power(&mut state) {
        tracing::error!("{}: {e}", node.name());
    }
    let by_itself = !state.shutting_down;
    drop(state);
    node.changed.notify_all();
    if by_itself {
        (node.parts.on_guest_off)(node.parts.host);
    }
}
