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

use crate::aws::VolumeId;

/// A block device that is the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its path in /dev.
    pub path: PathBuf,
    /// `major:minor`, as in mountinfo.
    pub number: String,
}

/// The device of `volume`, by what identifies it for certain: udev's link, or the serial
/// number of an NVMe controller. Xen shows no serial: `xen` is the name that EC2 attached it as, if it is known.
pub fn find(volume: &VolumeId, xen: Option<&str>) -> Option<Device> {
    let link = PathBuf::from(format!(
        "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{}",
        volume.serial()
    ));
    by_link(&link, volume)
        .or_else(|| {
            by_serial(Path::new("/sys/class/nvme"), volume).and_then(|path| block_device(&path))
        })
        .or_else(|| block_device(&xen_path(xen?)?))
}

/// What udev's link leads to, unless it is left over and another volume is there now.
fn by_link(link: &Path, volume: &VolumeId) -> Option<Device> {
    let path = fs::canonicalize(link).ok()?;
    let name = path.file_name()?;
    let serial = fs::read_to_string(
        Path::new("/sys/class/block")
            .join(name)
            .join("device/serial"),
    );
    if serial.is_ok_and(|serial| serial.trim() != volume.serial()) {
        return None;
    }
    block_device(&path)
}

/// The first namespace of the controller with the volume's serial number.
fn by_serial(controllers: &Path, volume: &VolumeId) -> Option<PathBuf> {
    for controller in fs::read_dir(controllers).ok()?.flatten() {
        let serial = fs::read_to_string(controller.path().join("serial")).unwrap_or_default();
        if serial.trim() == volume.serial() {
            // nvme1 has nvme1n1. With multipath it shows as nvme1c1n1 there, the device has no c1.
            return Some(Path::new("/dev").join(format!("{}n1", controller.file_name().display())));
        }
    }
    None
}

/// `/dev/sdf` and `/dev/xvdf` are `/dev/xvdf` on Xen.
fn xen_path(name: &str) -> Option<PathBuf> {
    let name = name.strip_prefix("/dev/")?;
    let letters = name
        .strip_prefix("sd")
        .or_else(|| name.strip_prefix("xvd"))?;
    Some(PathBuf::from(format!("/dev/xvd{letters}")))
}

fn block_device(path: &Path) -> Option<Device> {
    let metadata = fs::metadata(path).ok()?;
    metadata.file_type().is_block_device().then(|| Device {
        path: path.to_owned(),
        number: format!("{}:{}", major(metadata.rdev()), minor(metadata.rdev())),
    })
}

impl Device {
    /// Its size in bytes; 0 when there is nothing behind it any more.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn size(&self) -> io::Result<u64> {
        File::open(&self.path)?.seek(SeekFrom::End(0))
    }

    /// Whether it can be opened and has a size.
    pub fn is_live(&self) -> bool {
        self.size().is_ok_and(|size| size > 0)
    }

    /// Whether there is certainly no disk behind it any more. An error that says nothing about
    /// the disk leaves it open.
    pub fn is_gone(&self) -> bool {
        match self.size() {
            Ok(size) => size == 0,
            Err(error) => matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::ENXIO | libc::ENODEV | libc::ENOMEDIUM)
            ),
        }
    }

    /// Whether a mounted file system, here or in another mount namespace, or something else holds it.
    ///
    /// # Errors
    /// When it can't be opened for another reason.
    pub fn is_held(&self) -> io::Result<bool> {
        match OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_EXCL)
            .open(&self.path)
        {
            Ok(_) => Ok(false),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Writes out what the kernel still holds back, to the disk itself.
    ///
    /// # Errors
    /// EIO when the disk does not take it.
    pub fn flush(&self) -> io::Result<()> {
        OpenOptions::new().write(true).open(&self.path)?.sync_all()
    }

    /// Reads a block from the disk, past the page cache, on a thread that is left behind if the disk
    /// does not answer within `limit`.
    ///
    /// # Errors
    /// The disk's, and `TimedOut`.
    pub fn read_block(&self, limit: Duration) -> io::Result<()> {
        let path = self.path.clone();
        let (done, answer) = mpsc::channel();
        std::thread::Builder::new().spawn(move || {
            let _ = done.send(read_past_cache(&path));
        })?;
        answer
            .recv_timeout(limit)
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

fn read_past_cache(path: &Path) -> io::Result<()> {
    const BLOCK: usize = 4096;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)?;
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
    fn the_controller_is_found_by_the_whole_serial() {
        let sys = tempfile::tempdir().unwrap();
        for (controller, serial) in [
            ("nvme0", "vol0e06e1e9da3c49b66\n"),
            ("nvme3", "vol0e06e1e9da3c49b67   \n"),
        ] {
            fs::create_dir(sys.path().join(controller)).unwrap();
            fs::write(sys.path().join(controller).join("serial"), serial).unwrap();
        }
        let volume = "vol-0e06e1e9da3c49b67".parse().unwrap();
        assert_eq!(
            by_serial(sys.path(), &volume),
            Some(PathBuf::from("/dev/nvme3n1"))
        );
        let other = "vol-0e06e1e9da3c49b68".parse().unwrap();
        assert_eq!(by_serial(sys.path(), &other), None);
    }

    #[test]
    fn xen_names() {
        for name in ["/dev/sdf", "/dev/xvdf"] {
            assert_eq!(xen_path(name), Some(PathBuf::from("/dev/xvdf")));
        }
        assert_eq!(xen_path("/dev/nvme1n1"), None);
    }

    #[test]
    fn a_link_to_what_is_no_block_device_is_no_volume() {
        assert_eq!(block_device(Path::new("/dev/null")), None);
        assert_eq!(block_device(Path::new("/etc/passwd")), None);
    }
}
