//! Faults of calls and of the metadata that are injected: what they do, to whom, and that they end.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use lab::ec2::{CallFault, Happening, Injection, MetadataFault};
use lab::site;

use crate::client::{ENI1, ENI2, N1, N2, Site, VOLUME, wait};

const ATTACH: [(&str, &str); 3] = [
    ("VolumeId", VOLUME),
    ("InstanceId", N1),
    ("Device", "/dev/sdf"),
];
const DETACH: [(&str, &str); 2] = [("VolumeId", VOLUME), ("InstanceId", N1)];
const TOKEN: &str = "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
/// Long enough for an answer, if one comes.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(700);

fn state_of_the_volume(site: &Site) -> String {
    site.volume(VOLUME).0
}

#[test]
fn a_call_that_is_refused_by_a_fault_is_not_done_and_the_others_are() {
    let refusals = [
        (CallFault::Throttled, 503, "RequestLimitExceeded"),
        (CallFault::InternalError, 500, "InternalError"),
        (CallFault::Unavailable, 503, "Unavailable"),
        (CallFault::ServiceUnavailable, 503, "ServiceUnavailable"),
        (CallFault::RequestExpired, 400, "RequestExpired"),
        (CallFault::ExpiredToken, 400, "ExpiredToken"),
        (CallFault::AuthFailure, 401, "AuthFailure"),
        (CallFault::Denied, 403, "UnauthorizedOperation"),
    ];
    let site = Site::new();
    for (fault, status, code) in refusals {
        let number = site
            .ec2
            .inject(Injection::of(fault).on(&["AttachVolume", "DetachVolume"]));
        let refused = site.call("AttachVolume", &ATTACH).unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (status, code));
        assert_eq!(state_of_the_volume(&site), "available", "{fault:?}");
        assert!(site.ec2.clear_fault(number));
    }
    assert!(site.ec2.faults().is_empty());
    site.ok("AttachVolume", &ATTACH);
}

#[test]
fn a_fault_ends_after_its_times_or_its_time() {
    let site = Site::new();
    site.ec2
        .inject(Injection::of(CallFault::Throttled).times(2));
    site.refused("DescribeVolumes", &[]);
    site.refused("DescribeSubnets", &[]);
    site.ok("DescribeVolumes", &[]);
    assert_eq!(site.ec2.clear_faults(), 1);
    let began = Instant::now();
    let lasting = Duration::from_millis(400);
    site.ec2
        .inject(Injection::of(CallFault::InternalError).lasting(lasting));
    site.refused("DescribeVolumes", &[]);
    wait("the fault is over", || {
        site.call("DescribeVolumes", &[]).is_ok()
    });
    assert!(began.elapsed() >= lasting, "{:?}", began.elapsed());
    assert!(site.ec2.faults().is_empty());
}

#[test]
fn a_fault_at_one_instance_leaves_the_others_alone() {
    let site = Site::new();
    site.ec2.inject(Injection::of(CallFault::Denied).at(N1));
    let refused = site.call_as_n1("DescribeVolumes", &[]).unwrap_err();
    assert_eq!(refused.code, "UnauthorizedOperation");
    site.ok("DescribeVolumes", &[]);
    site.ec2
        .inject(Injection::of(MetadataFault::Unavailable).at(N2));
    assert_eq!(site.document("meta-data/instance-id").as_deref(), Ok(N1));
}

