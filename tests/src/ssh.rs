//! Commands on nodes and files to nodes: the system's ssh, from inside the VPC, as the user that an
//! operator has there, who becomes root by sudo. One connection per node, which later commands reuse.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::image::Image;
use crate::site::Instance;
use crate::world::Error;
use crate::{netns, paths};

/// The user that cloud-init makes on an instance. root does not log in.
pub const USER: &str = "ubuntu";

/// Exit status of `timeout` when the time was over.
const TIMED_OUT: i32 = 124;

/// Runs a shell script as root on a node.
///
/// # Errors
/// It has not ended after `limit`, or ssh cannot be run here. A node that cannot be reached is an
/// [`Output`] with status 255.
pub fn run(image: &Image, node: &Instance, script: &str, limit: Duration) -> Result<Output, Error> {
    let mut command = in_vpc(Some(limit));
    command
        .arg("ssh")
        .args(options(image))
        .arg(format!("{USER}@{}", node.private_ip))
        .arg(as_root(script));
    finish(command, node, script, limit)
}

/// Copies a file or a directory to a node; it is root's there.
///
/// # Errors
/// The node refuses, or it has taken longer than `limit`.
pub fn copy_to(
    image: &Image,
    node: &Instance,
    local: &Path,
    remote: &Path,
    limit: Duration,
) -> Result<(), Error> {
    static COPIES: AtomicU64 = AtomicU64::new(0);
    let number = COPIES.fetch_add(1, Ordering::Relaxed);
    let incoming = format!("/home/{USER}/incoming-{}-{number}", std::process::id());
    let mut command = in_vpc(Some(limit));
    command
        .args(["scp", "-q", "-r", "-p"])
        .args(options(image))
        .arg(local)
        .arg(format!("{USER}@{}:{incoming}", node.private_ip));
    let remote = remote.display();
    let what = format!("copying {} to {remote}", local.display());
    let mut output = finish(command, node, &what, limit)?;
    if output.status.success() {
        let put =
            format!("cp -rT --preserve=mode,timestamps {incoming} {remote} && rm -r {incoming}");
        output = run(image, node, &put, limit)?;
    }
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{what} of {} failed ({}): {}",
        node.hostname,
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )
    .into())
}

/// A script for root, as a command line for the user's shell.
pub fn as_root(script: &str) -> String {
    format!("sudo -n bash -c '{}'", script.replace('\'', r"'\''"))
}

/// An ssh session for a person, or a command with this process's own stdin and stdout.
pub fn session(image: &Image, node: &Instance, command: &[String]) -> Command {
    let mut ssh = in_vpc(None);
    ssh.arg("ssh").args(options(image));
    if command.is_empty() {
        ssh.arg("-t");
    }
    ssh.arg(format!("{USER}@{}", node.private_ip)).args(command);
    ssh
}

/// Closes the connection to a node. Without this, a dead connection is noticed only seconds later.
pub fn close_connection(node: &Instance) {
    let _ = std::fs::remove_file(paths::state(&format!("ssh-{}", node.private_ip)));
}

fn in_vpc(limit: Option<Duration>) -> Command {
    let mut enter = OsString::from("--net=");
    enter.push(netns::path(&netns::vpc()));
    match limit {
        None => {
            let mut command = Command::new("nsenter");
            command.arg(enter);
            command
        }
        Some(limit) => {
            let mut command = Command::new("timeout");
            command
                .arg(format!("{:.3}", limit.as_secs_f64()))
                .arg("nsenter")
                .arg(enter);
            command
        }
    }
}

fn options(image: &Image) -> Vec<OsString> {
    let text = |name: &str, value: &OsStr| {
        let mut option = OsString::from(name);
        option.push("=");
        option.push(value);
        option
    };
    let settings = [
        text("IdentityFile", image.ssh_key().as_os_str()),
        text("UserKnownHostsFile", image.known_hosts().as_os_str()),
        text("ControlPath", paths::state("ssh-%h").as_os_str()),
        "IdentitiesOnly=yes".into(),
        "GlobalKnownHostsFile=/dev/null".into(),
        "StrictHostKeyChecking=yes".into(),
        "BatchMode=yes".into(),
        "LogLevel=ERROR".into(),
        "ConnectTimeout=5".into(),
        "ControlMaster=auto".into(),
        "ControlPersist=60".into(),
        // A kernel node on a busy machine may not answer for many seconds. The connection to a node whose
        // power is cut ends by `close_connection`.
        "ServerAliveInterval=5".into(),
        "ServerAliveCountMax=12".into(),
    ];
    // No configuration file of the person who runs the lab.
    let mut options: Vec<OsString> = vec!["-F".into(), "none".into()];
    for setting in settings {
        options.push("-o".into());
        options.push(setting);
    }
    options
}

fn finish(
    mut command: Command,
    node: &Instance,
    what: &str,
    limit: Duration,
) -> Result<Output, Error> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run ssh: {e}; `lab check` says what to install"))?;
    if output.status.code() == Some(TIMED_OUT) {
        return Err(format!(
            "{} has not ended after {} s: {what}",
            node.hostname,
            limit.as_secs()
        )
        .into());
    }
    Ok(output)
}
