//! Connections by the system's own ssh: one master for each node, which the commands share. ssh's own
//! configuration, agents, jump hosts and known hosts are in force; host keys are strict.

use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::unistd::chown;
use tokio::process::Command as Process;

use super::account::Account;
use super::cause::Cause;
use crate::commands::quoted;

/// How ssh is used in one run: its configuration file, and the directory of its sockets.
#[derive(Debug)]
pub(crate) struct Client {
    directory: Arc<tempfile::TempDir>,
    configuration: PathBuf,
    account: Account,
    /// Whether a host key that is not known yet is accepted.
    accept_new: bool,
    connections: AtomicU32,
}

/// A connection to a machine, which the commands share. It ends with this.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: PathBuf,
    /// It has the socket in it.
    _directory: Arc<tempfile::TempDir>,
}

/// Whatever the operator's configuration says, our connections only run commands: they forward nothing, have no
/// terminal, and start nothing of their own.
const ONLY_COMMANDS: [&str; 7] = [
    "RemoteCommand=none",
    "RequestTTY=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "Tunnel=no",
];
/// A connection shows every five seconds that it lives, and the third answer that is missing ends it. It stays for
/// ten minutes where nothing is asked of it, such as while another machine works, and where this process is killed.
const CONNECTION: [&str; 3] = [
    "BatchMode=yes",
    "ServerAliveInterval=5",
    "ControlPersist=600s",
];
/// What is said where a command was not sent, because its connection is gone.
pub(crate) const NO_CONNECTION: &str = "ha-ctl-has-no-connection";
/// How long a login may take after the keys were exchanged.
const LOGIN: Duration = Duration::from_secs(10);
/// How often a machine is asked again that had too many new connections at once (sshd's MaxStartups).
const RETRIES: u32 = 2;