#[test]
fn a_dry_run_of_any_call_tells_whether_it_is_allowed_and_does_nothing() {
    let site = Site::new();
    let address = site::VIP.to_string();
    let on_n1 = ("InstanceId.1", N1);
    let snapshot = ("SnapshotId", "snap-0a0a0a0a0a0a0a0a0");
    let calls: [(&str, &[(&str, &str)]); 27] = [
        ("DescribeInstances", &[]),
        ("DescribeInstanceStatus", &[]),
        ("DescribeVolumes", &[]),
        ("DescribeAddresses", &[]),
        ("DescribeNetworkInterfaces", &[]),
        ("DescribeSubnets", &[]),
        ("DescribeRouteTables", &[]),
        ("ReplaceRoute", &[]),
        ("DescribeVpcEndpoints", &[]),
        ("CreateVpcEndpoint", &[]),
        ("StartInstances", &[on_n1]),
        ("StopInstances", &[on_n1]),
        ("RebootInstances", &[on_n1]),
        ("TerminateInstances", &[on_n1]),
        (
            "DescribeInstanceAttribute",
            &[("InstanceId", N1), ("Attribute", "disableApiStop")],
        ),
        (
            "ModifyInstanceAttribute",
            &[("InstanceId", N1), ("DisableApiStop.Value", "true")],
        ),
        ("AttachVolume", &ATTACH),
        ("DetachVolume", &DETACH),
        ("CreateSnapshot", &[("VolumeId", VOLUME)]),
        ("DescribeSnapshots", &[]),
        (
            "CreateVolume",
            &[snapshot, ("AvailabilityZone", site::ZONE)],
        ),
        (
            "CreateTags",
            &[("ResourceId.1", VOLUME), ("Tag.1.Key", "a")],
        ),
        ("DeleteTags", &[("ResourceId.1", VOLUME)]),
        (
            "AssociateAddress",
            &[("AllocationId", site::EIP_ALLOCATION), ("InstanceId", N1)],
        ),
        (
            "DisassociateAddress",
            &[("AssociationId", "eipassoc-0a0a0a0a0a0a0a0a0")],
        ),
        (
            "AssignPrivateIpAddresses",
            &[
                ("NetworkInterfaceId", ENI1),
                ("PrivateIpAddress.1", &address),
            ],
        ),
        (
            "UnassignPrivateIpAddresses",
            &[
                ("NetworkInterfaceId", ENI1),
                ("PrivateIpAddress.1", &address),
            ],
        ),
    ];
    for (action, parameters) in calls {
        let dry: Vec<_> = parameters
            .iter()
            .copied()
            .chain([("DryRun", "true")])
            .collect();
        let allowed = site.call(action, &dry).unwrap_err();
        assert_eq!(
            (allowed.status, allowed.code.as_str()),
            (412, "DryRunOperation"),
            "{action}"
        );
        let number = site
            .ec2
            .inject(Injection::of(CallFault::Denied).on(&[action]));
        let denied = site.call(action, &dry).unwrap_err();
        assert_eq!(
            (denied.status, denied.code.as_str()),
            (403, "UnauthorizedOperation"),
            "{action}"
        );
        site.ec2.clear_fault(number);
    }
    assert!(site.world.calls().is_empty(), "{:?}", site.world.calls());
}

#[test]
fn a_hanging_call_is_neither_answered_nor_done() {
    let site = Site::new();
    site.ec2
        .inject(Injection::of(CallFault::Hanging).on(&["AttachVolume"]));
    let kind = site.unanswered("AttachVolume", &ATTACH, ANSWER_TIMEOUT);
    assert!(
        matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{kind:?}"
    );
    assert_eq!(state_of_the_volume(&site), "available");
}

#[test]
fn a_reset_call_is_not_done() {
    let site = Site::new();
    site.ec2
        .inject(Injection::of(CallFault::Reset).on(&["AttachVolume"]));
    let kind = site.unanswered("AttachVolume", &ATTACH, ANSWER_TIMEOUT);
    assert_eq!(kind, ErrorKind::ConnectionReset);
    assert_eq!(state_of_the_volume(&site), "available");
}

#[test]
fn a_call_whose_answer_is_lost_is_done() {
    let site = Site::new();
    site.ec2
        .inject(Injection::of(CallFault::AnswerLost).on(&["AttachVolume"]));
    site.unanswered("AttachVolume", &ATTACH, ANSWER_TIMEOUT);
    wait("the volume is attached", || {
        state_of_the_volume(&site) == "attached"
    });
    let noted = site.ec2.events().into_iter().any(|event| {
        matches!(event.what, Happening::Call { action, fault: Some(CallFault::AnswerLost), .. } if action == "AttachVolume")
    });
    assert!(noted, "the fault is not in the record");
}

#[test]
fn stale_descriptions_follow_after_their_time() {
    let site = Site::new();
    let lag = Duration::from_secs(2);
    site.attach(N1);
    site.ec2.inject(Injection::of(CallFault::Stale).by(lag));
    wait("the description is of the attached volume", || {
        state_of_the_volume(&site) == "attached"
    });
    let began = Instant::now();
    site.ok("DetachVolume", &DETACH);
    assert_eq!(state_of_the_volume(&site), "attached");
    wait("the description follows", || {
        state_of_the_volume(&site) == "available"
    });
    assert!(began.elapsed() >= lag, "{:?}", began.elapsed());
    assert_eq!(site.ec2.snapshot().volumes[0].holder, None);
}

