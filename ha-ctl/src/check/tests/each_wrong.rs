//! Every check, on what a node printed with one line changed.

use super::*;

#[test]
fn each_thing_that_is_wrong_is_named() {
    use Level::{Error, Note, Warning};
    for (old, new, name, level, text) in [
        (
            "os debian 12",
            "os ubuntu 22.04",
            "os.release",
            Warning,
            "ubuntu 22.04",
        ),
        (
            "hostname ip-172-31-16-133",
            "hostname pbx03",
            "os.hostname",
            Error,
            "pbx03",
        ),
        (
            "memory 24684092",
            "memory 2000000",
            "os.memory",
            Warning,
            "1.9 GiB",
        ),
        (
            "disk / 51792940",
            "disk / 1000000",
            "os.disk",
            Warning,
            "976.5 MiB free at /",
        ),
        (
            "os debian 12",
            "os debian 12\ncloud-init running",
            "os.cloud-init",
            Error,
            "still works",
        ),
        (
            "os debian 12",
            "os debian 12\nreboot linux-base ",
            "os.reboot",
            Warning,
            "linux-base",
        ),
        (
            "unprivileged-ports 0",
            "unprivileged-ports 1024",
            "os.unprivileged-ports",
            Warning,
            "1024",
        ),
        (
            "cluster-name",
            "half-installed libc6\ncluster-name",
            "apt.consistent",
            Error,
            "libc6",
        ),
        (
            "cluster-name",
            "lock 812 unattended-upgr\ncluster-name",
            "apt.lock",
            Error,
            "unattended-upgr (process 812)",
        ),
        (
            "package sbd un",
            "package unattended-upgrades ii 2.9",
            "apt.unattended",
            Warning,
            "corosync, pacemaker",
        ),
        (
            "needrestart portsip-ha.conf",
            "",
            "apt.needrestart",
            Warning,
            "may restart",
        ),
        (
            "package pcs ii  0.11.5-1+deb12u1",
            "package pcs ii 0.11.7",
            "apt.versions",
            Warning,
            "0.11.7 on ip-172-31-16-135",
        ),
        (
            "service pcsd active enabled",
            "service pcsd active disabled",
            "cluster.services",
            Warning,
            "pcsd is active, and at boot disabled",
        ),
        (
            "docker 26.1.5+dfsg1",
            "docker 20.10.24",
            "docker.version",
            Warning,
            "20.10.24",
        ),
        (
            "compose 2.26.1-4",
            "compose ",
            "docker.compose",
            Error,
            "missing",
        ),
        (
            "container portsip.nats portsip",
            "container portsip.im im",
            "docker.foreign",
            Note,
            "portsip.im",
        ),
        (
            "image sha256:6b5d",
            "image sha256:0000",
            "docker.images",
            Warning,
            "sha256:0000",
        ),
        (
            "service firewalld inactive ",
            "service firewalld active enabled",
            "firewall.firewalld",
            Note,
            "lets Corosync and pcsd",
        ),
        (
            "service firewalld inactive ",
            "ufw active",
            "firewall.ufw",
            Note,
            "lets Corosync and pcsd",
        ),
        (
            "link 2 connected",
            "link 2 disconnected",
            "cluster.links",
            Error,
            "link to ip-172-31-16-134 is disconnected",
        ),
        (
            "link 2 connected\n",
            "",
            "cluster.links",
            Error,
            "no link to ip-172-31-16-134",
        ),
        (
            "package portsip-ha ii",
            "package portsip-ha rc",
            "apt.installed",
            Error,
            "portsip-ha is not installed, and it is on ip-172-31-16-133, ip-172-31-16-134",
        ),
        (
            "service sbd active enabled",
            "service sbd inactive enabled",
            "lan.sbd",
            Error,
            "SBD is inactive",
        ),
        (
            "service sbd active enabled",
            "service sbd active disabled",
            "lan.sbd",
            Error,
            "disabled at boot",
        ),
        (
            "service sbd active enabled",
            "service sbd inactive not-found",
            "lan.sbd",
            Error,
            "not installed",
        ),
        (
            "pcsd 172.31.16.134 open",
            "pcsd 172.31.16.134 closed",
            "network.pcsd",
            Warning,
            "pcsd on ip-172-31-16-134 cannot be reached from here",
        ),
        (
            "live-restore true",
            "live-restore false",
            "docker.live-restore",
            Warning,
            "ends every call",
        ),
        (
            "data-disk 42949672960 LVM2_member",
            "data-disk missing",
            "lan.disk",
            Error,
            "no disk /dev/sdb",
        ),
        (
            "data-disk 42949672960 LVM2_member",
            "data-disk 42949672960 xfs",
            "lan.disk",
            Error,
            "holds something: xfs",
        ),
        (
            "data-group pbxvg",
            "data-group ubuntu-vg",
            "lan.disk",
            Error,
            "volume group ubuntu-vg",
        ),
        (
            "data-disk 42949672960 LVM2_member",
            "data-disk 32212254720 LVM2_member",
            "lan.disk-size",
            Warning,
            "32212254720 bytes (30.0 GiB) on ip-172-31-16-135",
        ),
        (
            "watchdog /dev/watchdog",
            "",
            "lan.watchdog",
            Error,
            "no watchdog",
        ),
        (
            "cluster-name",
            "vendor-kit /opt/portsip-pbx-ha-guide\ncluster-name",
            "vendor.kit",
            Note,
            "/opt/portsip",
        ),
    ] {
        let printed = good().replacen(old, new, 1);
        assert_ne!(printed, good(), "{old}");
        // The host name is put in for each node.
        let printed = match name {
            "os.hostname" => printed,
            _ => printed.replace("hostname ip-172-31-16-133", "hostname ip-172-31-16-135"),
        };
        one(&printed, name, level, text);
    }
}
