//! The volume gets stuck on its way, or its device is not as expected.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use lab::ec2::{CallFault, Injection, MetadataFault, VolumeFault};
use lab::site::{self, INSTANCES};

use super::scenario::{LONG, NOISE, Right, SHORT, Seen, act, in_parallel, note};
use super::table::Table;
use crate::node::{Answer, Site};

/// A fault, and what is done under it.
type Case = (&'static str, fn() -> Seen);

const AGENT: &str = "awsebs";
const N1: &str = INSTANCES[0].host.id;

fn with(fault: VolumeFault) -> Site {
    let site = Site::new();
    site.ec2.inject(Injection::of(fault));
    site
}

/// Actions on the first node.
fn acts(site: &Site, actions: &[&'static str]) -> Seen {
    acts_within(SHORT, site, actions)
}

fn acts_within(timeout: Duration, site: &Site, actions: &[&'static str]) -> Seen {
    actions
        .iter()
        .map(|action| (*action, act(site, 0, AGENT, action, timeout)))
        .collect()
}

fn stays_attaching() -> Seen {
    acts(
        &with(VolumeFault::StaysAttaching),
        &["start", "monitor", "stop"],
    )
}

fn no_device() -> Seen {
    let site = with(VolumeFault::NoDevice);
    let mut seen = acts_within(LONG, &site, &["start"]);
    seen.extend(acts(&site, &["monitor", "stop"]));
    seen
}

fn stays_busy_at_the_stop() -> Seen {
    let site = with(VolumeFault::StaysBusy);
    site.agent(0, AGENT, "start").expect(0);
    acts(&site, &["stop", "monitor", "monitor 10"])
}

fn busy_elsewhere() -> Seen {
    let site = with(VolumeFault::StaysBusy);
    site.agent(1, AGENT, "start").expect(0);
    let seen = acts_within(LONG, &site, &["start"]);
    assert!(site.machines.has_device(INSTANCES[1].id), "it was taken");
    seen
}

fn mounted_elsewhere() -> Seen {
    let site = Site::new();
    site.agent(1, AGENT, "start").expect(0);
    site.machines.held.store(true, Ordering::SeqCst);
    let seen = acts_within(LONG, &site, &["start"]);
    assert!(site.machines.has_device(INSTANCES[1].id), "it was taken");
    seen
}

fn other_name() -> Seen {
    let site = Site::new();
    site.agent(0, AGENT, "start").expect(0);
    site.agent(0, AGENT, "stop").expect(0);
    site.ec2.inject(Injection::of(VolumeFault::OtherName));
    let seen = acts(&site, &["start", "monitor", "monitor 10", "stop"]);
    assert!(site.machines.detached.lock().unwrap().len() > 1);
    seen
}

fn device_taken_away() -> Seen {
    let site = Site::new();
    site.agent(0, AGENT, "start").expect(0);
    site.call(
        "DetachVolume",
        &[
            ("VolumeId", site::VOLUME_ID),
            ("InstanceId", N1),
            ("Force", "true"),
        ],
    );
    site.wait("the device is gone", || !site.machines.has_device(N1));
    acts(&site, &["monitor", "stop"])
}

fn somebody_detaches() -> Seen {
    let site = with(VolumeFault::StaysBusy);
    site.agent(0, AGENT, "start").expect(0);
    site.call(
        "DetachVolume",
        &[("VolumeId", site::VOLUME_ID), ("InstanceId", N1)],
    );
    acts(&site, &["monitor", "monitor 5", "monitor 10"])
}

/// A start on the first node while the second has the volume and runs; `given` changes the first one's environment.
fn taken_over(given: &str) -> Seen {
    let site = Site::new();
    site.agent(1, AGENT, "start").expect(0);
    started_with(&site, given)
}

fn started_with(site: &Site, given: &str) -> Seen {
    let script = format!("{given}; export OCF_RESKEY_CRM_meta_timeout=12000; exec $AGENT start");
    vec![(
        "start",
        site.inside(0, AGENT, &script).timeout(LONG + NOISE),
    )]
}

/// The same, and nothing is taken.
fn refused(given: &str) -> Seen {
    let site = Site::new();
    site.agent(1, AGENT, "start").expect(0);
    let seen = started_with(&site, given);
    assert_eq!(site.calls("DetachVolume"), 0, "{given}");
    seen
}

fn of_a_member() -> Seen {
    taken_over("true")
}

fn of_nobody_known() -> Seen {
    refused("unset OCF_RESKEY_cluster_instances")
}

fn of_a_stranger() -> Seen {
    refused(&format!("export OCF_RESKEY_cluster_instances={N1}"))
}

fn without_fencing() -> Seen {
    refused("export STONITH_ENABLED=false")
}

fn while_it_runs_there() -> Seen {
    refused("export RUNS_ON=pbx02")
}

fn stopped_in_maintenance() -> Seen {
    refused("export LEFT_ON=pbx02")
}

fn without_pacemaker() -> Seen {
    refused("export NO_PACEMAKER=yes")
}

fn of_a_stopped_stranger() -> Seen {
    let site = Site::new();
    site.agent(1, AGENT, "start").expect(0);
    site.stop_instance(INSTANCES[1].id);
    started_with(&site, "unset OCF_RESKEY_cluster_instances")
}

fn name_just_taken() -> Seen {
    let site = Site::new();
    let other = "vol-0a0a0a0a0a0a0a0a0";
    site.ec2.add_volume(other, site::ZONE).unwrap();
    // Descriptions do not show it for as long as the test lasts.
    let stale = Injection::of(CallFault::Stale).on(&["DescribeInstances"]);
    site.ec2.inject(stale.by(Duration::from_secs(600)));
    let parameters = [
        ("VolumeId", other),
        ("InstanceId", N1),
        ("Device", "/dev/sdf"),
    ];
    site.call("AttachVolume", &parameters);
    let describe = || site.call("DescribeVolumes", &[("VolumeId.1", other)]);
    site.wait("the other volume is attached", || {
        describe().contains("<status>attached</status>")
    });
    acts_within(LONG, &site, &["start"])
}

fn falls_back() -> Seen {
    acts_within(LONG, &with(VolumeFault::FallsBack), &["start"])
}

/// The volume is started and mounted, `held` holds it, and it is stopped.
fn held_by(held: &str) -> Seen {
    held_within(SHORT, held)
}

fn held_within(timeout: Duration, held: &str) -> Seen {
    let site = Site::new();
    let script = format!(
        "$AGENT start; mount $DISK $DATA; {held}; code=0; \
         export OCF_RESKEY_CRM_meta_timeout={}; date +%s%N >&2; $AGENT stop || code=$?; end; exit $code",
        timeout.as_millis()
    );
    let answer = site.inside(0, AGENT, &script);
    // Only the stop counts.
    let begun = answer
        .stderr
        .lines()
        .rev()
        .find_map(|line| line.parse().ok());
    let took = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH + Duration::from_nanos(begun.unwrap()))
        .unwrap();
    assert!(site.machines.has_device(N1), "it was detached");
    vec![("stop", Answer { took, ..answer }.timeout(timeout + NOISE))]
}

fn in_another_namespace() -> Seen {
    held_by(
        "unshare --mount sleep 60 & holder=$!; end() { kill $holder; }; \
         until [ $(readlink /proc/$holder/ns/mnt) != $(readlink /proc/self/ns/mnt) ]; do sleep 0.1; done",
    )
}

/// With Docker's own files about it, and in a control group of its name.
fn by_a_container() -> Seen {
    let seen = held_within(
        LONG,
        "id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef; mount -t tmpfs tmpfs /var/lib; \
         about=/var/lib/docker/containers/$id; mkdir -p $about; \
         echo '{\"Name\":\"/exporter\",\"HasBeenManuallyStopped\":false}' > $about/config.v2.json; \
         echo '{\"RestartPolicy\":{\"Name\":\"always\"}}' > $about/hostconfig.json; \
         group=/sys/fs/cgroup; test -d $group/freezer && group=$group/freezer; mkdir -p $group/$id; \
         unshare --mount sleep 60 & holder=$!; echo $holder > $group/$id/cgroup.procs; \
         end() { kill $holder; until rmdir $group/$id; do sleep 0.1; done; }; \
         until [ $(readlink /proc/$holder/ns/mnt) != $(readlink /proc/self/ns/mnt) ]; do sleep 0.1; done",
    );
    let took = seen[0].1.took;
    assert!(
        took < LONG - Duration::from_secs(3),
        "waited in vain: {seen:?}"
    );
    seen
}

/// A start of what is here, as after an interrupted stop, while EC2 answers otherwise than usual.
fn here_and_denied() -> Seen {
    let site = Site::new();
    site.agent(0, AGENT, "start").expect(0);
    site.ec2.inject(Injection::of(CallFault::Denied));
    acts(&site, &["start"])
}

fn here_and_unknown_to_ec2() -> Seen {
    let [site, elsewhere] = [Site::new(), Site::new()];
    let volume = "vol-0c0c0c0c0c0c0c0c0";
    site.ec2.add_volume(volume, site::ZONE).unwrap();
    let given = format!(
        "export AWS_ACCESS_KEY_ID=AKIDLAB AWS_SECRET_ACCESS_KEY=secret OCF_RESKEY_volume_id={volume}; "
    );
    let script = format!("{given} exec $AGENT start");
    site.inside(0, AGENT, &script).expect(0);
    // As with another region or other credentials.
    let there = elsewhere.environment(0);
    let api = there
        .iter()
        .find(|(name, _)| name.contains("ENDPOINT_URL_EC2"));
    let (name, api) = api.unwrap();
    let script = format!("{given} export {name}={api}; exec $AGENT start");
    vec![("start", site.inside(0, AGENT, &script))]
}

fn by_a_file() -> Seen {
    held_by("sleep 60 > $DATA/file & holder=$!; end() { kill $holder; }")
}

fn by_a_lazily_unmounted_file() -> Seen {
    held_by("sleep 60 > $DATA/file & holder=$!; end() { kill $holder; }; umount --lazy $DATA")
}

fn by_a_file_system_below() -> Seen {
    held_by("mkdir -p $DATA/below; mount -t tmpfs tmpfs $DATA/below; end() { umount $DATA/below; }")
}

fn by_a_loop_device() -> Seen {
    let seen = held_by(
        // The node has no loop devices in its /dev.
        "truncate --size 1M $DATA/image; outside() { nsenter --target $PPID --mount \"$@\"; }; \
         loop=$(outside losetup --find --show /proc/$$/root$DATA/image); end() { outside losetup --detach $loop; }",
    );
    let took = seen[0].1.took;
    // It never goes by itself.
    assert!(took < SHORT / 2 + NOISE, "waited in vain: {seen:?}");
    seen
}

fn without_its_note() -> Seen {
    let site = Site::new();
    site.agent(0, AGENT, "start").expect(0);
    site.inside(0, AGENT, "rm /run/portsip-ha/*").expect(0);
    site.ec2.inject(Injection::of(MetadataFault::Down));
    acts(&site, &["monitor", "monitor 10"])
}

fn in_another_zone() -> Seen {
    let site = Site::new();
    site.ec2
        .add_volume("vol-0a0a0a0a0a0a0a0a0", "us-west-1a")
        .unwrap();
    of_volume(&site, "vol-0a0a0a0a0a0a0a0a0")
}

fn unknown_volume() -> Seen {
    of_volume(&Site::new(), "vol-0b0b0b0b0b0b0b0b0")
}

fn of_volume(site: &Site, volume: &str) -> Seen {
    ["start", "monitor", "validate-all", "stop"]
        .map(|verb| {
            let level = if verb == "validate-all" { 10 } else { 0 };
            let script = format!(
                "export OCF_RESKEY_volume_id={volume} OCF_CHECK_LEVEL={level}; exec $AGENT {verb}"
            );
            let shown = if level == 10 { "validate-all 10" } else { verb };
            (shown, site.inside(0, AGENT, &script))
        })
        .into()
}

const MEMBER: &str = "a running instance of a cluster with fencing still has it attached";
const NOBODY: &str = "a running instance has it, and cluster_instances is not given";
const STRANGER: &str = "a running instance that is not of the cluster has it";
const NO_FENCING: &str = "a running instance of the cluster has it, and fencing was turned off";
const RUNS_THERE: &str =
    "a running instance of the cluster has it, where Pacemaker has the resource running";
const LEFT_THERE: &str =
    "a running instance of the cluster has it, where Pacemaker was stopped in maintenance";
const NO_PACEMAKER: &str = "a running instance of the cluster has it, and Pacemaker is not there";
const STOPPED: &str = "a stopped instance that is not of the cluster has it";
const JUST_TAKEN: &str =
    "its device name was taken a moment ago, and descriptions do not show it yet";
const FALLS_BACK: &str = "attaching falls back to `available`, as without a right to the KMS key";
const NAMESPACE: &str = "it is mounted in another mount namespace";
const CONTAINER: &str = "a container that Docker keeps running has it mounted";
const HERE_DENIED: &str = "its device is here, and EC2 does not allow to ask for it";
const HERE_UNKNOWN: &str = "its device is here, and EC2 does not know it, as in another region";
const FILE: &str = "a process has a file on it open";
const LAZY: &str = "a process has a file on it open, and it is unmounted lazily";
const BELOW: &str = "another file system is mounted below it";
const LOOP: &str = "a loop device is over a file on it";
const NO_NOTE: &str = "the note of its start is gone, and the metadata service is down";

fn right(fault: &str, _: &str, action: &str) -> Right {
    match (fault, action) {
        ("stays attaching", "start") => (1, "is attaching"),
        ("attached, but no device", "start") => (1, "has attached ... no device"),
        ("stays attaching" | "attached, but no device", "monitor") => (7, "no device here"),
        ("stays attaching", "stop") => (1, "attaching ... could still write"),
        ("attached, but no device", "stop") => (0, ""),
        ("detaching stays busy", "stop") => (1, "busy ... could still write"),
        ("detaching stays busy" | "somebody detaches it", "monitor" | "monitor 5") => (0, ""),
        ("detaching stays busy" | "somebody detaches it", "monitor 10") => {
            (1, "somebody is detaching")
        }
        ("a running instance has it, and stays busy", _) => (1, "busy"),
        ("a running instance has it mounted", _) => (1, "busy"),
        ("its device has another name than last time", _) => (0, ""),
        ("its device is taken away", "monitor") => (7, "no device here"),
        ("it is in another zone", "start") => (5, "InvalidVolume.ZoneMismatch"),
        ("it is in another zone", "validate-all 10") => (5, "us-west-1a"),
        ("there is no such volume", "start" | "validate-all 10") => (5, "InvalidVolume.NotFound"),
        (MEMBER | STOPPED | JUST_TAKEN | HERE_DENIED | HERE_UNKNOWN, _) => (0, ""),
        (NOBODY, _) => (1, "which runs and may be writing: without fencing"),
        (STRANGER, _) => (1, "which runs and is not one of cluster_instances"),
        (NO_FENCING, _) => (1, "which runs and may be writing, as fencing is off"),
        (RUNS_THERE | LEFT_THERE, _) => {
            (1, "which runs, and Pacemaker has awsebs running on pbx02")
        }
        (NO_PACEMAKER, _) => (
            1,
            "Pacemaker cannot be asked ... Could not connect to the CIB",
        ),
        (FALLS_BACK, _) => (5, "kms:CreateGrant"),
        (NAMESPACE, _) => (1, "is held by sleep (pid ... which has it mounted on"),
        (CONTAINER, _) => (
            1,
            "is held by container exporter: sleep ... (docker stop exporter), which does not go by itself",
        ),
        (FILE | LAZY, _) => (1, "is held by sleep (pid ... which uses"),
        (BELOW, _) => (1, "is held by the file system mounted below it"),
        (LOOP, _) => (1, "is held by loop device ... losetup --detach"),
        (NO_NOTE, "monitor") => (0, ""),
        (NO_NOTE, _) => (190, "the device is here"),
        ("it is in another zone" | "there is no such volume", "monitor") => (7, "no device here"),
        (_, "stop") => (0, ""),
        _ => panic!("{fault}: {action} is not expected"),
    }
}

#[test]
fn a_volume_that_gets_stuck_is_told_and_never_forced() {
    let cases: [Case; 29] = [
        ("stays attaching", stays_attaching),
        ("attached, but no device", no_device),
        ("detaching stays busy", stays_busy_at_the_stop),
        ("a running instance has it, and stays busy", busy_elsewhere),
        ("a running instance has it mounted", mounted_elsewhere),
        ("its device has another name than last time", other_name),
        ("its device is taken away", device_taken_away),
        ("somebody detaches it", somebody_detaches),
        ("it is in another zone", in_another_zone),
        ("there is no such volume", unknown_volume),
        (MEMBER, of_a_member),
        (NOBODY, of_nobody_known),
        (STRANGER, of_a_stranger),
        (NO_FENCING, without_fencing),
        (RUNS_THERE, while_it_runs_there),
        (LEFT_THERE, stopped_in_maintenance),
        (NO_PACEMAKER, without_pacemaker),
        (STOPPED, of_a_stopped_stranger),
        (JUST_TAKEN, name_just_taken),
        (FALLS_BACK, falls_back),
        (NAMESPACE, in_another_namespace),
        (CONTAINER, by_a_container),
        (FILE, by_a_file),
        (LAZY, by_a_lazily_unmounted_file),
        (BELOW, by_a_file_system_below),
        (LOOP, by_a_loop_device),
        (NO_NOTE, without_its_note),
        (HERE_DENIED, here_and_denied),
        (HERE_UNKNOWN, here_and_unknown_to_ec2),
    ];
    let jobs = cases.iter().map(|(name, case)| move || (*name, case()));
    let seen = in_parallel(jobs.collect());
    let rows = seen.iter().flat_map(|(fault, seen)| {
        seen.iter()
            .map(move |(action, answer)| (*fault, AGENT, *action, answer))
    });
    let mut table = Table::of("volume");
    note(&mut table, rows, right);
    table.hold();
}
