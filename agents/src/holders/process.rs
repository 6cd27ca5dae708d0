//! One process in /proc: what it is called, in which container or service it runs, and whether it uses a device.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::device;
use crate::mounts::{self, Mount};

pub(super) struct Process {
    directory: PathBuf,
    containers: PathBuf,
    pid: u32,
}

impl Process {
    /// All but this one, in the order of their ids.
    pub(super) fn all(proc: &Path, containers: &Path) -> Vec<Self> {
        let processes = device::entries(proc).filter_map(|directory| {
            let pid = directory.file_name()?.to_str()?.parse().ok()?;
            let containers = containers.to_owned();
            let is_other = pid != std::process::id();
            is_other.then_some(Self {
                directory,
                containers,
                pid,
            })
        });
        let mut all: Vec<Self> = processes.collect();
        all.sort_by_key(|process| process.pid);
        all
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.directory.join(file)).unwrap_or_default()
    }

    /// What identifies its mount namespace. A process that is ending has none.
    pub(super) fn mount_namespace(&self) -> Option<PathBuf> {
        fs::read_link(self.directory.join("ns/mnt")).ok()
    }

    pub(super) fn mounts(&self) -> Vec<Mount> {
        mounts::mounts_of(&self.directory).unwrap_or_default()
    }

    /// A file on one of these devices, or the device itself, that it has open or as its directory. That also finds
    /// what is mounted nowhere any more (umount --lazy).
    pub(super) fn opens(&self, devices: &BTreeSet<String>) -> Option<PathBuf> {
        let is_there = |link: &PathBuf| {
            fs::metadata(link).is_ok_and(|file| {
                let itself = device::number_of(&file);
                devices.contains(&device::number(file.dev()))
                    || itself.is_some_and(|number| devices.contains(&number))
            })
        };
        let open = device::entries(&self.directory.join("fd"));
        let fixed = ["cwd", "root", "exe"].map(|link| self.directory.join(link));
        let link = fixed.into_iter().chain(open).find(is_there);
        link.and_then(|link| fs::read_link(link).ok())
    }

    /// proc(5), maps: `address permissions offset major:minor inode path`, the device in hexadecimal.
    pub(super) fn maps(&self, devices: &BTreeSet<String>) -> Option<PathBuf> {
        self.read("maps").lines().find_map(|line| {
            let mut fields = line.split_whitespace();
            let (major, minor) = fields.nth(3)?.split_once(':')?;
            let number = |text| u32::from_str_radix(text, 16).ok();
            let device = format!("{}:{}", number(major)?, number(minor)?);
            let path = fields.nth(1).unwrap_or("a mapped file");
            devices.contains(&device).then(|| PathBuf::from(path))
        })
    }

    fn group(&self) -> Option<String> {
        let groups = self.read("cgroup");
        let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        paths.max_by_key(|path| path.len()).map(str::to_owned)
    }

    /// The container or the service that its control group says.
    fn place(&self) -> Option<String> {
        let path = self.group()?;
        if let Some(id) = container(&path) {
            let known = Container::of(&self.containers, id);
            let name = known.map_or_else(|| id[..12].to_owned(), |known| known.name);
            return Some(format!("container {name}"));
        }
        let service = path.rsplit('/').find(|part| part.ends_with(".service"))?;
        Some(service.to_owned())
    }

    /// What ends the process for good, if Docker starts its container again whenever it ends and nobody stops that.
    pub(super) fn remedy(&self) -> Option<String> {
        let path = self.group()?;
        let container = Container::of(&self.containers, container(&path)?)?;
        let stays = container.is_restarted && !self.is_ending();
        stays.then(|| format!("docker stop {}", container.name))
    }

    /// proc(5), status: whether it has ended, or a signal to end is on its way to it.
    fn is_ending(&self) -> bool {
        let status = self.read("status");
        let says = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim)
        };
        let to_end = [Signal::SIGKILL, Signal::SIGTERM].map(|signal| 1_u64 << (signal as u32 - 1));
        let is_told = |name| {
            let pending = says(name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
            // A process whose status cannot be read may be ending.
            pending.is_none_or(|mask| to_end.iter().any(|signal| mask & signal != 0))
        };
        says("State:").is_none_or(|state| state.starts_with(['Z', 'X']))
            || is_told("SigPnd:")
            || is_told("ShdPnd:")
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.read("comm");
        let process = format!("{} (pid {})", command.trim(), self.pid);
        match self.place() {
            Some(place) => write!(f, "{place}: {process}"),
            None => f.write_str(&process),
        }
    }
}

/// The container's id in a control group's path: 64 hexadecimal digits, whoever runs it.
pub(super) fn container(group: &str) -> Option<&str> {
    group
        .rsplit('/')
        .flat_map(|part| part.split(['-', '.', ':']))
        .find(|word| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What Docker's own files say of a container, where they are in their usual place.
struct Container {
    name: String,
    /// Whether Docker starts it again whenever it ends.
    is_restarted: bool,
}

impl Container {
    fn of(containers: &Path, id: &str) -> Option<Self> {
        let read = |file: &str| -> Option<Value> {
            serde_json::from_slice(&fs::read(containers.join(id).join(file)).ok()?).ok()
        };
        let config = read("config.v2.json")?;
        let host = read("hostconfig.json").unwrap_or_default();
        // Set when a person or a program begins to stop it, until it is started again.
        let is_stopped = config["HasBeenManuallyStopped"].as_bool()?;
        let policy = host["RestartPolicy"]["Name"].as_str().unwrap_or_default();
        Some(Self {
            name: config["Name"].as_str()?.trim_start_matches('/').to_owned(),
            is_restarted: !is_stopped && ["always", "unless-stopped"].contains(&policy),
        })
    }
}
