//! What tells one node from another: the files that are not in the image they share. On EC2 cloud-init
//! writes them at the first boot.

use std::fs;
use std::path::Path;

use crate::site::{self, Instance};
use crate::world::Error;

/// Path below the root directory, and content, of the files that are a node's own.
pub fn files(instance: &Instance) -> [(&'static str, String); 2] {
    // As Debian's installer and its cloud images have it: a node's own name is not its address.
    let hosts = format!(
        "127.0.0.1 localhost\n127.0.1.1 {name}.{domain} {name}\n::1 localhost ip6-localhost ip6-loopback\n",
        name = instance.hostname,
        domain = site::DOMAIN,
    );
    [
        ("etc/hostname", format!("{}\n", instance.hostname)),
        ("etc/hosts", hosts),
    ]
}

/// Writes them below `root`.
///
/// # Errors
/// A file cannot be written.
pub fn write(instance: &Instance, root: &Path) -> Result<(), Error> {
    for (path, content) in files(instance) {
        let path = root.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    Ok(())
}
