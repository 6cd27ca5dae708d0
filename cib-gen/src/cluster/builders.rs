//! Resources, settings and operations that the clusters of both systems have, and short ways to write them.

use std::net::Ipv4Addr;

use super::{
    Action, Agent, Constraint, ConstraintKind, Member, OnFail, Operation, Primitive, ResourceSet,
    Setting,
};
use crate::site::{Node, Site, WEB_PORT};
use crate::vars::SipTransport;

/// The name that the vendor gives the cluster.
pub(super) const NAME: &str = "ha_cluster";

/// The nodes as Corosync and DRBD know them.
pub(super) fn members(site: &Site) -> Vec<Member> {
    let member = |node: &Node| Member {
        name: node.name.to_string(),
        address: node.address,
    };
    site.nodes.iter().map(member).collect()
}

/// Meta attributes that hold for every resource, wherever the cluster is.
pub(super) fn resource_defaults() -> Vec<Setting> {
    vec![
        setting("resource-stickiness", 100)
            .because("a node that comes back does not take the PBX back: every move cuts calls"),
        setting("migration-threshold", 3).because(
            "two failures of a monitor are repaired on the node, the third moves everything",
        ),
        setting("failure-timeout", "600s").because(
            "ten minutes without a failure and the node counts as good again; Pacemaker sets \
             its own timer for it, so cluster-recheck-interval stays as it is",
        ),
    ]
}

/// Properties that hold wherever the cluster is.
pub(super) fn properties() -> Vec<Setting> {
    vec![
        setting("no-quorum-policy", "stop")
            .because("a node that sees no majority stops everything: the others have taken over"),
        setting("load-threshold", "1000%").because(
            "on a busy node Pacemaker would run one operation after the other, and a failover \
             is when a node is busy",
        ),
    ]
}

/// The PBX itself.
pub(super) fn pbx(site: &Site, vip: Ipv4Addr) -> Primitive {
    let mut operations = start_stop_monitor(300, 180, 10, 60);
    operations.push(operation(closer(30, 10), 60));
    let pbx = &site.pbx;
    let mut parameters = vec![
        setting("ip_address", vip),
        setting("data_path", &pbx.data_path),
    ];
    if pbx.sip_transport != SipTransport::Udp {
        parameters.push(setting("sip_transport", pbx.sip_transport));
    }
    if let Some(port) = pbx.sip_port
        && pbx.sip_port != pbx.sip_transport.port()
    {
        parameters.push(setting("sip_port", port));
    }
    if pbx.web_port != WEB_PORT {
        parameters.push(setting("web_port", pbx.web_port));
    }
    Primitive {
        id: "pbx".into(),
        agent: portsip("pbx"),
        why: "the containers of the PBX. The database may have to recover first. The second \
              monitor asks the PBX over SIP and its web portal: containers can run and not answer",
        parameters,
        meta: Vec::new(),
        operations,
    }
}

/// The file system with the PBX's data.
pub(super) fn file_system(site: &Site, device: &str) -> Primitive {
    Primitive {
        id: "datapath_fs".into(),
        agent: heartbeat("Filesystem"),
        why: "the file system on it. After a power cut mounting replays the journal. \
              noatime: reading a recording need not write to the volume",
        parameters: vec![
            setting("device", device),
            setting("directory", &site.pbx.data_path),
            setting("fstype", "xfs"),
            setting("options", "noatime"),
        ],
        meta: Vec::new(),
        operations: start_stop_monitor(120, 120, 10, 40),
    }
}

/// A resource without meta attributes of its own.
pub(super) fn primitive(
    id: &str,
    agent: Agent,
    why: &'static str,
    parameters: Vec<Setting>,
    operations: Vec<Operation>,
) -> Primitive {
    Primitive {
        id: id.into(),
        agent,
        why,
        parameters,
        meta: Vec::new(),
        operations,
    }
}

/// A constraint over one chain.
pub(super) fn chain(
    id: &'static str,
    kind: ConstraintKind,
    why: &'static str,
    resources: &[&'static str],
) -> Constraint {
    Constraint {
        id,
        kind,
        why,
        sets: vec![set(resources)],
    }
}

pub(super) fn set(resources: &[&'static str]) -> ResourceSet {
    ResourceSet {
        resources: resources.to_vec(),
        promoted: false,
    }
}

pub(super) fn promoted(resource: &'static str) -> ResourceSet {
    ResourceSet {
        resources: vec![resource],
        promoted: true,
    }
}

pub(super) fn portsip(name: &'static str) -> Agent {
    Agent::Ocf {
        provider: "portsip",
        name,
    }
}

pub(super) fn heartbeat(name: &'static str) -> Agent {
    Agent::Ocf {
        provider: "heartbeat",
        name,
    }
}

pub(super) fn start_stop_monitor(
    start: u32,
    stop: u32,
    interval: u32,
    monitor: u32,
) -> Vec<Operation> {
    vec![
        operation(Action::Start, start),
        operation(Action::Stop, stop),
        operation(every(interval), monitor),
    ]
}

/// A monitor in whatever role.
pub(super) fn every(interval: u32) -> Action {
    Action::Monitor {
        interval,
        level: None,
        role: None,
    }
}

/// A monitor that looks closer.
pub(super) fn closer(interval: u32, level: u32) -> Action {
    Action::Monitor {
        interval,
        level: Some(level),
        role: None,
    }
}

pub(super) fn seconds(n: u32) -> String {
    format!("{n}s")
}

pub(super) fn setting(name: &str, value: impl ToString) -> Setting {
    Setting {
        name: name.to_owned(),
        value: value.to_string(),
        why: None,
    }
}

impl Setting {
    /// The setting, and why it has this value.
    pub(super) fn because(self, why: &'static str) -> Setting {
        let why = Some(why);
        Setting { why, ..self }
    }
}

pub(super) fn operation(action: Action, timeout: u32) -> Operation {
    Operation {
        action,
        timeout,
        on_fail: None,
    }
}

/// A monitor whose failure is shown and not acted on.
pub(super) fn ignored(operation: Operation) -> Operation {
    Operation {
        on_fail: Some(OnFail::Ignore),
        ..operation
    }
}
