//! What a command on one node prints, as the input of a command on another, by way of this machine: an image has
//! gigabytes, and is never held here whole.

use std::io;
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::process::Child;

use super::{GRACE, Input, Node, mark, process};
use crate::reach::Cause;
use crate::reach::command::{Answer, Command, one_line, unframe, words};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// After how long without a byte the two are given up. Docker says nothing while it prepares an image.
const STANDS_STILL: Duration = Duration::from_secs(900);
/// A status of three digits, and the end of its line.
const STATUS: usize = 4;

/// A command that runs.
struct Running {
    child: Child,
    input: Option<Input>,
    mark: String,
}

impl Node {
    /// Has `reading` on another node read what `printing` prints on this one. `moved` is told how many bytes it were
    /// until now.
    ///
    /// # Errors
    /// One of the two was not run or was lost, or what was to be read has failed. That `reading` fails is an [`Answer`].
    pub async fn pipe(
        &self,
        printing: &Command,
        to: &Node,
        reading: &Command,
        moved: impl FnMut(u64),
    ) -> Result<Answer, Cause> {
        // A connection that was cut is made again by this.
        let mut first = Command::look("logging in", ":");
        first.sudo = false;
        for node in [self, to] {
            node.run(&first).await?;
        }
        let _channels = (self.channels.acquire().await, to.channels.acquire().await);
        let (source, target) = (self.spawn(printing)?, to.spawn(reading)?);
        let limit = reading.limit + GRACE;
        let piping = piped(source, printing, target, reading, moved);
        tokio::time::timeout(limit, piping)
            .await
            .unwrap_or_else(|_| {
                Err(lost(
                    reading,
                    format!("no answer within {} s", limit.as_secs()),
                ))
            })
    }

    fn spawn(&self, command: &Command) -> Result<Running, Cause> {
        let mark = format!("ha-ctl-{}", mark());
        let words = self.link.way().words(words(command, self.privilege, &mark));
        let input = self.input(command, &mark);
        let child = process(&words, input.is_some()).spawn();
        let child = child.map_err(|error| lost(command, error.to_string()))?;
        Ok(Running { child, input, mark })
    }
}

fn lost(command: &Command, said: String) -> Cause {
    Cause::Lost {
        what: command.what.clone(),
        said,
    }
}

async fn piped(
    mut source: Running,
    printing: &Command,
    mut target: Running,
    reading: &Command,
    moved: impl FnMut(u64),
) -> Result<Answer, Cause> {
    let no_output = |command| move || lost(command, "its output cannot be read".to_owned());
    let stdout = source.child.stdout.take().ok_or_else(no_output(printing))?;
    let mut stderr = source.child.stderr.take().ok_or_else(no_output(printing))?;
    let mut stdin = target.child.stdin.take().ok_or_else(no_output(reading))?;
    let copying = async {
        if let (Some(input), Some(stdin)) = (source.input, source.child.stdin.take()) {
            input.write_to(stdin).await;
        }
        if let Some(input) = target.input {
            input.write_to(&mut stdin).await;
        }
        // Dropping the input at the end of this is the end of what is read.
        let copied = copy(stdout, &source.mark, &mut stdin, moved).await;
        drop(stdin);
        copied
    };
    let said = async {
        let mut said = Vec::new();
        // What it cannot say is missing in a message.
        let _ = stderr.read_to_end(&mut said).await;
        String::from_utf8_lossy(&said).into_owned()
    };
    let (copied, said, output) = tokio::join!(copying, said, target.child.wait_with_output());
    let said = said
        .rsplit_once(&format!("{}\n", source.mark))
        .map_or(&*said, |(_, said)| said);
    let output = output.map_err(|error| lost(reading, error.to_string()))?;
    let answer = unframe(&output.stdout, &output.stderr, &target.mark);
    match (copied, answer) {
        (Ok(Some(0)), Some(answer)) => Ok(answer),
        // What reads has failed first, and so knows why.
        (Err(_), Some(answer)) if !answer.is_success() => Ok(answer),
        (Ok(Some(_) | None), _) => Err(lost(printing, one_line(said))),
        (Err(error), Some(_)) => Err(lost(reading, error.to_string())),
        (_, None) => Err(lost(
            reading,
            one_line(&String::from_utf8_lossy(&output.stderr)),
        )),
    }
}

/// As long as something moves, it may take as long as it takes.
async fn moving<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let ended = tokio::time::timeout(STANDS_STILL, work).await;
    ended.unwrap_or_else(|_| {
        let minutes = STANDS_STILL.as_secs() / 60;
        Err(io::Error::other(format!(
            "nothing has come for {minutes} minutes"
        )))
    })
}

/// Copies what is printed after the mark, without the status at its end, which is returned; nothing where it was lost
/// before.
async fn copy(
    output: impl AsyncRead + Unpin,
    mark: &str,
    input: &mut (impl AsyncWrite + Unpin),
    mut moved: impl FnMut(u64),
) -> io::Result<Option<i32>> {
    let mut output = BufReader::new(output);
    let begin = format!("{mark}\n");
    let mut line = Vec::new();
    while line != begin.as_bytes() {
        line.clear();
        if output.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
    }
    let end = format!("\n{mark} ");
    let (mut chunk, mut held, mut bytes) = (vec![0; CHUNK], Vec::new(), 0);
    loop {
        let count = moving(output.read(&mut chunk)).await?;
        if count == 0 {
            break;
        }
        held.extend_from_slice(&chunk[..count]);
        // What may be the end is not passed on before it is known that it is not.
        let ready = held.len().saturating_sub(end.len() + STATUS);
        moving(input.write_all(&held[..ready])).await?;
        held.drain(..ready);
        bytes += ready as u64;
        moved(bytes);
    }
    let Some(at) = held.windows(end.len()).rposition(|it| it == end.as_bytes()) else {
        return Ok(None);
    };
    input.write_all(&held[..at]).await?;
    input.flush().await?;
    let status = String::from_utf8_lossy(&held[at + end.len()..]);
    Ok(status.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::reach::test_node;

    fn command(script: &str) -> Command {
        let mut command = Command::look("pipe", script);
        command.sudo = false;
        command
    }

    async fn pipe(printing: &str, reading: &str) -> Result<Answer, Cause> {
        let reading = command(reading).reading(String::new());
        let (from, to) = (test_node("n1"), test_node("n2"));
        from.pipe(&command(printing), &to, &reading, |_| ()).await
    }

    #[tokio::test]
    async fn megabytes_arrive_as_they_are() {
        let made = "head -c 5000001 /dev/zero | tr '\\0' '\\377'; echo; echo";
        let sum = format!("{{ {made}; }} | sha256sum");
        let answer = pipe(made, "sha256sum").await.unwrap();
        let expected = test_node("n1").run(&command(&sum)).await.unwrap();
        assert_eq!(answer.stdout, expected.stdout);
        assert_eq!(pipe("", "cat").await.unwrap().stdout, "");
    }

    #[tokio::test]
    async fn what_cannot_be_printed_whole_is_no_success() {
        let failed = pipe("echo half; echo 'no space left' >&2; exit 1", "cat").await;
        assert!(failed.unwrap_err().found().contains("no space left"));
    }

    #[tokio::test]
    async fn what_reads_and_fails_says_why() {
        let made = "head -c 5000000 /dev/zero";
        let answer = pipe(made, "echo 'disk is full' >&2; exit 3").await.unwrap();
        assert_eq!((answer.status, answer.said().as_str()), (3, "disk is full"));
    }
}
