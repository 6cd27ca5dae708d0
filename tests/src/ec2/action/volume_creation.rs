//! New volumes: CreateVolume. The model makes a volume from a snapshot, and no empty one.

use std::sync::Arc;
use std::time::SystemTime;

use super::volume::volume_elements;
use super::{Answer, tag};
use crate::ec2::ebs::{EbsSnapshot, Origin, Volume};
use crate::ec2::error::ApiError;
use crate::ec2::ids::{SnapshotId, VolumeId};
use crate::ec2::query::Call;
use crate::ec2::state::{State, no_snapshot};
use crate::ec2::states::{SnapshotState, VolumeState};
use crate::ec2::volume_type::{Performance, VolumeType};
use crate::ec2::{Ec2, locked};

/// The availability zones that the account has. The nodes are in one of them.
const ZONES: [&str; 3] = ["us-west-1a", "us-west-1b", "us-west-1c"];

/// API reference, CreateVolume.
pub(super) fn create(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&[
        "SnapshotId",
        "AvailabilityZone",
        "Size",
        "VolumeType",
        "Iops",
        "Throughput",
        "Encrypted",
        "KmsKeyId",
        "MultiAttachEnabled",
        "TagSpecification",
        "ClientToken",
    ])?;
    let snapshot = SnapshotId::parse(call.required("SnapshotId")?)?;
    let mut state = locked(&ec2.state);
    if let Some((id, volume)) = state.made_before(call)? {
        return Ok(volume_elements(id, volume));
    }
    let from = state.snapshots.get(&snapshot);
    let from = from.ok_or_else(|| no_snapshot(&snapshot))?;
    let volume = new_volume(from, snapshot.clone(), call)?;
    let id = VolumeId::numbered(state.number());
    let (answer, gib) = (volume_elements(&id, &volume), volume.size_gib);
    state.volumes.insert(id.clone(), volume);
    drop(state);
    ec2.creation_began(id, snapshot, gib);
    Ok(answer)
}

impl State {
    /// The volume that an earlier call with the same client token has made (EC2 Developer Guide, "Ensuring idempotency
    /// in Amazon EC2 API requests").
    fn made_before(&self, call: &Call) -> Result<Option<(&VolumeId, &Volume)>, ApiError> {
        let Some(token) = call.optional("ClientToken") else {
            return Ok(None);
        };
        let made = self.volumes.iter().find_map(|(id, volume)| {
            let parameters = &volume.origin.as_ref()?.parameters;
            let same_token = parameters.get("ClientToken").is_some_and(|it| it == token);
            same_token.then_some((id, volume, parameters))
        });
        match made {
            Some((_, _, parameters)) if *parameters != call.parameters => Err(ApiError::client(
                "IdempotentParameterMismatch",
                "Parameters on this idempotent request are inconsistent with parameters used in previous request(s).",
            )),
            made => Ok(made.map(|(id, volume, _)| (id, volume))),
        }
    }
}

fn new_volume(from: &EbsSnapshot, id: SnapshotId, call: &Call) -> Result<Volume, ApiError> {
    // As EC2's clients have seen it: <https://github.com/velero-io/velero/issues/1799>.
    if from.state != SnapshotState::Completed {
        return Err(ApiError::client(
            "IncorrectState",
            format!("Snapshot is in invalid state - {}", from.state.name()),
        ));
    }
    // "If you specify a snapshot, the default is the snapshot size, and you can specify a volume size that is equal to
    // or larger than the snapshot size." The code is chosen; the words are those of RunInstances.
    let gib = call.number("Size")?.unwrap_or(from.size_gib);
    if gib < from.size_gib {
        return Err(ApiError::invalid_value(format!(
            "Volume of size {gib}GB is smaller than snapshot '{id}', expect size >= {}GB",
            from.size_gib
        )));
    }
    // "Default: gp2".
    let kind = VolumeType::parse(call.optional("VolumeType").unwrap_or("gp2"))?;
    let (iops, throughput) = (call.number("Iops")?, call.number("Throughput")?);
    if call.flag("MultiAttachEnabled")? == Some(true) {
        return Err(ApiError::invalid_value(
            "This model has no volume with Multi-Attach.",
        ));
    }
    Ok(Volume {
        zone: zone(call.required("AvailabilityZone")?)?,
        size_gib: gib,
        performance: Performance::of(kind, gib, iops, throughput)?,
        key: key(from, call)?,
        created: SystemTime::now(),
        origin: Some(Origin {
            snapshot: id,
            parameters: call.parameters.clone(),
        }),
        tags: tag::specified(call, "volume")?,
        unattached: VolumeState::Creating,
        attachment: None,
        modifications: Vec::new(),
    })
}

/// Error codes, InvalidZone.NotFound.
fn zone(name: &str) -> Result<&'static str, ApiError> {
    let found = ZONES.into_iter().find(|zone| *zone == name);
    found.ok_or_else(|| {
        ApiError::client(
            "InvalidZone.NotFound",
            format!("The zone '{name}' does not exist."),
        )
    })
}

/// "Volumes that are created from encrypted snapshots are also automatically encrypted", and all snapshots of the model
/// are. Without a KmsKeyId the key stays the same, because the snapshot is the account's own (EBS User Guide, "Create
/// an Amazon EBS volume").
fn key(from: &EbsSnapshot, call: &Call) -> Result<String, ApiError> {
    let encrypted = call.flag("Encrypted")?;
    // Chosen: no document says how this is refused.
    if encrypted == Some(false) {
        return Err(ApiError::client(
            "InvalidParameterCombination",
            "A volume from an encrypted snapshot is encrypted.",
        ));
    }
    match call.optional("KmsKeyId") {
        None => Ok(from.key.clone()),
        // "If KmsKeyId is specified, the encrypted state must be true." The code is EC2's own.
        Some(_) if encrypted != Some(true) => Err(ApiError::client(
            "InvalidParameterDependency",
            "The parameter [KmsKeyId] requires the parameter Encrypted to be set.",
        )),
        Some(arn) if arn.starts_with("arn:") => Ok(arn.to_owned()),
        Some(_) => Err(ApiError::invalid_value(
            "This model takes the ARN of a KMS key.",
        )),
    }
}
