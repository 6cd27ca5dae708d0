//! Snapshots of volumes.

use std::time::{Duration, Instant};

use lab::ec2::{CallFault, Happening, Injection, SnapshotFault, Timing};
use lab::site;

use crate::client::{N1, Site, VOLUME, Xml, wait};

const OTHER: &str = "vol-0aaaaaaaaaaaaaaa1";
/// Longer than a snapshot takes.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);

/// Without a time between two snapshots of one volume.
fn at_once() -> Timing {
    Timing {
        snapshot_interval: Duration::ZERO,
        ..Site::timing()
    }
}

/// Begins a snapshot of the site's volume, and returns its id.
pub(crate) fn begin(site: &Site) -> String {
    let answer = site.ok("CreateSnapshot", &[("VolumeId", VOLUME)]);
    assert_eq!(answer.one("status"), "pending");
    answer.one("snapshotId")
}

/// Makes one, and returns its id.
pub(crate) fn make(site: &Site) -> String {
    let id = begin(site);
    wait("the snapshot is completed", || {
        state(site, &id) == "completed"
    });
    id
}

fn described(site: &Site, id: &str) -> Xml {
    site.ok("DescribeSnapshots", &[("SnapshotId.1", id)])
}

pub(crate) fn state(site: &Site, id: &str) -> String {
    described(site, id).one("status")
}

fn found(site: &Site, filters: &[(&str, &str)]) -> Vec<String> {
    site.ok("DescribeSnapshots", filters).all("snapshotId")
}

#[test]
fn the_progress_of_a_pending_snapshot_rises_until_it_is_completed() {
    let site = Site::new();
    let id = begin(&site);
    let mut seen = Vec::new();
    wait("it is completed", || {
        let now = described(&site, &id);
        let progress = now.one("progress");
        if seen.last() != Some(&progress) {
            seen.push(progress);
        }
        now.one("status") == "completed"
    });
    let percent = |text: &String| text.strip_suffix('%').unwrap().parse::<u8>().unwrap();
    let seen: Vec<u8> = seen.iter().map(percent).collect();
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.len() > 2, "{seen:?}");
    assert_eq!((seen[0], seen.last()), (0, Some(&100)));
}

#[test]
fn a_snapshot_has_what_the_volume_had_when_it_was_asked_for() {
    let site = Site::new();
    site.attach(N1);
    site.world.write(VOLUME, "before");
    let id = begin(&site);
    assert_eq!(
        site.world.read(&id).as_deref(),
        Some("before"),
        "EC2 has answered and has nothing yet"
    );
    site.world.write(VOLUME, "after");
    wait("it is completed", || state(&site, &id) == "completed");
    assert_eq!(site.world.read(&id).as_deref(), Some("before"));
}

#[test]
fn a_snapshot_shows_its_volume_with_size_and_key() {
    let site = Site::new();
    let call = [
        ("VolumeId", VOLUME),
        ("Description", "before the update"),
        ("TagSpecification.1.ResourceType", "snapshot"),
        ("TagSpecification.1.Tag.1.Key", "portsip-ha"),
        ("TagSpecification.1.Tag.1.Value", "update 1"),
    ];
    let answer = site.ok("CreateSnapshot", &call);
    let volume = site.ok("DescribeVolumes", &[("VolumeId.1", VOLUME)]);
    for shown in [answer, site.ok("DescribeSnapshots", &[("Owner.1", "self")])] {
        assert_eq!(shown.one("volumeId"), VOLUME);
        assert_eq!(shown.one("volumeSize"), volume.one("size"));
        assert_eq!(shown.one("kmsKeyId"), volume.one("kmsKeyId"));
        assert_eq!(shown.one("encrypted"), "true");
        assert_eq!(shown.one("description"), "before the update");
        assert_eq!(shown.one("key"), "portsip-ha");
        assert_eq!(shown.one("value"), "update 1");
    }
}

