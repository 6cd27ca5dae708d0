//! Questions about a site for `ha-ctl check`: what each instance and the volume are, who has the virtual address,
//! which ports are open, and which calls these credentials may make. Nothing is changed: a call that would change
//! something is a dry run, or names an address that EC2 never assigns.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{
    Filter, HttpTokensState, Instance, InstanceLifecycleType, InstanceMetadataEndpointState,
    IpPermission, Volume,
};

use crate::{
    AddressHolder, Asked, AwsError, CallAnswer, Deadline, Ec2, ErrorKind, InboundRule,
    InstanceAnswer, InstanceId, InterfaceId, Metadata, NodeFacts, Refusal, Region, SiteAnswers,
    SiteFacts, SiteIds, VolumeAnswer, retry_transient,
};

impl From<&AwsError> for Refusal {
    fn from(error: &AwsError) -> Self {
        Self {
            denied: error.is_denial(),
            not_found: error.kind == ErrorKind::NotFound,
            said: error.to_string(),
        }
    }
}

/// Asks, for no longer than `limit`. `facts` is what [`crate::describe_site`] found. `starts`: fencing starts
/// an instance after it was stopped.
pub async fn question_site(
    region: Option<&Region>,
    profile: Option<&str>,
    ids: &SiteIds<'_>,
    facts: &SiteFacts,
    vip: Option<Ipv4Addr>,
    starts: bool,
    limit: Duration,
) -> Result<SiteAnswers, AwsError> {
    let ec2 = Ec2::connect(region, profile).await?;
    let deadline = Deadline::after(Instant::now(), limit);
    let here = Metadata::connect_by(deadline).and_then(|metadata| metadata.instance_id());
    let here = here.ok();
    let (instances, volume, vip, mut calls) = tokio::join!(
        ec2.instance_answers(deadline, &ids.instances),
        ec2.volume_answer(deadline, ids),
        ec2.address_holder(deadline, facts, vip),
        ec2.call_answers(deadline, ids, facts, here.as_ref(), starts),
    );
    let groups = instances.iter().flatten().flat_map(|it| &it.groups);
    let mut groups: Vec<String> = groups.cloned().collect();
    groups.sort_unstable();
    groups.dedup();
    let rules = ec2.inbound_rules(deadline, groups).await;
    if let Some(denial) = &facts.checks.stop_denial {
        calls.extend(denial.instances.iter().map(|id| CallAnswer {
            call: "StopInstances".to_owned(),
            on: id.to_string(),
            refused: Some((&denial.error).into()),
        }));
    }
    Ok(SiteAnswers {
        here: here.map(|id| id.to_string()),
        instances,
        volume,
        vip,
        rules,
        calls,
    })
}

impl Ec2 {
    async fn instance_answers(
        &self,
        deadline: Deadline,
        ids: &[InstanceId],
    ) -> Asked<Vec<InstanceAnswer>> {
        let asked = retry_transient(deadline, async || self.reservations(ids).await).await;
        let reservations = asked.map_err(|error| Refusal::from(&error))?;
        let instances = reservations.iter().flat_map(|it| it.instances());
        Ok(instances.filter_map(instance_answer).collect())
    }

    async fn volume_answer(&self, deadline: Deadline, ids: &SiteIds<'_>) -> Asked<VolumeAnswer> {
        let id = ids.volume;
        let asked = retry_transient(deadline, async || {
            let call = self.sdk.describe_volumes().volume_ids(id.as_str()).send();
            let operation = format!("look up {id} in {}", self.region);
            let answer = self.call(call, &operation).await?;
            let mut volumes = answer.volumes.unwrap_or_default().into_iter();
            volumes
                .next()
                .ok_or_else(|| AwsError::not_found(&operation))
        });
        match asked.await {
            Ok(volume) => Ok(volume_answer(&volume)),
            Err(error) => Err((&error).into()),
        }
    }

