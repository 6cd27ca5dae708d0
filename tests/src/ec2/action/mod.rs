//! The calls, by resource. Each file holds the rules of its calls, with their source, and what
//! the describe calls show of its resource.

mod address;
mod describe_instance;
mod describe_interface;
mod instance;
mod instance_attribute;
mod interface;
mod route;
mod security_group;
mod snapshot;
mod subnet;
mod tag;
mod volume;
mod volume_creation;
mod volume_modification;

pub(super) use describe_interface::{private_dns, public_of};

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use super::error::ApiError;
use super::query::Call;
use super::state::State;
use super::xml::Element;
use super::{Ec2, locked};

/// What a call answers, inside its response element.
pub(super) type Answer = Result<Vec<Element>, ApiError>;

/// An answer that waits for the world.
type Waiting<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// A call that changes something, at once or not, or one that only looks.
enum Action {
    Change(fn(&Arc<Ec2>, &Call) -> Answer),
    Wait(for<'a> fn(&'a Arc<Ec2>, &'a Call) -> Waiting<'a>),
    Describe(fn(&State, &Call) -> Answer),
}

/// Runs a call's action, if its caller may. A describe call answers as of now, or of a moment.
pub(super) async fn handle(
    ec2: &Arc<Ec2>,
    caller: &str,
    call: &Call,
    as_of: Option<Instant>,
) -> Answer {
    use Action::{Change, Describe, Wait};
    let action = match call.action.as_str() {
        "DescribeInstances" => Describe(describe_instance::describe),
        "DescribeInstanceStatus" => Describe(describe_instance::describe_status),
        "DescribeInstanceAttribute" => Describe(instance_attribute::describe),
        "ModifyInstanceAttribute" => Change(instance_attribute::modify),
        "StartInstances" => Change(instance::start),
        "StopInstances" => Change(instance::stop),
        "RebootInstances" => Change(instance::reboot),
        "TerminateInstances" => Change(instance::terminate),
        "DescribeVolumes" => Describe(volume::describe),
        "AttachVolume" => Change(volume::attach),
        "DetachVolume" => Change(volume::detach),
        "ModifyVolume" => Change(volume_modification::modify),
        "DescribeVolumesModifications" => Describe(volume_modification::describe),
        "CreateVolume" => Change(volume_creation::create),
        "CreateSnapshot" => Wait(|ec2, call| Box::pin(snapshot::create(ec2, call))),
        "DescribeSnapshots" => Describe(snapshot::describe),
        "CreateTags" => Change(tag::create),
        "DeleteTags" => Change(tag::delete),
        "DescribeAddresses" => Describe(address::describe),
        "AssociateAddress" => Change(address::associate),
        "DisassociateAddress" => Change(address::disassociate),
        "DescribeNetworkInterfaces" => Describe(describe_interface::describe),
        "AssignPrivateIpAddresses" => Change(interface::assign),
        "UnassignPrivateIpAddresses" => Change(interface::unassign),
        "DescribeSecurityGroups" => Describe(security_group::describe),
        "AuthorizeSecurityGroupIngress" => Change(security_group::authorize),
        "RevokeSecurityGroupIngress" => Change(security_group::revoke),
        "ModifyInstanceMetadataOptions" => Change(instance_attribute::modify_metadata),
        "DescribeSubnets" => Describe(subnet::describe),
        "DescribeRouteTables" => Describe(route::describe_tables),
        "ReplaceRoute" => Change(route::replace),
        "DescribeVpcEndpoints" => Describe(route::describe_endpoints),
        "CreateVpcEndpoint" => Change(route::create_endpoint),
        other => {
            return Err(ApiError::client(
                "InvalidAction",
                format!("The action {other} is not valid for this web service."),
            ));
        }
    };
    locked(&ec2.policies).check(caller, call, &locked(&ec2.state))?;
    // API reference, every call: DryRun checks the permission and does nothing else.
    if call.flag("DryRun")? == Some(true) {
        return Err(ApiError::dry_run());
    }
    match action {
        Change(change) => change(ec2, call),
        Wait(change) => change(ec2, call).await,
        Describe(describe) => {
            let state = locked(&ec2.state);
            describe(as_of.map_or(&**state, |moment| state.as_of(moment)), call)
        }
    }
}
