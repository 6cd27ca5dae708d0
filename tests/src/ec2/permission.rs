//! Who may call what: policies of IAM, as cib-gen prints them. A statement, a condition or an effect that cib-gen does not
//! print is refused when the policy is put, so that nothing is read more kindly than IAM reads it.
//!
//! Without a policy the operator may call nothing. The nodes' role may call everything but what is about snapshots, because
//! most tests of the model are about other rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::OWNER;
use super::error::ApiError;
use super::ids::{AssociationId, InstanceId, VolumeId};
use super::query::{Call, matches_pattern};
use super::state::State;
use crate::site::{OPERATOR_KEY, REGION};

/// The actions of snapshots, and of volumes that are made from them (Service Authorization Reference, "Actions,
/// resources, and condition keys for Amazon EC2").
const OPERATORS: [&str; 5] = [
    "CreateSnapshot",
    "CreateTags",
    "CreateVolume",
    "DeleteTags",
    "DescribeSnapshots",
];

/// Whose policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Principal {
    /// The role that all instances have.
    Role,
    /// A user, by the access key.
    User(String),
}

impl Principal {
    /// Who calls with the role is known by its instance.
    fn of(caller: &str) -> Principal {
        match InstanceId::parse(caller) {
            Ok(_) => Principal::Role,
            Err(_) => Principal::User(caller.to_owned()),
        }
    }
}

/// The policies that were put.
#[derive(Debug, Default)]
pub(super) struct Policies(BTreeMap<Principal, Policy>);

impl Policies {
    /// In the place of the one before.
    pub(super) fn put(&mut self, of: Principal, document: &str) -> Result<(), String> {
        let policy: Policy = serde_json::from_str(document)
            .map_err(|error| format!("this is no policy as cib-gen prints it: {error}"))?;
        self.0.insert(of, policy);
        Ok(())
    }

