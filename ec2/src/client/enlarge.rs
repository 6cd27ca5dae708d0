//! Elastic Volumes: a volume becomes larger while it is in use. A volume never becomes smaller.

use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{VolumeModification, VolumeModificationState};

use crate::{AwsError, Deadline, Ec2, Enlarged, ErrorKind, Region, VolumeId, retry_transient};

/// How often EC2 is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Makes a volume so large, if it is not yet, and waits until the new size counts: EC2 goes on to optimize it for
/// hours. It can be called again at any time.
///
/// # Errors
/// EC2's; `InvalidValue` if the volume is larger already.
pub async fn enlarge(
    region: Option<&Region>,
    profile: Option<&str>,
    volume: &VolumeId,
    gib: i32,
    limit: Duration,
) -> Result<Enlarged, AwsError> {
    let ec2 = Ec2::connect(region, profile).await?;
    let deadline = Deadline::after(Instant::now(), limit);
    let from = retry_transient(deadline, async || ec2.size(volume).await).await?;
    let begun = retry_transient(deadline, async || ec2.latest_modification(volume).await).await?;
    // An earlier call has begun it. EC2 shows the new size when it counts.
    let goes_on = begun.is_some_and(|it| it.target_size() == Some(gib) && !has_failed(&it));
    if from > gib {
        let cause = format!("{volume} has {from} GiB, and a volume cannot be made smaller");
        let operation = format!("make {volume} {gib} GiB large");
        return Err(AwsError::new(ErrorKind::InvalidValue, operation, cause));
    }
    if from < gib && !goes_on {
        ec2.modify(volume, gib).await?;
    }
    if from < gib {
        ec2.wait_until_it_counts(volume, deadline).await?;
    }
    Ok(Enlarged {
        region: ec2.region.clone(),
        from,
        to: gib,
    })
}

fn has_failed(modification: &VolumeModification) -> bool {
    modification.modification_state() == Some(&VolumeModificationState::Failed)
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

    /// None if the volume was never modified.
    async fn latest_modification(
        &self,
        id: &VolumeId,
    ) -> Result<Option<VolumeModification>, AwsError> {
        let call = self.sdk.describe_volumes_modifications();
        let call = call.volume_ids(id.as_str()).send();
        let operation = format!("look up how {id} is modified");
        match self.call(call, &operation).await {
            Ok(answer) => Ok(answer.volumes_modifications().first().cloned()),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Not repeated: an answer that is lost may stand for a modification that has begun.
    async fn modify(&self, id: &VolumeId, gib: i32) -> Result<(), AwsError> {
        let call = self.sdk.modify_volume().volume_id(id.as_str()).size(gib);
        let operation = format!("make {id} {gib} GiB large");
        self.call(call.send(), &operation).await.map(drop)
    }

    async fn wait_until_it_counts(
        &self,
        id: &VolumeId,
        deadline: Deadline,
    ) -> Result<(), AwsError> {
        loop {
            let latest =
                retry_transient(deadline, async || self.latest_modification(id).await).await?;
            let error = |cause: &str| {
                let operation = format!("wait until the new size of {id} counts");
                AwsError::new(ErrorKind::WrongState, operation, cause)
            };
            match latest {
                Some(it) if has_failed(&it) => {
                    let why = it.status_message().unwrap_or("EC2 does not say why");
                    return Err(error(&format!("the modification has failed: {why}")));
                }
                Some(it)
                    if matches!(
                        it.modification_state(),
                        Some(
                            VolumeModificationState::Optimizing
                                | VolumeModificationState::Completed
                        )
                    ) =>
                {
                    return Ok(());
                }
                // EC2 may not show it yet.
                _ => {}
            }
            if !deadline.sleep(POLL_INTERVAL).await {
                return Err(error(
                    "it does not yet. EC2 goes on; the same command again waits for it",
                ));
            }
        }
    }
}
