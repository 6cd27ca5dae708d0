//! The disks behind EBS volumes and their snapshots: a sparse file each, and the loop device through which a
//! container node sees a volume.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::OFlag;

use crate::world::Error;
use crate::{first_access, run};

/// Makes the file of an empty volume.
///
/// # Errors
/// It exists, or the disk refuses.
pub fn create(file: &Path, bytes: u64) -> Result<(), Error> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|f| f.set_len(bytes))
        .map_err(|e| format!("cannot make the volume {}: {e}", file.display()).into())
}

/// Makes the file of a volume larger.
///
/// # Errors
/// It is larger already, or the disk refuses.
pub fn enlarge(file: &Path, bytes: u64) -> Result<(), Error> {
    let open = OpenOptions::new().write(true).open(file);
    let enlarged = open.and_then(|file| match file.metadata()?.len() > bytes {
        true => Err(std::io::Error::other("it is larger already")),
        false => file.set_len(bytes),
    });
    enlarged.map_err(|e| format!("cannot make the volume {} larger: {e}", file.display()).into())
}

/// Makes the file of a volume that begins with the content of a snapshot.
///
/// # Errors
/// The snapshot cannot be copied.
pub fn create_from(file: &Path, snapshot: &Path, bytes: u64) -> Result<(), Error> {
    copy_file(snapshot, file)?;
    let sized = OpenOptions::new().write(true).open(file);
    sized
        .and_then(|file| file.set_len(bytes))
        .map_err(|e| format!("cannot make the volume {}: {e}", file.display()).into())
}

/// Copies the file of a volume. False if it was written to meanwhile: then the copy has what the volume had at no moment.
///
/// # Errors
/// The content cannot be copied.
pub fn copy(file: &Path, to: &Path) -> Result<bool, Error> {
    let before = written(file)?;
    copy_file(file, to)?;
    Ok(written(file)? == before)
}

/// When a file was last written to, also through a loop device.
fn written(file: &Path) -> Result<SystemTime, Error> {
    let written = fs::metadata(file).and_then(|metadata| metadata.modified());
    written.map_err(|e| format!("cannot look at {}: {e}", file.display()).into())
}

fn copy_file(file: &Path, to: &Path) -> Result<(), Error> {
    let arguments = [
        "--sparse=always".as_ref(),
        "--reflink=auto".as_ref(),
        file.as_os_str(),
        to.as_os_str(),
    ];
    run::run("cp", &arguments).map(drop)
}

/// A loop device on a volume's file.
#[derive(Debug, Clone)]
pub struct Loop {
    device: PathBuf,
    number: u64,
    file: PathBuf,
}

impl Loop {
    /// Sets one up.
    ///
    /// # Errors
    /// No loop device is free, or the file is missing.
    pub fn attach(file: &Path) -> Result<Self, Error> {
        let file = first_access::served(file).unwrap_or_else(|| file.to_owned());
        let device = PathBuf::from(
            run::run(
                "losetup",
                &["--find".as_ref(), "--show".as_ref(), file.as_os_str()],
            )?
            .trim(),
        );
        let number = fs::metadata(&device)
            .map_err(|e| format!("cannot look at {}: {e}", device.display()))?
            .rdev();
        Ok(Self {
            device,
            number,
            file,
        })
    }

