//! What a kernel node's directory holds for its kernel and for the guest, apart from the disk: the
//! command line, what cloud-init would write, and which volume sits in which slot.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{Parts, disk};
use crate::node::personal;
use crate::world::Error;

const LAUNCH: &str = include_str!("launch.sh");
/// `launch.sh` says what it is for.
const REBOOTED: &str = "#!/bin/sh\nexit 42\n";
/// Enough for Pacemaker, Docker and the PBX stand-in; it is only taken when the guest touches it.
const MEMORY_MIB: u32 = 1024;
/// A Unix socket's name has 108 bytes, one of them for the end. The longest below the directory:
const LONGEST_SOCKET: &str = "/run/node/answer.4294967295.4294967295";
const LONGEST_DIRECTORY: usize = 107 - LONGEST_SOCKET.len();

/// A place for a disk; the guest calls it `ubdb`, `ubdc` and so on. Its own disk is `ubda`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(char);

impl Slot {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        ('b'..='p').map(Self)
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ubd{}", self.0)
    }
}

/// What is in a slot: an EBS volume that is attached, or a LAN machine's second disk.
#[derive(Debug, Clone)]
pub(super) struct Volume {
    pub(super) id: String,
    pub(super) file: PathBuf,
}

/// A kernel node's directory.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// Fills the directory of a machine.
    pub(super) fn furnish(parts: &Parts) -> Result<Self, Error> {
        let (path, machine) = (&parts.disk, parts.host);
        check_names(path, &parts.base)?;
        let directory = Self(path.to_owned());
        let host = path.join("host");
        let volumes = host.join("volumes");
        fs::create_dir_all(&volumes)
            .map_err(|e| format!("cannot make {}: {e}", volumes.display()))?;
        personal::write(machine, &host.join("root"))?;
        write(
            &host.join("interface"),
            &format!("{}\n", machine.site.interface()),
        )?;
        write(&directory.launch(), LAUNCH)?;
        let program = path.join("linux.uml");
        symlink(&parts.program, &program)
            .map_err(|e| format!("cannot make {}: {e}", program.display()))?;
        let rebooted = path.join("rebooted");
        write(&rebooted, REBOOTED)?;
        fs::set_permissions(&rebooted, fs::Permissions::from_mode(0o755))?;
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn launch(&self) -> PathBuf {
        self.0.join("launch")
    }

    /// What the guest printed since its first boot.
    pub(super) fn console(&self) -> PathBuf {
        self.0.join("console.log")
    }

    pub(super) fn management_console(&self) -> PathBuf {
        self.0.join("run/node/mconsole")
    }

    /// Writes the kernel's command line, an argument a line.
    pub(super) fn write_arguments(
        &self,
        parts: &Parts,
        volumes: &BTreeMap<Slot, Volume>,
    ) -> Result<(), Error> {
        let dir = self.0.display();
        // systemd's 90 s are not enough for pcsd to start on a kernel without KVM, beside others on a busy machine.
        let mut lines = format!(
            "mem={MEMORY_MIB}M\n\
             umid=node\n\
             uml_dir=run\n\
             ubda={dir}/root.cow,{base}\n\
             root=/dev/ubda\n\
             rw\n\
             rootflags=noinit_itable\n\
             init=/{guest}/init\n\
             hostfs={dir}/host\n\
             vec0:transport=tap,ifname={port},depth=128,gro=1,mac={mac}\n\
             con=null\n\
             con0=null,fd:2\n\
             systemd.default_timeout_start_sec=300\n\
             systemd.show_status=error\n\
             systemd.log_color=0\n",
            base = parts.base.display(),
            guest = disk::GUEST_DIR,
            port = parts.tap.device,
            mac = parts.host.mac,
        );
        for (slot, volume) in volumes {
            let _ = writeln!(lines, "{slot}={}", volume.file.display());
        }
        write(&self.0.join("arguments"), &lines)
    }

    /// Tells the guest's udev what the device in a slot is, before it appears.
    pub(super) fn label(&self, slot: Slot, id: &str) -> Result<(), Error> {
        write(&self.label_file(slot), &id.replacen('-', "", 1))
    }

    pub(super) fn remove_label(&self, slot: Slot) {
        // Absent when writing it had failed.
        let _ = fs::remove_file(self.label_file(slot));
    }

    fn label_file(&self, slot: Slot) -> PathBuf {
        self.0.join("host/volumes").join(slot.to_string())
    }

    /// The end of the console, for a message.
    pub(super) fn last_words(&self) -> String {
        let bytes = fs::read(self.console()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

/// These go on a kernel's command line, and a socket into the first.
fn check_names(dir: &Path, base: &Path) -> Result<(), Error> {
    let plain = |path: &Path| {
        path.to_str()
            .is_some_and(|text| !text.contains([',', ':', ' ', '\n']))
    };
    if dir.as_os_str().len() <= LONGEST_DIRECTORY && plain(dir) && plain(base) {
        return Ok(());
    }
    Err(format!(
        "a kernel node can't use {} and {}: the first may have {LONGEST_DIRECTORY} bytes, and neither a \
         comma, a colon or a space; set XDG_CACHE_HOME to another directory",
        dir.display(),
        base.display()
    )
    .into())
}

fn write(path: &Path, content: &str) -> Result<(), Error> {
    fs::write(path, content).map_err(|e| format!("cannot write {}: {e}", path.display()).into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cgroup::Cgroup;
    use crate::site::{INSTANCES, VOLUME_ID};
    use crate::tap::Tap;

    fn parts(disk: &Path) -> Parts {
        Parts {
            host: &INSTANCES[0],
            tap: Tap {
                namespace: "nowhere".to_owned(),
                device: "vpc-n1".to_owned(),
            },
            data: None,
            program: "/cache/linux.uml".into(),
            base: "/cache/base.img".into(),
            disk: disk.to_owned(),
            group: Cgroup::existing("/nowhere".into()),
            on_guest_off: Box::new(|_| ()),
        }
    }

    #[test]
    fn a_kernel_finds_its_volumes_on_its_command_line() {
        let dir = tempfile::tempdir().unwrap();
        let parts = parts(dir.path());
        let directory = Directory::furnish(&parts).unwrap();
        let slots: Vec<Slot> = Slot::all().take(2).collect();
        let volume = Volume {
            id: VOLUME_ID.to_owned(),
            file: "/volumes/one".into(),
        };
        let volumes = BTreeMap::from([(slots[1], volume)]);
        directory.write_arguments(&parts, &volumes).unwrap();
        let arguments = fs::read_to_string(dir.path().join("arguments")).unwrap();
        let lines: Vec<&str> = arguments.lines().collect();
        assert!(lines.contains(&"ubdc=/volumes/one"), "{arguments}");
        assert!(
            lines
                .iter()
                .any(|l| l.starts_with("ubda=") && l.ends_with(",/cache/base.img")),
            "{arguments}"
        );
    }

    #[test]
    fn a_label_is_the_serial_that_ebs_gives_to_the_device() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::furnish(&parts(dir.path())).unwrap();
        let slot = Slot::all().next().unwrap();
        directory.label(slot, VOLUME_ID).unwrap();
        let label = fs::read_to_string(dir.path().join("host/volumes/ubdb")).unwrap();
        assert_eq!(label, "vol0e06e1e9da3c49b67");
    }

    #[test]
    fn a_directory_whose_sockets_would_have_no_name_is_refused_with_the_limit() {
        let long = PathBuf::from(format!("/{}", "x".repeat(LONGEST_DIRECTORY)));
        let error = Directory::furnish(&parts(&long)).unwrap_err();
        assert!(error.to_string().contains("may have 69 bytes"), "{error}");
        let colon = Directory::furnish(&parts(Path::new("/tmp/a:b")));
        assert!(
            colon.is_err(),
            "a colon separates files on the command line"
        );
    }
}