impl Client {
    pub(crate) fn new(account: Account, accept_new: bool) -> io::Result<Client> {
        // A socket's path has at most 107 characters, so not below the home directory.
        let directory = tempfile::Builder::new()
            .prefix("ha-ctl-")
            .tempdir_in("/tmp")?;
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        };
        let sockets = directory.path().join("sockets");
        std::fs::create_dir(&sockets)?;
        mode(&sockets, 0o700)?;
        mode(directory.path(), 0o700)?;
        if let Some(operator) = account.runs_as() {
            // ssh runs as the operator, who has to get there.
            mode(directory.path(), 0o711)?;
            let (uid, gid) = (operator.uid.into(), operator.gid.into());
            chown(&sockets, Some(uid), Some(gid))?;
        }
        let configuration = directory.path().join("config");
        let mut file = std::fs::File::create(&configuration)?;
        file.write_all(account.configuration().as_bytes())?;
        mode(&configuration, 0o644)?;
        if accept_new {
            account.own_known_hosts()?;
        }
        Ok(Client {
            directory: Arc::new(directory),
            configuration,
            account,
            accept_new,
            connections: AtomicU32::new(0),
        })
    }

    /// ssh(1) with our configuration, as the person whose configuration and keys count.
    fn ssh(&self) -> Process {
        let mut ssh = Process::new("ssh");
        ssh.arg("-F").arg(&self.configuration);
        if let Some(operator) = self.account.runs_as() {
            ssh.uid(operator.uid)
                .gid(operator.gid)
                .env("HOME", &operator.home)
                .env("USER", &operator.name)
                .env("LOGNAME", &operator.name);
        }
        ssh
    }

    /// Connects. A machine that does not answer takes as long as `limit`.
    pub(crate) async fn connect(&self, host: &str, limit: Duration) -> Result<Connection, Cause> {
        if let Some(cause) = &self.account.unreadable_key {
            return Err(cause.clone());
        }
        let mut tried = 0;
        loop {
            match self.connect_once(host, limit).await {
                Err(cause) if tried < RETRIES && cause.is_turned_away() => {
                    tried += 1;
                    tokio::time::sleep(jitter() * tried).await;
                }
                ended => return ended,
            }
        }
    }

    async fn connect_once(&self, host: &str, limit: Duration) -> Result<Connection, Cause> {
        let no_ssh = |error: io::Error| Cause::NoSsh {
            said: error.to_string(),
        };
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let socket = self
            .directory
            .path()
            .join("sockets")
            .join(number.to_string());
        // What it says goes to a file: where the connection stays, its standard error stays open.
        let mut log = tempfile::tempfile().map_err(no_ssh)?;
        let mut ssh = self.master(&socket, limit);
        ssh.arg("--")
            .arg(host)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.try_clone().map_err(no_ssh)?)
            .kill_on_drop(true);
        // ssh limits connecting and exchanging keys; the login after them has a limit here.
        match tokio::time::timeout(limit + LOGIN, ssh.status()).await {
            Ok(Ok(status)) if status.success() => {
                return Ok(Connection {
                    socket,
                    _directory: Arc::clone(&self.directory),
                });
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(no_ssh(error)),
            Err(_) => {
                let said = format!(
                    "the login did not end within {} s",
                    (limit + LOGIN).as_secs()
                );
                return Err(Cause::Unreachable { said });
            }
        }
        let mut said = Vec::new();
        let read = log.rewind().and_then(|()| log.read_to_end(&mut said));
        read.map_err(no_ssh)?;
        Err(
            match Cause::of_connection(&String::from_utf8_lossy(&said), host) {
                Cause::KeyRefused { said, .. } => self.why_refused(host, said).await,
                cause => cause,
            },
        )
    }

    /// What begins a connection, without the machine.
    fn master(&self, socket: &Path, limit: Duration) -> Process {
        let mut ssh = self.ssh();
        ssh.args(["-M", "-f", "-N", "-S"]).arg(socket);
        let known = match self.accept_new {
            true => "accept-new",
            false => "yes",
        };
        let known = format!("StrictHostKeyChecking={known}");
        let limit = format!("ConnectTimeout={}", limit.as_secs());
        let ours = [known.as_str(), limit.as_str()];
        for option in CONNECTION.iter().chain(&ONLY_COMMANDS).chain(&ours) {
            ssh.args(["-o", option]);
        }
        if let Some(key) = &self.account.key {
            ssh.args(["-o", "IdentitiesOnly=yes", "-i"]).arg(key);
        }
        if let Some(user) = &self.account.user {
            ssh.arg("-l").arg(user);
        }
        ssh
    }

    /// Has ssh show the fingerprint of a new host key, ask the operator, and remember it.
    pub(crate) async fn first_contact(&self, host: &str) -> io::Result<()> {
        self.account.own_known_hosts()?;
        let mut ssh = self.ssh();
        for option in ONLY_COMMANDS.iter().chain(&[
            "StrictHostKeyChecking=ask",
            "PreferredAuthentications=none",
            "LogLevel=ERROR",
        ]) {
            ssh.args(["-o", option]);
        }
        ssh.args(["--", host, "true"])
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
        let mut ssh = self.ssh();
        ssh.arg("-G").arg(host);
        let Ok(output) = ssh.stdin(Stdio::null()).output().await else {
            return Vec::new();
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let files = text
            .lines()
            .filter_map(|line| line.strip_prefix("identityfile "));
        let home = match self.account.runs_as() {
            Some(operator) => Some(operator.home.clone()),
            None => std::env::var_os("HOME").map(PathBuf::from),
        };
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

impl Connection {
    /// The words that run a command on the machine. They read no configuration, and make no connection of their own
    /// where this one is lost: then, nothing is sent, and [`NO_CONNECTION`] is said.
    pub(crate) fn words(&self, command: &[String]) -> Vec<String> {
        let socket = self.socket.display().to_string();
        // A shell of its own: ssh ends a proxy whose standard output is closed before it has said anything.
        let instead = format!("ProxyCommand=sh -c 'echo {NO_CONNECTION} >&2'");
        let ssh = [
            "ssh",
            "-F",
            "none",
            "-S",
            &socket,
            "-o",
            "BatchMode=yes",
            "-o",
            &instead,
            "-T",
            "--",
            "none",
        ];
        let ssh = ssh.into_iter().map(str::to_owned);
        ssh.chain(command.iter().map(|word| quoted(word))).collect()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut ssh = std::process::Command::new("ssh");
        ssh.args(["-F", "none", "-O", "exit", "-S"])
            .arg(&self.socket);
        ssh.arg("none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // A connection that is lost already has nothing to end.
        let _ = ssh.status();
    }
}

/// Between 0.3 and 1.3 s, so that several do not come again at the same time.
pub(crate) fn jitter() -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    Duration::from_millis(300 + RandomState::new().hash_one(0) % 1000)
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

#[cfg(test)]
#[path = "ssh_tests.rs"]
mod tests;
