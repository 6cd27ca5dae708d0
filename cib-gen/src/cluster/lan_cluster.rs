//! The cluster of a LAN site: the data on DRBD, promoted on one node, a virtual address that
//! follows it, and a watchdog or a fence agent.

use super::builders::*;
use super::drbd_resource::{self, DATA};
use super::{
    Action, Ban, Cluster, Constraint, ConstraintKind, Corosync, FailureRule, Primitive, Promotable,
    Resource, Role, Setting, Watchdog,
};
use crate::ids::{FenceAgent, FencingOptions};
use crate::site::{LanFencing, LanSite, Site};
use crate::vars::{DrbdVersion, FencingAction};

const CLONE: &str = "drbd_devpath-clone";
const DATA_PRIMITIVE: &str = "drbd_devpath";
/// Seconds from one look at the promoted copy to the next.
const PROMOTED_MONITOR: u32 = 10;
/// Seconds after which a node that feeds its watchdog no more is reset: SBD's own default.
const WATCHDOG: u32 = 5;

pub(super) fn cluster(site: &Site, place: &LanSite) -> Cluster {
    let mut primitives = vec![
        address(place),
        source(place),
        file_system(site, drbd_resource::DEVICE),
        pbx(site, place.vip),
    ];
    let failure_rules = failure_rules(place, &primitives);
    if !failure_rules.is_empty() {
        for primitive in &mut primitives {
            primitive
                .meta
                .push(setting("migration-threshold", "INFINITY"));
        }
    }
    primitives.extend(devices(site, &place.fencing));
    let mut resources = vec![
        Resource::Primitive(attributes()),
        Resource::Promotable(data(site, place)),
    ];
    resources.extend(primitives.into_iter().map(Resource::Primitive));
    let is_unfenced = place.fencing == LanFencing::None;
    let warning = is_unfenced.then(|| NO_FENCING.to_owned());
    let watchdog = (place.fencing == LanFencing::Watchdog).then_some(Watchdog {
        device: "/dev/watchdog",
        timeout: WATCHDOG,
    });
    Cluster {
        warnings: Vec::from_iter(warning),
        corosync: Corosync {
            name: NAME,
            nodes: members(site),
            totem: vec![setting("token", 2000).because(
                "a machine on a LAN does not stand still, and its switches find another way \
                 within a second (RSTP): a node that has been silent for longer is lost. \
                 Corosync's own default, 3000, loses more than two seconds in every failover",
            )],
            watchdog,
        },
        drbd: Some(drbd_resource::resource(site, place)),
        properties: [fencing_properties(&place.fencing), properties()].concat(),
        resource_defaults: resource_defaults(),
        resources,
        constraints: constraints(),
        bans: bans(site, place),
        failure_rules,
    }
}

/// What DRBD thinks of its data, where an operator can see it.
fn attributes() -> Primitive {
    let attributes = primitive(
        "drbd_attr",
        ocf("linbit", "drbd-attr"),
        "what DRBD thinks of the active node's data, as a node attribute (pcs status --full). Nothing \
         is moved for it, and no node is fenced",
        Vec::new(),
        vec![
            operation(Action::Start, 20),
            ignored(operation(Action::Stop, 20)),
            ignored(operation(monitor(60, None, None), 60)),
        ],
    );
    let stickiness = setting("resource-stickiness", 0).because(
        "it starts before anything is promoted, and then follows the promoted copy; with the default it \
         could hold a promotion where it started",
    );
    let meta = vec![stickiness];
    Primitive { meta, ..attributes }
}

