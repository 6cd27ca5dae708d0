//! `ha-ctl update` on AWS: to a new version and back, with the rows of the database counted each time; an update that
//! fails, one that is killed, and one from which a node was away.

use std::time::{Duration, Instant, SystemTime};

use lab::demo::Access;
use lab::demo::cluster::{self, VARS};
use lab::demo::operator as own;
use lab::demo::sip::Phone;
use lab::demo::writer::{Committed, Writer, missing};
use lab::ec2::{Injection, Principal, SnapshotFault};
use lab::lab::turn;
use lab::netns;
use lab::site::{self, INSTANCES, Instance};

use crate::extend::{power_off, power_on_after_fencing};
use crate::operator::{Operator, Ran};
use crate::stock::random;
use crate::{Cluster, master};

/// What the PBX runs from.
const OLD: &str = "22.4.0";
const NEW: &str = "22.5.0";

#[test]
fn an_update_goes_forwards_and_back() {
    let _turn = turn().unwrap();
    let cluster = Cluster::up();
    let operator = cluster.operator(0);
    let update = Update::by(&cluster, &operator);
    update.an_older_image_is_refused_before_anything_stops();
    update.a_snapshot_that_fails_leaves_the_pbx_as_it_is();
    update.a_snapshot_at_rest_that_fails_starts_the_pbx_again();
    let before = update.rows();
    update.to_the_new_version();
    update.a_node_that_was_away_is_brought_along();
    update.back_from_the_new_version(&before);
}

#[test]
fn an_update_that_fails_or_is_killed_goes_on_or_back() {
    let _turn = turn().unwrap();
    let cluster = Cluster::up();
    let operator = cluster.operator(0);
    let update = Update::by(&cluster, &operator);
    update.a_migration_that_fails_has_a_way_back();
    update.what_was_killed_goes_on();
}

#[test]
fn an_update_without_a_node_and_in_the_vendors_order_with_every_option() {
    let _turn = turn().unwrap();
    let cluster = Cluster::up();
    let operator = cluster.operator(0);
    let update = Update::by(&cluster, &operator);
    let before = update.a_node_that_is_off_gets_its_containers_later();
    update.back_without_a_node_that_comes_along_later(&before);
    update.stopped_by_hand_and_left_stopped_with_another_compose_file();
    update.by_the_vendors_script();
}

struct Update<'a> {
    cluster: &'a Cluster,
    operator: &'a Operator<'a>,
    access: Access,
}

impl<'a> Update<'a> {
    /// The first node has the data, the key for the others, and the operator's credentials.
    fn by(cluster: &'a Cluster, operator: &'a Operator<'a>) -> Self {
        own::put_key(&cluster.lab, operator.node).unwrap();
        operator.has_a_profile();
        assert_eq!(master(operator), operator.node.hostname);
        Update {
            cluster,
            operator,
            access: Access::through_the_vip(&cluster.lab).unwrap(),
        }
    }

    /// An image of another version under a name, on the node with the data alone. `initdt` is its program that migrates.
    fn image(&self, name: &str, version: &str, initdt: Option<&str>) {
        let replace = initdt.map_or_else(String::new, |script| {
            format!(
                "printf '%s\\n' '#!/bin/sh' '{script}' >/tmp/initdt.sh && chmod 755 /tmp/initdt.sh &&
                 docker cp /tmp/initdt.sh newer:/usr/local/bin/initdt.sh &&"
            )
        });
        let make = format!(
            "docker create --name newer portsip/pbx:22 true && {replace}
             docker commit --change 'LABEL version={version}' --change 'ENV PORTSIP_VERSION={version}' newer {name} &&
             docker rm newer"
        );
        self.operator.as_root(&make).succeeded();
    }

    fn run(&self, arguments: &str) -> Ran {
        let ran = self.operator.as_root(&format!(
            "ha-ctl update {arguments} {VARS} --profile operator --yes --accept-new-host-keys </dev/null"
        ));
        eprintln!("{ran}");
        ran
    }

