//! Volumes that are made from a snapshot.

use std::time::Duration;

use lab::ec2::{Injection, SnapshotFault, Timing};
use lab::site;

use crate::client::{N1, N2, Site, VOLUME, wait};
use crate::snapshot::{begin, make, state};

const TOKEN: (&str, &str) = ("ClientToken", "update-1");

/// As the site's volume is.
fn like_the_first(snapshot: &str) -> [(&str, &str); 4] {
    [
        ("SnapshotId", snapshot),
        ("AvailabilityZone", site::ZONE),
        ("VolumeType", "io2"),
        ("Iops", "500"),
    ]
}

fn with<'a>(call: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    call.iter().chain(more).copied().collect()
}

/// Makes a volume, and returns its id.
fn made(site: &Site, call: &[(&str, &str)]) -> String {
    let answer = site.ok("CreateVolume", call);
    assert_eq!(answer.one("status"), "creating");
    let id = answer.one("volumeId");
    wait("the volume is available", || {
        site.volume(&id).0 == "available"
    });
    id
}

#[test]
fn a_volume_is_creating_before_it_is_available_with_what_the_snapshot_has() {
    let site = Site::new();
    site.world.write(VOLUME, "before");
    let snapshot = make(&site);
    site.world.write(VOLUME, "after");
    let answer = site.ok("CreateVolume", &like_the_first(&snapshot));
    let id = answer.one("volumeId");
    assert_ne!(id, VOLUME);
    assert_eq!(site.volume(&id), ("creating".to_owned(), None));
    let attach = [
        ("VolumeId", id.as_str()),
        ("InstanceId", N1),
        ("Device", "/dev/sdg"),
    ];
    assert_eq!(site.refused("AttachVolume", &attach), "IncorrectState");
    let of_it = [("VolumeId", id.as_str())];
    assert_eq!(site.refused("CreateSnapshot", &of_it), "IncorrectState");
    let larger = with(&of_it, &[("Size", "9")]);
    assert_eq!(site.refused("ModifyVolume", &larger), "IncorrectState");
    wait("it is available", || site.volume(&id).0 == "available");
    assert_eq!(site.world.read(&id).as_deref(), Some("before"));
    assert_eq!(site.world.read(VOLUME).as_deref(), Some("after"));
}

#[test]
fn a_volume_from_a_snapshot_is_attached_beside_the_first_and_in_its_place() {
    let site = Site::new();
    site.attach(N1);
    let snapshot = make(&site);
    let id = made(&site, &like_the_first(&snapshot));
    let attach = |device| {
        [
            ("VolumeId", id.as_str()),
            ("InstanceId", N1),
            ("Device", device),
        ]
    };
    assert_eq!(
        site.refused("AttachVolume", &attach("/dev/sdf")),
        "InvalidParameterValue",
        "the first has this name"
    );
    site.ok("AttachVolume", &attach("/dev/sdg"));
    wait("its device appears", || site.world.has_device(N1, &id));
    site.ok("DetachVolume", &[("VolumeId", VOLUME)]);
    wait("the first is available", || {
        site.volume(VOLUME).0 == "available"
    });
    assert!(site.world.has_device(N1, &id));
    site.ok("DetachVolume", &[("VolumeId", &id)]);
    wait("it is available", || site.volume(&id).0 == "available");
    let elsewhere = [
        ("VolumeId", id.as_str()),
        ("InstanceId", N2),
        ("Device", "/dev/sdf"),
    ];
    site.ok("AttachVolume", &elsewhere);
    wait("its device moves", || site.world.has_device(N2, &id));
    assert_eq!(site.world.harm(), Vec::<String>::new());
}

