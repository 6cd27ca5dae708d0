//! Snapshots of the volume, and a volume from one: cib-gen asks EC2, on the machine where ha-ctl runs, with the
//! operator's credentials.

use std::time::Duration;

use cib_gen::ec2_facts::{Kept, KeptState, Restored, RestoredState};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use crate::deploy::cib_gen;
use crate::exit::Failure;
use crate::output::Progress;

/// How often EC2 is asked how far a snapshot is, which takes seconds to hours.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// After how many errors in a row it is given up. cib-gen itself repeats what EC2 does not answer.
const ERRORS: u32 = 20;

/// Who asks EC2, and of which site.
#[derive(Debug, Clone, Copy)]
pub struct Keeper<'a> {
    /// vars.yml.
    pub vars: &'a str,
    /// The profile of the AWS configuration.
    pub profile: Option<&'a str>,
}

impl Keeper<'_> {
    /// The snapshot of this name, which is begun where there is none.
    ///
    /// # Errors
    /// EC2 refuses, or does not answer.
    pub async fn begin(&self, name: &str, description: &str) -> Result<Kept, Failure> {
        let arguments = ["ec2-snapshot", "--name", name, "--description", description];
        self.ask(&arguments).await
    }

    /// Waits until a snapshot is completed.
    ///
    /// # Errors
    /// It failed, or EC2 does not answer any more.
    pub async fn wait(&self, mut kept: Kept, name: &str, what: &str) -> Result<String, Failure> {
        let mut progress = Progress::begin(what);
        let mut errors = 0;
        loop {
            match kept.state {
                KeptState::Completed => return Ok(kept.id),
                KeptState::Failed => {
                    return Err(Failure::failed(format!(
                        "{what}: EC2 says that {} has failed\n  help: aws ec2 describe-snapshots --snapshot-ids {}",
                        kept.id, kept.id
                    )));
                }
                KeptState::Pending => {}
            }
            progress.update(&format!("{what}: {} {}", kept.id, kept.progress));
            sleep(LOOK_EVERY).await;
            let id = kept.id.clone();
            let arguments = ["ec2-snapshot", "--name", name, "--id", &id];
            match self.ask(&arguments).await {
                Ok(seen) => (kept, errors) = (seen, 0),
                // Its description may come later.
                Err(failure) if errors >= ERRORS => return Err(failure),
                Err(_) => errors += 1,
            }
        }
    }

    /// A volume from a snapshot, which can be attached.
    ///
    /// # Errors
    /// EC2 refuses, or does not answer.
    pub async fn restore(&self, snapshot: &str, name: &str) -> Result<String, Failure> {
        let what = "EC2 makes a volume from the snapshot";
        let mut progress = Progress::begin(what);
        loop {
            let arguments = ["ec2-restore", "--snapshot", snapshot, "--name", name];
            let restored: Restored = self.ask(&arguments).await?;
            match restored.state {
                RestoredState::Ready => return Ok(restored.id),
                RestoredState::Failed => {
                    return Err(Failure::failed(format!(
                        "{what}: {} has failed\n  help: aws ec2 describe-volumes --volume-ids {}",
                        restored.id, restored.id
                    )));
                }
                RestoredState::Creating => {}
            }
            progress.update(&format!("{what}: {}", restored.id));
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
            let said = said.strip_prefix("error: ").unwrap_or(&said);
            return Err(Failure::failed(said.to_owned()));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| {
            Failure::failed(format!("what cib-gen printed cannot be used: {error}"))
        })
    }
}
