//! Instances as the describe calls show them: DescribeInstances, DescribeInstanceStatus.
//! A terminated one is shown without interface, addresses and volumes.

use std::net::Ipv4Addr;

use super::Answer;
use super::describe_interface::{interface_elements, private_dns, public_dns, public_of};
use super::volume::ROOT_DEVICE;
use crate::ec2::OWNER;
use crate::ec2::ebs::Attachment;
use crate::ec2::error::ApiError;
use crate::ec2::ids::InstanceId;
use crate::ec2::query::{Call, passes};
use crate::ec2::state::{Instance, Interface, State};
use crate::ec2::states::{AttachmentState, InstanceState};
use crate::ec2::xml::{Element, group, list, moment, text};
use crate::site;

const INSTANCE_TYPE: &str = "c5.xlarge";

/// API reference, DescribeInstances.
pub(super) fn describe(state: &State, call: &Call) -> Answer {
    call.only(&["InstanceId", "Filter", "MaxResults", "NextToken"])?;
    let reservations = found(state, call)?
        .into_iter()
        .map(|(id, instance, interface)| {
            let number = id.as_str().replacen("i-", "r-", 1);
            let instance = instance_elements(state, id, instance, interface);
            vec![
                text("reservationId", number),
                text("ownerId", OWNER),
                list("groupSet", Vec::new()),
                list("instancesSet", vec![instance]),
            ]
        })
        .collect();
    Ok(vec![list("reservationSet", reservations)])
}

/// API reference, DescribeInstanceStatus: running instances only, unless IncludeAllInstances.
pub(super) fn describe_status(state: &State, call: &Call) -> Answer {
    call.only(&[
        "InstanceId",
        "Filter",
        "MaxResults",
        "NextToken",
        "IncludeAllInstances",
    ])?;
    let all = call.flag("IncludeAllInstances")?.unwrap_or_default();
    let statuses = found(state, call)?
        .into_iter()
        .filter(|(_, instance, _)| all || instance.state == InstanceState::Running)
        .map(|(id, instance, _)| {
            // The checks need a guest that answers; the model does not look into guests.
            let (status, check) = match instance.state {
                InstanceState::Running => ("ok", "passed"),
                _ => ("not-applicable", "not-applicable"),
            };
            let details = vec![vec![text("name", "reachability"), text("status", check)]];
            let summary = || vec![text("status", status), list("details", details.clone())];
            vec![
                text("instanceId", id),
                text("availabilityZone", site::ZONE),
                group("instanceState", state_elements(instance.state)),
                group("systemStatus", summary()),
                group("instanceStatus", summary()),
            ]
        })
        .collect();
    Ok(vec![list("instanceStatusSet", statuses)])
}

pub(super) fn asked(call: &Call, required: bool) -> Result<Vec<InstanceId>, ApiError> {
    let mut ids = call
        .list("InstanceId")
        .into_iter()
        .map(InstanceId::parse)
        .collect::<Result<Vec<_>, _>>()?;
    if required && ids.is_empty() {
        return Err(ApiError::missing("InstanceId"));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

type Found<'a> = (&'a InstanceId, &'a Instance, Option<&'a Interface>);

fn found<'a>(state: &'a State, call: &Call) -> Result<Vec<Found<'a>>, ApiError> {
    let asked = asked(call, false)?;
    for id in &asked {
        state.instance(id)?;
    }
    let filters = call.filters();
    let mut found = Vec::new();
    for (id, instance) in &state.instances {
        let interface = state.interfaces.get(&instance.interface);
        if (asked.is_empty() || asked.contains(id))
            && passes(&filters, |name| {
                field(state, (id, instance, interface), name)
            })?
        {
            found.push((id, instance, interface));
        }
    }
    Ok(found)
}

pub(super) fn state_elements(state: InstanceState) -> Vec<Element> {
    vec![text("code", state.code()), text("name", state.name())]
}

