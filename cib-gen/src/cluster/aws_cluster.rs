//! The cluster of an AWS site: an Elastic IP, a secondary private address and an EBS volume
//! that follow the PBX, and EC2 as the fencing device.

use super::builders::*;
use super::{Action, Cluster, Constraint, ConstraintKind, Corosync, Primitive, Resource, Setting};
use crate::ids::Region;
use crate::site::{AwsFencing, AwsSite, Site};
use crate::vars::{FencingAction, PrivipAgent};

/// Longest wait of fence_aws for `stopped`, in rounds of a second and an API call.
const STOPPED: u32 = 240;
/// The same as a limit on the whole operation, in seconds: 240 rounds with slow answers.
const FENCED: u32 = 360;
/// The same with a start after it.
const FENCED_AND_STARTED: u32 = 720;

pub(super) fn cluster(site: &Site, place: &AwsSite) -> Cluster {
    let mut resources = addresses(place);
    resources.push(volume(place));
    resources.push(file_system(site, &place.device.mounted.to_string()));
    resources.push(pbx(site, place.vip));
    let mut warnings = Vec::new();
    let fencing = match place.fencing {
        AwsFencing::Ec2(action) => {
            resources.push(fencing(site, place, action));
            vec![
                setting("stonith-enabled", true).because(
                    "nothing is taken over from a lost node before EC2 says that it is stopped",
                ),
                setting("stonith-timeout", seconds(FENCED)),
            ]
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
            vec![setting("stonith-enabled", false).because("fencing: none")]
        }
    };
    Cluster {
        warnings,
        corosync: Corosync {
            name: NAME,
            nodes: members(site),
            totem: vec![setting("token", 3000).because(
                "Corosync's own default, written down so that an upgrade does not change it. An \
                 instance can stand still for a second or two while its host is looked after, \
                 and a node that is fenced for that costs minutes; a shorter token wins seconds",
            )],
            watchdog: None,
        },
        drbd: None,
        properties: [fencing, properties()].concat(),
        resource_defaults: resource_defaults(),
        resources: resources.into_iter().map(Resource::Primitive).collect(),
        constraints: constraints(),
        bans: Vec::new(),
        failure_rules: Vec::new(),
    }
}

/// Adds the region, if one is known, to the parameters of an agent that has it.
fn with_region(mut parameters: Vec<Setting>, region: Option<&Region>) -> Vec<Setting> {
    parameters.extend(region.map(|region| setting("region", region)));
    parameters
}

/// The virtual address on the node's interface in the VPC.
fn privip(site: &AwsSite) -> Primitive {
    let address = setting("secondary_private_ip", site.vip);
    match site.privip_agent {
        PrivipAgent::Portsip => primitive(
            "privip",
            ocf("portsip", "awsvip"),
            "the virtual address, assigned to the node's interface in the VPC; the Elastic IP comes along",
            with_region(vec![address], site.region.as_ref()),
            start_stop_monitor(60, 60, 10, 30),
        ),
        PrivipAgent::Heartbeat => primitive(
            "privip",
            ocf("heartbeat", "awsvip"),
            "the virtual address, assigned to the node's interface in the VPC. The monitor of this agent asks \
             EC2 and takes a throttled or slow answer for a lost address, so a failure of it is shown and not \
             acted on: eip's monitor, which asks the instance metadata, sees a lost address too. The agent's \
             3 s pause after a call would be time without service. It has no region parameter in Debian 12",
            vec![address, setting("api_delay", 0)],
            vec![
                operation(Action::Start, 60),
                operation(Action::Stop, 60),
                ignored(operation(monitor(30, None, None), 30)),
            ],
        ),
    }
}

fn addresses(site: &AwsSite) -> Vec<Primitive> {
    let eip = vec![
        setting("allocation_id", &site.allocation),
        setting("elastic_ip", site.elastic_ip),
        setting("private_ip_address", site.vip),
    ];
    vec![
        primitive(
            "eip",
            ocf("portsip", "awseip"),
            "the Elastic IP, associated with the virtual address",
            with_region(eip, site.region.as_ref()),
            start_stop_monitor(60, 60, 10, 30),
        ),
        privip(site),
        primitive(
            "vip",
            ocf("heartbeat", "IPaddr2"),
            "the virtual address, on the node's interface",
            vec![setting("ip", site.vip), setting("cidr_netmask", 32)],
            start_stop_monitor(30, 30, 10, 60),
        ),
        primitive(
            "src_pkt_ip",
            ocf("portsip", "awsipsrcaddr"),
            "the virtual address as the source of what the node sends",
            vec![setting("ipaddress", site.vip)],
            start_stop_monitor(30, 30, 10, 60),
        ),
    ]
}

