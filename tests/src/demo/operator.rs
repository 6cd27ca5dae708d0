//! An operator on a node: the user of the site, with what the vendor's guide has there, and `ha-ctl` as that user
//! runs it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::cluster::{self, MINUTES, SECONDS};
use crate::lab::Lab;
use crate::progress::Progress;
use crate::site::{Host, Site};
use crate::world::Error;

/// How ha-ctl is run from the package, before that is installed anywhere: always the same command.
pub const DEPLOY: &str =
    "p/usr/bin/ha-ctl deploy vars.yml --package portsip-ha.deb --accept-new-host-keys";
/// Where the password of sudo is for as long as ha-ctl may read it, in the user's home directory.
const PASSWORD: &str = "sudo-password";

/// Longer than a deployment that works, on a machine that has other things to do.
fn deployed_within(site: Site) -> Duration {
    match site {
        Site::Ec2 => Duration::from_secs(900),
        // A process costs a kernel node 25 to 70 ms.
        Site::Lan => Duration::from_secs(2700),
    }
}

/// Where the key is to log in on the other nodes: on EC2 the one of vars.yml, on a LAN the user's own.
pub fn key(site: Site) -> String {
    let name = match site {
        Site::Ec2 => "aws-portsip-pbx-ha.pem",
        Site::Lan => "id_ed25519",
    };
    format!("/home/{}/.ssh/{name}", site.user())
}

/// Puts the key there, as the vendor's guide says.
///
/// # Errors
/// The node refuses it.
pub fn put_key(lab: &Lab, node: &Host) -> Result<(), Error> {
    lab.copy_to(node, &lab.ssh_key(), Path::new("/root/key"))?;
    let (user, key) = (node.site.user(), key(node.site));
    let install = format!("install -m 400 -o {user} -g {user} /root/key {key} && rm /root/key");
    cluster::run(lab, node, "the user's key", &install, SECONDS).map(drop)
}

/// Puts the package and vars.yml into the user's home directory.
///
/// # Errors
/// The node refuses one of them.
pub fn put_files(lab: &Lab, node: &Host, deb: &Path, vars: &str) -> Result<(), Error> {
    let user = node.site.user();
    let home = format!("/home/{user}");
    let directory = tempfile::tempdir()?;
    let local = directory.path().join("vars.yml");
    std::fs::write(&local, vars)?;
    for (file, name) in [(deb, "portsip-ha.deb"), (local.as_path(), "vars.yml")] {
        lab.copy_to(node, file, Path::new(&format!("{home}/{name}")))?;
    }
    let own = format!(
        "cd {home} && chown {user}: portsip-ha.deb vars.yml && chmod 644 portsip-ha.deb vars.yml"
    );
    cluster::run(lab, node, "the user's files", &own, SECONDS).map(drop)
}

/// Puts on a node what a deployment needs there: the key, vars.yml, and the package, unpacked.
///
/// # Errors
/// The node refuses something.
pub fn equip(lab: &Lab, node: &Host, deb: &Path, vars: &str) -> Result<(), Error> {
    put_key(lab, node)?;
    put_files(lab, node, deb, vars)?;
    let unpack = "dpkg-deb -x portsip-ha.deb p";
    cluster::run_as_user(lab, node, unpack, unpack, SECONDS).map(drop)
}

/// Deploys from a node, and says each line while it goes on.
///
/// # Errors
/// It failed; with everything that it printed.
pub fn deploy(
    lab: &Lab,
    node: &Host,
    options: &str,
    progress: &dyn Progress,
) -> Result<String, Error> {
    with_sudo_password(lab, node, |password| {
        let limit = deployed_within(lab.site()).as_secs();
        let line = format!("timeout {limit} {DEPLOY} --yes {password} {options} </dev/null 2>&1");
        deploy_by(lab, node, line, progress)
    })
}

fn deploy_by(
    lab: &Lab,
    node: &Host,
    line: String,
    progress: &dyn Progress,
) -> Result<String, Error> {
    let mut ssh = lab.session(node, &[line]);
    ssh.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = ssh.spawn()?;
    let mut printed = String::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            progress.step(&line);
            printed += &format!("{line}\n");
        }
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(printed);
    }
    Err(format!(
        "ha-ctl deploy on {} failed ({status}):\n{printed}",
        node.hostname
    )
    .into())
}

/// What `ha-ctl show` prints on a node.
///
/// # Errors
/// It failed, or a node could not be asked.
pub fn show(lab: &Lab, node: &Host) -> Result<String, Error> {
    with_sudo_password(lab, node, |password| {
        let show = format!("ha-ctl show --accept-new-host-keys {password} </dev/null");
        cluster::run_as_user(lab, node, &show, &show, MINUTES)
    })
}

/// Does something with the option of ha-ctl that names a file with the password of sudo, where sudo asks for one. The
/// file is gone afterwards.
///
/// # Errors
/// Those of the work, or the node refuses the file.
pub fn with_sudo_password<T>(
    lab: &Lab,
    node: &Host,
    work: impl FnOnce(&str) -> Result<T, Error>,
) -> Result<T, Error> {
    let Some(password) = node.site.sudo_password() else {
        return work("");
    };
    let (user, what) = (node.site.user(), "the file with the password of sudo");
    let file = format!("/home/{user}/{PASSWORD}");
    // Not in a command: sudo writes those into the journal.
    let local = tempfile::NamedTempFile::new()?;
    std::fs::write(local.path(), format!("{password}\n"))?;
    lab.copy_to(node, local.path(), Path::new(&file))?;
    let own = format!("chown {user}: {file} && chmod 600 {file}");
    cluster::run(lab, node, what, &own, SECONDS)?;
    let done = work(&format!("--sudo-password-file {file}"));
    // A node that was lost meanwhile is the work's failure.
    let removed = cluster::run(lab, node, what, &format!("rm -f {file}"), SECONDS);
    let done = done?;
    removed.map(|_| done)
}
