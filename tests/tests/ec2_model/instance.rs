//! Instances.

use lab::ec2::Timing;
use lab::site;
use std::time::{Duration, Instant};

use crate::client::{N1, N2, Site, VOLUME, Xml, wait};

fn one(instance: &str) -> [(&str, &str); 1] {
    [("InstanceId.1", instance)]
}

#[test]
fn a_stop_with_force_asks_the_guest_cuts_the_power_and_says_stopped_last() {
    let site = Site::new();
    site.world.machine(N1, |machine| machine.hangs = true);
    let answer = site.ok("StopInstances", &[("InstanceId.1", N1), ("Force", "true")]);
    assert_eq!(
        Xml(answer.one("currentState").to_string() + "<x/>").all("name"),
        ["stopping"]
    );
    wait("it is stopped", || {
        let state = site.instance_state(N1);
        assert!(
            state == "stopping" || !site.world.is_on(N1),
            "{state} while it has power"
        );
        state == "stopped"
    });
    let calls = &site.world.calls()[..2];
    assert_eq!(
        calls,
        [format!("shut_down {N1}"), format!("power_off {N1}")]
    );
}

#[test]
fn a_stop_that_skips_the_guest_does_not_ask_it() {
    let site = Site::new();
    site.ok(
        "StopInstances",
        &[("InstanceId.1", N1), ("SkipOsShutdown", "true")],
    );
    wait("it is stopped", || site.instance_state(N1) == "stopped");
    assert_eq!(site.world.calls()[0], format!("power_off {N1}"));
}

#[test]
fn a_guest_has_its_grace_with_force_and_none_when_it_is_skipped() {
    let grace = Duration::from_millis(900);
    for (parameter, asked) in [("Force", true), ("SkipOsShutdown", false)] {
        let site = Site::with(Timing {
            forced_grace: grace,
            ..Site::timing()
        });
        site.world.machine(N1, |machine| machine.hangs = true);
        let begun = Instant::now();
        site.ok(
            "StopInstances",
            &[("InstanceId.1", N1), (parameter, "true")],
        );
        wait("the power is cut", || !site.world.is_on(N1));
        let took = begun.elapsed();
        assert_eq!(took >= grace, asked, "{parameter}: {took:?}");
    }
}

#[test]
fn force_and_skip_together_do_not_ask_the_guest() {
    let site = Site::new();
    let both = [
        ("InstanceId.1", N1),
        ("Force", "true"),
        ("SkipOsShutdown", "true"),
    ];
    site.ok("StopInstances", &both);
    wait("it is stopped", || site.instance_state(N1) == "stopped");
    assert_eq!(site.world.calls()[0], format!("power_off {N1}"));
}

#[test]
fn a_guest_that_obeys_a_forced_stop_takes_as_long_as_in_a_default_stop() {
    let stop = Duration::from_millis(900);
    let site = Site::with(Timing {
        stop,
        ..Site::timing()
    });
    let begun = Instant::now();
    site.stop(N1);
    assert!(begun.elapsed() >= stop, "{:?}", begun.elapsed());
}

#[test]
fn an_instance_that_is_stopped_during_a_reboot_is_not_booted_for_it() {
    let site = Site::with(Timing {
        reboot_grace: Duration::from_millis(700),
        ..Site::timing()
    });
    site.world.machine(N1, |machine| machine.hangs = true);
    site.ok("RebootInstances", &one(N1));
    let asked = format!("shut_down {N1}");
    wait("the guest is asked to reboot", || {
        site.world.calls().contains(&asked)
    });
    site.ok("StopInstances", &one(N1));
    assert_eq!(
        site.refused("RebootInstances", &one(N1)),
        "IncorrectInstanceState"
    );
    wait("it is stopped", || site.instance_state(N1) == "stopped");
    assert!(!site.world.calls().contains(&format!("power_on {N1}")));
}

#[test]
fn a_forced_stop_of_a_dead_guest_takes_as_long_as_ec2_takes() {
    let forced_stop = Duration::from_millis(300);
    let site = Site::with(Timing {
        forced_stop,
        ..Site::timing()
    });
    site.world.machine(N1, |machine| machine.powered = false);
    let begun = Instant::now();
    site.stop(N1);
    assert!(begun.elapsed() >= forced_stop, "{:?}", begun.elapsed());
}

#[test]
fn ec2_does_not_notice_that_a_guest_has_lost_its_power() {
    let site = Site::new();
    site.world.machine(N1, |machine| machine.powered = false);
    assert_eq!(site.instance_state(N1), "running");
    let status = site.ok("DescribeInstanceStatus", &one(N1));
    assert_eq!(status.one("instanceId"), N1);
}

#[test]
fn an_instance_whose_guest_shuts_itself_down_becomes_stopped() {
    let site = Site::new();
    site.attach(N1);
    site.world.machine(N1, |machine| machine.powered = false);
    site.ec2.guest_powered_off(N1);
    assert_eq!(site.instance_state(N1), "stopping");
    wait("it is stopped", || site.instance_state(N1) == "stopped");
    assert_eq!(
        site.volume(VOLUME),
        ("attached".to_owned(), Some(N1.to_owned()))
    );
}

