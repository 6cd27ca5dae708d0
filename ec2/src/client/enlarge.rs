//! Elastic Volumes: a volume becomes larger while it is in use. A volume never becomes smaller.

use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{VolumeModification, VolumeModificationState};

use crate::{AwsError, Deadline, Ec2, Enlarged, ErrorKind, Region, VolumeId, retry_transient};

/// For how long EC2 is asked how things are, and after how long it is asked again how far it is.
const LOOK: Duration = Duration::from_secs(15);
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Makes a volume so large, if it is not yet, and waits until the new size counts: EC2 goes on to optimize it for
/// hours. It can be called again at any time.
///
/// # Errors
/// EC2's, as long as it has not begun; `InvalidValue` if the volume is larger already.
pub async fn enlarge(
    region: Option<&Region>,
    profile: Option<&str>,
    volume: &VolumeId,
    gib: i32,
    limit: Duration,
) -> Result<Enlarged, AwsError> {
    let ec2 = Ec2::connect(region, profile).await?;
    let look = Deadline::after(Instant::now(), LOOK);
    let from = retry_transient(look, async || ec2.size(volume).await).await?;
    if from > gib {
        let cause = format!("{volume} has {from} GiB, and a volume cannot be made smaller");
        let operation = format!("make {volume} {gib} GiB large");
        return Err(AwsError::new(ErrorKind::InvalidValue, operation, cause));
    }
    let counts = match from == gib {
        true => true,
        false => {
            // An earlier call may have begun it. EC2 shows the new size when it counts.
            let begun = retry_transient(look, async || ec2.progress(volume, gib).await).await?;
            // One that has failed may be tried again.
            if matches!(begun, Progress::None | Progress::Failed(_)) {
                ec2.modify(volume, gib).await?;
            }
            ec2.wait_until_it_counts(volume, gib, limit).await?
        }
    };
    Ok(Enlarged {
        from,
        to: gib,
        counts,
    })
}

/// How far the modification to a size is.
enum Progress {
    /// There is none to this size, or EC2 does not show it yet.
    None,
    Modifying,
    Counts,
    Failed(String),
}

impl Progress {
    /// A modification to another size is an earlier one.
    fn of(modification: &VolumeModification, gib: i32) -> Progress {
        if modification.target_size() != Some(gib) {
            return Progress::None;
        }
        match modification.modification_state() {
            Some(VolumeModificationState::Optimizing | VolumeModificationState::Completed) => {
                Progress::Counts
            }
            Some(VolumeModificationState::Failed) => {
                let why = modification.status_message();
                Progress::Failed(why.unwrap_or("EC2 does not say why").to_owned())
            }
            _ => Progress::Modifying,
        }
    }
}

impl Ec2 {
    /// In GiB.
    async fn size(&self, id: &VolumeId) -> Result<i32, AwsError> {
        let operation = format!("look up the size of {id} in {}", self.region);
        let call = self.sdk.describe_volumes().volume_ids(id.as_str()).send();
        let answer = self.call(call, &operation).await?;
        let size = answer.volumes().first().and_then(|volume| volume.size());
        size.ok_or_else(|| AwsError::not_found(&operation))
    }

    async fn progress(&self, id: &VolumeId, gib: i32) -> Result<Progress, AwsError> {
        let call = self.sdk.describe_volumes_modifications();
        let call = call.volume_ids(id.as_str()).send();
        let operation = format!("look up how {id} is modified");
        match self.call(call, &operation).await {
            Ok(answer) => {
                let latest = answer.volumes_modifications().first();
                Ok(latest.map_or(Progress::None, |latest| Progress::of(latest, gib)))
            }
            // It was never modified.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(Progress::None),
            Err(error) => Err(error),
        }
    }

    /// Not repeated: an answer that is lost may stand for a modification that has begun, and whether it has is seen.
    async fn modify(&self, id: &VolumeId, gib: i32) -> Result<(), AwsError> {
        let call = self.sdk.modify_volume().volume_id(id.as_str()).size(gib);
        let operation = format!("make {id} {gib} GiB large");
        let Err(error) = self.call(call.send(), &operation).await else {
            return Ok(());
        };
        if !error.is_unknown() {
            return Err(error);
        }
        match self.progress(id, gib).await {
            Ok(Progress::Modifying | Progress::Counts) => Ok(()),
            _ => Err(error),
        }
    }

    /// Whether it counts in time. EC2 goes on in any case.
    async fn wait_until_it_counts(
        &self,
        id: &VolumeId,
        gib: i32,
        limit: Duration,
    ) -> Result<bool, AwsError> {
        let deadline = Deadline::after(Instant::now(), limit);
        loop {
            match self.progress(id, gib).await {
                Ok(Progress::Counts) => return Ok(true),
                Ok(Progress::Failed(why)) => {
                    let operation = format!("make {id} {gib} GiB large");
                    let cause = format!("the modification has failed: {why}");
                    return Err(AwsError::new(ErrorKind::WrongState, operation, cause));
                }
                // Not shown yet, on its way, or no answer this time.
                _ => {}
            }
            if !deadline.sleep(POLL_INTERVAL).await {
                return Ok(false);
            }
        }
    }
}
