//! The one site that the lab builds: the names, ids and addresses of the vendor's guide.

use std::net::Ipv4Addr;

/// One EC2 instance of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    /// What people type: `n1`.
    pub short: &'static str,
    /// The host name EC2 gives it, which is also the cluster's node name.
    pub hostname: &'static str,
    /// Instance id.
    pub id: &'static str,
    /// Network interface id.
    pub eni: &'static str,
    /// MAC address of the interface, as the metadata service spells it.
    pub mac: &'static str,
    /// Primary private address.
    pub private_ip: Ipv4Addr,
    /// Public address that EC2 gave the instance at launch.
    pub public_ip: Ipv4Addr,
}

/// The three nodes.
pub const INSTANCES: [Instance; 3] = [
    Instance {
        short: "n1",
        hostname: "ip-172-31-16-133",
        id: "i-08807c762627239b8",
        eni: "eni-0a1f3c5e7b9d2f401",
        mac: "06:1f:3c:5e:7b:01",
        private_ip: Ipv4Addr::new(172, 31, 16, 133),
        public_ip: Ipv4Addr::new(54, 183, 20, 133),
    },
    Instance {
        short: "n2",
        hostname: "ip-172-31-16-134",
        id: "i-03411641c37513049",
        eni: "eni-0a1f3c5e7b9d2f402",
        mac: "06:1f:3c:5e:7b:02",
        private_ip: Ipv4Addr::new(172, 31, 16, 134),
        public_ip: Ipv4Addr::new(54, 183, 20, 134),
    },
    Instance {
        short: "n3",
        hostname: "ip-172-31-16-135",
        id: "i-0c301db1a53ae3a4b",
        eni: "eni-0a1f3c5e7b9d2f403",
        mac: "06:1f:3c:5e:7b:03",
        private_ip: Ipv4Addr::new(172, 31, 16, 135),
        public_ip: Ipv4Addr::new(54, 183, 20, 135),
    },
];

/// The region.
pub const REGION: &str = "us-west-1";
/// The availability zone of the subnet and of the volume.
pub const ZONE: &str = "us-west-1c";
/// EC2's real name in the region, which the resolver knows.
pub const EC2_ENDPOINT: &str = "ec2.us-west-1.amazonaws.com";
/// Where the model listens, inside the VPC namespace.
pub const EC2_ADDRESS: Ipv4Addr = Ipv4Addr::new(52, 94, 201, 26);
/// The VPC.
pub const VPC_ID: &str = "vpc-027ba466";
/// The subnet.
pub const SUBNET_ID: &str = "subnet-8cadc4e8";
/// The subnet's addresses.
pub const SUBNET_CIDR: &str = "172.31.16.0/20";
/// The VPC router: the first address of the subnet, as in EC2.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(172, 31, 16, 1);
/// Another address of the router, for leases with another gateway.
pub const OTHER_ROUTER: Ipv4Addr = Ipv4Addr::new(172, 31, 31, 254);
/// The resolver: the VPC's base (172.31.0.0/16) plus two. It is not in the subnet.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 2);
/// All addresses of the resolver.
pub const RESOLVERS: [Ipv4Addr; 2] = [RESOLVER, Ipv4Addr::new(169, 254, 169, 253)];
/// The domain of the instances' private names.
pub const DOMAIN: &str = "us-west-1.compute.internal";
/// The virtual address: a secondary private address of the active node.
pub const VIP: Ipv4Addr = Ipv4Addr::new(172, 31, 16, 130);
/// The Elastic IP.
pub const EIP: Ipv4Addr = Ipv4Addr::new(54, 151, 30, 9);
/// Its allocation.
pub const EIP_ALLOCATION: &str = "eipalloc-02c7cf64a5cd449cf";
/// The EBS volume.
pub const VOLUME_ID: &str = "vol-0e06e1e9da3c49b67";
/// A client on the Internet.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// The instance role that the metadata service hands out.
pub const ROLE: &str = "portsip-ha";

/// The subnet.
pub fn subnet() -> ipnet::Ipv4Net {
    ipnet::Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 16, 0), 20)
}

/// The instance that a person means by `n1`, its host name or its instance id.
pub fn instance(name: &str) -> Option<&'static Instance> {
    INSTANCES
        .iter()
        .find(|i| i.short == name || i.hostname == name || i.id == name)
}