    /// The interface that has the virtual address, in the VPC of the nodes.
    async fn address_holder(
        &self,
        deadline: Deadline,
        facts: &SiteFacts,
        vip: Option<Ipv4Addr>,
    ) -> Asked<Option<AddressHolder>> {
        let vpc = facts.nodes.first().and_then(|node| node.vpc_id.as_deref());
        let (Some(vip), Some(vpc)) = (vip, vpc) else {
            return Ok(None);
        };
        let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
        let asked = retry_transient(deadline, async || {
            let call = (self.sdk.describe_network_interfaces())
                .filters(filter("vpc-id", vpc))
                .filters(filter("addresses.private-ip-address", &vip.to_string()))
                .send();
            let operation = format!("look up who has {vip} in {vpc}");
            self.call(call, &operation).await
        });
        let answer = asked.await.map_err(|error| Refusal::from(&error))?;
        Ok(answer.network_interfaces().first().map(|it| {
            let instance = it.attachment().and_then(|it| it.instance_id());
            AddressHolder {
                interface: it.network_interface_id().unwrap_or_default().to_owned(),
                instance: instance.map(str::to_owned),
                primary: it.private_ip_address() == Some(vip.to_string().as_str()),
                description: it.description().unwrap_or_default().to_owned(),
            }
        }))
    }

    pub(super) async fn inbound_rules(
        &self,
        deadline: Deadline,
        groups: Vec<String>,
    ) -> Asked<Vec<InboundRule>> {
        // EC2 takes an empty list for all groups of the account.
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let asked = retry_transient(deadline, async || {
            let call = self.sdk.describe_security_groups();
            let call = call.set_group_ids(Some(groups.clone())).send();
            let operation = format!("look up the rules of {}", groups.join(", "));
            self.call(call, &operation).await
        });
        let answer = asked.await.map_err(|error| Refusal::from(&error))?;
        let of_group = |group: &aws_sdk_ec2::types::SecurityGroup| -> Vec<InboundRule> {
            let id = group.group_id().unwrap_or_default();
            let rules = group.ip_permissions().iter();
            rules.map(|it| inbound_rule(id, it)).collect()
        };
        Ok((answer.security_groups().iter())
            .flat_map(of_group)
            .collect())
    }

    /// What EC2 would answer to each call that an agent or fencing makes. StopInstances is in
    /// [`crate::SiteChecks`].
    async fn call_answers(
        &self,
        deadline: Deadline,
        ids: &SiteIds<'_>,
        facts: &SiteFacts,
        here: Option<&InstanceId>,
        starts: bool,
    ) -> Vec<CallAnswer> {
        let dry = self.dry_run();
        let own = facts
            .nodes
            .iter()
            .find(|node| Some(&node.instance_id) == here);
        let own = own.or(facts.nodes.first());
        let Some((node, interface)) = own.and_then(|node| Some((node, node.interface.as_ref()?)))
        else {
            return Vec::new();
        };
        let (volume, allocation) = (ids.volume, ids.allocation);
        let mut answers = Vec::new();
        let mut answer = |call: &str, on: &str, said: Result<(), AwsError>| {
            let refused = AwsError::from_dry_run(said).err();
            // Any other error is about the state of the resource, and not about permissions.
            let is_silent = |error: &AwsError| error.is_unknown() && error.code.is_none();
            let refused = refused
                .filter(|error| error.is_denial() || error.is_throttled() || is_silent(error));
            answers.push(CallAnswer {
                call: call.to_owned(),
                on: on.to_owned(),
                refused: refused.as_ref().map(Refusal::from),
            });
        };
        let id = &node.instance_id;
        let said = async || dry.attach(volume, id, "/dev/sdf").await;
        let said = retry_transient(deadline, said).await;
        answer("AttachVolume", volume.as_str(), said);
        for NodeFacts {
            instance_id: id, ..
        } in &facts.nodes
        {
            let said = async || dry.detach(volume, id, false).await;
            let said = retry_transient(deadline, said).await;
            answer("DetachVolume", id.as_str(), said);
        }
        let said = async || dry.associate(allocation, interface, node.private_ip).await;
        let said = retry_transient(deadline, said).await;
        answer("AssociateAddress", allocation.as_str(), said);
        let elastic_ip = facts.elastic_ip.as_ref().ok();
        if let Some(association) = elastic_ip.and_then(|it| it.association.as_ref()) {
            let said = async || dry.disassociate(&association.id).await;
            let said = retry_transient(deadline, said).await;
            answer("DisassociateAddress", allocation.as_str(), said);
        }
        // EC2 has no dry run for these two. It reserves the first address of every subnet, so neither can succeed.
        if let Some(subnet) = node.subnet_cidr {
            let reserved = subnet.network();
            let said = async || self.would_assign(interface, reserved).await;
            let said = retry_transient(deadline, said).await;
            answer("AssignPrivateIpAddresses", interface.as_str(), said);
            let said = async || self.unassign(interface, reserved).await;
            let said = retry_transient(deadline, said).await;
            answer("UnassignPrivateIpAddresses", interface.as_str(), said);
        }
        if ids.fenced && starts {
            for NodeFacts {
                instance_id: id, ..
            } in &facts.nodes
            {
                let said = retry_transient(deadline, async || self.may_start(id).await).await;
                answer("StartInstances", id.as_str(), said);
            }
        }
        answers
    }

