//! What could keep a node from its work later: EC2 is not allowed to stop its instance, or the
//! instance has no way to EC2's API once it was stopped. These looks need permissions that nothing
//! else here needs; a look that is refused is told and fails nothing.

use std::net::Ipv4Addr;
use std::time::Duration;

use aws_sdk_ec2::types::{
    Filter, InstanceAttributeName, InstanceNetworkInterfaceAssociation, Route, RouteState,
    RouteTable, VpcEndpoint,
};

use crate::client::Ec2;
use crate::error::AwsError;
use crate::ids::InstanceId;
use crate::retry::retry_transient;
use crate::describe_site::NodeFacts;
use crate::deadline::Deadline;

/// How long all looks may take: what they tell is worth a moment of a person's time, and no more.
const LONGEST: Duration = Duration::from_secs(8);

/// What could keep nodes from their work later.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// The instances that EC2 refuses to stop.
    pub stop_protected: Vec<InstanceId>,
    /// The instances whose subnet is known to reach EC2, or not to reach it, without a public address: by a
    /// NAT gateway, or by a VPC endpoint. Only those were asked for that have no Elastic IP.
    pub private_way: Vec<(InstanceId, bool)>,
    /// The looks that came to nothing.
    pub not_seen: Vec<AwsError>,
}

/// The public address of a private one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicAddress {
    /// The address.
    pub address: Ipv4Addr,
    /// Whether it is an Elastic IP. Any other is lent by EC2, until the instance is stopped.
    pub elastic: bool,
}

impl PublicAddress {
    pub(crate) fn of(association: &InstanceNetworkInterfaceAssociation) -> Option<Self> {
        Some(Self {
            address: association.public_ip()?.parse().ok()?,
            // API reference, InstanceNetworkInterfaceAssociation: the owner of what EC2 lends is `amazon`.
            elastic: association.ip_owner_id() != Some("amazon"),
        })
    }
}

impl Outlook {
    /// Looks. Stop protection matters where EC2 has to stop a lost node.
    pub(crate) async fn of(
        ec2: &Ec2,
        deadline: Deadline,
        nodes: &[NodeFacts],
        fenced: bool,
    ) -> Self {
        let deadline = deadline.at_most(LONGEST);
        let mut outlook = Self::default();
        for node in nodes.iter().filter(|_| fenced) {
            let id = &node.instance_id;
            match retry_transient(deadline, async || ec2.is_stop_protected(id).await).await {
                Ok(true) => outlook.stop_protected.push(id.clone()),
                Ok(false) => {}
                Err(error) => {
                    // What is refused for one is refused for all.
                    outlook.not_seen.push(error);
                    break;
                }
            }
        }
        let mut asked: Vec<(&str, &str, bool)> = Vec::new();
        for node in nodes {
            let elastic = node.public.is_some_and(|public| public.elastic);
            let Some(vpc) = node.vpc_id.as_deref().filter(|_| !elastic) else {
                continue;
            };
            let subnet = node.subnet_id.as_str();
            let known = asked.iter().find(|(v, s, _)| (*v, *s) == (vpc, subnet));
            let way = match known {
                Some((.., way)) => *way,
                None => match ec2.has_private_way(deadline, vpc, subnet).await {
                    Ok(way) => {
                        asked.push((vpc, subnet, way));
                        way
                    }
                    Err(error) => {
                        outlook.not_seen.push(error);
                        break;
                    }
                },
            };
            outlook.private_way.push((node.instance_id.clone(), way));
        }
        outlook
    }
}

impl Ec2 {
    async fn is_stop_protected(&self, id: &InstanceId) -> Result<bool, AwsError> {
        let call = self
            .sdk
            .describe_instance_attribute()
            .instance_id(id.as_str())
            .attribute(InstanceAttributeName::DisableApiStop)
            .send();
        let doing = format!("look whether {id} is protected from being stopped");
        let answer = self.once(call, &doing).await?;
        let attribute = answer.disable_api_stop();
        Ok(attribute.and_then(|attribute| attribute.value()) == Some(true))
    }

