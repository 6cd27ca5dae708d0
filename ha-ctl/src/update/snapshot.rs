//! Snapshots of the volume, and a volume from one: cib-gen asks EC2, on the machine where ha-ctl runs, with the
//! operator's credentials.

use std::time::Duration;

use cib_gen::ec2_facts::{Kept, KeptState, Restored, RestoredState};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::deploy::cib_gen;
use crate::exit::Failure;
use crate::output::Progress;

/// How often EC2 is asked how far it is: with a snapshot, seconds to hours.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// For how long a request is repeated that fails. What it begins is found by its name, so that it begins once.
const PATIENCE: Duration = Duration::from_secs(45);
/// For how long EC2 is asked again that does not answer any more. cib-gen repeats what EC2 does not answer, too.
const LONG_PATIENCE: Duration = Duration::from_secs(600);
/// How long a volume may be made.
const CREATING: Duration = Duration::from_secs(600);

/// Who asks EC2, and of which site.
#[derive(Debug, Clone, Copy)]
pub struct Keeper<'a> {
    /// vars.yml.
    pub vars: &'a str,
    /// The profile of the AWS configuration.
    pub profile: Option<&'a str>,
}

/// A snapshot of which EC2 was told.
#[derive(Debug, Clone)]
pub struct Snapshot {
    name: String,
    kept: Kept,
}

impl Snapshot {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.kept.id
    }
}

impl Keeper<'_> {
    /// The snapshot of this name, which is begun where there is none.
    ///
    /// # Errors
    /// EC2 refuses, or does not answer.
    pub async fn begin(&self, name: &str, description: &str) -> Result<Snapshot, Failure> {
        let arguments = ["ec2-snapshot", "--name", name, "--description", description];
        let begun = Instant::now();
        loop {
            match self.ask(&arguments).await {
                Ok(kept) => {
                    let name = name.to_owned();
                    return Ok(Snapshot { name, kept });
                }
                Err(failure) if is_final(&failure) || begun.elapsed() > PATIENCE => {
                    return Err(failure);
                }
                Err(_) => sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Whether the operator may make snapshots. Nothing is made.
    ///
    /// # Errors
    /// It is refused, or EC2 does not answer.
    pub async fn may_begin(&self) -> Result<(), Failure> {
        self.ask(&["ec2-snapshot", "--name", "-", "--dry-run"])
            .await
    }

    /// A snapshot that was begun.
    ///
    /// # Errors
    /// EC2 does not know it, or does not answer.
    pub async fn look(&self, id: &str) -> Result<Snapshot, Failure> {
        let kept = self
            .ask(&["ec2-snapshot", "--name", "-", "--id", id])
            .await?;
        let name = "-".to_owned();
        Ok(Snapshot { name, kept })
    }

    /// Waits until a snapshot is completed. Whether it is: EC2 may say that it has failed.
    ///
    /// # Errors
    /// EC2 does not answer any more.
    pub async fn is_completed(&self, snapshot: &Snapshot, what: &str) -> Result<bool, Failure> {
        let mut kept = snapshot.kept.clone();
        let mut progress = Progress::begin(what);
        let mut answered = Instant::now();
        loop {
            match kept.state {
                KeptState::Completed => return Ok(true),
                KeptState::Failed => return Ok(false),
                KeptState::Pending => {}
            }
            progress.update(&format!("{what}: {} {}", kept.id, kept.progress));
            sleep(LOOK_EVERY).await;
            let id = kept.id.clone();
            let arguments = ["ec2-snapshot", "--name", &snapshot.name, "--id", &id];
            match self.ask(&arguments).await {
                Ok(seen) => (kept, answered) = (seen, Instant::now()),
                // Its description may come later than it.
                Err(failure) if answered.elapsed() > LONG_PATIENCE => return Err(failure),
                Err(_) => {}
            }
        }
    }

    /// A volume from a snapshot, which can be attached.
    ///
    /// # Errors
    /// EC2 refuses, or does not answer, or does not make it.
    pub async fn restore(&self, snapshot: &str, name: &str) -> Result<String, Failure> {
        let what = "EC2 makes a volume from the snapshot";
        let mut progress = Progress::begin(what);
        let arguments = ["ec2-restore", "--snapshot", snapshot, "--name", name];
        let (begun, mut answered) = (Instant::now(), Instant::now());
        loop {
            let restored: Option<Restored> = match self.ask(&arguments).await {
                Ok(restored) => Some(restored),
                Err(failure) if is_final(&failure) || answered.elapsed() > PATIENCE => {
                    return Err(failure);
                }
                Err(_) => None,
            };
            if let Some(restored) = restored {
                answered = Instant::now();
                if restored.state == RestoredState::Ready {
                    return Ok(restored.id);
                }
                if restored.state == RestoredState::Failed || begun.elapsed() > CREATING {
                    return Err(Failure::failed(format!(
                        "{what}: {} does not become available\n  help: aws ec2 describe-volumes --volume-ids {}; the key of an \
                         encrypted volume may be one that these credentials may not use",
                        restored.id, restored.id
                    )));
                }
                progress.update(&format!("{what}: {}", restored.id));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, Failure> {
        let mut all = arguments.to_vec();
        all.extend(self.profile.into_iter().flat_map(|it| ["--profile", it]));
        all.push("-");
        let output = cib_gen(&all, self.vars).await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let said = said.strip_prefix("error: ").unwrap_or(&said).to_owned();
            return Err(match output.status.code() {
                Some(2) => Failure::usage(said),
                _ => Failure::failed(said),
            });
        }
        serde_json::from_slice(&output.stdout).map_err(|error| {
            Failure::usage(format!("what cib-gen printed cannot be used: {error}"))
        })
    }
}

/// What asking again makes no better: a mistake, and a permission.
fn is_final(failure: &Failure) -> bool {
    failure.exit == crate::exit::Exit::Usage
        || [
            "UnauthorizedOperation",
            "AccessDenied",
            ".NotFound",
            ".Malformed",
        ]
        .iter()
        .any(|word| failure.text.contains(word))
}
