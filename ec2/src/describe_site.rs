//! What EC2 knows of a whole site, for the one who configures it: instances, subnets, account,
//! Elastic IP. What could keep a node from its work later is looked at in `outlook`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{Filter, Instance, InstanceStateName, Reservation};
use ipnet::Ipv4Net;

use crate::elastic_ip::ElasticIp;
use crate::client::Ec2;
use crate::error::AwsError;
use crate::ids::{AllocationId, InstanceId, Region};
use crate::outlook::{Outlook, PublicAddress};
use crate::retry::retry_transient;
use crate::error::ErrorKind;
use crate::deadline::Deadline;

/// What EC2 knows of a site.
#[derive(Debug, Clone)]
pub struct SiteFacts {
    /// The instances, in the order in which they were asked for.
    pub nodes: Vec<NodeFacts>,
    /// Those of them that can be no node any more, or never could. If there are any, nothing else was asked.
    pub gone: Vec<(InstanceId, Gone)>,
    /// The Elastic IP, where it was asked for.
    pub elastic_ip: Option<ElasticIp>,
    /// The account that owns the first instance.
    pub account: Option<String>,
    /// The region that was asked.
    pub region: String,
    /// What could keep the nodes from their work later.
    pub outlook: Outlook,
}

/// Why an instance can not be a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It is terminated. EC2 shows that for about an hour.
    Terminated,
    /// The account has no such instance in this region.
    Unknown,
}

/// What EC2 knows of one instance that is to be a node. Ids of other things are as EC2 wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its type, such as `c5.xlarge`.
    pub instance_type: String,
    /// Whether it is about to be terminated.
    pub shutting_down: bool,
    /// The first label of its private DNS name, which EC2 makes its host name.
    pub hostname: String,
    /// Its primary private address.
    pub private_ip: Ipv4Addr,
    /// The public address of that.
    pub public: Option<PublicAddress>,
    /// The other private addresses of its first interface.
    pub secondary: Vec<Ipv4Addr>,
    /// Its first interface.
    pub interface: Option<String>,
    /// Its volumes, and the device name that each was attached by.
    pub volumes: Vec<(String, String)>,
    /// Its VPC.
    pub vpc_id: Option<String>,
    /// Its subnet.
    pub subnet_id: String,
    /// The subnet's addresses, if DescribeSubnets is allowed.
    pub subnet_cidr: Option<Ipv4Net>,
}

/// How long a person waits for an answer rather than for an error.
const LOOK_UP: Duration = Duration::from_secs(15);

/// What EC2 knows of `ids`, and of an Elastic IP. `fenced` says whether EC2 will have to stop the
/// instances.
///
/// # Errors
/// EC2's. An instance that is not among the answers is no error, but [`Gone`].
pub async fn describe_site(
    region: Option<&Region>,
    profile: Option<&str>,
    ids: &[InstanceId],
    allocation: Option<&AllocationId>,
    fenced: bool,
) -> Result<SiteFacts, AwsError> {
    let ec2 = Ec2::connect(region, profile).await?;
    let deadline = Deadline::after(Instant::now(), LOOK_UP);
    let reservations = retry_transient(deadline, async || ec2.reservations(ids).await).await?;
    let mut facts = SiteFacts {
        nodes: Vec::new(),
        gone: Vec::new(),
        elastic_ip: None,
        account: reservations
            .iter()
            .find_map(|reservation| reservation.owner_id().map(str::to_owned)),
        region: ec2.region.clone(),
        outlook: Outlook::default(),
    };
    for id in ids {
        let instances = reservations.iter().flat_map(Reservation::instances);
        let found = instances
            .into_iter()
            .find(|instance| instance.instance_id() == Some(id.as_str()));
        match found {
            None => facts.gone.push((id.clone(), Gone::Unknown)),
            Some(instance) if is(instance, &InstanceStateName::Terminated) => {
                facts.gone.push((id.clone(), Gone::Terminated));
            }
            Some(instance) => facts.nodes.push(node(id, instance)?),
        }
    }
    if !facts.gone.is_empty() {
        return Ok(facts);
    }
    let subnets = ec2.subnets(&facts.nodes).await;
    for node in &mut facts.nodes {
        node.subnet_cidr = subnets.get(&node.subnet_id).copied();
    }
    if let Some(id) = allocation {
        facts.elastic_ip = Some(retry_transient(deadline, async || ec2.elastic_ip(id).await).await?);
    }
    facts.outlook = Outlook::of(&ec2, deadline, &facts.nodes, fenced).await;
    Ok(facts)
}

fn is(instance: &Instance, name: &InstanceStateName) -> bool {
    instance.state().and_then(|state| state.name()) == Some(name)
}

/// The facts of one instance, its subnet's addresses left out.
fn node(id: &InstanceId, instance: &Instance) -> Result<NodeFacts, AwsError> {
    let missing = |what: &str| {
        AwsError::new(
            ErrorKind::WrongState,
            format!("look up {id}"),
            format!("it has no {what}"),
        )
    };
    let interface = instance.network_interfaces().iter().find(|interface| {
        let attachment = interface.attachment();
        attachment.and_then(|a| a.device_index()) == Some(0)
    });
    let addresses = interface.map_or(&[][..], |interface| interface.private_ip_addresses());
    let primary = addresses
        .iter()
        .find(|address| address.primary() == Some(true));
    Ok(NodeFacts {
        instance_id: id.clone(),
        instance_type: instance
            .instance_type()
            .map_or_else(String::new, |kind| kind.as_str().to_owned()),
        shutting_down: is(instance, &InstanceStateName::ShuttingDown),
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
        public: primary
            .and_then(|address| address.association())
            .and_then(PublicAddress::of),
        secondary: addresses
            .iter()
            .filter(|address| address.primary() == Some(false))
            .filter_map(|address| address.private_ip_address()?.parse().ok())
            .collect(),
        interface: interface
            .and_then(|interface| interface.network_interface_id())
            .map(str::to_owned),
        volumes: instance
            .block_device_mappings()
            .iter()
            .filter_map(|mapping| {
                let volume = mapping.ebs()?.volume_id()?;
                Some((volume.to_owned(), mapping.device_name()?.to_owned()))
            })
            .collect(),
        vpc_id: instance.vpc_id().map(str::to_owned),
        subnet_id: instance
            .subnet_id()
            .ok_or_else(|| missing("subnet"))?
            .to_owned(),
        subnet_cidr: None,
    })
}

impl Ec2 {
    /// The instances of these ids that there are. They are a filter, because EC2 refuses a list of ids
    /// as a whole if it does not know one of them.
    async fn reservations(&self, ids: &[InstanceId]) -> Result<Vec<Reservation>, AwsError> {
        let names: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let doing = format!("look up {} in {}", names.join(", "), self.region);
        let filter = Filter::builder()
            .name("instance-id")
            .set_values(Some(names))
            .build();
        let call = self.sdk.describe_instances().filters(filter).send();
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
