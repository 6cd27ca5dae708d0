//! The security group of the instances: DescribeSecurityGroups, AuthorizeSecurityGroupIngress,
//! RevokeSecurityGroupIngress. The rules are facts that clients look at; the lab's VPC does not filter by them.

use std::sync::Arc;

use super::Answer;
use crate::ec2::error::ApiError;
use crate::ec2::query::{Call, passes};
use crate::ec2::state::{InboundRule, State};
use crate::ec2::xml::{Element, done, list, text};
use crate::ec2::{Ec2, OWNER, locked};
use crate::site;

/// API reference, DescribeSecurityGroups.
pub(super) fn describe(state: &State, call: &Call) -> Answer {
    call.only(&["GroupId", "Filter", "MaxResults", "NextToken"])?;
    for id in call.list("GroupId") {
        known(id)?;
    }
    let mut groups = Vec::new();
    if passes(&call.filters(), |name| match name {
        "group-id" => Some(vec![site::SECURITY_GROUP.to_owned()]),
        "vpc-id" => Some(vec![site::VPC_ID.to_owned()]),
        _ => None,
    })? {
        let rules = state.rules.iter().map(rule_elements).collect();
        groups.push(vec![
            text("ownerId", OWNER),
            text("groupId", site::SECURITY_GROUP),
            text("groupName", "pbx-ha"),
            text("groupDescription", "PortSIP HA"),
            text("vpcId", site::VPC_ID),
            list("ipPermissions", rules),
            list("ipPermissionsEgress", Vec::new()),
        ]);
    }
    Ok(vec![list("securityGroupInfo", groups)])
}

/// API reference, AuthorizeSecurityGroupIngress. A rule that is there already: `InvalidPermission.Duplicate`.
pub(super) fn authorize(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    let rules = rules(call)?;
    let mut state = locked(&ec2.state);
    if rules.iter().any(|rule| state.rules.contains(rule)) {
        return Err(ApiError::client(
            "InvalidPermission.Duplicate",
            "the specified rule already exists",
        ));
    }
    state.rules.extend(rules);
    Ok(done())
}

/// API reference, RevokeSecurityGroupIngress.
pub(super) fn revoke(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    let rules = rules(call)?;
    let mut state = locked(&ec2.state);
    if let Some(missing) = rules.iter().find(|rule| !state.rules.contains(rule)) {
        return Err(ApiError::client(
            "InvalidPermission.NotFound",
            format!("The specified rule does not exist in this security group: {missing:?}"),
        ));
    }
    state.rules.retain(|rule| !rules.contains(rule));
    Ok(done())
}

pub(super) fn known(group: &str) -> Result<(), ApiError> {
    match group == site::SECURITY_GROUP {
        true => Ok(()),
        false => Err(ApiError::client(
            "InvalidGroup.NotFound",
            format!("The security group '{group}' does not exist"),
        )),
    }
}

/// The rules of a call, one for each source.
fn rules(call: &Call) -> Result<Vec<InboundRule>, ApiError> {
    call.only(&["GroupId", "IpPermissions"])?;
    known(call.required("GroupId")?)?;
    let mut rules = Vec::new();
    for n in 1.. {
        let of = |name: &str| call.optional(&format!("IpPermissions.{n}.{name}"));
        let Some(protocol) = of("IpProtocol") else {
            break;
        };
        let port = |name: &str| of(name).and_then(|text| text.parse().ok());
        for m in 1.. {
            let source = of(&format!("IpRanges.{m}.CidrIp"));
            let Some(source) = source.or_else(|| of(&format!("Groups.{m}.GroupId"))) else {
                break;
            };
            rules.push(InboundRule {
                protocol: protocol.to_owned(),
                ports: port("FromPort").zip(port("ToPort")),
                from: source.to_owned(),
            });
        }
    }
    match rules.is_empty() {
        true => Err(ApiError::missing("IpPermissions")),
        false => Ok(rules),
    }
}

fn rule_elements(rule: &InboundRule) -> Vec<Element> {
    let mut elements = vec![text("ipProtocol", &rule.protocol)];
    if let Some((first, last)) = rule.ports {
        elements.extend([text("fromPort", first), text("toPort", last)]);
    }
    let (groups, ranges) = match rule.from.starts_with("sg-") {
        true => (vec![vec![text("groupId", &rule.from)]], Vec::new()),
        false => (Vec::new(), vec![vec![text("cidrIp", &rule.from)]]),
    };
    elements.extend([list("groups", groups), list("ipRanges", ranges)]);
    elements.push(list("prefixListIds", Vec::new()));
    elements
}
