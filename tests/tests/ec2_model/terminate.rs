//! TerminateInstances: what is given back, what is described then, and that nothing comes back.

use std::time::Duration;

use lab::ec2::{Happening, Timing};
use lab::site;

use crate::client::{ENI1, ENI2, N1, N2, Site, VOLUME, wait};

const VIP: &str = "172.31.16.130";

fn one(instance: &str) -> [(&str, &str); 1] {
    [("InstanceId.1", instance)]
}

/// It is terminated, and can be described as long as the test takes.
fn terminate(site: &Site, instance: &str) {
    site.ok("TerminateInstances", &one(instance));
    wait("it is terminated", || {
        site.instance_state(instance) == "terminated"
    });
}

fn remembering() -> Site {
    Site::with(Timing {
        terminated_visible: Duration::from_secs(60),
        ..Site::timing()
    })
}

#[test]
fn a_termination_asks_the_guest_cuts_the_power_and_says_terminated_last() {
    let site = remembering();
    let answer = site.ok("TerminateInstances", &one(N1));
    assert_eq!(answer.all("name"), ["shutting-down", "running"]);
    wait("it is terminated", || {
        let state = site.instance_state(N1);
        assert!(
            state == "shutting-down" || !site.world.is_on(N1),
            "{state} while it has power"
        );
        state == "terminated"
    });
    let calls = &site.world.calls()[..2];
    assert_eq!(
        calls,
        [format!("shut_down {N1}"), format!("power_off {N1}")]
    );
    assert!(site.world.is_on(N2));
}

#[test]
fn a_termination_that_skips_the_guest_does_not_ask_it() {
    let site = remembering();
    let skip = [("InstanceId.1", N1), ("SkipOsShutdown", "true")];
    site.ok("TerminateInstances", &skip);
    wait("it is terminated", || {
        site.instance_state(N1) == "terminated"
    });
    assert_eq!(site.world.calls()[0], format!("power_off {N1}"));
}

#[test]
fn a_terminated_instance_gives_back_its_volume_and_its_addresses() {
    let site = remembering();
    site.assign(ENI1, VIP);
    let to = [
        ("AllocationId", site::EIP_ALLOCATION),
        ("NetworkInterfaceId", ENI1),
        ("PrivateIpAddress", VIP),
    ];
    site.ok("AssociateAddress", &to);
    site.attach(N1);
    site.world.mount(N1, VOLUME);
    terminate(&site, N1);
    wait("the volume is available", || {
        site.volume(VOLUME) == ("available".to_owned(), None)
    });
    let interface = [("NetworkInterfaceId.1", ENI1)];
    assert_eq!(
        site.refused("DescribeNetworkInterfaces", &interface),
        "InvalidNetworkInterfaceID.NotFound"
    );
    let elastic = site.ok("DescribeAddresses", &[]);
    assert_eq!(elastic.all("publicIp"), [site::EIP.to_string()]);
    assert!(elastic.all("associationId").is_empty());
    wait("the VPC delivers none of its addresses", || {
        let network = site.world.0.lock().unwrap().network.clone();
        network.is_some_and(|network| {
            !network.private.contains_key(N1)
                && !network.public.contains_key(&site::EIP)
                && !network.public.contains_key(&site::INSTANCES[0].public_ip)
        })
    });
    let lost = Happening::Address {
        address: site::VIP,
        from: Some(N1.to_owned()),
        to: None,
    };
    assert!(site.ec2.events().iter().any(|event| event.what == lost));
    // The address is free, so nobody has to allow that it moves.
    let free = [("NetworkInterfaceId", ENI2), ("PrivateIpAddress.1", VIP)];
    site.ok("AssignPrivateIpAddresses", &free);
    site.attach(N2);
    assert_eq!(site.world.harm(), Vec::<String>::new());
}

