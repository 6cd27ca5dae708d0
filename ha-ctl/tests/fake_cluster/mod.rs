//! ha-ctl as a process, with a cluster that is made of scripts (`tool`).

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::fs;
use std::io::BufRead;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What is said when a restart has been interrupted.
pub const AGAIN: &str = "pbx was told to start again";

const TOOLS: [&str; 9] = [
    "ssh",
    "sudo",
    "systemctl",
    "systemd-run",
    "pcs",
    "crm_mon",
    "crm_resource",
    "crm_attribute",
    "cibadmin",
];

/// The cluster's state, in a directory.
pub struct Fake(tempfile::TempDir);

impl Fake {
    pub fn new() -> Fake {
        let directory = tempfile::tempdir().unwrap();
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_cluster/tool");
        fs::create_dir(directory.path().join("bin")).unwrap();
        for name in TOOLS {
            symlink(&tool, directory.path().join("bin").join(name)).unwrap();
        }
        Fake(directory)
    }

    pub fn set(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    pub fn unset(&self, name: &str) {
        fs::remove_file(self.0.path().join(name)).unwrap();
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.path().join(name).exists()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.0.path().join("log")).unwrap_or_default()
    }

    /// Begins a run in a process group of its own, as a terminal has it.
    pub fn begin(&self, arguments: &str) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// A run that has not begun.
    pub fn command(&self, arguments: &str) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ha-ctl"));
        command
            .args(arguments.split(' '))
            .args(["--nodes", "a=127.0.0.1,b=127.0.0.2"])
            .env("PATH", format!("{}/bin:{path}", self.0.path().display()))
            .env("FAKE", self.0.path())
            .env_remove("SUDO_USER")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }

    pub fn run(&self, arguments: &str) -> Ran {
        Ran::of(self.begin(arguments).wait_with_output().unwrap())
    }

    /// Waits until a line is in the log.
    pub fn until(&self, line: &str) {
        self.until_it(line, || self.log().lines().any(|it| it == line));
    }

    pub fn until_it(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            let waited = begun.elapsed();
            assert!(
                waited < Duration::from_secs(60),
                "no {what}: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        Ran {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn ended(&self, status: i32, said: &[&str]) {
        assert_eq!(self.status, Some(status), "{self:#?}");
        for text in said {
            assert!(
                self.stderr.contains(text),
                "`{text}` was not said: {self:#?}"
            );
        }
    }
}

/// As Ctrl-C does: to everything that belongs to the terminal's process group.
pub fn interrupt(child: &Child, signal: Signal) {
    kill(Pid::from_raw(-i32::try_from(child.id()).unwrap()), signal).unwrap();
}

pub fn ended(child: Child) -> Ran {
    Ran::of(child.wait_with_output().unwrap())
}

/// Reads what is said up to a line that has a text in it.
pub fn until_said(stderr: &mut impl BufRead, text: &str) -> String {
    let mut said = String::new();
    while !said.contains(text) {
        let read = stderr.read_line(&mut said).unwrap();
        assert!(read > 0, "`{text}` was not said: {said}");
    }
    said
}

pub fn rest(stderr: &mut impl BufRead) -> String {
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    rest
}