    /// The nodes may not use the new volume before the policy names it; what is said then makes that policy.
    fn run_back_with_the_policy_of_both_volumes(&self) -> Ran {
        let before = self.started();
        let refused = self.run("--rollback");
        assert_eq!(refused.status, 5, "{refused}");
        assert_eq!(self.started(), before, "{refused}");
        let lines = &mut refused.stderr.lines().map(str::trim);
        let print = lines.find(|line| line.starts_with("cib-gen --format iam-policy"));
        let print = print.unwrap_or_else(|| panic!("no command: {refused}"));
        let print = format!("cd /etc/portsip && {print} && cat policy.json && rm policy.json");
        let policy = self.operator.as_root(&print).succeeded();
        let lab = &self.cluster.lab;
        lab.put_policy(Principal::Role, &policy).unwrap();
        let back = self.run("--rollback");
        assert!(back.stdout.contains("iam-policy-operator"), "{back}");
        // The operator's names the new volume.
        self.operator.has_a_profile();
        back
    }

    /// Writes rows for a moment, all of which are there.
    fn rows(&self) -> Vec<Committed> {
        let writer = Writer::start(&self.access).unwrap();
        let begun = SystemTime::now();
        while writer.first_after(begun).is_none() {
            std::thread::sleep(Duration::from_millis(100));
        }
        let rows = writer.finish();
        self.has(&rows);
        rows
    }

    #[track_caller]
    fn has(&self, rows: &[Committed]) {
        assert_eq!(missing(&self.access, rows).unwrap(), Vec::<i64>::new());
    }

    /// When the PBX was started.
    fn started(&self) -> String {
        let inspect =
            "docker inspect --format '{{.State.StartedAt}} {{.Image}}' portsip.callmanager";
        self.operator.as_root(inspect).succeeded()
    }

    /// The version of the PBX's containers on a node.
    fn version_on(&self, node: usize) -> String {
        let inspect = "docker inspect --format '{{index .Config.Labels \"version\"}}' portsip.callmanager portsip.nats | sort -u";
        let version = self.cluster.operator(node).as_root(inspect).succeeded();
        version.trim().to_owned()
    }

    #[track_caller]
    fn is_of(&self, version: &str, nodes: &[usize]) {
        for node in nodes {
            assert_eq!(
                self.version_on(*node),
                version,
                "{}",
                INSTANCES[*node].hostname
            );
        }
        let data = self.operator.as_root("cat /var/lib/portsip/pbx/VERSION");
        assert_eq!(data.succeeded().trim(), version);
        let shown = self.operator.ha_ctl("show").stdout;
        assert!(!shown.contains("an update"), "{shown}");
    }

    fn an_older_image_is_refused_before_anything_stops(&self) {
        self.image("portsip/pbx:22.3", "22.3.0", None);
        let before = self.started();
        let refused = self.run("portsip/pbx:22.3");
        assert_eq!(refused.status, 1, "{refused}");
        assert!(
            refused.stderr.contains("the data is newer: 22.4.0"),
            "{refused}"
        );
        assert_eq!(self.started(), before);
        let none = self.run("--rollback");
        assert_eq!(none.status, 1, "{none}");
        assert!(none.stderr.contains("no update is on record"), "{none}");
    }

    fn a_snapshot_that_fails_leaves_the_pbx_as_it_is(&self) {
        self.image("portsip/pbx:22.5", NEW, None);
        let before = self.started();
        let fault = Injection::of(SnapshotFault::Fails);
        let fault = self.cluster.lab.inject(&fault).unwrap();
        let failed = self.run("portsip/pbx:22.5");
        self.cluster.lab.clear_faults(Some(fault)).unwrap();
        assert_eq!(failed.status, 5, "{failed}");
        assert_eq!(self.started(), before, "{failed}");
        let shown = self.operator.ha_ctl("show").stdout;
        assert!(!shown.contains("an update"), "{shown}");
    }

