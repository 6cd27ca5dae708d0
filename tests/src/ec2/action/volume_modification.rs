//! Elastic Volumes: ModifyVolume, DescribeVolumesModifications. Of what can be modified, the model has the size.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Answer;
use super::volume::{asked, incorrect_state};
use crate::ec2::ebs::Modification;
use crate::ec2::error::ApiError;
use crate::ec2::ids::VolumeId;
use crate::ec2::query::{Call, passes};
use crate::ec2::state::State;
use crate::ec2::states::{ModificationState, VolumeState};
use crate::ec2::volume_type::VolumeType;
use crate::ec2::xml::{Element, group, list, moment, text};
use crate::ec2::{Ec2, locked};

/// "You can modify a volume up to four times within a rolling 24-hour period" (API reference, ModifyVolume).
const MODIFICATIONS: usize = 4;
const PERIOD: Duration = Duration::from_secs(24 * 3600);

/// API reference, ModifyVolume.
pub(super) fn modify(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["VolumeId", "Size"])?;
    let id = VolumeId::parse(call.required("VolumeId")?)?;
    let size = call.number("Size")?;
    let size = size.ok_or_else(|| ApiError::missing("Size"))?;
    let mut state = locked(&ec2.state);
    let volume = state.volume_mut(&id)?;
    let now = SystemTime::now();
    // Chosen, as for other calls of a volume that is not there yet.
    if matches!(volume.state(), VolumeState::Creating | VolumeState::Error) {
        return Err(incorrect_state(&id, volume));
    }
    // "you must wait for that modification to reach the completed state before you can initiate another"; error codes,
    // IncorrectModificationState.
    let latest = volume.modifications.last();
    if let Some(going_on) = latest.filter(|it| it.ended.is_none()) {
        let state = going_on.state.name().to_uppercase();
        return Err(ApiError::client(
            "IncorrectModificationState",
            format!("Cannot modify volume {id} in modification state {state}"),
        ));
    }
    let recent = volume.modifications.iter().filter(|it| {
        let age = now.duration_since(it.begun);
        age.is_ok_and(|age| age < PERIOD)
    });
    if recent.count() >= MODIFICATIONS {
        return Err(ApiError::client(
            "VolumeModificationRateExceeded",
            "You've reached the maximum modification rate per volume limit.",
        ));
    }
    if size < volume.size_gib {
        return Err(ApiError::invalid_value(
            "New size cannot be smaller than existing size",
        ));
    }
    // That a change to the same size is refused is chosen.
    let sizes = volume.performance.kind.sizes();
    if size == volume.size_gib || !sizes.contains(&size) {
        return Err(ApiError::invalid_value(format!(
            "Value ({size}) for parameter size is invalid."
        )));
    }
    let modification = Modification {
        state: ModificationState::Modifying,
        from_gib: volume.size_gib,
        to_gib: size,
        begun: now,
        ended: None,
    };
    volume.modifications.push(modification.clone());
    let kind = volume.performance.kind;
    drop(state);
    ec2.modification_began(id.clone(), size);
    Ok(vec![group(
        "volumeModification",
        elements(&id, kind, &modification),
    )])
}

/// API reference, DescribeVolumesModifications. It shows the latest modification of each volume.
pub(super) fn describe(state: &State, call: &Call) -> Answer {
    call.only(&["VolumeId", "Filter", "MaxResults", "NextToken"])?;
    let asked = asked(state, call)?;
    let mut found = Vec::new();
    // Error codes, InvalidVolumeModification.NotFound: it was never modified.
    let is_unmodified = |id: &&VolumeId| state.volumes[*id].modifications.is_empty();
    if let Some(id) = asked.iter().find(is_unmodified) {
        return Err(ApiError::client(
            "InvalidVolumeModification.NotFound",
            format!("Modification for volume '{id}' does not exist."),
        ));
    }
    for (id, volume) in &state.volumes {
        let Some(latest) = volume.modifications.last() else {
            continue;
        };
        let is_asked = asked.is_empty() || asked.contains(id);
        if is_asked
            && passes(&call.filters(), |name| {
                Some(vec![match name {
                    "volume-id" => id.to_string(),
                    "modification-state" => latest.state.name().to_owned(),
                    _ => return None,
                }])
            })?
        {
            found.push(elements(id, volume.performance.kind, latest));
        }
    }
    Ok(vec![list("volumeModificationSet", found)])
}

fn elements(id: &VolumeId, kind: VolumeType, modification: &Modification) -> Vec<Element> {
    let progress = match modification.state {
        ModificationState::Modifying => 0,
        ModificationState::Optimizing => 50,
        ModificationState::Completed => 100,
    };
    let mut elements = vec![
        text("volumeId", id),
        text("modificationState", modification.state.name()),
        text("targetSize", modification.to_gib),
        text("targetVolumeType", kind.name()),
        text("originalSize", modification.from_gib),
        text("originalVolumeType", kind.name()),
        text("progress", progress),
        text("startTime", moment(modification.begun)),
    ];
    elements.extend(
        modification
            .ended
            .map(|ended| text("endTime", moment(ended))),
    );
    elements
}