    /// Refuses what this caller may not call, also as a DryRun.
    pub(super) fn check(&self, caller: &str, call: &Call, state: &State) -> Result<(), ApiError> {
        let principal = Principal::of(caller);
        let may = match self.0.get(&principal) {
            Some(policy) => policy.allows(call, state),
            None => match &principal {
                Principal::Role => !OPERATORS.contains(&call.action.as_str()),
                Principal::User(key) => key != OPERATOR_KEY.0,
            },
        };
        may.then_some(()).ok_or_else(ApiError::unauthorized)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Policy {
    #[serde(rename = "Version")]
    _version: Version,
    statement: Vec<Statement>,
}

/// The language of policies. What an older one means is another matter.
#[derive(Debug, Deserialize)]
enum Version {
    #[serde(rename = "2012-10-17")]
    Current,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Statement {
    #[serde(rename = "Sid")]
    _sid: String,
    #[serde(rename = "Effect")]
    _effect: Effect,
    action: Vec<String>,
    resource: Vec<String>,
    condition: Option<Condition>,
}

#[derive(Debug, Deserialize)]
enum Effect {
    Allow,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Condition {
    string_equals: StringEquals,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StringEquals {
    #[serde(rename = "ec2:Region")]
    region: Option<OneOrMore>,
    #[serde(rename = "ec2:CreateAction")]
    create_action: Option<OneOrMore>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn has(&self, value: &str) -> bool {
        match self {
            OneOrMore::One(one) => one == value,
            OneOrMore::More(more) => more.iter().any(|it| it == value),
        }
    }
}

/// What a call needs: an action on a resource.
struct Needed<'a> {
    action: &'a str,
    resource: String,
    /// The call that makes the resource which it tags.
    create_action: Option<&'a str>,
}

impl Policy {
    fn allows(&self, call: &Call, state: &State) -> bool {
        let needed = needed(call, state);
        if needed.is_empty() {
            let action = format!("ec2:{}", call.action);
            return self.statement.iter().any(|it| it.action.contains(&action));
        }
        let mut needed = needed.iter();
        needed.all(|needed| self.statement.iter().any(|it| it.allows(needed)))
    }
}

impl Statement {
    fn allows(&self, needed: &Needed) -> bool {
        let action = format!("ec2:{}", needed.action);
        let is_met = self.condition.as_ref().is_none_or(|it| {
            let StringEquals {
                region,
                create_action,
            } = &it.string_equals;
            let is_here = region.as_ref().is_none_or(|it| it.has(REGION));
            let is_made = create_action
                .as_ref()
                .is_none_or(|it| needed.create_action.is_some_and(|action| it.has(action)));
            is_here && is_made
        });
        let names =
            |pattern: &String| matches_pattern(pattern.as_bytes(), needed.resource.as_bytes());
        is_met && self.action.contains(&action) && self.resource.iter().any(names)
    }
}

/// The resources of each action: Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2".
/// Of a call that names none, the action itself says what is missing.
fn needed<'a>(call: &'a Call, state: &State) -> Vec<Needed<'a>> {
    let of = |kind: &str, id: &str| format!("arn:aws:ec2:{REGION}:{OWNER}:{kind}/{id}");
    let snapshot = |id: &str| format!("arn:aws:ec2:{REGION}::snapshot/{id}");
    let named = |kind: &str, parameter: &str| call.optional(parameter).map(|id| of(kind, id));
    let instance = || named("instance", "InstanceId");
    let volume = || named("volume", "VolumeId");
    let interface = || named("network-interface", "NetworkInterfaceId");
    // What does not exist yet has no id, and the policy may name none.
    let (new_volume, new_snapshot) = (of("volume", "new"), snapshot("new"));
    let mut tagged = None;
    let resources: Vec<String> = match call.action.as_str() {
        "AttachVolume" => volume().into_iter().chain(instance()).collect(),
        "DetachVolume" => {
            let holder = holder_of(call, state).map(|id| of("instance", &id));
            let instance = instance().or(holder);
            volume().into_iter().chain(instance).collect()
        }
        "ModifyVolume" => volume().into_iter().collect(),
        "CreateSnapshot" => {
            tagged = Some(new_snapshot.clone());
            volume().into_iter().chain([new_snapshot]).collect()
        }
        "CreateVolume" => {
            tagged = Some(new_volume.clone());
            let from = call.optional("SnapshotId").map(snapshot);
            from.into_iter().chain([new_volume]).collect()
        }
        "AssociateAddress" => {
            let address = named("elastic-ip", "AllocationId");
            let to = interface().into_iter().chain(instance());
            address.into_iter().chain(to).collect()
        }
        "DisassociateAddress" => match address_of(call, state) {
            Some((id, interface)) => {
                vec![of("elastic-ip", &id), of("network-interface", &interface)]
            }
            None => Vec::new(),
        },
        "AssignPrivateIpAddresses" | "UnassignPrivateIpAddresses" => {
            interface().into_iter().collect()
        }
        "StartInstances" | "StopInstances" => {
            let ids = call.list("InstanceId").into_iter();
            ids.map(|id| of("instance", id)).collect()
        }
        "DescribeInstanceAttribute" => instance().into_iter().collect(),
        _ => vec!["*".to_owned()],
    };
    let mut needed: Vec<Needed> = resources
        .into_iter()
        .map(|resource| Needed {
            action: &call.action,
            resource,
            create_action: None,
        })
        .collect();
    let has_tags = call
        .parameters
        .keys()
        .any(|name| name.starts_with("TagSpecification."));
    // "Granting permission to tag resources during creation", EC2 User Guide.
    if let Some(resource) = tagged.filter(|_| has_tags) {
        needed.push(Needed {
            action: "CreateTags",
            resource,
            create_action: Some(&call.action),
        });
    }
    needed
}

/// The Elastic IP of an association, and the interface.
fn address_of(call: &Call, state: &State) -> Option<(String, String)> {
    let association = AssociationId::parse(call.optional("AssociationId")?).ok()?;
    state.addresses.iter().find_map(|(id, address)| {
        let of = address.association.as_ref();
        let of = of.filter(|it| it.id == association)?;
        Some((id.to_string(), of.interface.to_string()))
    })
}

/// The instance that has the volume.
fn holder_of(call: &Call, state: &State) -> Option<String> {
    let volume = VolumeId::parse(call.optional("VolumeId")?).ok()?;
    let attachment = state.volumes.get(&volume)?.attachment.as_ref()?;
    Some(attachment.instance.to_string())
}
