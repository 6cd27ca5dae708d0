//! A small file under /run/portsip-ha in which an agent keeps what the next call must know. A reboot removes it, and
//! what it describes.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::exit::Failure;

const DIRECTORY: &str = "/run/portsip-ha";

pub(crate) struct StateFile(PathBuf);

impl StateFile {
    pub(crate) fn of(agent: &str, resource: &str) -> Self {
        // A resource's name may have a colon (clone instances), and here must be one file name.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name = resource.replace(|c| !is_plain(c), "_");
        Self(Path::new(DIRECTORY).join(format!("{agent}-{name}.json")))
    }

    /// What was saved; `None` if there is no file, or the file cannot be read.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Option<T> {
        let read = serde_json::from_slice(&fs::read(&self.0).ok()?);
        read.inspect_err(|error| tracing::warn!("{}: {error}; ignored", self.0.display()))
            .ok()
    }

    /// Saves `state`, whole or not at all.
    pub(crate) fn save<T: Serialize>(&self, state: &T) -> Result<(), Failure> {
        let new = self.0.with_extension("new");
        let write = || {
            let text = serde_json::to_vec(state)?;
            let mut directory = fs::DirBuilder::new();
            directory.recursive(true).mode(0o700).create(DIRECTORY)?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(&new)?.write_all(&text)?;
            fs::rename(&new, &self.0)
        };
        write().map_err(|error: io::Error| {
            Failure::generic(format!("write {}: {error}", self.0.display()))
        })
    }

    /// Saves `state` for the next call. Without it that call knows less, but what was done is done.
    pub(crate) fn save_if_possible<T: Serialize>(&self, state: &T) {
        if let Err(failure) = self.save(state) {
            tracing::warn!("{failure}");
        }
    }

    pub(crate) fn age(&self) -> Option<Duration> {
        let written = fs::metadata(&self.0).ok()?.modified().ok()?;
        Some(written.elapsed().unwrap_or_default())
    }

    /// Removes the file, if there is one. A file that cannot be removed is logged and left.
    pub(crate) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("remove {}: {error}", self.0.display());
        }
    }
}
