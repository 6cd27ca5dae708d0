//! What EC2 answers about a whole site, as plain data that can be written as JSON: cib-gen asks on a node,
//! and ha-ctl, which has no AWS SDK, reads the answers.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// An answer, or why there is none.
pub type Asked<T> = Result<T, Refusal>;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// IAM does not allow the question. Otherwise EC2 could not be asked now.
    pub denied: bool,
    /// EC2 does not know the resource.
    pub not_found: bool,
    /// What EC2 said, and what was being done.
    pub said: String,
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteAnswers {
    /// The instance where this was asked, from its own metadata.
    pub here: Option<String>,
    pub instances: Asked<Vec<InstanceAnswer>>,
    pub volume: Asked<VolumeAnswer>,
    /// The interface that has the virtual address now.
    pub vip: Asked<Option<AddressHolder>>,
    /// The inbound rules of the groups of the instances.
    pub rules: Asked<Vec<InboundRule>>,
    /// The calls that the agents and fencing make, with the credentials in use here.
    pub calls: Vec<CallAnswer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceAnswer {
    pub id: String,
    pub state: String,
    pub spot: bool,
    /// Whether it has instance metadata at all.
    pub metadata: bool,
    pub tokens_required: bool,
    /// Through how many hops an answer of the metadata service passes.
    pub hop_limit: Option<i32>,
    /// The security groups of its first interface.
    pub groups: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeAnswer {
    pub state: String,
    /// `io2`, `gp3`, ...
    pub kind: String,
    pub zone: String,
    pub multi_attach: bool,
    pub encrypted: bool,
    pub kms_key: Option<String>,
    pub gib: i32,
    /// The instances that have it.
    pub attached_to: Vec<String>,
}

/// A volume that becomes larger, or had the size already. Sizes are in GiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enlarged {
    pub from: i32,
    pub to: i32,
    /// Whether the new size counts. If not, EC2 goes on.
    pub counts: bool,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub id: String,
    pub state: KeptState,
    /// `37%`.
    pub progress: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptState {
    /// EC2 still copies what the volume had when the snapshot began.
    Pending,
    Completed,
    Failed,
}

/// A volume that was made from a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    pub id: String,
    pub state: RestoredState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoredState {
    Creating,
    /// It can be attached, or is.
    Ready,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressHolder {
    pub interface: String,
    pub instance: Option<String>,
    /// It is the interface's primary address, which cannot be moved.
    pub primary: bool,
    pub description: String,
}

/// A rule that lets packets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundRule {
    pub group: String,
    /// `tcp`, `udp`, `icmp`, a number, or `-1` for all.
    pub protocol: String,
    /// First and last; for ICMP, type and code. None: all.
    pub ports: Option<(i32, i32)>,
    /// Sources in CIDR notation.
    pub from: Vec<String>,
    /// Sources that are the members of a group.
    pub from_groups: Vec<String>,
    /// Whether there are other sources, such as prefix lists, whose addresses are not known here.
    pub from_others: bool,
}

/// Whether a call would be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallAnswer {
    /// `AttachVolume`, ...
    pub call: String,
    /// The resource that it would be about.
    pub on: String,
    pub refused: Option<Refusal>,
}

/// One instance as a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAnswer {
    pub id: String,
    /// The first label of its private DNS name.
    pub hostname: String,
    pub address: Ipv4Addr,
    pub zone: String,
    pub vpc: Option<String>,
    pub subnet: String,
    pub subnet_cidr: Option<String>,
}

/// What EC2 says of instances that are to be extended servers of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAnswers {
    pub region: String,
    /// The instances of the cluster.
    pub nodes: Vec<ServerAnswer>,
    /// What each server was asked for by, and the instance, if EC2 has it.
    pub servers: Vec<(String, Option<ServerAnswer>)>,
    /// The inbound rules of the groups of the servers.
    pub rules: Asked<Vec<InboundRule>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAnswer {
    pub id: String,
    pub state: String,
    /// The address that was asked for, or the first one of its first interface.
    pub address: Option<Ipv4Addr>,
    /// The public address of that.
    pub public: Option<Ipv4Addr>,
    /// Whether that is an Elastic IP. Any other is EC2's own, and the instance loses it when it is stopped.
    pub elastic: bool,
    pub vpc: Option<String>,
    /// The security groups of the interface that has the address.
    pub groups: Vec<String>,
}
