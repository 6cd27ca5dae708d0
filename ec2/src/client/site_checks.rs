//! Two checks of a site: is a node protected from being stopped, so that fencing fails? Does it reach EC2's API
//! after it was stopped? They need permissions that nothing else here needs; a check that is refused fails nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types::{
    Filter, InstanceAttributeName, InstanceNetworkInterfaceAssociation, RouteState, RouteTable,
    RouteTableAssociation, VpcEndpoint,
};

use crate::{AwsError, Deadline, Ec2, InstanceId, NodeFacts, PublicAddress, retry_transient};

/// How long a person waits for all checks.
const TIME_LIMIT: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, Default)]
pub struct SiteChecks {
    /// The instances that EC2 refuses to stop.
    pub stop_protected: Vec<InstanceId>,
    /// Whether an instance reaches EC2 without a public address, by a NAT gateway or a VPC endpoint. Only
    /// instances without an Elastic IP are checked.
    pub private_path: Vec<(InstanceId, bool)>,
    /// Why a check could not be made.
    pub errors: Vec<AwsError>,
}

impl PublicAddress {
    pub(crate) fn new(association: &InstanceNetworkInterfaceAssociation) -> Option<Self> {
        Some(Self {
            address: association.public_ip()?.parse().ok()?,
            // API reference, InstanceNetworkInterfaceAssociation: the owner of EC2's own is `amazon`.
            elastic: association.ip_owner_id() != Some("amazon"),
        })
    }
}

impl Ec2 {
    /// Makes the checks. Stop protection matters only if nodes are `fenced` by EC2.
    pub(crate) async fn check_site(
        &self,
        deadline: Deadline,
        nodes: &[NodeFacts],
        fenced: bool,
    ) -> SiteChecks {
        let deadline = deadline.at_most(TIME_LIMIT);
        let mut checks = SiteChecks::default();
        for node in nodes.iter().filter(|_| fenced) {
            let id = &node.instance_id;
            match retry_transient(deadline, async || self.is_stop_protected(id).await).await {
                Ok(true) => checks.stop_protected.push(id.clone()),
                Ok(false) => {}
                Err(error) => {
                    // The other instances would get the same error.
                    checks.errors.push(error);
                    break;
                }
            }
        }
        let is_elastic = |node: &NodeFacts| node.public.is_some_and(|public| public.elastic);
        let mut known: BTreeMap<&str, bool> = BTreeMap::new();
        for node in nodes.iter().filter(|node| !is_elastic(node)) {
            let (subnet, Some(vpc)) = (node.subnet_id.as_str(), node.vpc_id.as_deref()) else {
                continue;
            };
            if !known.contains_key(subnet) {
                match self.has_private_path(deadline, vpc, subnet).await {
                    Ok(private) => known.insert(subnet, private),
                    Err(error) => {
                        checks.errors.push(error);
                        break;
                    }
                };
            }
            (checks.private_path).push((node.instance_id.clone(), known[subnet]));
        }
        checks
    }

    async fn is_stop_protected(&self, id: &InstanceId) -> Result<bool, AwsError> {
        let call = (self.sdk.describe_instance_attribute())
            .instance_id(id.as_str())
            .attribute(InstanceAttributeName::DisableApiStop)
            .send();
        let operation = format!("look whether {id} is protected from being stopped");
        let answer = self.call(call, &operation).await?;
        let attribute = answer.disable_api_stop();
        Ok(attribute.and_then(|attribute| attribute.value()) == Some(true))
    }

    /// Whether a subnet reaches EC2 without a public address.
    async fn has_private_path(
        &self,
        deadline: Deadline,
        vpc: &str,
        subnet: &str,
    ) -> Result<bool, AwsError> {
        let of_vpc = || Filter::builder().name("vpc-id").values(vpc).build();
        let tables = retry_transient(deadline, async || {
            let call = self.sdk.describe_route_tables().filters(of_vpc()).send();
            let operation = format!("look up the routes of {vpc}");
            self.call(call, &operation).await
        });
        if reaches_out_privately(tables.await?.route_tables(), subnet) {
            return Ok(true);
        }
        let endpoints = retry_transient(deadline, async || {
            let call = self.sdk.describe_vpc_endpoints().filters(of_vpc()).send();
            let operation = format!("look up the endpoints of {vpc}");
            self.call(call, &operation).await
        });
        Ok(endpoints.await?.vpc_endpoints().iter().any(is_ec2_endpoint))
    }
}