    /// The PBX is stopped for it then, and starts again as it was.
    fn a_snapshot_at_rest_that_fails_starts_the_pbx_again(&self) {
        let rows = self.rows();
        let failed = std::thread::scope(|scope| {
            let running = scope.spawn(|| self.run("portsip/pbx:22.5"));
            let stopped = "timeout 200 sh -c 'until pcs resource config pbx | grep -q target-role=Stopped; do sleep 0.2; done'";
            self.operator.as_root(stopped).succeeded();
            let fault = Injection::of(SnapshotFault::Fails);
            let fault = self.cluster.lab.inject(&fault).unwrap();
            let failed = running.join().unwrap();
            self.cluster.lab.clear_faults(Some(fault)).unwrap();
            failed
        });
        assert_eq!(failed.status, 5, "{failed}");
        assert!(failed.stderr.contains("The PBX runs as before"), "{failed}");
        self.is_of(OLD, &[0, 1, 2]);
        self.has(&rows);
    }

    /// Rows and SIP go on until it stops and from when it answers, and no row is lost.
    fn to_the_new_version(&self) {
        let writer = Writer::start(&self.access).unwrap();
        let phone = Phone::start(&netns::internet(), site::CLIENT, site::EIP).unwrap();
        let from = SystemTime::now();
        let updated = self.run("portsip/pbx:22.5");
        updated.succeeded();
        let to = SystemTime::now();
        std::thread::sleep(Duration::from_secs(2));
        let pause = crate::grow::longest_pause(&phone.answers(), from, to);
        eprintln!("without SIP while the PBX was updated: {pause:?}");
        let rows = writer.finish();
        assert!(
            rows.last()
                .is_some_and(|row| row.at > to - Duration::from_secs(10)),
            "{updated}"
        );
        self.has(&rows);
        self.is_of(NEW, &[0, 1, 2]);
        assert!(
            updated.stdout.contains("ha-ctl update --rollback"),
            "{updated}"
        );
        for node in 0..3 {
            let vars = self
                .cluster
                .operator(node)
                .as_root(&format!("grep pbx_image {VARS}"));
            assert_eq!(vars.succeeded().trim(), "pbx_image: portsip/pbx:22.5");
        }
        let again = self.run("portsip/pbx:22.5");
        assert!(again.succeeded().contains("nothing to update"), "{again}");
    }

    /// It has the containers of before, and the same command brings it along.
    fn a_node_that_was_away_is_brought_along(&self) {
        let node = self.cluster.operator(2);
        let older = "docker rm --force $(docker ps --all --quiet --filter label=com.docker.compose.project=portsip) &&
                     sed -i s,^PBX_IMAGE=.*,PBX_IMAGE=portsip/pbx:22, /etc/portsip/pbx/.env &&
                     docker compose --project-directory /etc/portsip/pbx create --no-recreate &&
                     docker image rm --force portsip/pbx:22.5";
        node.as_root(older).succeeded();
        assert_eq!(self.version_on(2), OLD);
        let before = self.started();
        self.run("portsip/pbx:22.5").succeeded();
        self.is_of(NEW, &[0, 1, 2]);
        assert_eq!(self.started(), before, "the PBX was stopped for it");
    }

    /// What came after the update is on the old volume, and everything of before is there.
    fn back_from_the_new_version(&self, before: &[Committed]) {
        let since = self.rows();
        let asked = self.operator.as_root(&format!(
            "ha-ctl update --rollback {VARS} --profile operator </dev/null"
        ));
        assert_eq!(asked.status, 3, "{asked}");
        assert!(asked.stdout.contains("is LOST"), "{asked}");
        self.run_back_with_the_policy_of_both_volumes().succeeded();
        self.is_of(OLD, &[0, 1, 2]);
        self.has(before);
        assert_eq!(missing(&self.access, &since).unwrap().len(), since.len());
        let old = self.operator.as_root(&format!(
            "aws ec2 describe-volumes --volume-ids {}",
            site::VOLUME_ID
        ));
        assert!(old.succeeded().contains("available"), "{old}");
        for node in 0..3 {
            let vars = self.cluster.operator(node).as_root(&format!("cat {VARS}"));
            let vars = vars.succeeded();
            assert!(
                !vars.contains(site::VOLUME_ID) && vars.contains("portsip/pbx:22\n"),
                "{vars}"
            );
        }
    }

