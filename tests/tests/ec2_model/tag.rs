//! Tags of volumes and snapshots.

use crate::client::{N1, Site, VOLUME, Xml};
use crate::snapshot::make;

const OTHER: &str = "vol-0aaaaaaaaaaaaaaa9";

/// Key and value of each tag of the volume.
fn tags(site: &Site) -> Vec<(String, String)> {
    let volume = site.ok("DescribeVolumes", &[("VolumeId.1", VOLUME)]);
    let set = volume.all("tagSet").pop().unwrap_or_default();
    let set = Xml(format!("<s>{set}</s>"));
    set.all("key").into_iter().zip(set.all("value")).collect()
}

fn create(site: &Site, key: &str, value: &str) {
    let call = [
        ("ResourceId.1", VOLUME),
        ("Tag.1.Key", key),
        ("Tag.1.Value", value),
    ];
    site.ok("CreateTags", &call);
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn a_volume_is_found_by_the_tags_that_it_has_got() {
    let site = Site::new();
    assert!(tags(&site).is_empty());
    create(&site, "Name", "data");
    create(&site, "owner", "");
    create(&site, "Name", "data of the PBX");
    assert_eq!(
        tags(&site),
        [pair("Name", "data of the PBX"), pair("owner", "")]
    );
    let found = |name, value| {
        let filter = [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
        site.ok("DescribeVolumes", &filter).all("volumeId").len()
    };
    assert_eq!(found("tag:Name", "data*"), 1);
    assert_eq!(found("tag-key", "owner"), 1);
    assert_eq!(found("tag:name", "data*"), 0, "case matters");
}

#[test]
fn a_tag_goes_by_its_key_or_only_with_its_value() {
    let site = Site::new();
    for (key, value) in [("a", "1"), ("b", "2"), ("c", ""), ("d", "4")] {
        create(&site, key, value);
    }
    let call = [
        ("ResourceId.1", VOLUME),
        ("Tag.1.Key", "a"),
        ("Tag.2.Key", "b"),
        ("Tag.2.Value", "other"),
        ("Tag.3.Key", "c"),
        ("Tag.3.Value", ""),
    ];
    site.ok("DeleteTags", &call);
    assert_eq!(tags(&site), [pair("b", "2"), pair("d", "4")]);
    site.ok("DeleteTags", &[("ResourceId.1", VOLUME)]);
    assert!(tags(&site).is_empty());
}

#[test]
fn a_snapshot_and_its_volume_are_tagged_in_one_call_or_neither() {
    let site = Site::new();
    let snapshot = make(&site);
    let call = |second| {
        [
            ("ResourceId.1", VOLUME),
            ("ResourceId.2", second),
            ("Tag.1.Key", "a"),
            ("Tag.1.Value", "1"),
        ]
    };
    assert_eq!(
        site.refused("CreateTags", &call(OTHER)),
        "InvalidVolume.NotFound"
    );
    assert!(tags(&site).is_empty());
    site.ok("CreateTags", &call(&snapshot));
    assert_eq!(tags(&site), [pair("a", "1")]);
    let snapshots = site.ok("DescribeSnapshots", &[]);
    assert_eq!(
        (snapshots.one("key"), snapshots.one("value")),
        pair("a", "1")
    );
}

#[test]
fn what_cannot_be_a_tag_is_refused() {
    let site = Site::new();
    let of = |key| [("ResourceId.1", VOLUME), ("Tag.1.Key", key)];
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&of("aws:name"), "InvalidParameterValue"),
        (&of(""), "InvalidTagKey.Malformed"),
        (&of("a")[..1], "MissingParameter"),
        (&of("a")[1..], "MissingParameter"),
        (&[("ResourceId.1", N1), ("Tag.1.Key", "a")], "InvalidID"),
        (
            &[
                ("ResourceId.1", VOLUME),
                ("Tag.1.Key", "a"),
                ("Tag.2.Key", "a"),
            ],
            "InvalidParameterValue",
        ),
    ];
    for (call, code) in cases {
        assert_eq!(site.refused("CreateTags", call), code, "{call:?}");
    }
    for number in 0..50 {
        create(&site, &format!("key {number}"), "");
    }
    assert_eq!(
        site.refused("CreateTags", &of("one too many")),
        "TagLimitExceeded"
    );
    create(&site, "key 7", "changed");
}
