//! A node that can be used: the way to it, how to become root there, and at most eight commands at a time. A command
//! that was not carried out because the connection was cut is sent again by a new one; one that may have been carried
//! out only if that does no harm ([`Command::is_repeatable`]).

mod pipe;

use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::process::Command as Process;
use tokio::sync::Semaphore;

use super::cause::Cause;
use super::command::{Answer, Command, LOOK, Privilege, Upload, unframe, words};
use super::held::{Held, Hold, Process as HeldProcess};
use super::link::{Link, Way};
use super::ssh::NO_CONNECTION;
use crate::log;
use crate::output::say;

/// sshd lets ten sessions share a connection (MaxSessions), and the master takes none of them.
const CHANNELS: usize = 8;
/// How long a command's answer may take beyond its own limit.
const GRACE: Duration = Duration::from_secs(5);

/// What ssh(1) ends with where it fails itself.
const SSH_FAILED: i32 = 255;

/// Why a command has no answer.
enum Failed {
    /// There is no connection any more. It was sent, or not even that.
    Cut { sent: bool },
    /// Anything else.
    Otherwise(Cause),
}

/// A node that answers.
#[derive(Debug)]
pub struct Node {
    /// Its name in the cluster.
    pub name: String,
    link: Link,
    privilege: Privilege,
    password: Option<SecretString>,
    channels: Semaphore,
    /// Commands that go on, which a new connection begins anew.
    holds: Mutex<Vec<std::sync::Weak<Hold>>>,
}

impl Node {
    /// A node where it is tried without a password how to become root.
    pub(crate) fn new(name: &str, link: Link) -> Node {
        Node {
            name: name.to_owned(),
            link,
            privilege: Privilege::Sudo,
            password: None,
            channels: Semaphore::new(CHANNELS),
            holds: Mutex::default(),
        }
    }

    /// Whether this machine is the node.
    pub fn is_local(&self) -> bool {
        matches!(self.link, Link::Local)
    }

    /// Tries a password for sudo, once, and uses it from then on.
    ///
    /// # Errors
    /// sudo does not accept it.
    pub(crate) async fn use_password(&mut self, password: SecretString) -> Result<(), Cause> {
        self.privilege = Privilege::SudoWithPassword;
        self.password = Some(password);
        let tried = self
            .run(&Command::look("trying the password for sudo", ":"))
            .await;
        if tried.is_err() {
            self.privilege = Privilege::Sudo;
            self.password = None;
        }
        tried.map(drop)
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// It was not run, or the connection was lost meanwhile. A command that fails is an [`Answer`].
    pub async fn run(&self, command: &Command) -> Result<Answer, Cause> {
        let begun = Instant::now();
        let ended = self.run_unlogged(command).await;
        log::command(&self.name, command, begun.elapsed(), &ended);
        ended
    }

    async fn run_unlogged(&self, command: &Command) -> Result<Answer, Cause> {
        let _channel = self.channels.acquire().await;
        let way = self.link.way();
        let sent = match self.send(command, &way).await {
            Ok(answer) => return Ok(answer),
            Err(Failed::Otherwise(cause)) => return Err(cause),
            Err(Failed::Cut { sent }) => sent,
        };
        let cut = |sent, said| Cause::Cut {
            what: command.what.clone(),
            sent,
            said,
        };
        let was_cut = || "the connection was cut".to_owned();
        if sent && !command.is_repeatable {
            return Err(cut(sent, was_cut()));
        }
        let way = self.connect_again(&way).await;
        let way = way.map_err(|why| {
            let why = format!("{}, and then it {}", was_cut(), why.found());
            cut(sent, why)
        })?;
        self.send(command, &way)
            .await
            .map_err(|failed| match failed {
                Failed::Otherwise(cause) => cause,
                Failed::Cut { sent: again } => cut(sent || again, was_cut()),
            })
    }

    async fn send(&self, command: &Command, way: &Way) -> Result<Answer, Failed> {
        let mark = format!("ha-ctl-{}", mark());
        let words = way.words(words(command, self.privilege, &mark));
        let input = self.input(command, &mark);
        let lost = |said: String| {
            let what = command.what.clone();
            Failed::Otherwise(Cause::Lost { what, said })
        };
        let output = match tokio::time::timeout(command.limit + GRACE, spawned(&words, input)).await
        {
            Ok(output) => output.map_err(&lost)?,
            Err(_) => {
                let limit = (command.limit + GRACE).as_secs();
                return Err(lost(format!("no answer within {limit} s")));
            }
        };
        let (stdout, stderr) = (&output.stdout, &output.stderr);
        unframe(stdout, stderr, &mark).ok_or_else(|| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            if !self.is_local() && output.status.code() == Some(SSH_FAILED) {
                let sent = !text(stderr).contains(NO_CONNECTION);
                return Failed::Cut { sent };
            }
            let cause = Cause::of_sudo(&text(stdout), &text(stderr), &command.what);
            Failed::Otherwise(cause)
        })
    }