#[test]
fn a_volume_has_the_size_and_the_key_of_its_snapshot_unless_others_are_asked_for() {
    let site = Site::new();
    let snapshot = make(&site);
    let like = like_the_first(&snapshot);
    let first = site.ok("DescribeVolumes", &[("VolumeId.1", VOLUME)]);
    let show = |id: &str| site.ok("DescribeVolumes", &[("VolumeId.1", id)]);
    let id = made(&site, &like);
    let same = show(&id);
    for name in ["size", "kmsKeyId", "volumeType", "iops", "encrypted"] {
        assert_eq!(same.one(name), first.one(name), "{name}");
    }
    assert_eq!(same.one("snapshotId"), snapshot);
    assert_eq!(first.one("snapshotId"), "");
    let key = "arn:aws:kms:us-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let other = [("Size", "6"), ("Encrypted", "true"), ("KmsKeyId", key)];
    let id = made(&site, &with(&like, &other));
    let larger = show(&id);
    assert_eq!(larger.one("size"), "6");
    assert_eq!(larger.one("kmsKeyId"), key);
    let call = format!("create_volume {id} {}", 6_u64 << 30);
    assert!(site.world.calls().contains(&call));
    let found = [
        ("Filter.1.Name", "snapshot-id"),
        ("Filter.1.Value.1", snapshot.as_str()),
    ];
    let found = site.ok("DescribeVolumes", &found);
    assert_eq!(found.all("volumeId").len(), 2);
    // Another type has other figures.
    let id = made(&site, &like[..2]);
    assert_eq!(show(&id).one("volumeType"), "gp2");
    assert_eq!(show(&id).one("iops"), "100");
}

#[test]
fn a_volume_is_made_from_a_snapshot_that_is_completed_and_from_no_other() {
    let site = Site::with(Timing {
        snapshot_interval: Duration::ZERO,
        ..Site::timing()
    });
    let pending = begin(&site);
    let refused = |snapshot: &str| site.refused("CreateVolume", &like_the_first(snapshot));
    assert_eq!(refused(&pending), "IncorrectState");
    wait("it is completed", || state(&site, &pending) == "completed");
    site.ec2
        .inject(Injection::of(SnapshotFault::Fails).times(1));
    let failed = begin(&site);
    wait("it has failed", || state(&site, &failed) == "error");
    assert_eq!(refused(&failed), "IncorrectState");
    assert_eq!(
        refused("snap-0aaaaaaaaaaaaaaa9"),
        "InvalidSnapshot.NotFound"
    );
    assert_eq!(refused("snapshot"), "InvalidSnapshotID.Malformed");
    assert_eq!(refused(""), "MissingParameter");
    made(&site, &like_the_first(&pending));
}

#[test]
fn what_does_not_fit_a_snapshot_is_refused() {
    let site = Site::new();
    let snapshot = make(&site);
    let like = like_the_first(&snapshot);
    let key = ("KmsKeyId", "arn:aws:kms:us-west-1:123456789012:key/1");
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("Size", "3")], "InvalidParameterValue"),
        (&[("Size", "large")], "InvalidParameterValue"),
        (&[("Encrypted", "false")], "InvalidParameterCombination"),
        (&[key], "InvalidParameterDependency"),
        (&[("MultiAttachEnabled", "true")], "InvalidParameterValue"),
        (&[("Throughput", "125")], "InvalidParameterCombination"),
    ];
    for (more, code) in cases {
        let call = with(&like, more);
        assert_eq!(site.refused("CreateVolume", &call), code, "{more:?}");
    }
    let nowhere = [
        ("SnapshotId", snapshot.as_str()),
        ("AvailabilityZone", "us-west-1z"),
    ];
    assert_eq!(
        site.refused("CreateVolume", &nowhere),
        "InvalidZone.NotFound"
    );
    let volumes = site.ok("DescribeVolumes", &[]);
    assert_eq!(volumes.all("volumeId"), [VOLUME]);
}

#[test]
fn a_call_with_the_same_client_token_makes_no_second_volume() {
    let site = Site::new();
    let snapshot = make(&site);
    let call = with(&like_the_first(&snapshot), &[TOKEN]);
    let id = made(&site, &call);
    let again = site.ok("CreateVolume", &call);
    assert_eq!(again.one("volumeId"), id);
    assert_eq!(again.one("status"), "available");
    let other = with(&call, &[("Size", "5")]);
    assert_eq!(
        site.refused("CreateVolume", &other),
        "IdempotentParameterMismatch"
    );
    let another = with(&like_the_first(&snapshot), &[("ClientToken", "update-2")]);
    assert_ne!(made(&site, &another), id);
}

#[test]
fn a_volume_that_the_world_cannot_make_ends_in_error() {
    let site = Site::new();
    let snapshot = make(&site);
    site.world.0.lock().unwrap().disk_full = true;
    let answer = site.ok("CreateVolume", &like_the_first(&snapshot));
    let id = answer.one("volumeId");
    wait("it has failed", || site.volume(&id).0 == "error");
    let attach = [
        ("VolumeId", id.as_str()),
        ("InstanceId", N1),
        ("Device", "/dev/sdg"),
    ];
    assert_eq!(site.refused("AttachVolume", &attach), "IncorrectState");
}
