//! Whose turn it is with a lab: the lock that whoever starts, uses or removes one holds.

use std::fs;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::world::Error;
use crate::{control, name, paths, remains};

/// The labs of the tests: two at a time, because they mostly wait for Pacemaker and EC2.
const TEST_LABS: [&str; 2] = ["test1", "test2"];
/// How long [`turn`] waits. Tests of whole clusters take minutes, and many may be waiting.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3600);

/// The lock of the lab of this process's name, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _held: Flock<fs::File>,
}

/// Takes the lock of the lab of this process's name.
///
/// # Errors
/// Somebody has it up, or is starting or removing it.
pub fn own() -> Result<Turn, Error> {
    let name = name::current();
    if control::listening() {
        return Err(format!("the lab '{name}' is up already; `lab --name {name} down` ends it, `lab --name OTHER` is another").into());
    }
    take(name)?.ok_or_else(|| {
        format!(
            "somebody is starting or using the lab '{name}' just now; `lab --name OTHER` is another"
        )
        .into()
    })
}

/// For tests: waits for one of the labs that tests have, and makes it this process's lab. Tests of one
/// process have one lab, one after the other.
///
/// # Errors
/// None has become free within an hour, or a lock cannot be made.
pub fn turn() -> Result<Turn, Error> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    let mut told = false;
    loop {
        let chosen = name::chosen()
            .map(ToOwned::to_owned)
            .or_else(name::from_environment);
        let candidates: Vec<&str> = match &chosen {
            Some(name) => vec![name],
            None => TEST_LABS.to_vec(),
        };
        for candidate in candidates {
            let Some(turn) = take(candidate)? else {
                continue;
            };
            // Another thread of this process may have chosen meanwhile.
            if name::choose(candidate).is_err() {
                continue;
            }
            if control::listening() && !TEST_LABS.contains(&candidate) {
                return Err(format!(
                    "the lab '{candidate}' is up; `lab --name {candidate} down` ends it"
                )
                .into());
            }
            // A test holds the lock for as long as its lab is up: this one's was killed.
            remains::remove()?;
            return Ok(turn);
        }
        if Instant::now() > deadline {
            return Err("no lab for this test within an hour: others have them all".into());
        }
        if !std::mem::replace(&mut told, true) {
            eprintln!("waiting for a lab: others have them all");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Takes the lock of the lab `name`; nothing if somebody has it.
fn take(name: &str) -> Result<Option<Turn>, Error> {
    let path = paths::lock(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| format!("cannot make {}: {e}", parent.display()))?;
    }
    let file =
        fs::File::create(&path).map_err(|e| format!("cannot make {}: {e}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(held) => Ok(Some(Turn { _held: held })),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, e)) => Err(format!("cannot lock {}: {e}", path.display()).into()),
    }
}
