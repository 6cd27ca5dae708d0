//! Commands on nodes and files to nodes: the system's ssh, from inside the site's network, as the user that
//! an operator has there, who becomes root by sudo. One connection per node, which later commands reuse.

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::image::Image;
use crate::site::{Host, Site};
use crate::world::Error;
use crate::{netns, paths};

/// Exit status of `timeout` when the time was over.
const TIMED_OUT: i32 = 124;

/// Runs a shell script as root on a node.
///
/// # Errors
/// It has not ended after `limit`, or ssh cannot be run here. A node that cannot be reached is an
/// [`Output`] with status 255.
pub fn run(image: &Image, node: &Host, script: &str, limit: Duration) -> Result<Output, Error> {
    over_ssh(image, node, &as_root(node.site, script), script, limit)
}

/// Runs a shell script as the site's user, who writes `sudo` where root is needed, as the documentation does.
///
/// # Errors
/// As [`run`].
pub fn run_as_user(
    image: &Image,
    node: &Host,
    script: &str,
    limit: Duration,
) -> Result<Output, Error> {
    over_ssh(image, node, &as_user(node.site, script), script, limit)
}

fn over_ssh(
    image: &Image,
    node: &Host,
    line: &str,
    what: &str,
    limit: Duration,
) -> Result<Output, Error> {
    let mut command = inside(node, Some(limit));
    command
        .arg("ssh")
        .args(options(image))
        .arg(login(node))
        .arg(line);
    finish(command, node, what, limit)
}

/// Copies a file or a directory to a node; it is root's there.
///
/// # Errors
/// The node refuses, or it has taken longer than `limit`.
pub fn copy_to(
    image: &Image,
    node: &Host,
    local: &Path,
    remote: &Path,
    limit: Duration,
) -> Result<(), Error> {
    static COPIES: AtomicU64 = AtomicU64::new(0);
    let number = COPIES.fetch_add(1, Ordering::Relaxed);
    let user = node.site.user();
    let incoming = format!("/home/{user}/incoming-{}-{number}", std::process::id());
    let mut command = inside(node, Some(limit));
    command
        .args(["scp", "-q", "-r", "-p"])
        .args(options(image))
        .arg(local)
        .arg(format!("{}:{incoming}", login(node)));
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

/// A script for root, as a command line for the shell of the site's user. Where sudo asks for a password, it
/// reads the password, and nothing else, from its input.
pub fn as_root(site: Site, script: &str) -> String {
    let script = script.replace('\'', r"'\''");
    match site.sudo_password() {
        None => format!("sudo -n bash -c '{script}'"),
        Some(_) => format!("sudo -k -S -p '' bash -c 'exec </dev/null\n{script}'"),
    }
}

/// A script for the site's user, as a command line for that user's shell. Where sudo asks for a password, it is
/// asked once, before the script; sudo then knows the shell for a while, as it knows a terminal. A shell becomes its
/// last command, so the last one is not the script's.
fn as_user(site: Site, script: &str) -> String {
    let script = script.replace('\'', r"'\''");
    match site.sudo_password() {
        None => format!("bash -c '{script}'"),
        Some(_) => {
            format!("bash -c 'sudo -S -p \"\" -v || exit\nexec </dev/null\n{script}\nexit'")
        }
    }
}

fn login(node: &Host) -> String {
    format!("{}@{}", node.site.user(), node.private_ip)
}

/// An ssh session for a person, or a command with this process's own stdin and stdout.
pub fn session(image: &Image, node: &Host, command: &[String]) -> Command {
    let mut ssh = inside(node, None);
    ssh.arg("ssh").args(options(image));
    // A command may ask for something, as sudo does for a password.
    if command.is_empty() || (std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        ssh.arg("-t");
    }
    ssh.arg(login(node)).args(command);
    ssh
}

/// Closes the connection to a node. Without this, a dead connection is noticed only seconds later.
pub fn close_connection(node: &Host) {
    let _ = std::fs::remove_file(paths::state(&format!("ssh-{}", node.private_ip)));
}

fn inside(node: &Host, limit: Option<Duration>) -> Command {
    let mut enter = OsString::from("--net=");
    enter.push(netns::path(&node.site.namespace()));
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

fn finish(mut command: Command, node: &Host, what: &str, limit: Duration) -> Result<Output, Error> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot run ssh: {e}; `lab check` says what to install"))?;
    if let Some(mut stdin) = child.stdin.take()
        && let Some(password) = node.site.sudo_password()
    {
        // A command that ends before it has read this says why.
        let _ = writeln!(stdin, "{password}");
    }
    let output = child.wait_with_output()?;
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
