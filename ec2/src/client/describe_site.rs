//! What EC2 knows of a whole site: instances, subnets, account, Elastic IP. cib-gen asks it once; no agent does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{Filter, Instance, InstanceStateName, Reservation};
use ipnet::Ipv4Net;

use crate::{
    AllocationId, AwsError, Deadline, Ec2, ElasticIp, ErrorKind, InstanceId, NodeFacts,
    PublicAddress, Region, SiteChecks, Volume, VolumeId, retry_transient,
};

/// What EC2 is asked for.
#[derive(Debug, Clone)]
pub struct SiteIds<'a> {
    pub instances: Vec<InstanceId>,
    pub allocation: &'a AllocationId,
    pub volume: &'a VolumeId,
    /// Whether EC2 will have to stop the instances.
    pub fenced: bool,
}

#[derive(Debug, Clone)]
pub struct SiteFacts {
    /// The instances, in the order of the request.
    pub nodes: Vec<NodeFacts>,
    /// The instances that cannot be nodes.
    pub gone: Vec<(InstanceId, Gone)>,
    /// The Elastic IP; `NotFound` if EC2 does not know the allocation.
    pub elastic_ip: Result<ElasticIp, AwsError>,
    /// The volume; `NotFound` if EC2 does not know it.
    pub volume: Result<Volume, AwsError>,
    /// The account that owns the first instance.
    pub account: Option<String>,
    pub region: String,
    /// What would make a later failover fail.
    pub checks: SiteChecks,
}

/// Why an instance cannot be a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It is terminated. EC2 shows that for about an hour.
    Terminated,
    /// The account has no such instance in this region.
    Unknown,
}

/// What EC2 knows of a site, asked for no longer than `limit`. Fails if the instances cannot be described. An
/// instance that does not exist is no error, but in [`SiteFacts::gone`].
pub async fn describe_site(
    region: Option<&Region>,
    profile: Option<&str>,
    ids: &SiteIds<'_>,
    limit: Duration,
) -> Result<SiteFacts, AwsError> {
    let ec2 = Ec2::connect(region, profile).await?;
    let deadline = Deadline::after(Instant::now(), limit);
    let (allocation, volume) = (ids.allocation, ids.volume);
    // The first call alone finds the credentials, which the others share.
    let instances = async || ec2.reservations(&ids.instances).await;
    let reservations = retry_transient(deadline, instances).await?;
    let mut nodes = Vec::new();
    let mut gone = Vec::new();
    for id in &ids.instances {
        let mut instances = reservations.iter().flat_map(Reservation::instances);
        match instances.find(|instance| instance.instance_id() == Some(id.as_str())) {
            None => gone.push((id.clone(), Gone::Unknown)),
            Some(instance) if is(instance, &InstanceStateName::Terminated) => {
                gone.push((id.clone(), Gone::Terminated));
            }
            Some(instance) => nodes.push(node(id, instance)?),
        }
    }
    let (elastic_ip, volume, subnets, checks) = tokio::join!(
        retry_transient(deadline, async || ec2.elastic_ip(allocation).await),
        retry_transient(deadline, async || ec2.volume(volume).await),
        ec2.subnets(deadline, &nodes),
        ec2.check_site(deadline, &nodes, ids.fenced, profile.is_none()),
    );
    for node in &mut nodes {
        node.subnet_cidr = subnets.get(&node.subnet_id).copied();
    }
    let owner = reservations.iter().find_map(Reservation::owner_id);
    Ok(SiteFacts {
        nodes,
        gone,
        elastic_ip,
        volume,
        account: owner.map(str::to_owned),
        region: ec2.region,
        checks,
    })
}
fn is(instance: &Instance, name: &InstanceStateName) -> bool {
    instance.state().and_then(|state| state.name()) == Some(name)
}

