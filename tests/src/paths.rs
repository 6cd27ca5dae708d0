//! Where the lab keeps things: what is built once (cache), what the nodes write (run),
//! and what says that a lab exists (state).

use std::path::{Path, PathBuf};

/// Control socket, lock and record of the running lab; gone after `lab down`.
pub const STATE: &str = "/run/portsip-ha-lab";

/// Held by whoever has the one lab, whatever cache it uses.
pub const ONE_LAB: &str = "/run/portsip-ha-lab.lock";

/// `${XDG_CACHE_HOME:-~/.cache}/portsip-ha`: images, keyed by what they are built from.
pub fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|v| Path::new(v).is_absolute())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/var/cache"));
    base.join("portsip-ha")
}

/// Disks of the running lab. In the cache directory because the nodes' Docker data is
/// hard-linked from there; removed by `lab down`.
pub fn disks() -> PathBuf {
    cache().join("run")
}

/// A path below [`STATE`].
pub fn state(name: &str) -> PathBuf {
    Path::new(STATE).join(name)
}
