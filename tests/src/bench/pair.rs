//! Which of our agents is measured beside which of upstream's, with which parameters, and which
//! targets it has to meet.

use crate::pbx;
use crate::site;

/// An operation as Pacemaker calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    /// `start`
    Start,
    /// `monitor`
    Monitor,
    /// `monitor` with `OCF_CHECK_LEVEL=10`
    Monitor10,
    /// `stop`
    Stop,
}

impl Operation {
    /// In the order of a resource's life.
    pub(super) const ALL: [Self; 4] = [Self::Start, Self::Monitor, Self::Monitor10, Self::Stop];

    /// How the agent is called.
    pub(super) fn action(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Monitor | Self::Monitor10 => "monitor",
            Self::Stop => "stop",
        }
    }

    /// How it is shown.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Monitor10 => "monitor, level 10",
            other => other.action(),
        }
    }
}

/// An agent with its parameters.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    /// `portsip` or `heartbeat`.
    pub(super) provider: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// What Pacemaker would hand over as `OCF_RESKEY_*`.
    pub(super) parameters: Vec<(&'static str, String)>,
}

/// What the counterpart's work is done by, which decides the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An address, by the AWS CLI.
    AwsCli,
    /// A shell script and the commands that it starts.
    Shell,
    /// There is none.
    Alone,
}

/// Ours, and the one that it replaces.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// Ours.
    pub(super) portsip: Agent,
    /// Upstream's.
    pub(super) upstream: Option<Agent>,
    /// How upstream's works.
    pub(super) kind: Kind,
    /// Whether our agent does more at level 10.
    pub(super) has_level_10: bool,
    /// Done on the node before each start of either, outside of what is measured.
    pub(super) before_start: &'static str,
}

fn portsip(name: &'static str, parameters: Vec<(&'static str, String)>) -> Agent {
    Agent {
        provider: "portsip",
        name,
        parameters,
    }
}

fn upstream(name: &'static str, parameters: Vec<(&'static str, String)>) -> Option<Agent> {
    Some(Agent {
        provider: "heartbeat",
        name,
        parameters,
    })
}

/// The secondary private address.
pub(super) fn private_address() -> Pair {
    let parameters = vec![("secondary_private_ip", site::VIP.to_string())];
    Pair {
        portsip: portsip("awsvip", parameters.clone()),
        upstream: upstream("awsvip", parameters),
        kind: Kind::AwsCli,
        has_level_10: true,
        before_start: "",
    }
}

/// The Elastic IP; the private address is here already.
pub(super) fn elastic_ip() -> Pair {
    let parameters = vec![
        ("allocation_id", site::EIP_ALLOCATION.to_owned()),
        ("elastic_ip", site::EIP.to_string()),
        ("private_ip_address", site::VIP.to_string()),
    ];
    Pair {
        portsip: portsip("awseip", parameters.clone()),
        upstream: upstream("awseip", parameters),
        kind: Kind::AwsCli,
        has_level_10: true,
        before_start: "",
    }
}

/// The source address; the private address is on the interface already.
pub(super) fn source_address() -> Pair {
    let parameters = vec![("ipaddress", site::VIP.to_string())];
    Pair {
        portsip: portsip("awsipsrcaddr", parameters.clone()),
        upstream: upstream("IPsrcaddr", parameters),
        kind: Kind::Shell,
        has_level_10: false,
        before_start: "",
    }
}

/// The volume.
pub(super) fn volume() -> Pair {
    Pair {
        portsip: portsip("awsebs", vec![("volume_id", site::VOLUME_ID.to_owned())]),
        upstream: None,
        kind: Kind::Alone,
        has_level_10: true,
        before_start: "",
    }
}

/// The PBX's containers. Upstream's stop removes them; its start would make them again, but ours
/// expects them, so both find them made.
pub(super) fn containers() -> Pair {
    Pair {
        portsip: portsip("pbx", vec![("ip_address", site::VIP.to_string())]),
        upstream: upstream(
            "docker-compose",
            vec![("dirpath", pbx::PROJECT_DIR.to_owned())],
        ),
        kind: Kind::Shell,
        has_level_10: true,
        before_start: pbx::CREATE_CONTAINERS,
    }
}
