//! Network interfaces as the describe calls show them: DescribeNetworkInterfaces, and the
//! interface within DescribeInstances.

use std::net::Ipv4Addr;

use super::Answer;
use crate::ec2::OWNER;
use crate::ec2::ids::InterfaceId;
use crate::ec2::query::{Call, passes};
use crate::ec2::state::{Interface, State, no_interface};
use crate::ec2::xml::{Element, group, list, text};
use crate::site;

/// API reference, DescribeNetworkInterfaces.
pub(super) fn describe(state: &State, call: &Call) -> Answer {
    call.only(&["NetworkInterfaceId", "Filter", "MaxResults", "NextToken"])?;
    let asked = call
        .list("NetworkInterfaceId")
        .into_iter()
        .map(InterfaceId::parse)
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(missing) = asked.iter().find(|id| !state.interfaces.contains_key(id)) {
        return Err(no_interface(missing));
    }
    let filters = call.filters();
    let mut interfaces = Vec::new();
    for (id, interface) in &state.interfaces {
        if (asked.is_empty() || asked.contains(id))
            && passes(&filters, |name| field(state, id, interface, name))?
        {
            let mut elements = interface_elements(state, id, interface);
            elements.push(text("availabilityZone", site::ZONE));
            elements.push(text("interfaceType", "interface"));
            elements.push(list("tagSet", Vec::new()));
            interfaces.push(elements);
        }
    }
    Ok(vec![list("networkInterfaceSet", interfaces)])
}

/// What both calls show of an interface.
pub(super) fn interface_elements(
    state: &State,
    id: &InterfaceId,
    interface: &Interface,
) -> Vec<Element> {
    let addresses = interface
        .private()
        .map(|private| {
            let mut elements = vec![
                text("privateIpAddress", private),
                text("privateDnsName", private_dns(private)),
                text("primary", private == interface.primary),
            ];
            elements.extend(association(state, interface, private));
            elements
        })
        .collect();
    let mut elements = vec![
        text("networkInterfaceId", id),
        text("subnetId", &state.subnet.id),
        text("vpcId", site::VPC_ID),
        text("description", ""),
        text("ownerId", OWNER),
        text("status", "in-use"),
        text("macAddress", interface.mac),
        text("privateIpAddress", interface.primary),
        text("privateDnsName", private_dns(interface.primary)),
        text("sourceDestCheck", true),
        group(
            "attachment",
            vec![
                text(
                    "attachmentId",
                    id.as_str().replacen("eni-", "eni-attach-", 1),
                ),
                text("instanceId", &interface.instance),
                text("instanceOwnerId", OWNER),
                text("deviceIndex", u8::from(!is_primary(state, id, interface))),
                text("status", "attached"),
                text("deleteOnTermination", true),
            ],
        ),
    ];
    elements.extend(association(state, interface, interface.primary));
    elements.push(list("privateIpAddressesSet", addresses));
    let group = vec![
        text("groupId", site::SECURITY_GROUP),
        text("groupName", "pbx-ha"),
    ];
    elements.push(list("groupSet", vec![group]));
    elements
}

fn is_primary(state: &State, id: &InterfaceId, interface: &Interface) -> bool {
    let instance = state.instances.get(&interface.instance);
    instance.is_some_and(|instance| instance.interface == *id)
}

/// The public address of a private one: an Elastic IP, or the auto-assigned one of the primary address.
pub(in crate::ec2) fn public_of(
    state: &State,
    interface: &Interface,
    private: Ipv4Addr,
) -> Option<Ipv4Addr> {
    let elastic = state.association_of(private).map(|(_, public, _)| public);
    elastic.or(interface
        .auto_public
        .filter(|_| private == interface.primary))
}

/// EC2's name for a private address.
pub(in crate::ec2) fn private_dns(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("ip-{a}-{b}-{c}-{d}.{}.compute.internal", site::REGION)
}

/// EC2's name for a public address.
pub(super) fn public_dns(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("ec2-{a}-{b}-{c}-{d}.{}.compute.amazonaws.com", site::REGION)
}

fn association(state: &State, interface: &Interface, private: Ipv4Addr) -> Option<Element> {
    let public = public_of(state, interface, private)?;
    let mut elements = vec![
        text("publicIp", public),
        text("publicDnsName", public_dns(public)),
    ];
    match state.association_of(private) {
        Some((allocation, _, association)) => elements.extend([
            text("ipOwnerId", OWNER),
            text("allocationId", allocation),
            text("associationId", &association.id),
        ]),
        None => elements.push(text("ipOwnerId", "amazon")),
    }
    Some(group("association", elements))
}

fn field(
    state: &State,
    id: &InterfaceId,
    interface: &Interface,
    name: &str,
) -> Option<Vec<String>> {
    let each_private = |get: &dyn Fn(Ipv4Addr) -> Option<String>| -> Vec<String> {
        interface.private().filter_map(get).collect()
    };
    Some(match name {
        "network-interface-id" => vec![id.to_string()],
        "attachment.instance-id" => vec![interface.instance.to_string()],
        "subnet-id" => vec![state.subnet.id.to_string()],
        "vpc-id" => vec![site::VPC_ID.to_owned()],
        "availability-zone" => vec![site::ZONE.to_owned()],
        "mac-address" => vec![interface.mac.to_owned()],
        "status" => vec!["in-use".to_owned()],
        "private-ip-address" | "addresses.private-ip-address" => {
            each_private(&|private| Some(private.to_string()))
        }
        "association.public-ip" | "addresses.association.public-ip" => {
            each_private(&|private| Some(public_of(state, interface, private)?.to_string()))
        }
        "association.allocation-id" => {
            each_private(&|private| Some(state.association_of(private)?.0.to_string()))
        }
        "association.association-id" => {
            each_private(&|private| Some(state.association_of(private)?.2.id.to_string()))
        }
        _ => return None,
    })
}
