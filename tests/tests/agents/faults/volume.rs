//! The volume gets stuck on its way, or its device is not as expected.

use std::sync::atomic::Ordering;
use std::time::Duration;

use lab::ec2::{Injection, VolumeFault};
use lab::site::{self, INSTANCES};

use super::scenario::{LONG, Right, SHORT, Seen, act, in_parallel, note};
use super::table::Table;
use crate::node::Site;

/// A fault, and what is done under it.
type Case = (&'static str, fn() -> Seen);

const AGENT: &str = "awsebs";
const N1: &str = INSTANCES[0].id;

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
        ("there is no such volume", "start" | "validate-all 10") => (6, "InvalidVolume.NotFound"),
        ("it is in another zone" | "there is no such volume", "monitor") => (7, "no device here"),
        (_, "stop") => (0, ""),
        _ => panic!("{fault}: {action} is not expected"),
    }
}

#[test]
fn a_volume_that_gets_stuck_is_told_and_never_forced() {
    let cases: [Case; 10] = [
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
