//! Volumes.

use std::time::{Duration, Instant};

use lab::ec2::{Happening, Timing};
use lab::site;

use crate::client::{N1, N2, Site, VOLUME, wait};

const OTHER: &str = "vol-0aaaaaaaaaaaaaaa1";

fn attach<'a>(volume: &'a str, instance: &'a str, device: &'a str) -> [(&'a str, &'a str); 3] {
    [
        ("VolumeId", volume),
        ("InstanceId", instance),
        ("Device", device),
    ]
}

fn detach(site: &Site) {
    site.ok("DetachVolume", &[("VolumeId", VOLUME), ("InstanceId", N1)]);
}

fn is_available(site: &Site) -> bool {
    site.volume(VOLUME) == ("available".to_owned(), None)
}

fn state(site: &Site) -> String {
    site.volume(VOLUME).0
}

#[test]
fn a_volume_is_attaching_before_it_is_attached_and_then_its_device_appears() {
    let site = Site::new();
    let answer = site.ok("AttachVolume", &attach(VOLUME, N1, "/dev/sdf"));
    assert_eq!(answer.one("status"), "attaching");
    assert_eq!(state(&site), "attaching");
    assert!(
        !site.world.has_device(N1, VOLUME),
        "the device is there before EC2 says so"
    );
    wait("it is attached", || state(&site) == "attached");
    wait("the device appears", || site.world.has_device(N1, VOLUME));
}

#[test]
fn a_held_volume_is_refused_to_others_and_to_its_holder() {
    let site = Site::new();
    site.ok("AttachVolume", &attach(VOLUME, N1, "/dev/sdf"));
    for instance in [N1, N2] {
        let again = attach(VOLUME, instance, "/dev/sdg");
        assert_eq!(
            site.refused("AttachVolume", &again),
            "VolumeInUse",
            "while attaching"
        );
    }
    wait("it is attached", || state(&site) == "attached");
    assert_eq!(
        site.refused("AttachVolume", &attach(VOLUME, N2, "/dev/sdf")),
        "VolumeInUse"
    );
    detach(&site);
    let refusal = site.refused("AttachVolume", &attach(VOLUME, N2, "/dev/sdf"));
    assert_eq!(refusal, "VolumeInUse", "while detaching");
    wait("it is available", || is_available(&site));
    site.attach(N2);
    assert_eq!(site.world.harm(), Vec::<String>::new());
}

#[test]
fn an_attachment_needs_a_volume_an_instance_and_a_device_name_that_fit() {
    let site = Site::new();
    site.ec2.add_volume(OTHER, "us-west-1b").unwrap();
    site.ec2
        .add_volume("vol-0aaaaaaaaaaaaaaa2", site::ZONE)
        .unwrap();
    site.attach(N1);
    let cases = [
        (attach(OTHER, N1, "/dev/sdg"), "InvalidVolume.ZoneMismatch"),
        (
            attach("vol-0aaaaaaaaaaaaaaa2", N1, "/dev/sdf"),
            "InvalidParameterValue",
        ),
        (
            attach("vol-0aaaaaaaaaaaaaaa2", N1, "/dev/sda1"),
            "InvalidParameterValue",
        ),
        (
            attach("vol-0aaaaaaaaaaaaaaa2", N1, "sdf"),
            "InvalidParameterValue",
        ),
        (
            attach("vol-0aaaaaaaaaaaaaaa9", N1, "/dev/sdg"),
            "InvalidVolume.NotFound",
        ),
        (
            attach(VOLUME, "i-0aaaaaaaaaaaaaaa9", "/dev/sdg"),
            "InvalidInstanceID.NotFound",
        ),
        (
            attach(VOLUME, "n1", "/dev/sdg"),
            "InvalidInstanceID.Malformed",
        ),
        (attach("volume", N1, "/dev/sdg"), "InvalidParameterValue"),
    ];
    for (parameters, code) in cases {
        assert_eq!(
            site.refused("AttachVolume", &parameters),
            code,
            "{parameters:?}"
        );
    }
    site.ok(
        "AttachVolume",
        &attach("vol-0aaaaaaaaaaaaaaa2", N2, "/dev/sdf"),
    );
}

#[test]
fn an_instance_takes_no_more_volumes_than_it_has_room_for() {
    let site = Site::new();
    for number in 0..=26 {
        let volume = format!("vol-0bbbbbbbbbbbbbb{number:02}");
        site.ec2.add_volume(&volume, site::ZONE).unwrap();
        let device = format!(
            "/dev/xvd{}{}",
            char::from(b'b' + number / 26),
            char::from(b'a' + number % 26)
        );
        let call = attach(&volume, N1, &device);
        if number < 26 {
            site.ok("AttachVolume", &call);
        } else {
            assert_eq!(
                site.refused("AttachVolume", &call),
                "AttachmentLimitExceeded"
            );
        }
    }
}

