//! Pacemaker's own tools, run as commands on files in a temporary directory.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io};

use cib_gen::apply::commands::{self, Invocation};
use cib_gen::scheduler::{self, Event, Scheduler, Transition};
use cib_gen::xml::{self, Element};

/// Why a tool could not be run, or why its answer cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Error(String);

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self(format!("could not write or read a temporary file: {error}"))
    }
}

impl From<xml::Error> for Error {
    fn from(error: xml::Error) -> Self {
        Self(format!(
            "the CIB that crm_simulate wrote cannot be used: {error}"
        ))
    }
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
        let file = self.file(self.runs.fetch_add(1, Ordering::Relaxed), name);
        fs::write(&file, content)?;
        Ok(file)
    }

    /// The patch from one CIB to another.
    pub(crate) fn difference(&self, old: &Path, new: &Path) -> Result<PathBuf, Error> {
        let invocation = commands::difference(old, new);
        let output = output(&invocation)?;
        // It ends with 1 if there is a difference.
        if output.stdout.is_empty() || !matches!(output.status.code(), Some(0 | 1)) {
            return Err(failed(&invocation, &output));
        }
        self.write("patch", &String::from_utf8_lossy(&output.stdout))
    }

    /// What crm_verify complains of.
    pub(crate) fn complaints(&self, cib: &Element) -> Result<Vec<String>, Error> {
        let output = output(&commands::verify(&self.write("verify", &cib.to_string())?))?;
        let said = match output.status.success() {
            true => String::new(),
            false => String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        Ok(said.lines().map(|line| line.trim().to_owned()).collect())
    }
}

/// Runs a command, which has to succeed, and returns what it printed.
pub(crate) fn run(invocation: &Invocation) -> Result<String, Error> {
    let output = output(invocation)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(invocation, &output)),
    }
}

impl Scheduler for Tools {
    type Error = Error;

    fn ask(&self, cib: &str, events: &[Event]) -> Result<Transition, Error> {
        let run_number = self.runs.fetch_add(1, Ordering::Relaxed);
        let files = ["before", "changed", "after"].map(|name| self.file(run_number, name));
        fs::write(&files[0], cib)?;
        let [before, changed, after] = files.each_ref().map(|file| file.display().to_string());
        let (first, last) = scheduler::runs(events, &before, &changed, &after);
        let invocation = |arguments| Invocation {
            tool: "crm_simulate",
            arguments,
            limit: commands::LIMIT,
        };
        if let Some(arguments) = first {
            run(&invocation(arguments))?;
        }
        // It ends with an error where an operation was told to fail, and prints all the same.
        let last = invocation(last);
        let output = output(&last)?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if printed.trim().is_empty() {
            return Err(failed(&last, &output));
        }
        let left = fs::read_to_string(&files[2]).unwrap_or_default();
        for file in files {
            let _ = fs::remove_file(file);
        }
        Transition::read(&printed, left).map_err(|error| {
            let said = said(&output);
            Error(format!(
                "what crm_simulate printed cannot be used: {error}. It said: {said}"
            ))
        })
    }
}

/// The CIB of the cluster that runs on this node.
pub(crate) fn query_cib() -> Result<String, Error> {
    let output = output(&commands::query())?;
    if !output.status.success() {
        return Err(Error(format!(
            "could not ask the cluster on this node for its configuration: {}\n  help: the cluster must \
             run here (sudo pcs cluster status), and cib-gen needs sudo. --cib FILE compares with a file",
            said(&output)
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn failed(Invocation { tool, .. }: &Invocation, output: &Output) -> Error {
    Error(format!(
        "{tool} failed ({}): {}",
        output.status,
        said(output)
    ))
}

/// What it said on standard error, in one line.
fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    match said.split_whitespace().collect::<Vec<_>>()[..] {
        [] => "nothing".to_owned(),
        ref words => words.join(" "),
    }
}

/// Runs a tool to its end. timeout(1) ends one that hangs. Ctrl-C in a terminal is for cib-gen alone.
fn output(invocation: &Invocation) -> Result<Output, Error> {
    let Invocation { tool, limit, .. } = invocation;
    let missing = || {
        let package = package(tool);
        Error(format!(
            "{tool} is not found\n  help: run cib-gen with sudo, or: sudo apt install {package}"
        ))
    };
    let output = Command::new("timeout")
        .args(["--foreground", "--kill-after=1", &limit.to_string(), tool])
        .args(&invocation.arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .process_group(0)
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(),
            _ => Error(format!("could not run {tool}: {error}")),
        })?;
    match output.status.code() {
        Some(127) => Err(missing()),
        Some(124 | 137) => Err(Error(format!(
            "{tool} did not end within {limit} seconds"
        ))),
        _ => Ok(output),
    }
}