fn data(site: &Site, place: &LanSite) -> Promotable {
    let mut parameters = vec![setting("drbd_resource", DATA)];
    if place.drbd == DrbdVersion::EightFour {
        parameters.push(setting("unfence_if_all_uptodate", true).because(
            "a constraint of DRBD's fence-peer handler goes when both copies are up to date, even where the \
             resync that should have deleted it was interrupted",
        ));
    }
    let (why, promotion) = match place.drbd {
        DrbdVersion::Nine => (DATA_9, 90),
        DrbdVersion::EightFour => (DATA_84, 120),
    };
    let primitive = primitive(
        DATA_PRIMITIVE,
        ocf("linbit", "drbd"),
        why,
        parameters,
        vec![
            operation(Action::Start, 240),
            operation(Action::Stop, 100),
            operation(Action::Promote, promotion),
            operation(Action::Demote, 90),
            operation(Action::Notify, 90),
            operation(monitor(PROMOTED_MONITOR, None, Some(Role::Promoted)), 60),
            operation(monitor(20, None, Some(Role::Unpromoted)), 60),
        ],
    );
    let mut meta = vec![
        setting("clone-max", drbd_resource::copies(site, place)),
        setting("clone-node-max", 1),
        setting("notify", true).because("DRBD's agent counts on being told what its peers do"),
        setting("promotable", true),
        setting("promoted-max", 1),
        setting("promoted-node-max", 1),
    ];
    if place.drbd == DrbdVersion::EightFour {
        meta.push(setting("migration-threshold", "INFINITY").because(
            "no failure of a monitor forbids a node, of the data or of what needs it: while the other copy is old, \
             there is no other node, and the third failure would leave the PBX down. portsip-failures moves \
             everything where that is possible",
        ));
    }
    Promotable {
        id: CLONE,
        primitive,
        meta,
    }
}

const DATA_9: &str = "the data, replicated to every node and writable where it is promoted. Monitors may take longer \
    than the agent asks: a busy node is no failure";
const DATA_84: &str = "the data, on two nodes and writable where it is promoted. Monitors may take longer than the \
    agent asks: a busy node is no failure. A promotion may wait for the fence-peer handler, which takes 20 s and more";

fn address(site: &LanSite) -> Primitive {
    let mut parameters = vec![setting("ip", site.vip)];
    parameters.extend(netmask(site));
    primitive(
        "vip",
        ocf("heartbeat", "IPaddr2"),
        "the virtual address, on the interface that the node has in its network",
        parameters,
        start_stop_monitor(30, 30, 10, 60),
    )
}

fn source(site: &LanSite) -> Primitive {
    let mut parameters = vec![setting("ipaddress", site.vip)];
    parameters.extend(netmask(site));
    parameters.push(setting("metric", 1_000_000).because(
        "the agent also writes a route to the LAN with the virtual address as its source. With \
         this metric it stands behind the kernel's; without, a node that loses the virtual address \
         would lose its way to the LAN and be fenced",
    ));
    primitive(
        "src_pkt_ip",
        ocf("heartbeat", "IPsrcaddr"),
        "the virtual address as the source of what the node sends",
        parameters,
        start_stop_monitor(30, 30, 10, 60),
    )
}

/// The prefix, if it is known; else the agents take that of the route to the address.
fn netmask(site: &LanSite) -> Option<Setting> {
    let subnet = site.subnet?;
    Some(setting("cidr_netmask", subnet.prefix_len()))
}

fn devices(site: &Site, fencing: &LanFencing) -> Vec<Primitive> {
    let LanFencing::Agent {
        agent,
        action,
        options,
        of_nodes,
    } = fencing
    else {
        return Vec::new();
    };
    let names: Vec<String> = site.nodes.iter().map(|n| n.name.to_string()).collect();
    if of_nodes.is_empty() {
        let hosts = names.join(" ");
        return vec![device("fencing", agent, *action, &hosts, options, None)];
    }
    let nodes = names.iter().zip(of_nodes).enumerate();
    nodes
        .map(|(n, (name, own))| {
            let id = format!("fencing-pbx0{}", n + 1);
            device(&id, agent, *action, name, options, Some(own))
        })
        .collect()
}

fn device(
    id: &str,
    agent: &FenceAgent,
    action: FencingAction,
    hosts: &str,
    options: &FencingOptions,
    own: Option<&FencingOptions>,
) -> Primitive {
    // What the device calls the node, where it is not the node's name.
    let target = match own.and_then(|own| own.get("plug")) {
        Some(plug) => setting("pcmk_host_map", format!("{hosts}:{plug}")),
        None => setting("pcmk_host_list", hosts),
    };
    let own = own.into_iter().flat_map(FencingOptions::iter);
    let written = options.iter().chain(own);
    let written = written.filter(|(name, _)| *name != "plug");
    let mut parameters = vec![target];
    parameters.extend(written.map(|(name, value)| setting(name, value)));
    parameters.push(setting("pcmk_reboot_action", action).because(match action {
        FencingAction::Off => "a fenced node stays off until somebody starts it",
        FencingAction::Reboot => {
            "a fenced node is started again, and its copy of the data catches up"
        }
    }));
    let why = "what turns a lost node off. That the device cannot be reached is shown and not acted on: a \
        device that is stopped for it would fence no more when it is back";
    stonith(id, agent, why, parameters, 60)
}