#[test]
fn a_volume_is_detaching_before_it_is_available() {
    let site = Site::new();
    site.attach(N1);
    detach(&site);
    assert_eq!(state(&site), "detaching");
    wait("it is available", || is_available(&site));
    assert!(
        !site.world.has_device(N1, VOLUME),
        "the device outlived the attachment"
    );
}

#[test]
fn only_an_attached_volume_can_be_detached_and_only_from_its_holder() {
    let site = Site::new();
    let call = [("VolumeId", VOLUME)];
    assert_eq!(
        site.refused("DetachVolume", &call),
        "IncorrectState",
        "available"
    );
    site.ok("AttachVolume", &attach(VOLUME, N1, "/dev/sdf"));
    assert_eq!(
        site.refused("DetachVolume", &call),
        "IncorrectState",
        "attaching"
    );
    wait("it is attached", || state(&site) == "attached");
    let elsewhere = [("VolumeId", VOLUME), ("InstanceId", N2)];
    assert_eq!(
        site.refused("DetachVolume", &elsewhere),
        "InvalidAttachment.NotFound"
    );
    let otherwise = [("VolumeId", VOLUME), ("Device", "/dev/sdz")];
    assert_eq!(
        site.refused("DetachVolume", &otherwise),
        "InvalidAttachment.NotFound"
    );
    detach(&site);
    assert_eq!(
        site.refused("DetachVolume", &call),
        "IncorrectState",
        "detaching"
    );
    let unknown = [("VolumeId", "vol-0aaaaaaaaaaaaaaa9")];
    assert_eq!(
        site.refused("DetachVolume", &unknown),
        "InvalidVolume.NotFound"
    );
}

#[test]
fn a_mounted_volume_sticks_in_busy_until_it_is_unmounted() {
    let site = Site::new();
    site.attach(N1);
    site.world.mount(N1, VOLUME);
    detach(&site);
    wait("it is busy", || state(&site) == "busy");
    assert_eq!(
        site.refused("DetachVolume", &[("VolumeId", VOLUME)]),
        "IncorrectState"
    );
    assert_eq!(
        site.refused("AttachVolume", &attach(VOLUME, N2, "/dev/sdf")),
        "VolumeInUse"
    );
    assert!(
        site.world.has_device(N1, VOLUME),
        "taken away while it was mounted"
    );
    site.world.unmount(N1, VOLUME);
    wait("it is available", || is_available(&site));
}

#[test]
fn a_busy_volume_can_be_forced_off() {
    let site = Site::new();
    site.attach(N1);
    site.world.mount(N1, VOLUME);
    detach(&site);
    wait("it is busy", || state(&site) == "busy");
    site.ok("DetachVolume", &[("VolumeId", VOLUME), ("Force", "true")]);
    wait("it is available", || is_available(&site));
}

#[test]
fn a_reboot_frees_a_busy_volume_and_keeps_an_attached_one() {
    // Longer than a test waits: the reboot itself has to free it.
    let busy_retry = Duration::from_secs(60);
    let site = Site::with(Timing {
        busy_retry,
        ..Site::timing()
    });
    site.ec2.add_volume(OTHER, site::ZONE).unwrap();
    site.attach(N1);
    site.ok("AttachVolume", &attach(OTHER, N1, "/dev/sdg"));
    wait("the other device appears", || {
        site.world.has_device(N1, OTHER)
    });
    site.world.mount(N1, VOLUME);
    detach(&site);
    wait("it is busy", || state(&site) == "busy");
    site.ok("RebootInstances", &[("InstanceId.1", N1)]);
    wait("it is available", || is_available(&site));
    wait("it is up again", || {
        site.world.is_on(N1) && site.world.has_device(N1, OTHER)
    });
    assert_eq!(site.volume(OTHER).0, "attached");
}

#[test]
fn a_stopped_instance_keeps_its_volume_until_it_is_detached_there() {
    let site = Site::new();
    site.attach(N1);
    site.world.mount(N1, VOLUME);
    site.stop(N1);
    assert_eq!(
        site.volume(VOLUME),
        ("attached".to_owned(), Some(N1.to_owned()))
    );
    assert_eq!(
        site.refused("AttachVolume", &attach(VOLUME, N2, "/dev/sdf")),
        "VolumeInUse"
    );
    detach(&site);
    wait("it is available", || is_available(&site));
    site.attach(N2);
    site.ok("StartInstances", &[("InstanceId.1", N1)]);
    wait("it runs", || site.instance_state(N1) == "running");
    assert!(
        !site.world.has_device(N1, VOLUME),
        "came back to the old holder"
    );
    assert_eq!(site.world.harm(), Vec::<String>::new());
}

#[test]
fn a_started_instance_finds_its_volume_again() {
    let site = Site::new();
    site.attach(N1);
    site.stop(N1);
    assert!(!site.world.has_device(N1, VOLUME));
    site.ok("StartInstances", &[("InstanceId.1", N1)]);
    wait("the device is back", || site.world.has_device(N1, VOLUME));
}

