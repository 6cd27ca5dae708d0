//! `lab status`: how things are, as people read it.

use std::fmt::Write as _;

use lab::control::{NodeStatus, Status};
use lab::ec2::Snapshot;
use lab::site::{self, Host, Site, lan};

/// The whole of it.
pub(crate) fn text(now: &Status) -> String {
    let nodes = now
        .nodes
        .iter()
        .filter_map(|node| Some((now.site.host(&node.id)?, node)));
    match &now.ec2 {
        Some(ec2) => on_ec2(nodes, ec2),
        None => on_a_lan(nodes),
    }
}

fn power(node: &NodeStatus) -> &'static str {
    if node.on { "on" } else { "off" }
}

fn condition(node: &NodeStatus) -> String {
    let mut text = String::new();
    if node.partitioned {
        text.push_str("  CUT OFF");
    }
    if node.frozen {
        text.push_str("  FROZEN");
    }
    text
}

fn on_a_lan<'a>(nodes: impl Iterator<Item = (&'static Host, &'a NodeStatus)>) -> String {
    let mut text = format!("{:<5}{:<12}{:<7}ADDRESS\n", "NODE", "HOST NAME", "POWER");
    for (host, node) in nodes {
        let _ = writeln!(
            text,
            "{:<5}{:<12}{:<7}{}{}",
            host.short,
            host.hostname,
            power(node),
            host.private_ip,
            condition(node),
        );
    }
    let _ = write!(
        text,
        "user {}: sudo asks for the password {}\n\
         disk for the data on each node: {}\n\
         the router maps {} to the virtual address {}\n",
        lan::USER,
        lan::PASSWORD,
        lan::DATA_DISK,
        lan::PUBLIC,
        lan::VIP,
    );
    text
}

fn on_ec2<'a>(
    nodes: impl Iterator<Item = (&'static Host, &'a NodeStatus)>,
    ec2: &Snapshot,
) -> String {
    let mut text = format!(
        "{:<5}{:<18}{:<21}{:<7}{:<15}ADDRESSES\n",
        "NODE", "HOST NAME", "INSTANCE", "POWER", "EC2 SAYS"
    );
    let short = |id: &str| {
        Site::Ec2
            .host(id)
            .map_or(id.to_owned(), |h| h.short.to_owned())
    };
    for (host, node) in nodes {
        let known = ec2.instances.iter().find(|i| i.id == host.id);
        let addresses: Vec<String> = known
            .map(|i| {
                i.private
                    .iter()
                    .chain(&i.public)
                    .map(ToString::to_string)
                    .collect()
            })
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "{:<5}{:<18}{:<21}{:<7}{:<15}{}{}",
            host.short,
            host.hostname,
            host.id,
            power(node),
            known.map_or("unknown", |i| i.state.as_str()),
            addresses.join(" "),
            condition(node),
        );
    }
    for volume in &ec2.volumes {
        let holder = match &volume.holder {
            Some(holder) => format!(
                "{} at {} as {}",
                holder.state,
                short(&holder.instance),
                holder.device
            ),
            None => "held by nobody".to_owned(),
        };
        let _ = writeln!(text, "volume {}: {}, {holder}", volume.id, volume.state);
    }
    let vip = ec2
        .vip
        .as_deref()
        .map_or("assigned to nobody".to_owned(), |id| {
            format!("assigned to {}", short(id))
        });
    let _ = writeln!(text, "virtual address {}: {vip}", site::VIP);
    let eip = match (ec2.eip, ec2.eip_instance.as_deref()) {
        (Some(private), Some(id)) => format!("leads to {private} of {}", short(id)),
        (Some(private), None) => format!("leads to {private} of nobody"),
        (None, _) => "leads nowhere".to_owned(),
    };
    let _ = writeln!(text, "Elastic IP {}: {eip}", site::EIP);
    text
}
