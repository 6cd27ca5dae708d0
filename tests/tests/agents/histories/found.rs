//! Histories that ended badly once, or would have with an agent that is less careful.

use std::time::Duration;

use lab::ec2::{Injection, Timing, VolumeFault};
use lab::site::{INSTANCES, VOLUME_ID};
use nix::sys::signal::Signal;

use super::action::{At, Death, Victim};
use super::operation::Operation::{self, *};
use super::way::Which;
use super::world::{World, timing};
use super::{History, wrong_in};

const VOLUMES: &[&str] = &["DescribeVolumes"];

fn killed(at: At) -> Option<Death> {
    Some(Death {
        at,
        of: Victim::Supervisor,
        by: Signal::SIGKILL,
    })
}

/// Once `call` has been carried out, and before its answer is there.
fn killed_after(call: &'static str) -> Option<Death> {
    killed(At::After(Which::Named(call)))
}

fn nothing_is_wrong_in(operations: Vec<Operation>) {
    nothing_is_wrong_with(timing(), operations);
}

fn nothing_is_wrong_with(timing: Timing, operations: Vec<Operation>) {
    let history = History {
        operations,
        force_asked: false,
        fenced: true,
        last: 1,
    };
    if let Some(wrong) = wrong_in(&World::with(timing, false), &history) {
        panic!("{wrong}\nin {history:#?}");
    }
}

#[test]
fn a_stop_waits_for_what_an_interrupted_start_asked_for_even_if_ec2_does_not_tell_yet() {
    nothing_is_wrong_in(vec![
        Lag(0, 2500, VOLUMES),
        Start(0, killed_after("AttachVolume")),
        Stop(0, None),
    ]);
}

#[test]
fn a_stop_does_not_take_an_old_description_for_the_last_word() {
    nothing_is_wrong_in(vec![
        Lag(0, 2500, VOLUMES),
        Start(0, None),
        Mount(0),
        Stop(0, None),
    ]);
}

#[test]
fn a_stop_that_cannot_ask_ec2_does_not_answer_0_while_the_device_is_here() {
    nothing_is_wrong_in(vec![Start(0, None), Mount(0), CutOff(0), Stop(0, None)]);
}

#[test]
fn a_stop_that_cannot_ask_ec2_does_not_answer_0_while_a_device_may_come() {
    nothing_is_wrong_in(vec![
        Start(0, killed_after("AttachVolume")),
        CutOff(0),
        Stop(0, None),
    ]);
}

#[test]
fn two_starts_at_once_leave_one_writer() {
    let starts = Both(Box::new(Start(0, None)), Box::new(Start(1, None)));
    nothing_is_wrong_in(vec![starts, Mount(0), Mount(1)]);
}

#[test]
fn a_start_does_not_take_a_volume_that_leaves_for_one_that_is_here() {
    // Longer than a start takes that looks no closer.
    let timing = Timing {
        detach: Duration::from_secs(3),
        ..timing()
    };
    let operations = vec![
        Start(0, None),
        Pause(1000),
        Lag(0, 1500, VOLUMES),
        Stop(0, killed_after("DetachVolume")),
        Start(0, None),
    ];
    nothing_is_wrong_with(timing, operations);
}

#[test]
fn a_start_after_a_stop_whose_detaching_was_lost_keeps_the_volume() {
    nothing_is_wrong_in(vec![
        Start(0, None),
        Stop(0, killed(At::Before(Which::Named("DetachVolume")))),
        Start(0, None),
    ]);
}

#[test]
fn that_the_holder_was_off_a_moment_ago_is_no_reason_for_force() {
    nothing_is_wrong_in(vec![
        Start(0, None),
        PowerOff(0),
        Pause(3000),
        Lag(1, 2500, &["DescribeInstances"]),
        PowerOn(0),
        Mount(0),
        Start(1, None),
    ]);
}

#[test]
fn a_start_attaches_once_while_descriptions_lag() {
    let world = World::new(false);
    let late = Injection::of(VolumeFault::NoDevice).lasting(Duration::from_secs(4));
    world.site.ec2.inject(late);
    world.perform(&Lag(0, 3000, VOLUMES), true);
    world.perform(&Start(0, None), true);
    assert_eq!(world.wrong(), [""; 0], "{}", world.log());
    assert_eq!(world.site.calls("AttachVolume"), 1, "{}", world.log());
}

#[test]
fn a_stop_does_not_let_go_of_what_is_still_attaching() {
    let world = World::new(false);
    let stuck = Injection::of(VolumeFault::StaysAttaching);
    let number = world.site.ec2.inject(stuck);
    let attach = [
        ("VolumeId", VOLUME_ID),
        ("InstanceId", INSTANCES[0].id),
        ("Device", "/dev/sdf"),
    ];
    world.site.call("AttachVolume", &attach);
    let stop = super::action::Action {
        timeout: Duration::from_secs(13),
        ..world.action(0, "stop")
    };
    let ended = world.act(0, stop, None);
    assert!(ended.is(1), "{ended:?}");
    world.site.ec2.clear_fault(number);
    world.converges(1);
    assert_eq!(world.wrong(), [""; 0], "{}", world.log());
}