#[test]
fn a_volume_can_be_attached_to_a_stopped_instance_and_to_no_other_that_does_not_run() {
    let site = Site::new();
    site.ok("StopInstances", &[("InstanceId.1", N1)]);
    let call = attach(VOLUME, N1, "/dev/sdf");
    assert_eq!(
        site.refused("AttachVolume", &call),
        "IncorrectState",
        "stopping"
    );
    wait("it is stopped", || site.instance_state(N1) == "stopped");
    site.attach(N1);
    site.ok("StartInstances", &[("InstanceId.1", N1)]);
    wait("the device appears", || site.world.has_device(N1, VOLUME));
}

#[test]
fn a_volume_that_is_detached_while_its_instance_is_stopping_leaves_once_that_is_stopped() {
    let site = Site::with(Timing {
        stop: Duration::from_millis(1200),
        ..Site::timing()
    });
    site.attach(N1);
    site.ok("StopInstances", &[("InstanceId.1", N1)]);
    wait("it has no power", || !site.world.is_on(N1));
    detach(&site);
    wait("the volume is available", || {
        let stopping = site.instance_state(N1) == "stopping";
        match state(&site).as_str() {
            "detaching" => false,
            // Asked before the volume, so it may have been stopped since.
            "available" => {
                assert!(
                    !stopping || site.instance_state(N1) == "stopped",
                    "available while its instance is stopping"
                );
                true
            }
            other => panic!("the volume is {other}"),
        }
    });
    let freed = site.world.calls();
    assert!(freed.contains(&format!("detach {VOLUME} {N1} force=false")));
}

#[test]
fn a_detaching_takes_its_time_at_a_stopped_instance_too() {
    let detach_stopped = Duration::from_millis(900);
    let site = Site::with(Timing {
        detach_stopped,
        ..Site::timing()
    });
    site.attach(N1);
    site.stop(N1);
    let begun = Instant::now();
    detach(&site);
    wait("it is available", || is_available(&site));
    assert!(begun.elapsed() >= detach_stopped, "{:?}", begun.elapsed());
}

#[test]
fn ec2_like_times_are_no_kinder_than_what_was_measured_on_ec2() {
    // The averages of kubernetes PR 84181, and no less where nobody has measured.
    let timing = Timing::ec2_like();
    assert!(timing.attach >= Duration::from_millis(3700));
    assert!(timing.detach >= Duration::from_secs(8));
    assert!(timing.detach_stopped >= timing.detach);
}

#[test]
fn a_volume_of_an_instance_that_is_being_stopped_is_freed_with_its_power() {
    let site = Site::new();
    site.attach(N1);
    site.world.mount(N1, VOLUME);
    detach(&site);
    wait("it is busy", || state(&site) == "busy");
    site.ok("StopInstances", &[("InstanceId.1", N1), ("Force", "true")]);
    wait("it is available", || is_available(&site));
    assert!(!site.world.is_on(N1));
}

#[test]
fn a_volume_that_is_forced_off_on_its_way_never_arrives() {
    let site = Site::new();
    site.ok("AttachVolume", &attach(VOLUME, N1, "/dev/sdf"));
    site.ok("DetachVolume", &[("VolumeId", VOLUME), ("Force", "true")]);
    wait("it is available", || is_available(&site));
    let events = site.ec2.events();
    let states: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.what {
            Happening::Volume { state, .. } => Some(state.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(states, ["attaching", "detaching", "detached"]);
    assert!(!site.world.has_device(N1, VOLUME));
}

#[test]
fn a_volume_is_larger_once_its_modification_optimizes_and_can_be_modified_again_when_that_is_completed()
 {
    let site = Site::new();
    let size = || {
        site.ok("DescribeVolumes", &[("VolumeId.1", VOLUME)])
            .one("size")
    };
    let enlarge = |size| [("VolumeId", VOLUME), ("Size", size)];
    let asked = [("VolumeId.1", VOLUME)];
    assert_eq!(
        site.refused("DescribeVolumesModifications", &asked),
        "InvalidVolumeModification.NotFound"
    );
    let modification = || {
        let answer = site.ok("DescribeVolumesModifications", &asked);
        answer.one("modificationState")
    };
    assert_eq!(
        site.refused("ModifyVolume", &enlarge("3")),
        "InvalidParameterValue"
    );
    for target in ["5", "6", "7", "8"] {
        let answer = site.ok("ModifyVolume", &enlarge(target));
        assert_eq!(answer.one("modificationState"), "modifying");
        assert_ne!(size(), target, "it counts before EC2 says so");
        assert_eq!(
            site.refused("ModifyVolume", &enlarge("9")),
            "IncorrectModificationState"
        );
        wait("it optimizes", || modification() != "modifying");
        assert_eq!(size(), target);
        let enlarged = format!("enlarge {VOLUME} {}", target.parse::<u64>().unwrap() << 30);
        assert!(site.world.calls().contains(&enlarged));
        wait("it is completed", || modification() == "completed");
    }
    assert_eq!(
        site.refused("ModifyVolume", &enlarge("9")),
        "VolumeModificationRateExceeded"
    );
}