    async fn would_assign(
        &self,
        interface: &InterfaceId,
        reserved: Ipv4Addr,
    ) -> Result<(), AwsError> {
        let call = (self.sdk.assign_private_ip_addresses())
            .network_interface_id(interface.as_str())
            .private_ip_addresses(reserved.to_string())
            .allow_reassignment(false)
            .send();
        let operation = format!("look whether an address may be assigned to {interface}");
        match self.call(call, &operation).await {
            Err(error) if error.kind == ErrorKind::InvalidValue => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn may_start(&self, id: &InstanceId) -> Result<(), AwsError> {
        let call = self.sdk.start_instances().instance_ids(id.as_str());
        let operation = format!("look whether fencing may start {id}");
        let answer = self.call(call.dry_run(true).send(), &operation).await;
        answer.map(drop)
    }
}

fn instance_answer(instance: &Instance) -> Option<InstanceAnswer> {
    let options = instance.metadata_options();
    let interfaces = instance.network_interfaces().iter();
    let first = interfaces
        .filter(|it| it.attachment().and_then(|it| it.device_index()) == Some(0))
        .flat_map(|it| it.groups());
    let state = instance.state().and_then(|state| state.name());
    let endpoint = options.and_then(|it| it.http_endpoint());
    let tokens = options.and_then(|it| it.http_tokens());
    Some(InstanceAnswer {
        id: instance.instance_id()?.to_owned(),
        state: state.map_or("", |state| state.as_str()).to_owned(),
        spot: instance.instance_lifecycle() == Some(&InstanceLifecycleType::Spot),
        metadata: endpoint != Some(&InstanceMetadataEndpointState::Disabled),
        tokens_required: tokens != Some(&HttpTokensState::Optional),
        hop_limit: options.and_then(|it| it.http_put_response_hop_limit()),
        groups: first
            .filter_map(|it| it.group_id())
            .map(str::to_owned)
            .collect(),
    })
}

fn volume_answer(volume: &Volume) -> VolumeAnswer {
    let attachments = volume.attachments().iter();
    VolumeAnswer {
        state: volume.state().map_or("", |state| state.as_str()).to_owned(),
        kind: volume
            .volume_type()
            .map_or("", |kind| kind.as_str())
            .to_owned(),
        zone: volume.availability_zone().unwrap_or_default().to_owned(),
        multi_attach: volume.multi_attach_enabled() == Some(true),
        encrypted: volume.encrypted() == Some(true),
        kms_key: volume.kms_key_id.clone(),
        gib: volume.size().unwrap_or_default(),
        attached_to: attachments
            .filter_map(|it| it.instance_id())
            .map(str::to_owned)
            .collect(),
    }
}

fn inbound_rule(group: &str, permission: &IpPermission) -> InboundRule {
    let ranges = permission.ip_ranges().iter();
    let groups = permission.user_id_group_pairs().iter();
    InboundRule {
        group: group.to_owned(),
        protocol: permission.ip_protocol().unwrap_or_default().to_owned(),
        ports: permission.from_port().zip(permission.to_port()),
        from: ranges
            .filter_map(|it| it.cidr_ip())
            .map(str::to_owned)
            .collect(),
        from_groups: groups
            .filter_map(|it| it.group_id())
            .map(str::to_owned)
            .collect(),
        from_others: !permission.prefix_list_ids().is_empty(),
    }
}