#[test]
fn a_later_snapshot_is_completed_sooner_than_the_first() {
    let site = Site::with(Timing {
        snapshot: Duration::from_secs(2),
        later_snapshot: Duration::from_millis(100),
        ..at_once()
    });
    let time = || {
        let begun = Instant::now();
        make(&site);
        begun.elapsed()
    };
    let (first, later) = (time(), time());
    assert!(first >= Duration::from_secs(2), "{first:?}");
    assert!(later < first, "{later:?}");
}

#[test]
fn a_volume_has_one_snapshot_in_fifteen_seconds() {
    assert_eq!(
        Timing::ec2_like().snapshot_interval,
        Duration::from_secs(15)
    );
    let site = Site::with(Timing {
        snapshot_interval: Duration::from_secs(2),
        ..Site::timing()
    });
    site.ec2.add_volume(OTHER, site::ZONE).unwrap();
    let begun = Instant::now();
    begin(&site);
    let again = [("VolumeId", VOLUME)];
    assert_eq!(
        site.refused("CreateSnapshot", &again),
        "SnapshotCreationPerVolumeRateExceeded"
    );
    site.ok("CreateSnapshot", &[("VolumeId", OTHER)]);
    wait("the time is over", || {
        site.call("CreateSnapshot", &again).is_ok()
    });
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[test]
fn a_volume_has_no_more_than_five_incomplete_snapshots() {
    let site = Site::with(at_once());
    let call = [("VolumeId", VOLUME)];
    let limit = "ConcurrentSnapshotLimitExceeded";
    site.ec2
        .inject(Injection::of(SnapshotFault::Fails).times(1));
    let failed = begin(&site);
    wait("it has failed", || state(&site, &failed) == "error");
    site.ec2.inject(Injection::of(SnapshotFault::StaysPending));
    for _ in 0..4 {
        begin(&site);
    }
    assert_eq!(site.refused("CreateSnapshot", &call), limit);
    site.ec2.clear_faults();
    wait("the others are completed", || {
        site.call("CreateSnapshot", &call).is_ok()
    });
}

#[test]
fn a_snapshot_is_of_a_volume_that_exists() {
    let site = Site::new();
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[], "MissingParameter"),
        (&[("VolumeId", "volume")], "InvalidParameterValue"),
        (&[("VolumeId", OTHER)], "InvalidVolume.NotFound"),
        (
            &[
                ("VolumeId", VOLUME),
                ("TagSpecification.1.ResourceType", "volume"),
            ],
            "InvalidParameterValue",
        ),
    ];
    for (call, code) in cases {
        assert_eq!(site.refused("CreateSnapshot", call), code, "{call:?}");
    }
    assert!(found(&site, &[]).is_empty());
    assert!(site.world.calls().is_empty());
}

