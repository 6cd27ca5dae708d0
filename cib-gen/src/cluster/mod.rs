//! The cluster as Pacemaker's terms: resources, constraints, properties. Everything is
//! decided here; a rendering only writes it down.

mod aws;
mod lan;

use std::net::Ipv4Addr;

use serde::Serialize;

use crate::site::{Place, Site};

/// The name that the vendor gives the cluster.
const NAME: &str = "ha_cluster";

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// What a reader of any rendering must be told.
    pub warnings: Vec<String>,
    /// What Corosync is told.
    pub corosync: Corosync,
    /// The DRBD resource, where the data is on one.
    pub drbd: Option<Drbd>,
    /// Cluster properties.
    pub properties: Vec<Setting>,
    /// Meta attributes of resources that do not set them.
    pub resource_defaults: Vec<Setting>,
    /// Resources, in the order in which `pcs status` lists them.
    pub resources: Vec<Resource>,
    /// Constraints.
    pub constraints: Vec<Constraint>,
}

/// What has to be known before Pacemaker runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Corosync {
    /// The cluster's name.
    pub name: &'static str,
    /// The nodes, in the order of vars.yml.
    pub nodes: Vec<Member>,
    /// Settings of its membership protocol.
    pub totem: Vec<Setting>,
    /// Whether a watchdog resets a node that has lost the others (diskless SBD).
    pub watchdog: Option<Watchdog>,
}

/// A node as Corosync knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
}

/// Diskless SBD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Watchdog {
    /// The watchdog device of every node.
    pub device: &'static str,
    /// Seconds after which the watchdog resets a node that feeds it no more.
    pub timeout: u32,
}

/// The DRBD resource: the same on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drbd {
    /// Its name.
    pub name: &'static str,
    /// The device that DRBD makes.
    pub device: &'static str,
    /// The number of that device.
    pub minor: u32,
    /// The disk of each node, whole.
    pub disk: String,
    /// The LVM volume group on it.
    pub volume_group: &'static str,
    /// The logical volume in that, which DRBD stores on.
    pub logical_volume: &'static str,
    /// The size of that.
    pub size: String,
    /// The TCP port that the peers talk on.
    pub port: u16,
    /// The peers.
    pub peers: Vec<Member>,
    /// Its options, by section.
    pub sections: Vec<DrbdSection>,
}

/// A section of a DRBD resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrbdSection {
    /// Its name.
    pub name: &'static str,
    /// Its options.
    pub options: Vec<Setting>,
}

/// A name, a value, and why it is that value where that is not plain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

/// What Pacemaker runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Resource {
    /// On one node.
    Primitive(Primitive),
    /// On every node, and promoted on one.
    Promotable(Promotable),
}

/// A resource that runs on every node and is promoted on one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Promotable {
    /// The id of the clone.
    pub id: &'static str,
    /// What runs on each node.
    pub primitive: Primitive,
    /// The clone's meta attributes.
    pub meta: Vec<Setting>,
}

/// A resource that runs once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Primitive {
    /// Its id.
    pub id: String,
    /// What runs it.
    pub agent: Agent,
    /// What it is for.
    pub why: &'static str,
    /// Its instance attributes.
    pub parameters: Vec<Setting>,
    /// Its meta attributes.
    pub meta: Vec<Setting>,
    /// Its operations.
    pub operations: Vec<Operation>,
}

/// A resource agent or a fence agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "class", rename_all = "lowercase")]
pub enum Agent {
    /// `ocf:PROVIDER:NAME`.
    Ocf {
        /// Provider.
        provider: &'static str,
        /// Name.
        name: &'static str,
    },
    /// A fence agent.
    Stonith {
        /// Name.
        name: String,
    },
}

/// An operation and its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Which.
    #[serde(flatten)]
    pub action: Action,
    /// Seconds after which it has failed.
    pub timeout: u32,
    /// What Pacemaker does when it fails, where that is not the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_fail: Option<OnFail>,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    /// Starts the resource.
    Start,
    /// Stops it.
    Stop,
    /// Promotes it.
    Promote,
    /// Demotes it.
    Demote,
    /// Tells it what happens to its peers.
    Notify,
    /// Looks after it every so many seconds. No two of a resource have the same interval.
    Monitor {
        /// Seconds from one look to the next.
        interval: u32,
        /// How closely: `OCF_CHECK_LEVEL`.
        #[serde(skip_serializing_if = "Option::is_none")]
        level: Option<u32>,
        /// Only in this role.
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
    },
}

/// A role of a promotable resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Role {
    /// On the one node where it is promoted.
    Promoted,
    /// On the others.
    Unpromoted,
}

/// What Pacemaker does when an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFail {
    /// Shows it, and goes on as if it had not failed.
    Ignore,
}

/// A constraint over sets of resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Constraint {
    /// Its id.
    pub id: &'static str,
    /// Which kind.
    #[serde(flatten)]
    pub kind: ConstraintKind,
    /// Why.
    pub why: &'static str,
    /// The sets. In an order the first comes first; what is together runs where the last
    /// set runs.
    pub sets: Vec<ResourceSet>,
}

