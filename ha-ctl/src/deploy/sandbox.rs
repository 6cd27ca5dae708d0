//! For tests: runs a node's script with stand-ins for the commands that it calls, each of which notes its calls.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command as Process;

/// A directory with the stand-ins, and with what they answer.
pub(crate) struct Sandbox {
    directory: tempfile::TempDir,
}

/// What a script came to.
#[derive(Debug)]
pub(crate) struct Ran {
    /// What was noted.
    pub(crate) called: Vec<String>,
    pub(crate) succeeded: bool,
    pub(crate) said: String,
}

impl Sandbox {
    pub(crate) fn new() -> Sandbox {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("bin")).unwrap();
        Sandbox { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A stand-in: `note` in it writes a line into the log, and `$fake` is the directory.
    pub(crate) fn tool(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        let script = format!("#!/bin/sh\nnote() {{ echo \"$*\" >>\"$fake/log\"; }}\n{script}\n");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Runs a script; the log is empty before.
    pub(crate) fn run(&self, script: &str) -> Ran {
        let log = self.path("log");
        std::fs::write(&log, "").unwrap();
        let path = std::env::var("PATH").unwrap();
        let output = Process::new("sh")
            .args(["-c", script])
            .env("fake", self.directory.path())
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let called = std::fs::read_to_string(&log).unwrap();
        Ran {
            called: called.lines().map(str::to_owned).collect(),
            succeeded: output.status.success(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
