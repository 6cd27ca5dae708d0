//! Commands on nodes as data: what is run, as whom, with what on its input. Built by pure functions
//! (`crate::commands`), so that tests read them, and framed here, so that what a shell's profile prints is
//! never taken for a command's output.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

/// How long a command may take that only looks.
pub const LOOK: Duration = Duration::from_secs(20);
/// How long a command may take that changes something.
const CHANGE: Duration = Duration::from_secs(60);

/// A shell script for a node.
#[derive(Debug, Clone)]
pub struct Command {
    /// What it does, for messages: `reading the cluster's status`.
    pub what: String,
    /// The script, for sh(1).
    pub script: String,
    /// What it reads on its standard input. It is never in an argument.
    pub stdin: Option<SecretString>,
    /// A file that it reads there instead.
    pub upload: Option<Upload>,
    /// Whether root runs it.
    pub sudo: bool,
    /// After how long it is ended.
    pub limit: Duration,
    /// Whether it may be sent again where nobody knows whether it was carried out: doing it twice is doing it once.
    pub is_repeatable: bool,
}

impl Command {
    /// A script for root that only looks.
    pub fn look(what: &str, script: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            script: script.into(),
            stdin: None,
            upload: None,
            sudo: true,
            limit: LOOK,
            is_repeatable: true,
        }
    }

    /// A script for root that changes something, and does not take long.
    pub fn change(what: impl Into<String>, script: impl Into<String>) -> Self {
        Self {
            limit: CHANGE,
            is_repeatable: false,
            ..Self::look(&what.into(), script)
        }
    }

    /// A change that may be sent again where nobody knows whether it was carried out.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// With something on its standard input.
    #[must_use]
    pub fn reading(mut self, stdin: impl Into<SecretString>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Whether something is on its standard input.
    pub(crate) fn reads(&self) -> bool {
        self.stdin.is_some() || self.upload.is_some()
    }
}

/// A file of this machine that a command reads.
#[derive(Clone)]
pub struct Upload(pub Arc<[u8]>);

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} bytes)", self.0.len())
    }
}

/// What a command came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
    /// With what it ended. 124: it did not end within its limit.
    pub status: i32,
}

impl Answer {
    /// Whether it ended with 0.
    pub fn is_success(&self) -> bool {
        self.status == 0
    }

    /// In one line what it said, for a message.
    pub fn said(&self) -> String {
        match [&self.stderr, &self.stdout].map(|text| one_line(text)) {
            [stderr, _] if !stderr.is_empty() => stderr,
            [_, stdout] if !stdout.is_empty() => stdout,
            _ if self.status == TIMED_OUT => "it did not end in time".to_owned(),
            _ => format!("it ended with {} and said nothing", self.status),
        }
    }
}

/// The status of timeout(1) for a command that did not end in time.
pub const TIMED_OUT: i32 = 124;

pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How a command becomes root on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// The user is root, or sudo asks for nothing.
    Sudo,
    /// sudo asks for a password.
    SudoWithPassword,
}

/// Runs its arguments as root, if that needs no password. What sudo remembers of an earlier password does not count:
/// it can end in the middle.
const BECOME_ROOT: &str = r#"[ "$(id -u)" = 0 ] || set -- sudo -k -n "$@"; exec "$@""#;

/// Runs the script `$3` between marks, and prints its status at the end. Where `$4` is not empty, its input begins
/// after a mark too: a sudo that did not ask after all leaves the password before it, and it is thrown away.
const FRAME: &str = r#"export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
printf '\n%s\n' "$1"; printf '\n%s\n' "$1" >&2
if [ "$4" ]; then while read -r line && [ "$line" != "$1" ]; do :; done; else exec </dev/null; fi
timeout --kill-after=1 "$2" sh -c "$3"
printf '\n%s %s\n' "$1" "$?""#;

/// The words of the command line for a command, with a mark that its output cannot contain by chance.
pub(crate) fn words(command: &Command, privilege: Privilege, mark: &str) -> Vec<String> {
    let become_root: &[&str] = match privilege {
        _ if !command.sudo => &[],
        Privilege::Sudo => &["sh", "-c", BECOME_ROOT, "ha-ctl"],
        Privilege::SudoWithPassword => &["sudo", "-k", "-S", "-p", ""],
    };
    let reads = if command.reads() { "reads" } else { "" };
    let limit = format!("{:.3}", command.limit.as_secs_f64());
    let mut words = vec!["env", "LC_ALL=C"];
    words.extend(become_root);
    words.extend([
        "sh",
        "-c",
        FRAME,
        "ha-ctl",
        mark,
        &limit,
        &command.script,
        reads,
    ]);
    words.into_iter().map(str::to_owned).collect()
}