#[test]
fn metadata_that_is_down_resets_and_metadata_that_hangs_does_not_answer() {
    let site = Site::new();
    let ask = || site.metadata_within(ANSWER_TIMEOUT, "PUT", "/latest/api/token", TOKEN);
    let down = site.ec2.inject(Injection::of(MetadataFault::Down));
    assert_eq!(ask().unwrap_err().kind(), ErrorKind::ConnectionReset);
    site.ec2.clear_fault(down);
    let hanging = site.ec2.inject(Injection::of(MetadataFault::Hanging));
    let kind = ask().unwrap_err().kind();
    assert!(
        matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{kind:?}"
    );
    site.ec2.clear_fault(hanging);
    assert_eq!(ask().unwrap().status, 200);
}

#[test]
fn slow_metadata_answers_after_its_time() {
    let site = Site::new();
    let late = Duration::from_millis(600);
    site.ec2.inject(Injection::of(MetadataFault::Slow).by(late));
    let began = Instant::now();
    assert_eq!(site.metadata("PUT", "/latest/api/token", TOKEN).status, 200);
    assert!(began.elapsed() >= late);
}

#[test]
fn a_void_token_is_refused_until_another_is_fetched() {
    let site = Site::new();
    let token = || {
        let token = site.metadata("PUT", "/latest/api/token", TOKEN).body;
        format!("X-aws-ec2-metadata-token: {token}\r\n")
    };
    let read = |token: &str| {
        site.metadata("GET", "/latest/meta-data/instance-id", token)
            .status
    };
    site.ec2
        .inject(Injection::of(MetadataFault::TokenVoid).times(1));
    let void = token();
    assert_eq!(read(&void), 401);
    assert_eq!(read(&void), 401);
    assert_eq!(read(&token()), 200);
}

#[test]
fn unavailable_metadata_says_so() {
    let site = Site::new();
    site.ec2.inject(Injection::of(MetadataFault::Unavailable));
    assert_eq!(site.metadata("PUT", "/latest/api/token", TOKEN).status, 503);
}

#[test]
fn metadata_that_is_turned_off_forbids_everything() {
    let site = Site::new();
    let token = site.metadata("PUT", "/latest/api/token", TOKEN).body;
    let token = format!("X-aws-ec2-metadata-token: {token}\r\n");
    let status = |method, path, headers: &str| site.metadata(method, path, headers).status;
    let number = site.ec2.inject(Injection::of(MetadataFault::TurnedOff));
    assert_eq!(status("PUT", "/latest/api/token", TOKEN), 403);
    assert_eq!(status("GET", "/latest/meta-data/instance-id", &token), 403);
    assert_eq!(status("GET", "/latest/meta-data/instance-id", ""), 403);
    site.ec2.clear_fault(number);
    assert_eq!(status("GET", "/latest/meta-data/instance-id", &token), 200);
}

#[test]
fn stale_metadata_shows_the_addresses_of_when_the_fault_began() {
    let site = Site::new();
    let path = format!(
        "meta-data/network/interfaces/macs/{}/local-ipv4s",
        site::INSTANCES[0].mac
    );
    let vip = site::VIP.to_string();
    let shows = || {
        site.document(&path)
            .unwrap()
            .lines()
            .any(|line| line == vip)
    };
    site.assign(ENI1, &vip);
    wait("the metadata follows", shows);
    site.ec2
        .inject(Injection::of(MetadataFault::StaleAddresses));
    site.assign(ENI2, &vip);
    wait("the address has moved", || {
        site.ec2
            .network()
            .private
            .get(N2)
            .is_some_and(|addresses| addresses.contains(&site::VIP))
    });
    assert!(shows(), "the metadata followed");
    site.ec2.clear_faults();
    assert!(!shows(), "the metadata does not follow after the fault");
}

#[test]
fn metadata_requests_are_counted_for_each_instance() {
    let site = Site::new();
    assert_eq!(site.ec2.metadata_requests(N1), 0);
    site.document("meta-data/mac").unwrap();
    assert_eq!(site.ec2.metadata_requests(N1), 2, "a token and an item");
    assert_eq!(site.ec2.metadata_requests(N2), 0);
}
