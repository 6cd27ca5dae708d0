//! Runs cib-gen on this machine.

use std::io;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command as Process;

use crate::exit::Failure;

/// Runs cib-gen with vars.yml on its standard input.
///
/// # Errors
/// It cannot be run.
pub(crate) async fn cib_gen(arguments: &[&str], vars: &str) -> Result<Output, Failure> {
    ask_cib_gen(arguments, vars, None).await
}

/// The same, with the credentials of a profile of the AWS configuration.
///
/// # Errors
/// It cannot be run.
pub(super) async fn ask_cib_gen(
    arguments: &[&str],
    vars: &str,
    profile: Option<&str>,
) -> Result<Output, Failure> {
    let mut cib_gen = Process::new(beside_this("cib-gen"));
    cib_gen
        .args(arguments)
        .envs(profile.map(|it| ("AWS_PROFILE", it)));
    let ran = run(&mut cib_gen, vars).await;
    ran.map_err(|error| {
        Failure::failed(format!(
            "could not run cib-gen on this machine: {error}. Nothing was changed\n  help: it is in the same package as \
             ha-ctl; use both from there"
        ))
    })
}

async fn run(program: &mut Process, input: &str) -> io::Result<Output> {
    program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = program.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It says itself why it has not read everything.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    child.wait_with_output().await
}

/// A program of the same package: next to this one, or else the one on PATH.
fn beside_this(name: &str) -> PathBuf {
    let own = std::env::current_exe().ok();
    let beside = own.map(|own| own.with_file_name(name));
    beside
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(name))
}
