//! `ha-ctl update` with two copies of the data: to a new version; the active node lost while the other copy is the way
//! back; back, also where that is interrupted; and forwards for good. Then back without the node that was active, and with
//! its disk broken. And forwards again, where the copy of before is lost on the way back.

use std::ops::Range;
use std::process::Output;
use std::time::SystemTime;

use lab::demo::writer::{Committed, Writer, missing};
use lab::demo::{Access, cluster, operator};
use lab::site::{Host, Site};

use super::super::cluster::{Clients, Cluster, text};
use super::super::until;
use super::random;

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
    let old = Version::of(&cluster, active);
    let (new, later) = (old.next(), old.next().next());
    make_image(&cluster, active, new);
    let rows = rows(&cluster);

    let planned = cluster.ha_ctl(first, &format!("update {} vars.yml", new.image()));
    println!("{}", text(&planned));
    assert_eq!(planned.status.code(), Some(3), "{}", text(&planned));
    assert!(text(&planned).contains("THERE IS NO SECOND COPY"));
    is_of(&cluster, &old.text(), active);

    to_the_new_version(&cluster, active, &update, new);
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
    is_of(&cluster, &new.text(), active);

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
    is_of(&cluster, &old.text(), now);
    cluster.copies_are_whole(now);
    has(&cluster, &rows);
    let access = Access::through_the_vip(&cluster.own.lab).unwrap();
    assert_eq!(missing(&access, &since).unwrap().len(), since.len());

    make_image(&cluster, now, new);
    make_image(&cluster, now, later);
    to_the_new_version(&cluster, now, &update, new);
    let held = update(&later.image());
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
    is_of(&cluster, &new.text(), moved);
    has(&cluster, &rows);
}

/// After an update, the node with the data is lost. The way back is without it; when it is there again, the same command
/// drops what its copy has of its own.
#[test]
fn the_way_back_without_the_node_that_was_active() {
    let lost = Lost::with_the_new_version();
    lost.power_off();
    lost.is_back_without_it();
    lost.power_on();
    lost.is_taken_out_of_standby();
    lost.comes_along();
}

/// The way back is killed as soon as it is on record, and then the node with the copy of before is lost. What the other
/// one has was not touched.
#[test]
fn forwards_again_without_the_copy_of_before() {
    let lost = Lost::with_the_new_version();
    let Lost {
        cluster,
        node,
        other,
        old,
        rows,
        since,
    } = &lost;
    has_key_and_vars(cluster, node);
    let kill = format!(
        "timeout 300 sh -c 'until {RECORD} | grep -q stage=back; do sleep 0.2; done' && pkill -KILL -x ha-ctl"
    );
    let killed = std::thread::scope(|scope| {
        let going = scope.spawn(|| cluster.ha_ctl(node, "update --rollback vars.yml --yes"));
        cluster.sh(node, &kill);
        going.join().unwrap()
    });
    println!("{}", text(&killed));
    assert!(!killed.status.success(), "{}", text(&killed));
    is_lost(cluster, other, node);

    let back = |arguments: &str| {
        let ran = cluster.ha_ctl(node, &format!("update {arguments} vars.yml"));
        println!("{}", text(&ran));
        ran
    };
    // Who wants the way back is not taken the other way.
    let refused = back("--rollback --yes");
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(
        text(&refused).contains("update --accept"),
        "{}",
        text(&refused)
    );
    assert!(cluster.sh(node, RECORD).contains("stage=back"));
    let given_up = back("--accept --yes");
    assert_eq!(given_up.status.code(), Some(5), "{}", text(&given_up));
    let new = old.next();
    let updated = back(&format!("{} --yes", new.image()));
    assert_eq!(updated.status.code(), Some(4), "{}", text(&updated));
    is_of(cluster, &new.text(), node);
    has(cluster, rows);
    has(cluster, since);

    cluster.own.lab.power_on(other).unwrap();
    cluster.comes_back(other, node);
    let along = back(&format!("{} --yes", new.image()));
    assert_eq!(along.status.code(), Some(0), "{}", text(&along));
    cluster.sh(node, &format!("pcs node standby {}", node.hostname));
    assert_eq!(cluster.active_instead_of(node, other), *other);
    cluster.sh(other, &format!("pcs node unstandby {}", node.hostname));
    is_of(cluster, &new.text(), other);
    has(cluster, rows);
    has(cluster, since);
    cluster.copies_are_whole(other);
}

