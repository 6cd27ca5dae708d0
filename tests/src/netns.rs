//! Network namespaces by name, as `ip netns` keeps them under /run/netns.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};

use crate::world::Error;
use crate::{name, run};

/// The VPC: router, EC2 endpoint, metadata, resolver, DHCP, address translation.
pub fn vpc() -> String {
    format!("{}vpc", prefix())
}

/// The LAN and its router.
pub fn lan() -> String {
    format!("{}lan", prefix())
}

/// The Internet: clients.
pub fn internet() -> String {
    format!("{}inet", prefix())
}

/// Every namespace of this process's lab begins with this.
pub fn prefix() -> String {
    format!("portsip-{}-", name::current())
}

/// The namespace of a node.
pub fn of_node(short: &str) -> String {
    format!("{}{short}", prefix())
}

/// The file that holds a namespace.
pub fn path(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

/// Whether a namespace of this name exists.
pub fn exists(name: &str) -> bool {
    path(name).exists()
}

/// Makes a namespace.
///
/// # Errors
/// It exists, or this process may not.
pub fn add(name: &str) -> Result<(), Error> {
    run::run("ip", &["netns", "add", name]).map(drop)
}

/// Removes a namespace; no error if there is none.
///
/// # Errors
/// The kernel refuses.
pub fn delete(name: &str) -> Result<(), Error> {
    if !exists(name) {
        return Ok(());
    }
    match run::run("ip", &["netns", "delete", name]) {
        Ok(_) => Ok(()),
        // A file without its mount, as a crash leaves it: `ip` refuses, removing it is enough.
        Err(e) => fs::remove_file(path(name)).map_err(|_| e),
    }
}

/// The lab's namespaces that exist.
pub fn list() -> Vec<String> {
    let prefix = prefix();
    let mut names: Vec<String> = fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(&prefix))
        .collect();
    names.sort();
    names
}

/// Moves the calling thread into a namespace.
///
/// # Errors
/// There is none of that name, or this process may not.
pub fn enter(name: &str) -> Result<(), Error> {
    let path = path(name);
    let file = File::open(&path).map_err(|e| {
        format!(
            "no network namespace {}: {e}; is the lab up?",
            path.display()
        )
    })?;
    setns(file, CloneFlags::CLONE_NEWNET)
        .map_err(|e| format!("cannot enter the network namespace {name}: {e}").into())
}

/// Runs `work` on a thread inside a namespace. Sockets it makes stay there.
///
/// # Errors
/// As [`enter`], or what `work` returns.
pub fn in_namespace<T: Send>(
    name: &str,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                enter(name)?;
                work()
            })
            .join()
            .unwrap_or_else(|_| Err(format!("the work inside {name} panicked").into()))
    })
}

/// Runs `ip -batch` inside a namespace: one process for many changes.
///
/// # Errors
/// One of the lines failed; with the line.
pub fn ip_batch(namespace: &str, lines: &str) -> Result<(), Error> {
    run::run_with_input("ip", &["-n", namespace, "-batch", "-"], lines).map(drop)
}

/// Writes a parameter of the kernel (`net/ipv4/ip_forward`), of the calling thread's namespace.
///
/// # Errors
/// There is none of that name. A kernel without IPv6 has nothing to switch off.
pub fn set_parameter(key: &str, value: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys").join(key);
    match fs::write(&path, value) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && key.starts_with("net/ipv6") => Ok(()),
        result => result.map_err(|e| format!("cannot write {}: {e}", path.display()).into()),
    }
}

/// Replaces packet filters inside a namespace.
///
/// # Errors
/// `nft` refuses the rules; with the rules.
pub fn nft(namespace: &str, rules: &str) -> Result<(), Error> {
    // A child has the namespace of the thread that starts it, and the caller may be anywhere.
    in_namespace(namespace, || {
        run::run_with_input("nft", &["-f", "-"], rules).map(drop)
    })
}