fn volume(site: &AwsSite) -> Primitive {
    let mut operations = start_stop_monitor(180, 180, 10, 30);
    operations.push(operation(monitor(60, Some(5), None), 30));
    let mut parameters = vec![setting("volume_id", &site.volume)];
    parameters.extend((site.device.attached_as.iter()).map(|name| setting("device", name)));
    if let AwsFencing::Ec2(_) = site.fencing {
        let instances: Vec<String> = site.instances.iter().map(ToString::to_string).collect();
        parameters.push(setting("cluster_instances", instances.join(" ")).because(
            "a start takes the volume from one of these although it runs: Pacemaker starts ebs \
             only when that node has stopped it or was fenced. Without fencing nothing makes \
             sure of that",
        ));
    }
    primitive(
        "ebs",
        ocf("portsip", "awsebs"),
        "the volume, attached to the node. Detaching it from where it was and attaching it here are minutes \
         on a bad day. The second monitor reads a block past the page cache: a volume can be attached and \
         hang. Neither asks EC2",
        with_region(parameters, site.region.as_ref()),
        operations,
    )
}

fn fencing(site: &Site, place: &AwsSite, action: FencingAction) -> Primitive {
    let map: Vec<String> = (site.nodes.iter().zip(&place.instances))
        .map(|(node, instance)| format!("{}:{instance}", node.name))
        .collect();
    let (timeout, why) = match action {
        FencingAction::Off => (
            FENCED,
            "EC2 stops a lost node. Recovery begins at `stopped` and waits for no start; the node stays off \
             until somebody starts it (fencing_action: reboot has it started, and recovery wait for that). \
             fence_aws gives up at once while the instance is between two states, so Pacemaker tries again \
             and again within the time limit. That EC2 cannot be reached is shown and not acted on: a device \
             that is stopped for it would fence no more when EC2 is back",
        ),
        FencingAction::Reboot => (
            FENCED_AND_STARTED,
            "EC2 stops a lost node and starts it again; recovery waits for both (fencing_action: off would \
             wait for `stopped` alone). fence_aws gives up at once while the instance is between two states, \
             so Pacemaker tries again and again within the time limit. That EC2 cannot be reached is shown \
             and not acted on: a device that is stopped for it would fence no more when EC2 is back",
        ),
    };
    let common = vec![
        setting("pcmk_host_map", map.join(";")),
        setting("power_timeout", STOPPED),
        setting("pcmk_off_timeout", seconds(FENCED)),
        setting("pcmk_off_retries", 60),
        setting("pcmk_monitor_timeout", seconds(120)),
        setting("pcmk_status_timeout", seconds(120)),
    ];
    let mut parameters = with_region(common, place.region.as_ref());
    parameters.extend([
        setting("pcmk_reboot_retries", 60),
        setting("pcmk_reboot_timeout", seconds(timeout)),
        setting("pcmk_reboot_action", action),
    ]);
    stonith("fencing", "fence_aws", why, parameters, 120)
}

fn constraints() -> Vec<Constraint> {
    vec![
        constraint(
            "portsip-together",
            ConstraintKind::Together,
            "all on one node: what cannot run there takes the others with it. Not a \
             group, which would start one after the other what can start at once",
            [set(&[
                "ebs",
                "datapath_fs",
                "privip",
                "eip",
                "vip",
                "src_pkt_ip",
                "pbx",
            ])],
        ),
        constraint(
            "portsip-addresses",
            ConstraintKind::InOrder,
            "the Elastic IP needs the address on the interface. The source address comes \
             after both: a node that sends from an address without an Elastic IP reaches \
             EC2 no more, and what it sends from an address that is not its own the VPC drops",
            [set(&["privip", "eip", "src_pkt_ip", "pbx"])],
        ),
        constraint(
            "portsip-source",
            ConstraintKind::InOrder,
            "an address must be on the interface to be a source",
            [set(&["vip", "src_pkt_ip"])],
        ),
        constraint(
            "portsip-storage",
            ConstraintKind::InOrder,
            "storage comes up beside the addresses; the PBX needs both",
            [set(&["ebs", "datapath_fs", "pbx"])],
        ),
    ]
}
