//! The log of a run: what was said, and each command on a node with its end. What a command read is never in it, and
//! what it printed only where the verb says so: both may hold secrets.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use time::OffsetDateTime;

use crate::reach::{Answer, Cause, Command};

/// How many are kept.
const KEPT: usize = 50;

struct Log {
    path: PathBuf,
    file: Mutex<File>,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Opens a log for this process. Without one, everything goes on.
pub fn begin() {
    let Some(directory) = directory() else { return };
    let Ok((path, file)) = open(&directory) else {
        return;
    };
    let file = Mutex::new(file);
    let _ = LOG.set(Log { path, file });
    line(&std::env::args().collect::<Vec<_>>().join(" "));
}

/// Where it is.
pub fn path() -> Option<&'static Path> {
    LOG.get().map(|log| log.path.as_path())
}

/// Adds a text, with the time before each of its lines.
pub fn line(text: &str) {
    let Some(log) = LOG.get() else { return };
    let now = OffsetDateTime::now_utc();
    let time = format!(
        "{:02}:{:02}:{:02}.{:03}",
        now.hour(),
        now.minute(),
        now.second(),
        now.millisecond()
    );
    let lines = text.lines().map(|line| format!("{time} {line}\n"));
    if let Ok(mut file) = log.file.lock() {
        // A full disk must not end a change in the middle.
        let _ = file.write_all(lines.collect::<String>().as_bytes());
    }
}

/// Adds how a command on a node ended.
pub(crate) fn command(
    node: &str,
    command: &Command,
    took: Duration,
    ended: &Result<Answer, Cause>,
) {
    let took = took.as_secs_f64();
    line(&match ended {
        Err(cause) => format!("{node}: {}: {took:.1} s: {}", command.what, cause.found()),
        Ok(answer) => format!(
            "{node}: {}: {took:.1} s: ended with {}\n{}",
            command.what, answer.status, answer.stderr
        ),
    });
}

/// Below /var/log for root, else where a user's programs keep their state.
fn directory() -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Some(PathBuf::from("/var/log/portsip-ha"));
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let state = variable("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(Path::new(&variable("HOME")?).join(".local/state")));
    Some(state?.join("portsip-ha"))
}

fn open(directory: &Path) -> std::io::Result<(PathBuf, File)> {
    let mut made = fs::DirBuilder::new();
    made.recursive(true).mode(0o700).create(directory)?;
    remove_old(directory);
    let now = OffsetDateTime::now_utc();
    let name = format!(
        "ha-ctl-{}-{:02}{:02}{:02}-{}.log",
        now.date(),
        now.hour(),
        now.minute(),
        now.second(),
        std::process::id()
    );
    let path = directory.join(name);
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).open(&path)?;
    Ok((path, file))
}

/// The names begin with the date, so that the first are the oldest.
fn remove_old(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_log = |name: &str| name.starts_with("ha-ctl-") && name.ends_with(".log");
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_log(name)).collect();
    names.sort();
    let many = names.len().saturating_sub(KEPT - 1);
    for name in names.iter().take(many) {
        let _ = fs::remove_file(directory.join(name));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_oldest_logs_go_and_other_files_stay() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for n in 0..60 {
            fs::write(at(&format!("ha-ctl-2026-01-01-0000{n:02}-7.log")), "").unwrap();
        }
        fs::write(at("notes"), "").unwrap();
        let (path, _) = open(directory.path()).unwrap();
        let names = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(names, KEPT + 1);
        assert!(path.exists() && at("notes").exists());
        assert!(!at("ha-ctl-2026-01-01-000000-7.log").exists());
    }
}
