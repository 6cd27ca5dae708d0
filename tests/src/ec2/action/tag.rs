//! Tags: CreateTags, DeleteTags, those that a call gives to what it creates, and how a describe call shows them and
//! filters by them. Only volumes and snapshots have tags that can be changed.

use std::sync::Arc;

use super::Answer;
use crate::ec2::ebs::Tags;
use crate::ec2::error::ApiError;
use crate::ec2::ids::{SnapshotId, VolumeId};
use crate::ec2::query::Call;
use crate::ec2::state::{State, no_snapshot, no_volume};
use crate::ec2::xml::{Element, done, list, text};
use crate::ec2::{Ec2, locked};

/// "Maximum number of tags for each resource: 50" (EC2 User Guide, "Tag restrictions").
const TAGS: usize = 50;

/// What has tags.
enum Resource {
    Volume(VolumeId),
    Snapshot(SnapshotId),
}

impl Resource {
    /// Error codes, InvalidID: "The specified ID for the resource you are trying to tag is not valid".
    fn parse(text: &str) -> Result<Self, ApiError> {
        if text.starts_with("vol-") {
            VolumeId::parse(text).map(Self::Volume)
        } else if text.starts_with("snap-") {
            SnapshotId::parse(text).map(Self::Snapshot)
        } else {
            Err(ApiError::client(
                "InvalidID",
                format!("The ID '{text}' is not valid"),
            ))
        }
    }
}

/// API reference, CreateTags: "Adds or overwrites". All of the resources or none.
pub(super) fn create(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["ResourceId", "Tag"])?;
    let added = read(call, "Tag")?;
    if added.is_empty() {
        return Err(ApiError::missing("Tag"));
    }
    change(ec2, call, |tags| tags.extend(added.clone()))
}

/// API reference, DeleteTags: a tag that is named with a value goes only if it has this value; if none is named, all
/// go.
pub(super) fn delete(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["ResourceId", "Tag"])?;
    let mut named = Vec::new();
    for n in 1.. {
        let Some(key) = call.parameters.get(&format!("Tag.{n}.Key")) else {
            break;
        };
        named.push((key, call.parameters.get(&format!("Tag.{n}.Value"))));
    }
    let goes = |key: &String, value: &String| {
        let mut named = named.iter();
        named.any(|(name, only)| *name == key && only.is_none_or(|only| only == value))
    };
    change(ec2, call, |tags| {
        tags.retain(|key, value| !named.is_empty() && !goes(key, value));
    })
}

fn change(ec2: &Arc<Ec2>, call: &Call, act: impl Fn(&mut Tags)) -> Answer {
    let resources = call.list("ResourceId").into_iter().map(Resource::parse);
    let resources = resources.collect::<Result<Vec<_>, _>>()?;
    if resources.is_empty() {
        return Err(ApiError::missing("ResourceId"));
    }
    let mut state = locked(&ec2.state);
    let mut changed = Vec::new();
    for resource in resources {
        let mut tags = state.tags_mut(&resource)?.clone();
        act(&mut tags);
        not_too_many(&tags)?;
        changed.push((resource, tags));
    }
    for (resource, tags) in changed {
        *state.tags_mut(&resource)? = tags;
    }
    Ok(done())
}

impl State {
    fn tags_mut(&mut self, of: &Resource) -> Result<&mut Tags, ApiError> {
        match of {
            Resource::Volume(id) => {
                let volume = self.volumes.get_mut(id).ok_or_else(|| no_volume(id))?;
                Ok(&mut volume.tags)
            }
            Resource::Snapshot(id) => {
                let snapshot = self.snapshots.get_mut(id).ok_or_else(|| no_snapshot(id))?;
                Ok(&mut snapshot.tags)
            }
        }
    }
}

/// The tags that a call gives to what it creates, which is of this type.
pub(super) fn specified(call: &Call, resource: &str) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for n in 1.. {
        let specification = format!("TagSpecification.{n}");
        let is_there = |name: &String| name.starts_with(&format!("{specification}."));
        if !call.parameters.keys().any(is_there) {
            break;
        }
        // As in <https://github.com/boto/boto3/issues/1806>.
        let kind = call.required(&format!("{specification}.ResourceType"))?;
        if kind != resource {
            return Err(ApiError::invalid_value(format!(
                "'{kind}' is not a valid taggable resource type for this operation."
            )));
        }
        tags.extend(read(call, &format!("{specification}.Tag"))?);
    }
    not_too_many(&tags)?;
    Ok(tags)
}

/// `PREFIX.1.Key` with `PREFIX.1.Value`, which may be empty.
fn read(call: &Call, prefix: &str) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for n in 1.. {
        let Some(key) = call.parameters.get(&format!("{prefix}.{n}.Key")) else {
            break;
        };
        // Error codes, InvalidTagKey.Malformed.
        if key.is_empty() {
            return Err(ApiError::client(
                "InvalidTagKey.Malformed",
                "Tag keys cannot be empty or null",
            ));
        }
        // As in <https://github.com/evannuil/aws-snapshot-tool/pull/15>.
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(ApiError::invalid_value(
                "Tag keys starting with 'aws:' are reserved for internal use",
            ));
        }
        let value = call.parameters.get(&format!("{prefix}.{n}.Value"));
        let before = tags.insert(key.clone(), value.cloned().unwrap_or_default());
        // "each tag key must be unique" (EC2 User Guide, "Tag restrictions"). The code is chosen.
        if before.is_some() {
            return Err(ApiError::invalid_value(format!(
                "Duplicate tag key '{key}' specified."
            )));
        }
    }
    Ok(tags)
}

/// Error codes, TagLimitExceeded.
fn not_too_many(tags: &Tags) -> Result<(), ApiError> {
    match tags.len() > TAGS {
        true => Err(ApiError::client(
            "TagLimitExceeded",
            "The maximum number of Tags for a resource has been reached.",
        )),
        false => Ok(()),
    }
}

/// How a describe call shows them.
pub(super) fn set(tags: &Tags) -> Element {
    let tags = tags.iter();
    let tags = tags.map(|(key, value)| vec![text("key", key), text("value", value)]);
    list("tagSet", tags.collect())
}

/// What the filters `tag:KEY` and `tag-key` look at.
pub(super) fn field(tags: &Tags, name: &str) -> Option<Vec<String>> {
    match name.strip_prefix("tag:") {
        Some(key) => Some(tags.get(key).cloned().into_iter().collect()),
        None if name == "tag-key" => Some(tags.keys().cloned().collect()),
        None => None,
    }
}
