//! The cluster of an AWS site: an Elastic IP, a secondary private address and an EBS volume
//! that follow the PBX, and EC2 as the fencing device.

use super::{
    Action, Agent, Cluster, Constraint, ConstraintKind, OnFail, Operation, Primitive, Setting,
    because, operation, setting,
};
use crate::ids::Region;
use crate::site::{AwsFencing, AwsSite, Node, Pbx};
use crate::vars::{FencingAction, PrivipAgent};

/// Longest wait of fence_aws for `stopped`, in rounds of a second and an API call.
const STOPPED: u32 = 240;
/// The same as a limit on the whole operation, in seconds: 240 rounds with slow answers.
const FENCED: u32 = 360;
/// The same with a start after it.
const FENCED_AND_STARTED: u32 = 720;

/// The cluster.
pub(super) fn cluster(site: &AwsSite, pbx: &Pbx) -> Cluster {
    let mut resources = addresses(site);
    resources.extend(storage(site, pbx));
    resources.push(the_pbx(site, pbx));
    let mut warnings = Vec::new();
    let mut properties = Vec::new();
    match site.fencing {
        AwsFencing::Ec2(action) => {
            resources.push(fencing(&site.nodes, site.region.as_ref(), action));
            properties.push(because(
                "stonith-enabled",
                true,
                "nothing is taken over from a lost node before EC2 says that it is stopped",
            ));
            properties.push(setting("stonith-timeout", seconds(FENCED)));
        }
        AwsFencing::None => {
            warnings.push(
                "WARNING: fencing: none. Nothing makes sure that a lost node is dead before its \
                 work is taken over. A node that hangs or is cut off and comes back can still \
                 write to the volume, and a volume that it does not let go keeps the PBX down. \
                 Calls, recordings and the database can be lost. Delete `fencing: none` from \
                 vars.yml to have EC2 stop a lost node first."
                    .to_owned(),
            );
            properties.push(because("stonith-enabled", false, "fencing: none"));
        }
    }
    properties.push(because(
        "no-quorum-policy",
        "stop",
        "a node that sees no other stops everything: the other two have taken over",
    ));
    properties.push(because(
        "load-threshold",
        "1000%",
        "on a busy node Pacemaker would run one operation after the other, and a failover is when \
         a node is busy",
    ));
    Cluster {
        nodes: site.nodes.iter().map(|n| n.name.to_string()).collect(),
        warnings,
        properties,
        resource_defaults: vec![
            because(
                "resource-stickiness",
                100,
                "a node that comes back does not take the PBX back: every move cuts calls",
            ),
            because(
                "migration-threshold",
                3,
                "two failures of a monitor are repaired on the node, the third moves everything",
            ),
            because(
                "failure-timeout",
                "600s",
                "ten minutes without a failure and the node counts as good again; Pacemaker \
                 sets its own timer for it, so cluster-recheck-interval stays as it is",
            ),
        ],
        resources,
        constraints: constraints(),
    }
}

fn seconds(n: u32) -> String {
    format!("{n}s")
}

fn portsip(name: &'static str) -> Agent {
    Agent::Ocf {
        provider: "portsip",
        name,
    }
}

fn heartbeat(name: &'static str) -> Agent {
    Agent::Ocf {
        provider: "heartbeat",
        name,
    }
}

fn start_stop_monitor(start: u32, stop: u32, interval: u32, monitor: u32) -> Vec<Operation> {
    vec![
        operation(Action::Start, start),
        operation(Action::Stop, stop),
        operation(Action::Monitor { interval }, monitor),
    ]
}

/// Adds the region, if one is known, to the parameters of an agent that has it.
fn with_region(mut parameters: Vec<Setting>, region: Option<&Region>) -> Vec<Setting> {
    parameters.extend(region.map(|region| setting("region", region)));
    parameters
}

/// The virtual address on the node's interface in the VPC.
fn privip(site: &AwsSite) -> Primitive {
    let mut parameters = vec![setting("secondary_private_ip", site.vip)];
    match site.privip_agent {
        PrivipAgent::Portsip => Primitive {
            id: "privip",
            agent: portsip("awsvip"),
            why: "the virtual address, assigned to the node's interface in the VPC; the Elastic \
                  IP comes along",
            parameters: with_region(parameters, site.region.as_ref()),
            operations: start_stop_monitor(60, 60, 10, 30),
        },
        PrivipAgent::Heartbeat => {
            parameters.push(setting("api_delay", 0));
            let mut operations = start_stop_monitor(60, 60, 30, 30);
            for operation in &mut operations {
                if matches!(operation.action, Action::Monitor { .. }) {
                    operation.on_fail = Some(OnFail::Ignore);
                }
            }
            Primitive {
                id: "privip",
                agent: heartbeat("awsvip"),
                why: "the virtual address, assigned to the node's interface in the VPC. The \
                      monitor of this agent asks EC2 and takes a throttled or slow answer for a \
                      lost address, so a failure of it is shown and not acted on: eip's monitor, \
                      which asks the instance metadata, sees a lost address too. The agent's 3 s \
                      pause after a call would be time without service. It has no region \
                      parameter in Debian 12",
                parameters,
                operations,
            }
        }
    }
}