#[test]
fn snapshots_are_found_by_volume_state_description_and_tag() {
    let site = Site::with(at_once());
    site.ec2.add_volume(OTHER, site::ZONE).unwrap();
    let first = make(&site);
    let call = [
        ("VolumeId", OTHER),
        ("Description", "nightly"),
        ("TagSpecification.1.ResourceType", "snapshot"),
        ("TagSpecification.1.Tag.1.Key", "keep"),
        ("TagSpecification.1.Tag.1.Value", "yes"),
    ];
    let second = site.ok("CreateSnapshot", &call).one("snapshotId");
    let by = |name, value| {
        let filter = [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
        found(&site, &filter)
    };
    assert_eq!(by("volume-id", VOLUME), [first.as_str()]);
    assert_eq!(by("status", "pending"), [second.as_str()]);
    assert_eq!(by("description", "night*"), [second.as_str()]);
    assert_eq!(by("snapshot-id", &first), [first.as_str()]);
    assert_eq!(by("tag-key", "keep"), [second.as_str()]);
    assert_eq!(by("tag:keep", "yes"), [second.as_str()]);
    assert!(by("tag:keep", "no").is_empty());
    assert_eq!(found(&site, &[("Owner.1", "self")]), [first, second]);
    let cases: [(&[(&str, &str)], &str); 4] = [
        (
            &[("SnapshotId.1", "snap-0aaaaaaaaaaaaaaa9")],
            "InvalidSnapshot.NotFound",
        ),
        (&[("SnapshotId.1", "snap")], "InvalidSnapshotID.Malformed"),
        (&[("Owner.1", "amazon")], "InvalidParameterValue"),
        (
            &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")],
            "InvalidParameterValue",
        ),
    ];
    for (call, code) in cases {
        assert_eq!(site.refused("DescribeSnapshots", call), code, "{call:?}");
    }
}

#[test]
fn a_stale_description_does_not_know_a_new_snapshot() {
    let site = Site::new();
    let stale = Injection::of(CallFault::Stale).by(Duration::from_secs(60));
    site.ec2.inject(stale);
    let id = begin(&site);
    assert_eq!(
        site.refused("DescribeSnapshots", &[("SnapshotId.1", &id)]),
        "InvalidSnapshot.NotFound"
    );
    assert!(found(&site, &[]).is_empty());
    site.ec2.clear_faults();
    wait("it is completed", || state(&site, &id) == "completed");
}

#[test]
fn a_snapshot_stays_pending_until_the_fault_ends() {
    let site = Site::with(Timing::fast());
    let number = site
        .ec2
        .inject(Injection::of(SnapshotFault::StaysPending).times(1));
    let id = begin(&site);
    std::thread::sleep(ANSWER_TIMEOUT);
    let stuck = described(&site, &id);
    assert_eq!(stuck.one("status"), "pending");
    assert_eq!(stuck.one("progress"), "99%");
    site.ec2.clear_fault(number);
    wait("it is completed", || state(&site, &id) == "completed");
}

#[test]
fn a_snapshot_ends_in_error_while_that_is_the_fault() {
    let site = Site::with(at_once());
    site.ec2
        .inject(Injection::of(SnapshotFault::Fails).times(1));
    let id = begin(&site);
    wait("it has failed", || state(&site, &id) == "error");
    let states: Vec<String> = site
        .ec2
        .events()
        .into_iter()
        .filter_map(|event| match event.what {
            Happening::Snapshot {
                snapshot, state, ..
            } if snapshot == id => Some(state),
            _ => None,
        })
        .collect();
    assert_eq!(states, ["pending", "error"]);
    make(&site);
}

#[test]
fn a_snapshot_that_the_world_cannot_keep_ends_in_error() {
    let site = Site::new();
    site.world.0.lock().unwrap().disk_full = true;
    let id = begin(&site);
    wait("it has failed", || state(&site, &id) == "error");
}

#[test]
fn the_role_of_the_nodes_has_no_right_to_snapshots_and_the_operator_has() {
    let site = Site::new();
    let calls: [(&str, &[(&str, &str)]); 5] = [
        ("CreateSnapshot", &[("VolumeId", VOLUME)]),
        ("DescribeSnapshots", &[]),
        (
            "CreateVolume",
            &[
                ("SnapshotId", "snap-0aaaaaaaaaaaaaaa9"),
                ("AvailabilityZone", site::ZONE),
            ],
        ),
        (
            "CreateTags",
            &[("ResourceId.1", VOLUME), ("Tag.1.Key", "a")],
        ),
        ("DeleteTags", &[("ResourceId.1", VOLUME)]),
    ];
    for (action, call) in calls {
        let dry: Vec<_> = call.iter().copied().chain([("DryRun", "true")]).collect();
        for call in [call, &dry] {
            let refused = site.call_as_n1(action, call).unwrap_err();
            assert_eq!(
                (refused.status, refused.code.as_str()),
                (403, "UnauthorizedOperation"),
                "{action}"
            );
        }
        assert_eq!(site.refused(action, &dry), "DryRunOperation");
    }
    site.call_as_n1("DescribeVolumes", &[]).unwrap();
    assert!(site.world.calls().is_empty());
}
