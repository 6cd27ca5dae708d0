//! What tells one node from another: the files that are not in the image they share.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::site::{self, INSTANCES, Instance};
use crate::world::Error;

/// Path below the root directory, and content, of the files that are a node's own.
pub fn files(instance: &Instance) -> [(&'static str, String); 2] {
    let mut hosts = String::from("127.0.0.1 localhost\n");
    for other in &INSTANCES {
        let _ = writeln!(hosts, "{} {}", other.private_ip, other.hostname);
    }
    let _ = writeln!(hosts, "{} {}", site::EC2_ADDRESS, site::EC2_ENDPOINT);
    [
        ("etc/hostname", format!("{}\n", instance.hostname)),
        ("etc/hosts", hosts),
    ]
}

/// Writes them below `root`.
///
/// # Errors
/// The disk refuses.
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
