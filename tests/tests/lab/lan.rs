//! The lab of a LAN: stock machines with a disk and a way to a watchdog, a switch that can be cut, a router in
//! front; and nothing of it left at the end. The cluster on it is in `long`.

mod cluster;
mod long;

use std::net::UdpSocket;
use std::process::Output;
use std::time::Duration;

use lab::lab::{Lab, Options};
use lab::site::lan::{DATA_DISK, HOSTS, PUBLIC, ROUTER, TELEPHONE, VIP};
use lab::site::{Host, Site};
use lab::{netns, pbx};

use super::{A_WHILE, OwnLab, SECONDS, traces, within};

/// All in one, because three kernels take a while to boot.
#[test]
fn three_machines_of_a_lan_live_through_cuts_and_leave_nothing() {
    let own = OwnLab::of(Options {
        site: Site::Lan,
        ..Options::default()
    });
    let [n1, n2, n3] = HOSTS.each_ref();
    for host in [n1, n2, n3] {
        stock(&own, host);
    }
    refuses_what_only_ec2_has(&own);
    telephones_reach_the_virtual_address(&own, n1);
    telephones_reach_the_virtual_address(&own, n2);
    partition(&own, n1, n2, n3);
    freeze(&own, n2);
    power_cut(&own, n3);

    assert!(!traces().is_empty(), "the search finds a lab that is up");
    Lab::down().unwrap();
    assert_eq!(traces(), Vec::<String>::new());
}

/// As an installer, and what `docs/lan.md` has the operator do before anything else, leaves it.
fn stock(own: &OwnLab, host: &Host) {
    assert_eq!(own.sh(host, "hostname"), host.hostname);
    let address = own.sh(host, "ip -o -4 address show dev enp1s0");
    assert!(
        address.contains(&format!(" {}/24 ", host.private_ip))
            && address.contains("valid_lft forever"),
        "not a static address: {address}"
    );
    assert_eq!(
        own.sh(
            host,
            "networkctl status enp1s0 | sed -n 's/^ *Network File: *//p'"
        ),
        "/run/systemd/network/10-netplan-enp1s0.network"
    );
    // Without its password the user is not root; with it, every `sh` here is.
    let refused = as_user(own, host, "sudo -n true");
    assert!(!refused.status.success(), "sudo asks for no password");
    assert_eq!(own.sh(host, "id -un; echo $SUDO_USER"), "root\npbx");
    for other in &HOSTS {
        own.sh(host, &format!("ping -c 1 -W 5 {}", other.hostname));
    }
    // LVM's own check: it refuses a disk that holds something.
    own.sh(host, &format!("pvcreate --test {DATA_DISK}"));
    until("the distribution's sample cluster runs", || {
        let active = own.lab.ssh(host, "systemctl is-active corosync", A_WHILE);
        active.is_ok_and(|output| output.status.success())
    });
    let loaded = own.sh(
        host,
        "test ! -e /dev/watchdog && modprobe --verbose softdog",
    );
    assert!(
        loaded.contains("softdog.ko nowayout=0"),
        "stopping SBD would reset the machine: {loaded}"
    );
    // Nobody may open the device: that arms it.
    until("softdog is the machine's watchdog", || {
        let script = "test $(readlink -f /dev/watchdog) = /dev/watchdog1 && test -c /dev/watchdog1";
        let found = own.lab.ssh(host, script, SECONDS);
        found.is_ok_and(|output| output.status.success())
    });
    let images = own.sh(host, "cat /var/lib/docker/image/overlay2/repositories.json");
    for image in [pbx::PBX_IMAGE, pbx::DATABASE_IMAGE] {
        assert!(images.contains(image), "Docker has no {image}: {images}");
    }
    let drbd = own.sh(host, "modprobe drbd && head -n 1 /proc/drbd");
    let expected = match std::env::var_os("PORTSIP_HA_DRBD_MODULES") {
        None => "version: 8.4.",
        Some(_) => "version: 9.",
    };
    assert!(drbd.starts_with(expected), "{drbd}");
}

fn until(what: &str, is_so: impl FnMut() -> bool) {
    within(A_WHILE, what, is_so);
}

