//! A block device in a container's /dev, as udev would have made it on EC2. From outside, through
//! the container's init: it has no udev, because /sys is not its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, mknod};

use crate::world::Error;

/// Where the volume's by-id link is, as udev names it on EC2.
fn link(dev: &Path, volume: &str) -> PathBuf {
    dev.join(format!(
        "disk/by-id/nvme-Amazon_Elastic_Block_Store_{}",
        volume.replacen('-', "", 1)
    ))
}

fn dev(init: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{init}/root/dev"))
}

/// Makes the device `name` with this number, and the volume's link to it.
///
/// # Errors
/// The container is ending.
pub(super) fn show(init: u32, volume: &str, name: &str, number: u64) -> Result<(), Error> {
    let dev = dev(init);
    let node = dev.join(name);
    let doing = |e: &dyn std::fmt::Display| -> Error {
        format!("cannot make /dev/{name} for {volume}: {e}").into()
    };
    mknod(
        &node,
        SFlag::S_IFBLK,
        Mode::from_bits_truncate(0o660),
        number,
    )
    .map_err(|e| doing(&e))?;
    let link = link(&dev, volume);
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent).map_err(|e| doing(&e))?;
    }
    symlink(Path::new("../..").join(name), &link).map_err(|e| doing(&e))
}

/// Removes both; what is open stays open.
///
/// # Errors
/// The container is ending.
pub(super) fn hide(init: u32, volume: &str, name: &str) -> Result<(), Error> {
    let dev = dev(init);
    for path in [link(&dev, volume), dev.join(name)] {
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("cannot remove {}: {e}", path.display()).into());
            }
            _ => {}
        }
    }
    Ok(())
}