fn addresses(site: &AwsSite) -> Vec<Primitive> {
    let region = site.region.as_ref();
    vec![
        Primitive {
            id: "eip",
            agent: portsip("awseip"),
            why: "the Elastic IP, associated with the virtual address",
            parameters: with_region(
                vec![
                    setting("allocation_id", &site.allocation),
                    setting("elastic_ip", site.elastic_ip),
                    setting("private_ip_address", site.vip),
                ],
                region,
            ),
            operations: start_stop_monitor(60, 60, 10, 30),
        },
        privip(site),
        Primitive {
            id: "vip",
            agent: heartbeat("IPaddr2"),
            why: "the virtual address, on the node's interface",
            parameters: vec![setting("ip", site.vip), setting("cidr_netmask", 32)],
            operations: start_stop_monitor(30, 30, 10, 20),
        },
        Primitive {
            id: "src_pkt_ip",
            agent: portsip("awsipsrcaddr"),
            why: "the virtual address as the source of what the node sends",
            parameters: vec![setting("ipaddress", site.vip)],
            operations: start_stop_monitor(30, 30, 10, 20),
        },
    ]
}

fn storage(site: &AwsSite, pbx: &Pbx) -> Vec<Primitive> {
    vec![
        Primitive {
            id: "ebs",
            agent: portsip("awsebs"),
            why: "the volume, attached to the node. Detaching it from where it was and \
                  attaching it here are minutes on a bad day",
            parameters: with_region(
                vec![setting("volume_id", &site.volume)],
                site.region.as_ref(),
            ),
            operations: start_stop_monitor(180, 180, 10, 30),
        },
        Primitive {
            id: "datapath_fs",
            agent: heartbeat("Filesystem"),
            why: "the file system on it. After a power cut mounting replays the journal. \
                  noatime: reading a recording need not write to the volume",
            parameters: vec![
                setting("device", &site.device),
                setting("directory", &pbx.data_path),
                setting("fstype", "xfs"),
                setting("options", "noatime"),
            ],
            operations: start_stop_monitor(120, 120, 10, 40),
        },
    ]
}

fn the_pbx(site: &AwsSite, pbx: &Pbx) -> Primitive {
    Primitive {
        id: "pbx",
        agent: portsip("pbx"),
        why: "the containers of the PBX. The database may have to recover first",
        parameters: vec![
            setting("ip_address", site.vip),
            setting("data_path", &pbx.data_path),
        ],
        operations: start_stop_monitor(300, 180, 10, 60),
    }
}

fn fencing(nodes: &[Node; 3], region: Option<&Region>, action: FencingAction) -> Primitive {
    let map: Vec<String> = nodes
        .iter()
        .map(|node| format!("{}:{}", node.name, node.instance))
        .collect();
    let mut parameters = with_region(
        vec![
            setting("pcmk_host_map", map.join(";")),
            setting("power_timeout", STOPPED),
            setting("pcmk_off_timeout", seconds(FENCED)),
            setting("pcmk_off_retries", 60),
            setting("pcmk_monitor_timeout", seconds(120)),
            setting("pcmk_status_timeout", seconds(120)),
        ],
        region,
    );
    parameters.push(setting("pcmk_reboot_retries", 60));
    let why = match action {
        FencingAction::Off => {
            parameters.push(setting("pcmk_reboot_timeout", seconds(FENCED)));
            parameters.push(setting("pcmk_reboot_action", "off"));
            "EC2 stops a lost node. Recovery begins at `stopped` and waits for no start; the \
             node stays off until somebody starts it (fencing_action: reboot has it started, and \
             recovery wait for that). fence_aws gives up at once while the instance is between \
             two states, so Pacemaker tries again and again within the time limit. That EC2 can \
             not be reached is shown and not acted on: a device that is stopped for it would \
             fence no more when EC2 is back"
        }
        FencingAction::Reboot => {
            parameters.push(setting("pcmk_reboot_timeout", seconds(FENCED_AND_STARTED)));
            parameters.push(setting("pcmk_reboot_action", "reboot"));
            "EC2 stops a lost node and starts it again; recovery waits for both \
             (fencing_action: off would wait for `stopped` alone). fence_aws gives up at once \
             while the instance is between two states, so Pacemaker tries again and again \
             within the time limit. That EC2 can not be reached is shown and not acted on: a \
             device that is stopped for it would fence no more when EC2 is back"
        }
    };
    Primitive {
        id: "fencing",
        agent: Agent::Stonith { name: "fence_aws" },
        why,
        parameters,
        operations: vec![
            operation(Action::Start, 120),
            Operation {
                on_fail: Some(OnFail::Ignore),
                ..operation(Action::Monitor { interval: 300 }, 120)
            },
        ],
    }
}

fn constraints() -> Vec<Constraint> {
    vec![
        Constraint {
            id: "portsip-together",
            kind: ConstraintKind::Together,
            why: "all on one node: what can not run there takes the others with it. Not a \
                  group, which would start one after the other what can start at once",
            chain: vec![
                "ebs",
                "datapath_fs",
                "privip",
                "eip",
                "vip",
                "src_pkt_ip",
                "pbx",
            ],
        },
        Constraint {
            id: "portsip-addresses",
            kind: ConstraintKind::InOrder,
            why: "the Elastic IP needs the address on the interface. The source address comes \
                  after both: a node that sends from an address without an Elastic IP reaches \
                  EC2 no more, and what it sends from an address that is not its own the VPC drops",
            chain: vec!["privip", "eip", "src_pkt_ip", "pbx"],
        },
        Constraint {
            id: "portsip-source",
            kind: ConstraintKind::InOrder,
            why: "an address must be on the interface to be a source",
            chain: vec!["vip", "src_pkt_ip"],
        },
        Constraint {
            id: "portsip-storage",
            kind: ConstraintKind::InOrder,
            why: "storage comes up beside the addresses; the PBX needs both",
            chain: vec!["ebs", "datapath_fs", "pbx"],
        },
    ]
}