    /// Nobody can start a PBX on what it has left.
    fn a_migration_that_fails_has_a_way_back(&self) {
        let rows = self.rows();
        self.image(
            "portsip/pbx:22.6",
            "22.6.0",
            Some("echo no room for the new index; exit 1"),
        );
        let failed = self.run("portsip/pbx:22.6");
        assert_eq!(failed.status, 5, "{failed}");
        assert!(
            failed.stderr.contains("no room for the new index"),
            "{failed}"
        );
        let shown = self.operator.ha_ctl("show").stdout;
        assert!(shown.contains("half of the new version"), "{shown}");
        let pbx = self
            .operator
            .as_root("crm_resource --resource pbx --force-start 2>&1");
        assert!(pbx.stdout.contains("between two versions"), "{pbx}");
        self.run_back_with_the_policy_of_both_volumes().succeeded();
        self.is_of(OLD, &[0, 1, 2]);
        self.has(&rows);
    }

    /// Killed a moment after each stage was written down, and run again.
    fn what_was_killed_goes_on(&self) {
        const STAGES: [&str; 4] = ["migrating", "stopped", "migrated", "done"];
        let kills: u32 =
            std::env::var("PORTSIP_HA_KILLS").map_or(5, |kills| kills.parse().unwrap());
        let rows = self.rows();
        for (number, stage) in (1..=kills).zip(STAGES.into_iter().cycle()) {
            let version = format!("22.7.{number}");
            let image = format!("portsip/pbx:{version}");
            self.image(&image, &version, None);
            let later = random(Duration::from_secs(2)).as_secs_f32();
            let killed = self.operator.as_root(&format!(
                "ha-ctl update {image} {VARS} --profile operator --yes </dev/null & ha_ctl=$!
                 note() {{ crm_attribute --type crm_config --set-name portsip-ha-notes --name update --query 2>/dev/null; }}
                 until note | grep -q 'to={version}; stage={stage}' || ! kill -0 $ha_ctl; do sleep 0.1; done
                 sleep {later}; kill -KILL $ha_ctl; wait $ha_ctl; echo ended with $?"
            ));
            eprintln!("killed {later} s after {stage}: {killed}");
            let again = self.run(&image);
            again.succeeded();
            self.is_of(&version, &[0, 1, 2]);
            self.has(&rows);
        }
        let limit = cluster::MINUTES;
        let anywhere = |_: &str| true;
        cluster::wait_until_active(&self.cluster.lab, self.operator.node, limit, anywhere).unwrap();
    }

    fn is_lost(&self, node: &Instance) {
        power_off(self.cluster, node);
        let fenced = format!(
            "timeout 200 sh -c 'until crm_mon -1 | grep -q \"OFFLINE.*{}\"; do sleep 1; done'",
            node.hostname
        );
        self.operator.as_root(&fenced).succeeded();
    }

    fn is_there_again(&self, node: &Instance) {
        power_on_after_fencing(self.cluster, node);
        let online = format!(
            "timeout 200 sh -c 'until crm_mon --output-as=xml | grep -q \"<node name=.{}. .*online=.true\"; do sleep 1; done'",
            node.hostname
        );
        self.operator.as_root(&online).succeeded();
    }