fn instance_elements(
    state: &State,
    id: &InstanceId,
    instance: &Instance,
    interface: Option<&Interface>,
) -> Vec<Element> {
    let mut elements = vec![
        text("instanceId", id),
        text("imageId", "ami-0d53d72369335a9d6"),
        group("instanceState", state_elements(instance.state)),
    ];
    if let Some(interface) = interface {
        elements.push(text("privateDnsName", private_dns(interface.primary)));
        if let Some(public) = public_of(state, interface, interface.primary) {
            elements.push(text("dnsName", public_dns(public)));
            elements.push(text("ipAddress", public));
        }
        elements.push(text("privateIpAddress", interface.primary));
        elements.push(text("subnetId", &state.subnet.id));
        elements.push(text("vpcId", site::VPC_ID));
        elements.push(text("sourceDestCheck", true));
    }
    let interfaces = interface
        .map(|interface| interface_elements(state, &instance.interface, interface))
        .into_iter()
        .collect();
    let volumes = state
        .held_by(id)
        .map(|(volume, attachment)| {
            let ebs = vec![
                text("volumeId", volume),
                text("status", mapping_status(attachment)),
                text("attachTime", moment(attachment.since)),
                text("deleteOnTermination", false),
            ];
            vec![text("deviceName", &attachment.device), group("ebs", ebs)]
        })
        .collect();
    let tag = vec![text("key", "Name"), text("value", instance.hostname)];
    elements.extend([
        text("reason", instance.reason.unwrap_or_default()),
        text("instanceType", INSTANCE_TYPE),
        text("launchTime", moment(instance.launched)),
        group(
            "placement",
            vec![
                text("availabilityZone", site::ZONE),
                text("groupName", ""),
                text("tenancy", "default"),
            ],
        ),
        group("monitoring", vec![text("state", "disabled")]),
        text("architecture", "x86_64"),
        text("rootDeviceType", "ebs"),
        text("rootDeviceName", ROOT_DEVICE),
        list("blockDeviceMapping", volumes),
        text("virtualizationType", "hvm"),
        text("hypervisor", "xen"),
        list("tagSet", vec![tag]),
        group(
            "metadataOptions",
            vec![
                text("state", "applied"),
                text("httpTokens", tokens(instance)),
                text("httpPutResponseHopLimit", 1),
                text("httpEndpoint", "enabled"),
            ],
        ),
        list("networkInterfaceSet", interfaces),
    ]);
    elements
}

/// Whether the metadata service of an instance wants tokens.
pub(super) fn tokens(instance: &Instance) -> &'static str {
    match instance.tokens_required {
        true => "required",
        false => "optional",
    }
}

/// EbsInstanceBlockDevice has no `busy` (API reference); what is busy is being detached.
fn mapping_status(attachment: &Attachment) -> &'static str {
    match attachment.state {
        AttachmentState::Busy => AttachmentState::Detaching.name(),
        other => other.name(),
    }
}

fn field(state: &State, (id, instance, interface): Found<'_>, name: &str) -> Option<Vec<String>> {
    let of_interface = |get: &dyn Fn(&Interface) -> Vec<String>| interface.map(get);
    let of_public = |get: &dyn Fn(Ipv4Addr) -> String| {
        of_interface(&|interface| {
            let public = public_of(state, interface, interface.primary);
            public.into_iter().map(get).collect()
        })
    };
    let values = match name {
        "instance-id" => Some(vec![id.to_string()]),
        "instance-state-name" => Some(vec![instance.state.name().to_owned()]),
        "instance-state-code" => Some(vec![instance.state.code().to_string()]),
        // The primary one; `network-interface.addresses...` finds secondary ones too.
        "private-ip-address" => of_interface(&|i| vec![i.primary.to_string()]),
        "network-interface.addresses.private-ip-address" => {
            of_interface(&|i| i.private().map(|address| address.to_string()).collect())
        }
        "network-interface.network-interface-id" => {
            of_interface(&|_| vec![instance.interface.to_string()])
        }
        "ip-address" => of_public(&|public| public.to_string()),
        "private-dns-name" => of_interface(&|i| vec![private_dns(i.primary)]),
        "dns-name" => of_public(&public_dns),
        "subnet-id" => of_interface(&|_| vec![state.subnet.id.to_string()]),
        "vpc-id" => of_interface(&|_| vec![site::VPC_ID.to_owned()]),
        "availability-zone" => Some(vec![site::ZONE.to_owned()]),
        "instance-type" => Some(vec![INSTANCE_TYPE.to_owned()]),
        "tag:Name" => Some(vec![instance.hostname.to_owned()]),
        "block-device-mapping.volume-id" => Some(
            state
                .held_by(id)
                .map(|(volume, _)| volume.to_string())
                .collect(),
        ),
        _ => return None,
    };
    Some(values.unwrap_or_default())
}
