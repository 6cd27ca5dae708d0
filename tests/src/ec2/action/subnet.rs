//! Subnets: DescribeSubnets.

use super::Answer;
use crate::ec2::error::ApiError;
use crate::ec2::ids::SubnetId;
use crate::ec2::query::{Call, passes};
use crate::ec2::state::State;
use crate::ec2::xml::{list, text};
use crate::site;

/// Network, router, DNS, reserved, broadcast (VPC User Guide, "Subnet CIDR blocks").
const RESERVED: usize = 5;

/// API reference, DescribeSubnets.
pub(super) fn describe(state: &State, call: &Call) -> Answer {
    call.only(&["SubnetId", "Filter", "MaxResults", "NextToken"])?;
    let asked = call
        .list("SubnetId")
        .into_iter()
        .map(SubnetId::parse)
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(missing) = asked.iter().find(|id| **id != state.subnet.id) {
        return Err(ApiError::client(
            "InvalidSubnetID.NotFound",
            format!("The subnet ID '{missing}' does not exist"),
        ));
    }
    let mut subnets = Vec::new();
    if passes(&call.filters(), |name| field(state, name))? {
        let taken: usize = state.interfaces.values().map(|i| i.private().count()).sum();
        let free = (1_usize << (32 - state.subnet.cidr.prefix_len())) - RESERVED - taken;
        subnets.push(vec![
            text("subnetId", &state.subnet.id),
            text("state", "available"),
            text("vpcId", site::VPC_ID),
            text("cidrBlock", state.subnet.cidr),
            text("availableIpAddressCount", free),
            text("availabilityZone", site::ZONE),
            text("defaultForAz", true),
            text("mapPublicIpOnLaunch", true),
        ]);
    }
    Ok(vec![list("subnetSet", subnets)])
}

fn field(state: &State, name: &str) -> Option<Vec<String>> {
    Some(vec![match name {
        "subnet-id" => state.subnet.id.to_string(),
        "vpc-id" => site::VPC_ID.to_owned(),
        "availability-zone" | "availabilityZone" => site::ZONE.to_owned(),
        "cidr-block" | "cidr" | "cidrBlock" => state.subnet.cidr.to_string(),
        "state" => "available".to_owned(),
        _ => return None,
    }])
}
