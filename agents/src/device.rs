//! An EBS volume as the kernel shows it: which block device it is, whether it is alive, and
//! whether anything still writes to it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use nix::libc;
use nix::sys::stat::{major, minor};

mod find;

pub(crate) use find::{find, is_xen};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) path: PathBuf,
    /// `major:minor`, as in mountinfo.
    pub(crate) number: String,
    /// Whether nothing but its name says that it is the volume, as on Xen.
    pub(crate) by_name: bool,
}

fn block_device(path: &Path) -> Option<Device> {
    Some(Device {
        path: path.to_owned(),
        number: number_of(&fs::metadata(path).ok()?)?,
        by_name: false,
    })
}

/// The number of the block device that a file is, if it is one.
pub(crate) fn number_of(file: &fs::Metadata) -> Option<String> {
    let is_block = file.file_type().is_block_device();
    is_block.then(|| number(file.rdev()))
}

/// `major:minor`, as in mountinfo and in sysfs.
pub(crate) fn number(device: u64) -> String {
    format!("{}:{}", major(device), minor(device))
}

/// What is in a directory; nothing if it cannot be read.
pub(crate) fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

impl Device {
    pub(crate) fn numbers(&self) -> Vec<String> {
        let partitions = entries(&Path::new("/sys/dev/block").join(&self.number))
            .filter(|it| it.join("partition").exists());
        let numbers = partitions.filter_map(|it| fs::read_to_string(it.join("dev")).ok());
        let mut all = vec![self.number.clone()];
        all.extend(numbers.map(|number| number.trim().to_owned()));
        all
    }

    /// Its size in bytes; 0 when there is nothing behind it any more.
    pub(crate) fn size(&self) -> io::Result<u64> {
        File::open(&self.path)?.seek(SeekFrom::End(0))
    }

    pub(crate) fn is_live(&self) -> bool {
        self.size().is_ok_and(|size| size > 0)
    }

    /// Whether there is certainly no disk behind it any more. Other errors say nothing about the disk.
    pub(crate) fn is_gone(&self) -> bool {
        use libc::{ENODEV, ENOENT, ENOMEDIUM, ENXIO};
        match self.size() {
            Ok(size) => size == 0,
            Err(error) => {
                matches!(
                    error.raw_os_error(),
                    Some(ENOENT | ENXIO | ENODEV | ENOMEDIUM)
                )
            }
        }
    }

    /// Whether a mounted file system, here or in another mount namespace, or something else holds it.
    pub(crate) fn is_held(&self) -> io::Result<bool> {
        match open(&self.path, libc::O_EXCL) {
            Ok(_) => Ok(false),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Writes what the kernel still has in memory to the disk itself. EIO when the disk does not take it.
    pub(crate) fn flush(&self) -> io::Result<()> {
        OpenOptions::new().write(true).open(&self.path)?.sync_all()
    }

    /// Reads a block from the disk, past the page cache, on a thread that is left behind with `TimedOut` if the disk
    /// does not answer within `limit`.
    pub(crate) fn read_block(&self, limit: Duration) -> io::Result<()> {
        let path = self.path.clone();
        let (done, answer) = mpsc::channel();
        std::thread::Builder::new().spawn(move || drop(done.send(read_past_cache(&path))))?;
        let timed_out = |_| Err(io::Error::from(io::ErrorKind::TimedOut));
        answer.recv_timeout(limit).unwrap_or_else(timed_out)
    }
}

fn open(path: &Path, flags: i32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags).open(path)
}

fn read_past_cache(path: &Path) -> io::Result<()> {
    const BLOCK: usize = 4096;
    let file = open(path, libc::O_DIRECT)?;
    // O_DIRECT wants memory that begins at a multiple of the block size (open(2)).
    let mut memory = vec![0; 2 * BLOCK];
    let start = memory.as_ptr().align_offset(BLOCK);
    file.read_exact_at(&mut memory[start..start + BLOCK], 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_what_is_no_block_device_is_no_volume() {
        assert_eq!(block_device(Path::new("/dev/null")), None);
        assert_eq!(block_device(Path::new("/etc/passwd")), None);
    }
}
