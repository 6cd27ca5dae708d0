//! What `cib-gen apply` looks at and changes beside the CIB: SBD of every node, Corosync's settings, and DRBD's
//! resource file of this node.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use cib_gen::apply::node_files::{self, DrbdFile};
use cib_gen::apply::watchdog::{self, Sbd};
use cib_gen::apply::{commands, drbd_peers};
use cib_gen::cluster::{Cluster, Drbd, Setting};
use cib_gen::render;
use cib_gen::vars::DrbdVersion;
use cib_gen::xml::Element;

use crate::tools::{self, Tools};
use crate::{Failure, say};

const COROSYNC_CONF: &str = "/etc/corosync/corosync.conf";

/// What differs on this node, beside the CIB.
#[derive(Debug, Default)]
pub(crate) struct OnNode<'a> {
    pub(crate) changes: Vec<String>,
    pub(crate) notes: Vec<String>,
    totem: Vec<&'a Setting>,
    drbd: Option<NewFile<'a>>,
}

/// A DRBD resource file that is written.
#[derive(Debug)]
struct NewFile<'a> {
    resource: &'a str,
    path: String,
    content: String,
    /// Whether DRBD runs here and follows the file at once.
    runs: bool,
}

impl OnNode<'_> {
    /// Whether there is nothing to change.
    pub(crate) fn is_empty(&self) -> bool {
        self.totem.is_empty() && self.drbd.is_none()
    }

    /// Whether somebody has to agree before it is changed.
    pub(crate) fn disturbs(&self) -> bool {
        self.drbd.is_some()
    }

    /// Makes the change.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        if !self.totem.is_empty() {
            tools::run(&commands::update_totem(&self.totem)).map_err(|error| {
                Failure::Unfinished(format!(
                    "corosync.conf was not changed on every node, and the CIB was not changed: {error}\n  help: to \
                     give every node the file of this node again: sudo pcs cluster sync corosync, then sudo pcs \
                     cluster reload corosync. Then run apply again"
                ))
            })?;
            say("changed: corosync.conf, on every node");
        }
        if let Some(file) = &self.drbd {
            let changed_before = match self.totem.is_empty() {
                true => "Nothing else was changed",
                false => {
                    "corosync.conf was changed on every node before that, and stays so. The CIB was not changed"
                }
            };
            file.write(changed_before)?;
            say(&format!(
                "changed: {}, on this node alone. See the note above for the others",
                file.path
            ));
        }
        Ok(())
    }
}

/// Fits the time of the watchdog to what the nodes say of SBD, as [`watchdog::fit`] does. What a person has to know.
pub(crate) fn fit_watchdog(
    cluster: &mut Cluster,
    cib: &Element,
) -> Result<Result<Vec<String>, String>, Failure> {
    if cluster.corosync.watchdog.is_none() {
        return Ok(Ok(Vec::new()));
    }
    let (said, unasked): (Vec<Sbd>, _) = match tools::run(&commands::sbd_of_nodes()) {
        Ok(json) => (
            serde_json::from_str(&json).map_err(|error| not_understood("pcs", &error))?,
            None,
        ),
        Err(error) => (Vec::new(), Some(error)),
    };
    let with_reason = |text: String| match &unasked {
        Some(error) => format!("{text}\n  the nodes could not be asked: {error}"),
        None => text,
    };
    Ok(watchdog::fit(cluster, cib, &said)
        .map(|note| {
            let note = note.map(with_reason).into_iter();
            note.chain(watchdog::with_delay(&said)).collect()
        })
        .map_err(with_reason))
}

fn not_understood(tool: &str, error: &serde_json::Error) -> Failure {
    Failure::Unfinished(format!(
        "what {tool} printed cannot be used: {error}. Nothing was changed"
    ))
}

/// What differs in Corosync's settings, and in the files of this node.
pub(crate) fn on_node<'a>(cluster: &'a Cluster, tools: &Tools) -> Result<OnNode<'a>, Failure> {
    let mut found = OnNode::default();
    if let Some(conf) = read_if_there(COROSYNC_CONF)? {
        let running = tools::run(&commands::corosync_map())?;
        let corosync = node_files::corosync(cluster, &conf, &running);
        found.changes.extend(corosync.changes);
        found.notes.extend(corosync.notes);
        found.totem = corosync.totem;
    }
    if let Some(drbd) = &cluster.drbd {
        look_at_drbd(drbd, cluster, tools, &mut found)?;
    }
    Ok(found)
}

