//! What EC2 knows of a whole site, for the one who configures it: instances, subnets, account,
//! Elastic IP.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{Instance, Reservation};
use ipnet::Ipv4Net;

use super::address::ElasticIp;
use super::client::Ec2;
use super::error::AwsError;
use super::ids::{AllocationId, InstanceId, InterfaceId};
use super::retry::until_known;
use crate::meaning::Meaning;
use crate::ocf::Deadline;

/// What EC2 knows of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteFacts {
    /// The instances, in the order in which they were asked for.
    pub nodes: Vec<NodeFacts>,
    /// The Elastic IP, where it was asked for.
    pub elastic_ip: Option<ElasticIp>,
    /// The account that owns the first instance.
    pub account: Option<String>,
    /// The region that was asked.
    pub region: String,
}

/// What EC2 knows of one instance that is to be a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// The instance.
    pub instance_id: InstanceId,
    /// The first label of its private DNS name, which EC2 makes its host name.
    pub hostname: String,
    /// Its primary private address.
    pub private_ip: Ipv4Addr,
    /// The other private addresses of its first interface.
    pub secondary: Vec<Ipv4Addr>,
    /// Its first interface.
    pub interface: Option<InterfaceId>,
    /// Its subnet.
    pub subnet_id: String,
    /// The subnet's addresses, if DescribeSubnets is allowed.
    pub subnet_cidr: Option<Ipv4Net>,
}

/// How long a person waits for an answer rather than for an error.
const LOOK_UP: Duration = Duration::from_secs(15);

/// What EC2 knows of `ids`, and of an Elastic IP.
///
/// # Errors
/// EC2's, and `NotFound` when one of them is not among the answers.
pub async fn describe_site(
    region: Option<&str>,
    profile: Option<&str>,
    ids: &[InstanceId],
    allocation: Option<&AllocationId>,
) -> Result<SiteFacts, AwsError> {
    let ec2 = Ec2::connect(region, profile).await?;
    let deadline = Deadline::of_action(Instant::now(), LOOK_UP);
    let reservations = until_known(deadline, async || ec2.reservations(ids).await).await?;
    let account = reservations
        .iter()
        .find_map(|reservation| reservation.owner_id().map(str::to_owned));
    let instances = reservations.iter().flat_map(Reservation::instances);
    let mut nodes: Vec<NodeFacts> = instances.map(node).collect::<Result<_, _>>()?;
    let subnets = ec2.subnets(&nodes).await;
    for node in &mut nodes {
        node.subnet_cidr = subnets.get(&node.subnet_id).copied();
    }
    let nodes = ids
        .iter()
        .map(|id| {
            let found = nodes.iter().find(|node| node.instance_id == *id);
            found.cloned().ok_or_else(|| {
                AwsError::new(
                    Meaning::NotFound,
                    format!("look up {id} in {}", ec2.region),
                    "EC2 knows none of that id",
                )
            })
        })
        .collect::<Result<_, _>>()?;
    let elastic_ip = match allocation {
        Some(id) => Some(until_known(deadline, async || ec2.elastic_ip(id).await).await?),
        None => None,
    };
    Ok(SiteFacts {
        nodes,
        elastic_ip,
        account,
        region: ec2.region.clone(),
    })
}

/// The facts of one instance, its subnet's addresses left out.
fn node(instance: &Instance) -> Result<NodeFacts, AwsError> {
    let doing = format!(
        "look up {}",
        instance.instance_id().unwrap_or("an instance")
    );
    let missing = |what: &str| {
        let said = format!("it has no {what}: is it terminated?");
        AwsError::new(Meaning::WrongState, &doing, said)
    };
    let interface = instance.network_interfaces().iter().find(|interface| {
        let attachment = interface.attachment();
        attachment.and_then(|a| a.device_index()) == Some(0)
    });
    let addresses = interface.map_or(&[][..], |interface| interface.private_ip_addresses());
    Ok(NodeFacts {
        instance_id: instance
            .instance_id()
            .and_then(InstanceId::from_answer)
            .ok_or_else(|| missing("id"))?,
        hostname: instance
            .private_dns_name()
            .and_then(|name| name.split('.').next())
            .filter(|name| !name.is_empty())
            .ok_or_else(|| missing("private DNS name"))?
            .to_owned(),
        private_ip: instance
            .private_ip_address()
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| missing("private address"))?,
        secondary: addresses
            .iter()
            .filter(|address| address.primary() == Some(false))
            .filter_map(|address| address.private_ip_address()?.parse().ok())
            .collect(),
        interface: interface
            .and_then(|interface| interface.network_interface_id())
            .and_then(InterfaceId::from_answer),
        subnet_id: instance
            .subnet_id()
            .ok_or_else(|| missing("subnet"))?
            .to_owned(),
        subnet_cidr: None,
    })
}

impl Ec2 {
    async fn reservations(&self, ids: &[InstanceId]) -> Result<Vec<Reservation>, AwsError> {
        let names: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let doing = format!("look up {} in {}", names.join(", "), self.region);
        let call = self
            .sdk
            .describe_instances()
            .set_instance_ids(Some(names))
            .send();
        let answer = self.once(call, &doing).await?;
        Ok(answer.reservations.unwrap_or_default())
    }

    /// The addresses of the nodes' subnets. What can't be found out is left out: a check
    /// less, not a failure.
    async fn subnets(&self, nodes: &[NodeFacts]) -> BTreeMap<String, Ipv4Net> {
        let mut ids: Vec<String> = nodes.iter().map(|node| node.subnet_id.clone()).collect();
        ids.sort();
        ids.dedup();
        let call = self.sdk.describe_subnets().set_subnet_ids(Some(ids)).send();
        let answer = self.once(call, "look up the subnets").await;
        match answer {
            Ok(answer) => answer
                .subnets()
                .iter()
                .filter_map(|subnet| {
                    Some((
                        subnet.subnet_id()?.to_owned(),
                        subnet.cidr_block()?.parse().ok()?,
                    ))
                })
                .collect(),
            Err(error) => {
                tracing::warn!("{error}");
                BTreeMap::new()
            }
        }
    }
}
