//! Questions about instances that are to be extended servers of a site: for `ha-ctl extend`. Nothing is changed.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{Filter, Instance};

use crate::{
    AwsError, Deadline, Ec2, InstanceId, PublicAddress, Region, ServerAnswer, ServerAnswers,
    retry_transient,
};

/// What an instance is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerName {
    Id(InstanceId),
    /// Its private address.
    Address(Ipv4Addr),
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ServerName::Id(id) => id.fmt(f),
            ServerName::Address(address) => address.fmt(f),
        }
    }
}

/// Asks about the servers of a site, for no longer than `limit`. Addresses are looked up in the VPC of the nodes.
pub async fn question_servers(
    region: Option<&Region>,
    profile: Option<&str>,
    nodes: &[InstanceId],
    servers: &[ServerName],
    limit: Duration,
) -> Result<ServerAnswers, AwsError> {
    let ec2 = Ec2::connect(region, profile).await?;
    let deadline = Deadline::after(Instant::now(), limit);
    let found = retry_transient(deadline, async || ec2.reservations(nodes).await).await?;
    let nodes = found.iter().flat_map(|it| it.instances());
    let nodes: Vec<ServerAnswer> = nodes.filter_map(|it| server(it, None)).collect();
    let vpc = nodes.iter().find_map(|it| it.vpc.clone());
    let found = retry_transient(deadline, async || {
        ec2.servers(servers, vpc.as_deref()).await
    })
    .await?;
    let servers = servers.iter().map(|name| {
        let is_it = |it: &&ServerAnswer| match name {
            ServerName::Id(id) => it.id == id.as_str(),
            ServerName::Address(address) => it.address == Some(*address),
        };
        (name.to_string(), found.iter().find(is_it).cloned())
    });
    let servers: Vec<_> = servers.collect();
    let mut groups: Vec<String> = found.iter().flat_map(|it| it.groups.clone()).collect();
    groups.sort_unstable();
    groups.dedup();
    let rules = ec2.inbound_rules(deadline, groups).await;
    Ok(ServerAnswers {
        region: ec2.region.clone(),
        nodes,
        servers,
        rules,
    })
}

impl Ec2 {
    /// Those that exist. Ids and addresses are asked for apart: EC2 joins filters with `and`.
    async fn servers(
        &self,
        names: &[ServerName],
        vpc: Option<&str>,
    ) -> Result<Vec<ServerAnswer>, AwsError> {
        let filter = |name: &str, values: Vec<String>| {
            Filter::builder()
                .name(name)
                .set_values(Some(values))
                .build()
        };
        let (ids, addresses): (Vec<&ServerName>, Vec<&ServerName>) = names
            .iter()
            .partition(|name| matches!(name, ServerName::Id(_)));
        let mut found = Vec::new();
        let by_address = "network-interface.addresses.private-ip-address";
        for (kind, names) in [("instance-id", ids), (by_address, addresses)] {
            if names.is_empty() {
                continue;
            }
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let operation = format!("look up {} in {}", names.join(", "), self.region);
            let filter_names = filter(kind, names.clone());
            let call = self.sdk.describe_instances().filters(filter_names);
            // Another VPC of the account may have the same addresses.
            let vpc = vpc.filter(|_| kind == by_address);
            let call = match vpc {
                Some(vpc) => call.filters(filter("vpc-id", vec![vpc.to_owned()])),
                None => call,
            };
            let answer = self.call(call.send(), &operation).await?;
            let instances = answer.reservations().iter().flat_map(|it| it.instances());
            for instance in instances {
                match kind == by_address {
                    false => found.extend(server(instance, None)),
                    true => {
                        let at = names.iter().filter_map(|name| name.parse().ok());
                        found.extend(at.filter_map(|at| server(instance, Some(at))));
                    }
                }
            }
        }
        Ok(found)
    }
}

/// An instance as a server: by its first interface, or by the one that has an address.
fn server(instance: &Instance, at: Option<Ipv4Addr>) -> Option<ServerAnswer> {
    let mut addresses = instance.network_interfaces().iter().flat_map(|interface| {
        let addresses = interface.private_ip_addresses().iter();
        addresses.map(move |address| (interface, address))
    });
    let found = addresses.find(|(interface, address)| match at {
        Some(at) => address.private_ip_address() == Some(at.to_string().as_str()),
        None => {
            let attachment = interface.attachment();
            address.primary() == Some(true)
                && attachment.and_then(|it| it.device_index()) == Some(0)
        }
    });
    if at.is_some() && found.is_none() {
        return None;
    }
    let public = found.and_then(|(_, address)| PublicAddress::new(address.association()?));
    let interface = found.map(|(interface, _)| interface);
    let address = found.and_then(|(_, address)| address.private_ip_address()?.parse().ok());
    let groups = interface.map_or(&[][..], |it| it.groups());
    let state = instance.state().and_then(|it| it.name());
    Some(ServerAnswer {
        id: instance.instance_id()?.to_owned(),
        state: state.map_or("", |it| it.as_str()).to_owned(),
        address,
        public: public.map(|it| it.address),
        elastic: public.is_some_and(|it| it.elastic),
        vpc: instance.vpc_id.clone(),
        groups: groups
            .iter()
            .filter_map(|it| it.group_id())
            .map(str::to_owned)
            .collect(),
    })
}