    /// Whether a subnet reaches EC2 without a public address.
    async fn has_private_way(
        &self,
        deadline: Deadline,
        vpc: &str,
        subnet: &str,
    ) -> Result<bool, AwsError> {
        let of_vpc = || Filter::builder().name("vpc-id").values(vpc).build();
        let tables = retry_transient(deadline, async || {
            let call = self.sdk.describe_route_tables().filters(of_vpc()).send();
            let doing = format!("look up the routes of {vpc}");
            let answer = self.once(call, &doing).await?;
            Ok(answer.route_tables.unwrap_or_default())
        });
        if leaves_by_other_than_a_public_address(&tables.await?, subnet) {
            return Ok(true);
        }
        let endpoints = retry_transient(deadline, async || {
            let call = self.sdk.describe_vpc_endpoints().filters(of_vpc()).send();
            let doing = format!("look up the endpoints of {vpc}");
            let answer = self.once(call, &doing).await?;
            Ok(answer.vpc_endpoints.unwrap_or_default())
        });
        Ok(endpoints.await?.iter().any(is_ec2s))
    }
}

/// Whether the default route of a subnet leads to something that translates addresses or leads to
/// another network. An Internet gateway takes only what has a public address.
fn leaves_by_other_than_a_public_address(tables: &[RouteTable], subnet: &str) -> bool {
    let own = tables.iter().find(|table| {
        let associations = table.associations();
        associations.iter().any(|a| a.subnet_id() == Some(subnet))
    });
    // A subnet without a table of its own has the VPC's main one.
    let table = own.or_else(|| {
        tables.iter().find(|table| {
            let associations = table.associations();
            associations.iter().any(|a| a.main() == Some(true))
        })
    });
    let routes = table.map_or(&[][..], RouteTable::routes);
    routes.iter().any(|route: &Route| {
        let internet_gateway = route
            .gateway_id()
            .is_some_and(|gateway| gateway.starts_with("igw-"));
        route.destination_cidr_block() == Some("0.0.0.0/0")
            && route.state() != Some(&RouteState::Blackhole)
            && !internet_gateway
    })
}

/// Whether an endpoint answers by EC2's own name. The service is called com.amazonaws.REGION.ec2, with
/// another beginning in China.
fn is_ec2s(endpoint: &VpcEndpoint) -> bool {
    let service = endpoint.service_name().unwrap_or_default();
    service.ends_with(".ec2")
        && endpoint.private_dns_enabled() == Some(true)
        // The API's reference writes `Available`, its answers have `available`.
        && endpoint
            .state()
            .is_some_and(|state| state.as_str().eq_ignore_ascii_case("available"))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{RouteTableAssociation, State};

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

    fn everywhere() -> aws_sdk_ec2::types::builders::RouteBuilder {
        Route::builder().destination_cidr_block("0.0.0.0/0")
    }

    #[test]
    fn only_an_internet_gateway_asks_for_a_public_address() {
        let way = |route: Route| {
            leaves_by_other_than_a_public_address(&[table(main(), &[route])], "subnet-1")
        };
        assert!(way(everywhere().nat_gateway_id("nat-1").build()));
        assert!(way(everywhere().transit_gateway_id("tgw-1").build()));
        assert!(way(everywhere().network_interface_id("eni-1").build()));
        assert!(!way(everywhere().gateway_id("igw-1").build()));
        let dead = everywhere().nat_gateway_id("nat-1");
        assert!(!way(dead.state(RouteState::Blackhole).build()));
        let elsewhere = Route::builder().destination_cidr_block("10.0.0.0/8");
        assert!(!way(elsewhere.nat_gateway_id("nat-1").build()));
    }

    #[test]
    fn a_subnets_own_table_goes_before_the_main_one() {
        let nat = everywhere().nat_gateway_id("nat-1").build();
        let internet = everywhere().gateway_id("igw-1").build();
        let tables = [
            table(main(), &[nat]),
            table(of_subnet("subnet-1"), &[internet]),
        ];
        assert!(!leaves_by_other_than_a_public_address(&tables, "subnet-1"));
        assert!(leaves_by_other_than_a_public_address(&tables, "subnet-2"));
        assert!(!leaves_by_other_than_a_public_address(&[], "subnet-1"));
    }

    #[test]
    fn an_endpoint_is_a_way_if_ec2s_name_leads_to_it() {
        let endpoint = |service: &str, private_dns, state| {
            let endpoint = VpcEndpoint::builder().service_name(service);
            is_ec2s(
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
    fn what_amazon_owns_is_lent() {
        let of = |owner: &str| {
            let association = InstanceNetworkInterfaceAssociation::builder()
                .public_ip("54.183.20.133")
                .ip_owner_id(owner)
                .build();
            PublicAddress::of(&association).map(|public| public.elastic)
        };
        assert_eq!(of("amazon"), Some(false));
        assert_eq!(of("123456789012"), Some(true));
    }
}
