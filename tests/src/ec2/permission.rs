//! Who may call what. The model reads no policies. It has one rule of IAM: the nodes' role does not have the rights
//! that `cib-gen --format iam-policy-operator` gives to the operator, as far as they are about snapshots.

use super::error::ApiError;
use super::ids::InstanceId;

/// The actions of snapshots, and of volumes that are made from them (Service Authorization Reference, "Actions,
/// resources, and condition keys for Amazon EC2").
const OPERATORS: [&str; 5] = [
    "CreateSnapshot",
    "CreateTags",
    "CreateVolume",
    "DeleteTags",
    "DescribeSnapshots",
];

/// Refuses what this caller may not call, also as a DryRun. Who calls with the role is known by its instance.
pub(super) fn check(caller: &str, action: &str) -> Result<(), ApiError> {
    let has_the_role = InstanceId::parse(caller).is_ok();
    if has_the_role && OPERATORS.contains(&action) {
        return Err(ApiError::unauthorized());
    }
    Ok(())
}
