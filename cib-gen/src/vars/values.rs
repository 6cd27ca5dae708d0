//! Types of values that only vars.yml has: one of a few words, and addresses in CIDR notation.

use std::fmt;
use std::str::FromStr;

use ipnet::Ipv4Net;

use crate::ids::{FenceAgent, Malformed};

/// Declares a type whose values are words, what is said of any other word, and the help for it.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident, $wrong:literal, $help:literal {
        $($(#[$of_value:meta])* $value:ident = $word:literal,)+
    })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$of_value])* $value,)+
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                match text {
                    $($word => Ok($name::$value),)+
                    _ => Err(Malformed::new(format!("`{text}` {}", $wrong), $help)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($name::$value => $word,)+
                })
            }
        }
    )+};
}

words! {
    /// The values of `fencing` on AWS.
    AwsFencingWord, "is not a way of fencing on AWS",
    "write `aws` (the default), or `none` for a cluster that can lose data" {
        Aws = "aws",
        None = "none",
    }

    /// The values of `fencing_action`: what becomes of a node that is fenced.
    FencingAction, "is not an action of fencing", "write `off` or `reboot`" {
        /// Stopped, and left so: recovery begins as soon as it is off.
        Off = "off",
        /// Stopped and started again.
        Reboot = "reboot",
    }

    /// The values of `privip_agent`: what assigns the virtual address to a node's interface.
    PrivipAgent, "is not an agent that assigns a private address",
    "write `ocf:portsip:awsvip` (the default), or `ocf:heartbeat:awsvip`, which needs the AWS CLI" {
        /// Ours, the default.
        Portsip = "ocf:portsip:awsvip",
        /// The distribution's, which needs the AWS CLI.
        Heartbeat = "ocf:heartbeat:awsvip",
    }

    /// The values of `sip_transport`: how the PBX is asked whether it answers SIP.
    SipTransport, "is not a transport of SIP that can be tested",
    "write `udp` (the default), `tcp` or `tls`; or `none` to leave SIP untested" {
        Udp = "udp",
        Tcp = "tcp",
        Tls = "tls",
        None = "none",
    }

    /// The values of `drbd`: which DRBD the kernels of the nodes have.
    DrbdVersion, "is not a DRBD that cib-gen writes a file for",
    "write `9` (the default: a copy on every node) or `8.4` (what stock kernels have: a copy on pbx01 and pbx02)" {
        /// 9.1.7 or later, the default: a copy of the data on every node.
        Nine = "9",
        /// Two copies of the data.
        EightFour = "8.4",
    }
}

impl serde::Serialize for DrbdVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl SipTransport {
    /// The port that PortSIP gives the transport; none where SIP is not tested.
    /// <https://support.portsip.com/portsip-communications-solution/portsip-pbx-administration-guide/6-transport-management>
    pub fn port(self) -> Option<u16> {
        match self {
            SipTransport::Udp => Some(5060),
            SipTransport::Tcp => Some(5063),
            SipTransport::Tls => Some(5061),
            SipTransport::None => None,
        }
    }
}

/// The values of `fencing` on a LAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LanFencingWord {
    /// A watchdog in each node resets it, the default.
    Sbd,
    Agent(FenceAgent),
    None,
}

impl FromStr for LanFencingWord {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "sbd" => Ok(LanFencingWord::Sbd),
            "none" => Ok(LanFencingWord::None),
            agent => agent.parse().map(LanFencingWord::Agent),
        }
    }
}

/// Addresses in CIDR notation, without bits beyond the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr(pub(crate) Ipv4Net);

impl FromStr for Cidr {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let help = "write addresses in CIDR notation, such as 172.31.16.0/20";
        let net: Ipv4Net = (text.parse())
            .map_err(|_| Malformed::new(format!("`{text}` is not an IPv4 subnet"), help))?;
        if net.trunc() != net {
            let found = format!("`{text}` has bits beyond its prefix");
            return Err(Malformed::new(found, format!("write `{}`", net.trunc())));
        }
        Ok(Cidr(net))
    }
}
