//! Which block device is the volume: by udev's link, by the serial number in sysfs, or, on Xen alone, by the name
//! that EC2 attached it as.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Device, block_device, entries};
use ec2::VolumeId;

const BLOCK: &str = "/sys/class/block";
const HYPERVISOR: &str = "/sys/hypervisor/type";

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
    let names = by_serial(Path::new(BLOCK), volume).into_iter();
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
    let serial = serial(&Path::new(BLOCK).join(path.file_name()?));
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
