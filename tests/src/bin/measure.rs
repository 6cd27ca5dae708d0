//! Runs one command and prints what it cost as a line of JSON: `lab bench` starts every agent with
//! it, on the node. It links nothing but the standard library and nix, because the peak memory of a
//! process begins with that of the process that started it.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::wait;

fn main() -> ExitCode {
    match measured() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("measure: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The cost: `wall_us` until the command has ended; `cpu_us`, user and system, of every process
/// that it started; `peak_kib` of the largest of them; `status`, its exit status, 128 and the
/// signal's number if a signal ended it.
fn measured() -> io::Result<String> {
    let mut words = std::env::args_os().skip(1);
    let program = words
        .next()
        .ok_or_else(|| io::Error::other("usage: measure PROGRAM [ARGUMENT]..."))?;
    // Whatever the command leaves behind becomes a child of this process, and is counted.
    set_child_subreaper(true)?;
    let mut command = Command::new(program);
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(io::stderr().as_fd().try_clone_to_owned()?);
    let began = Instant::now();
    let status = command.spawn()?.wait()?;
    let wall = began.elapsed();
    while wait() != Err(Errno::ECHILD) {}
    let (cpu, peak) = children()?;
    let status = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(format!(
        r#"{{"wall_us":{},"cpu_us":{cpu},"peak_kib":{peak},"status":{status}}}"#,
        wall.as_micros()
    ))
}

/// Microseconds of CPU of all children that have ended, and KiB of the largest.
#[allow(
    unsafe_code,
    reason = "a C structure of numbers, filled in by the kernel"
)]
fn children() -> io::Result<(i64, i64)> {
    // SAFETY: every bit pattern is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` lives until the call returns.
    Errno::result(unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) })?;
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    Ok((
        micros(usage.ru_utime) + micros(usage.ru_stime),
        usage.ru_maxrss,
    ))
}
