//! Control groups: one for each node and one for the lab's own process. They are how a node
//! loses all of its processes in one instant, and how `lab down` finds what a crash left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::world::Error;

/// Name of the lab's unit under systemd and of its group elsewhere.
pub fn name() -> String {
    format!("portsip-ha-lab-{}", crate::name::current())
}

/// Where cgroup v2 is mounted; on a hybrid machine beside the v1 controllers.
pub fn mount_point() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let path = fields.next()?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(path))
    })
}

/// Whether systemd manages this machine's groups.
pub fn systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// A control group.
#[derive(Debug, Clone)]
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// The group under which everything of the lab runs: the delegated group of its unit where
    /// systemd rules, a group of its own elsewhere.
    ///
    /// # Errors
    /// There is no cgroup v2, or it may not be written.
    pub fn of_the_lab() -> Result<Self, Error> {
        Self::of(&name())
    }

    /// The group of each dockerd that runs without a node around it. Not the lab's: whoever takes a lab
    /// down leaves them alone.
    ///
    /// # Errors
    /// As [`Cgroup::of_the_lab`].
    pub fn of_lone_dockers() -> Result<Self, Error> {
        Self::of("portsip-ha-docker")
    }

    fn of(name: &str) -> Result<Self, Error> {
        let mount = mount_point().ok_or("no cgroup v2 hierarchy is mounted")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own
            .lines()
            .find_map(|l| l.strip_prefix("0::/"))
            .unwrap_or_default();
        let unit = format!("{}.service", self::name());
        match own.split('/').position(|part| part == unit) {
            Some(depth) => {
                let path: PathBuf = own.split('/').take(depth + 1).collect();
                Ok(Self(mount.join(path)))
            }
            None => Self::at(mount.join(name)),
        }
    }

    /// The group at `path`, whether it exists or not.
    pub fn existing(path: PathBuf) -> Self {
        Self(path)
    }

    fn at(path: PathBuf) -> Result<Self, Error> {
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self(path)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(Self(path)),
            Err(e) => Err(format!("cannot make the control group {}: {e}", path.display()).into()),
        }
    }

    /// The group `name` below this one; made if missing.
    ///
    /// # Errors
    /// It may not be made.
    pub fn child(&self, name: &str) -> Result<Self, Error> {
        Self::at(self.0.join(name))
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Moves this process into it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn enter(&self) -> Result<(), Error> {
        self.write("cgroup.procs", "0")
    }

    /// Whether a process lives in it or below it.
    pub fn populated(&self) -> bool {
        fs::read_to_string(self.0.join("cgroup.events"))
            .is_ok_and(|events| events.lines().any(|l| l == "populated 1"))
    }

    /// The processes in it and below it, none if it does not exist.
    pub fn processes(&self) -> Vec<u32> {
        let own = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        let mut found: Vec<u32> = own.lines().filter_map(|pid| pid.parse().ok()).collect();
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                found.extend(Self(entry.path()).processes());
            }
        }
        found
    }

    /// Kills every process in it and below it and waits until they are gone.
    ///
    /// # Errors
    /// Some are still there after `limit`.
    pub fn kill(&self, limit: Duration) -> Result<(), Error> {
        if !self.0.exists() {
            return Ok(());
        }
        self.write("cgroup.kill", "1")?;
        let deadline = Instant::now() + limit;
        while self.populated() {
            if Instant::now() > deadline {
                return Err(format!(
                    "processes of {} are still there {} s after SIGKILL",
                    self.0.display(),
                    limit.as_secs()
                )
                .into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Stops every process in it and below it, or lets them run again.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set_frozen(&self, frozen: bool) -> Result<(), Error> {
        self.write("cgroup.freeze", if frozen { "1" } else { "0" })
    }

    /// Does something while its processes are stopped. If they were stopped before, they stay so.
    ///
    /// # Errors
    /// Those of the work, or the kernel refuses.
    pub fn while_frozen(&self, work: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        if !self.populated() || self.frozen() {
            return work();
        }
        self.set_frozen(true)?;
        let done = work();
        self.set_frozen(false)?;
        done
    }

    /// Whether its processes were stopped.
    pub fn frozen(&self) -> bool {
        fs::read_to_string(self.0.join("cgroup.freeze")).is_ok_and(|text| text.trim() == "1")
    }

    /// Removes it and what is below it; what cannot be removed stays.
    pub fn remove(&self) {
        if let Ok(entries) = fs::read_dir(&self.0) {
            for entry in entries.flatten() {
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    Self(entry.path()).remove();
                }
            }
        }
        let _ = fs::remove_dir(&self.0);
    }

    fn write(&self, file: &str, text: &str) -> Result<(), Error> {
        let path = self.0.join(file);
        fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()).into())
    }
}
