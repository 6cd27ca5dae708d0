//! Snapshots of volumes: CreateSnapshot, DescribeSnapshots.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::volume::incorrect_state;
use super::{Answer, tag};
use crate::ec2::ebs::{EbsSnapshot, Tags};
use crate::ec2::error::ApiError;
use crate::ec2::ids::{SnapshotId, VolumeId};
use crate::ec2::query::{Call, passes};
use crate::ec2::state::{State, no_snapshot};
use crate::ec2::states::{SnapshotState, VolumeState};
use crate::ec2::xml::{Element, list, moment, text};
use crate::ec2::{Ec2, OWNER, locked};

/// API reference, CreateSnapshot. "snapshots only capture data that has been written to your Amazon EBS volume at the
/// time the snapshot command is issued", so the answer comes once the snapshot has it.
pub(super) async fn create(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["VolumeId", "Description", "TagSpecification"])?;
    let volume = VolumeId::parse(call.required("VolumeId")?)?;
    let description = call.optional("Description").unwrap_or_default();
    let tags = tag::specified(call, "snapshot")?;
    let interval = ec2.timing.snapshot_interval;
    let (id, snapshot) =
        locked(&ec2.state).create_snapshot(&volume, description, tags, interval)?;
    ec2.snapshot_began(id.clone(), volume).await;
    Ok(elements(&id, &snapshot))
}

/// API reference, DescribeSnapshots. All snapshots of the model are the account's own.
pub(super) fn describe(state: &State, call: &Call) -> Answer {
    call.only(&["SnapshotId", "Owner", "Filter", "MaxResults", "NextToken"])?;
    let ids = call.list("SnapshotId").into_iter().map(SnapshotId::parse);
    let asked = ids.collect::<Result<Vec<_>, _>>()?;
    if let Some(missing) = asked.iter().find(|id| !state.snapshots.contains_key(id)) {
        return Err(no_snapshot(missing));
    }
    let mut owners = call.list("Owner").into_iter();
    if let Some(other) = owners.find(|owner| *owner != "self" && *owner != OWNER) {
        return Err(ApiError::invalid_value(format!(
            "This model has the snapshots of `self`, and none of {other}."
        )));
    }
    let filters = call.filters();
    let mut found = Vec::new();
    for (id, snapshot) in &state.snapshots {
        if (asked.is_empty() || asked.contains(id))
            && passes(&filters, |name| field(id, snapshot, name))?
        {
            found.push(elements(id, snapshot));
        }
    }
    Ok(vec![list("snapshotSet", found)])
}

impl State {
    fn create_snapshot(
        &mut self,
        id: &VolumeId,
        description: &str,
        tags: Tags,
        interval: Duration,
    ) -> Result<(SnapshotId, EbsSnapshot), ApiError> {
        let volume = self.volume_mut(id)?.clone();
        // Chosen, as for other calls of a volume that is not there yet.
        if matches!(volume.state(), VolumeState::Creating | VolumeState::Error) {
            return Err(incorrect_state(id, &volume));
        }
        let of_volume = || self.snapshots.values().filter(|it| it.volume == *id);
        let now = SystemTime::now();
        // Error codes, SnapshotCreationPerVolumeRateExceeded. The words are EC2's own, as in
        // <https://github.com/velero-io/velero/issues/5776>.
        if of_volume().any(|it| now.duration_since(it.begun).is_ok_and(|age| age < interval)) {
            return Err(ApiError::client(
                "SnapshotCreationPerVolumeRateExceeded",
                "The maximum per volume CreateSnapshot request rate has been exceeded. Use an increasing or variable \
                 sleep interval between requests.",
            ));
        }
        // Error codes, ConcurrentSnapshotLimitExceeded: "snapshots that are in an incomplete state, such as 'error',
        // which count against your concurrent snapshot limit". The words are EC2's own.
        let incomplete = of_volume().filter(|it| it.state != SnapshotState::Completed);
        if incomplete.count() >= volume.performance.kind.concurrent_snapshots() {
            return Err(ApiError::client(
                "ConcurrentSnapshotLimitExceeded",
                "Maximum allowed in-progress snapshots for a single volume exceeded.",
            ));
        }
        let snapshot = EbsSnapshot {
            volume: id.clone(),
            size_gib: volume.size_gib,
            key: volume.key,
            description: description.to_owned(),
            tags,
            begun: now,
            ended: None,
            state: SnapshotState::Pending,
            progress: 0,
        };
        let id = SnapshotId::numbered(self.number());
        self.snapshots.insert(id.clone(), snapshot.clone());
        Ok((id, snapshot))
    }
}

fn elements(id: &SnapshotId, snapshot: &EbsSnapshot) -> Vec<Element> {
    let mut elements = vec![
        text("snapshotId", id),
        text("volumeId", &snapshot.volume),
        text("status", snapshot.state.name()),
        text("startTime", moment(snapshot.begun)),
        text("progress", format!("{}%", snapshot.progress)),
        text("ownerId", OWNER),
        text("volumeSize", snapshot.size_gib),
        text("description", &snapshot.description),
        text("encrypted", true),
        text("kmsKeyId", &snapshot.key),
        text("storageTier", "standard"),
        tag::set(&snapshot.tags),
    ];
    elements.extend(
        snapshot
            .ended
            .map(|ended| text("completionTime", moment(ended))),
    );
    elements
}

fn field(id: &SnapshotId, snapshot: &EbsSnapshot, name: &str) -> Option<Vec<String>> {
    Some(vec![match name {
        "snapshot-id" => id.to_string(),
        "volume-id" => snapshot.volume.to_string(),
        "status" => snapshot.state.name().to_owned(),
        "description" => snapshot.description.clone(),
        other => return tag::field(&snapshot.tags, other),
    }])
}
