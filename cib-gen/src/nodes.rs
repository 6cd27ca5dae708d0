//! Names and addresses of the nodes that do not come from vars.yml: given with `--nodes`,
//! or found in EC2.

use std::net::Ipv4Addr;

use ec2::NodeFacts;

use crate::ids::{AccountId, Malformed, NodeName, Region};

/// A node of `--nodes`: `ip-172-31-16-133=172.31.16.133`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenNode {
    pub name: NodeName,
    pub address: Ipv4Addr,
}

impl std::str::FromStr for GivenNode {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let help = "write NAME=ADDRESS for each node, such as ip-172-31-16-133=172.31.16.133";
        let wrong = |found: String| Malformed::new(found, help);
        let parts = text.split_once('=');
        let (name, address) = parts.ok_or_else(|| wrong(format!("`{text}` has no `=`")))?;
        let no_address = |_| wrong(format!("`{address}` is not an IPv4 address"));
        let (name, address) = (name.parse()?, address.parse().map_err(no_address)?);
        Ok(GivenNode { name, address })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAddress {
    pub public: Ipv4Addr,
    /// The private address that it is associated with, if it is.
    pub private: Option<Ipv4Addr>,
}

/// The EBS volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundVolume {
    pub zone: String,
    pub multi_attach: bool,
    /// EC2 is deleting it, or its state is `error`.
    pub lost: bool,
}

/// EC2 does not know an id in this region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotInRegion(pub String);

/// The disk of `pbx_datapath_disk`, looked at on a node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDisk {
    pub node: String,
    pub bytes: u64,
}

/// All that is known beside vars.yml. Empty is a good answer when vars.yml says it all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// From `--nodes`, in the order pbx01, pbx02, pbx03: none or one for each node.
    pub given: Vec<GivenNode>,
    /// From EC2, in any order.
    pub found: Vec<NodeFacts>,
    /// The Elastic IP, from EC2.
    pub elastic_ip: Option<Result<FoundAddress, NotInRegion>>,
    /// The volume, from EC2.
    pub volume: Option<Result<FoundVolume, NotInRegion>>,
    /// The account that owns the instances, from EC2.
    pub account: Option<AccountId>,
    /// The region, from `--region` or from EC2's answer. vars.yml goes first.
    pub region: Option<Region>,
    /// The disk, where this runs on one of the nodes.
    pub disk: Option<FoundDisk>,
}