/// A command as the user, without a password at hand.
fn as_user(own: &OwnLab, host: &Host, command: &str) -> Output {
    own.lab
        .session(host, &[command.to_owned()])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

fn refuses_what_only_ec2_has(own: &OwnLab) {
    assert!(own.lab.status().unwrap().ec2.is_none());
    let refused = own.lab.faults().unwrap_err().to_string();
    assert!(refused.contains("has no EC2"), "{refused}");
}

/// While `host` has the virtual address, a request to the public one is answered from there, and an answer
/// from another address than the virtual one is not heard.
fn telephones_reach_the_virtual_address(own: &OwnLab, host: &Host) {
    let answer = |source: &str| {
        format!(
            "ip address add {VIP}/24 dev enp1s0
             ping -c 1 -W 5 -I {VIP} {ROUTER} >/dev/null
             systemd-run --quiet --unit=sip --collect python3 -c '
import socket
heard = socket.socket(type=socket.SOCK_DGRAM)
heard.bind((\"{VIP}\", 5060))
said = heard if \"{source}\" == \"{VIP}\" else socket.socket(type=socket.SOCK_DGRAM)
if said is not heard:
    said.bind((\"{source}\", 5060))
while True:
    what, whom = heard.recvfrom(2000)
    said.sendto(what + b\" by {host}\", whom)
'",
            host = host.hostname
        )
    };
    let away = format!("systemctl stop sip; ip address del {VIP}/24 dev enp1s0");
    own.sh(host, &answer(&VIP.to_string()));
    until(
        "a telephone hears the machine with the virtual address",
        || call().as_deref() == Some(&format!("hello by {}", host.hostname)),
    );
    own.sh(host, &away);
    own.sh(host, &answer(&host.private_ip.to_string()));
    let heard = || own.sh(host, "ss -Hlun sport = :5060 | wc -l") == "2";
    until("the other program listens", heard);
    assert_eq!(
        call(),
        None,
        "an answer from the machine's own address got through"
    );
    own.sh(host, &away);
}

/// What a telephone on the Internet hears when it says hello to the public address.
fn call() -> Option<String> {
    let socket = netns::in_namespace(&netns::internet(), || Ok(UdpSocket::bind((TELEPHONE, 0))?));
    let socket = socket.unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    socket.send_to(b"hello", (PUBLIC, 5060)).unwrap();
    let mut buffer = [0; 2000];
    let (length, from) = socket.recv_from(&mut buffer).ok()?;
    assert_eq!(from.ip(), PUBLIC);
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn partition(own: &OwnLab, cut: &Host, second: &Host, third: &Host) {
    let reaches = |from: &Host, to: &Host| {
        let ping = format!("ping -c 1 -W 2 {}", to.private_ip);
        own.lab.ssh(from, &ping, A_WHILE).unwrap().status.success()
    };
    own.lab.partition(cut).unwrap();
    assert!(own.lab.status().unwrap().nodes[0].partitioned);
    assert!(!reaches(second, cut) && !reaches(cut, third));
    assert!(reaches(second, third), "the others see each other");
    own.sh(cut, &format!("ping -c 1 -W 5 {ROUTER}"));
    own.lab.heal().unwrap();
    until("they see each other again", || {
        reaches(second, cut) && reaches(cut, third)
    });
}

fn freeze(own: &OwnLab, host: &Host) {
    let boot = own.sh(host, "cat /proc/sys/kernel/random/boot_id");
    let before: f64 = own.sh(host, "date +%s.%N").parse().unwrap();
    own.lab.freeze(host).unwrap();
    assert!(own.lab.status().unwrap().nodes[1].frozen);
    let asked = own.lab.ssh(host, "true", Duration::from_secs(3));
    assert!(
        !asked.is_ok_and(|output| output.status.success()),
        "a frozen machine answers"
    );
    own.lab.thaw(host).unwrap();
    until("the machine answers again", || own.answers(host));
    assert_eq!(own.sh(host, "cat /proc/sys/kernel/random/boot_id"), boot);
    let after: f64 = own.sh(host, "date +%s.%N").parse().unwrap();
    assert!(
        after - before >= 3.0,
        "its clock stood still: {before} to {after}"
    );
}

fn power_cut(own: &OwnLab, host: &Host) {
    own.sh(
        host,
        &format!("printf kept | dd of={DATA_DISK} conv=fsync status=none"),
    );
    own.lab.power_off(host).unwrap();
    assert!(!own.answers(host));
    assert!(!own.lab.status().unwrap().nodes[2].on);
    own.lab.power_on(host).unwrap();
    until("the machine answers again", || own.answers(host));
    assert_eq!(own.sh(host, &format!("head -c 4 {DATA_DISK}")), "kept");
    assert!(own.lab.power_on(host).is_err(), "it has power");
}
