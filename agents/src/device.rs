//! An EBS volume as the kernel shows it: which block device it is (by udev's link, by the serial number in sysfs, or, on
//! Xen alone, by the name that EC2 attached it as), whether it is alive, and whether anything still writes to it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use nix::libc;
use nix::sys::stat::{major, minor};

use ec2::VolumeId;

const DISKS: &str = "/sys/class/block";
const HYPERVISOR: &str = "/sys/hypervisor/type";

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

/// The device of `volume`. Xen shows no serial number: there, `xen` is the name under which EC2 has said that
/// the volume is attached to this instance, if it has.
///
/// After a disk was pulled out while it was mounted, the old device stays and the disk comes back under
/// another name (`nvme1n2`). So one with a disk behind it goes before one without.
pub(crate) fn find(volume: &VolumeId, xen: Option<&str>) -> Option<Device> {
    let serial = volume.serial();
    let link = format!("/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}");
    let linked = by_link(Path::new(&link), volume);
    if linked.as_ref().is_some_and(Device::is_live) {
        return linked;
    }
    let names = by_serial(Path::new(DISKS), volume).into_iter();
    let named = names.filter_map(|name| block_device(&Path::new("/dev").join(name)));
    let mut found: Vec<Device> = linked.into_iter().chain(named).collect();
    if found.is_empty() && is_xen() {
        let mut device = block_device(&xen_path(xen?)?)?;
        device.by_name = true;
        return Some(device);
    }
    let best = found.iter().position(Device::is_live);
    let best = best.or_else(|| found.iter().position(|device| !device.is_gone()));
    (!found.is_empty()).then(|| found.swap_remove(best.unwrap_or_default()))
}

/// Whether this instance is one on Xen, whose disks are called `/dev/xvd*` and have no serial number.
pub(crate) fn is_xen() -> bool {
    fs::read_to_string(HYPERVISOR).is_ok_and(|name| name.trim() == "xen")
}

/// What udev's link leads to, unless it is left over and another volume is there now.
fn by_link(link: &Path, volume: &VolumeId) -> Option<Device> {
    let path = fs::canonicalize(link).ok()?;
    let serial = serial(&Path::new(DISKS).join(path.file_name()?));
    if serial.is_some_and(|serial| serial != volume.serial()) {
        return None;
    }
    block_device(&path)
}

/// The names of the NVMe disks with the volume's serial number: whatever number the kernel gave the namespace.
fn by_serial(block: &Path, volume: &VolumeId) -> Vec<String> {
    let is_it = |disk: &PathBuf| {
        let hidden = fs::read_to_string(disk.join("hidden")).unwrap_or_default();
        // With native multipath each path (nvme1c1n1) has the serial number too, and no device in /dev.
        hidden.trim() != "1"
            && !disk.join("partition").exists()
            && serial(disk) == Some(volume.serial())
    };
    let disks = entries(block).filter(is_it);
    let names = disks.filter_map(|disk| Some(disk.file_name()?.to_str()?.to_owned()));
    let mut names: Vec<String> = names.filter(|name| name.starts_with("nvme")).collect();
    names.sort();
    names
}

/// The serial number of the controller of a disk, or with native multipath that of its subsystem.
fn serial(disk: &Path) -> Option<String> {
    let serial = fs::read_to_string(disk.join("device/serial")).ok()?;
    Some(serial.trim().to_owned())
}

/// `/dev/sdf` and `/dev/xvdf` are `/dev/xvdf` on Xen.
fn xen_path(name: &str) -> Option<PathBuf> {
    let name = name.strip_prefix("/dev/")?;
    let letters = name.strip_prefix("sd").or_else(|| name.strip_prefix("xvd"));
    Some(PathBuf::from(format!("/dev/xvd{}", letters?)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_to_what_is_no_block_device_is_no_volume() {
        assert_eq!(block_device(Path::new("/dev/null")), None);
        assert_eq!(block_device(Path::new("/etc/passwd")), None);
    }

    const SERIAL: &str = "vol0e06e1e9da3c49b67";

    /// /sys/class/block with these disks, each with the serial number of what is behind it.
    fn disks(disks: &[(&str, &str)]) -> tempfile::TempDir {
        let block = tempfile::tempdir().unwrap();
        for (name, serial) in disks {
            let behind = block.path().join(name).join("device");
            fs::create_dir_all(&behind).unwrap();
            fs::write(behind.join("serial"), format!("{serial}  \n")).unwrap();
        }
        block
    }

    fn found(block: &tempfile::TempDir) -> Vec<String> {
        by_serial(block.path(), &"vol-0e06e1e9da3c49b67".parse().unwrap())
    }

    #[test]
    fn the_disk_is_found_by_the_whole_serial() {
        let block = disks(&[("nvme0n1", "vol0e06e1e9da3c49b66"), ("nvme3n1", SERIAL)]);
        assert_eq!(found(&block), ["nvme3n1"]);
        assert!(found(&disks(&[("nvme0n1", "vol0e06e1e9da3c49b6")])).is_empty());
    }

    #[test]
    fn a_namespace_may_have_any_number() {
        assert_eq!(found(&disks(&[("nvme1n2", SERIAL)])), ["nvme1n2"]);
        let twice = disks(&[("nvme1n2", SERIAL), ("nvme1n1", SERIAL)]);
        assert_eq!(found(&twice), ["nvme1n1", "nvme1n2"]);
    }

    #[test]
    fn the_paths_of_a_multipath_disk_and_partitions_are_not_the_disk() {
        let block = disks(&[("nvme2n1", SERIAL), ("nvme2c2n1", SERIAL)]);
        fs::write(block.path().join("nvme2c2n1/hidden"), "1\n").unwrap();
        fs::write(block.path().join("nvme2n1/hidden"), "0\n").unwrap();
        let partition = block.path().join("nvme2n1p1");
        fs::create_dir(&partition).unwrap();
        fs::write(partition.join("partition"), "1\n").unwrap();
        symlink("../nvme2n1/device", partition.join("device")).unwrap();
        assert_eq!(found(&block), ["nvme2n1"]);
    }

    #[test]
    fn disks_of_other_kinds_are_passed_over() {
        assert!(found(&disks(&[("sdb", SERIAL)])).is_empty());
        assert!(found(&disks(&[])).is_empty());
    }

    #[test]
    fn xen_names() {
        for name in ["/dev/sdf", "/dev/xvdf"] {
            assert_eq!(xen_path(name), Some(PathBuf::from("/dev/xvdf")));
        }
        for none in ["/dev/nvme1n1", ""] {
            assert_eq!(xen_path(none), None);
        }
    }
}