    /// Returns the rows of before.
    fn a_node_that_is_off_gets_its_containers_later(&self) -> Vec<Committed> {
        let rows = self.rows();
        self.image("portsip/pbx:22.5", NEW, None);
        let off = &INSTANCES[2];
        self.is_lost(off);
        let updated = self.run("portsip/pbx:22.5");
        assert_eq!(updated.status, 4, "{updated}");
        assert!(
            updated
                .stderr
                .contains(&format!("{} cannot take over until", off.hostname)),
            "{updated}"
        );
        self.is_of(NEW, &[0, 1]);
        self.is_there_again(off);
        // Docker there may not be up yet.
        let until = Instant::now() + Duration::from_secs(100);
        let lags = format!("portsip/pbx:22 on {}", off.hostname);
        loop {
            let shown = self
                .operator
                .as_root("ha-ctl show --accept-new-host-keys </dev/null");
            if shown.stdout.contains(&lags) {
                break;
            }
            assert!(Instant::now() < until, "no `{lags}`: {shown}");
        }
        let before = self.started();
        self.run("portsip/pbx:22.5").succeeded();
        self.is_of(NEW, &[0, 1, 2]);
        assert_eq!(self.started(), before, "the PBX was stopped for it");
        self.has(&rows);
        rows
    }

    /// It has containers of the new version, and is in standby until the same command makes those of before.
    fn back_without_a_node_that_comes_along_later(&self, rows: &[Committed]) {
        let off = &INSTANCES[2];
        self.is_lost(off);
        let back = self.run_back_with_the_policy_of_both_volumes();
        assert_eq!(back.status, 4, "{back}");
        self.has(rows);
        let brings = format!("ha-ctl update --rollback   brings {} along", off.hostname);
        assert!(back.stdout.contains(&brings), "{back}");
        let before = self.started();
        self.is_there_again(off);
        let shown = self.operator.ha_ctl("show").stdout;
        assert!(shown.contains(&brings), "{shown}");
        assert_eq!(self.version_on(2), NEW);
        let docker = "timeout 100 sh -c 'until docker info >/dev/null 2>&1; do sleep 1; done'";
        self.cluster.operator(2).as_root(docker).succeeded();
        self.run("--rollback").succeeded();
        self.is_of(OLD, &[0, 1, 2]);
        assert_eq!(self.started(), before, "the PBX was stopped for it");
        let shown = self.operator.ha_ctl("show").stdout;
        assert!(!shown.contains("standby"), "{shown}");
        self.has(rows);
    }

    /// `stop -s pbx`, the update, and the PBX is not started.
    fn stopped_by_hand_and_left_stopped_with_another_compose_file(&self) {
        let rows = self.rows();
        self.image("portsip/pbx:22.6", "22.6.0", None);
        self.operator.ha_ctl("stop -s pbx").succeeded();
        let compose = "sed '1i # the compose file of 22.6' /etc/portsip/pbx/docker-compose.yml >/root/new.yml";
        self.operator.as_root(compose).succeeded();
        self.run("portsip/pbx:22.6 -c --compose-file /root/new.yml --leave-stopped --shorter-gap")
            .succeeded();
        let shown = self.operator.ha_ctl("show").stdout;
        assert!(shown.contains("pbx is disabled"), "{shown}");
        for node in 0..3 {
            let found = self.cluster.operator(node).as_root(
                "head -n 1 /etc/portsip/pbx/docker-compose.yml; grep COMPOSE_PROFILES /etc/portsip/pbx/.env;
                 docker inspect --format '{{.State.Running}}' portsip.certmanager portsip.callmanager",
            );
            assert_eq!(
                found.succeeded(),
                "# the compose file of 22.6\nCOMPOSE_PROFILES=certmanager\nfalse\nfalse\n"
            );
        }
        self.operator.ha_ctl("start -s pbx").succeeded();
        self.is_of("22.6.0", &[0, 1, 2]);
        let runs = "docker inspect --format '{{.State.Running}}' portsip.certmanager";
        assert_eq!(self.operator.as_root(runs).succeeded(), "true\n");
        self.has(&rows);
    }

    fn by_the_vendors_script(&self) {
        let rows = self.rows();
        self.image("portsip/pbx:22.7", "22.7.0", None);
        let script = "ha-ctl vendor-scripts /root/vendor && cd /root/vendor &&
                      AWS_PROFILE=operator sh ./update.sh portsip/pbx:22.7 --yes --accept-new-host-keys </dev/null";
        self.operator.as_root(script).succeeded();
        self.is_of("22.7.0", &[0, 1, 2]);
        self.has(&rows);
    }
}
