//! A command on a node that goes on for as long as its standard input is open: it ends with this process, and with
//! the connection.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;

use super::command::Command;

/// How often it is shown to the command that somebody is still there.
const EVERY: Duration = Duration::from_secs(10);
/// After how long without that a command that is held should end.
pub const PULSE_LOST: Duration = Duration::from_secs(60);

/// A command that goes on. Dropping this closes its standard input, and so ends it.
#[derive(Debug)]
pub struct Held(Arc<Hold>);

/// What is held, and by which process.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) command: Command,
    /// The first line that it has printed.
    pub(super) line: String,
    /// Whether the node is not to be used any more where a new connection cannot begin it anew.
    pub(super) is_vital: bool,
    process: Mutex<Process>,
}

impl Held {
    pub(super) fn new(command: &Command, line: &str, is_vital: bool, process: Process) -> Held {
        Held(Arc::new(Hold {
            command: command.clone(),
            line: line.to_owned(),
            is_vital,
            process: Mutex::new(process),
        }))
    }

    pub(super) fn hold(&self) -> Weak<Hold> {
        Arc::downgrade(&self.0)
    }
}

impl Hold {
    /// Another connection holds it now.
    pub(super) fn replace(&self, process: Process) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = process;
    }
}

/// The process on this machine. Its end, and so the end of the command, is that of its standard input.
#[derive(Debug)]
pub(super) struct Process {
    _child: Child,
    _pulse: Pulse,
}

impl Process {
    /// Writes what comes before the command's own input, and reads the command's first line.
    pub(super) async fn begin(
        words: &[String],
        input: &SecretString,
        mark: &str,
    ) -> Result<(Process, String), String> {
        let text = |error: io::Error| error.to_string();
        let mut child = tokio::process::Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(text)?;
        let no_input = || "its input cannot be written".to_owned();
        let mut stdin = child.stdin.take().ok_or_else(no_input)?;
        let bytes = input.expose_secret().as_bytes();
        stdin.write_all(bytes).await.map_err(text)?;
        stdin.flush().await.map_err(text)?;
        let line = first_line(child.stdout.as_mut(), mark).await?;
        let pulse = Pulse::new(stdin.into_owned_fd().map_err(text)?, EVERY);
        let process = Process {
            _child: child,
            _pulse: pulse,
        };
        Ok((process, line))
    }
}

/// Writes an empty line every now and then, so that a command whose connection is dead, which nobody tells the machine,
/// does not go on for hours. A thread of its own: a question to the operator must not stop it.
#[derive(Debug)]
struct Pulse {
    /// Dropping it ends the thread.
    _stop: Sender<()>,
}

impl Pulse {
    fn new(input: OwnedFd, every: Duration) -> Pulse {
        let (_stop, stopped) = channel();
        std::thread::spawn(move || {
            let mut input = File::from(input);
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                // A command that has ended reads nothing more.
                if input.write_all(b"\n").is_err() {
                    return;
                }
            }
        });
        Pulse { _stop }
    }
}

/// The first line after the mark.
async fn first_line(
    stdout: Option<&mut (impl AsyncRead + Unpin)>,
    mark: &str,
) -> Result<String, String> {
    let Some(stdout) = stdout else {
        return Err("its output cannot be read".to_owned());
    };
    let (mut read, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        let count = stdout.read(&mut buffer).await;
        let count = count.map_err(|error| error.to_string())?;
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read);
        let after = text.split_once(&format!("{mark}\n"));
        if let Some((line, _)) = after.and_then(|(_, after)| after.split_once('\n')) {
            return Ok(line.to_owned());
        }
        if count == 0 {
            return Err(match super::command::one_line(&text) {
                said if said.is_empty() => "nothing came back".to_owned(),
                said => said,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read as _;

    use super::*;
    use crate::reach::test_node;

    #[tokio::test]
    async fn a_command_that_is_held_ends_with_its_input() {
        let directory = tempfile::tempdir().unwrap();
        let ended = directory.path().join("ended");
        let script = format!("echo held; cat >/dev/null; touch {}", ended.display());
        let mut command = Command::look("hold", script).reading(String::new());
        command.sudo = false;
        let (held, line) = test_node("n1").hold(&command, true).await.unwrap();
        assert_eq!(line, "held");
        assert!(!ended.exists());
        drop(held);
        for _ in 0..100 {
            if ended.exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the command goes on without its input");
    }

    #[test]
    fn a_line_comes_every_now_and_then_until_it_is_dropped() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let pulse = Pulse::new(writer.into(), Duration::from_millis(10));
        let mut lines = [0; 3];
        reader.read_exact(&mut lines).unwrap();
        assert_eq!(&lines, b"\n\n\n");
        drop(pulse);
        let mut rest = Vec::new();
        // Ends only when the other end is closed.
        reader.read_to_end(&mut rest).unwrap();
    }
}
