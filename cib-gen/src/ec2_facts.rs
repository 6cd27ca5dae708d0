//! `cib-gen ec2-facts` and `cib-gen ec2-servers`: what EC2 says of the site and of its extended servers, as JSON. Asked
//! on a node, with the node's credentials; ha-ctl, which does not link the AWS SDK, reads it and judges.

use std::net::Ipv4Addr;

pub use ec2::{
    AddressHolder, Asked, CallAnswer, Enlarged, InboundRule, InstanceAnswer, Kept, KeptState,
    NodeAnswer, Refusal, Restored, RestoredState, ServerAnswer, ServerAnswers, SiteAnswers,
    VolumeAnswer,
};
use serde::{Deserialize, Serialize};

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ec2Facts {
    /// The region that was asked.
    pub region: String,
    /// What cib-gen says of vars.yml, where EC2's answers contradict it.
    pub mistakes: Option<String>,
    /// The virtual address.
    pub vip: Option<Ipv4Addr>,
    /// The instances, in the order of vars.yml, without those that are gone.
    pub nodes: Vec<NodeAnswer>,
    /// The instances that can be no node.
    pub gone: Vec<GoneInstance>,
    /// How each instance reaches EC2 after it was stopped.
    pub ways: Vec<(String, Way)>,
    /// The instances that EC2 refuses to stop, although fencing has to.
    pub stop_protected: Vec<String>,
    /// The Elastic IP.
    pub elastic_ip: Asked<ElasticIpAnswer>,
    /// The rules that `--format security-group` writes.
    pub wanted_rules: Vec<WantedRule>,
    /// What was asked beside.
    pub answers: SiteAnswers,
    /// What could not be looked at, and why.
    pub not_looked_at: Vec<Refusal>,
}

/// An instance of vars.yml that can be no node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneInstance {
    /// Its id.
    pub id: String,
    /// It is terminated. Otherwise EC2 has none of this id.
    pub terminated: bool,
}

/// How an instance reaches EC2 after it was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// By an Elastic IP of its own, a NAT gateway or a VPC endpoint; or nothing speaks against it.
    Own,
    /// By a public address that EC2 lends it, and that it loses with the stop.
    Lent,
    /// By the cluster's Elastic IP, which moves away.
    Moves,
    /// By nothing that was seen.
    None,
}

/// The Elastic IP, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElasticIpAnswer {
    /// The address.
    pub public: Option<Ipv4Addr>,
    /// The private address that it is associated with.
    pub private: Option<Ipv4Addr>,
    /// The instance, or else the interface, that it leads to.
    pub leads_to: Option<String>,
}

/// A rule that the security group has to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedRule {
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// First and last; for ICMP, type and code.
    pub ports: (u16, u16),
    /// The source, in CIDR notation.
    pub from: String,
    /// What it is for.
    pub what: String,
}