fn look_at_drbd<'a>(
    drbd: &'a Drbd,
    cluster: &Cluster,
    tools: &Tools,
    found: &mut OnNode<'a>,
) -> Result<(), Failure> {
    let path = format!("/etc/drbd.d/{}.res", drbd.name);
    let here = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // To a node that is none of the resource's, drbdadm says nothing of it.
    let is_voter = cluster.is_voter(here.trim());
    if is_voter || read_if_there(&path)?.is_none() {
        return Ok(());
    }
    // Without the module, drbdsetup would load it.
    let status = match drbd.version {
        DrbdVersion::EightFour => read_if_there("/proc/drbd")?.unwrap_or_default(),
        DrbdVersion::Nine if Path::new("/sys/module/drbd").exists() => {
            tools::run(&commands::drbd_status())?
        }
        DrbdVersion::Nine => "[]".to_owned(),
    };
    let peers = drbd_peers::notes(drbd, here.trim(), &status);
    found
        .notes
        .extend(peers.map_err(|error| not_understood("drbdsetup", &error))?);
    let content = render::drbd(drbd, &cluster.warnings);
    let wanted = tools.write("drbd", &content)?;
    let has = tools::run(&commands::dump(drbd.name, None))?;
    let wants = tools::run(&commands::dump(drbd.name, Some(&wanted)))?;
    let changes = match node_files::drbd(drbd, &path, &has, &wants) {
        DrbdFile::Same => return Ok(()),
        DrbdFile::Local(changes) => changes,
        DrbdFile::ByHand(note) => {
            found.notes.push(note);
            return Ok(());
        }
    };
    let is_healthy = node_files::is_healthy(drbd, &status);
    let (runs, when) = match is_healthy.map_err(|error| not_understood("drbdsetup", &error))? {
        Some(true) => (true, "and DRBD follows it at once"),
        None => (
            false,
            "and DRBD, which is down here, reads it when it starts",
        ),
        Some(false) => {
            found.notes.push(format!(
                "{path} is left for later, because not every copy is connected and up to date:\n    {}\n  help: when \
                 `{}` shows every peer Connected and UpToDate, run apply again",
                changes.join("\n    "),
                drbd.status_command()
            ));
            return Ok(());
        }
    };
    let changes = changes.iter().map(|change| format!("{path}: {change}"));
    found.changes.extend(changes);
    found.notes.push(format!(
        "apply writes {path} on this node alone, {when}. The old file is kept as {path}.old\n  help: then on every \
         other node, one after the other: sudo cib-gen apply vars.yml"
    ));
    found.drbd = Some(NewFile {
        resource: drbd.name,
        path,
        content,
        runs,
    });
    Ok(())
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

impl NewFile<'_> {
    /// Writes the file and has DRBD follow it, where it runs. If DRBD does not accept the file, or would do more
    /// than change options, the old file is written again.
    /// `changed_before` says what the same run has changed.
    fn write(&self, changed_before: &str) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            Failure::Unfinished(format!(
                "could not write {}: {error}. {changed_before}",
                self.path
            ))
        };
        let path = Path::new(&self.path);
        let old = fs::read_to_string(path).map_err(failed)?;
        fs::copy(path, format!("{}.old", self.path)).map_err(failed)?;
        replace(path, &self.content).map_err(failed)?;
        let Err(why) = self.follow() else {
            return Ok(());
        };
        replace(path, &old).map_err(failed)?;
        Err(Failure::Unfinished(format!(
            "DRBD does not follow the new {}, and the old file was written again. {changed_before}: {why}\n  \
             help: sudo drbdadm --dry-run adjust {}   shows in what DRBD differs from its file",
            self.path, self.resource
        )))
    }

    fn follow(&self) -> Result<(), String> {
        let run = |invocation| tools::run(&invocation).map_err(|error| error.to_string());
        if !self.runs {
            return run(commands::dump(self.resource, None)).map(drop);
        }
        let would_run = run(commands::adjust_dry_run(self.resource))?;
        let more = node_files::more_than_options(&would_run);
        if !more.is_empty() {
            return Err(format!(
                "`drbdadm adjust` would do more than change options:\n    {}",
                more.join("\n    ")
            ));
        }
        run(commands::adjust(self.resource)).map(drop)
    }
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
