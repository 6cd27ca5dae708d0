//! An action that dies at any of its calls, or at any other moment, and is made again: it comes to
//! where it would have come, and nothing is done twice that must be done once.

use std::sync::Mutex;
use std::time::Duration;

use lab::site::INSTANCES;
use nix::sys::signal::Signal;

use super::action::{Action, At, Death, Victim};
use super::way::Which;
use super::world::World;

/// Worlds at once.
const AT_ONCE: usize = 6;
/// Moments that are no calls, in milliseconds.
const MOMENTS: [u64; 6] = [1, 20, 60, 300, 900, 1500];

fn action(agent: &'static str, name: &'static str) -> Action {
    Action {
        agent,
        name,
        timeout: Duration::from_secs(40),
        force: false,
        level: 0,
    }
}

/// Has the action die in every way after `before`, and makes it again each time; `holds` says what has to be then.
fn made_again(
    agent: &'static str,
    name: &'static str,
    before: impl Fn(&World) + Sync,
    holds: impl Fn(&World) -> bool + Sync,
) {
    let action = action(agent, name);
    let world = World::new(false);
    before(&world);
    world.ways.count(0);
    let ended = world.act(0, action, None);
    assert!(ended.is(0), "{ended:?}\n{}", world.log());
    let calls = world.ways.count(0);
    let moments = (1..=calls)
        .map(Which::Number)
        .flat_map(|call| [At::Before(call), At::After(call)])
        .chain(MOMENTS.map(At::Milliseconds));
    let kinds = [
        (Victim::Supervisor, Signal::SIGKILL),
        (Victim::Worker, Signal::SIGKILL),
        (Victim::Supervisor, Signal::SIGTERM),
        (Victim::Worker, Signal::SIGTERM),
    ];
    // Each moment one kind, shifted so that neighbours differ.
    let deaths = moments.zip(kinds.into_iter().cycle());
    let deaths: Vec<_> = deaths.map(|(at, (of, by))| Death { at, of, by }).collect();
    let queue = Mutex::new(deaths);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(death) = queue.lock().unwrap().pop() else {
                        return;
                    };
                    let world = World::new(false);
                    before(&world);
                    world.act(0, action, Some(death));
                    let ended = world.act(0, action, None);
                    let wrong = world.wrong();
                    assert!(
                        ended.is(0) && holds(&world) && wrong.is_empty(),
                        "{agent} {name}, {death:?}, made again: {ended:?}; {wrong:?}\n{}",
                        world.log()
                    );
                }
            });
        }
    });
}

fn done(world: &World, agent: &'static str, name: &'static str) {
    let ended = world.act(0, action(agent, name), None);
    assert!(ended.is(0), "{ended:?}\n{}", world.log());
}

fn has_volume(world: &World) -> bool {
    let holder = world.holder();
    world.site.machines.has_device(0) && holder.is_some_and(|h| h.instance == INSTANCES[0].id)
}

#[test]
fn a_start_of_the_volume_made_again() {
    made_again("awsebs", "start", |_| {}, has_volume);
}

#[test]
fn a_start_that_takes_the_volume_from_a_stopped_node_made_again() {
    let before = |world: &World| {
        world.attach(1);
        world.stop(1);
    };
    made_again("awsebs", "start", before, has_volume);
}

#[test]
fn a_stop_of_the_volume_made_again() {
    let before = |world: &World| {
        done(world, "awsebs", "start");
        world.site.machines.mount(0);
    };
    let gone = |world: &World| !world.site.machines.has_device(0);
    made_again("awsebs", "stop", before, gone);
}

/// Where the metadata of the first node shows the Elastic IP, or EC2 has it.
fn leads_here(world: &World) -> bool {
    world.site.ec2.snapshot().eip_instance.as_deref() == Some(INSTANCES[0].id)
}

#[test]
fn a_start_of_the_elastic_ip_made_again() {
    let before = |world: &World| world.site.assign_vip(INSTANCES[0].eni);
    made_again("awseip", "start", before, leads_here);
}

#[test]
fn a_stop_of_the_elastic_ip_made_again() {
    let before = |world: &World| {
        world.site.assign_vip(INSTANCES[0].eni);
        done(world, "awseip", "start");
    };
    made_again("awseip", "stop", before, |world| !leads_here(world));
}

fn has_address(world: &World) -> bool {
    world.site.ec2.snapshot().vip.as_deref() == Some(INSTANCES[0].id)
}

#[test]
fn a_start_of_the_private_address_made_again() {
    let before = |world: &World| world.site.assign_vip(INSTANCES[1].eni);
    made_again("awsvip", "start", before, has_address);
}

#[test]
fn a_stop_of_the_private_address_made_again() {
    let before = |world: &World| done(world, "awsvip", "start");
    made_again("awsvip", "stop", before, |world| !has_address(world));
}