#[test]
fn an_instance_starts_only_once_it_has_stopped() {
    let site = Site::new();
    site.ok("StopInstances", &one(N1));
    assert_eq!(
        site.refused("StartInstances", &one(N1)),
        "IncorrectInstanceState"
    );
    wait("it is stopped", || site.instance_state(N1) == "stopped");
    site.ok("StartInstances", &one(N1));
    assert_eq!(site.instance_state(N1), "pending");
    assert_eq!(
        site.refused("StopInstances", &one(N1)),
        "IncorrectInstanceState"
    );
    assert_eq!(
        site.refused("RebootInstances", &one(N1)),
        "IncorrectInstanceState"
    );
    wait("it runs", || site.instance_state(N1) == "running");
    assert!(site.world.is_on(N1));
}

#[test]
fn starting_what_runs_and_stopping_what_is_stopped_change_nothing() {
    let site = Site::new();
    site.ok("StartInstances", &one(N1));
    assert_eq!(site.instance_state(N1), "running");
    site.stop(N1);
    site.stop(N1);
    let offs = site
        .world
        .calls()
        .iter()
        .filter(|call| call.starts_with("power_off"))
        .count();
    assert_eq!(offs, 1);
}

#[test]
fn an_unknown_instance_spoils_the_whole_call() {
    let site = Site::new();
    let both = [
        ("InstanceId.1", N1),
        ("InstanceId.2", "i-0123456789abcdef0"),
    ];
    for action in [
        "StopInstances",
        "StartInstances",
        "RebootInstances",
        "DescribeInstances",
    ] {
        assert_eq!(
            site.refused(action, &both),
            "InvalidInstanceID.NotFound",
            "{action}"
        );
    }
    assert_eq!(site.instance_state(N1), "running");
}

#[test]
fn a_reboot_keeps_the_state_and_the_volume() {
    let site = Site::with(Timing {
        reboot_grace: Duration::from_millis(500),
        ..Site::timing()
    });
    site.attach(N1);
    site.world.machine(N1, |machine| machine.hangs = true);
    site.ok("RebootInstances", &one(N1));
    // The lab sees the guest go down; to EC2 it is part of the reboot.
    site.ec2.guest_powered_off(N1);
    assert_eq!(site.instance_state(N1), "running");
    let on = format!("power_on {N1}");
    wait("it is booted", || site.world.calls().contains(&on));
    assert_eq!(site.instance_state(N1), "running");
    wait("it has its volume", || site.world.has_device(N1, VOLUME));
    let calls = site.world.calls();
    let order = ["shut_down", "power_off", "power_on", "attach"];
    let after = calls.len() - order.len();
    for (call, verb) in calls[after..].iter().zip(order) {
        assert!(call.starts_with(verb), "{calls:?}");
    }
}

#[test]
fn stopped_is_never_said_of_a_machine_whose_power_cannot_be_cut() {
    let site = Site::new();
    site.world.0.lock().unwrap().power_stuck = true;
    site.ok(
        "StopInstances",
        &[("InstanceId.1", N1), ("SkipOsShutdown", "true")],
    );
    wait("the power cut has failed and is tried again", || {
        let cuts = site.world.calls();
        cuts.iter()
            .filter(|call| call.starts_with("power_off"))
            .count()
            > 1
    });
    let events = site.ec2.events();
    let failures = events.iter().map(|event| event.what.to_string());
    let sentence = format!("the lab failed to power {N1} off: the switch is broken");
    assert_eq!(failures.filter(|failure| *failure == sentence).count(), 1);
    assert_eq!(site.instance_state(N1), "stopping");
    site.world.0.lock().unwrap().power_stuck = false;
    wait("it is stopped", || site.instance_state(N1) == "stopped");
}

#[test]
fn instances_are_found_by_what_they_are() {
    let site = Site::new();
    let found = |name, value| {
        let filter = [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
        let mut ids = site.ok("DescribeInstances", &filter).all("instanceId");
        ids.dedup();
        ids
    };
    assert_eq!(found("instance-id", N2), [N2]);
    assert_eq!(found("private-ip-address", "172.31.16.134"), [N2]);
    assert_eq!(found("vpc-id", site::VPC_ID).len(), 3);
    assert_eq!(found("private-dns-name", "ip-172-31-16-134.*"), [N2]);
    assert_eq!(
        found("instance-state-name", "stopped"),
        Vec::<String>::new()
    );
    let nonsense = [("Filter.1.Name", "shoe-size"), ("Filter.1.Value.1", "44")];
    assert_eq!(
        site.refused("DescribeInstances", &nonsense),
        "InvalidParameterValue"
    );
}

#[test]
fn an_instance_shows_its_names_its_place_and_its_volumes() {
    let site = Site::new();
    site.attach(N1);
    let xml = site.ok("DescribeInstances", &one(N1));
    let name = "ip-172-31-16-133.us-west-1.compute.internal";
    assert_eq!(xml.one("privateDnsName"), name);
    assert_eq!(xml.one("subnetId"), site::SUBNET_ID);
    assert_eq!(xml.one("availabilityZone"), site::ZONE);
    assert_eq!(xml.one("deviceName"), "/dev/sdf");
    assert_eq!(xml.one("volumeId"), VOLUME);
    assert_eq!(xml.one("networkInterfaceId"), site::INSTANCES[0].eni);
    let subnet = site.ok("DescribeSubnets", &[("SubnetId.1", site::SUBNET_ID)]);
    assert_eq!(subnet.one("cidrBlock"), site::SUBNET_CIDR);
}