/// After an update, the disk of the node with the data returns errors, and is replaced.
#[test]
fn the_way_back_with_the_disk_broken_that_was_in_use() {
    let lost = Lost::with_the_new_version();
    lost.cluster.disk_returns_errors(lost.node);
    // Pacemaker tries to start the PBX there once more, and then gives up.
    let given_up =
        "timeout 300 sh -c 'while crm_mon -1 | grep -q \"\\* Promoted\"; do sleep 1; done'";
    lost.cluster.sh(lost.other, given_up);
    let refused = lost.rollback();
    assert_eq!(refused.status.code(), Some(5), "{}", text(&refused));
    assert!(
        text(&refused).contains(&format!("take {}'s power", lost.node.hostname)),
        "{}",
        text(&refused)
    );
    lost.power_off();
    lost.is_back_without_it();
    lost.power_on();
    lost.cluster
        .sh(lost.node, "drbdadm create-md --force pbxdata </dev/null");
    lost.comes_along();
}

/// Prints what is on record of the update.
const RECORD: &str =
    "crm_attribute --type crm_config --set-name portsip-ha-notes --name update --query --quiet";

/// A node that is lost with the new version, while the other copy is the way back.
struct Lost {
    cluster: Cluster,
    node: &'static Host,
    other: &'static Host,
    old: Version,
    rows: Vec<Committed>,
    /// Of the new version.
    since: Vec<Committed>,
}

impl Lost {
    fn with_the_new_version() -> Self {
        let cluster = Cluster::up();
        let (node, other) = cluster.active_and_standby();
        // Another test on this lab may have ended just now.
        cluster.copies_are_whole(node);
        has_key_and_vars(&cluster, other);
        let old = Version::of(&cluster, node);
        make_image(&cluster, node, old.next());
        let rows = rows(&cluster);
        let update = |arguments: &str| {
            let ran = cluster.ha_ctl(other, &format!("update {arguments} vars.yml --yes"));
            println!("{}", text(&ran));
            ran
        };
        to_the_new_version(&cluster, node, &update, old.next());
        let since = self::rows(&cluster);
        Lost {
            cluster,
            node,
            other,
            old,
            rows,
            since,
        }
    }

    fn rollback(&self) -> Output {
        let back = self
            .cluster
            .ha_ctl(self.other, "update --rollback vars.yml --yes");
        println!("{}", text(&back));
        back
    }

    fn power_off(&self) {
        is_lost(&self.cluster, self.node, self.other);
    }

    fn power_on(&self) {
        self.cluster.own.lab.power_on(self.node).unwrap();
        until(&format!("{} is online", self.node.hostname), || {
            cluster::status(&self.cluster.own.lab, self.other)
                .is_ok_and(|status| status.online.iter().any(|it| it == self.node.hostname))
        });
    }

    /// By somebody who does not know why it is in standby. DRBD finds that the two copies have both changed, and the one in
    /// use goes on.
    fn is_taken_out_of_standby(&self) {
        let Lost {
            cluster,
            node,
            other,
            ..
        } = self;
        cluster.sh(other, &format!("pcs node unstandby {}", node.hostname));
        let alone = "timeout 300 sh -c 'until drbdadm cstate pbxdata | grep -q StandAlone; do sleep 1; done'";
        for of_both in [node, other] {
            cluster.sh(of_both, alone);
        }
        assert_eq!(cluster.active_as_seen_by(other), *other);
        self.has_what_it_had();
    }

    fn is_back_without_it(&self) {
        let Lost {
            cluster,
            node,
            other,
            old,
            ..
        } = self;
        let back = self.rollback();
        assert_eq!(back.status.code(), Some(4), "{}", text(&back));
        assert_eq!(cluster.active_as_seen_by(other), *other);
        is_of(cluster, &old.text(), other);
        self.has_what_it_had();
        let brings = format!("ha-ctl update --rollback   brings {} along", node.hostname);
        for said in [back, cluster.ha_ctl(other, "show")] {
            assert!(text(&said).contains(&brings), "{}", text(&said));
        }
        let again = self.rollback();
        assert_eq!(again.status.code(), Some(4), "{}", text(&again));
        let update = cluster.ha_ctl(
            other,
            &format!("update {} vars.yml --yes", old.next().image()),
        );
        assert_eq!(update.status.code(), Some(1), "{}", text(&update));
    }

