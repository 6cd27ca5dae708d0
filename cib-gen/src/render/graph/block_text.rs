//! The text of each block: nodes, resources, fencing.

use super::drawing::Paragraphs;
use super::drawing::Style::{Heading, Plain, Small, State};
use crate::cluster::{Agent, Cluster, Primitive, Promotable, Resource, Watchdog};
use crate::render::{WATCHDOG_TIMEOUT, agent_name};
use crate::site::{Place, Site};

/// Parameters that tell a reader most, best first. A block shows two.
const SHOWN_PARAMETERS: &[&str] = &[
    "elastic_ip",
    "allocation_id",
    "secondary_private_ip",
    "ip",
    "ipaddress",
    "volume_id",
    "directory",
    "fstype",
    "ip_address",
    "data_path",
    "drbd_resource",
];

/// Every node. The first is the active one.
pub(super) fn nodes(site: &Site, cluster: &Cluster) -> Vec<Paragraphs> {
    let nodes = cluster.corosync.nodes.iter().enumerate();
    let text = nodes.map(|(n, node)| {
        let mut text = vec![
            (Heading, node.name.clone()),
            (Plain, node.address.to_string()),
        ];
        if let Place::Aws(aws) = &site.place {
            text.extend(aws.instances.get(n).map(|id| (Plain, id.to_string())));
        }
        let state = match (n, &cluster.drbd) {
            (0, None) => "active",
            (0, Some(_)) => "active: the data is written here",
            (_, None) => "standby",
            (_, Some(_)) => "standby: has a copy of the data",
        };
        text.push((State, state.to_owned()));
        text
    });
    text.collect()
}

/// A resource where it runs.
pub(super) fn resource(resource: &Resource) -> Paragraphs {
    let primitive = resource.primitive();
    let mut text = vec![
        (Heading, resource.id().to_owned()),
        (Small, agent_name(&primitive.agent)),
    ];
    if let Resource::Promotable(_) = resource {
        text.push((State, "promoted".to_owned()));
    }
    let shown = SHOWN_PARAMETERS.iter().filter_map(|name| {
        let value = parameter(primitive, name)?;
        Some((Plain, format!("{name} {value}")))
    });
    text.extend(shown.take(2));
    text
}

/// A resource that runs on every node.
pub(super) fn clone(clone: &Promotable, cluster: &Cluster) -> Paragraphs {
    let mut about = format!("{} on every node", agent_name(&clone.primitive.agent));
    if let Some(drbd) = &cluster.drbd {
        let (device, size, disk) = (drbd.device, &drbd.size, &drbd.disk);
        about += &format!(": {device} of {size} on {disk}, promoted on the active node");
    }
    vec![(Heading, clone.id.to_owned()), (Small, about)]
}

fn parameter<'a>(primitive: &'a Primitive, name: &str) -> Option<&'a str> {
    let mut parameters = primitive.parameters.iter();
    let found = parameters.find(|parameter| parameter.name == name);
    found.map(|parameter| parameter.value.as_str())
}

/// Whether a primitive is a fencing device.
pub(super) fn is_fencing(primitive: &Primitive) -> bool {
    matches!(primitive.agent, Agent::Stonith { .. })
}

/// A fencing device, and what it does to which node.
pub(super) fn fencing_device(device: &Primitive, cluster: &Cluster) -> Paragraphs {
    // `name:plug;name:plug`, or `name name`.
    let hosts = parameter(device, "pcmk_host_map").or(parameter(device, "pcmk_host_list"));
    let hosts: Vec<&str> = (hosts.unwrap_or_default().split([';', ' ']))
        .filter_map(|host| host.split(':').next())
        .collect();
    let mut nodes = cluster.corosync.nodes.iter();
    let target = match nodes.all(|node| hosts.contains(&node.name.as_str())) {
        true => "a lost node".to_owned(),
        false => hosts.join(", "),
    };
    let effect = match parameter(device, "pcmk_reboot_action") {
        Some("off") => format!("turns {target} off; it stays off"),
        Some("reboot") => format!("turns {target} off, and on again"),
        Some(other) => format!("{other}: {target}"),
        None => format!("fences {target}"),
    };
    vec![
        (Heading, device.id.clone()),
        (Small, agent_name(&device.agent)),
        (Plain, effect),
    ]
}

/// The watchdog that every node has.
pub(super) fn watchdog(watchdog: &Watchdog, cluster: &Cluster) -> Paragraphs {
    let seconds = watchdog.timeout;
    let effect = format!("resets a node that hangs or has lost the others, after {seconds}s");
    let mut text = vec![
        (Heading, watchdog.device.to_owned()),
        (Small, "SBD without a disk".to_owned()),
        (Plain, effect),
    ];
    let mut properties = cluster.properties.iter();
    let timeout = properties.find(|property| property.name == WATCHDOG_TIMEOUT);
    let takeover = timeout.map(|p| format!("other nodes take over after {}", p.value));
    text.extend(takeover.map(|takeover| (Plain, takeover)));
    text
}