/// Whether the default route of a subnet leads elsewhere than to an Internet gateway, which takes packets only
/// from instances with a public address.
fn reaches_out_privately(tables: &[RouteTable], subnet: &str) -> bool {
    let with = |is_it: &dyn Fn(&RouteTableAssociation) -> bool| {
        let mut tables = tables.iter();
        tables.find(|table| table.associations().iter().any(is_it))
    };
    let own = with(&|association| association.subnet_id() == Some(subnet));
    // A subnet without a table of its own uses the VPC's main one.
    let table = own.or_else(|| with(&|association| association.main() == Some(true)));
    let mut routes = table.map_or(&[][..], RouteTable::routes).iter();
    routes.any(|route| {
        let gateway = route.gateway_id().unwrap_or_default();
        route.destination_cidr_block() == Some("0.0.0.0/0")
            && route.state() != Some(&RouteState::Blackhole)
            && !gateway.starts_with("igw-")
    })
}

/// Whether EC2's own name leads to this endpoint. The service is com.amazonaws.REGION.ec2, in China with another
/// beginning.
fn is_ec2_endpoint(endpoint: &VpcEndpoint) -> bool {
    let service = endpoint.service_name().unwrap_or_default();
    // The API reference writes `Available`; the API answers `available`.
    let state = endpoint.state().map_or("", |state| state.as_str());
    service.ends_with(".ec2")
        && endpoint.private_dns_enabled() == Some(true)
        && state.eq_ignore_ascii_case("available")
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{Route, State};

    use super::*;

    fn table(association: RouteTableAssociation, routes: &[Route]) -> RouteTable {
        RouteTable::builder()
            .associations(association)
            .set_routes(Some(routes.to_vec()))
            .build()
    }

    fn main() -> RouteTableAssociation {
        RouteTableAssociation::builder().main(true).build()
    }

    fn of_subnet(subnet: &str) -> RouteTableAssociation {
        RouteTableAssociation::builder().subnet_id(subnet).build()
    }

    fn default_route() -> aws_sdk_ec2::types::builders::RouteBuilder {
        Route::builder().destination_cidr_block("0.0.0.0/0")
    }

    #[test]
    fn only_an_internet_gateway_needs_a_public_address() {
        let private = |route: Route| reaches_out_privately(&[table(main(), &[route])], "subnet-1");
        assert!(private(default_route().nat_gateway_id("nat-1").build()));
        assert!(private(default_route().transit_gateway_id("tgw-1").build()));
        assert!(private(
            default_route().network_interface_id("eni-1").build()
        ));
        assert!(!private(default_route().gateway_id("igw-1").build()));
        let dead = default_route().nat_gateway_id("nat-1");
        assert!(!private(dead.state(RouteState::Blackhole).build()));
        let elsewhere = Route::builder().destination_cidr_block("10.0.0.0/8");
        assert!(!private(elsewhere.nat_gateway_id("nat-1").build()));
    }

    #[test]
    fn a_subnets_own_route_table_goes_before_the_main_one() {
        let nat = default_route().nat_gateway_id("nat-1").build();
        let internet = default_route().gateway_id("igw-1").build();
        let tables = [
            table(main(), &[nat]),
            table(of_subnet("subnet-1"), &[internet]),
        ];
        assert!(!reaches_out_privately(&tables, "subnet-1"));
        assert!(reaches_out_privately(&tables, "subnet-2"));
        assert!(!reaches_out_privately(&[], "subnet-1"));
    }

    #[test]
    fn an_endpoint_counts_if_ec2s_own_name_leads_to_it() {
        let endpoint = |service: &str, private_dns, state| {
            let endpoint = VpcEndpoint::builder().service_name(service);
            is_ec2_endpoint(
                &endpoint
                    .private_dns_enabled(private_dns)
                    .state(state)
                    .build(),
            )
        };
        let ec2 = "com.amazonaws.us-west-1.ec2";
        assert!(endpoint(ec2, true, State::Available));
        assert!(endpoint(ec2, true, State::from("available")));
        assert!(endpoint(
            "cn.com.amazonaws.cn-north-1.ec2",
            true,
            State::Available
        ));
        assert!(!endpoint(ec2, false, State::Available));
        assert!(!endpoint(ec2, true, State::Pending));
        assert!(!endpoint(
            "com.amazonaws.us-west-1.s3",
            true,
            State::Available
        ));
    }

    #[test]
    fn an_address_that_amazon_owns_is_not_elastic() {
        let of = |owner: &str| {
            let association = InstanceNetworkInterfaceAssociation::builder()
                .public_ip("54.183.20.133")
                .ip_owner_id(owner)
                .build();
            PublicAddress::new(&association).map(|public| public.elastic)
        };
        assert_eq!(of("amazon"), Some(false));
        assert_eq!(of("123456789012"), Some(true));
    }
}
