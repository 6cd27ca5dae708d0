//! The text of each block: nodes, resources, fencing.

use super::drawing::Paragraphs;
use super::text::{HEADING, PLAIN, SMALL, STATE};

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
            (HEADING, node.name.clone()),
            (PLAIN, node.address.to_string()),
        ];
        if let Place::Aws(aws) = &site.place {
            text.extend(aws.instances.get(n).map(|id| (PLAIN, id.to_string())));
        }
        let state = match (n, &cluster.drbd) {
            _ if cluster.is_voter(&node.name) => "votes, and runs nothing else",
            (0, None) => "active",
            (0, Some(_)) => "active: the data is written here",
            (_, None) => "standby",
            (_, Some(_)) => "standby: has a copy of the data",
        };
        text.push((STATE, state.to_owned()));
        text
    });
    text.collect()
}

pub(super) fn resource(resource: &Resource) -> Paragraphs {
    let primitive = resource.primitive();
    let mut text = vec![
        (HEADING, resource.id().to_owned()),
        (SMALL, agent_name(&primitive.agent)),
    ];
    if let Resource::Promotable(_) = resource {
        text.push((STATE, "promoted".to_owned()));
    }
    let shown = SHOWN_PARAMETERS.iter().filter_map(|name| {
        let value = parameter(primitive, name)?;
        Some((PLAIN, format!("{name} {value}")))
    });
    text.extend(shown.take(2));
    text
}

pub(super) fn clone(clone: &Promotable, cluster: &Cluster) -> Paragraphs {
    let nodes = cluster.corosync.nodes.iter().map(|node| &node.name);
    let hosts: Vec<&str> = nodes
        .filter(|node| !cluster.is_voter(node))
        .map(String::as_str)
        .collect();
    let place = match hosts.len() == cluster.corosync.nodes.len() {
        true => "every node".to_owned(),
        false => hosts.join(" and "),
    };
    let mut about = format!("{} on {place}", agent_name(&clone.primitive.agent));
    if let Some(drbd) = &cluster.drbd {
        let (device, size, disk) = (drbd.device, &drbd.size, &drbd.disk);
        about += &format!(": {device} of {size} on {disk}, promoted on the active node");
    }
    vec![(HEADING, clone.id.to_owned()), (SMALL, about)]
}

fn parameter<'a>(primitive: &'a Primitive, name: &str) -> Option<&'a str> {
    let mut parameters = primitive.parameters.iter();
    let found = parameters.find(|parameter| parameter.name == name);
    found.map(|parameter| parameter.value.as_str())
}

pub(super) fn is_fencing(primitive: &Primitive) -> bool {
    matches!(primitive.agent, Agent::Stonith { .. })
}

pub(super) fn fencing(cluster: &Cluster) -> Vec<Paragraphs> {
    let devices = cluster.primitives().filter(|p| is_fencing(p));
    let mut texts: Vec<Paragraphs> = devices.map(fencing_device).collect();
    texts.extend((cluster.corosync.watchdog.iter()).map(|w| watchdog_text(w, cluster)));
    texts
}

fn fencing_device(device: &Primitive) -> Paragraphs {
    let hosts = parameter(device, "pcmk_host_map").or(parameter(device, "pcmk_host_list"));
    let hosts = hosts.unwrap_or_default();
    // `name:plug;name:plug` or `name name` is every node; `name:plug` or `name` is one.
    let target = match hosts.contains([';', ' ']) {
        true => "a lost node",
        false => hosts.split(':').next().unwrap_or_default(),
    };
    let effect = match parameter(device, "pcmk_reboot_action") {
        Some("off") => format!("turns {target} off; it stays off"),
        Some("reboot") => format!("turns {target} off, and on again"),
        Some(other) => format!("{other}: {target}"),
        None => format!("fences {target}"),
    };
    vec![
        (HEADING, device.id.clone()),
        (SMALL, agent_name(&device.agent)),
        (PLAIN, effect),
    ]
}

fn watchdog_text(watchdog: &Watchdog, cluster: &Cluster) -> Paragraphs {
    let seconds = watchdog.timeout;
    let effect = format!("resets a node that hangs or has lost the others, after {seconds}s");
    let mut text = vec![
        (HEADING, watchdog.device.to_owned()),
        (SMALL, "SBD without a disk".to_owned()),
        (PLAIN, effect),
    ];
    let mut properties = cluster.properties.iter();
    let timeout = properties.find(|property| property.name == WATCHDOG_TIMEOUT);
    let takeover = timeout.map(|p| format!("other nodes take over after {}", p.value));
    text.extend(takeover.map(|takeover| (PLAIN, takeover)));
    text
}
