//! An action runs in a process of its own, watched by this one. A thread cannot give up a call that the kernel does
//! not return from (a read from a volume that hangs), and a process with such a thread cannot end. The watching
//! process can, and it says what the action was doing.

use std::cell::RefCell;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getppid, pipe};

use super::exit::{Exit, Failure};
use ec2::Deadline;

/// The character before the exit code, which is the last line that the action's process writes.
const END_MARK: &str = "\u{4}";

/// Where an action says what it is doing. By default, nobody reads it.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    to: Option<File>,
    logged: RefCell<String>,
}

impl Steps {
    /// Says what is being done now: "waiting for vol-1 to leave i-1".
    pub(crate) fn doing(&self, step: impl Display) {
        tracing::debug!("{step}");
        self.tell(&step.to_string());
    }

    /// Says what is being changed now, and logs it, once for a change that is retried.
    pub(crate) fn acting(&self, step: impl Display) {
        let step = step.to_string();
        if self.logged.replace(step.clone()) != step {
            tracing::info!("{step}");
        }
        self.tell(&step);
    }

    fn tell(&self, step: &str) {
        if let Some(mut to) = self.to.as_ref() {
            // A lost line makes a reason poorer, nothing else.
            let _ = to.write_all(format!("{}\n", step.replace('\n', " ")).as_bytes());
        }
    }
}

/// Runs `action` in a child and returns its exit code, or a failure when it has not ended at the deadline.
pub(super) fn supervised(
    deadline: Deadline,
    action: impl FnOnce(Steps) -> u8,
) -> Result<u8, Failure> {
    let (from, to) = pipe().map_err(failed("make a pipe"))?;
    let parent = nix::unistd::getpid();
    // SAFETY: this process has one thread, so the child finds no lock held by another.
    #[allow(unsafe_code)]
    let forked = unsafe { fork() }.map_err(failed("start a process for the action"))?;
    match forked {
        ForkResult::Child => {
            drop(from);
            // If the watching process is killed, the action must not go on unseen.
            let _ = prctl::set_pdeathsig(Signal::SIGKILL);
            if getppid() != parent {
                std::process::exit(Exit::Generic as i32);
            }
            let to = File::from(to);
            let end = to.try_clone();
            let (to, logged) = (Some(to), RefCell::default());
            let code = action(Steps { to, logged });
            // Written before the end, which a thread that hangs in the kernel delays.
            if let Ok(mut end) = end {
                let _ = end.write_all(format!("{END_MARK}{code}\n").as_bytes());
            }
            std::process::exit(i32::from(code));
        }
        ForkResult::Parent { child } => {
            drop(to);
            // If this fails, the child ends with this process.
            let lines = lines_of(File::from(from));
            let lines = lines.map_err(failed("start a thread to watch the action"))?;
            watch(child, &lines, deadline)
        }
    }
}

fn failed<E: Display>(what: &str) -> impl Fn(E) -> Failure {
    move |error| Failure::generic(format!("{what}: {error}"))
}

/// Reads whole lines in a thread, until the other end is closed. Half a line, such as 19 of code 190, is dropped.
fn lines_of(from: impl Read + Send + 'static) -> io::Result<Receiver<String>> {
    let (send, lines) = channel();
    std::thread::Builder::new().spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok() && line.ends_with(b"\n") {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if send.send(text).is_err() {
                return;
            }
            line.clear();
        }
    })?;
    Ok(lines)
}

/// Waits for the exit code, or until the child has closed its end of the pipe, which it does by ending.
fn watch(child: Pid, lines: &Receiver<String>, deadline: Deadline) -> Result<u8, Failure> {
    let mut step = None;
    loop {
        match lines.recv_timeout(deadline.remaining()) {
            Ok(line) => match line.strip_prefix(END_MARK).map(str::parse) {
                Some(Ok(code)) => return Ok(code),
                _ => step = Some(line),
            },
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let _ = kill(child, Signal::SIGKILL);
                return Err(Failure::generic(format!(
                    "still {} when the time was up ({:.1} s, the operation's timeout less a reserve)",
                    step.as_deref().unwrap_or("busy"),
                    deadline.limit().as_secs_f32()
                )));
            }
        }
    }
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => {
                return Ok(u8::try_from(code).unwrap_or(Exit::Generic as u8));
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                let doing = step.as_deref().unwrap_or("starting");
                return Err(Failure::generic(format!("ended by {signal} while {doing}")));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed("wait for the action")(errno)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// What a child is taken to have answered that wrote these pieces, and then went on.
    fn watched(pieces: &[&'static [u8]]) -> Result<u8, Failure> {
        let (from, to) = pipe().unwrap();
        let mut to = File::from(to);
        let lines = lines_of(File::from(from)).unwrap();
        for piece in pieces {
            to.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let deadline = Deadline::after(Instant::now(), Duration::from_millis(500));
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        let answer = watch(pid, &lines, deadline);
        child.kill().unwrap();
        child.wait().unwrap();
        answer
    }

    #[test]
    fn half_an_exit_code_is_none() {
        assert_eq!(watched(&[b"asking Docker\n\x041", b"9", b"0\n"]), Ok(190));
        let failure = watched(&[b"asking Docker\n\x0419"]).unwrap_err();
        assert!(
            failure.reason.starts_with("still asking Docker when"),
            "{failure}"
        );
    }

    #[test]
    fn of_several_steps_the_last_whole_one_is_told() {
        for (pieces, step) in [
            (&[][..], "busy"),
            (&[&b"one\ntwo\nth"[..]], "two"),
            (&[b"one\ntwo\nth", b"ree\n"], "three"),
        ] {
            let failure = watched(pieces).unwrap_err();
            let told = format!("still {step} when the time was up");
            assert!(failure.reason.starts_with(&told), "{failure}");
        }
    }
}