/// What is between the marks, and the status. Nothing where the marks are missing: the script was not run, or the
/// connection was lost meanwhile.
pub(crate) fn unframe(stdout: &[u8], stderr: &[u8], mark: &str) -> Option<Answer> {
    let (stdout, stderr) = (
        String::from_utf8_lossy(stdout),
        String::from_utf8_lossy(stderr),
    );
    let begin = format!("\n{mark}\n");
    let (_, printed) = split_once_or_start(&stdout, &begin, mark)?;
    let (printed, end) = printed.rsplit_once(&format!("\n{mark} "))?;
    let status = end.lines().next()?.trim().parse().ok()?;
    let (_, said) = split_once_or_start(&stderr, &begin, mark).unwrap_or(("", &stderr));
    Some(Answer {
        stdout: printed.to_owned(),
        stderr: said.to_owned(),
        status,
    })
}

/// As `split_once`; the mark may also be the first line.
fn split_once_or_start<'a>(text: &'a str, begin: &str, mark: &str) -> Option<(&'a str, &'a str)> {
    let at_start = text.strip_prefix(mark);
    let at_start = at_start.and_then(|rest| rest.strip_prefix('\n'));
    at_start
        .map(|rest| ("", rest))
        .or_else(|| text.split_once(begin))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write as _;
    use std::process::{Command as Process, Stdio};

    use super::*;

    const MARK: &str = "ha-ctl-0123456789";

    /// Runs the words as a node's shell would, after the noise of a profile, with an input.
    fn run(command: &Command, input: &str) -> Answer {
        let mut command = command.clone();
        command.sudo = false;
        let words = words(&command, Privilege::Sudo, MARK);
        let mut child = Process::new("sh")
            .args(["-c", "echo Welcome; echo 'no tty' >&2; exec \"$@\"", "sh"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads nothing may have ended before.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        unframe(&output.stdout, &output.stderr, MARK).unwrap()
    }

    #[test]
    fn the_noise_of_a_profile_is_not_the_commands_output() {
        let answer = run(
            &Command::look("test", "echo out; printf 'a\n\nb'; echo err >&2; exit 7"),
            "",
        );
        assert_eq!(answer.stdout, "out\na\n\nb");
        assert_eq!(answer.stderr, "err\n");
        assert_eq!(answer.status, 7);
    }

    #[test]
    fn a_status_that_ssh_uses_itself_arrives() {
        for status in [0, 1, 127, 255] {
            assert_eq!(
                run(&Command::look("test", format!("exit {status}")), "").status,
                status
            );
        }
    }

    #[test]
    fn a_command_that_hangs_is_ended_and_says_so() {
        let mut command = Command::look("test", "sleep 100");
        command.limit = Duration::from_millis(50);
        let answer = run(&command, "");
        assert_eq!(answer.status, TIMED_OUT);
        assert_eq!(answer.said(), "it did not end in time");
    }

    #[test]
    fn a_password_that_sudo_did_not_read_is_thrown_away() {
        let mut command = Command::look("test", "cat");
        command.stdin = Some("secret\nof two lines\n".into());
        let answer = run(
            &command,
            &format!("password\n{MARK}\nsecret\nof two lines\n"),
        );
        assert_eq!(answer.stdout, "secret\nof two lines\n");
        let without = run(&Command::look("test", "cat"), "password\n");
        assert_eq!(without.stdout, "");
    }

    #[test]
    fn a_script_of_several_lines_with_quotes_is_run_as_it_is() {
        let script = "x='a b'\nif true; then\n  printf '%s|' \"$x\" \"it's\"\nfi";
        assert_eq!(run(&Command::look("test", script), "").stdout, "a b|it's|");
    }

    #[test]
    fn a_script_that_does_not_parse_is_an_answer_too() {
        let answer = run(&Command::look("test", "if"), "");
        assert_ne!(answer.status, 0);
        assert!(answer.said().contains("Syntax error"), "{answer:?}");
    }

    #[test]
    fn output_without_marks_is_no_answer() {
        assert_eq!(
            unframe(b"Welcome\n", b"sudo: a password is required\n", MARK),
            None
        );
        let cut = format!("\n{MARK}\nhalf of it");
        assert_eq!(unframe(cut.as_bytes(), b"", MARK), None);
    }

    #[test]
    fn no_secret_is_in_an_argument_or_in_a_message() {
        let mut command = Command::look("test", "cat");
        command.stdin = Some("hunter2".into());
        for privilege in [Privilege::Sudo, Privilege::SudoWithPassword] {
            assert!(
                !words(&command, privilege, MARK)
                    .concat()
                    .contains("hunter2")
            );
        }
        assert!(!format!("{command:?}").contains("hunter2"));
    }
}
