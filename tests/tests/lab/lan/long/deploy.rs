//! `ha-ctl deploy` on stock machines whose sudo asks for a password: killed in the middle on one node, and run again from
//! another. It ends in a cluster that runs, and run once more it changes nothing.

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, SystemTime};

use lab::demo::lan::{self, storage};
use lab::demo::operator::{self, DEPLOY};
use lab::lab::Options;
use lab::pbx;
use lab::site::Host;
use lab::site::Site;
use lab::site::lan::{HOSTS, PASSWORD};

use super::super::super::OwnLab;
use super::super::cluster::{Clients, Cluster, text};
use super::random;

/// Longer than a deployment on three kernels, beside other work.
const LIMIT: Duration = Duration::from_secs(2400);
/// The first kill comes within these seconds: anywhere from the first look to the first data.
const KILLED_WITHIN: std::ops::Range<u64> = 20..300;

#[test]
fn a_deployment_that_is_killed_goes_on_from_another_node() {
    let deb = std::env::var_os("PORTSIP_HA_DEB").expect("PORTSIP_HA_DEB names a package");
    let own = OwnLab::of(Options {
        site: Site::Lan,
        ..Options::default()
    });
    let [first, second, voter] = HOSTS.each_ref();
    let drbd = storage::version(&own.lab, first).unwrap();
    for node in [first, second] {
        operator::equip(&own.lab, node, &PathBuf::from(&deb), &lan::vars_yml(drbd)).unwrap();
    }
    lan::put_compose_file(&own.lab, first).unwrap();
    nothing_is_changed_without_a_yes(&own, second);

    let after = random(KILLED_WITHIN);
    println!("killing ha-ctl on {} after {after} s", first.hostname);
    let killed = ha_ctl(
        &own,
        first,
        &format!("timeout --signal KILL {after} "),
        "--yes",
    );
    println!("{}", text(&killed));
    let done = ha_ctl(&own, second, "", "--yes");
    println!("{}", text(&done));
    assert!(done.status.success(), "{}", text(&done));
    assert!(text(&done).contains("the PBX answers"), "{}", text(&done));

    let cluster = Cluster::of(own);
    let active = cluster.active();
    cluster.copies_are_whole(active);
    if drbd == lan::Drbd::Eight {
        let found = cluster.sh(
            voter,
            "ls /etc/portsip/pbx /etc/drbd.d/pbxdata.res 2>/dev/null; lsblk --noheadings --output TYPE /dev/ubdb",
        );
        assert_eq!(found, "disk", "the voter has no data and no PBX");
    }
    for node in &HOSTS {
        no_password_is_left_on(&cluster, node);
    }
    let clients = Clients::start(&cluster);
    let now = SystemTime::now();
    clients.are_served_after(now);

    let again = ha_ctl(&cluster.own, first, "", "--yes");
    println!("{}", text(&again));
    assert!(
        String::from_utf8_lossy(&again.stdout).starts_with("nothing to change"),
        "{}",
        text(&again)
    );
    clients.finish("deployed again", now, voter);
}

/// Runs ha-ctl as the user, without a terminal.
fn ha_ctl(own: &OwnLab, node: &Host, before: &str, options: &str) -> Output {
    let ran = operator::with_sudo_password(&own.lab, node, |password| {
        let line = format!("{before}{DEPLOY} {password} {options} </dev/null");
        own.lab.ssh_as_user(node, &line, LIMIT)
    });
    ran.unwrap()
}

fn nothing_is_changed_without_a_yes(own: &OwnLab, node: &Host) {
    let ran = ha_ctl(own, node, "", "");
    assert_eq!(ran.status.code(), Some(3), "{}", text(&ran));
    println!("{}", text(&ran));
    let planned = String::from_utf8_lossy(&ran.stdout);
    for what in [
        "have the kernel's software watchdog",
        "have Docker run",
        "make the nodes the cluster ha_cluster",
        "make the copies of the data",
        "prepare the data",
        "configure the cluster's resources",
    ] {
        assert!(planned.contains(what), "{what}: {planned}");
    }
    let left = own.sh(
        node,
        "ls /etc/portsip /var/lib/portsip-ha /dev/watchdog 2>/dev/null; systemctl is-active docker || :",
    );
    assert_eq!(left, "inactive");
}

/// Neither the password of sudo nor that of the database is anywhere but where it belongs.
fn no_password_is_left_on(cluster: &Cluster, node: &Host) {
    // Backwards: sudo writes into the journal what this runs.
    let backwards: String = PASSWORD.chars().rev().collect();
    let found = cluster.sh(
        node,
        &format!(
            "for password in $(echo {backwards} | rev) $(cat {} 2>/dev/null); do
                 journalctl --boot --output=cat | grep -F -- $password
                 grep -rlF -- $password /var/lib/portsip-ha /etc/portsip /home /tmp /root 2>/dev/null
             done; exit 0",
            pbx::DATABASE_PASSWORD_FILE
        ),
    );
    let found: Vec<&str> = found
        .lines()
        .filter(|line| *line != pbx::DATABASE_PASSWORD_FILE)
        .collect();
    assert_eq!(found, Vec::<&str>::new(), "on {}", node.hostname);
}
