//! `ha-ctl update` with two copies of the data: to a new version; the active node lost while the other copy is the way
//! back; back, also where that is interrupted; and forwards for good.

use std::ops::Range;
use std::process::Output;
use std::time::SystemTime;

use lab::demo::Access;
use lab::demo::writer::{Committed, Writer, missing};
use lab::site::{Host, Site};

use super::super::cluster::{Clients, Cluster, text};
use super::super::until;
use super::random;

const OLD: &str = "22.4.0";
const NEW: &str = "22.5.0";
/// The way back is killed within these seconds.
const KILLED_WITHIN: Range<u64> = 1..60;

#[test]
fn an_update_goes_forwards_and_back() {
    let cluster = Cluster::up();
    // vars.yml and the user's key are there.
    let first = Site::Lan.hosts()[0];
    let update = |arguments: &str| {
        let ran = cluster.ha_ctl(first, &format!("update {arguments} vars.yml --yes"));
        println!("{}", text(&ran));
        ran
    };
    let (active, standby) = cluster.active_and_standby();
    make_images(&cluster, active);
    let rows = rows(&cluster);

    let planned = cluster.ha_ctl(first, "update portsip/pbx:22.5 vars.yml");
    println!("{}", text(&planned));
    assert_eq!(planned.status.code(), Some(3), "{}", text(&planned));
    assert!(text(&planned).contains("THERE IS NO SECOND COPY"));
    is_of(&cluster, OLD, active);

    to_the_new_version(&cluster, active, &update);
    let shown = cluster.ha_ctl(first, "show");
    assert!(text(&shown).contains("update --accept"), "{}", text(&shown));

    // The copy of before is not served, whatever happens to the other one.
    let clients = Clients::start(&cluster);
    let cut = SystemTime::now();
    cluster.own.lab.power_off(active).unwrap();
    cluster.is_offline(active, standby);
    cluster.own.lab.power_on(active).unwrap();
    assert_eq!(cluster.active_as_seen_by(standby), active);
    clients.are_served_after(SystemTime::now());
    clients.finish("the active node lost, with no second copy", cut, active);
    is_of(&cluster, NEW, active);

    let since = self::rows(&cluster);
    let after = random(KILLED_WITHIN);
    println!("the way back is killed after {after} s");
    let killed = cluster.ha_ctl_by(
        first,
        &format!("timeout --signal KILL {after}"),
        "update --rollback vars.yml --yes",
    );
    println!("{}", text(&killed));
    let back = update("--rollback");
    let is_back = back.status.success() || text(&back).contains("no update is on record");
    assert!(is_back, "{}", text(&back));
    let (now, other) = cluster.active_and_standby();
    is_of(&cluster, OLD, now);
    cluster.copies_are_whole(now);
    has(&cluster, &rows);
    let access = Access::through_the_vip(&cluster.own.lab).unwrap();
    assert_eq!(missing(&access, &since).unwrap().len(), since.len());

    make_images(&cluster, now);
    to_the_new_version(&cluster, now, &update);
    let held = update("portsip/pbx:22.6");
    assert_eq!(held.status.code(), Some(1), "{}", text(&held));
    assert!(text(&held).contains("no second copy of what is there now"));
    let accepted = update("--accept");
    assert!(accepted.status.success(), "{}", text(&accepted));
    cluster.copies_are_whole(now);
    let back = update("--rollback");
    assert_eq!(back.status.code(), Some(1), "{}", text(&back));
    assert!(
        text(&back).contains("no copy of before is left"),
        "{}",
        text(&back)
    );
    has(&cluster, &rows);
    cluster.sh(now, &format!("pcs node standby {}", now.hostname));
    let moved = cluster.active_instead_of(now, other);
    cluster.sh(moved, &format!("pcs node unstandby {}", now.hostname));
    is_of(&cluster, NEW, moved);
    has(&cluster, &rows);
}

/// Rows go on until the PBX stops and from when it answers, and none is lost.
fn to_the_new_version(cluster: &Cluster, active: &Host, update: &impl Fn(&str) -> Output) {
    let standby = cluster.standby(active);
    let clients = Clients::start(cluster);
    let asked = SystemTime::now();
    let updated = update("portsip/pbx:22.5");
    assert!(updated.status.success(), "{}", text(&updated));
    clients.are_served_after(SystemTime::now());
    clients.finish("updated", asked, standby);
    is_of(cluster, NEW, active);
    assert_eq!(version_on(cluster, standby), NEW);
    for node in Site::Lan.hosts() {
        let image = cluster.sh(node, "sed -n 's/^pbx_image: //p' /etc/portsip/vars.yml");
        assert_eq!(image, "portsip/pbx:22.5", "{}", node.hostname);
    }
}

/// Images of the new version and of a later one, on one node alone.
fn make_images(cluster: &Cluster, node: &Host) {
    let commit = |version: &str, name: &str| {
        format!(
            "docker commit --change 'LABEL version={version}' --change 'ENV PORTSIP_VERSION={version}' newer {name}"
        )
    };
    let script = format!(
        "(docker create --name newer portsip/pbx:22 true && {} && {} && docker rm newer) >/dev/null",
        commit(NEW, "portsip/pbx:22.5"),
        commit("22.6.0", "portsip/pbx:22.6"),
    );
    cluster.sh(node, &script);
}

/// Writes rows for a moment, all of which are there.
fn rows(cluster: &Cluster) -> Vec<Committed> {
    let access = Access::through_the_vip(&cluster.own.lab).unwrap();
    let writer = Writer::start(&access).unwrap();
    let begun = SystemTime::now();
    until("a row is written", || writer.first_after(begun).is_some());
    let rows = writer.finish();
    has(cluster, &rows);
    rows
}

#[track_caller]
fn has(cluster: &Cluster, rows: &[Committed]) {
    let access = Access::through_the_vip(&cluster.own.lab).unwrap();
    assert_eq!(missing(&access, rows).unwrap(), Vec::<i64>::new());
}

fn version_on(cluster: &Cluster, node: &Host) -> String {
    let inspect = "docker inspect --format '{{index .Config.Labels \"version\"}}' portsip.callmanager portsip.nats | sort -u";
    cluster.sh(node, inspect)
}

#[track_caller]
fn is_of(cluster: &Cluster, version: &str, active: &Host) {
    assert_eq!(version_on(cluster, active), version);
    let data = cluster.sh(active, "cat /var/lib/portsip/pbx/VERSION");
    assert_eq!(data, version);
}