    /// The host's name for it.
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// Its device number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether it is mounted anywhere, in any mount namespace of this machine: the kernel lets
    /// nobody else open a mounted device exclusively.
    pub fn busy(&self) -> bool {
        OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_EXCL.bits())
            .open(&self.device)
            .is_err_and(|e| e.raw_os_error() == Some(nix::libc::EBUSY))
    }

    /// Waits until nobody has it mounted.
    ///
    /// # Errors
    /// Somebody still has after `limit`.
    pub fn wait_until_free(&self, limit: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        while self.busy() {
            if Instant::now() > deadline {
                return Err(format!(
                    "{} is still mounted {} s after its node lost power",
                    self.device.display(),
                    limit.as_secs()
                )
                .into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Detaches it. While it is mounted, the kernel detaches it later.
    ///
    /// # Errors
    /// `losetup` fails.
    pub fn detach(&self) -> Result<(), Error> {
        run::run("losetup", &["--detach".as_ref(), self.device.as_os_str()]).map(drop)
    }

    /// Takes the size of its file, which has changed.
    ///
    /// # Errors
    /// `losetup` fails.
    pub fn take_size(&self) -> Result<(), Error> {
        // Some kernels take the size that they have seen last, which FUSE has from the last look.
        let _ = fs::metadata(&self.file);
        run::run(
            "losetup",
            &["--set-capacity".as_ref(), self.device.as_os_str()],
        )
        .map(drop)
    }

    /// Detaches it although a file system is mounted from it. `file` keeps the volume's content as it is now; a file
    /// system that is still mounted from the device gets I/O errors from now on.
    ///
    /// # Errors
    /// The content cannot be copied.
    pub fn tear_off(&self, file: &Path) -> Result<(), Error> {
        exchange_for_a_copy(file)?;
        self.take_size()?;
        self.detach()
    }
}

/// Gives `file` to a copy of its content. Whoever has the old one open keeps it, empty.
///
/// # Errors
/// The content cannot be copied.
pub fn exchange_for_a_copy(file: &Path) -> Result<(), Error> {
    let copy = file.with_extension("copy");
    copy_file(file, &copy)?;
    let orphan = OpenOptions::new().write(true).open(file)?;
    fs::rename(&copy, file)?;
    orphan.set_len(0)?;
    Ok(())
}

/// Detaches every loop device whose file is below `dir`: what a crash left.
///
/// # Errors
/// `losetup` fails for another reason than that somebody was quicker.
pub fn detach_all_below(dir: &Path) -> Result<(), Error> {
    for device in loops_below(dir) {
        if let Err(e) = run::run("losetup", &["--detach".as_ref(), device.as_os_str()])
            && loops_below(dir).contains(&device)
        {
            return Err(e);
        }
    }
    Ok(())
}

/// The file of the volume behind a block device of sysfs, if it is a loop device.
pub fn behind(block: &Path) -> Option<PathBuf> {
    let file = fs::read_to_string(block.join("loop/backing_file")).ok()?;
    Some(first_access::volume_behind(Path::new(file.trim_end())))
}

/// The loop devices whose file is below `dir`, also if the file is deleted.
pub fn loops_below(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| behind(&entry.path()).is_some_and(|file| file.starts_with(dir)))
        .map(|entry| Path::new("/dev").join(entry.file_name()))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::FileExt as _;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_volume_from_a_snapshot_has_its_content_and_its_own_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        create(&path("volume"), 1 << 20).unwrap();
        let write = |text: &[u8]| {
            let file = OpenOptions::new().write(true).open(path("volume"));
            file.unwrap().write_all_at(text, 4096).unwrap();
        };
        write(b"before");
        assert!(copy(&path("volume"), &path("snapshot")).unwrap());
        write(b"after!");
        create_from(&path("new"), &path("snapshot"), 2 << 20).unwrap();
        let new = fs::read(path("new")).unwrap();
        assert_eq!(new.len(), 2 << 20);
        assert_eq!(&new[4096..4102], b"before");
        assert!(
            fs::metadata(path("new")).unwrap().blocks() < 256,
            "not sparse"
        );
    }

    #[test]
    fn a_copy_of_a_file_that_is_written_to_is_of_no_moment() {
        let dir = tempfile::tempdir().unwrap();
        let (file, to) = (dir.path().join("volume"), dir.path().join("copy"));
        create(&file, 1 << 20).unwrap();
        let open = OpenOptions::new().write(true).open(&file).unwrap();
        let ended = AtomicBool::new(false);
        let of_one_moment = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut at = SystemTime::now();
                while !ended.load(Ordering::Relaxed) {
                    at += Duration::from_secs(1);
                    open.set_modified(at).unwrap();
                }
            });
            let copied = copy(&file, &to);
            ended.store(true, Ordering::Relaxed);
            copied.unwrap()
        });
        assert!(!of_one_moment);
    }
}
