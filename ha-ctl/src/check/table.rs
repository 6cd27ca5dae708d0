//! The table of the checks: their names, which never change, what is wanted, and what looks.

use super::{Fix, Inspection, Said, SaidOf, Site, fix};
use super::{
    aws_checks, aws_ports, aws_volume_checks, cluster_checks, docker_checks, drbd_checks,
    firewall_checks, lan_checks, machine_checks, member_checks, network_checks, package_checks,
    set_checks,
};

/// How a check looks.
pub(super) enum Look {
    /// At one node.
    Node(fn(&Inspection, &Site) -> Vec<Said>),
    /// At all nodes that were reached.
    Nodes(fn(&[Inspection], &Site) -> Vec<SaidOf>),
    /// By reaching the nodes.
    Reach,
    /// At what `show` says of the cluster.
    Cluster,
}

/// A check.
pub struct Check {
    /// Its name, which stays.
    pub name: &'static str,
    /// What is wanted.
    pub wanted: &'static str,
    pub(super) look: Look,
    /// What `--fix` does on the node.
    pub fix: Option<Fix>,
}

impl Check {
    const fn fixed_by(mut self, fix: Fix) -> Check {
        self.fix = Some(fix);
        self
    }

    const fn new(name: &'static str, wanted: &'static str, look: Look) -> Check {
        let fix = None;
        Check {
            name,
            wanted,
            look,
            fix,
        }
    }

    /// The check of a name.
    pub fn named(name: &str) -> Option<&'static Check> {
        CHECKS.iter().find(|check| check.name == name)
    }
}

const fn reach(name: &'static str, wanted: &'static str) -> Check {
    Check::new(name, wanted, Look::Reach)
}

const fn cluster(name: &'static str, wanted: &'static str) -> Check {
    Check::new(name, wanted, Look::Cluster)
}

const fn node(
    name: &'static str,
    wanted: &'static str,
    look: fn(&Inspection, &Site) -> Vec<Said>,
) -> Check {
    Check::new(name, wanted, Look::Node(look))
}

const fn nodes(
    name: &'static str,
    wanted: &'static str,
    look: fn(&[Inspection], &Site) -> Vec<SaidOf>,
) -> Check {
    Check::new(name, wanted, Look::Nodes(look))
}