    /// Makes the connection again, and begins with it what goes on.
    async fn connect_again(&self, cut: &Way) -> Result<Way, Cause> {
        let hold_again = async |way: &Way| self.hold_again(way).await;
        self.link.connect_again(&self.name, cut, hold_again).await
    }

    /// Begins a command that goes on for as long as its standard input is open, and reads its first line. If the
    /// connection is cut, a new one begins the command anew. Where that fails, it is said, and if the command is vital,
    /// the node is not used any more.
    ///
    /// # Errors
    /// It was not run, or the connection was lost meanwhile.
    pub async fn hold(&self, command: &Command, is_vital: bool) -> Result<(Held, String), Cause> {
        let (process, line) = self.begin(command, &self.link.way()).await?;
        let held = Held::new(command, &line, is_vital, process);
        self.holds().push(held.hold());
        Ok((held, line))
    }

    async fn hold_again(&self, way: &Way) -> Result<(), Cause> {
        let live: Vec<_> = self.holds().iter().filter_map(|it| it.upgrade()).collect();
        for hold in live {
            let what = &hold.command.what;
            let lost = match self.begin(&hold.command, way).await {
                Ok((process, line)) if line == hold.line => {
                    hold.replace(process);
                    continue;
                }
                Ok((_, said)) => Cause::Lost {
                    what: what.clone(),
                    said,
                },
                Err(cause) => cause,
            };
            if hold.is_vital {
                return Err(lost);
            }
            say(&format!("{}: {what} again: {}", self.name, lost.found()));
        }
        Ok(())
    }

    fn holds(&self) -> std::sync::MutexGuard<'_, Vec<std::sync::Weak<Hold>>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begin(&self, command: &Command, way: &Way) -> Result<(HeldProcess, String), Cause> {
        let mark = format!("ha-ctl-{}", mark());
        let words = way.words(words(command, self.privilege, &mark));
        let input = self.input(command, &mark).unwrap_or_default();
        let lost = |said: String| Cause::Lost {
            what: command.what.clone(),
            said,
        };
        let begun = HeldProcess::begin(&words, &input.secret, &mark);
        match tokio::time::timeout(LOOK + GRACE, begun).await {
            Ok(begun) => begun.map_err(lost),
            Err(_) => Err(lost(format!("no answer within {} s", LOOK.as_secs()))),
        }
    }

    /// The password, if sudo reads one; then a mark, and what the command reads.
    fn input(&self, command: &Command, mark: &str) -> Option<Input> {
        let password = self.password.as_ref();
        let password =
            password.filter(|_| command.sudo && self.privilege == Privilege::SudoWithPassword);
        if password.is_none() && !command.reads() {
            return None;
        }
        let mut input = String::new();
        if let Some(password) = password {
            input += password.expose_secret();
            input.push('\n');
        }
        if command.reads() {
            input += mark;
            input.push('\n');
        }
        if let Some(stdin) = &command.stdin {
            input += stdin.expose_secret();
        }
        Some(Input {
            secret: input.into(),
            upload: command.upload.clone(),
        })
    }
}

/// What a command reads: secrets, then a file.
#[derive(Default)]
struct Input {
    secret: SecretString,
    upload: Option<Upload>,
}

impl Input {
    /// A command that ends before it has read everything says why itself.
    async fn write_to(self, mut stdin: impl AsyncWrite + Unpin) {
        let secret = stdin.write_all(self.secret.expose_secret().as_bytes());
        if secret.await.is_ok()
            && let Some(upload) = &self.upload
        {
            let _ = stdin.write_all(&upload.0).await;
        }
    }
}

/// A process that is not begun yet, and ends with what holds it.
fn process(words: &[String], reads: bool) -> Process {
    let mut process = Process::new(&words[0]);
    process
        .args(&words[1..])
        .stdin(if reads { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C in a terminal is for ha-ctl alone. A change that is on its way is not cut off by it.
        .process_group(0)
        .kill_on_drop(true);
    process
}

async fn spawned(words: &[String], input: Option<Input>) -> Result<std::process::Output, String> {
    let mut child = process(words, input.is_some())
        .spawn()
        .map_err(|error| error.to_string())?;
    if let (Some(input), Some(stdin)) = (input, child.stdin.take()) {
        input.write_to(stdin).await;
    }
    let output = child.wait_with_output().await;
    output.map_err(|error| error.to_string())
}

/// A word that no output contains by chance.
fn mark() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    // Seeded by the system's generator.
    format!(
        "{:016x}{:016x}",
        RandomState::new().hash_one(0),
        RandomState::new().hash_one(1)
    )
}
