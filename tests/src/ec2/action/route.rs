//! How the subnet reaches EC2's API without a public address: DescribeRouteTables, ReplaceRoute,
//! DescribeVpcEndpoints, CreateVpcEndpoint. Here they are facts that clients look at; the lab's VPC
//! does not deliver by them.

use std::sync::Arc;

use super::{Answer, security_group};
use crate::ec2::error::ApiError;
use crate::ec2::query::{Call, passes};
use crate::ec2::state::{Endpoint, State};
use crate::ec2::xml::{Element, done, group, list, text};
use crate::ec2::{Ec2, OWNER, locked};
use crate::site;

/// The main route table of the VPC, and the only one.
const TABLE: &str = "rtb-0a1f3c5e7b9d2f4a1";
const DEFAULT_ROUTE: &str = "0.0.0.0/0";
/// What a default route leads to, by the prefix of its id.
const TARGETS: [(&str, &str); 3] = [
    ("igw-", "gatewayId"),
    ("vgw-", "gatewayId"),
    ("nat-", "natGatewayId"),
];

/// API reference, DescribeRouteTables.
pub(super) fn describe_tables(state: &State, call: &Call) -> Answer {
    call.only(&["RouteTableId", "Filter", "MaxResults", "NextToken"])?;
    if let Some(missing) = call.list("RouteTableId").iter().find(|id| **id != TABLE) {
        return Err(no_table(missing));
    }
    let mut tables = Vec::new();
    if passes(&call.filters(), |name| {
        Some(vec![match name {
            "vpc-id" => site::VPC_ID.to_owned(),
            "route-table-id" => TABLE.to_owned(),
            "association.main" => "true".to_owned(),
            _ => return None,
        }])
    })? {
        let route = |destination: &str, name, target: &str| {
            vec![
                text("destinationCidrBlock", destination),
                text(name, target),
                text("state", "active"),
                text("origin", "CreateRoute"),
            ]
        };
        let mut routes = vec![route(site::SUBNET_CIDR, "gatewayId", "local")];
        let target = state.default_route.as_str();
        let known = TARGETS
            .iter()
            .find(|(prefix, _)| target.starts_with(prefix));
        routes.extend(known.map(|(_, name)| route(DEFAULT_ROUTE, name, target)));
        let association = vec![
            text("routeTableAssociationId", "rtbassoc-0a1f3c5e7b9d2f4a2"),
            text("routeTableId", TABLE),
            text("main", true),
        ];
        tables.push(vec![
            text("routeTableId", TABLE),
            text("vpcId", site::VPC_ID),
            text("ownerId", OWNER),
            list("routeSet", routes),
            list("associationSet", vec![association]),
        ]);
    }
    Ok(vec![list("routeTableSet", tables)])
}

/// API reference, ReplaceRoute, for the default route. The target is not looked for: the site has no
/// gateways that the model keeps.
pub(super) fn replace(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&[
        "RouteTableId",
        "DestinationCidrBlock",
        "GatewayId",
        "NatGatewayId",
    ])?;
    let table = call.required("RouteTableId")?;
    if table != TABLE {
        return Err(no_table(table));
    }
    if call.required("DestinationCidrBlock")? != DEFAULT_ROUTE {
        return Err(ApiError::invalid_value(format!(
            "This model replaces the route of {DEFAULT_ROUTE} alone."
        )));
    }
    let target = match (call.optional("GatewayId"), call.optional("NatGatewayId")) {
        (Some(target), None) | (None, Some(target)) => target,
        (None, None) => return Err(ApiError::missing("GatewayId")),
        (Some(_), Some(_)) => {
            return Err(ApiError::client(
                "InvalidParameterCombination",
                "The request must contain exactly one target",
            ));
        }
    };
    if !TARGETS.iter().any(|(prefix, _)| target.starts_with(prefix)) {
        return Err(ApiError::invalid_value(format!(
            "Value ({target}) is not a target that this model knows."
        )));
    }
    target.clone_into(&mut locked(&ec2.state).default_route);
    Ok(done())
}

/// API reference, DescribeVpcEndpoints.
pub(super) fn describe_endpoints(state: &State, call: &Call) -> Answer {
    call.only(&["VpcEndpointId", "Filter", "MaxResults", "NextToken"])?;
    let mut found = Vec::new();
    for endpoint in &state.endpoints {
        if passes(&call.filters(), |name| {
            Some(vec![match name {
                "vpc-id" => site::VPC_ID.to_owned(),
                "service-name" => endpoint.service.clone(),
                "vpc-endpoint-id" => endpoint.id.clone(),
                "vpc-endpoint-state" => "available".to_owned(),
                _ => return None,
            }])
        })? {
            found.push(endpoint_elements(endpoint));
        }
    }
    Ok(vec![list("vpcEndpointSet", found)])
}

/// API reference, CreateVpcEndpoint, for interface endpoints. It is available at once.
pub(super) fn create_endpoint(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&[
        "VpcId",
        "ServiceName",
        "VpcEndpointType",
        "SubnetId",
        "SecurityGroupId",
        "PrivateDnsEnabled",
    ])?;
    if call.required("VpcId")? != site::VPC_ID {
        return Err(ApiError::client(
            "InvalidVpcId.NotFound",
            "The vpc ID does not exist",
        ));
    }
    if call.optional("VpcEndpointType") != Some("Interface") {
        return Err(ApiError::invalid_value(
            "This model has endpoints of the type Interface.".to_owned(),
        ));
    }
    for group in call.list("SecurityGroupId") {
        security_group::known(group)?;
    }
    let service = call.required("ServiceName")?.to_owned();
    // "Default: true."
    let private_dns = call.flag("PrivateDnsEnabled")?.unwrap_or(true);
    let mut state = locked(&ec2.state);
    let endpoint = Endpoint {
        id: format!("vpce-{:017x}", state.number()),
        service,
        private_dns,
    };
    let answer = group("vpcEndpoint", endpoint_elements(&endpoint));
    state.endpoints.push(endpoint);
    Ok(vec![answer])
}

fn endpoint_elements(endpoint: &Endpoint) -> Vec<Element> {
    vec![
        text("vpcEndpointId", &endpoint.id),
        text("vpcEndpointType", "Interface"),
        text("vpcId", site::VPC_ID),
        text("serviceName", &endpoint.service),
        text("state", "available"),
        text("privateDnsEnabled", endpoint.private_dns),
        list("subnetIdSet", Vec::new()),
    ]
}

fn no_table(id: &str) -> ApiError {
    ApiError::client(
        "InvalidRouteTableID.NotFound",
        format!("The routeTable ID '{id}' does not exist"),
    )
}
