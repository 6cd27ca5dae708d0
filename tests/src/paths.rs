//! Where the lab keeps things: what is built once (cache), what the nodes write (run),
//! and what says that a lab exists (state).

use std::path::{Path, PathBuf};

use crate::name;

/// Below it, each lab has a directory of its name.
const STATES: &str = "/run/portsip-ha-lab";

/// `${XDG_CACHE_HOME:-~/.cache}/portsip-ha`: images, keyed by what they are built from.
pub fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|v| Path::new(v).is_absolute())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/var/cache"));
    base.join("portsip-ha")
}

/// Where a new lab's disks go. In the cache directory because the nodes' Docker data is
/// hard-linked from there; removed by `lab down`.
pub fn disks() -> PathBuf {
    cache().join("run").join(name::current())
}

/// Control socket, log and record of this process's lab; gone after `lab down`.
pub fn state_dir() -> PathBuf {
    Path::new(STATES).join(name::current())
}

/// The names of the labs that have a state, up or not.
pub fn labs() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(STATES)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// A path below [`state_dir`].
pub fn state(name: &str) -> PathBuf {
    state_dir().join(name)
}

/// Held by whoever has, or is starting, the lab of this name.
pub fn lock(name: &str) -> PathBuf {
    Path::new(STATES).join(format!("{name}.lock"))
}

/// A path that the running lab has noted, because whoever asks may have another cache directory.
pub fn noted(name: &str) -> Option<PathBuf> {
    std::fs::read_to_string(state(name))
        .ok()
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}
