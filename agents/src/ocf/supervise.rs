//! An action runs in a process of its own, watched by this one. A call that the kernel does
//! not return from (a read from a volume that hangs) can't be given up by the thread that made it, and a
//! process with such a thread can't end. This process can, and says what the action was doing.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getppid, pipe};

use super::exit::{Exit, Failure};
use ec2::Deadline;

/// Before the exit code in the last note.
const ENDED: &str = "\u{4}";

/// Where an action notes what it is doing.
#[derive(Debug)]
pub struct Steps {
    to: Option<File>,
    /// The change that the log told of last.
    told: RefCell<String>,
}

impl Steps {
    /// Notes go nowhere.
    pub fn unheard() -> Self {
        Self {
            to: None,
            told: RefCell::default(),
        }
    }

    /// Notes what is being done now: "waiting for vol-1 to leave i-1".
    pub fn doing(&self, step: &str) {
        tracing::debug!("{step}");
        self.note(step);
    }

    /// Notes what is being changed now, and tells it in the log, once for a change that is tried again.
    pub fn acting(&self, step: &str) {
        if self.told.replace(step.to_owned()) != step {
            tracing::info!("{step}");
        }
        self.note(step);
    }

    fn note(&self, step: &str) {
        if let Some(mut to) = self.to.as_ref() {
            // Lost notes make a reason poorer, nothing else.
            let _ = to.write_all(format!("{}\n", step.replace('\n', " ")).as_bytes());
        }
    }
}

/// Runs `action` in a child and returns its exit code, or a failure when it is still at it
/// at the deadline.
pub(super) fn supervised(
    deadline: Deadline,
    action: impl FnOnce(Steps) -> u8,
) -> Result<u8, Failure> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |errno: Errno| Failure::generic(format!("{what}: {errno}"))
    };
    let (notes, to) = pipe().map_err(failed("make a pipe"))?;
    let parent = nix::unistd::getpid();
    // SAFETY: this process has one thread, so the child finds no lock held by another.
    #[allow(unsafe_code)]
    let forked = unsafe { fork() }.map_err(failed("start a process for the action"))?;
    match forked {
        ForkResult::Child => {
            drop(notes);
            // If this process is killed, the action must not go on unseen.
            let _ = prctl::set_pdeathsig(Signal::SIGKILL);
            if getppid() != parent {
                std::process::exit(i32::from(Exit::Generic.code()));
            }
            let to = File::from(to);
            let end = to.try_clone();
            let code = action(Steps {
                to: Some(to),
                told: RefCell::default(),
            });
            // Told before the end: a thread that hangs in the kernel puts the end off. In one write, since who reads
            // the first digit of 190 alone takes it for a failure.
            if let Ok(mut end) = end {
                let _ = end.write_all(format!("{ENDED}{code}\n").as_bytes());
            }
            std::process::exit(i32::from(code));
        }
        ForkResult::Parent { child } => {
            drop(to);
            watch(child, File::from(notes), deadline)
        }
    }
}

/// Waits until the child has closed its end of the pipe, which it does by ending.
fn watch(child: Pid, mut notes: File, deadline: Deadline) -> Result<u8, Failure> {
    let mut read = Notes::default();
    loop {
        let left = deadline.remaining();
        if left.is_zero() {
            let _ = kill(child, Signal::SIGKILL);
            return Err(Failure::generic(format!(
                "still {} when the time was up ({:.1} s, the operation's timeout less a reserve)",
                read.last_or("busy"),
                deadline.limit().as_secs_f32()
            )));
        }
        let timeout = PollTimeout::try_from(left.as_millis().max(1)).unwrap_or(PollTimeout::MAX);
        let ready = poll(
            &mut [PollFd::new(notes.as_fd(), PollFlags::POLLIN)],
            timeout,
        );
        match ready {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(Failure::generic(format!("wait for the action: {errno}"))),
        }
        let mut chunk = [0; 4096];
        match notes.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => {
                if let Some(code) = read.take(&chunk[..n]) {
                    return Ok(code);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::generic(format!("wait for the action: {error}"))),
        }
    }
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => {
                return Ok(u8::try_from(code).unwrap_or(Exit::Generic.code()));
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                let doing = read.last_or("starting");
                return Err(Failure::generic(format!("ended by {signal} while {doing}")));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure::generic(format!("wait for the action: {errno}"))),
        }
    }
}

/// What was read of the notes. A read may end in the middle of a line.
#[derive(Debug, Default)]
struct Notes {
    /// The beginning of a line.
    rest: Vec<u8>,
    /// The last whole line.
    last: String,
}

impl Notes {
    /// Takes what was read, and returns the exit code if the action has ended.
    fn take(&mut self, chunk: &[u8]) -> Option<u8> {
        self.rest.extend_from_slice(chunk);
        let end = self.rest.iter().rposition(|byte| *byte == b'\n')? + 1;
        let lines: Vec<u8> = self.rest.drain(..end).collect();
        let text = String::from_utf8_lossy(&lines);
        let line = text.lines().rfind(|line| !line.is_empty())?;
        if let Some(code) = line.strip_prefix(ENDED) {
            return code.parse().ok();
        }
        line.clone_into(&mut self.last);
        None
    }

    /// The last note, or this if there is none.
    fn last_or<'a>(&'a self, other: &'a str) -> &'a str {
        if self.last.is_empty() {
            other
        } else {
            &self.last
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_exit_code_is_none() {
        let mut notes = Notes::default();
        assert_eq!(notes.take(b"asking Docker\n\x041"), None);
        assert_eq!(notes.last_or("busy"), "asking Docker");
        assert_eq!(notes.take(b"9"), None);
        assert_eq!(notes.take(b"0\n"), Some(190));
    }

    #[test]
    fn of_several_notes_the_last_whole_one_counts() {
        let mut notes = Notes::default();
        assert_eq!(notes.last_or("busy"), "busy");
        assert_eq!(notes.take(b"one\ntwo\nth"), None);
        assert_eq!(notes.last_or("busy"), "two");
        assert_eq!(notes.take(b"ree\n\n"), None);
        assert_eq!(notes.last_or("busy"), "three");
    }
}
