//! A caller with a policy may do what that says, and nothing else.

use lab::ec2::Principal;
use lab::site;

use crate::client::{N1, N2, Site, VOLUME};

const POLICY: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Look",
      "Effect": "Allow",
      "Action": ["ec2:DescribeVolumes"],
      "Resource": ["*"],
      "Condition": { "StringEquals": { "ec2:Region": "us-west-1" } }
    },
    {
      "Sid": "Move",
      "Effect": "Allow",
      "Action": ["ec2:AttachVolume", "ec2:StopInstances"],
      "Resource": [
        "arn:aws:ec2:us-west-1:*:volume/vol-0e06e1e9da3c49b67",
        "arn:aws:ec2:us-west-1:*:instance/i-08807c762627239b8"
      ]
    },
    {
      "Sid": "Keep",
      "Effect": "Allow",
      "Action": ["ec2:CreateSnapshot"],
      "Resource": ["arn:aws:ec2:us-west-1:123456789012:volume/*", "arn:aws:ec2:us-west-1::snapshot/*"]
    },
    {
      "Sid": "Name",
      "Effect": "Allow",
      "Action": ["ec2:CreateTags"],
      "Resource": ["arn:aws:ec2:us-west-1::snapshot/*"],
      "Condition": { "StringEquals": { "ec2:CreateAction": ["CreateSnapshot"] } }
    }
  ]
}"#;

#[test]
fn a_call_needs_a_right_for_each_of_its_resources() {
    let site = Site::new();
    site.ec2.put_policy(Principal::Role, POLICY).unwrap();
    let attach = |volume: &'static str, instance: &'static str| {
        vec![
            ("VolumeId", volume),
            ("InstanceId", instance),
            ("Device", "/dev/sdf"),
        ]
    };
    let named = |mut call: Vec<(&'static str, &'static str)>| {
        call.extend([
            ("TagSpecification.1.ResourceType", "snapshot"),
            ("TagSpecification.1.Tag.1.Key", "Name"),
            ("TagSpecification.1.Tag.1.Value", "a"),
        ]);
        call
    };
    let tag = vec![("ResourceId.1", VOLUME), ("Tag.1.Key", "a")];
    let (may, may_not) = ("DryRunOperation", "UnauthorizedOperation");
    for (action, call, expected) in [
        ("DescribeVolumes", vec![], may),
        ("DescribeInstances", vec![], may_not),
        ("AttachVolume", attach(VOLUME, N1), may),
        ("AttachVolume", attach(VOLUME, N2), may_not),
        ("AttachVolume", attach("vol-0aaaaaaaaaaaaaaa9", N1), may_not),
        ("DetachVolume", vec![("VolumeId", VOLUME)], may_not),
        ("StopInstances", vec![("InstanceId.1", N1)], may),
        (
            "StopInstances",
            vec![("InstanceId.1", N1), ("InstanceId.2", N2)],
            may_not,
        ),
        ("CreateSnapshot", vec![("VolumeId", VOLUME)], may),
        ("CreateSnapshot", named(vec![("VolumeId", VOLUME)]), may),
        ("CreateTags", tag, may_not),
        (
            "AssignPrivateIpAddresses",
            vec![("NetworkInterfaceId", site::INSTANCES[0].eni)],
            may_not,
        ),
    ] {
        let dry: Vec<_> = call.into_iter().chain([("DryRun", "true")]).collect();
        let answered = site.call_as_n1(action, &dry).unwrap_err();
        assert_eq!(answered.code, expected, "{action} {dry:?}");
    }
    assert!(site.world.calls().is_empty());
}

#[test]
fn a_policy_of_another_kind_is_refused() {
    let site = Site::new();
    for (wrong, by) in [
        ("\"Allow\"", "\"Deny\""),
        ("\"Resource\"", "\"NotResource\""),
        ("\"StringEquals\"", "\"StringLike\""),
        ("\"ec2:Region\"", "\"aws:SourceIp\""),
        ("2012-10-17", "2008-10-17"),
    ] {
        let document = POLICY.replace(wrong, by);
        let put = site.ec2.put_policy(Principal::Role, &document);
        assert!(put.is_err(), "{by}");
    }
}
