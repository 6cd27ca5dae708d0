//! Snapshots of a volume, and a volume like it from one of them. Nothing here deletes or detaches anything, and each
//! function can be called again with the same name: what is there of that name is found.

use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{
    Filter, ResourceType, Snapshot, SnapshotState, Tag, TagSpecification, Volume, VolumeState,
};

use crate::{
    AwsError, Deadline, Ec2, ErrorKind, Kept, KeptState, Region, Restored, RestoredState,
    SnapshotId, VolumeId, retry_transient,
};

/// The key of the tag that has the name.
const TAG: &str = "portsip-ha";
/// For how long EC2 is asked how things are.
const LOOK: Duration = Duration::from_secs(15);
/// EC2 begins one snapshot of a volume in 15 s (EC2's error codes), whoever asks.
const RATE: &str = "SnapshotCreationPerVolumeRateExceeded";
const TOO_SOON: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(2);

/// A snapshot to look for, or to make.
#[derive(Debug, Clone, Copy)]
pub struct Keep<'a> {
    pub volume: &'a VolumeId,
    /// The tag's value, which no other snapshot has.
    pub name: &'a str,
    /// For people.
    pub description: &'a str,
    /// Its id, where it is known: then it is only looked for.
    pub id: Option<&'a SnapshotId>,
}

/// The snapshot of this name, which is begun where there is none, and how far it is.
///
/// # Errors
/// EC2's.
pub async fn keep(
    region: Option<&Region>,
    profile: Option<&str>,
    keep: &Keep<'_>,
) -> Result<Kept, AwsError> {
    let ec2 = Ec2::connect(region, profile).await?;
    let look = Deadline::after(Instant::now(), LOOK);
    if let Some(id) = keep.id {
        return retry_transient(look, async || ec2.snapshot(id).await).await;
    }
    let found = retry_transient(look, async || ec2.snapshot_named(keep).await).await?;
    if let Some(kept) = found {
        return Ok(kept);
    }
    let soon = Deadline::after(Instant::now(), TOO_SOON);
    loop {
        match ec2.create_snapshot(keep).await {
            Err(error) if error.code.as_deref() == Some(RATE) && soon.sleep(AGAIN).await => {}
            answer => return answer,
        }
    }
}

/// Whether these credentials may look for snapshots of the volume and make one. Nothing is made.
///
/// # Errors
/// They may not, or there are none.
pub async fn may_keep(
    region: Option<&Region>,
    profile: Option<&str>,
    keep: &Keep<'_>,
) -> Result<(), AwsError> {
    let ec2 = Ec2::connect(region, profile).await?.dry_run();
    let look = Deadline::after(Instant::now(), LOOK);
    retry_transient(look, async || ec2.snapshot_named(keep).await).await?;
    let made = ec2.create_snapshot(keep).await.map(drop);
    match AwsError::from_dry_run(made) {
        Err(error) if error.is_denial() => Err(error),
        // What else EC2 may say is about this moment.
        _ => Ok(()),
    }
}

/// A volume from a snapshot, in the place of another one.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    pub snapshot: &'a SnapshotId,
    /// Whose size, type, zone and key it gets.
    pub like: &'a VolumeId,
    /// The tag's value, which no other volume has, and EC2's client token.
    pub name: &'a str,
}

/// The volume of this name, which is begun where there is none.
///
/// # Errors
/// EC2's.
pub async fn restore(
    region: Option<&Region>,
    profile: Option<&str>,
    restore: &Restore<'_>,
) -> Result<Restored, AwsError> {
    let ec2 = Ec2::connect(region, profile).await?;
    let look = Deadline::after(Instant::now(), LOOK);
    let found = retry_transient(look, async || ec2.volume_named(restore.name).await).await?;
    if let Some(found) = found {
        return Ok(found);
    }
    let like = retry_transient(look, async || ec2.described(restore.like).await).await?;
    ec2.create_volume(restore, &like).await
}

impl Ec2 {
    async fn snapshot(&self, id: &SnapshotId) -> Result<Kept, AwsError> {
        let operation = format!("look up {id} in {}", self.region);
        let call = self.sdk.describe_snapshots().snapshot_ids(id.as_str());
        let answer = self.call(call.send(), &operation).await?;
        let found = answer.snapshots().first().and_then(kept);
        found.ok_or_else(|| AwsError::not_found(&operation))
    }

    /// One that has failed is none.
    async fn snapshot_named(&self, keep: &Keep<'_>) -> Result<Option<Kept>, AwsError> {
        let operation = format!("look for snapshots of {} in {}", keep.volume, self.region);
        let call = self.sdk.describe_snapshots().owner_ids("self");
        let call = call.filters(filter("volume-id", keep.volume.as_str()));
        let call = call.filters(filter(&format!("tag:{TAG}"), keep.name));
        let answer = self.call(call.send(), &operation).await?;
        let mut found = answer.snapshots().iter().filter_map(kept);
        Ok(found.find(|it| it.state != KeptState::Failed))
    }

