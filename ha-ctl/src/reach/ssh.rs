//! Connections by the system's own ssh: one master for each node, which the commands share. ssh's own
//! configuration, agents, jump hosts and known hosts are in force; host keys are strict.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder};
use tokio::process::Command as Process;

use super::account::Account;
use super::cause::Cause;

/// How ssh is used in one run: its configuration file, and the directory of its sockets, which is removed with this.
#[derive(Debug)]
pub(crate) struct Client {
    directory: tempfile::TempDir,
    configuration: PathBuf,
    account: Account,
    /// Whether a host key that is not known yet is accepted.
    accept_new: bool,
}

/// How often a connection shows that it lives; the third answer that is missing ends it.
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a master that this process has left behind stays.
const IDLE: usize = 60;

impl Client {
    pub(crate) fn new(account: Account, accept_new: bool) -> io::Result<Client> {
        // A socket's path has at most 107 characters, so not below the home directory.
        let directory = tempfile::Builder::new()
            .prefix("ha-ctl-")
            .tempdir_in("/tmp")?;
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
        let configuration = directory.path().join("config");
        let mut file = std::fs::File::create(&configuration)?;
        file.write_all(account.configuration().as_bytes())?;
        if accept_new {
            account.own_known_hosts()?;
        }
        Ok(Client {
            directory,
            configuration,
            account,
            accept_new,
        })
    }

    /// Connects. A machine that does not answer takes as long as `limit`.
    pub(crate) async fn connect(&self, host: &str, limit: Duration) -> Result<Session, Cause> {
        if let Some(key) = self.account.key.as_deref().filter(|key| is_unreadable(key)) {
            let key = key.display().to_string();
            return Err(Cause::KeyUnreadable { key });
        }
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(match self.accept_new {
                true => KnownHosts::Add,
                false => KnownHosts::Strict,
            })
            .connect_timeout(limit)
            .server_alive_interval(ALIVE_INTERVAL)
            .control_directory(self.directory.path())
            .control_persist(IDLE.try_into().map_or(
                ControlPersist::ClosedAfterInitialConnection,
                ControlPersist::IdleFor,
            ))
            .config_file(&self.configuration);
        if let Some(key) = &self.account.key {
            builder.keyfile(key);
        }
        if let Some(user) = &self.account.user {
            builder.user(user.clone());
        }
        // ssh limits connecting and exchanging keys; the login after them has a limit here.
        let connecting = tokio::time::timeout(limit + LOGIN, builder.connect(host));
        let error = match connecting.await {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(error)) => error,
            Err(_) => {
                let said = format!(
                    "the login did not end within {} s",
                    (limit + LOGIN).as_secs()
                );
                return Err(Cause::Unreachable { said });
            }
        };
        let cause = match &error {
            openssh::Error::Connect(error) if error.kind() == io::ErrorKind::NotFound => {
                Cause::NoSsh {
                    said: error.to_string(),
                }
            }
            openssh::Error::Connect(error) => Cause::of_connection(&error.to_string(), host),
            other => Cause::Unreachable { said: chain(other) },
        };
        Err(match cause {
            Cause::KeyRefused { said, .. } => self.why_refused(host, said).await,
            cause => cause,
        })
    }

    /// Has ssh show the fingerprint of a new host key, ask the operator, and remember it.
    pub(crate) async fn first_contact(&self, host: &str) -> io::Result<()> {
        self.account.own_known_hosts()?;
        let mut ssh = Process::new("ssh");
        ssh.arg("-F")
            .arg(&self.configuration)
            .args(["-o", "StrictHostKeyChecking=ask"])
            .args([
                "-o",
                "PreferredAuthentications=none",
                "-o",
                "LogLevel=ERROR",
                host,
                "true",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // It asks on the terminal itself, and then cannot log in, which was not the aim.
        ssh.status().await.map(drop)
    }

    /// Tells a key that has a passphrase from one that the machine does not accept.
    async fn why_refused(&self, host: &str, said: String) -> Cause {
        let missing = self.account.missing_key.clone();
        for key in self.keys(host).await {
            if is_encrypted(&key).await && !agent_has(&key).await {
                let key = key.display().to_string();
                return Cause::KeyEncrypted { key };
            }
        }
        Cause::KeyRefused { said, missing }
    }

    /// The keys that ssh tried.
    async fn keys(&self, host: &str) -> Vec<PathBuf> {
        if let Some(key) = &self.account.key {
            return vec![key.clone()];
        }
        let mut ssh = Process::new("ssh");
        ssh.arg("-G").arg("-F").arg(&self.configuration).arg(host);
        let Ok(output) = ssh.stdin(Stdio::null()).output().await else {
            return Vec::new();
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let files = text
            .lines()
            .filter_map(|line| line.strip_prefix("identityfile "));
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let files = files.map(|file| match (file.strip_prefix("~/"), &home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(file),
        });
        files.filter(|file| file.exists()).collect()
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }
}

/// How long a login may take after the keys were exchanged.
const LOGIN: Duration = Duration::from_secs(10);

fn is_unreadable(key: &Path) -> bool {
    std::fs::File::open(key).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Whether a key has a passphrase.
pub(crate) async fn is_encrypted(key: &Path) -> bool {
    let mut keygen = Process::new("ssh-keygen");
    keygen.args(["-y", "-P", "", "-f"]).arg(key);
    let output = keygen.env("LC_ALL", "C").stdin(Stdio::null()).output();
    output.await.is_ok_and(|output| {
        let said = String::from_utf8_lossy(&output.stderr);
        !output.status.success() && said.contains("incorrect passphrase")
    })
}

async fn agent_has(key: &Path) -> bool {
    let fingerprint = |output: std::process::Output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace().nth(1).map(str::to_owned)
    };
    let mut keygen = Process::new("ssh-keygen");
    let own = keygen.arg("-lf").arg(key).stdin(Stdio::null()).output();
    let Some(own) = own.await.ok().and_then(fingerprint) else {
        return false;
    };
    let list = Process::new("ssh-add")
        .arg("-l")
        .stdin(Stdio::null())
        .output();
    list.await
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&own))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_key_with_a_passphrase_is_told_from_one_without() {
        let directory = tempfile::tempdir().unwrap();
        for (name, passphrase) in [("with", "hunter22"), ("without", "")] {
            let key = directory.path().join(name);
            let mut keygen = Process::new("ssh-keygen");
            keygen
                .args(["-q", "-t", "ed25519", "-N", passphrase, "-f"])
                .arg(&key);
            assert!(keygen.status().await.unwrap().success());
            assert_eq!(is_encrypted(&key).await, !passphrase.is_empty(), "{name}");
        }
    }
}
