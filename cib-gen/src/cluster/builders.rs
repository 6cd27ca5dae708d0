//! Resources, settings and operations that the clusters of both systems have, and short ways to write them.

use std::net::Ipv4Addr;

use super::{
    Action, Agent, Constraint, ConstraintKind, Member, OnFail, Operation, Primitive, ResourceSet,
    Role, Setting,
};
use crate::site::{Node, Site};

/// The name that the vendor gives the cluster.
pub(super) const NAME: &str = "ha_cluster";

pub(super) fn members(site: &Site) -> Vec<Member> {
    let nodes = site.nodes.iter();
    nodes
        .map(|Node { name, address }| Member {
            name: name.to_string(),
            address: *address,
        })
        .collect()
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

pub(super) fn pbx(site: &Site, vip: Ipv4Addr) -> Primitive {
    let mut operations = start_stop_monitor(300, 180, 10, 60);
    operations.push(operation(monitor(30, Some(10), None), 60));
    let pbx = &site.pbx;
    let mut parameters = vec![
        setting("ip_address", vip),
        setting("data_path", &pbx.data_path),
    ];
    parameters.extend(pbx.written.iter().map(|(name, value)| setting(name, value)));
    primitive(
        "pbx",
        ocf("portsip", "pbx"),
        "the containers of the PBX. The database may have to recover first. The second monitor asks the PBX \
         over SIP and its web portal: containers can run and not answer",
        parameters,
        operations,
    )
}

pub(super) fn file_system(site: &Site, device: &str) -> Primitive {
    primitive(
        "datapath_fs",
        ocf("heartbeat", "Filesystem"),
        "the file system on it. After a power cut mounting replays the journal. noatime: reading a \
         recording need not write to the volume",
        vec![
            setting("device", device),
            setting("directory", &site.pbx.data_path),
            setting("fstype", "xfs"),
            setting("options", "noatime"),
        ],
        start_stop_monitor(120, 120, 10, 40),
    )
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

/// A fencing device. Its monitor's failure is shown and not acted on.
pub(super) fn stonith(
    id: &str,
    agent: impl ToString,
    why: &'static str,
    parameters: Vec<Setting>,
    timeout: u32,
) -> Primitive {
    let name = agent.to_string();
    let operations = vec![
        operation(Action::Start, timeout),
        ignored(operation(monitor(300, None, None), timeout)),
    ];
    primitive(id, Agent::Stonith { name }, why, parameters, operations)
}

pub(super) fn constraint<const N: usize>(
    id: &'static str,
    kind: ConstraintKind,
    why: &'static str,
    sets: [ResourceSet; N],
) -> Constraint {
    let sets = sets.into();
    Constraint {
        id,
        kind,
        why,
        sets,
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

pub(super) fn ocf(provider: &'static str, name: &'static str) -> Agent {
    Agent::Ocf { provider, name }
}

pub(super) fn start_stop_monitor(
    start: u32,
    stop: u32,
    interval: u32,
    timeout: u32,
) -> Vec<Operation> {
    vec![
        operation(Action::Start, start),
        operation(Action::Stop, stop),
        operation(monitor(interval, None, None), timeout),
    ]
}

pub(super) fn monitor(interval: u32, level: Option<u32>, role: Option<Role>) -> Action {
    Action::Monitor {
        interval,
        level,
        role,
    }
}

pub(super) fn seconds(n: u32) -> String {
    format!("{n}s")
}

pub(crate) fn setting(name: &str, value: impl ToString) -> Setting {
    Setting {
        name: name.to_owned(),
        value: value.to_string(),
        why: None,
    }
}

impl Setting {
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
