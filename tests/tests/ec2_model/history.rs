//! Whatever is called in whatever order: a volume is never at two instances, an address never on
//! two interfaces, and no machine comes to harm.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::ec2::{Injection, Snapshot, Timing, VolumeFault};
use lab::site;
use proptest::prelude::*;

use crate::client::{Site, VOLUME, wait};

#[derive(Debug, Clone, Copy)]
enum Step {
    Attach(usize),
    Detach(bool),
    Mount(usize),
    Unmount(usize),
    /// With this parameter, or none.
    Stop(usize, Option<&'static str>),
    Terminate(usize),
    /// Once.
    Strikes(VolumeFault),
    Start(usize),
    Reboot(usize),
    GuestDown(usize),
    Assign(usize, bool),
    Unassign(usize),
    Associate(usize),
    /// Milliseconds; with `Timing::fast` some transitions end meanwhile and some don't.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..3usize;
    let way = prop_oneof![
        Just(None),
        Just(Some("Force")),
        Just(Some("SkipOsShutdown"))
    ];
    let fault = prop_oneof![
        Just(VolumeFault::Vanishes),
        Just(VolumeFault::FallsBack),
        Just(VolumeFault::RefusedWhileStopping),
    ];
    prop_oneof![
        4 => node.clone().prop_map(Step::Attach),
        3 => any::<bool>().prop_map(Step::Detach),
        2 => node.clone().prop_map(Step::Mount),
        1 => node.clone().prop_map(Step::Unmount),
        1 => (node.clone(), way).prop_map(|(node, way)| Step::Stop(node, way)),
        1 => node.clone().prop_map(Step::Terminate),
        2 => fault.prop_map(Step::Strikes),
        2 => node.clone().prop_map(Step::Start),
        1 => node.clone().prop_map(Step::Reboot),
        1 => node.clone().prop_map(Step::GuestDown),
        3 => (node.clone(), any::<bool>()).prop_map(|(node, may)| Step::Assign(node, may)),
        1 => node.clone().prop_map(Step::Unassign),
        2 => node.prop_map(Step::Associate),
        6 => (0..60u64).prop_map(Step::Wait),
    ]
}

/// Does it; that EC2 refuses is fine.
fn take(site: &Site, step: Step) {
    let vip = site::VIP.to_string();
    let id = |node: usize| site::INSTANCES[node].id;
    let eni = |node: usize| ("NetworkInterfaceId", site::INSTANCES[node].eni);
    let flag = |on: bool| if on { "true" } else { "false" };
    let call = |action: &str, parameters: &[(&str, &str)]| drop(site.call(action, parameters));
    match step {
        Step::Attach(node) => {
            let parameters = [
                ("VolumeId", VOLUME),
                ("InstanceId", id(node)),
                ("Device", "/dev/sdf"),
            ];
            call("AttachVolume", &parameters);
        }
        Step::Detach(force) => call(
            "DetachVolume",
            &[("VolumeId", VOLUME), ("Force", flag(force))],
        ),
        Step::Mount(node) => site.world.machine(id(node), |machine| {
            if machine.devices.contains(VOLUME) {
                machine.mounted.insert(VOLUME.to_owned());
            }
        }),
        Step::Unmount(node) => site.world.unmount(id(node), VOLUME),
        Step::Stop(node, way) => {
            let mut parameters = vec![("InstanceId.1", id(node))];
            parameters.extend(way.map(|name| (name, "true")));
            call("StopInstances", &parameters);
        }
        Step::Terminate(node) => call("TerminateInstances", &[("InstanceId.1", id(node))]),
        Step::Strikes(fault) => {
            site.ec2.inject(Injection::of(fault).times(1));
        }
        Step::Start(node) => call("StartInstances", &[("InstanceId.1", id(node))]),
        Step::Reboot(node) => call("RebootInstances", &[("InstanceId.1", id(node))]),
        Step::GuestDown(node) => site.ec2.guest_powered_off(id(node)),
        Step::Assign(node, may_move) => {
            let may_move = ("AllowReassignment", flag(may_move));
            call(
                "AssignPrivateIpAddresses",
                &[eni(node), ("PrivateIpAddress.1", &vip), may_move],
            );
        }
        Step::Unassign(node) => {
            call(
                "UnassignPrivateIpAddresses",
                &[eni(node), ("PrivateIpAddress.1", &vip)],
            );
        }
        Step::Associate(node) => {
            let allocation = ("AllocationId", site::EIP_ALLOCATION);
            call(
                "AssociateAddress",
                &[allocation, eni(node), ("PrivateIpAddress", &vip)],
            );
        }
        Step::Wait(milliseconds) => std::thread::sleep(Duration::from_millis(milliseconds)),
    }
}

/// The rules that hold at every moment.
fn check(site: &Site) -> Result<(), TestCaseError> {
    let Snapshot {
        instances,
        volumes,
        vip,
        eip,
        eip_instance,
    } = site.ec2.snapshot();
    let mut seen = BTreeSet::new();
    for address in instances.iter().flat_map(|instance| &instance.private) {
        prop_assert!(seen.insert(*address), "{address} is on two interfaces");
    }
    if eip.is_some() {
        prop_assert_eq!(
            &eip_instance,
            &vip,
            "the Elastic IP leads elsewhere than its address"
        );
    }
    let holders = |volume: &str| -> Vec<&str> {
        let ids = site::INSTANCES.iter().map(|instance| instance.id);
        ids.filter(|id| site.world.has_device(id, volume)).collect()
    };
    let at = holders(VOLUME);
    prop_assert!(at.len() <= 1, "{VOLUME} is at {at:?}");
    for instance in &instances {
        prop_assert!(
            !["stopped", "terminated"].contains(&instance.state.as_str())
                || !site.world.is_on(&instance.id),
            "{} is {} and has power",
            instance.id,
            instance.state
        );
    }
    prop_assert_eq!(volumes.len(), 1);
    prop_assert_eq!(site.world.harm(), Vec::<String>::new());
    Ok(())
}

/// Nothing is under way any more.
fn is_settled(site: &Site) -> bool {
    let snapshot = site.ec2.snapshot();
    let instances = snapshot.instances.iter();
    let volumes = snapshot.volumes.iter();
    instances
        .map(|instance| &instance.state)
        .all(|state| ["running", "stopped", "terminated"].contains(&state.as_str()))
        && volumes
            .flat_map(|volume| &volume.holder)
            .all(|holder| holder.state == "attached")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_history_puts_a_volume_or_an_address_in_two_places(steps in prop::collection::vec(step(), 1..40)) {
        let site = Site::with(Timing::fast());
        for step in steps {
            take(&site, step);
            check(&site)?;
        }
        // And it comes to rest once the guests let go.
        for instance in &site::INSTANCES {
            site.world.unmount(instance.id, VOLUME);
        }
        wait("nothing is under way", || is_settled(&site));
        check(&site)?;
        for volume in site.ec2.snapshot().volumes {
            let holder = volume.holder.map(|holder| holder.instance);
            for instance in site.ec2.snapshot().instances {
                let expected = holder.as_ref() == Some(&instance.id) && instance.state == "running";
                wait("the machine has what EC2 says", || {
                    site.world.has_device(&instance.id, &volume.id) == expected
                });
            }
        }
    }
}
