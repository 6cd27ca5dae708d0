//! One process in /proc: what it is called, in which container or service it runs, and whether it uses a device.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::device;
use crate::mounts::{self, Mount};

/// A process.
pub(super) struct Process {
    /// Its directory in /proc.
    directory: PathBuf,
    pid: u32,
}

impl Process {
    /// All but this one, in the order of their ids.
    pub(super) fn all(proc: &Path) -> Vec<Self> {
        let mut all: Vec<Self> = fs::read_dir(proc)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let directory = entry.path();
                (pid != std::process::id()).then_some(Self { directory, pid })
            })
            .collect();
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

    /// What is mounted in its namespace.
    pub(super) fn mounts(&self) -> Vec<Mount> {
        mounts::mounts_of(&self.directory).unwrap_or_default()
    }

    /// A file on one of these devices, or the device itself, that it has open, mapped, or as its directory. That
    /// also finds what is mounted nowhere any more (umount --lazy).
    pub(super) fn uses(&self, devices: &BTreeSet<String>) -> Option<PathBuf> {
        let is_there = |link: &PathBuf| {
            fs::metadata(link).is_ok_and(|file| {
                devices.contains(&device::number(file.dev()))
                    || file.file_type().is_block_device()
                        && devices.contains(&device::number(file.rdev()))
            })
        };
        let open = fs::read_dir(self.directory.join("fd"));
        let open = open.into_iter().flatten().flatten().map(|fd| fd.path());
        let fixed = ["cwd", "root", "exe"].map(|link| self.directory.join(link));
        let link = fixed.into_iter().chain(open).find(is_there);
        link.and_then(|link| fs::read_link(link).ok())
            .or_else(|| self.maps(devices))
    }

    /// proc(5), maps: `address permissions offset major:minor inode path`, the device in hexadecimal.
    fn maps(&self, devices: &BTreeSet<String>) -> Option<PathBuf> {
        self.read("maps").lines().find_map(|line| {
            let mut fields = line.split_whitespace();
            let (major, minor) = fields.nth(3)?.split_once(':')?;
            let number = |text| u32::from_str_radix(text, 16).ok();
            let device = format!("{}:{}", number(major)?, number(minor)?);
            let path = fields.nth(1).unwrap_or("a mapped file");
            devices.contains(&device).then(|| PathBuf::from(path))
        })
    }

    /// The container or the service that its control group says.
    fn place(&self) -> Option<String> {
        let groups = self.read("cgroup");
        let path = groups
            .lines()
            .filter_map(|line| line.splitn(3, ':').nth(2))
            .max_by_key(|path| path.len())?;
        if let Some(id) = container(path) {
            let short = id.get(..12)?;
            return Some(match name_in_docker(id) {
                Some(name) => format!("container {name}"),
                None => format!("container {short}"),
            });
        }
        let service = path.rsplit('/').find(|part| part.ends_with(".service"))?;
        Some(service.to_owned())
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

/// The name that Docker has for it, where Docker's data are in their usual place.
fn name_in_docker(id: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Container {
        #[serde(rename = "Name")]
        name: String,
    }
    let about = fs::read(format!("/var/lib/docker/containers/{id}/config.v2.json")).ok()?;
    let container: Container = serde_json::from_slice(&about).ok()?;
    Some(container.name.trim_start_matches('/').to_owned())
}