fn fencing_properties(fencing: &LanFencing) -> Vec<Setting> {
    match fencing {
        LanFencing::Watchdog => vec![
            setting("stonith-enabled", true).because(
                "nothing is taken over from a lost node before its watchdog must have reset it",
            ),
            setting("stonith-watchdog-timeout", seconds(2 * WATCHDOG))
                .because("twice the time after which a watchdog that is not fed resets its node"),
        ],
        LanFencing::Agent { .. } => vec![setting("stonith-enabled", true).because(
            "nothing is taken over from a lost node before the fencing device says that it is \
             off",
        )],
        LanFencing::None => vec![setting("stonith-enabled", false).because("fencing: none")],
    }
}

const NO_FENCING: &str = "WARNING: fencing: none. Nothing makes sure that a lost node is dead before its work \
    is taken over. A node that hangs or is cut off and comes back can still hold the virtual address and run \
    a second PBX; DRBD's quorum keeps it from the data, and from nothing else. Delete `fencing: none` from \
    vars.yml to have a watchdog reset a lost node (fencing: sbd), or name a fence agent.";

fn constraints() -> Vec<Constraint> {
    vec![
        constraint(
            "portsip-together",
            ConstraintKind::Together,
            "all on the node where the data is promoted: what cannot run there takes the \
             others with it. Not a group, which would start one after the other what can \
             start at once",
            [
                set(&["datapath_fs", "vip", "src_pkt_ip", "pbx"]),
                promoted(CLONE),
            ],
        ),
        constraint(
            "portsip-attributes",
            ConstraintKind::Near { score: 50 },
            "the active node's data is what an operator wants to see first",
            [set(&["drbd_attr"]), promoted(CLONE)],
        ),
        constraint(
            "portsip-storage",
            ConstraintKind::InOrder,
            "only promoted data can be mounted; the PBX needs it",
            [promoted(CLONE), set(&["datapath_fs", "pbx"])],
        ),
        constraint(
            "portsip-addresses",
            ConstraintKind::InOrder,
            "an address must be on the interface to be a source. The addresses come up beside \
             the storage; the PBX needs both",
            [set(&["vip", "src_pkt_ip", "pbx"])],
        ),
    ]
}

/// With two copies, what moves the PBX from a node where it fails: only if the other copy is good.
///
/// migration-threshold forbids the node, and with it the only good copy while the other one is old.
fn failure_rules(place: &LanSite, service: &[Primitive]) -> Vec<FailureRule> {
    if place.drbd == DrbdVersion::Nine {
        return Vec::new();
    }
    let monitors = service.iter().flat_map(|primitive| {
        let monitors = primitive.operations.iter();
        monitors.filter_map(|operation| match operation.action {
            Action::Monitor { interval, .. } => Some((primitive.id.clone(), interval)),
            _ => None,
        })
    });
    let monitors = std::iter::once((DATA_PRIMITIVE.to_owned(), PROMOTED_MONITOR)).chain(monitors);
    let counts = monitors.map(|(id, interval)| format!("fail-count-{id}#monitor_{interval}000"));
    vec![FailureRule {
        id: "portsip-failures",
        resource: CLONE,
        counts: counts.collect(),
        failures: 3,
        score: 5000,
        why: "two failures of a monitor are repaired on the node, the third moves everything to the other one, if that \
            has a good copy: DRBD's agent gives 10000 to the copies that are connected and up to date, and to the one in \
            use; 1000 to a copy that has lost the other",
    }]
}

/// What keeps a voter free of everything but fencing devices: what is together with the promoted data cannot
/// run there either.
fn bans(site: &Site, place: &LanSite) -> Vec<Ban> {
    let voters = site.nodes.iter().skip(drbd_resource::copies(site, place));
    let of_voter = voters.flat_map(|voter| {
        let ban = |id, resource, why| Ban {
            id,
            resource,
            node: voter.name.to_string(),
            why,
        };
        [
            ban(
                "portsip-voter-storage",
                CLONE,
                "this node has no disk for the data and no DRBD: it votes, and runs nothing. What needs \
                 the promoted data cannot run there either",
            ),
            ban(
                "portsip-voter-attributes",
                "drbd_attr",
                "there is no data to tell of on that node",
            ),
        ]
    });
    of_voter.collect()
}
