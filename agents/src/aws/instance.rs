//! Instances: what EC2 knows of the nodes, and whether one runs.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{Instance, InstanceStateName};
use ipnet::Ipv4Net;

use super::client::Ec2;
use super::error::AwsError;
use super::ids::{InstanceId, Malformed};
use super::retry::until_known;
use crate::meaning::Meaning;
use crate::ocf::Deadline;

/// Whether an instance can still write to its volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It runs, or is about to.
    On,
    /// It is about to be off, and may still write.
    GoingDown,
    /// `stopped` or `terminated`, or so long gone that EC2 does not know it any more.
    Off,
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
    /// Its subnet.
    pub subnet_id: String,
    /// The subnet's addresses, if DescribeSubnets is allowed.
    pub subnet_cidr: Option<Ipv4Net>,
    /// Its availability zone.
    pub availability_zone: String,
    /// The region that was asked.
    pub region: String,
}

/// How long a person waits for an answer rather than for an error.
const LOOK_UP: Duration = Duration::from_secs(15);

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
    let ask = async || {
        let call = ec2
            .sdk
            .describe_instances()
            .set_instance_ids(Some(ids.iter().map(|id| id.as_str().to_owned()).collect()))
            .send();
        ec2.once(call, &doing).await
    };
    let answer = until_known(Deadline::of_action(Instant::now(), LOOK_UP), ask).await?;
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
    /// Whether `instance` runs.
    ///
    /// # Errors
    /// EC2's, but not that there is no such instance.
    pub async fn power(&self, instance: &InstanceId) -> Result<Power, AwsError> {
        let answer = match self.instance(instance).await {
            Ok(answer) => answer,
            Err(error) if error.meaning == Meaning::NotFound => return Ok(Power::Off),
            Err(error) => return Err(error),
        };
        Ok(match answer.state().and_then(|state| state.name()) {
            Some(InstanceStateName::Stopped | InstanceStateName::Terminated) => Power::Off,
            Some(InstanceStateName::Stopping | InstanceStateName::ShuttingDown) => Power::GoingDown,
            // `pending`, `running`, and what EC2 may add one day.
            _ => Power::On,
        })
    }

    pub(super) async fn instance(&self, id: &InstanceId) -> Result<Instance, AwsError> {
        let doing = format!("look up {id} in {}", self.region);
        let call = self
            .sdk
            .describe_instances()
            .instance_ids(id.as_str())
            .send();
        let answer = self.once(call, &doing).await?;
        answer
            .reservations
            .unwrap_or_default()
            .into_iter()
            .flat_map(|reservation| reservation.instances.unwrap_or_default())
            .find(|instance| instance.instance_id() == Some(id.as_str()))
            .ok_or_else(|| AwsError::new(Meaning::NotFound, &doing, "EC2 knows none of that id"))
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
