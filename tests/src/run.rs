//! Runs programs of the system (ip, nft, losetup, ...) and gives their failure a sentence.
//! What the programs are for is the caller's business.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::world::Error;

/// Runs `program` and returns what it wrote to stdout.
///
/// # Errors
/// The program is missing, or ended with another status than 0; with what it said on stderr.
pub fn run<S: AsRef<std::ffi::OsStr>>(program: &str, args: &[S]) -> Result<String, Error> {
    let mut command = Command::new(program);
    command.args(args);
    finish(command, None)
}

/// Like [`run`], with `input` on stdin.
///
/// # Errors
/// As [`run`].
pub fn run_with_input<S: AsRef<std::ffi::OsStr>>(
    program: &str,
    args: &[S],
    input: &str,
) -> Result<String, Error> {
    let mut command = Command::new(program);
    command.args(args);
    finish(command, Some(input))
}

fn finish(mut command: Command, input: Option<&str>) -> Result<String, Error> {
    let line = describe(&command);
    let mut child = command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot run `{line}`: {e}; `lab check` says what to install"))?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that ends before it has read everything says why on stderr.
        let _ = stdin.write_all(text.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|e| format!("waiting for `{line}`: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut message = format!("`{line}` failed ({})", output.status);
    let said = String::from_utf8_lossy(&output.stderr);
    if !said.trim().is_empty() {
        message.push_str(": ");
        message.push_str(said.trim());
    }
    if let Some(text) = input {
        message.push_str("; its input was:\n");
        message.push_str(text);
    }
    Err(message.into())
}

fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}
