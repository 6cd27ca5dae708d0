//! The calls, by resource. Each file holds the rules of its calls, with their source, and what
//! the describe calls show of its resource.

mod address;
mod describe_interface;
mod instance;
mod interface;
mod subnet;
mod volume;

pub(super) use describe_interface::{private_dns, public_of};

use std::sync::Arc;

use super::Ec2;
use super::error::ApiError;
use super::query::Call;
use super::xml::Element;

/// What a call answers, inside its response element.
pub(super) type Answer = Result<Vec<Element>, ApiError>;

/// Hands a call over to its action.
pub(super) fn handle(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    let action: fn(&Arc<Ec2>, &Call) -> Answer = match call.action.as_str() {
        "DescribeInstances" => instance::describe,
        "DescribeInstanceStatus" => instance::describe_status,
        "StartInstances" => instance::start,
        "StopInstances" => instance::stop,
        "RebootInstances" => instance::reboot,
        "DescribeVolumes" => volume::describe,
        "AttachVolume" => volume::attach,
        "DetachVolume" => volume::detach,
        "DescribeAddresses" => address::describe,
        "AssociateAddress" => address::associate,
        "DisassociateAddress" => address::disassociate,
        "DescribeNetworkInterfaces" => describe_interface::describe,
        "AssignPrivateIpAddresses" => interface::assign,
        "UnassignPrivateIpAddresses" => interface::unassign,
        "DescribeSubnets" => subnet::describe,
        other => {
            return Err(ApiError::client(
                "InvalidAction",
                format!("The action {other} is not valid for this web service."),
            ));
        }
    };
    // API reference, every call: DryRun checks the permission and does nothing else.
    if call.flag("DryRun")? == Some(true) {
        return Err(ApiError::dry_run());
    }
    action(ec2, call)
}
