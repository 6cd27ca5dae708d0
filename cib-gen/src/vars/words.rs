//! Keys whose value is one of a few words.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

use crate::ids::{FenceAgent, Malformed};

/// The values of `fencing` on AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwsFencingWord {
    /// Through EC2, the default.
    Aws,
    /// Nothing is fenced.
    None,
}

/// The values of `fencing` on a LAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LanFencingWord {
    /// A watchdog in each node resets it, the default.
    Sbd,
    /// A fence agent.
    Agent(FenceAgent),
    /// Nothing is fenced.
    None,
}

/// The values of `fencing_action`: what becomes of a node that is fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FencingAction {
    /// Stopped, and left so: recovery begins as soon as it is off.
    Off,
    /// Stopped and started again.
    Reboot,
}

/// The values of `privip_agent`: what assigns the virtual address to a node's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrivipAgent {
    /// Ours.
    #[default]
    Portsip,
    /// The distribution's, which needs the AWS CLI.
    Heartbeat,
}

/// The values of `sip_transport`: over what the PBX is asked whether it answers SIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SipTransport {
    /// Datagrams, the default.
    #[default]
    Udp,
    /// A TCP connection.
    Tcp,
    /// A TLS connection.
    Tls,
    /// SIP is not asked.
    None,
}

impl SipTransport {
    /// The port that PortSIP gives the transport; none where SIP is not asked.
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

impl fmt::Display for SipTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SipTransport::Udp => "udp",
            SipTransport::Tcp => "tcp",
            SipTransport::Tls => "tls",
            SipTransport::None => "none",
        })
    }
}

impl FromStr for SipTransport {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "udp" => Ok(SipTransport::Udp),
            "tcp" => Ok(SipTransport::Tcp),
            "tls" => Ok(SipTransport::Tls),
            "none" => Ok(SipTransport::None),
            _ => Err(Malformed::new(
                format!("`{text}` is no transport over which SIP can be asked"),
                "`udp` (the default), `tcp` or `tls`; or `none`, and SIP is not asked",
            )),
        }
    }
}

impl FromStr for PrivipAgent {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "ocf:portsip:awsvip" => Ok(PrivipAgent::Portsip),
            "ocf:heartbeat:awsvip" => Ok(PrivipAgent::Heartbeat),
            _ => Err(Malformed::new(
                format!("`{text}` is no agent that assigns a private address"),
                "`ocf:portsip:awsvip` (the default), or `ocf:heartbeat:awsvip`, which needs the AWS CLI",
            )),
        }
    }
}

impl FromStr for AwsFencingWord {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "aws" => Ok(AwsFencingWord::Aws),
            "none" => Ok(AwsFencingWord::None),
            _ => Err(Malformed::new(
                format!("`{text}` is no way of fencing on AWS"),
                "`aws` (the default), or `none` for a cluster that can lose data",
            )),
        }
    }
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

impl FromStr for FencingAction {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "off" => Ok(FencingAction::Off),
            "reboot" => Ok(FencingAction::Reboot),
            _ => Err(Malformed::new(
                format!("`{text}` is not what fencing can do"),
                "`off` or `reboot`",
            )),
        }
    }
}

/// An address with our words when it is none.
pub(super) struct Address(pub(super) Ipv4Addr);

impl FromStr for Address {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        text.parse().map(Address).map_err(|_| {
            Malformed::new(
                format!("`{text}` is not an IPv4 address"),
                "four numbers from 0 to 255 with dots between them, such as 172.31.16.130",
            )
        })
    }
}

/// A port with our words when it is none.
pub(super) struct Port(pub(super) u16);

impl FromStr for Port {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Port(port)),
            _ => Err(Malformed::new(
                format!("`{text}` is not a port"),
                "a number from 1 to 65535",
            )),
        }
    }
}

/// A subnet with our words when it is none.
pub(super) struct Cidr(pub(super) Ipv4Net);

impl FromStr for Cidr {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let example = "addresses in CIDR notation, such as 172.31.16.0/20";
        let net: Ipv4Net = text
            .parse()
            .map_err(|_| Malformed::new(format!("`{text}` is not an IPv4 subnet"), example))?;
        if net.trunc() != net {
            return Err(Malformed::new(
                format!("`{text}` has bits beyond its prefix"),
                net.trunc().to_string(),
            ));
        }
        Ok(Cidr(net))
    }
}
