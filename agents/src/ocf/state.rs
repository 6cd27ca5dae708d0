//! A small file under /run/portsip-ha in which an agent keeps what the next call must know.
//! Gone after a reboot, as what it tells of is.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::exit::Failure;

const DIRECTORY: &str = "/run/portsip-ha";

/// The file of one resource of one agent.
#[derive(Debug, Clone)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The file of the resource `resource` of the agent `agent`.
    pub fn of(agent: &str, resource: &str) -> Self {
        // A resource's name may have a colon (clone instances), and here must be one file name.
        let name: String = resource
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "._-".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        Self {
            path: PathBuf::from(DIRECTORY).join(format!("{agent}-{name}.json")),
        }
    }

    /// What was kept; `None` if nothing was, or nothing that can be read.
    pub fn load<T: DeserializeOwned>(&self) -> Option<T> {
        let text = fs::read(&self.path).ok()?;
        serde_json::from_slice(&text)
            .inspect_err(|error| tracing::warn!("{}: {error}; ignored", self.path.display()))
            .ok()
    }

    /// Keeps `state`, whole or not at all.
    ///
    /// # Errors
    /// When /run can't be written.
    pub fn save<T: Serialize>(&self, state: &T) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::generic(format!("write {}: {error}", self.path.display()))
        };
        let text = serde_json::to_vec(state).map_err(|error| failed(&error))?;
        let new = self.path.with_extension("new");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(DIRECTORY)
            .and_then(|()| {
                fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&new)
            })
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&new, &self.path))
            .map_err(|error| failed(&error))
    }

    /// How long ago it was written.
    pub fn age(&self) -> Option<Duration> {
        let written = fs::metadata(&self.path).ok()?.modified().ok()?;
        Some(
            SystemTime::now()
                .duration_since(written)
                .unwrap_or_default(),
        )
    }

    /// Forgets it. That there was nothing is fine; what can't be removed is told and left.
    pub fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("remove {}: {error}", self.path.display());
        }
    }
}