/// The facts of one instance, without its subnet's addresses.
fn node(id: &InstanceId, instance: &Instance) -> Result<NodeFacts, AwsError> {
    let missing = |what: &str| {
        let cause = format!("it has no {what}");
        AwsError::new(ErrorKind::WrongState, format!("look up {id}"), cause)
    };
    let interface = instance.network_interfaces().iter().find(|interface| {
        let attachment = interface.attachment();
        attachment.and_then(|a| a.device_index()) == Some(0)
    });
    let addresses = interface.map_or(&[][..], |interface| interface.private_ip_addresses());
    let primary = addresses.iter().find(|a| a.primary() == Some(true));
    let public = primary.and_then(|address| PublicAddress::new(address.association()?));
    let secondary = addresses.iter().filter(|a| a.primary() == Some(false));
    let instance_type = instance.instance_type().map(|kind| kind.as_str());
    let interface_id = interface
        .and_then(|i| i.network_interface_id())
        .map(str::parse);
    let name = instance.private_dns_name().unwrap_or_default();
    let hostname = name.split('.').next();
    let private_ip = instance.private_ip_address();
    let private_ip = private_ip.and_then(|address| address.parse().ok());
    let zone = (instance.placement()).and_then(|placement| placement.availability_zone());
    let mappings = instance.block_device_mappings().iter();
    let volumes = mappings.filter_map(|mapping| {
        let volume = mapping.ebs()?.volume_id()?;
        Some((volume.to_owned(), mapping.device_name()?.to_owned()))
    });
    Ok(NodeFacts {
        instance_id: id.clone(),
        instance_type: instance_type.unwrap_or_default().to_owned(),
        shutting_down: is(instance, &InstanceStateName::ShuttingDown),
        hostname: (hostname.filter(|name| !name.is_empty()))
            .ok_or_else(|| missing("private DNS name"))?
            .to_owned(),
        private_ip: private_ip.ok_or_else(|| missing("private address"))?,
        public,
        secondary: secondary
            .filter_map(|address| address.private_ip_address()?.parse().ok())
            .collect(),
        interface: interface_id
            .transpose()
            .map_err(|_| missing("interface id that can be read"))?,
        volumes: volumes.collect(),
        zone: zone.unwrap_or_default().to_owned(),
        vpc_id: instance.vpc_id.clone(),
        subnet_id: (instance.subnet_id.clone()).ok_or_else(|| missing("subnet"))?,
        subnet_cidr: None,
    })
}

impl Ec2 {
    /// The instances of these ids that exist. The ids are a filter, because EC2 refuses a list of ids as a whole
    /// if it does not know one of them.
    pub(crate) async fn reservations(
        &self,
        ids: &[InstanceId],
    ) -> Result<Vec<Reservation>, AwsError> {
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let operation = format!("look up {} in {}", names.join(", "), self.region);
        let filter = Filter::builder().name("instance-id");
        let filter = filter.set_values(Some(names)).build();
        let call = self.sdk.describe_instances().filters(filter).send();
        let answer = self.call(call, &operation).await?;
        Ok(answer.reservations.unwrap_or_default())
    }

    /// The addresses of the nodes' subnets. If EC2 does not tell them, one check is left out and nothing fails.
    async fn subnets(&self, deadline: Deadline, nodes: &[NodeFacts]) -> BTreeMap<String, Ipv4Net> {
        let ids: BTreeSet<String> = nodes.iter().map(|node| node.subnet_id.clone()).collect();
        // EC2 takes an empty list for all subnets of the account.
        if ids.is_empty() {
            return BTreeMap::new();
        }
        let ids: Option<Vec<String>> = Some(ids.into_iter().collect());
        let answer = retry_transient(deadline, async || {
            let call = self
                .sdk
                .describe_subnets()
                .set_subnet_ids(ids.clone())
                .send();
            self.call(call, "look up the subnets").await
        });
        let answer = answer.await;
        let answer = answer.inspect_err(|error| tracing::warn!("{error}")).ok();
        let subnets = answer.and_then(|answer| answer.subnets);
        let subnets = subnets.unwrap_or_default().into_iter();
        subnets
            .filter_map(|subnet| Some((subnet.subnet_id?, subnet.cidr_block?.parse().ok()?)))
            .collect()
    }
}