/// Resources of a constraint, each bound to the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceSet {
    /// Their ids.
    pub resources: Vec<&'static str>,
    /// Whether the constraint is about them when they are promoted.
    pub promoted: bool,
}

/// What a constraint asks of its resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ConstraintKind {
    /// Each runs where the one before it runs, and nowhere else.
    Together,
    /// The same, if nothing speaks against it.
    Near {
        /// How much it weighs.
        score: u32,
    },
    /// Each starts when the one before it has started, and stops before that one stops.
    InOrder,
}

impl Cluster {
    /// The cluster of a site.
    pub fn of(site: &Site) -> Cluster {
        match &site.place {
            Place::Aws(place) => aws::cluster(site, place),
            Place::Lan(place) => lan::cluster(site, place),
        }
    }

    /// Every primitive, those in clones too, in the order of the resources.
    pub fn primitives(&self) -> impl Iterator<Item = &Primitive> {
        self.resources.iter().map(Resource::primitive)
    }
}

impl Resource {
    /// The primitive, which is the resource itself or what the clone runs.
    pub fn primitive(&self) -> &Primitive {
        match self {
            Resource::Primitive(primitive) => primitive,
            Resource::Promotable(promotable) => &promotable.primitive,
        }
    }

    /// The id by which constraints name it.
    pub fn id(&self) -> &str {
        match self {
            Resource::Primitive(primitive) => &primitive.id,
            Resource::Promotable(promotable) => promotable.id,
        }
    }
}

/// The nodes as Corosync and DRBD know them.
fn members(site: &Site) -> Vec<Member> {
    let member = |node: &crate::site::Node| Member {
        name: node.name.to_string(),
        address: node.address,
    };
    site.nodes.iter().map(member).collect()
}

/// Meta attributes that hold for every resource, wherever the cluster is.
fn resource_defaults() -> Vec<Setting> {
    vec![
        because(
            "resource-stickiness",
            100,
            "a node that comes back does not take the PBX back: every move cuts calls",
        ),
        because(
            "migration-threshold",
            3,
            "two failures of a monitor are repaired on the node, the third moves everything",
        ),
        because(
            "failure-timeout",
            "600s",
            "ten minutes without a failure and the node counts as good again; Pacemaker \
             sets its own timer for it, so cluster-recheck-interval stays as it is",
        ),
    ]
}

/// Properties that hold wherever the cluster is.
fn properties() -> Vec<Setting> {
    vec![
        because(
            "no-quorum-policy",
            "stop",
            "a node that sees no majority stops everything: the others have taken over",
        ),
        because(
            "load-threshold",
            "1000%",
            "on a busy node Pacemaker would run one operation after the other, and a failover is \
             when a node is busy",
        ),
    ]
}

/// The PBX itself.
fn pbx(site: &Site, vip: Ipv4Addr) -> Primitive {
    let mut operations = start_stop_monitor(300, 180, 10, 60);
    operations.push(operation(closer(30, 10), 60));
    Primitive {
        id: "pbx".into(),
        agent: portsip("pbx"),
        why: "the containers of the PBX. The database may have to recover first. The second \
              monitor asks the PBX over SIP and its web portal: containers can run and not answer",
        parameters: vec![
            setting("ip_address", vip),
            setting("data_path", &site.pbx.data_path),
        ],
        meta: Vec::new(),
        operations,
    }
}

/// The file system with the PBX's data.
fn file_system(site: &Site, device: &str) -> Primitive {
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

/// A constraint over one chain.
fn chain(
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

fn set(resources: &[&'static str]) -> ResourceSet {
    ResourceSet {
        resources: resources.to_vec(),
        promoted: false,
    }
}

fn promoted(resource: &'static str) -> ResourceSet {
    ResourceSet {
        resources: vec![resource],
        promoted: true,
    }
}

fn portsip(name: &'static str) -> Agent {
    Agent::Ocf {
        provider: "portsip",
        name,
    }
}

fn heartbeat(name: &'static str) -> Agent {
    Agent::Ocf {
        provider: "heartbeat",
        name,
    }
}

fn start_stop_monitor(start: u32, stop: u32, interval: u32, monitor: u32) -> Vec<Operation> {
    vec![
        operation(Action::Start, start),
        operation(Action::Stop, stop),
        operation(every(interval), monitor),
    ]
}

/// A monitor in whatever role.
fn every(interval: u32) -> Action {
    Action::Monitor {
        interval,
        level: None,
        role: None,
    }
}

/// A monitor that looks closer.
fn closer(interval: u32, level: u32) -> Action {
    Action::Monitor {
        interval,
        level: Some(level),
        role: None,
    }
}

fn seconds(n: u32) -> String {
    format!("{n}s")
}

fn setting(name: &str, value: impl ToString) -> Setting {
    Setting {
        name: name.to_owned(),
        value: value.to_string(),
        why: None,
    }
}

fn because(name: &str, value: impl ToString, why: &'static str) -> Setting {
    Setting {
        why: Some(why),
        ..setting(name, value)
    }
}

fn operation(action: Action, timeout: u32) -> Operation {
    Operation {
        action,
        timeout,
        on_fail: None,
    }
}
