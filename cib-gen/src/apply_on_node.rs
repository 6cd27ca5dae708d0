//! The files of this node that `cib-gen apply` compares and changes beside the CIB: corosync.conf and DRBD's
//! resource file.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use cib_gen::apply::commands;
use cib_gen::apply::node_files::{self, DrbdFile};
use cib_gen::apply::notes;
use cib_gen::cluster::{Cluster, Setting};

use crate::{Failure, say, tools};

const COROSYNC_CONF: &str = "/etc/corosync/corosync.conf";

/// What differs on this node, beside the CIB.
#[derive(Debug, Default)]
pub(crate) struct OnNode<'a> {
    pub(crate) changes: Vec<String>,
    pub(crate) notes: Vec<String>,
    totem: Vec<&'a Setting>,
    /// The DRBD resource file and its new content.
    drbd: Option<(String, String)>,
}

impl OnNode<'_> {
    /// Whether there is nothing to change.
    pub(crate) fn is_empty(&self) -> bool {
        self.totem.is_empty() && self.drbd.is_none()
    }

    /// Makes the change.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        if !self.totem.is_empty() {
            tools::run(&commands::update_totem(&self.totem))?;
            say("changed: corosync.conf, on every node");
        }
        if let Some((path, content)) = &self.drbd {
            write_drbd_file(Path::new(path), content)?;
            say(&format!(
                "changed: {path}, on this node alone. See the note above for the others"
            ));
        }
        Ok(())
    }
}

/// What differs in the files of this node.
pub(crate) fn on_node(cluster: &Cluster) -> Result<OnNode<'_>, Failure> {
    let mut found = OnNode::default();
    if let Some(conf) = read_if_there(COROSYNC_CONF)? {
        let corosync = node_files::corosync(cluster, &conf);
        found.changes.extend(corosync.changes);
        found.notes.extend(corosync.notes);
        found.totem = corosync.totem;
    }
    if let Some(drbd) = &cluster.drbd {
        let path = format!("/etc/drbd.d/{}.res", drbd.name);
        match read_if_there(&path)?.map(|file| node_files::drbd(drbd, &cluster.warnings, &file)) {
            None | Some(DrbdFile::Same) => {}
            Some(DrbdFile::Options { wanted, changes }) => {
                found.changes.extend(changes.iter().map(|change| format!("{path}: {change}")));
                found.notes.push(format!("apply writes {path} on this node alone. {}", notes::DRBD_FILE));
                found.drbd = Some((path, wanted));
            }
            Some(DrbdFile::OtherStorage(differences)) => found.notes.push(format!(
                "{path} names other storage or peers than vars.yml, so it is left as it is:\n    {}\n  help: \
                 if what the file says is right, compare its options with: cib-gen --format drbd vars.yml",
                differences.join("\n    ")
            )),
        }
    }
    Ok(found)
}

fn read_if_there(path: &str) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::Read {
            name: path.to_owned(),
            error,
        }),
    }
}

/// Writes the file in one step and has DRBD follow it. If DRBD refuses, the old file is written again.
fn write_drbd_file(path: &Path, content: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::Unfinished(format!("could not write {}: {error}", path.display()))
    };
    let old = fs::read_to_string(path).map_err(failed)?;
    replace(path, content).map_err(failed)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if let Err(error) = tools::run(&commands::adjust(&name)) {
        replace(path, &old).map_err(failed)?;
        return Err(Failure::Unfinished(format!(
            "DRBD does not accept the new {}, and the old file was written again. Nothing else was changed: {error}",
            path.display()
        )));
    }
    Ok(())
}

fn replace(path: &Path, content: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let permissions = fs::metadata(path)?.permissions();
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content.as_bytes())?;
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
