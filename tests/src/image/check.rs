//! What this machine lacks for the lab, and the command that installs it.

use std::path::Path;

/// A program the lab runs, and the Debian or Ubuntu package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("dnsmasq", "dnsmasq-base"),
    ("ip", "iproute2"),
    ("losetup", "mount"),
    ("mkfs.xfs", "xfsprogs"),
    ("mmdebstrap", "mmdebstrap"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("patchelf", "patchelf"),
    ("ssh", "openssh-client"),
    ("systemd-nspawn", "systemd-container"),
    ("xmllint", "libxml2-utils"),
];

/// Everything that is missing, as sentences; empty when the lab can run.
#[derive(Debug, Default)]
pub struct Missing {
    /// Packages to install.
    pub packages: Vec<&'static str>,
    /// What no package brings.
    pub obstacles: Vec<String>,
}

impl Missing {
    /// Whether the lab can run.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.obstacles.is_empty()
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for obstacle in &self.obstacles {
            writeln!(f, "{obstacle}")?;
        }
        if !self.packages.is_empty() {
            writeln!(f, "apt-get install -y {}", self.packages.join(" "))?;
        }
        Ok(())
    }
}

/// Looks at this machine.
pub fn missing() -> Missing {
    let mut missing = Missing::default();
    for (program, package) in PROGRAMS {
        if !on_path(program) && !missing.packages.contains(package) {
            missing.packages.push(package);
        }
    }
    if !Path::new("/usr/share/keyrings/debian-archive-keyring.gpg").exists() {
        missing.packages.push("debian-archive-keyring");
    }
    if !nix::unistd::Uid::effective().is_root() {
        missing
            .obstacles
            .push("The lab makes network namespaces and mounts: run it as root (sudo).".to_owned());
    }
    if crate::cgroup::mount_point().is_none() {
        missing.obstacles.push(
            "No cgroup v2 hierarchy is mounted: mount one, or boot with systemd.unified_cgroup_hierarchy=1."
                .to_owned(),
        );
    }
    if !Path::new("/dev/loop-control").exists() {
        missing
            .obstacles
            .push("This kernel has no loop devices: modprobe loop.".to_owned());
    }
    if !Path::new("/dev/fuse").exists() {
        missing
            .obstacles
            .push("This kernel has no FUSE: modprobe fuse.".to_owned());
    }
    missing
}

fn on_path(program: &str) -> bool {
    // sbin is not on everybody's PATH, but it is on root's.
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"])
        .any(|dir| Path::new(dir).join(program).exists())
}
