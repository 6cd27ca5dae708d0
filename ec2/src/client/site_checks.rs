//! Checks of a site: is a node protected from being stopped, so that fencing fails? May these credentials stop it?
//! Does it reach EC2's API after it was stopped? They need permissions that nothing else here needs; a check that is refused fails nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types::{
    Filter, InstanceAttributeName, InstanceNetworkInterfaceAssociation, RouteState, RouteTable,
    RouteTableAssociation, VpcEndpoint,
};

use crate::{
    AwsError, Deadline, Ec2, InstanceId, Metadata, NodeFacts, PublicAddress, retry_transient,
};

/// How long a person waits for all checks.
const TIME_LIMIT: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, Default)]
pub struct SiteChecks {
    /// The instances that EC2 refuses to stop.
    pub stop_protected: Vec<InstanceId>,
    /// Whether IAM lets the credentials in use stop the instances.
    pub stop_denial: Option<StopDenial>,
    /// Whether an instance reaches EC2 without a public address, by a NAT gateway or a VPC endpoint. Only
    /// instances without an Elastic IP are checked.
    pub private_path: Vec<(InstanceId, bool)>,
    /// Why a check could not be made.
    pub errors: Vec<AwsError>,
}

/// The instances that the credentials in use may not stop.
#[derive(Debug, Clone)]
pub struct StopDenial {
    pub instances: Vec<InstanceId>,
    /// EC2's answer about the last of them. It names the credentials.
    pub error: AwsError,
    /// Whether fencing uses these credentials: they are those of root on one of the nodes.
    pub is_of_fencing: bool,
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
    /// Makes the checks. What stops an instance matters only if nodes are `fenced` by EC2. `no_profile`: the
    /// credentials were found as the agents find them.
    pub(crate) async fn check_site(
        &self,
        deadline: Deadline,
        nodes: &[NodeFacts],
        fenced: bool,
        no_profile: bool,
    ) -> SiteChecks {
        let deadline = deadline.at_most(TIME_LIMIT);
        let stopped = if fenced { nodes } else { &[] };
        let (protected, (denial, denial_error), mut checks) = tokio::join!(
            self.stop_protected(deadline, stopped),
            self.stop_denial(deadline, stopped, no_profile),
            self.private_paths(deadline, nodes),
        );
        checks.stop_denial = denial;
        checks.errors.extend(denial_error);
        match protected {
            Ok(protected) => checks.stop_protected = protected,
            Err(error) => checks.errors.insert(0, error),
        }
        checks
    }

    /// The instances that EC2 refuses to stop, whoever asks. Ends with the first error: the other instances would
    /// get the same.
    async fn stop_protected(
        &self,
        deadline: Deadline,
        nodes: &[NodeFacts],
    ) -> Result<Vec<InstanceId>, AwsError> {
        let mut protected = Vec::new();
        for NodeFacts {
            instance_id: id, ..
        } in nodes
        {
            if retry_transient(deadline, async || self.is_stop_protected(id).await).await? {
                protected.push(id.clone());
            }
        }
        Ok(protected)
    }

    /// The instances that IAM does not let these credentials stop, and an error that leaves the question open.
    async fn stop_denial(
        &self,
        deadline: Deadline,
        nodes: &[NodeFacts],
        no_profile: bool,
    ) -> (Option<StopDenial>, Option<AwsError>) {
        let mut denied = Vec::new();
        let mut last = None;
        for NodeFacts {
            instance_id: id, ..
        } in nodes
        {
            match retry_transient(deadline, async || self.may_stop(id).await).await {
                Err(error) if error.is_denial() => {
                    denied.push(id.clone());
                    last = Some(error);
                }
                Err(error) if error.is_unknown() => return (None, Some(error)),
                // Any other error is about the instance, such as its stop protection, and not about permissions.
                _ => {}
            }
        }
        let is_of_fencing = || {
            let metadata = Metadata::connect_by(deadline);
            let here = metadata.and_then(|metadata| metadata.instance_id());
            no_profile
                && self.credentials.are_of_agents()
                && here.is_ok_and(|here| nodes.iter().any(|node| node.instance_id == here))
        };
        let denial = last.map(|error| StopDenial {
            instances: denied,
            error,
            is_of_fencing: is_of_fencing(),
        });
        (denial, None)
    }

    /// Asks by a dry run, which stops nothing.
    async fn may_stop(&self, id: &InstanceId) -> Result<(), AwsError> {
        let call = (self.sdk.stop_instances())
            .instance_ids(id.as_str())
            .force(true)
            .dry_run(true)
            .send();
        let operation = format!("look whether fencing may stop {id}");
        AwsError::from_dry_run(self.call(call, &operation).await.map(drop))
    }

    /// The ways to EC2 of the nodes without an Elastic IP.
    async fn private_paths(&self, deadline: Deadline, nodes: &[NodeFacts]) -> SiteChecks {
        let mut checks = SiteChecks::default();
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
