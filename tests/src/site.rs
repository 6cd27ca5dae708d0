//! The two sites that the lab builds, one for each of the vendor's systems, with the names, ids and
//! addresses of the vendor's guide. What is here belongs to the site on EC2; what the LAN has is in `lan`.

pub mod lan;

use std::net::Ipv4Addr;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::netns;

/// Which of the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Site {
    /// Three EC2 instances with an EBS volume and an Elastic IP.
    #[default]
    Ec2,
    /// Three machines of a LAN with a disk each.
    Lan,
}

impl Site {
    /// Its three machines.
    pub fn hosts(self) -> [&'static Host; 3] {
        match self {
            Self::Ec2 => INSTANCES.each_ref().map(|instance| &instance.host),
            Self::Lan => lan::HOSTS.each_ref(),
        }
    }

    /// Its machines beside the cluster's, of which a lab has as many as it was asked for.
    pub fn extended(self) -> Vec<&'static Host> {
        match self {
            Self::Ec2 => EXTENDED.iter().map(|instance| &instance.host).collect(),
            Self::Lan => Vec::new(),
        }
    }

    /// The machine that a person means by `n1`, its host name or its id.
    pub fn host(self, name: &str) -> Option<&'static Host> {
        self.hosts()
            .into_iter()
            .chain(self.extended())
            .find(|host| [host.short, host.hostname, host.id].contains(&name))
    }

    /// The user that an operator logs in as. root does not log in.
    pub fn user(self) -> &'static str {
        match self {
            // cloud-init makes it on an instance.
            Self::Ec2 => "ubuntu",
            Self::Lan => lan::USER,
        }
    }

    /// The password that sudo asks this user for, if it asks.
    pub fn sudo_password(self) -> Option<&'static str> {
        match self {
            Self::Ec2 => None,
            Self::Lan => Some(lan::PASSWORD),
        }
    }

    /// The network namespace that has the nodes' network: from it, every node can be reached.
    pub fn namespace(self) -> String {
        match self {
            Self::Ec2 => netns::vpc(),
            Self::Lan => netns::lan(),
        }
    }

    /// What a node's only interface is called there.
    pub fn interface(self) -> &'static str {
        match self {
            Self::Ec2 => "ens5",
            Self::Lan => lan::INTERFACE,
        }
    }

    /// The virtual address: the active node has it.
    pub fn vip(self) -> Ipv4Addr {
        match self {
            Self::Ec2 => VIP,
            Self::Lan => lan::VIP,
        }
    }

    /// The public address that leads to the virtual one: the Elastic IP, or the router's.
    pub fn public_address(self) -> Ipv4Addr {
        match self {
            Self::Ec2 => EIP,
            Self::Lan => lan::PUBLIC,
        }
    }

    /// A telephone on the Internet.
    pub fn telephone(self) -> Ipv4Addr {
        match self {
            Self::Ec2 => CLIENT,
            Self::Lan => lan::TELEPHONE,
        }
    }

    /// The domain of the machines' names.
    pub fn domain(self) -> &'static str {
        match self {
            Self::Ec2 => DOMAIN,
            Self::Lan => lan::DOMAIN,
        }
    }
}

/// One machine of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Its site.
    pub site: Site,
    /// What people type: `n1`.
    pub short: &'static str,
    /// Its host name, which is also the cluster's node name.
    pub hostname: &'static str,
    /// What tells it from all other machines: the id of an instance, the host name on a LAN.
    pub id: &'static str,
    /// MAC address of its interface, as the metadata service spells it.
    pub mac: &'static str,
    /// Its own address; on EC2 the primary private one.
    pub private_ip: Ipv4Addr,
}

/// One EC2 instance of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    /// The machine; an instance is one.
    pub host: Host,
    /// Network interface id.
    pub eni: &'static str,
    /// Public address that EC2 gave the instance at launch.
    pub public_ip: Ipv4Addr,
}

impl Deref for Instance {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

/// The three nodes.
pub static INSTANCES: [Instance; 3] = [
    Instance {
        host: Host {
            site: Site::Ec2,
            short: "n1",
            hostname: "ip-172-31-16-133",
            id: "i-08807c762627239b8",
            mac: "06:1f:3c:5e:7b:01",
            private_ip: Ipv4Addr::new(172, 31, 16, 133),
        },
        eni: "eni-0a1f3c5e7b9d2f401",
        public_ip: Ipv4Addr::new(54, 183, 20, 133),
    },
    Instance {
        host: Host {
            site: Site::Ec2,
            short: "n2",
            hostname: "ip-172-31-16-134",
            id: "i-03411641c37513049",
            mac: "06:1f:3c:5e:7b:02",
            private_ip: Ipv4Addr::new(172, 31, 16, 134),
        },
        eni: "eni-0a1f3c5e7b9d2f402",
        public_ip: Ipv4Addr::new(54, 183, 20, 134),
    },
    Instance {
        host: Host {
            site: Site::Ec2,
            short: "n3",
            hostname: "ip-172-31-16-135",
            id: "i-0c301db1a53ae3a4b",
            mac: "06:1f:3c:5e:7b:03",
            private_ip: Ipv4Addr::new(172, 31, 16, 135),
        },
        eni: "eni-0a1f3c5e7b9d2f403",
        public_ip: Ipv4Addr::new(54, 183, 20, 135),
    },
];

const fn extended(
    short: &'static str,
    hostname: &'static str,
    id: &'static str,
    mac: &'static str,
    eni: &'static str,
    last_byte: u8,
) -> Instance {
    Instance {
        host: Host {
            site: Site::Ec2,
            short,
            hostname,
            id,
            mac,
            private_ip: Ipv4Addr::new(172, 31, 16, last_byte),
        },
        eni,
        public_ip: Ipv4Addr::new(54, 183, 20, last_byte),
    }
}

/// Instances by their numbers, with a byte of the MAC address and the end of the address.
macro_rules! extended {
    ($($number:literal $mac:literal at $last_byte:literal),+) => {
        [$(extended(
            concat!("x", $number),
            concat!("ip-172-31-16-", $last_byte),
            concat!("i-0c41d7a6be35f9", $last_byte),
            concat!("06:1f:3c:5e:", $mac, ":11"),
            concat!("eni-0a1f3c5e7b9d2f", $last_byte),
            $last_byte,
        )),+]
    };
}

/// Instances of the same subnet that are no nodes of the cluster, for its extended servers.
pub static EXTENDED: [Instance; 20] = extended![
    1 "01" at 141, 2 "02" at 142, 3 "03" at 143, 4 "04" at 144, 5 "05" at 145,
    6 "06" at 146, 7 "07" at 147, 8 "08" at 148, 9 "09" at 149, 10 "10" at 150,
    11 "11" at 151, 12 "12" at 152, 13 "13" at 153, 14 "14" at 154, 15 "15" at 155,
    16 "16" at 156, 17 "17" at 157, 18 "18" at 158, 19 "19" at 159, 20 "20" at 160
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
/// The size of the volume, for EC2 and for the machines.
pub const VOLUME_GIB: u32 = 4;
/// The security group of the instances.
pub const SECURITY_GROUP: &str = "sg-0e2bea9ea4033f893";
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
/// An access key of the operator, with its secret. A test gives it a policy.
pub const OPERATOR_KEY: (&str, &str) = ("AKIDOPERATOR", "the-operators-secret");
/// One of an administrator, who may call everything.
pub const ADMIN_KEY: (&str, &str) = ("AKIDADMIN", "the-administrators-secret");
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
        .chain(&EXTENDED)
        .find(|i| i.short == name || i.hostname == name || i.id == name)
}
