//! How the subnet reaches EC2 without a public address: its default route, and endpoints.

use lab::site;

use crate::client::Site;

const TABLE: &str = "rtb-0a1f3c5e7b9d2f4a1";

fn of_vpc<'a>() -> [(&'a str, &'a str); 2] {
    [
        ("Filter.1.Name", "vpc-id"),
        ("Filter.1.Value.1", site::VPC_ID),
    ]
}

#[test]
fn the_default_route_leads_to_an_internet_gateway_until_it_is_replaced() {
    let site = Site::new();
    let routes = || site.ok("DescribeRouteTables", &of_vpc());
    assert_eq!(routes().all("gatewayId").len(), 2, "local and Internet");
    assert_eq!(routes().one("main"), "true");
    let to = |name, target| {
        [
            ("RouteTableId", TABLE),
            ("DestinationCidrBlock", "0.0.0.0/0"),
            (name, target),
        ]
    };
    site.ok("ReplaceRoute", &to("NatGatewayId", "nat-0123456789abcdef0"));
    assert_eq!(routes().one("natGatewayId"), "nat-0123456789abcdef0");
    assert_eq!(routes().all("gatewayId"), ["local"]);
    assert_eq!(
        site.refused("ReplaceRoute", &to("GatewayId", "cable")),
        "InvalidParameterValue"
    );
    assert_eq!(
        site.refused("ReplaceRoute", &[("RouteTableId", "rtb-0")]),
        "InvalidRouteTableID.NotFound"
    );
}

#[test]
fn an_endpoint_is_there_once_it_is_created() {
    let site = Site::new();
    let endpoints = || site.ok("DescribeVpcEndpoints", &of_vpc());
    assert!(endpoints().all("serviceName").is_empty());
    let service = "com.amazonaws.us-west-1.ec2";
    let create = [
        ("VpcId", site::VPC_ID),
        ("ServiceName", service),
        ("VpcEndpointType", "Interface"),
    ];
    let none = [&create[..], &[("SecurityGroupId.1", "GROUP")]].concat();
    assert_eq!(
        site.refused("CreateVpcEndpoint", &none),
        "InvalidGroup.NotFound"
    );
    let with_group = [&create[..], &[("SecurityGroupId.1", site::SECURITY_GROUP)]].concat();
    site.ok("CreateVpcEndpoint", &with_group);
    assert_eq!(endpoints().all("serviceName"), [service]);
    assert_eq!(endpoints().one("privateDnsEnabled"), "true");
    assert_eq!(
        site.refused("CreateVpcEndpoint", &create[..2]),
        "InvalidParameterValue"
    );
}
