//! A small file under /run/portsip-ha in which an agent keeps what the next call must know. A reboot removes it, and
//! what it describes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

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
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name = resource.replace(|c| !is_plain(c), "_");
        Self {
            path: PathBuf::from(DIRECTORY).join(format!("{agent}-{name}.json")),
        }
    }

    /// What was saved; `None` if there is no file, or the file cannot be read.
    pub fn load<T: DeserializeOwned>(&self) -> Option<T> {
        let text = fs::read(&self.path).ok()?;
        serde_json::from_slice(&text)
            .inspect_err(|error| tracing::warn!("{}: {error}; ignored", self.path.display()))
            .ok()
    }

    /// Saves `state`, whole or not at all.
    ///
    /// # Errors
    /// When /run cannot be written.
    pub fn save<T: Serialize>(&self, state: &T) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::generic(format!("write {}: {error}", self.path.display()))
        };
        let text = serde_json::to_vec(state).map_err(|error| failed(&error))?;
        let new = self.path.with_extension("new");
        let write = || {
            let mut directory = fs::DirBuilder::new();
            directory.recursive(true).mode(0o700).create(DIRECTORY)?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(&new)?.write_all(&text)?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|error| failed(&error))
    }

    /// How long ago it was written.
    pub fn age(&self) -> Option<Duration> {
        let written = fs::metadata(&self.path).ok()?.modified().ok()?;
        Some(written.elapsed().unwrap_or_default())
    }

    /// Removes the file, if there is one. A file that cannot be removed is logged and left.
    pub fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("remove {}: {error}", self.path.display());
        }
    }
}