    /// The node is there again, takes nothing over before the same command is given, and can after it.
    fn comes_along(&self) {
        let Lost {
            cluster,
            node,
            other,
            old,
            ..
        } = self;
        let back = self.rollback();
        assert_eq!(back.status.code(), Some(0), "{}", text(&back));
        cluster.copies_are_whole(other);
        assert_eq!(version_on(cluster, node), old.text());
        let image = cluster.sh(node, "sed -n 's/^pbx_image: //p' /etc/portsip/vars.yml");
        assert_ne!(image, old.next().image());
        cluster.sh(other, &format!("pcs node standby {}", other.hostname));
        assert_eq!(cluster.active_instead_of(other, node), *node);
        cluster.sh(node, &format!("pcs node unstandby {}", other.hostname));
        is_of(cluster, &old.text(), node);
        self.has_what_it_had();
        cluster.copies_are_whole(node);
    }

    /// Every row of before, and none of the new version.
    fn has_what_it_had(&self) {
        has(&self.cluster, &self.rows);
        let access = Access::through_the_vip(&self.cluster.own.lab).unwrap();
        let missing = missing(&access, &self.since).unwrap();
        assert_eq!(missing.len(), self.since.len());
    }
}

/// The user on a node has the key for the others and vars.yml.
fn has_key_and_vars(cluster: &Cluster, node: &Host) {
    operator::put_key(&cluster.own.lab, node).unwrap();
    let own = "install -o pbx -m 600 /etc/portsip/vars.yml ~pbx/vars.yml";
    cluster.sh(node, own);
}

/// A node loses its power, and is fenced.
fn is_lost(cluster: &Cluster, node: &Host, ask: &Host) {
    cluster.own.lab.power_off(node).unwrap();
    cluster.is_offline(node, ask);
    let fenced = "timeout 200 sh -c 'while crm_mon -1 | grep -q UNCLEAN; do sleep 1; done'";
    cluster.sh(ask, fenced);
}

/// Rows go on until the PBX stops and from when it answers, and none is lost.
fn to_the_new_version(
    cluster: &Cluster,
    active: &Host,
    update: &impl Fn(&str) -> Output,
    new: Version,
) {
    let standby = cluster.standby(active);
    let clients = Clients::start(cluster);
    let asked = SystemTime::now();
    let updated = update(&new.image());
    assert!(updated.status.success(), "{}", text(&updated));
    clients.are_served_after(SystemTime::now());
    clients.finish("updated", asked, standby);
    is_of(cluster, &new.text(), active);
    assert_eq!(version_on(cluster, standby), new.text());
    for node in Site::Lan.hosts() {
        let image = cluster.sh(node, "sed -n 's/^pbx_image: //p' /etc/portsip/vars.yml");
        assert_eq!(image, new.image(), "{}", node.hostname);
    }
}

/// A version of the PBX, such as 22.5.0. The second number counts here: a lab is updated more than once.
#[derive(Clone, Copy)]
struct Version(u32);

impl Version {
    /// What runs on a node.
    fn of(cluster: &Cluster, node: &Host) -> Version {
        let version = version_on(cluster, node);
        Version(version.split('.').nth(1).unwrap().parse().unwrap())
    }

    fn next(self) -> Version {
        Version(self.0 + 1)
    }

    fn text(self) -> String {
        format!("22.{}.0", self.0)
    }

    fn image(self) -> String {
        format!("portsip/pbx:22.{}", self.0)
    }
}

/// An image of a version, on one node alone.
fn make_image(cluster: &Cluster, node: &Host, version: Version) {
    let script = format!(
        "set -e
         docker create --name newer $(docker inspect --format '{{{{.Image}}}}' portsip.callmanager) true >/dev/null
         docker commit --change 'LABEL version={version}' --change 'ENV PORTSIP_VERSION={version}' newer {} >/dev/null
         docker rm newer >/dev/null",
        version.image(),
        version = version.text(),
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
