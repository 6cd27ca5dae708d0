//! What tells one node from another: the files that are not in the image they share. On EC2 cloud-init
//! writes them at the first boot, on a LAN the distribution's installer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::site::{Host, Site, lan};
use crate::world::Error;

/// Path below the root directory, mode and content of the files that are a node's own.
pub fn files(host: &Host) -> Vec<(&'static str, u32, String)> {
    // As Debian's installer and its cloud images have it: a node's own name is not its address.
    let hosts = format!(
        "127.0.0.1 localhost\n127.0.1.1 {name}.{domain} {name}\n::1 localhost ip6-localhost ip6-loopback\n",
        name = host.hostname,
        domain = host.site.domain(),
    );
    let mut files = vec![
        ("etc/hostname", 0o644, format!("{}\n", host.hostname)),
        ("etc/hosts", 0o644, hosts),
    ];
    if host.site == Site::Lan {
        // Where and as Ubuntu 24.04's installer writes a static address.
        files.push((
            "etc/netplan/50-cloud-init.yaml",
            0o600,
            static_address(host),
        ));
    }
    files
}

fn static_address(host: &Host) -> String {
    format!(
        "network:
  version: 2
  ethernets:
    {interface}:
      addresses:
      - \"{address}/{prefix}\"
      nameservers:
        addresses:
        - {router}
        search:
        - {domain}
      routes:
      - to: \"default\"
        via: \"{router}\"
",
        interface = lan::INTERFACE,
        address = host.private_ip,
        prefix = lan::PREFIX,
        router = lan::ROUTER,
        domain = lan::DOMAIN,
    )
}

/// Writes them below `root`.
///
/// # Errors
/// A file cannot be written.
pub fn write(host: &Host, root: &Path) -> Result<(), Error> {
    for (path, mode, content) in files(host) {
        let path = root.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    Ok(())
}