/// Every check, in the order in which findings are shown.
pub const CHECKS: &[Check] = &[
    reach("ssh.client", "ssh can be run on this machine"),
    reach("ssh.reach", "the node answers"),
    reach(
        "ssh.host-key",
        "the node's host key is known and has not changed",
    ),
    reach("ssh.key", "the node accepts the key"),
    reach("ssh.sudo", "the user can become root"),
    node(
        "os.release",
        "Ubuntu 24.04, Debian 13 or Debian 12",
        machine_checks::release,
    ),
    node(
        "os.hostname",
        "the node's name in the cluster",
        machine_checks::hostname,
    ),
    nodes(
        "os.clock",
        "a clock within a second of the others",
        set_checks::clock,
    ),
    node(
        "os.memory",
        "at least 4 GB of memory",
        machine_checks::memory,
    ),
    node(
        "os.disk",
        "at least 5 GiB free for the system and for images",
        machine_checks::disk,
    ),
    node(
        "os.cloud-init",
        "cloud-init has ended",
        machine_checks::cloud_init,
    ),
    node(
        "os.reboot",
        "no restart of the machine is pending",
        machine_checks::reboot,
    ),
    node(
        "os.unprivileged-ports",
        "the PBX's user may listen on ports 80 and 443",
        machine_checks::unprivileged_ports,
    )
    .fixed_by(fix::PORTS),
    node(
        "apt.consistent",
        "no package is half installed",
        package_checks::consistent,
    ),
    node(
        "apt.lock",
        "nobody holds the locks of apt and dpkg",
        package_checks::lock,
    ),
    node(
        "apt.unattended",
        "unattended upgrades leave out the cluster's packages and Docker's",
        package_checks::unattended,
    )
    .fixed_by(fix::UPGRADES),
    node(
        "apt.needrestart",
        "needrestart does not restart the cluster's services and Docker",
        package_checks::needrestart,
    )
    .fixed_by(fix::RESTARTS),
    node(
        "apt.proxy",
        "the proxy that apt is told to use answers",
        package_checks::proxy,
    ),
    nodes(
        "apt.installed",
        "the cluster's packages on every node, or on none yet",
        member_checks::installed,
    ),
    nodes(
        "apt.versions",
        "the same versions on all nodes",
        set_checks::versions,
    ),
    node(
        "cluster.sample",
        "no other cluster is set up on the node",
        cluster_checks::other_cluster,
    )
    .fixed_by(fix::SAMPLE_CLUSTER),
    node(
        "cluster.pcsd-key",
        "a key and a certificate of pcsd",
        cluster_checks::pcsd_key,
    )
    .fixed_by(fix::PCSD),
    nodes(
        "cluster.member",
        "every node belongs to the cluster",
        member_checks::member,
    ),
    node(
        "cluster.services",
        "what the cluster needs is started at boot",
        cluster_checks::services,
    ),
    node(
        "cluster.links",
        "Corosync reaches every other node",
        cluster_checks::links,
    ),
    cluster("cluster.dc", "a node was elected to decide"),
    cluster("cluster.quorum", "a majority of the nodes is there"),
    cluster("cluster.empty", "the PBX is deployed"),
    cluster(
        "cluster.maintenance",
        "a failure moves and restarts what it has to",
    ),
    cluster(
        "cluster.fencing",
        "a lost node is fenced before another takes over",
    ),
    cluster("cluster.takeover", "another node could take over now"),
    cluster("node.takeover", "the node could take over now"),
    cluster(
        "resource.failed",
        "no failed operations that nobody has looked at",
    ),
    cluster("resource.degraded", "what runs, runs as it should"),
    cluster(
        "resource.blocked",
        "the cluster can start and stop every resource",
    ),
    cluster("resource.disabled", "no resource is told to stay stopped"),
    cluster("resource.unmanaged", "a failure restarts what failed"),
    cluster("note.restart", "no restart that has not ended"),
    cluster("note.other", "nothing temporary"),
    cluster(
        "constraint.left",
        "no constraint that a move or a ban has left",
    ),
    cluster("node.unclean", "a lost node is fenced at once"),
    cluster("fencing.failed", "whoever has to be fenced is fenced"),
    cluster("fencing.pending", "no node is being fenced"),
    cluster("data.full", "room on the file system of the data"),
    nodes(
        "network.pcsd",
        "pcsd of every other node can be reached",
        network_checks::pcsd,
    ),
    nodes(
        "network.corosync",
        "Corosync's packets get from every node to every other",
        network_checks::corosync,
    ),
    nodes(
        "network.drbd",
        "DRBD's connections get from every node to every other",
        network_checks::drbd,
    ),
    node(
        "network.proxy",
        "no proxy stands between the nodes, or before the instance metadata",
        network_checks::proxy,
    ),
    node(
        "docker.version",
        "Docker 20.10.27 or later",
        docker_checks::version,
    ),
    node("docker.compose", "docker compose", docker_checks::compose),
    node(
        "docker.live-restore",
        "containers outlive a restart of Docker",
        docker_checks::live_restore,
    ),
    node(
        "docker.foreign",
        "no other containers run beside the PBX",
        docker_checks::foreign,
    ),
    node(
        "docker.image",
        "the PBX's image is on the node",
        docker_checks::image,
    ),
    nodes(
        "docker.images",
        "the same image on all nodes",
        set_checks::images,
    ),
    node(
        "docker.registry",
        "where the image is not on the node, its registry can be reached",
        docker_checks::reachable,
    ),
    node(
        "docker.proxy",
        "Docker asks a registry in the own network directly",
        docker_checks::proxy,
    ),
    nodes(
        "firewall.ufw",
        "ufw does not stand between the nodes",
        firewall_checks::ufw,
    ),
    nodes(
        "firewall.firewalld",
        "firewalld does not stand between the nodes",
        firewall_checks::firewalld,
    ),
    node(
        "lan.disk",
        "the disk of vars.yml is empty, or holds the PBX's volume",
        lan_checks::disk,
    ),
    nodes(
        "lan.disk-size",
        "disks of the same size on all nodes",
        lan_checks::disk_sizes,
    ),
    node(
        "lan.watchdog",
        "a watchdog, also after a reboot",
        lan_checks::watchdog,
    )
    .fixed_by(fix::SOFTDOG),
    nodes(
        "lan.vip",
        "nothing but the cluster has the virtual address",
        lan_checks::vip,
    ),
    node(
        "lan.drbd",
        "the DRBD that vars.yml names",
        drbd_checks::version,
    ),
    node(
        "lan.drbd-boot",
        "DRBD's module is loaded at boot",
        drbd_checks::at_boot,
    )
    .fixed_by(fix::DRBD),
    node(
        "lan.drbd-connected",
        "the copies of the data are connected",
        drbd_checks::connected,
    ),
    node("aws.api", "EC2 answers the node", aws_checks::api),
    node(
        "aws.permissions",
        "EC2 allows the node what the agents and fencing do",
        aws_checks::permissions,
    ),
    node(
        "aws.identity",
        "the machine is the instance that vars.yml names",
        aws_checks::identity,
    ),
    nodes(
        "aws.instances",
        "EC2 has every instance of vars.yml",
        aws_checks::instances,
    ),
    nodes(
        "aws.subnet",
        "one VPC, subnet and zone for all nodes",
        aws_checks::subnet,
    ),
    nodes(
        "aws.stop-protection",
        "fencing can stop the instance",
        aws_checks::stop_protection,
    ),
    nodes("aws.spot", "no spot instance", aws_checks::spot),
    nodes(
        "aws.metadata",
        "instance metadata, with tokens, for the machine alone",
        aws_checks::metadata,
    ),
    nodes(
        "aws.way",
        "a way to EC2 of the node's own after a stop",
        aws_checks::way,
    ),
    nodes(
        "aws.ports",
        "the security group lets in what `cib-gen --format security-group` lists",
        aws_ports::ports,
    ),
    nodes(
        "aws.volume-zone",
        "the volume is in the zone of the nodes",
        aws_volume_checks::zone,
    ),
    nodes(
        "aws.volume-state",
        "the volume can be attached to a node",
        aws_volume_checks::state,
    ),
    nodes(
        "aws.volume-type",
        "a volume with a solid state disk",
        aws_volume_checks::kind,
    ),
    nodes(
        "aws.multi-attach",
        "Multi-Attach of the volume is off",
        aws_volume_checks::multi_attach,
    ),
    nodes(
        "aws.encryption",
        "every node may use the key of the volume",
        aws_volume_checks::encryption,
    ),
    nodes(
        "aws.vip",
        "the virtual address is free, in the nodes' subnet",
        aws_checks::vip,
    ),
    nodes(
        "aws.elastic-ip",
        "the Elastic IP is there for the cluster alone",
        aws_checks::elastic_ip,
    ),
    nodes(
        "aws.vars",
        "vars.yml and EC2 do not contradict each other",
        aws_checks::vars,
    ),
    node(
        "lan.sbd",
        "SBD runs with Corosync, and is started with it",
        lan_checks::sbd,
    ),
    node(
        "vendor.kit",
        "nobody uses the vendor's scripts beside ha-ctl",
        cluster_checks::vendor_kit,
    ),
];
