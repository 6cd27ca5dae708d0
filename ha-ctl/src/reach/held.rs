//! A command on a node that goes on for as long as its standard input is open: it ends with this process, and with
//! the connection.

use std::process::Stdio;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command as Process};

/// A command that goes on. Dropping this closes its standard input, and so ends it.
#[derive(Debug)]
pub struct Held(Child);

impl Held {
    pub(super) fn begin(words: &[String]) -> Result<Held, String> {
        let child = Process::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        child.map(Held).map_err(|error| error.to_string())
    }

    /// Writes what comes before the command's own input, and reads the command's first line.
    pub(super) async fn first_line(
        &mut self,
        input: &SecretString,
        mark: &str,
    ) -> Result<String, String> {
        let text = |error: std::io::Error| error.to_string();
        if let Some(stdin) = &mut self.0.stdin {
            let bytes = input.expose_secret().as_bytes();
            stdin.write_all(bytes).await.map_err(text)?;
            stdin.flush().await.map_err(text)?;
        }
        first_line(self.0.stdout.as_mut(), mark).await
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

    use std::time::Duration;

    use crate::reach::{Command, test_node};

    #[tokio::test]
    async fn a_command_that_is_held_ends_with_its_input() {
        let directory = tempfile::tempdir().unwrap();
        let ended = directory.path().join("ended");
        let script = format!("echo held; cat >/dev/null; touch {}", ended.display());
        let mut command = Command::look("hold", script).reading(String::new());
        command.sudo = false;
        let (held, line) = test_node("n1").hold(&command).await.unwrap();
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
}
