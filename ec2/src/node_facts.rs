//! What EC2 knows of one instance, as plain data: cib-gen's library reads it without the SDK.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::{InstanceId, InterfaceId};

/// What EC2 knows of one instance. Ids without a type of their own are texts as EC2 wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    pub instance_id: InstanceId,
    /// Its type, such as `c5.xlarge`.
    pub instance_type: String,
    pub shutting_down: bool,
    /// The first label of its private DNS name, which EC2 makes its host name.
    pub hostname: String,
    pub private_ip: Ipv4Addr,
    /// The public address of `private_ip`.
    pub public: Option<PublicAddress>,
    /// The other private addresses of its first interface.
    pub secondary: Vec<Ipv4Addr>,
    /// Its first interface.
    pub interface: Option<InterfaceId>,
    /// The ids of its volumes, each with the device name of the attachment, such as `/dev/sdf`.
    pub volumes: Vec<(String, String)>,
    /// Its availability zone; empty if EC2 does not tell it.
    pub zone: String,
    pub vpc_id: Option<String>,
    pub subnet_id: String,
    /// The subnet's addresses, if DescribeSubnets is allowed.
    pub subnet_cidr: Option<Ipv4Net>,
}

/// The public address of a private one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicAddress {
    pub address: Ipv4Addr,
    /// Whether it is an Elastic IP. Any other is EC2's own, and the instance loses it when it is stopped.
    pub elastic: bool,
}
