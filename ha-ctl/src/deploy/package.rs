//! The package on every node, and with it everything that it depends on: Corosync, Pacemaker, pcs, Docker.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command as Process;

use super::{Deployment, all};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::{Command, Upload};
use crate::run::Run;
use crate::steps::Step;

/// A package file of this machine.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its version.
    pub version: String,
    /// What is in it.
    pub content: Upload,
}

/// Where the package lies on a node while it is installed.
const FILE: &str = "/var/lib/portsip-ha/portsip-ha.deb";
/// Mirrors are slow, and a lock of dpkg is waited for.
pub(super) const LIMIT: Duration = Duration::from_secs(3600);
/// A slow line to a far site.
const UPLOAD: Duration = Duration::from_secs(900);

impl Package {
    /// Reads a package.
    ///
    /// # Errors
    /// It cannot be read, or is no package of ours.
    pub async fn read(file: &Path) -> Result<Package, Failure> {
        let name = file.display();
        let wrong =
            |why: String| Failure::usage(format!("--package {name}: {why}. Nothing was changed"));
        let mut dpkg = Process::new("dpkg-deb");
        dpkg.arg("--show")
            .arg("--showformat=${Package} ${Version}")
            .arg(file);
        let output = dpkg.output().await;
        let output = output.map_err(|error| wrong(format!("dpkg-deb cannot be run: {error}")))?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let shown = String::from_utf8_lossy(&output.stdout);
        let version = match shown.split_once(' ') {
            _ if !output.status.success() => return Err(wrong(said)),
            Some(("portsip-ha", version)) => version.trim().to_owned(),
            _ => {
                return Err(wrong(format!(
                    "this is the package {shown}, not portsip-ha"
                )));
            }
        };
        let content = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
        Ok(Package {
            version,
            content: Upload(Arc::from(content)),
        })
    }
}

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let Some(package) = &deployment.package else {
        return installed(deployment);
    };
    let lacking = deployment
        .each()
        .filter(|(_, facts)| facts.package() != Some(package.version.as_str()));
    let (upload, install) = (upload(package), install(&package.version));
    let (upload, install) = (&upload, &install);
    let installing = lacking.map(|(node, _)| async move {
        run.change(node, upload).await?;
        run.step(node, install).await
    });
    all(installing).await
}

/// Without a package to install, every node has to have the same one.
fn installed(deployment: &Deployment) -> Result<(), Failure> {
    let versions = deployment
        .each()
        .map(|(node, facts)| (node.name.as_str(), facts.package().unwrap_or("none")));
    let versions: Vec<(&str, &str)> = versions.collect();
    let first = versions[0].1;
    if first != "none" && versions.iter().all(|(_, version)| *version == first) {
        return Ok(());
    }
    let each: Vec<String> = versions
        .iter()
        .map(|(node, version)| format!("{node}: {version}"))
        .collect();
    Err(Failure::failed(format!(
        "the package portsip-ha is not installed in the same version on every node ({}). Nothing was changed\n  help: \
         --package portsip-ha.deb   installs it",
        each.join(", ")
    )))
}

fn upload(package: &Package) -> Command {
    let mut command = Command::change(
        format!("copy the package portsip-ha {}", package.version),
        format!(
            "umask 077; install -d -m 0700 /var/lib/portsip-ha || exit\ncat >{FILE}.new || exit\n\
             [ \"$(stat -c %s {FILE}.new)\" = {} ] || {{ echo 'it arrived incomplete' >&2; exit 1; }}\n\
             mv {FILE}.new {FILE}",
            package.content.0.len()
        ),
    );
    command.upload = Some(package.content.clone());
    command.limit = UPLOAD;
    command
}

fn install(version: &str) -> Step {
    Step {
        name: "package",
        what: format!("install the package portsip-ha {version} and what it depends on"),
        script: format!(
            "# portsip-ha {}\n{}rm -f {FILE}\n",
            quoted(version),
            apt(FILE)
        ),
        limit: LIMIT,
        once: false,
    }
}

/// A script that has apt install something, without a question.
pub(super) fn apt(what: &str) -> String {
    format!(
        "set -eu\n\
         export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1\n\
         # The first boot installs too.\n\
         if command -v cloud-init >/dev/null; then timeout 900 cloud-init status --wait >/dev/null 2>&1 || :; fi\n\
         # An installation that was interrupted comes first.\n\
         [ -z \"$(dpkg --audit)\" ] || dpkg --force-confdef --force-confold --configure -a\n\
         apt-get -o DPkg::Lock::Timeout=900 update || echo 'apt-get update failed; the lists that are here are used'\n\
         # A configuration file that somebody has changed stays, without a question.\n\
         apt-get -o DPkg::Lock::Timeout=900 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install \
         -y {what}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_installed_by_apt_without_a_question() {
        insta::assert_snapshot!(install("0.1.0-1").script);
    }

    #[test]
    fn the_package_is_no_argument() {
        let package = Package {
            version: "0.1.0-1".to_owned(),
            content: Upload(Arc::from(&b"!<arch>"[..])),
        };
        let upload = upload(&package);
        assert!(upload.script.contains("= 7 ]"), "{}", upload.script);
        assert!(!format!("{upload:?}").contains("arch"));
    }
}
