//! Faults of volumes that are injected.

use std::time::Duration;

use lab::ec2::{Happening, Injection, VolumeFault};

use crate::client::{N1, N2, Site, VOLUME, wait};

const ATTACH: [(&str, &str); 3] = [
    ("VolumeId", VOLUME),
    ("InstanceId", N1),
    ("Device", "/dev/sdf"),
];
const DETACH: [(&str, &str); 2] = [("VolumeId", VOLUME), ("InstanceId", N1)];
/// Longer than a volume is on its way.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(700);

fn state_of_the_volume(site: &Site) -> String {
    site.volume(VOLUME).0
}

/// What the volume's attachments went through.
fn states(site: &Site) -> Vec<String> {
    let events = site.ec2.events().into_iter();
    events
        .filter_map(|event| match event.what {
            Happening::Volume { state, .. } => Some(state),
            _ => None,
        })
        .collect()
}

#[test]
fn an_attachment_stays_attaching_until_the_fault_ends() {
    let site = Site::new();
    let number = site
        .ec2
        .inject(Injection::of(VolumeFault::StaysAttaching).times(1));
    site.ok("AttachVolume", &ATTACH);
    std::thread::sleep(ANSWER_TIMEOUT);
    assert_eq!(state_of_the_volume(&site), "attaching");
    assert_eq!(site.refused("DetachVolume", &DETACH), "IncorrectState");
    site.ec2.clear_fault(number);
    wait("it goes on", || site.world.has_device(N1, VOLUME));
}

#[test]
fn an_attachment_that_stays_attaching_can_be_forced_off() {
    let site = Site::new();
    site.ec2.inject(Injection::of(VolumeFault::StaysAttaching));
    site.ok("AttachVolume", &ATTACH);
    let force: Vec<_> = DETACH.into_iter().chain([("Force", "true")]).collect();
    site.ok("DetachVolume", &force);
    wait("it is off", || state_of_the_volume(&site) == "available");
}

#[test]
fn an_attached_volume_without_a_device_gets_it_when_the_fault_ends() {
    let site = Site::new();
    site.ec2.inject(Injection::of(VolumeFault::NoDevice).at(N1));
    site.ok("AttachVolume", &ATTACH);
    wait("it is attached", || {
        state_of_the_volume(&site) == "attached"
    });
    std::thread::sleep(ANSWER_TIMEOUT);
    assert!(!site.world.has_device(N1, VOLUME));
    site.ec2.clear_faults();
    wait("the device appears", || site.world.has_device(N1, VOLUME));
}

#[test]
fn a_detaching_stays_busy_until_it_is_forced_or_the_instance_goes_down() {
    for force in [true, false] {
        let site = Site::new();
        site.attach(N1);
        site.ec2.inject(Injection::of(VolumeFault::StaysBusy));
        site.ok("DetachVolume", &DETACH);
        wait("it is busy", || state_of_the_volume(&site) == "busy");
        std::thread::sleep(ANSWER_TIMEOUT);
        assert_eq!(state_of_the_volume(&site), "busy");
        assert!(site.world.has_device(N1, VOLUME));
        if force {
            let force: Vec<_> = DETACH.into_iter().chain([("Force", "true")]).collect();
            site.ok("DetachVolume", &force);
        } else {
            site.stop(N1);
        }
        wait("it is off", || state_of_the_volume(&site) == "available");
    }
}

#[test]
fn a_device_comes_under_another_name_while_that_is_the_fault() {
    let site = Site::new();
    site.ec2
        .inject(Injection::of(VolumeFault::OtherName).times(1));
    site.attach(N1);
    let renumbered = format!("renumber {N1}");
    assert!(site.world.calls().contains(&renumbered));
}

#[test]
fn a_mounted_volume_vanishes_from_its_guest_while_that_is_the_fault() {
    let site = Site::new();
    site.attach(N1);
    site.world.mount(N1, VOLUME);
    let vanishes = Injection::of(VolumeFault::Vanishes).times(1);
    site.ec2.inject(vanishes);
    site.ok("DetachVolume", &DETACH);
    wait("it is off", || state_of_the_volume(&site) == "available");
    assert!(!site.world.has_device(N1, VOLUME));
    assert_eq!(
        states(&site),
        ["attaching", "attached", "detaching", "detached"],
        "it was busy"
    );
    // Used up: the next one is `busy` again.
    site.attach(N1);
    site.world.mount(N1, VOLUME);
    site.ok("DetachVolume", &DETACH);
    wait("it is busy", || state_of_the_volume(&site) == "busy");
}

#[test]
fn a_volume_that_nobody_has_mounted_does_not_use_up_that_one_vanishes() {
    let site = Site::new();
    site.attach(N1);
    site.ec2
        .inject(Injection::of(VolumeFault::Vanishes).times(1));
    site.ok("DetachVolume", &DETACH);
    wait("it is off", || state_of_the_volume(&site) == "available");
    assert_eq!(site.ec2.faults()[0].struck, 0);
    let forced = format!("detach {VOLUME} {N1} force=true");
    assert!(!site.world.calls().contains(&forced));
}

#[test]
fn an_attachment_falls_back_to_available_and_no_call_is_refused() {
    let site = Site::new();
    site.ec2
        .inject(Injection::of(VolumeFault::FallsBack).times(1));
    let answer = site.ok("AttachVolume", &ATTACH);
    assert_eq!(answer.one("status"), "attaching");
    assert_eq!(state_of_the_volume(&site), "attaching");
    wait("it has fallen back", || {
        state_of_the_volume(&site) == "available"
    });
    std::thread::sleep(ANSWER_TIMEOUT);
    assert_eq!(states(&site), ["attaching", "detached"]);
    assert!(!site.world.has_device(N1, VOLUME));
    site.attach(N2);
}

#[test]
fn a_detaching_is_refused_while_the_instance_goes_down_if_that_is_the_fault() {
    let site = Site::new();
    site.attach(N1);
    site.ec2
        .inject(Injection::of(VolumeFault::RefusedWhileStopping));
    site.world.0.lock().unwrap().power_stuck = true;
    site.ok("StopInstances", &[("InstanceId.1", N1)]);
    let force: Vec<_> = DETACH.into_iter().chain([("Force", "true")]).collect();
    for call in [&DETACH[..], &DETACH[..1], &force] {
        assert_eq!(site.refused("DetachVolume", call), "IncorrectState");
    }
    assert_eq!(state_of_the_volume(&site), "attached");
    site.world.0.lock().unwrap().power_stuck = false;
    wait("it is stopped", || site.instance_state(N1) == "stopped");
    site.ok("DetachVolume", &DETACH);
    wait("it is off", || state_of_the_volume(&site) == "available");
}

#[test]
fn a_detaching_from_a_running_instance_is_not_refused_by_that_fault() {
    let site = Site::new();
    site.attach(N1);
    site.ec2
        .inject(Injection::of(VolumeFault::RefusedWhileStopping).times(1));
    site.ok("DetachVolume", &DETACH);
    assert_eq!(site.ec2.faults()[0].struck, 0);
}