#[test]
fn a_terminated_instance_is_described_without_addresses_and_volumes() {
    let site = remembering();
    site.attach(N1);
    terminate(&site, N1);
    wait("the volume is available", || {
        site.volume(VOLUME).0 == "available"
    });
    let xml = site.ok("DescribeInstances", &one(N1));
    for gone in [
        "privateIpAddress",
        "ipAddress",
        "networkInterfaceId",
        "volumeId",
        "subnetId",
    ] {
        assert_eq!(xml.all(gone), Vec::<String>::new(), "{gone}");
    }
    let terminated = [
        ("Filter.1.Name", "instance-state-name"),
        ("Filter.1.Value.1", "terminated"),
    ];
    let found = site.ok("DescribeInstances", &terminated);
    assert_eq!(found.all("instanceId"), [N1]);
    let by_address = [
        ("Filter.1.Name", "private-ip-address"),
        ("Filter.1.Value.1", "172.31.16.133"),
    ];
    let found = site.ok("DescribeInstances", &by_address);
    assert!(found.all("instanceId").is_empty());
    let all = ("IncludeAllInstances", "true");
    let status = site.ok("DescribeInstanceStatus", &[all, ("InstanceId.1", N1)]);
    assert_eq!(status.one("name"), "terminated");
    assert_eq!(site.ec2.snapshot().instances.len(), 3);
}

#[test]
fn a_terminated_instance_is_unknown_after_a_while() {
    let visible = Duration::from_millis(700);
    let site = Site::with(Timing {
        terminated_visible: visible,
        ..Site::timing()
    });
    terminate(&site, N1);
    let begun = std::time::Instant::now();
    wait("it is forgotten", || {
        match site.call("DescribeInstances", &one(N1)) {
            Ok(_) => false,
            Err(refused) => {
                assert_eq!(refused.code, "InvalidInstanceID.NotFound");
                true
            }
        }
    });
    // What was waited for before and what a call takes are part of it.
    assert!(begun.elapsed() > visible / 2, "{:?}", begun.elapsed());
    let rest = site.ok("DescribeInstances", &[]).all("instanceState").len();
    assert_eq!(rest, 2);
    for action in ["StartInstances", "StopInstances", "TerminateInstances"] {
        assert_eq!(
            site.refused(action, &one(N1)),
            "InvalidInstanceID.NotFound",
            "{action}"
        );
    }
}

#[test]
fn a_terminated_instance_takes_nothing_and_does_nothing_any_more() {
    let site = remembering();
    terminate(&site, N1);
    // "If you terminate an instance more than once, each call succeeds."
    let again = site.ok("TerminateInstances", &one(N1));
    assert_eq!(again.all("name"), ["terminated", "terminated"]);
    for action in ["StartInstances", "StopInstances", "RebootInstances"] {
        assert_eq!(
            site.refused(action, &one(N1)),
            "IncorrectInstanceState",
            "{action}"
        );
    }
    let attach = [
        ("VolumeId", VOLUME),
        ("InstanceId", N1),
        ("Device", "/dev/sdf"),
    ];
    assert_eq!(site.refused("AttachVolume", &attach), "IncorrectState");
    let associate = [("AllocationId", site::EIP_ALLOCATION), ("InstanceId", N1)];
    assert_eq!(
        site.refused("AssociateAddress", &associate),
        "InvalidInstanceID"
    );
}

#[test]
fn what_is_terminated_on_its_way_up_or_down_does_not_come_back() {
    let site = remembering();
    site.stop(N1);
    site.ok("StartInstances", &one(N1));
    assert_eq!(site.instance_state(N1), "pending");
    site.ok("StopInstances", &one(N2));
    for instance in [N1, N2] {
        site.ok("TerminateInstances", &one(instance));
        assert_eq!(site.instance_state(instance), "shutting-down");
    }
    for instance in [N1, N2] {
        wait("it is terminated", || {
            site.instance_state(instance) == "terminated"
        });
    }
    // Longer than a start or a stop takes.
    std::thread::sleep(Duration::from_millis(700));
    for instance in [N1, N2] {
        assert_eq!(states_since_shutting_down(&site, instance), ["terminated"]);
        assert!(!site.world.is_on(instance), "{instance} has power");
    }
}

fn states_since_shutting_down(site: &Site, wanted: &str) -> Vec<String> {
    let events = site.ec2.events().into_iter();
    let states = events.filter_map(|event| match event.what {
        Happening::Instance { instance, state } if instance == wanted => Some(state),
        _ => None,
    });
    states
        .skip_while(|state| state != "shutting-down")
        .skip(1)
        .collect()
}

#[test]
fn an_unknown_instance_saves_the_others_from_termination() {
    let site = Site::new();
    let both = [
        ("InstanceId.1", N1),
        ("InstanceId.2", "i-0123456789abcdef0"),
    ];
    assert_eq!(
        site.refused("TerminateInstances", &both),
        "InvalidInstanceID.NotFound"
    );
    assert_eq!(site.instance_state(N1), "running");
}