    /// Not repeated: an answer that is lost may stand for a snapshot that has begun, and the next call finds it.
    async fn create_snapshot(&self, keep: &Keep<'_>) -> Result<Kept, AwsError> {
        let operation = format!("make a snapshot of {}", keep.volume);
        let call = self.sdk.create_snapshot().volume_id(keep.volume.as_str());
        let call = call.description(keep.description);
        let call = call.set_dry_run(self.dry_run);
        let call = call.tag_specifications(tagged(ResourceType::Snapshot, vec![tag(keep.name)]));
        let begun = self.call(call.send(), &operation).await?;
        let id = begun.snapshot_id().and_then(SnapshotId::from_answer);
        let id = id.ok_or_else(|| {
            let cause = "EC2 does not say which snapshot it has begun";
            AwsError::new(ErrorKind::Unknown, &operation, cause)
        })?;
        Ok(Kept {
            id: id.to_string(),
            state: KeptState::Pending,
            progress: "0%".to_owned(),
        })
    }

    async fn volume_named(&self, name: &str) -> Result<Option<Restored>, AwsError> {
        let operation = format!("look for a volume of the name {name} in {}", self.region);
        let call = self.sdk.describe_volumes();
        let call = call.filters(filter(&format!("tag:{TAG}"), name));
        let answer = self.call(call.send(), &operation).await?;
        let found = answer.volumes().iter().find_map(|volume| {
            Some(Restored {
                id: volume.volume_id()?.to_owned(),
                state: state_of(volume.state()),
            })
        });
        Ok(found.filter(|it| it.state != RestoredState::Failed))
    }

    async fn described(&self, id: &VolumeId) -> Result<Volume, AwsError> {
        let operation = format!("look up {id} in {}", self.region);
        let call = self.sdk.describe_volumes().volume_ids(id.as_str()).send();
        let answer = self.call(call, &operation).await?;
        let volume = answer.volumes().first().cloned();
        volume.ok_or_else(|| AwsError::not_found(&operation))
    }

    /// With EC2's client token, so that it can be sent again. The other volume's tags are for those who look for it.
    async fn create_volume(
        &self,
        restore: &Restore<'_>,
        like: &Volume,
    ) -> Result<Restored, AwsError> {
        let operation = format!("make a volume from {}", restore.snapshot);
        let tags = like.tags().iter().filter(|it| {
            let key = it.key().unwrap_or_default();
            key != TAG && !key.starts_with("aws:")
        });
        let tags: Vec<Tag> = tags.cloned().chain([tag(restore.name)]).collect();
        // EC2 refuses an Iops or a Throughput where the type has a fixed one.
        let kind = like.volume_type().map(|it| it.as_str()).unwrap_or_default();
        let iops = like
            .iops()
            .filter(|_| ["io1", "io2", "gp3"].contains(&kind));
        let throughput = like.throughput().filter(|_| kind == "gp3");
        let is_encrypted = like.encrypted().unwrap_or(false);
        let call = (self.sdk.create_volume())
            .snapshot_id(restore.snapshot.as_str())
            .client_token(restore.name.replace(' ', "-"))
            .set_availability_zone(like.availability_zone().map(str::to_owned))
            .set_size(like.size())
            .set_volume_type(like.volume_type().cloned())
            .set_iops(iops)
            .set_throughput(throughput)
            .set_multi_attach_enabled(like.multi_attach_enabled().filter(|it| *it))
            .set_encrypted(is_encrypted.then_some(true))
            .set_kms_key_id(
                like.kms_key_id()
                    .filter(|_| is_encrypted)
                    .map(str::to_owned),
            )
            .tag_specifications(tagged(ResourceType::Volume, tags));
        let begun = self.call(call.send(), &operation).await?;
        let id = begun.volume_id().map(str::to_owned);
        let id = id.ok_or_else(|| {
            let cause = "EC2 does not say which volume it has begun";
            AwsError::new(ErrorKind::Unknown, &operation, cause)
        })?;
        let state = state_of(begun.state());
        Ok(Restored { id, state })
    }
}

fn kept(snapshot: &Snapshot) -> Option<Kept> {
    let state = match snapshot.state() {
        Some(SnapshotState::Completed) => KeptState::Completed,
        Some(SnapshotState::Error) => KeptState::Failed,
        _ => KeptState::Pending,
    };
    Some(Kept {
        id: snapshot.snapshot_id()?.to_owned(),
        state,
        progress: snapshot.progress().unwrap_or_default().to_owned(),
    })
}

fn state_of(state: Option<&VolumeState>) -> RestoredState {
    match state {
        Some(VolumeState::Available | VolumeState::InUse) => RestoredState::Ready,
        Some(VolumeState::Creating) | None => RestoredState::Creating,
        Some(_) => RestoredState::Failed,
    }
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

fn tag(name: &str) -> Tag {
    Tag::builder().key(TAG).value(name).build()
}

fn tagged(kind: ResourceType, tags: Vec<Tag>) -> TagSpecification {
    TagSpecification::builder()
        .resource_type(kind)
        .set_tags(Some(tags))
        .build()
}
