//! What is said of a node, a resource and a fencing device.

use super::picture::{Paragraphs, Style};
use crate::cluster::{Agent, Cluster, Primitive, Resource, Watchdog};
use crate::render::agent_name;
use crate::site::{Place, Site};

/// What tells most of a resource, best first.
const TELLING: &[&str] = &[
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

/// Each node.
pub(super) fn nodes(site: &Site, cluster: &Cluster) -> Vec<Paragraphs> {
    let instance = |n: usize| match &site.place {
        Place::Aws(aws) => aws.instances.get(n).map(ToString::to_string),
        Place::Lan(_) => None,
    };
    let node = |(n, member): (usize, &crate::cluster::Member)| {
        let mut text = vec![
            (Style::Name, member.name.clone()),
            (Style::Plain, member.address.to_string()),
        ];
        text.extend(instance(n).map(|id| (Style::Plain, id)));
        let state = if n == 0 { "active" } else { "standby" };
        text.push((Style::Mark, state.to_owned()));
        text
    };
    cluster
        .corosync
        .nodes
        .iter()
        .enumerate()
        .map(node)
        .collect()
}

/// A resource.
pub(super) fn resource_text(resource: &Resource) -> Paragraphs {
    let primitive = resource.primitive();
    let mut text = vec![
        (Style::Name, resource.id().to_owned()),
        (Style::Small, agent_name(&primitive.agent)),
    ];
    match resource {
        Resource::Primitive(_) => text.extend(telling(primitive)),
        Resource::Promotable(_) => {
            text.push((Style::Mark, "promoted".to_owned()));
            text.extend(telling(primitive));
        }
    }
    text
}

/// One or two parameters.
fn telling(primitive: &Primitive) -> impl Iterator<Item = (Style, String)> {
    let named = TELLING.iter().filter_map(|name| {
        let mut parameters = primitive.parameters.iter();
        parameters.find(|p| p.name == *name)
    });
    named
        .take(2)
        .map(|p| (Style::Plain, format!("{} {}", p.name, p.value)))
}

/// Whether it is a fencing device.
pub(super) fn fences(primitive: &Primitive) -> bool {
    match primitive.agent {
        Agent::Stonith { .. } => true,
        Agent::Ocf { .. } => false,
    }
}

/// A fencing device, and what it does to whom.
pub(super) fn device_text(device: &Primitive, cluster: &Cluster) -> Paragraphs {
    let parameter = |name: &str| {
        let mut parameters = device.parameters.iter();
        parameters
            .find(|p| p.name == name)
            .map(|p| p.value.as_str())
    };
    // `name:plug;name:plug`, or `name name`.
    let hosts = parameter("pcmk_host_map").or(parameter("pcmk_host_list"));
    let hosts: Vec<&str> = (hosts.unwrap_or_default().split([';', ' ']))
        .filter_map(|host| host.split(':').next())
        .collect();
    let nodes = &cluster.corosync.nodes;
    let whom = match nodes.iter().all(|node| hosts.contains(&node.name.as_str())) {
        true => "a lost node".to_owned(),
        false => hosts.join(", "),
    };
    let what = match parameter("pcmk_reboot_action") {
        Some("off") => format!("turns {whom} off; it stays off"),
        Some("reboot") => format!("turns {whom} off, and on again"),
        Some(other) => format!("{other}: {whom}"),
        None => format!("fences {whom}"),
    };
    vec![
        (Style::Name, device.id.clone()),
        (Style::Small, agent_name(&device.agent)),
        (Style::Plain, what),
    ]
}

/// The watchdog of every node.
pub(super) fn watchdog_text(watchdog: &Watchdog, cluster: &Cluster) -> Paragraphs {
    let mut text = vec![
        (Style::Name, watchdog.device.to_owned()),
        (Style::Small, "SBD without a disk".to_owned()),
        (
            Style::Plain,
            format!(
                "resets a node that hangs or has lost the others, after {}s",
                watchdog.timeout
            ),
        ),
    ];
    let mut properties = cluster.properties.iter();
    let after = properties.find(|p| p.name == "stonith-watchdog-timeout");
    text.extend(after.map(|p| {
        (
            Style::Plain,
            format!("its work is taken over after {}", p.value),
        )
    }));
    text
}
