//! The cluster as Pacemaker's terms: resources, constraints, properties. Everything is
//! decided here; a rendering only writes it down.

mod aws_cluster;
mod builders;
mod drbd_resource;
mod lan_cluster;
pub(crate) mod owned;

use std::net::Ipv4Addr;

use serde::Serialize;

use crate::site::{Place, Site};
use crate::vars::DrbdVersion;
pub(crate) use builders::setting;

/// Where nothing says in which region the site is.
const NO_REGION: &str = "WARNING: the region is not known, so it is not written into the cluster. The \
    agents then look for it in root's AWS configuration and in the instance metadata, a fencing device \
    in the AWS configuration alone (sudo aws configure set region us-west-1, on every node): a node \
    without it can fence no other. Write `region: us-west-1` into vars.yml, or give --region.";

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// What a reader of any rendering must be told.
    pub warnings: Vec<String>,
    pub corosync: Corosync,
    /// The DRBD resource, where the data is on one.
    pub drbd: Option<Drbd>,
    pub properties: Vec<Setting>,
    /// Meta attributes of resources that do not set them.
    pub resource_defaults: Vec<Setting>,
    /// Resources, in the order in which `pcs status` lists them.
    pub resources: Vec<Resource>,
    pub constraints: Vec<Constraint>,
    /// Resources that may not run on a node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bans: Vec<Ban>,
    /// Where failures move a promotable resource only if another node can have it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failure_rules: Vec<FailureRule>,
}

/// What has to be known before Pacemaker runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Corosync {
    pub name: &'static str,
    /// The nodes, in the order of vars.yml.
    pub nodes: Vec<Member>,
    /// Settings of its membership protocol.
    pub totem: Vec<Setting>,
    /// Whether a watchdog resets a node that has lost the others (diskless SBD).
    pub watchdog: Option<Watchdog>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    pub name: String,
    pub address: Ipv4Addr,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Watchdog {
    pub device: &'static str,
    /// Seconds after which the watchdog resets a node that feeds it no more.
    pub timeout: u32,
}

/// The DRBD resource: the same on every node that has a copy of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drbd {
    pub version: DrbdVersion,
    pub name: &'static str,
    /// The device that DRBD makes.
    pub device: &'static str,
    pub minor: u32,
    /// The disk of each node, whole.
    pub disk: String,
    pub volume_group: &'static str,
    /// The logical volume in that, which DRBD stores on.
    pub logical_volume: &'static str,
    pub size: String,
    /// The TCP port that the peers talk on.
    pub port: u16,
    /// The nodes that have a copy of the data.
    pub peers: Vec<Member>,
    pub sections: Vec<DrbdSection>,
    /// The options that it has with another way of fencing.
    #[serde(skip)]
    pub otherwise: Vec<DrbdSection>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrbdSection {
    pub name: &'static str,
    pub options: Vec<Setting>,
}

/// A name, a value, and why it is that value where that is not plain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub name: String,
    pub value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Resource {
    /// On one node.
    Primitive(Primitive),
    /// On every node that has the data, and promoted on one.
    Promotable(Promotable),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Promotable {
    pub id: &'static str,
    pub primitive: Primitive,
    pub meta: Vec<Setting>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Primitive {
    pub id: String,
    pub agent: Agent,
    pub why: &'static str,
    /// Its instance attributes.
    pub parameters: Vec<Setting>,
    pub meta: Vec<Setting>,
    pub operations: Vec<Operation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "class", rename_all = "lowercase")]
pub enum Agent {
    /// `ocf:PROVIDER:NAME`.
    Ocf {
        provider: &'static str,
        name: &'static str,
    },
    Stonith {
        name: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    #[serde(flatten)]
    pub action: Action,
    /// Seconds after which it has failed.
    pub timeout: u32,
    /// What Pacemaker does when it fails, where that is not the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_fail: Option<OnFail>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    Start,
    Stop,
    Promote,
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
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Role {
    Promoted,
    Unpromoted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFail {
    /// Shows it, and goes on as if it had not failed.
    Ignore,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Constraint {
    pub id: &'static str,
    #[serde(flatten)]
    pub kind: ConstraintKind,
    pub why: &'static str,
    /// The sets. In an order the first comes first; what is together runs where the last
    /// set runs.
    pub sets: Vec<ResourceSet>,
}

/// Resources of a constraint, each bound to the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceSet {
    pub resources: Vec<&'static str>,
    /// Whether the constraint is about them when they are promoted.
    pub promoted: bool,
}

/// A resource that runs nowhere but where its agent could: on another node it is not even looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ban {
    pub id: &'static str,
    pub resource: &'static str,
    pub node: String,
    pub why: &'static str,
}

/// A rule on the failures that a node has had. Beside migration-threshold, which forbids the node, this makes another
/// node the better one; where there is no other, nothing moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureRule {
    pub id: &'static str,
    /// The promotable resource that is rather promoted elsewhere.
    pub resource: &'static str,
    /// Node attributes in which Pacemaker counts the failures of an operation: `fail-count-pbx#monitor_10000`.
    pub counts: Vec<String>,
    /// How many failures of one operation are enough.
    pub failures: u32,
    /// What is taken off the node's promotion score.
    pub score: u32,
    pub why: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ConstraintKind {
    /// Each runs where the one before it runs, and nowhere else.
    Together,
    /// The same, if nothing speaks against it.
    Near { score: u32 },
    /// Each starts when the one before it has started, and stops before that one stops.
    InOrder,
}

impl Cluster {
    pub fn of(site: &Site) -> Cluster {
        match &site.place {
            Place::Aws(place) => {
                let mut cluster = aws_cluster::cluster(site, place);
                if place.region.is_none() {
                    cluster.warnings.push(NO_REGION.to_owned());
                }
                cluster
            }
            Place::Lan(place) => lan_cluster::cluster(site, place),
        }
    }

    /// Whether a node has no copy of the data and only votes: nothing but a fencing device runs there.
    pub fn is_voter(&self, node: &str) -> bool {
        let drbd = self.drbd.as_ref();
        drbd.is_some_and(|drbd| drbd.peers.iter().all(|peer| peer.name != node))
    }

    /// Every primitive, those in clones too, in the order of the resources.
    pub fn primitives(&self) -> impl Iterator<Item = &Primitive> {
        self.resources.iter().map(Resource::primitive)
    }
}

impl Drbd {
    /// The command that shows whether the copies are connected and up to date.
    pub fn status_command(&self) -> String {
        match self.version {
            DrbdVersion::Nine => format!("sudo drbdadm status {}", self.name),
            DrbdVersion::EightFour => "cat /proc/drbd".to_owned(),
        }
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
