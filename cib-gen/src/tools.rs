//! Pacemaker's own tools, run as commands on files in a temporary directory.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use cib_gen::apply::commands::{self, Invocation};
use cib_gen::scheduler::{self, Event, Scheduler, Transition};
use cib_gen::xml::{self, Element};

/// A tool could not be run, or its answer could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is not there.
    #[error(
        "{tool} is not found\n  help: run cib-gen with sudo, or: sudo apt install {}",
        package(tool)
    )]
    Missing {
        /// Which.
        tool: &'static str,
    },
    /// It could not be run.
    #[error("could not run {tool}: {error}")]
    Run {
        /// Which.
        tool: &'static str,
        /// What came back.
        error: io::Error,
    },
    /// It did not end.
    #[error("{tool} did not end within {limit} seconds")]
    Late {
        /// Which.
        tool: &'static str,
        /// The limit.
        limit: u32,
    },
    /// It ended with an error.
    #[error("{tool} failed ({status}): {said}")]
    Failed {
        /// Which.
        tool: &'static str,
        /// How it ended.
        status: String,
        /// What it said.
        said: String,
    },
    /// There is no cluster to ask.
    #[error(
        "could not ask the cluster on this node for its configuration: {said}\n  help: the cluster must \
         run here (sudo pcs cluster status), and cib-gen needs sudo. --cib FILE compares with a file"
    )]
    NoCluster {
        /// What cibadmin said.
        said: String,
    },
    /// It printed something else.
    #[error("what {tool} printed cannot be used: {error}. It said: {said}")]
    Answer {
        /// Which.
        tool: &'static str,
        /// What is wrong with it.
        error: xml::Error,
        /// What it said.
        said: String,
    },
    /// A file of ours could not be written or read.
    #[error("could not write or read a temporary file: {0}")]
    File(#[from] io::Error),
}

/// The package that has a tool.
fn package(tool: &str) -> &'static str {
    match tool {
        "drbdadm" | "drbdsetup" => "drbd-utils",
        "corosync-cmapctl" => "corosync",
        "pcs" | "python3" => "pcs",
        _ => "pacemaker-cli-utils",
    }
}

/// Runs crm_simulate and the other tools, and holds the directory for their files, which is removed with this.
#[derive(Debug)]
pub(crate) struct Tools {
    directory: tempfile::TempDir,
    runs: AtomicU32,
}

impl Tools {
    /// Makes the directory, which only its owner can read.
    pub(crate) fn new() -> Result<Tools, Error> {
        Ok(Tools {
            directory: tempfile::Builder::new().prefix("cib-gen-").tempdir()?,
            runs: AtomicU32::new(0),
        })
    }

    fn file(&self, run: u32, name: &str) -> PathBuf {
        self.directory.path().join(format!("{run}-{name}.xml"))
    }

    /// Writes a file for a tool to read.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<PathBuf, Error> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let file = self.file(run, name);
        fs::write(&file, content)?;
        Ok(file)
    }

    /// The patch from one CIB to another.
    pub(crate) fn difference(&self, old: &Path, new: &Path) -> Result<PathBuf, Error> {
        let invocation = commands::difference(old, new);
        let output = output(&invocation)?;
        // It ends with 1 if there is a difference.
        if output.stdout.is_empty() || !matches!(output.status.code(), Some(0 | 1)) {
            return Err(failed(invocation.tool, &output));
        }
        self.write("patch", &String::from_utf8_lossy(&output.stdout))
    }

    /// What crm_verify complains of.
    pub(crate) fn complaints(&self, cib: &Element) -> Result<Vec<String>, Error> {
        let file = self.write("verify", &cib.to_string())?;
        let invocation = commands::verify(&file);
        let output = output(&invocation)?;
        if output.status.success() {
            return Ok(Vec::new());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(said.lines().map(|line| line.trim().to_owned()).collect())
    }
}

/// Runs a command, which has to succeed, and returns what it printed.
pub(crate) fn run(invocation: &Invocation) -> Result<String, Error> {
    let output = output(invocation)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(invocation.tool, &output))
    }
}

impl Scheduler for Tools {
    type Error = Error;

    fn ask(&self, cib: &str, events: &[Event]) -> Result<Transition, Error> {
        let tool = "crm_simulate";
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let files = ["before", "changed", "after"].map(|name| self.file(run, name));
        let [before, changed, after] = &files;
        fs::write(before, cib)?;
        let paths = [before, changed, after].map(|path| path.display().to_string());
        let (first, last) = scheduler::runs(events, &paths[0], &paths[1], &paths[2]);
        let limit = commands::LIMIT;
        let invocation = |arguments| Invocation {
            tool,
            arguments,
            limit,
        };
        if let Some(arguments) = first {
            let output = output(&invocation(arguments))?;
            if !output.status.success() {
                return Err(failed(tool, &output));
            }
        }
        // It ends with an error where an operation was told to fail, and prints all the same.
        let output = output(&invocation(last))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if printed.trim().is_empty() {
            return Err(failed(tool, &output));
        }
        let left = fs::read_to_string(after).unwrap_or_default();
        for file in files {
            let _ = fs::remove_file(file);
        }
        Transition::read(&printed, left).map_err(|error| Error::Answer {
            tool,
            error,
            said: said(&output),
        })
    }
}

/// The CIB of the cluster that runs on this node.
pub(crate) fn query_cib() -> Result<String, Error> {
    let invocation = commands::query();
    let output = output(&invocation)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Error::NoCluster {
            said: said(&output),
        })
    }
}

fn failed(tool: &'static str, output: &Output) -> Error {
    Error::Failed {
        tool,
        status: output.status.to_string(),
        said: said(output),
    }
}

/// What it said on standard error, in one line.
fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let words: Vec<&str> = said.split_whitespace().collect();
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join(" ")
    }
}

/// Runs a tool to its end. timeout(1) ends one that hangs. Ctrl-C in a terminal is for cib-gen alone.
fn output(invocation: &Invocation) -> Result<Output, Error> {
    let tool = invocation.tool;
    let output = Command::new("timeout")
        .args(["--foreground", "--kill-after=1"])
        .args([&invocation.limit.to_string(), tool])
        .args(&invocation.arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .process_group(0)
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Missing { tool },
            _ => Error::Run { tool, error },
        })?;
    match output.status.code() {
        Some(127) => Err(Error::Missing { tool }),
        Some(124 | 137) => Err(Error::Late {
            tool,
            limit: invocation.limit,
        }),
        _ => Ok(output),
    }
}
