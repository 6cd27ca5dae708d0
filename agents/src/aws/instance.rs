//! Instances: what EC2 knows of the nodes, and whether one runs.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::client::Ec2;
use super::error::{AwsError, Meaning};
use super::ids::{InstanceId, Malformed};

/// What EC2 knows of one instance that is to be a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// The instance.
    pub instance_id: InstanceId,
    /// The first label of its private DNS name, which EC2 makes its host name.
    pub hostname: String,
    /// Its primary private address.
    pub private_ip: Ipv4Addr,
    /// Its subnet.
    pub subnet_id: String,
    /// The subnet's addresses, if DescribeSubnets is allowed.
    pub subnet_cidr: Option<Ipv4Net>,
    /// Its availability zone.
    pub availability_zone: String,
    /// The region that was asked.
    pub region: String,
}

/// What EC2 knows of `ids`, in their order.
///
/// # Errors
/// EC2's, and `NotFound` when one of the instances is not among the answers.
pub async fn describe_nodes(
    region: Option<&str>,
    profile: Option<&str>,
    ids: &[InstanceId],
) -> Result<Vec<NodeFacts>, AwsError> {
    let ec2 = Ec2::connect(region, profile).await?;
    let doing = format!(
        "look up {} in {}",
        ids.iter()
            .map(InstanceId::as_str)
            .collect::<Vec<_>>()
            .join(", "),
        ec2.region
    );
    let answer = ec2
        .retried(
            || {
                ec2.sdk
                    .describe_instances()
                    .set_instance_ids(Some(ids.iter().map(|id| id.as_str().to_owned()).collect()))
                    .send()
            },
            &doing,
        )
        .await?;
    let mut nodes = Vec::new();
    for instance in answer.reservations().iter().flat_map(|r| r.instances()) {
        let malformed = |m: Malformed| AwsError::new(Meaning::Unknown, &doing, m.to_string());
        let missing = |what: &str| {
            AwsError::new(
                Meaning::WrongState,
                &doing,
                format!(
                    "{} has no {what}: is it terminated?",
                    instance.instance_id().unwrap_or("an instance")
                ),
            )
        };
        nodes.push(NodeFacts {
            instance_id: instance
                .instance_id()
                .unwrap_or_default()
                .parse()
                .map_err(malformed)?,
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
            subnet_id: instance
                .subnet_id()
                .ok_or_else(|| missing("subnet"))?
                .to_owned(),
            subnet_cidr: None,
            availability_zone: instance
                .placement()
                .and_then(|p| p.availability_zone())
                .unwrap_or_default()
                .to_owned(),
            region: ec2.region.clone(),
        });
    }
    let subnets = ec2.subnets(&nodes).await;
    for node in &mut nodes {
        node.subnet_cidr = subnets.get(&node.subnet_id).copied();
    }
    ids.iter()
        .map(|id| {
            nodes
                .iter()
                .find(|node| node.instance_id == *id)
                .cloned()
                .ok_or_else(|| {
                    AwsError::new(Meaning::NotFound, &doing, format!("EC2 knows no {id}"))
                })
        })
        .collect()
}

impl Ec2 {
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
