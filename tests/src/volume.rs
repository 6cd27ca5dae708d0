//! The disks behind EBS volumes: a sparse file each, and the loop device through which a
//! container node sees it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::run;
use crate::world::Error;

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

/// A loop device on a volume's file.
#[derive(Debug, Clone)]
pub struct Loop {
    device: PathBuf,
    number: u64,
}

impl Loop {
    /// Sets one up.
    ///
    /// # Errors
    /// No loop device is free, or the file is missing.
    pub fn attach(file: &Path) -> Result<Self, Error> {
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
        Ok(Self { device, number })
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
    run::run(
        "cp",
        &[
            "--sparse=always".as_ref(),
            "--reflink=auto".as_ref(),
            file.as_os_str(),
            copy.as_os_str(),
        ],
    )?;
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

/// The loop devices whose file is below `dir`, also if the file is deleted.
pub fn loops_below(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            fs::read_to_string(entry.path().join("loop/backing_file"))
                .is_ok_and(|file| Path::new(file.trim_end()).starts_with(dir))
        })
        .map(|entry| Path::new("/dev").join(entry.file_name()))
        .collect();
    found.sort();
    found
}
